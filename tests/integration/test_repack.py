"""Images made of images: `keg repack`, of a bundle that was edited, with a layer of what was edited and no more; `insert`,
`add-layer` and `config`."""
import gzip
import hashlib
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
        return self.top_layer("new")

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

    def test_what_the_root_itself_looks_like(self):
        os.setxattr(self.rootfs, "user.mine", b"1")
        self.assertEqual(set(self.repack("--refresh-bundle")), {"."})
        self.expect_round_trip()
        os.removexattr(self.rootfs, "user.mine")
        os.chmod(self.rootfs, 0o711)
        self.assertEqual(self.repack()["."].mode, 0o711)
        self.expect_round_trip()
        self.assertEqual(os.listxattr(self.dir / "again/rootfs"), [])
        self.assertEqual(os.stat(self.dir / "again/rootfs").st_mode & 0o777, 0o711)

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
        self.assertEqual(self.top_layer("one")["new"].mtime, 1000000000)
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


class Maps(BundleCase):
    """Files of other users of the host, for a container that has users of its own."""

    ids = ("--uid-map", "0:200000:1000", "--uid-map", "1000:300000", "--gid-map", "0:400000:1001")

    def setUp(self):
        super().setUp()
        os.chown(self.rootfs / "a/file", 1000, 8)
        self.keg("repack", "-t", "app", "--refresh-bundle", self.bundle)
        shutil.rmtree(self.bundle)
        self.keg("unpack", *self.ids, "app", self.bundle)

    def owner(self, name):
        info = (self.rootfs / name).lstat()
        return info.st_uid, info.st_gid

    def test_files_are_the_hosts_users_and_packed_again_those_of_the_image(self):
        self.assertEqual((self.owner("."), self.owner("a/link"), self.owner("a/null")), ((200000, 400000),) * 3)
        self.assertEqual((self.owner("a/file"), self.owner("a/hard")), ((300000, 400008),) * 2)
        self.keg("repack", "-t", "same", self.bundle)
        self.assertEqual(self.layers("same"), self.layers("app"))
        (self.rootfs / "new").touch()
        os.chown(self.rootfs / "new", 200005, 400006)
        layer = self.repack()
        self.assertEqual({name: (member.uid, member.gid) for name, member in layer.items()}, {"new": (5, 6)})

    def test_the_container_has_a_user_namespace_with_them(self):
        config = json.loads((self.bundle / "config.json").read_text())
        self.assertEqual(config["linux"]["uidMappings"], [{"containerID": 0, "hostID": 200000, "size": 1000}, {"containerID": 1000, "hostID": 300000, "size": 1}])
        config["process"].update(terminal=False, args=["stat", "-c", "%u:%g", "/a/file", "/a/other"])
        (self.bundle / "config.json").write_text(json.dumps(config))
        self.dir.chmod(0o755)
        ran = keg.run(keg.RUNTIME, "--root", self.dir / "state", "run", "-b", self.bundle, "one")
        self.assertEqual(ran.stdout, "1000:8\n0:0\n")

    def test_who_is_in_no_map_is_named(self):
        (self.rootfs / "stray").touch()
        self.fails("repack", "-t", "new", self.bundle, code=1, says=('"stray"', "the host's user 0"))
        self.fails("unpack", "--uid-map", "0:200000:1000", "--gid-map", "0:400000:5", "app", self.dir / "other", code=1, says=('"a/file"', "the user 1000"))
        self.assertFalse((self.dir / "other").exists())

    def test_mistakes(self):
        for wrong in ("0", "0:1:2:3", "a:b:c", "0:1:0", "0:1:4294967295", "-1:0:5"):
            self.fails("unpack", "--uid-map", wrong, "--gid-map", "0:0:1", "app", self.dir / "other", code=1, says=("--uid-map", wrong))
        self.fails("unpack", "--uid-map", "0:0:1", "app", self.dir / "other", code=1, says="belong together")
        self.fails("unpack", "--rootless", *self.ids, "app", self.dir / "other", code=1, says="--rootless")

    def test_rootless_for_root(self):
        other = self.dir / "other"
        self.keg("unpack", "--rootless", "app", other)
        self.assertEqual({(info.st_uid, info.st_gid) for info in (path.lstat() for path in (other / "rootfs").rglob("*"))}, {(0, 0)})
        self.assertEqual(os.getxattr(other / "rootfs/a/file", "user.rootlesscontainers"), b"\x08\xe8\x07\x10\x08")
        self.keg("repack", "-t", "same", other)
        self.assertEqual(self.layers("same"), self.layers("app"))


