"""keg copy moves an image between any two places, which skopeo reads and writes as well, and trusts none of them."""
import gzip
import base64
import json
import os
import subprocess
import unittest

from archives import LAYER, MANIFEST, config_of, docker_archive, files_of, sha, tar_of
from keg import StoreCase, needs, needs_root, run

INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
PACKED = gzip.compress(LAYER, mtime=0)
NAME = "org.opencontainers.image.ref.name"


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": "sha256:" + sha(data), "size": len(data), **more}


def manifest_of(config, layer=PACKED, **more):
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG),
                       "layers": [descriptor(layer, GZIP)], **more}).encode()


class Layout:
    """An image layout that is written by hand."""

    def __init__(self, path):
        self.path, self.entries = path, []
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data):
        (self.path / "blobs/sha256" / sha(data)).write_bytes(data)
        return data

    def blob_path(self, data):
        return self.path / "blobs/sha256" / sha(data)

    def image(self, **more):
        config = self.blob(config_of(LAYER, **more))
        self.blob(PACKED)
        return self.blob(manifest_of(config))

    def name(self, document, media_type, name=None):
        self.entries.append(descriptor(document, media_type, **({"annotations": {NAME: name}} if name else {})))
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.entries}))
        return "sha256:" + sha(document)


class CopyCase(StoreCase):
    images = False

    def setUp(self):
        super().setUp()
        self.layout = Layout(self.dir / "layout")

    def copy(self, source, target, *options):
        """Gives the digest of the copy."""
        self.keg("copy", "-q", "--digestfile", self.dir / "digest", *options, source, target)
        return (self.dir / "digest").read_text().strip()

    def from_layout(self, name=""):
        return f"oci:{self.layout.path}{':' if name else ''}{name}"

    def refused(self, source, target, says, *options):
        result = self.fails("copy", "-q", *options, source, target, says=says)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)


