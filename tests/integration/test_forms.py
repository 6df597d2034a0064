"""What a container sees does not depend on the form in which its layers lie on the disk: an index over their plain
tars, or plain files. The whole root is compared as `keg export` writes it: every name, every number, every byte."""
import io
import tarfile
import unittest

import keg
from archives import layered_archive, sha, tar_of


def entry(name, data=b"", type=None, **more):
    """A TarInfo with what it holds; `pax` are its extended records."""
    info = tarfile.TarInfo(name)
    info.type = type or (tarfile.REGTYPE if data is not None else tarfile.DIRTYPE)
    info.mode, info.mtime = (0o644 if info.type == tarfile.REGTYPE else 0o755), 1_000_000_000
    info.pax_headers = more.pop("pax", {})
    info.size = len(data or b"")
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def directory(name, **more):
    return entry(name, None, **more)


def link(name, target, **more):
    return entry(name, type=tarfile.LNKTYPE, linkname=target, **more)


def symlink(name, target, **more):
    return entry(name, type=tarfile.SYMTYPE, linkname=target, **more)


def layer(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data or b""))
    return out.getvalue()


def xattrs(**values):
    return {"SCHILY.xattr." + name.replace("__", "."): value for name, value in values.items()}


CAPABILITY = "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
STACKS = {
    "kinds of files": [[
        directory(".", mode=0o750, uid=7), directory("d", mode=0o1777, uid=1000, gid=70_000), entry("d/empty"),
        entry("d/file", b"x" * 100_000, mode=0o4755, uid=4_000_000_000, mtime=-5.25), symlink("d/link", "../no/where"),
        symlink("long", "a/" * 2000 + "b"), entry("pipe", type=tarfile.FIFOTYPE), link("d/hard", "d/file"),
        entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        entry("disk", type=tarfile.BLKTYPE, devmajor=300, devminor=70_000, gid=6)]],
    "attributes": [[
        entry("able", b"1", pax=xattrs(security__capability=CAPABILITY, user__one="1")),
        entry("same", b"2", pax=xattrs(user__one="1", user__two="2" * 500)),
        directory("d", pax=xattrs(user__of="directory")), entry("host's", b"3", pax=xattrs(security__selinux="label")),
        entry("overlay's", b"4", pax=xattrs(trusted__overlay__opaque="y"))],
        [directory("d", pax=xattrs(user__other="now"))], [entry("able", b"1")]],
    "times": [[entry(f"t{i}", mtime=mtime, pax={"mtime": str(mtime)}) for i, mtime in
               enumerate((0, 1.000000001, -0.5, 4_294_967_296, 9_000_000_000.999999999))]],
    "names": [[entry(name) for name in ("!", "-", "a" * 255, "ä", "b\nc", "\udcff\udcfe", "..a", "a b", "." + "c" * 90)],
              [directory("d" * 200), directory("/".join(["d" * 200] * 15)), entry("/".join(["d" * 200] * 15) + "/deep", b"!")]],
    "whiteouts": [
        [directory("d"), entry("d/a", b"a"), entry("d/b", b"b"), directory("d/e"), entry("d/e/f", b"f"), entry("g", b"g")],
        [directory("d"), entry("d/.wh.a"), entry("d/c", b"c"), entry(".wh.g"), entry("d/.wh.e")],
        [directory("d"), entry("d/a", b"again"), entry("d/.wh.none")],
        [directory("d"), entry("d/new", b"new"), entry("d/.wh..wh..opq")]],
    "a whiteout and what it names in one layer": [
        [directory("d"), entry("d/old", b"old"), entry("f", b"f")],
        [entry(".wh.d"), directory("d"), entry("d/young", b"young"), entry("f", b"own"), entry(".wh.f")]],
    "kinds that change": [
        [entry("a", b"file"), directory("b"), entry("b/in", b"in"), symlink("c", "b"), directory("d"), entry("d/in", b"d")],
        [directory("a"), entry("a/in", b"in"), entry("b", b"file"), directory("c"), entry("c/in", b"in"), symlink("d", "a")]],
    "by way of links": [[directory("usr"), directory("usr/bin"), symlink("bin", "usr/bin"), symlink("abs", "/usr")],
                        [entry("bin/tool", b"tool"), entry("abs/file", b"file"), entry("bin/.wh.none")], [entry("bin/.wh.tool")]],
    "the last of one name": [[entry("a", b"1"), entry("a", b"22"), directory("d", mode=0o700), entry("d/in", b"in"),
                              directory("d", mode=0o711, uid=5), link("l", "a"), entry("l", b"own")]],
    "nothing": [[]],
    "many": [[directory("d"), *(entry(f"d/{i:05}", str(i).encode() * (i % 700)) for i in range(5000))],
             [directory("d"), *(entry(f"d/.wh.{i:05}") for i in range(0, 5000, 3)),
              *(link(f"d/l{i}", "d/00001") for i in range(300))]],
}