class Insert(BundleCase):
    def unpacked(self, name):
        shutil.rmtree(self.dir / "again", ignore_errors=True)
        self.keg("unpack", name, self.dir / "again")
        return self.dir / "again" / "rootfs"

    def test_a_file_and_a_directory_that_is_merged(self):
        self.write("file", b"hi\n").chmod(0o750)
        (self.dir / "more").mkdir()
        (self.dir / "more/in").symlink_to("/etc/passwd")
        before = self.image_id("app")
        self.keg("insert", "app", self.dir / "file", "/usr/local/bin/tool")
        self.assertEqual({name: member.mode for name, member in self.top_layer("app").items()}, {"usr/local/bin/tool": 0o750})
        self.assertEqual(self.config(before)["Id"], before)
        self.keg("insert", "-t", "new", "app", self.dir / "more", "old")
        rootfs = self.unpacked("new")
        self.assertEqual((rootfs / "usr/local/bin/tool").read_text(), "hi\n")
        self.assertEqual((os.readlink(rootfs / "old/in"), sorted(os.listdir(rootfs / "old"))), ("/etc/passwd", ["in", "sub", "y"]))
        self.assertEqual(self.keg("history", "--format", "{{.CreatedBy}}", "new").stdout.splitlines()[:2], ["keg insert"] * 2)

    def test_a_directory_in_place_of_another(self):
        (self.dir / "more").mkdir()
        self.write("more/in", b"in\n")
        self.keg("insert", "--opaque", "-t", "new", "app", self.dir / "more", "/old/")
        self.assertEqual(list(self.top_layer("new")), ["old", "old/.wh..wh..opq", "old/in"])
        self.assertEqual(os.listdir(self.unpacked("new") / "old"), ["in"])

    def test_what_is_taken_away(self):
        self.keg("insert", "--whiteout", "-t", "new", "app", "/a/../old")
        self.assertEqual(list(self.top_layer("new")), [".wh.old"])
        self.assertFalse((self.unpacked("new") / "old").exists())

    def test_the_same_source_gives_the_same_layer(self):
        file = self.write("file", b"hi\n")
        environment = dict(os.environ, SOURCE_DATE_EPOCH="1000000000")
        self.keg("insert", "-t", "one", "app", file, "/x", env=environment)
        os.utime(file)
        self.keg("insert", "-t", "two", "app", file, "/x", env=environment)
        self.assertEqual(self.image_id("one"), self.image_id("two"))

    def test_mistakes(self):
        file = self.write("file", b"hi\n")
        os.mknod(self.dir / "mark", 0o600 | 0o020000, os.makedev(0, 0))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.dir / "socket"))
        for words, says in ((("app", self.dir / "none", "/x"), "none"), (("none", file, "/x"), "No such image: none"),
                            (("app", file), "insert takes IMAGE SOURCE TARGET"), (("--whiteout", "app", file, "/x"), "--whiteout takes"),
                            (("--opaque", "app", file, "/x"), "is not a directory"), (("app", file, "/"), "it cannot be /"),
                            (("app", file, "/a/.wh.x"), "begins with .wh."), (("--whiteout", "app", "/"), "cannot be taken away"),
                            (("--whiteout", "--opaque", "app", "/x"), "conflicting options"),
                            (("app", self.dir / "socket", "/x"), "is a socket: it cannot be in a layer"),
                            (("app", self.dir / "mark", "/x"), "is a device 0:0: it cannot be in a layer")):
            with self.subTest(words=words):
                self.fails("insert", "-t", "new", *words, says=says)
        self.assertEqual(self.keg("images", "-q", "new").stdout, "")