@needs_root
class Places(CopyCase):
    def test_an_image_goes_round_all_places_and_keeps_its_digest(self):
        digest = self.layout.name(self.layout.image(), MANIFEST, "1")
        places = [self.from_layout("1"), f"dir:{self.dir}/d", f"oci-archive:{self.dir}/a.tar:example.org/app:2", "store:app",
                  f"oci:{self.dir}/new/layout:x", "store:again"]
        for source, target in zip(places, places[1:]):
            with self.subTest(source=source, target=target):
                self.assertEqual(self.copy(source, target), digest)
        self.assertEqual(self.image_id("again"), "sha256:" + sha(config_of(LAYER)))
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "again", check=False).returncode, 126)  # the layer's file is no program

    def test_what_comes_with_its_descriptor_need_not_lie_in_the_layout(self):
        config, embedded = config_of(LAYER), lambda data: {"data": base64.b64encode(data).decode()}
        document = json.loads(manifest_of(config))
        document["config"] |= embedded(config)
        document["layers"][0] |= embedded(PACKED)
        manifest = json.dumps(document).encode()
        self.layout.entries.append(descriptor(manifest, MANIFEST) | embedded(manifest))
        (self.layout.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.layout.entries}))
        self.assertEqual(self.copy(self.from_layout(), "store:app"), "sha256:" + sha(manifest))
        self.keg("copy", "-q", self.from_layout(), f"docker-archive:{self.dir}/a.tar:app:1")
        for wrong in (base64.b64encode(b"x" * len(config)).decode(), "?"):
            document["config"]["data"] = wrong
            self.layout.entries.clear()
            self.layout.name(self.layout.blob(json.dumps(document).encode()), MANIFEST)
            self.refused(self.from_layout(), f"dir:{self.dir}/no", sha(config))

    def test_of_a_copy_that_fails_nothing_stays_in_the_store(self):
        self.layout.name(self.layout.image(), MANIFEST)
        self.keg("images")
        before = files_of(self.store)
        for damage in (PACKED[:-10], PACKED[:-10] + b"0123456789", PACKED + b"more"):
            self.layout.blob_path(PACKED).write_bytes(damage)
            self.refused(self.from_layout(), "store:app", sha(PACKED))
            self.assertEqual(files_of(self.store), before)
        self.layout.blob(PACKED)
        self.copy(self.from_layout(), "store:app")

    def test_a_docker_archive_has_plain_layers_and_the_same_image(self):
        self.layout.name(self.layout.image(), MANIFEST)
        self.keg("copy", "-q", self.from_layout(), f"docker-archive:{self.dir}/a.tar:app:1")
        self.assertEqual(self.keg("load", "-i", self.dir / "a.tar").stdout, "Loaded image: app:1\n")
        self.assertEqual(self.image_id("app:1"), "sha256:" + sha(config_of(LAYER)))
        self.assertIn("blobs/sha256/" + sha(LAYER), run("tar", "-tf", self.dir / "a.tar").stdout.split())

    def layer_types(self, layout):
        layout = layout.removeprefix("oci:")
        entry = json.loads(open(f"{layout}/index.json").read())["manifests"][-1]
        blob = lambda digest: open(f"{layout}/blobs/{digest.replace(':', '/')}", "rb").read()
        layers = json.loads(blob(entry["digest"]))["layers"]
        for layer in layers:
            self.assertEqual((len(blob(layer["digest"])), "sha256:" + sha(blob(layer["digest"]))), (layer["size"], layer["digest"]))
        return [layer["mediaType"].rpartition(".")[2] for layer in layers]

    def test_layers_become_what_is_asked_for(self):
        self.layout.name(self.layout.image(), MANIFEST)
        for kind, wanted in (("zstd", "tar+zstd"), ("none", "tar"), ("gzip", "tar+gzip")):
            with self.subTest(kind):
                target = f"oci:{self.dir}/{kind}"
                self.copy(self.from_layout(), target, "--compression", kind)
                self.assertEqual(self.layer_types(target), [wanted])
                self.copy(target, "store:app")
                self.assertEqual(self.image_id("app"), "sha256:" + sha(config_of(LAYER)))

    def test_an_archive_without_a_manifest_is_compressed_where_others_read_it(self):
        archive = self.write("a.tar", docker_archive())
        self.copy(f"docker-archive:{archive}", f"oci:{self.dir}/packed")
        self.assertEqual(self.layer_types(f"oci:{self.dir}/packed"), ["tar+gzip"])
        self.copy(f"docker-archive:{archive}", f"oci:{self.dir}/plain", "--compression", "none")
        self.assertEqual(self.layer_types(f"oci:{self.dir}/plain"), ["tar"])

    def test_a_docker_archive_is_asked_by_name_or_number(self):
        archive = self.write("a.tar", docker_archive(names=("hello:stable", "hello:1")))
        for name in ("", ":hello:1", ":docker.io/library/hello:stable", ":@0"):
            with self.subTest(name):
                self.copy(f"docker-archive:{archive}{name}", f"store:got{name.count('1')}")
        for name, says in ((":nothing", 'has no image "nothing"'), (":@1", "has no image @1: it has 1")):
            self.refused(f"docker-archive:{archive}{name}", "store:got", says)

    def test_a_compressed_archive_and_a_pipe_are_read(self):
        archive = self.write("a.tar.gz", gzip.compress(docker_archive()))
        self.copy(f"docker-archive:{archive}", "store:one")
        os.mkfifo(self.dir / "pipe")
        writer = subprocess.Popen(["sh", "-c", f"gzip -dc {archive} > {self.dir}/pipe"])
        self.addCleanup(writer.wait)
        self.copy(f"docker-archive:{self.dir}/pipe", "store:two")
        self.assertEqual(self.image_id("one"), self.image_id("two"))

    def test_a_layout_keeps_its_other_images(self):
        first = self.layout.name(self.layout.image(), MANIFEST, "1")
        self.layout.name(self.layout.image(Env=["A=b"]), MANIFEST, "2")
        other = Layout(self.dir / "other")
        new = other.name(other.image(Env=["C=d"]), MANIFEST)
        self.copy(f"oci:{other.path}", self.from_layout("2"))
        index = json.loads((self.layout.path / "index.json").read_text())
        self.assertEqual({entry["annotations"][NAME]: entry["digest"] for entry in index["manifests"]}, {"1": first, "2": new})

    @needs("skopeo")
    def test_skopeo_reads_what_keg_wrote_and_keg_what_skopeo_wrote(self):
        self.layout.name(self.layout.image(), MANIFEST, "1")
        for transport in ("oci:{}", "dir:{}", "oci-archive:{}", "docker-archive:{}"):
            with self.subTest(transport):
                named = ":app:1" if transport.startswith("docker") else ""
                ours = transport.format(self.dir / f"ours-{transport[:4]}{transport[-12:-3].strip(':')}") + named
                theirs = transport.format(self.dir / f"theirs-{transport[:4]}{transport[-12:-3].strip(':')}") + named
                self.keg("copy", "-q", self.from_layout("1"), ours)
                run("skopeo", "--insecure-policy", "copy", "-q", ours, theirs)
                self.keg("copy", "-q", theirs, "store:back")
                self.assertEqual(self.image_id("back"), "sha256:" + sha(config_of(LAYER)))