LINKS = [[entry("low", b"low" * 3000), entry("other", b"other")], [link("high", "low"), link("third", "high")],
         [entry("low", b"changed"), link("other", "third")]]


@keg.needs_root
class Forms(keg.StoreCase):
    images = False

    def setUp(self):
        super().setUp()
        self.files = self.store_of_plain_files()

    def can_index(self, store):
        if (store / "layers/kernel").read_text().endswith("\nno indexes\n"):
            self.skipTest("this kernel, or the file system of the store, has no use for an index")

    def seen(self, store, layers):
        """The root of a container of these layers, as a tar."""
        archive = self.write("image.tar", layered_archive({"image:latest": layers}))
        keg.run(keg.KEG, "--root", store, "load", "-q", "-i", archive)
        keg.run(keg.KEG, "--root", store, "create", "--name", "look", "image")
        keg.run(keg.KEG, "--root", store, "export", "-o", self.dir / "root.tar", "look")
        keg.run(keg.KEG, "--root", store, "rm", "look")
        keg.run(keg.KEG, "--root", store, "rmi", "image")
        return (self.dir / "root.tar").read_bytes()

    def test_each_stack_looks_the_same_in_either_form(self):
        for name, stack in STACKS.items():
            with self.subTest(name):
                layers = [layer(*entries) for entries in stack]
                if not all(layers):
                    layers = [tar_of({})]
                indexed, plain = self.seen(self.store, layers), self.seen(self.files, layers)
                self.can_index(self.store)
                if indexed != plain:
                    with tarfile.open(fileobj=io.BytesIO(indexed)) as a, tarfile.open(fileobj=io.BytesIO(plain)) as b:
                        tell = lambda tar: {m.name: (m.get_info(), m.pax_headers) for m in tar}
                        self.assertEqual(tell(a), tell(b))
                self.assertEqual(sha(indexed), sha(plain))

    def test_a_link_to_a_lower_layer_is_one_file_in_an_index_and_a_copy_of_it_in_overlayfs(self):
        for store, type in ((self.store, tarfile.LNKTYPE), (self.files, tarfile.REGTYPE)):
            with tarfile.open(fileobj=io.BytesIO(self.seen(store, [layer(*entries) for entries in LINKS]))) as tar:
                self.can_index(self.store)
                self.assertEqual({name: tar.extractfile(name).read() for name in ("low", "high", "third", "other")},
                                 {"low": b"changed", **dict.fromkeys(("high", "third", "other"), b"low" * 3000)})
                self.assertEqual(tar.getmember("other").type, type)

    def test_a_store_has_the_form_that_its_kernel_can_use(self):
        image = layered_archive({"image:latest": [layer(entry("a", b"a")), layer(entry("b", b"b"))]})
        for store, index, diffs in ((self.store, 1, 0), (self.files, 0, 2)):
            keg.run(keg.KEG, "--root", store, "load", "-q", "-i", self.write("image.tar", image))
            self.can_index(self.store)
            self.assertEqual(len(list(store.glob("layers/sha256/*/index"))), index)
            self.assertEqual(len(list(store.glob("layers/sha256/*/diff"))), diffs)

    def test_what_was_indexed_under_another_kernel_is_unpacked(self):
        self.keg("load", "-q", "-i", self.write("image.tar", layered_archive({"image:latest": [layer(entry("a", b"a"))]})))
        self.can_index(self.store)
        self.keep_plain_files()
        self.keg("create", "--name", "look", "image")
        self.keg("export", "-o", self.dir / "root.tar", "look")
        with tarfile.open(self.dir / "root.tar") as tar:
            self.assertIn("a", tar.getnames())
        self.assertEqual(len(list(self.store.glob("layers/sha256/*/diff"))), 1)


if __name__ == "__main__":
    unittest.main()