class AddLayer(BundleCase):
    def test_a_tar_as_it_is_compressed_or_not(self):
        with tarfile.open(self.dir / "layer.tar", "w") as tar:
            for name in ("new", ".wh.old"):
                tar.addfile(tarfile.TarInfo(name))
        data = (self.dir / "layer.tar").read_bytes()
        self.keg("add-layer", "-t", "one", "app", self.dir / "layer.tar")
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.assertEqual(self.layers("one"), self.layers("app") + [digest])
        self.keg("add-layer", "-t", "two", "app", self.write("layer.tar.gz", gzip.compress(data)))
        self.assertEqual(self.layers("two"), self.layers("one"))
        shown = self.keg("run", "--rm", "--network", "none", "two", "sh", "-c", "ls -d /new /old 2>/dev/null", check=False).stdout
        self.assertEqual(shown, "/new\n")

    def test_what_is_no_layer(self):
        whole = (self.dir / "busybox.tar").read_bytes()
        for name, data in (("text", b"text\n" * 200), ("half", whole[:len(whole) // 2]), ("empty", b"")):
            with self.subTest(name):
                self.fails("add-layer", "-t", "new", "app", self.write(name, data), says=str(self.dir / name))
        self.fails("add-layer", "-t", "new", "app", self.dir / "none", says="none")
        self.assertEqual(self.keg("images", "-q", "new").stdout, "")


class Conversion(BundleCase):
    """What a bundle takes from its image (image-spec, conversion.md)."""

    def unpacked(self, *words):
        self.keg("config", "-t", "told", *words, "app")
        shutil.rmtree(self.bundle)
        self.keg("unpack", "told", self.bundle)
        return json.loads((self.bundle / "config.json").read_text())

    def test_a_volume_is_a_mount_of_its_own_and_what_is_written_there_is_in_no_image(self):
        config = self.unpacked("--volume", "/data", "--volume", "/var/lib/../db")
        places = {mount["destination"]: mount["type"] for mount in config["mounts"]}
        self.assertEqual((places["/data"], places["/var/db"]), ("tmpfs", "tmpfs"))
        config["process"].update(terminal=False, args=["sh", "-c", "echo x > /data/x; echo y > /y"])
        (self.bundle / "config.json").write_text(json.dumps(config))
        keg.run(keg.RUNTIME, "--root", self.dir / "state", "run", "-b", self.bundle, "one")
        layer = self.repack()
        self.assertIn("y", layer)
        self.assertNotIn("data/x", layer)

    def test_the_home_is_the_users_unless_the_image_has_another(self):
        self.assertIn("HOME=/root", self.unpacked("--user", "0")["process"]["env"])
        env = self.unpacked("--user", "0", "--env", "HOME=/elsewhere")["process"]["env"]
        self.assertEqual([word for word in env if word.startswith("HOME=")], ["HOME=/elsewhere"])


class Config(BundleCase):
    def test_every_setting(self):
        self.keg("config", "-t", "new", "--entrypoint", "/bin/sh", "--entrypoint=-c", "--cmd", "id", "-e", "A=1", "-e", "B=x=y", "-l", "k=v",
                 "--expose", "80", "--expose", "53/udp", "-v", "/data", "--annotation", "org.example=yes", "-u", "5:6", "-w", "/tmp",
                 "--stop-signal", "INT", "--created", "2020-02-02T02:02:02Z", "-a", "Ada", "--architecture", "riscv64", "--os", "linux", "app")
        self.keg("save", "-f", "oci-archive", "-o", self.dir / "new.tar", "new")
        with tarfile.open(self.dir / "new.tar") as tar:
            blob = lambda digest: json.load(tar.extractfile("blobs/sha256/" + digest.split(":")[1]))
            manifest = blob(json.load(tar.extractfile("index.json"))["manifests"][0]["digest"])
            config = blob(manifest["config"]["digest"])
        inside = config["config"]
        self.assertEqual((inside["Entrypoint"], inside["Cmd"]), (["/bin/sh", "-c"], ["id"]))
        self.assertTrue({"A=1", "B=x=y"} <= set(inside["Env"]))
        self.assertEqual((inside["Labels"], sorted(inside["ExposedPorts"]), list(inside["Volumes"])), ({"k": "v"}, ["53/udp", "80/tcp"], ["/data"]))
        self.assertEqual((inside["User"], inside["WorkingDir"], inside["StopSignal"]), ("5:6", "/tmp", "INT"))
        self.assertEqual((config["created"], config["author"], config["architecture"]), ("2020-02-02T02:02:02Z", "Ada", "riscv64"))
        self.assertEqual(manifest["annotations"]["org.example"], "yes")
        self.assertEqual(config["history"][-1] | {"created": ""},
                         {"created": "", "author": "Ada", "created_by": "keg config", "empty_layer": True})
        self.assertEqual(config["rootfs"]["diff_ids"], self.layers("app"))

    def test_lists_are_added_to_unless_they_are_cleared(self):
        self.keg("config", "-e", "A=1", "-e", "B=1", "-l", "a=1", "app")
        self.keg("config", "-e", "B=2", "app")
        self.assertTrue({"A=1", "B=2"} <= set(self.config("app")["Config"]["Env"]))
        self.keg("config", "--clear", "env", "-e", "C=3", "--clear", "label", "--clear", "cmd", "--no-history", "app")
        config = self.config("app")["Config"]
        self.assertEqual((config["Env"], config.get("Labels") or {}, config.get("Cmd")), (["C=3"], {}, None))
        self.assertEqual(self.keg("history", "--format", "{{.CreatedBy}}", "app").stdout.count("keg config"), 2)

    def test_an_image_by_its_id_gives_no_name_away(self):
        before = self.image_id("app")
        made = self.keg("config", "-l", "a=1", before).stdout.strip()
        self.assertEqual(self.image_id("app"), before)
        self.assertEqual(self.config(made)["Config"]["Labels"], {"a": "1"})

    def test_mistakes(self):
        before = self.image_id("app")
        for words, says in ((("--label", "x"), '--label: "x" is not of the form NAME=VALUE'), (("--env", "x"), "--env: "),
                            (("--expose", "x"), "--expose: "), (("--volume", "/a:/b"), "--volume: "), (("--workdir", "a"), "is not absolute"),
                            (("--stop-signal", "X"), "--stop-signal: "), (("--created", "now"), "--created: "),
                            (("--architecture", ""), "--architecture: must not be empty"), (("--os", "a b"), '--os: "a b" is no word of a platform'),
                            (("--clear", "user"), "--clear user: is none of entrypoint, cmd, env"), (("--tag", "New"), "New")):
            with self.subTest(words=words):
                self.fails("config", *words, "app", says=says)
        self.assertEqual(self.image_id("app"), before)


if __name__ == "__main__":
    unittest.main()