@needs_root
class Indexes(CopyCase):
    def setUp(self):
        super().setUp()
        self.here = self.layout.image()
        self.there = self.layout.image(Env=["A=arm"])
        self.index = self.layout.blob(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            descriptor(self.here, MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            descriptor(self.there, MANIFEST, platform={"os": "linux", "architecture": "s390x"})]}).encode())
        self.digest = self.layout.name(self.index, INDEX)

    def test_one_platform_is_copied_or_the_whole_index(self):
        for options, wanted in (((), self.here), (("--platform", "linux/s390x"), self.there), (("--all",), self.index)):
            with self.subTest(options):
                self.assertEqual(self.copy(self.from_layout(), f"oci:{self.dir}/copy{len(options)}", *options), "sha256:" + sha(wanted))
        self.assertEqual(self.copy(f"oci:{self.dir}/copy1", f"dir:{self.dir}/d", "--all"), self.digest)
        self.assertEqual(self.copy(f"dir:{self.dir}/d", "store:app", "--all"), self.digest)
        self.assertEqual(self.image_id("app"), "sha256:" + sha(config_of(LAYER)))

    def test_what_an_index_lacks_is_named(self):
        self.layout.blob_path(self.there).unlink()
        self.copy(self.from_layout(), f"dir:{self.dir}/d")
        self.refused(self.from_layout(), f"dir:{self.dir}/all", ["manifest sha256:" + sha(self.there), "is not there"], "--all")
        self.refused(self.from_layout(), f"dir:{self.dir}/all", "no matching manifest for linux/riscv64 in the manifest list entries", "--platform", "linux/riscv64")
        self.assertFalse((self.dir / "all").exists())

    def test_a_docker_archive_holds_no_index(self):
        self.refused(self.from_layout(), f"docker-archive:{self.dir}/a.tar", "holds no index", "--all")
        self.assertFalse((self.dir / "a.tar").exists())

    def test_an_index_that_holds_itself_in_many_is_refused(self):
        inner, kind = self.index, INDEX
        for depth in range(6):
            inner = self.layout.blob(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(inner, kind)]}).encode())
        self.layout.name(inner, INDEX, "deep")
        self.refused(self.from_layout("deep"), f"dir:{self.dir}/d", "nested too deep", "--all")


