"""keg build --output: the image, or its files, where they are wanted, and what is written about it."""
import hashlib
import json
import os
import pty
import stat
import subprocess
import tarfile

from archives import files_of
from keg import KEG, needs, needs_root, run
from test_registry import RegistryCase

GZIP, ZSTD, PLAIN = ("application/vnd.oci.image.layer.v1.tar" + kind for kind in ("+gzip", "+zstd", ""))


@needs_root
class Outputs(RegistryCase):
    def setUp(self):
        super().setUp()
        self.context = self.dir / "context"
        self.context.mkdir()
        (self.context / "Dockerfile").write_text("FROM scratch\nCOPY --chown=7:8 f /a/f\nCOPY . /b/\n")
        (self.context / "f").write_text("1")
        (self.context / "f").chmod(0o751)
        (self.context / "link").symlink_to("f")

    def build(self, *options, **more):
        return self.keg("build", *options, self.context, **more)

    def out(self, name):
        return self.dir / "out" / name

    def archive(self, name):
        """An archive's index.json, the first manifest, and its blobs."""
        with tarfile.open(name) as archive:
            files = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}
        index = json.loads(files["index.json"])
        return index, json.loads(files["blobs/sha256/" + index["manifests"][0]["digest"].split(":")[1]]), files

    def types(self, manifest):
        return {layer["mediaType"] for layer in manifest["layers"]}

    def test_its_files_are_put_into_a_directory(self):
        tree = self.dir / "tree"
        (tree / "a").mkdir(parents=True)
        (tree / "a/kept").write_text("x")
        (tree / "b").symlink_to(self.dir / "outside")
        self.build("-o", tree)
        self.assertEqual(sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*")),
                         ["a", "a/f", "a/kept", "b", "b/Dockerfile", "b/f", "b/link"])
        about = (tree / "a/f").lstat()
        self.assertEqual((stat.S_IMODE(about.st_mode), about.st_uid, (tree / "a/f").read_text(), os.readlink(tree / "b/link")), (0o751, os.getuid(), "1", "f"))
        self.assertFalse((self.dir / "outside").exists())
        self.assertEqual(self.keg("images", "-qa").stdout, "")   # nobody asked for an image
        self.keg("system", "check")

    def test_its_files_are_a_tar_in_a_file_or_on_standard_output(self):
        self.build("-o", f"type=tar,dest={self.dir}/tree.tar")
        with open(self.dir / "piped.tar", "wb") as piped:
            subprocess.run([KEG, "--root", self.store, "build", "-q", "-o", "-", self.context], stdout=piped, stderr=subprocess.DEVNULL, check=True)
        self.assertEqual((self.dir / "tree.tar").read_bytes(), (self.dir / "piped.tar").read_bytes())
        with tarfile.open(self.dir / "tree.tar") as tree:
            owners = {member.name: (member.uid, member.gid) for member in tree}
        self.assertEqual(owners, {"a": (7, 8), "a/f": (7, 8), "b": (0, 0), "b/Dockerfile": (0, 0), "b/f": (0, 0), "b/link": (0, 0)})

    def test_an_image_without_a_layer_has_no_files(self):
        (self.context / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
        self.build("-o", self.dir / "empty", "-o", f"type=tar,dest={self.dir}/empty.tar")
        self.assertEqual(list((self.dir / "empty").iterdir()), [])
        with tarfile.open(self.dir / "empty.tar") as tree:
            self.assertEqual(tree.getnames(), [])

    def test_an_oci_archive_has_gzip_layers_unless_others_are_asked_for(self):
        for fields, kind in (("", GZIP), (",compression=gzip,compression-level=9", GZIP), (",compression=zstd", ZSTD), (",compression=uncompressed", PLAIN)):
            with self.subTest(fields):
                self.build("-t", "app:1", "-o", f"type=oci,dest={self.dir}/a.tar{fields}")
                index, manifest, files = self.archive(self.dir / "a.tar")
                self.assertEqual(self.types(manifest), {kind})
                self.assertEqual(index["manifests"][0]["annotations"]["io.containerd.image.name"], "docker.io/library/app:1")
                for name, data in files.items():
                    if name.startswith("blobs/sha256/"):
                        self.assertEqual(hashlib.sha256(data).hexdigest(), name[13:])
                self.keg("load", "-i", self.dir / "a.tar")
                self.keg("rmi", "app:1")

    def test_a_layout_is_a_directory(self):
        self.build("-t", "app:1", "-t", "app:2", "-o", f"type=oci,tar=false,dest={self.dir}/layout", "--load")
        index = json.loads((self.dir / "layout/index.json").read_text())
        self.assertEqual([entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]], ["1", "2"])
        self.keg("copy", "-q", f"oci:{self.dir}/layout:2", "store:back")
        self.assertEqual(self.layers("back"), self.layers("app:2"))

    def test_a_docker_archive_is_what_docker_loads(self):
        self.build("-t", "app:1", "-o", f"type=docker,dest={self.dir}/d.tar", "--load")
        with tarfile.open(self.dir / "d.tar") as archive:
            item, = json.load(archive.extractfile("manifest.json"))
        self.assertEqual(item["RepoTags"], ["app:1"])
        before = self.image_id("app:1")
        self.keg("rmi", "app:1")
        self.keg("load", "-i", self.dir / "d.tar")
        self.assertEqual(self.image_id("app:1"), before)

    @needs("skopeo")
    def test_skopeo_reads_what_was_written(self):
        self.build("-t", "app:1", "-o", f"type=oci,dest={self.dir}/a.tar", "-o", f"type=docker,dest={self.dir}/d.tar", "-o", f"type=oci,tar=false,dest={self.dir}/layout")
        for place in (f"oci-archive:{self.dir}/a.tar", f"docker-archive:{self.dir}/d.tar", f"oci:{self.dir}/layout:1"):
            run("skopeo", "inspect", place)

    def test_it_is_pushed_under_its_names(self):
        there = self.registry()
        names = [f"{there.host}/lib/app:{tag}" for tag in (1, 2)]
        self.build("-t", names[0], "-t", names[1], "--push")
        self.build("-o", f"type=registry,name={there.host}/lib/other:1,compression=zstd")
        self.build("-o", f"type=image,name={there.host}/lib/third:1,push=true")
        self.assertEqual(sorted((name, tag) for name, tag in there.manifests if ":" not in tag),
                         [("lib/app", "1"), ("lib/app", "2"), ("lib/other", "1"), ("lib/third", "1")])
        self.assertEqual([self.types(json.loads(there.manifests["lib/" + name, "1"][1])) for name in ("app", "other")], [{GZIP}, {ZSTD}])
        self.fails("build", "--push", self.context, says="tag is needed when pushing to registry")

    def test_nothing_is_kept_of_an_image_that_is_written_nowhere(self):
        self.build("-t", "app", "-o", "type=cacheonly")
        self.assertEqual(self.keg("images", "-qa").stdout, "")
        self.assertEqual(self.build("-t", "app", "--load").stderr.count("CACHED"), 2)
        self.assertNotEqual(self.image_id("app"), "")

    def test_annotations_are_the_manifests(self):
        self.build("-t", "app:1", "--annotation", "a=1", "--annotation", "manifest:org.example/b=x:y=z", "-o",
                   f'type=oci,dest={self.dir}/a.tar,"annotation.c=3,4",annotation-manifest.d=5', "--load")
        _, manifest, _ = self.archive(self.dir / "a.tar")
        wanted = {"a": "1", "org.example/b": "x:y=z", "c": "3,4", "d": "5"}
        self.assertEqual(manifest["annotations"], wanted)
        self.keg("save", "-f", "oci-archive", "-o", self.dir / "saved.tar", "app:1")
        self.assertEqual(self.archive(self.dir / "saved.tar")[1]["annotations"], wanted)
        self.fails("build", "--annotation", "index:a=b", self.context, says="index annotations not supported for single platform export")

    def test_what_came_of_it_is_written_down(self):
        self.build("-t", "app:1", "--load", "--iidfile", self.dir / "id", "--metadata-file", self.dir / "about.json")
        self.assertEqual((self.dir / "id").read_text(), self.image_id("app:1"))
        about = json.loads((self.dir / "about.json").read_text())
        self.assertEqual((about["image.name"], about["containerimage.config.digest"]), ("docker.io/library/app:1", self.image_id("app:1")))
        self.assertEqual(about["containerimage.descriptor"]["digest"], about["containerimage.digest"])
        self.assertIn(about["containerimage.digest"], self.keg("images", "--digests", "--format", "{{.Digest}}").stdout)

    def test_what_cannot_be_is_said_before_anything_is_built(self):
        (self.dir / "file").write_text("")
        for words, says in (("type=floppy", 'unknown exporter "floppy"'), ("dest=x,tar=false", "type is required for output"), ("type=local", "dest is required for local exporter"),
                            ("type=local,dest=-", "dest cannot be stdout for local exporter"), (f"type=local,dest={self.dir}/file", "is a file"),
                            (f"type=tar,dest={self.dir}", "is a directory"), ("type=oci,tar=false", "dest is required for oci exporter"), ("type=oci,dest=x,speed=9", 'unknown field "speed"'),
                            ("type=oci,dest=x,compression=lzw", "lzw"), ("type=oci,dest=x,compression=gzip,compression-level=40", "compression level"), ("type=image,dest=x", "image exporter has no dest"),
                            ("type=oci,tar", 'invalid value "tar"'), ("type=image,name=UPPER", "must be lowercase"), ("type=registry", "tag is needed when pushing")):
            with self.subTest(words):
                self.fails("build", "-o", words, self.context, says=says)
        self.fails("build", "-o", "-", "-o", "type=oci", self.context, says="only one output can be written to standard output")
        self.assertFalse(self.store.exists())

    def test_an_archive_is_not_written_to_a_terminal(self):
        for words in ("-", "type=oci", "type=docker,dest=-"):
            ours, theirs = pty.openpty()
            result = subprocess.run([KEG, "--root", self.store, "build", "-o", words, self.context], stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
            os.close(ours), os.close(theirs)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("refusing to write to console", result.stderr)

    def test_what_fails_leaves_what_was_there(self):
        old = self.write("a.tar", b"old")
        (self.context / "Dockerfile").write_text("FROM scratch\nCOPY none /\n")
        self.fails("build", "-t", "app", "-o", f"type=oci,dest={old}", "--iidfile", self.dir / "id", self.context)
        self.assertEqual(old.read_bytes(), b"old")
        self.assertFalse((self.dir / "id").exists())
        self.assertEqual([name for name, _ in files_of(self.store) if name.startswith("tmp")], [])
