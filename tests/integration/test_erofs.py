"""Layers that are EROFS images: what a container sees is what the same layers are as tars, in either form of the store;
what keg writes others take; what is wrong with an image, or only odd, is refused before any of it is used."""
import io
import json
import os
import random
import shutil
import tarfile

import erofs
import keg
from archives import MANIFEST, sha, tar_of
from erofs import WHITEOUT, Node, opaque
from test_forms import CAPABILITY, directory, entry, layer, link, symlink, xattrs

TAR = "application/vnd.oci.image.layer.v1.tar"
EROFS = "application/vnd.erofs.layer.v1"


def archive(*layers, name="image:latest", feature=True):
    """An oci-archive of one image; of each layer its bytes and its type."""
    config = json.dumps({"architecture": "amd64", "os": "linux", **({"os.features": ["erofs"]} if feature else {}), "config": {"Cmd": ["/hello"]},
                         "history": [{"created_by": kind} for _, kind in layers],
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(data) for data, _ in layers]}}).encode()
    describe = lambda data, kind: {"mediaType": kind, "digest": "sha256:" + sha(data), "size": len(data)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": describe(config, "application/vnd.oci.image.config.v1+json"),
                           "layers": [describe(*each) for each in layers]}).encode()
    index = {"schemaVersion": 2, "manifests": [describe(manifest, MANIFEST) | {"annotations": {"io.containerd.image.name": "docker.io/library/" + name}}]}
    blobs = [config, manifest, *(data for data, _ in layers)]
    return tar_of({"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode(),
                   **{"blobs/sha256/" + sha(data): data for data in blobs}})