@needs_root
class Strangers(CopyCase):
    def setUp(self):
        super().setUp()
        self.manifest = self.layout.image()
        self.layout.name(self.manifest, MANIFEST)

    def refused_everywhere(self, says):
        """And at none of the places anything is left."""
        self.keg("images")
        for target in (f"oci:{self.dir}/o", f"dir:{self.dir}/d", f"oci-archive:{self.dir}/a.tar", f"docker-archive:{self.dir}/b.tar", "store:app"):
            with self.subTest(target):
                self.refused(self.from_layout(), target, says)
        self.assertEqual(sorted(os.listdir(self.dir)), ["layout", "store"])
        self.assertEqual(self.keg("images", "-q").stdout, "")
        self.assertEqual(os.listdir(self.store / "blobs/sha256"), [])

    def test_a_damaged_blob_arrives_nowhere(self):
        self.layout.blob_path(PACKED).write_bytes(PACKED[:-1] + b"x")
        self.refused_everywhere("sha256:" + sha(PACKED))

    def test_a_blob_of_another_size_arrives_nowhere(self):
        self.layout.blob_path(PACKED).write_bytes(PACKED + b"more")
        self.refused_everywhere("sha256:" + sha(PACKED))

    def test_a_damaged_manifest_arrives_nowhere(self):
        self.layout.blob_path(self.manifest).write_bytes(self.manifest[:-1] + b" ")
        self.refused_everywhere("it is damaged")

    def test_no_link_and_no_pipe_is_opened(self):
        for make in (lambda path: path.symlink_to("/etc/passwd"), os.mkfifo):
            path = self.layout.blob_path(PACKED)
            path.unlink()
            make(path)
            self.refused_everywhere("lacks blob sha256:" + sha(PACKED))

    def test_a_manifest_under_another_name_is_refused(self):
        (self.layout.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
            descriptor(self.manifest, "application/vnd.docker.distribution.manifest.v2+json")]}))
        self.refused_everywhere("but is \"application/vnd.oci.image.manifest.v1+json\"")

    def test_a_layer_that_is_not_what_the_config_says_gets_no_name(self):
        other = self.layout.blob(gzip.compress(tar_of({"other": b"x"}), mtime=0))
        config = config_of(LAYER)
        self.layout.entries.clear()
        self.layout.name(self.layout.blob(manifest_of(config, other)), MANIFEST)
        self.refused(self.from_layout(), "store:app", sha(LAYER))
        self.refused(self.from_layout(), f"docker-archive:{self.dir}/a.tar", sha(LAYER))
        self.assertEqual(self.keg("images", "-q").stdout, "")


@needs_root
class Words(CopyCase):
    def test_mistakes_are_named_as_they_were_typed(self):
        self.layout.name(self.layout.image(), MANIFEST, "1")
        self.layout.name(self.layout.image(Env=["A=b"]), MANIFEST, "2")
        (self.dir / "full").mkdir()
        (self.dir / "full/letter").write_text("dear")
        junk = self.write("junk.tar", b"this is no tar" * 100)
        good = self.from_layout("1")
        for source, target, says in (
                ("app", f"dir:{self.dir}/d", ['invalid place "app"', "docker-archive:FILE"]),
                ("oci:", f"dir:{self.dir}/d", "expected oci:DIRECTORY[:NAME]"),
                (self.from_layout(), f"dir:{self.dir}/d", [str(self.layout.path), "more than one image"]),
                (self.from_layout("3"), f"dir:{self.dir}/d", [str(self.layout.path), 'no image "3"']),
                (f"oci:{self.dir}/nowhere", f"dir:{self.dir}/d", [f"{self.dir}/nowhere", "no such file"]),
                (f"oci-archive:{junk}", f"dir:{self.dir}/d", [str(junk), "not a tar archive"]),
                (f"docker-archive:{junk}", f"dir:{self.dir}/d", [str(junk), "not a tar archive"]),
                (f"dir:{self.dir}/full", f"dir:{self.dir}/d", [f"{self.dir}/full", "manifest.json"]),
                ("store:nothing", f"dir:{self.dir}/d", "No such image: nothing"),
                (good, f"oci:{self.dir}/full", [f"{self.dir}/full", "holds other files"]),
                (good, f"dir:{self.dir}/full", [f"{self.dir}/full", "holds other files"]),
                (good, "store:UPPER", "must be lowercase"),
                (good, "docker-archive:/nowhere/a.tar", "/nowhere")):
            with self.subTest(source=source, target=target):
                self.refused(source, target, says)
        self.assertEqual(os.listdir(self.dir / "full"), ["letter"])

    def test_digests_stay_or_nothing_is_copied(self):
        self.layout.name(self.layout.image(), MANIFEST)
        self.refused(self.from_layout(), f"docker-archive:{self.dir}/a.tar", "the digests cannot stay", "--preserve-digests")
        self.refused(self.from_layout(), f"dir:{self.dir}/d", "the digests cannot stay", "--preserve-digests", "--compression", "zstd")
        self.assertFalse((self.dir / "a.tar").exists())
        self.copy(self.from_layout(), f"dir:{self.dir}/d", "--preserve-digests", "--compression", "gzip")


if __name__ == "__main__":
    unittest.main()
