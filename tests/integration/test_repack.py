"""`keg repack`: a bundle that was edited becomes an image again, with a layer of what was edited and no more."""
import json
import os
import pathlib
import shutil
import socket
import stat
import tarfile
import unittest

import keg


class BundleCase(keg.StoreCase):
    plain_files = False

    def setUp(self):
        super().setUp()
        context = self.dir / "context"
        context.mkdir()
        (context / "Dockerfile").write_text("""FROM base
RUN mkdir -p /a/deep/er /old/sub /empty && echo one > /a/file && echo two > /a/other && ln /a/file /a/hard \\
 && ln -s file /a/link && echo x > /old/sub/x && touch /old/y && mkfifo /a/fifo && mknod /a/null c 1 3 && chmod 4755 /a/other \\
 && touch -d @1000000000 /a
CMD ["sh"]
""")
        self.keg("build", "-t", "app", context)
        # Loaded, it is mounted as any image is.
        self.keg("save", "-o", self.dir / "app.tar", "app")
        self.keg("rmi", "app", "base")
        if self.plain_files:
            self.keep_plain_files()
        self.keg("load", "-i", self.dir / "app.tar")
        self.bundle = self.dir / "bundle"
        self.keg("unpack", "app", self.bundle)
        self.rootfs = self.bundle / "rootfs"

    def repack(self, *words):
        self.keg("repack", "-t", "new", *words, self.bundle)
        return self.newest_layer("new")

    def config(self, name):
        return json.loads(self.keg("image", "inspect", name).stdout)[0]

    def layers(self, name):
        return self.config(name)["RootFS"]["Layers"]

    def newest_layer(self, name):
        """Its members by name, in the order of the tar."""
        self.keg("save", "-o", self.dir / "saved.tar", name)
        with tarfile.open(self.dir / "saved.tar") as archive:
            path = json.load(archive.extractfile("manifest.json"))[0]["Layers"][-1]
            with tarfile.open(fileobj=archive.extractfile(path)) as layer:
                return {member.name: member for member in layer.getmembers()}

    def tree(self, rootfs):
        """All that a layer says of a tree; names of one file have the first of them."""
        found, first = {}, {}
        for directory, directories, files in os.walk(rootfs):
            directories.sort()
            for name in sorted(directories + files):
                path = pathlib.Path(directory, name)
                info = path.lstat()
                if stat.S_ISSOCK(info.st_mode):
                    continue
                inside = str(path.relative_to(rootfs))
                content = path.read_bytes() if stat.S_ISREG(info.st_mode) else None
                attributes = {key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
                              if not key.startswith("trusted.")}
                found[inside] = (oct(info.st_mode), info.st_uid, info.st_gid, int(info.st_mtime), info.st_rdev, content, attributes,
                                 os.readlink(path) if path.is_symlink() else None,
                                 None if path.is_dir() and not path.is_symlink() else first.setdefault(info.st_ino, inside))
        return found

    def expect_round_trip(self):
        """What is unpacked of the new image is the bundle as it was edited."""
        shutil.rmtree(self.dir / "again", ignore_errors=True)
        self.keg("unpack", "new", self.dir / "again")
        self.assertEqual(self.tree(self.dir / "again" / "rootfs"), self.tree(self.rootfs))