def taken(tar):
    """The members of a tar with all that is said of them."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {member.name: (member.get_info(), member.pax_headers, member.isreg() and sha(opened.extractfile(member).read()))
                for member in opened}


class Case(keg.StoreCase):
    images = False

    def setUp(self):
        super().setUp()
        self.files = self.store_of_plain_files()
        self.stores = (self.store, self.files)

    def load(self, *layers, store=None, **how):
        keg.run(keg.KEG, "--root", store or self.store, "load", "-q", "-i", self.write("image.tar", archive(*layers, **how)))

    def exported(self, store, image="image"):
        keg.run(keg.KEG, "--root", store, "create", "--name", "look", image)
        keg.run(keg.KEG, "--root", store, "export", "-o", self.dir / "root.tar", "look")
        keg.run(keg.KEG, "--root", store, "rm", "look")
        return (self.dir / "root.tar").read_bytes()

    def seen(self, store, layers):
        self.load(*layers, store=store)
        tar = self.exported(store)
        keg.run(keg.KEG, "--root", store, "rmi", "image")
        return tar

    def same(self, images, tars):
        """In both forms of a store these layers are what those are."""
        for store in self.stores:
            should_be = self.seen(store, [(tar, TAR) for tar in tars])
            is_ = self.seen(store, [(data, TAR if data in tars else EROFS) for data in images])
            if is_ != should_be:
                self.assertEqual(taken(is_), taken(should_be))
            self.assertEqual(sha(is_), sha(should_be))

    def mkfs(self, *words):
        made = keg.run("mkfs.erofs", *words, check=False)
        if made.returncode:
            self.skipTest(f"this mkfs.erofs cannot do that: {made.stderr}")


@keg.needs_root
class Read(Case):
    def test_kinds_of_files_attributes_and_links(self):
        linked = Node(b"x" * 5000, uid=1000)
        image = erofs.image({"a": linked, "b": linked, "d": {"empty": b"", "small": b"hi", "to": "../a"},
                             "able": Node(b"1", xattrs={"security.capability": CAPABILITY.encode("latin-1"), "user.one": b"1"}),
                             "many": {f"{i:04}": str(i).encode() for i in range(700)}}, mode=0o711)
        times = {"mtime": 1_000_000_000}
        tar = layer(directory(".", mode=0o711), entry("a", b"x" * 5000, uid=1000), link("b", "a", uid=1000),
                    directory("d"), entry("d/empty"), entry("d/small", b"hi"), symlink("d/to", "../a", **times),
                    entry("able", b"1", pax=xattrs(security__capability=CAPABILITY, user__one="1")),
                    directory("many"), *(entry(f"many/{i:04}", str(i).encode()) for i in range(700)))
        self.same([image], [tar])

    def test_whiteouts_and_opaque_directories_on_tars_and_on_images(self):
        base = layer(directory("."), directory("d"), entry("d/a", b"a"), entry("d/b", b"b"), directory("o"), entry("o/old", b"old"), entry("f", b"f"),
                     directory("t"), entry("t/in", b"in"))
        base_image = erofs.image({"d": {"a": b"a", "b": b"b"}, "o": {"old": b"old"}, "f": b"f", "t": {"in": b"in"}})
        top = layer(directory("."), directory("d"), entry("d/.wh.a"), entry("d/c", b"c"), directory("o"), entry("o/.wh..wh..opq"), entry("o/new", b"new"),
                    entry(".wh.f"), entry("t", b"file"))
        top_image = erofs.image({"d": {"a": WHITEOUT, "c": b"c"}, "o": opaque({"new": b"new"}), "f": WHITEOUT, "t": b"file"})
        for images in ([base, top_image], [base_image, top_image], [base_image, top]):
            self.same(images, [base, top])

    def test_a_container_runs_on_one_and_an_ordinary_bundle_is_made_of_it(self):
        keg.make_busybox_root(self.dir / "busybox")
        root = {}
        for path in sorted((self.dir / "busybox").rglob("*")):
            at = root
            for part in path.relative_to(self.dir / "busybox").parts[:-1]:
                at = at.setdefault(part, {})
            if not path.is_dir():
                at[path.name] = os.readlink(path) if path.is_symlink() else Node(path.read_bytes(), mode=0o755)
            else:
                at.setdefault(path.name, {})
        self.load((erofs.image(root), EROFS))
        self.assertEqual(self.keg("run", "--rm", "image", "echo", "from an image").stdout, "from an image\n")
        self.keg("unpack", "image", self.dir / "bundle")
        self.assertEqual((self.dir / "bundle/rootfs/bin/busybox").read_bytes(), (self.dir / "busybox/bin/busybox").read_bytes())
        self.assertIn(EROFS, self.keg("history", "--no-trunc", "image").stdout)
        self.keg("system", "check")

    def test_the_kernel_is_given_an_index_of_kegs_and_never_the_image(self):
        image = erofs.image({"a": b"x" * 5000})
        self.load((image, EROFS))
        if (self.store / "layers/kernel").read_text().endswith("\nno indexes\n"):
            self.skipTest("this kernel, or the file system of the store, has no use for an index")
        [index] = self.store.glob("layers/sha256/*/index")
        self.assertNotIn(b"xxxx", index.read_bytes())
        self.assertEqual(list(self.store.glob("layers/sha256/*/diff")), [])

    def test_both_names_of_the_type(self):
        self.load((erofs.image({"a": b"a"}), "application/vnd.erofs"))
        self.assertIn("a", taken(self.exported(self.store)))

    @keg.needs("mkfs.erofs")
    def test_images_of_mkfs_in_all_its_forms(self):
        tree = self.dir / "tree"
        (tree / "d/deep" ).mkdir(parents=True)
        for i in range(300):
            (tree / f"d/{i:03}").write_bytes(str(i).encode() * (i * 7))
        os.link(tree / "d/007", tree / "again")
        (tree / "link").symlink_to("d/deep/" * 40)
        os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
        os.mkfifo(tree / "pipe")
        os.setxattr(tree / "d/001", "user.one", b"1" * 200)
        os.setxattr(tree / "d/002", "user.one", b"1" * 200)
        os.setxattr(tree / "d", "trusted.d", b"d")
        with open(tree / "holes", "wb") as file:
            file.truncate(1 << 20)
            file.seek(1 << 19)
            file.write(b"y" * 4096)
        os.chown(tree / "d/003", 70_000, 70_001)
        os.chmod(tree / "d/004", 0o4755)
        for path in [tree, *tree.rglob("*")]:
            os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
        keg.run("tar", "-C", tree, "--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--pax-option=delete=atime,delete=ctime",
                "-cf", self.dir / "tree.tar", ".")
        for words in ([], ["-Enoinline_data"], ["-b512"], ["-b1024"], ["--chunksize=4096"], ["--chunksize=65536"], ["-x1"], ["-Eforce-inode-compact"],
                      ["-Eforce-inode-extended"], ["-Eforce-chunk-indexes", "--chunksize=4096"], ["-Exattr-name-filter"]):
            with self.subTest(words):
                self.mkfs(*words, self.dir / "tree.erofs", tree)
                self.same([(self.dir / "tree.erofs").read_bytes()], [(self.dir / "tree.tar").read_bytes()])
        for words, says in ((["-zlz4"], "compressed"), (["-zlz4", "-Efragments"], "compressed"), (["-zlz4", "-Eztailpacking"], "compressed")):
            with self.subTest(words):
                self.mkfs(*words, self.dir / "tree.erofs", tree)
                for store in self.stores:
                    self.store = store
                    self.fails("load", "-i", self.write("image.tar", archive(((self.dir / "tree.erofs").read_bytes(), EROFS))), says=["EROFS image: ", says])

    @keg.needs("mkfs.erofs")
    def test_images_as_containerd_makes_them_of_tars(self):
        tars = [layer(directory("."), directory("d"), entry("d/a", b"a" * 5000), entry("d/b", b"b"), directory("e"), entry("e/old", b"old"), entry("g", b"g")),
                layer(directory("."), directory("d"), entry("d/.wh.a"), entry("d/c", b"c" * 9000), link("d/c2", "d/c"), entry(".wh.g")),
                layer(directory("."), directory("e"), entry("e/.wh..wh..opq"), entry("e/new", b"new"))]
        images = []
        for tar in tars:
            made = self.dir / "made.erofs"
            self.mkfs("--tar=f", "--aufs", "-Enoinline_data", "-b4096", made, self.write("layer.tar", tar))
            images.append(made.read_bytes())
        self.same(images, tars)
        self.same([tars[0], images[1], tars[2]], tars)


@keg.needs_root
class Refused(Case):
    def refused(self, data, kind=EROFS, says=()):
        for store in self.stores:
            self.store = store
            result = self.fails("load", "-i", self.write("image.tar", archive((data, kind))), says=says)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertEqual(self.keg("images", "-q").stdout, "")

    def test_a_tar_that_is_called_an_image_and_an_image_that_is_called_a_tar(self):
        self.refused(layer(entry("a", b"a")), says="layer sha256:")
        self.refused(erofs.image({"a": b"a"}), TAR, says="EROFS image")

    def test_what_an_image_must_not_have(self):
        cases = {"it is compressed": dict(super={"incompatible": 2}), "in other images": dict(super={"incompatible": 8, "devices": 1}),
                 "features that are not known": dict(super={"incompatible": 0x40})}
        for says, how in cases.items():
            self.refused(erofs.image({"a": b"a"}, **how), says=["EROFS image: ", says])
        for says, content in {'".wh.a": a name that begins so is a mark': {".wh.a": b""},
                              "trusted.overlay.redirect": {"d": Node({}, xattrs={"trusted.overlay.redirect": b"/x"})},
                              "trusted.overlay.metacopy": {"f": Node(b"", xattrs={"trusted.overlay.metacopy": b""})}}.items():
            self.refused(erofs.image(content), says=["EROFS image: ", says])

    def test_an_image_that_needs_others(self):
        data = archive((erofs.image({"a": b"a"}), EROFS))
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            files = {member.name: tar.extractfile(member).read() for member in tar}
        index = json.loads(files["index.json"])
        manifest = json.loads(files["blobs/sha256/" + index["manifests"][0]["digest"][7:]])
        manifest["layers"][0]["annotations"] = {"org.erofs.role": "overlay-data"}
        text = json.dumps(manifest).encode()
        index["manifests"][0] |= {"digest": "sha256:" + sha(text), "size": len(text)}
        files |= {"index.json": json.dumps(index).encode(), "blobs/sha256/" + sha(text): text}
        self.fails("load", "-i", self.write("image.tar", tar_of(files)), says='layers[0]: org.erofs.role is "overlay-data"')

    def test_a_damaged_image_ends_in_one_error_or_is_read(self):
        whole = erofs.image({"a": b"x" * 5000, "d": {f"{i}": str(i).encode() for i in range(50)}, "l": "a" * 100,
                             "x": Node(b"", xattrs={"user.a": b"v" * 50}), "w": WHITEOUT, "o": opaque({"n": b""})})
        dice = random.Random(5)
        for i in range(keg.rounds(60)):
            bytes_ = bytearray(whole)
            for _ in range(dice.randint(1, 6)):
                bytes_[dice.randrange(1024, 12000)] ^= 1 << dice.randrange(8)
            path = self.write("image.tar", archive((bytes(bytes_), EROFS)))
            for store in self.stores:
                with self.subTest(i):
                    result = keg.run(keg.KEG, "--root", store, "load", "-q", "-i", path, check=False)
                    self.assertIn(result.returncode, (0, 1), result.stderr)
                    if result.returncode:
                        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                    keg.run(keg.KEG, "--root", store, "rmi", "-f", "image", check=False)


@keg.needs_root
class Written(Case):
    STACK = [layer(directory(".", mode=0o750), directory("usr"), directory("usr/bin", mode=0o711), entry("usr/bin/a", b"a" * 5000), symlink("bin", "usr/bin"),
                   entry("low", b"low" * 3000), entry("g", b"g"), directory("d"), entry("d/old", b"old")),
             layer(entry("bin/b", b"b"), link("high", "low"), entry(".wh.g"), entry("d/.wh..wh..opq"), entry("d/new", b"new"),
                   entry("able", b"1", pax=xattrs(security__capability=CAPABILITY)))]

    def blobs(self, kind):
        """Of the image `new`, whose layers are of that type."""
        index = json.loads((self.store / "index.json").read_text())
        name = "org.opencontainers.image.ref.name"
        top = next(each for each in index["manifests"] if each.get("annotations", {}).get(name, "").endswith("new:latest"))
        manifest = json.loads((self.store / "blobs/sha256" / top["digest"][7:]).read_text())
        self.assertEqual({each["mediaType"] for each in manifest["layers"]}, {kind})
        config = json.loads((self.store / "blobs/sha256" / manifest["config"]["digest"][7:]).read_text())
        self.assertEqual(config["os.features"], ["erofs"])
        return [self.store / "blobs/sha256" / id_[7:] for id_ in config["rootfs"]["diff_ids"]]

    def test_an_image_with_other_layers_is_the_same_to_a_container(self):
        self.load(*((tar, TAR) for tar in self.STACK), feature=False)
        for form in ("erofs", "erofs+zstd"):
            with self.subTest(form):
                self.keg("convert", "--layers", form, "-t", "new", "image")
                is_, should_be = taken(self.exported(self.store, "new")), taken(self.exported(self.store))
                for tree in (is_, should_be):      # a link to a lower layer's file is a file of its own in an image
                    for name in ("high", "low"):
                        tree[name] = None
                self.assertEqual(is_, should_be)
                for blob in self.blobs(EROFS + form[5:]):
                    if shutil.which("fsck.erofs") and blob.exists():
                        keg.run("fsck.erofs", blob)

    def test_the_same_image_gives_the_same_layers(self):
        self.load(*((tar, TAR) for tar in self.STACK), feature=False)
        ids = [self.keg("convert", "-t", "new", "image").stdout for _ in range(2)]
        self.assertEqual(ids[0], ids[1])
        again = self.keg("convert", "-t", "again", "new").stdout
        self.assertEqual(again, ids[0])

    def test_it_is_saved_in_a_layout_that_others_read_as_what_it_is(self):
        self.load(*((tar, TAR) for tar in self.STACK), feature=False)
        for form in ("erofs", "erofs+zstd"):
            self.keg("convert", "--layers", form, "-t", "new", "image")
            for format in ("docker-archive", "oci-archive"):
                with self.subTest((form, format)):
                    self.keg("save", "-f", format, "-o", self.dir / "new.tar", "new")
                    with tarfile.open(self.dir / "new.tar") as tar:
                        self.assertNotIn("manifest.json", tar.getnames())
                    report = json.loads(keg.run(keg.KEG, "validate", "--format", "json", self.dir / "new.tar", check=False).stdout)
                    self.assertEqual(report["findings"], [])
                    other = self.dir / f"other-{form}-{format}"
                    keg.run(keg.KEG, "--root", other, "load", "-q", "-i", self.dir / "new.tar")
                    self.assertEqual(taken(self.exported(other, "new")), taken(self.exported(self.store, "new")))

    def test_a_layer_of_a_file_that_is_an_image(self):
        self.load((self.STACK[0], TAR), feature=False)
        self.keg("add-layer", "-t", "new", "image", self.write("layer.erofs", erofs.image({"own": b"own", "g": WHITEOUT})))
        tree = taken(self.exported(self.store, "new"))
        self.assertIn("own", tree)
        self.assertNotIn("g", tree)
        self.fails("add-layer", "-t", "new", "image", self.write("layer.erofs", erofs.image({"a": b""}, super={"incompatible": 2})), says="it is compressed")

    def test_a_form_that_is_none(self):
        self.load((self.STACK[0], TAR), feature=False)
        self.fails("convert", "--layers", "squashfs", "image", says='unknown form of layers "squashfs"')