class Repack(BundleCase):
    def test_nothing_changed_makes_no_layer(self):
        self.keg("repack", "-t", "new", self.bundle)
        self.assertEqual(self.layers("new"), self.layers("app"))
        self.assertEqual(self.config("new")["Config"]["Cmd"], ["sh"])
        self.assertEqual(self.keg("history", "--format", "{{.CreatedBy}} {{.Size}}", "new").stdout.splitlines()[0], "keg repack 0B")

    def test_what_was_added_changed_and_removed(self):
        (self.rootfs / "a/other").write_text("TWO\n")
        (self.rootfs / "new").mkdir(mode=0o700)
        (self.rootfs / "new/file").write_text("new\n")
        os.chown(self.rootfs / "new/file", 5, 6)
        shutil.rmtree(self.rootfs / "old")
        (self.rootfs / "a/link").unlink()
        (self.rootfs / "a/link").symlink_to("other")
        layer = self.repack()
        # One whiteout for all of /old; /a has another time since a name in it was made anew.
        self.assertEqual(list(layer), ["a", "a/link", "a/other", "new", "new/file", ".wh.old"])
        self.assertEqual((layer["new/file"].uid, layer["new/file"].gid, layer["new"].mode), (5, 6, 0o700))
        self.expect_round_trip()
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "new", "cat", "/a/link").stdout, "TWO\n")

    def test_what_looks_the_same_but_is_not(self):
        for change, path in ((lambda p: os.chmod(p, 0o600), "a/other"), (lambda p: os.chown(p, 1, 1), "a/fifo"),
                             (lambda p: os.setxattr(p, "user.mine", b"1"), "a/deep"),
                             (lambda p: os.utime(p, (1, 1)), "old/y"), (lambda p: os.chmod(p, 0o1777), "empty")):
            change(self.rootfs / path)
        # As long as before, with the time of before.
        info = os.stat(self.rootfs / "bin/busybox")
        with open(self.rootfs / "bin/busybox", "r+b") as file:
            file.seek(-1, 2)
            file.write(b"!")
        os.utime(self.rootfs / "bin/busybox", ns=(info.st_atime_ns, info.st_mtime_ns))
        self.assertTrue({"a/other", "a/fifo", "a/deep", "old/y", "empty", "bin/busybox"} <= set(self.repack()))
        self.expect_round_trip()

    def test_a_directory_becomes_a_file_and_a_file_a_directory(self):
        shutil.rmtree(self.rootfs / "old")
        (self.rootfs / "old").write_text("file now\n")
        (self.rootfs / "a/other").unlink()
        (self.rootfs / "a/other").mkdir()
        (self.rootfs / "a/other/in").write_text("in\n")
        self.assertEqual(list(self.repack()), ["a", "a/other", "a/other/in", "old"])
        self.expect_round_trip()

    def test_hard_links(self):
        os.link(self.rootfs / "a/other", self.rootfs / "joined")     # a file gets a second name,
        data = (self.rootfs / "a/file").read_bytes()                 # another loses one to a copy
        info = os.stat(self.rootfs / "a/file")
        (self.rootfs / "a/hard").unlink()
        (self.rootfs / "a/hard").write_bytes(data)
        os.utime(self.rootfs / "a/hard", ns=(info.st_atime_ns, info.st_mtime_ns))
        layer = self.repack()
        self.assertEqual((layer["joined"].type, layer["joined"].linkname), (tarfile.LNKTYPE, "a/other"))
        self.assertEqual({layer["a/other"].type, layer["a/file"].type, layer["a/hard"].type}, {tarfile.REGTYPE})
        self.expect_round_trip()

    def test_a_changed_file_keeps_its_names(self):
        (self.rootfs / "a/file").write_text("changed\n")
        layer = self.repack()
        self.assertEqual((list(layer), layer["a/hard"].linkname), (["a/file", "a/hard"], "a/file"))
        self.expect_round_trip()

    def test_what_a_container_may_have_left(self):
        """A rootfs is a stranger's: nothing in it is followed, opened or taken for what it says of itself."""
        (self.rootfs / "out").symlink_to("/etc/passwd")
        (self.rootfs / "a/deep").rename(self.rootfs / "moved")
        (self.rootfs / "a/deep").symlink_to(self.dir)
        os.mkfifo(self.rootfs / "a/pipe")
        os.mknod(self.rootfs / "zero", 0o600 | 0o020000, os.makedev(0, 0))   # overlayfs's whiteout
        os.setxattr(self.rootfs / "old", "trusted.overlay.opaque", b"y")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.rootfs / "socket"))
        layer = self.repack()
        self.assertEqual((layer["out"].linkname, layer["a/deep"].linkname), ("/etc/passwd", str(self.dir)))
        self.assertFalse({"zero", "socket", "old/.wh..wh..opq"} & set(layer))
        (self.rootfs / "zero").unlink()
        self.expect_round_trip()
        (self.rootfs / "a/.wh.x").write_text("")
        self.fails("repack", "-t", "more", self.bundle, says='"/a/.wh.x": a name that begins with .wh. cannot be in a layer')
        self.assertEqual(self.keg("images", "-q", "more").stdout, "")

    def test_the_same_tree_gives_the_same_image(self):
        (self.rootfs / "new").write_text("new\n")
        environment = dict(os.environ, SOURCE_DATE_EPOCH="1000000000")
        self.keg("repack", "-t", "one", self.bundle, env=environment)
        os.utime(self.rootfs / "new")
        self.keg("repack", "-t", "two", self.bundle, env=environment)
        self.assertEqual(self.image_id("one"), self.image_id("two"))
        self.assertEqual(self.newest_layer("one")["new"].mtime, 1000000000)
        self.assertEqual(self.config("one")["Created"], "2001-09-09T01:46:40Z")

    def test_again_and_again(self):
        (self.rootfs / "first").write_text("1\n")
        self.keg("repack", "-t", "one", "--refresh-bundle", "-a", "Ada", "-m", "why", "--created-by", "hand", self.bundle)
        self.assertEqual(self.config("one")["Author"], "Ada")
        self.assertEqual(self.keg("history", "--format", "{{.CreatedBy}}|{{.Comment}}", "one").stdout.splitlines()[0], "hand|why")
        (self.rootfs / "second").write_text("2\n")
        self.assertEqual(list(self.repack()), ["second"])
        self.assertEqual(self.layers("new")[:-1], self.layers("one"))
        self.expect_round_trip()

    def test_the_name_moves_and_the_old_image_stays(self):
        before = self.image_id("app")
        (self.rootfs / "new").write_text("new\n")
        made = self.keg("repack", "-t", "app", self.bundle).stdout.strip()
        self.assertEqual(self.image_id("app"), made)
        self.assertEqual(self.config(before)["Id"], before)

    def test_mistakes(self):
        self.fails("repack", self.dir, says="is no bundle of `keg unpack`: it has no keg.json")
        self.fails("repack", self.dir / "none", says="none")
        self.fails("repack", "-t", "New", self.bundle, says="New")
        self.fails("repack", says='"keg repack" requires')
        self.keg("rmi", "-f", "app")
        self.fails("repack", "-t", "new", self.bundle, says=f'the image that "{self.bundle}" was unpacked from is not in this store')
        (self.bundle / "keg.json").write_text("{")
        self.fails("repack", "-t", "new", self.bundle, says="keg.json")


class RepackOnPlainFiles(Repack):
    """The same where the kernel cannot mount indexes of layers."""

    plain_files = True


if __name__ == "__main__":
    unittest.main()
