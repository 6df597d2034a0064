"""keg load takes what every other tool writes: the forms made by hand as each tool writes them, and by
the tools themselves where they are here."""
import bz2
import gzip
import hashlib
import itertools
import json
import lzma
import os
import subprocess
import tarfile
import unittest

from archives import FakeRegistry, MANIFEST, config_of, sha, tar_of
from keg import StoreCase, needs, needs_root, run, wait_until

INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
LOWER = tar_of({"bin": None, "bin/tool": b"tool", "gone": b"x"})
UPPER = tar_of({".wh.gone": b"", "new": b"new"})


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": "sha256:" + sha(data), "size": len(data), **more}


def blobs(*datas):
    return {f"blobs/sha256/{sha(data)}": data for data in datas}


def oci_manifest(config, layers, layer_type=PLAIN, media=MANIFEST):
    return json.dumps({"schemaVersion": 2, "mediaType": media, "config": descriptor(config, CONFIG),
                       "layers": [descriptor(layer, layer_type) for layer in layers]}).encode()


def index(*entries):
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}).encode()


@needs_root
class ByHand(StoreCase):
    images = False
    config = config_of(LOWER, UPPER, Env=["A=b"])

    def loads(self, files, says="Loaded image: app:1\n", config=None, pack=lambda tar: tar):
        """The archive is loaded as the image of that config; gives its manifest's media type."""
        result = self.keg("load", "-i", self.write("archive", pack(tar_of(files))))
        self.assertEqual(result.stdout, says)
        wanted = "sha256:" + sha(config or self.config)
        shown = json.loads(self.keg("image", "inspect", wanted).stdout)[0]
        self.assertEqual(shown["RootFS"]["Layers"], ["sha256:" + sha(LOWER), "sha256:" + sha(UPPER)])
        self.keg("unpack", wanted, self.dir / "bundle")
        self.assertEqual(sorted(os.listdir(self.dir / "bundle/rootfs")), ["bin", "new"])
        run("rm", "-r", self.dir / "bundle")
        self.keg("rmi", "-f", wanted)

    def docker_items(self, layers=None, tags=("app:1",), config=None, **more):
        return json.dumps([{"Config": config or f"blobs/sha256/{sha(self.config)}", "RepoTags": list(tags) or None,
                            "Layers": layers or [f"blobs/sha256/{sha(layer)}" for layer in (LOWER, UPPER)], **more}]).encode()

    def old_docker(self):
        name = sha(self.config) + ".json"
        return {f"{name}": self.config,
                "1" * 64: None, "1" * 64 + "/VERSION": b"1.0", "1" * 64 + "/json": b'{"id":"1"}', "1" * 64 + "/layer.tar": LOWER,
                "2" * 64: None, "2" * 64 + "/VERSION": b"1.0", "2" * 64 + "/json": b'{"id":"2"}', "2" * 64 + "/layer.tar": UPPER,
                "manifest.json": self.docker_items(["1" * 64 + "/layer.tar", "2" * 64 + "/layer.tar"], config=name),
                "repositories": json.dumps({"app": {"1": "2" * 64}}).encode()}

    def test_docker_24_and_older(self):
        self.loads(self.old_docker())

    def test_any_compression_around_it(self):
        for pack in (gzip.compress, bz2.compress, lzma.compress):
            with self.subTest(pack.__module__):
                self.loads(self.old_docker(), pack=pack)

    def new_docker(self, layers_in_manifest):
        manifest = oci_manifest(self.config, layers_in_manifest)
        sources = {"sha256:" + sha(layer): descriptor(layer, PLAIN) for layer in (LOWER, UPPER)}
        entry = descriptor(manifest, MANIFEST, annotations={"io.containerd.image.name": "docker.io/library/app:1", "org.opencontainers.image.ref.name": "1"})
        return {"blobs": None, "blobs/sha256": None, **blobs(self.config, manifest, LOWER, UPPER, b'{"id":"v1"}'), "index.json": index(entry),
                "manifest.json": self.docker_items(LayerSources=sources), "oci-layout": LAYOUT, "repositories": json.dumps({"app": {"1": sha(UPPER)}}).encode()}

    def test_docker_25_and_newer(self):
        self.loads(self.new_docker([LOWER, UPPER]))

    def test_docker_25_0_0_whose_layout_has_the_layers_in_disorder(self):
        self.loads(self.new_docker([UPPER, LOWER]))

    def test_containers_image_with_links_for_old_docker(self):
        self.loads({sha(LOWER) + ".tar": LOWER, sha(UPPER) + ".tar": UPPER, "1/VERSION": b"1.0", "1/json": b"{}", "1/layer.tar": f"../{sha(LOWER)}.tar",
                    "2/layer.tar": f"../{sha(UPPER)}.tar", sha(self.config) + ".json": self.config,
                    "repositories": b"{}", "manifest.json": self.docker_items([sha(LOWER) + ".tar", sha(UPPER) + ".tar"], ["docker.io/library/app:1"], sha(self.config) + ".json")})

    def containerd(self, *extra, name=True):
        """As ctr export and docker's containerd store write it: layers as they are stored."""
        stored = [gzip.compress(LOWER), gzip.compress(UPPER)]
        manifest = oci_manifest(self.config, stored, PLAIN + "+gzip")
        other = b'{"schemaVersion":2,"other":"platform, not in the archive"}'
        attestation = oci_manifest(b"{}", [b"statement"])
        inner = index(descriptor(other, MANIFEST, platform={"architecture": "s390x", "os": "linux"}),
                      descriptor(manifest, MANIFEST, platform={"architecture": json.loads(self.config)["architecture"], "os": "linux"}),
                      descriptor(attestation, MANIFEST, platform={"architecture": "unknown", "os": "unknown"},
                                 annotations={"vnd.docker.reference.type": "attestation-manifest"}))
        names = {"io.containerd.image.name": "docker.io/library/app:1", "org.opencontainers.image.ref.name": "1", "containerd.io/distribution.source.docker.io": "library/app"}
        return {**blobs(*stored, self.config, manifest, attestation, inner, b"statement"), "index.json": index(descriptor(inner, INDEX, annotations=names if name else {}), *extra),
                "oci-layout": LAYOUT}, [f"blobs/sha256/{sha(layer)}" for layer in stored]

    def test_containerd_with_an_index_of_platforms(self):
        files, layers = self.containerd()
        self.loads(files)
        self.loads({**files, "manifest.json": self.docker_items(layers)})

    def test_what_is_no_image_among_the_images_is_left_out(self):
        artifact = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x", "layers": [],
                               "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json")}).encode()
        files, _ = self.containerd(descriptor(artifact, MANIFEST), descriptor(b"signature", "application/vnd.example.signature"))
        self.loads({**files, **blobs(artifact, b"{}")})

    def test_an_image_without_a_name_has_its_id(self):
        files, _ = self.containerd(name=False)
        self.loads(files, says=f"Loaded image ID: sha256:{sha(self.config)}\n")

    def test_podmans_oci_archive_has_whole_names(self):
        stored = [gzip.compress(LOWER), gzip.compress(UPPER)]
        manifest = oci_manifest(self.config, stored, PLAIN + "+gzip")
        entry = descriptor(manifest, MANIFEST, annotations={"org.opencontainers.image.ref.name": "docker.io/library/app:1"})
        self.loads({**blobs(*stored, self.config, manifest), "index.json": index(entry), "oci-layout": LAYOUT})

    def test_dockers_own_media_types(self):
        stored = [gzip.compress(LOWER), gzip.compress(UPPER)]
        docker = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = json.loads(oci_manifest(self.config, stored, "application/vnd.docker.image.rootfs.diff.tar.gzip", docker))
        manifest["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
        manifest = json.dumps(manifest).encode()
        entry = descriptor(manifest, docker, annotations={"io.containerd.image.name": "docker.io/library/app:1"})
        self.loads({**blobs(*stored, self.config, manifest), "index.json": index(entry), "oci-layout": LAYOUT})

    @needs("zstd")
    def test_zstd_layers(self):
        stored = [subprocess.run(["zstd", "-c"], input=layer, capture_output=True, check=True).stdout for layer in (LOWER, UPPER)]
        files = {"l1": stored[0], "l2": stored[1], "c.json": self.config, "manifest.json": self.docker_items(["l1", "l2"], config="c.json")}
        self.loads(files)

    def test_layers_in_xz_and_bzip2_are_kept_plain(self):
        files = {"l1": lzma.compress(LOWER), "l2": bz2.compress(UPPER), "c.json": self.config, "manifest.json": self.docker_items(["l1", "l2"], config="c.json")}
        self.loads(files)
        self.fails("load", "-i", self.write("bad", tar_of({**files, "l1": lzma.compress(LOWER)[:-20]})), code=1, says="l1")
        self.fails("load", "-i", self.write("bad", tar_of({**files, "l1": lzma.compress(UPPER)})), code=1, says="l1")

    def test_docker_25_whose_layout_has_no_layers(self):
        self.loads(self.new_docker([]))

    def test_platforms_of_one_name_without_an_index(self):
        arch = json.loads(self.config)["architecture"]
        other = self.config.replace(arch.encode(), b"s390x")
        manifests = [oci_manifest(config, [LOWER, UPPER]) for config in (self.config, other)]
        name = {"io.containerd.image.name": "docker.io/library/app:1"}
        entries = [descriptor(manifest, MANIFEST, annotations=name, platform={"architecture": each, "os": "linux"}) for manifest, each in zip(manifests, (arch, "s390x"))]
        files = {**blobs(LOWER, UPPER, self.config, other, *manifests), "oci-layout": LAYOUT}
        for order in (entries, entries[::-1]):
            self.loads({**files, "index.json": index(*order)})
        self.fails("load", "-i", self.write("bad", tar_of({**files, "index.json": index(entries[1], {**entries[1], "platform": {"architecture": "riscv64", "os": "linux"}})})),
                   code=1, says="no image for platform")

    def test_a_signature_beside_the_image_is_no_image(self):
        signature = oci_manifest(self.config, [b"{}"], "application/vnd.dev.cosign.simplesigning.v1+json")
        files = self.new_docker([LOWER, UPPER])
        entries = json.loads(files["index.json"])["manifests"]
        entry = descriptor(signature, MANIFEST, annotations={"org.opencontainers.image.ref.name": "sha256-1.sig"})
        self.loads({**files, **blobs(signature, b"{}"), "index.json": index(*entries, entry)})

    def test_wrong_digests_and_sizes_are_refused(self):
        manifest = oci_manifest(self.config, [LOWER, UPPER])
        whole = {**blobs(LOWER, UPPER, self.config, manifest), "index.json": index(descriptor(manifest, MANIFEST)), "oci-layout": LAYOUT}
        for name, data in (("blobs/sha256/" + sha(LOWER), LOWER.replace(b"tool", b"evil")), ("blobs/sha256/" + sha(self.config), self.config.replace(b"b", b"c")),
                           ("blobs/sha256/" + sha(UPPER), UPPER + bytes(512)), ("blobs/sha256/" + sha(manifest), manifest + b" ")):
            with self.subTest(name[:20]):
                self.fails("load", "-i", self.write("bad", tar_of({**whole, name: data})), code=1, says="sha256:")
        for wrong in ("sha256:../../etc/passwd", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 32):
            with self.subTest(wrong):
                self.fails("load", "-i", self.write("bad", tar_of({**whole, "index.json": index({**descriptor(manifest, MANIFEST), "digest": wrong})})), code=1, says="digest")
        both = json.dumps({**json.loads(manifest), "manifests": []}).encode()
        self.fails("load", "-i", self.write("bad", tar_of({**whole, **blobs(both), "index.json": index(descriptor(both, MANIFEST))})), code=1, says="manifests")
        self.assertEqual(self.keg("images", "-q").stdout, "")

    def test_documents_without_end_are_refused(self):
        self.fails("load", "-i", self.write("bad", tar_of({"manifest.json": b"[" + b" " * (5 << 20) + b"]"})), code=1, says="too large")
        self.fails("load", "-i", self.write("bad", tar_of({"index.json": b"{" * 5000, "oci-layout": LAYOUT})), code=1, says="index.json")

    def test_a_wrong_type_deep_inside_names_its_place(self):
        bad = self.config.replace(b'"A=b"', b"7")
        files = {"l1": LOWER, "l2": UPPER, "c.json": bad, "manifest.json": self.docker_items(["l1", "l2"], config="c.json")}
        self.fails("load", "-i", self.write("bad", tar_of(files)), code=1, says="config.Env[0]: must be a string, but is 7")


@needs_root
class BySha512(StoreCase):
    """Where an image names its blobs, its layers' content, or both by sha512."""
    images = False

    @staticmethod
    def digest(data, algorithm):
        return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"

    def image(self, of_blobs, of_layers):
        """Its blobs by their digests, and its manifest, whose descriptor is the last one's."""
        stored = [gzip.compress(LOWER), UPPER]
        described = lambda data, kind: descriptor(data, kind) | {"digest": self.digest(data, of_blobs)}
        config = json.loads(config_of(LOWER, UPPER))
        config["rootfs"]["diff_ids"] = [self.digest(layer, of_layers) for layer in (LOWER, UPPER)]
        config = json.dumps(config).encode()
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": described(config, CONFIG),
                               "layers": [described(stored[0], PLAIN + "+gzip"), described(stored[1], PLAIN)]}).encode()
        return {self.digest(data, of_blobs): data for data in (*stored, config, manifest)}, described(manifest, MANIFEST)

    def kinds(self):
        for kind in itertools.product(("sha256", "sha512"), repeat=2):
            with self.subTest(blobs=kind[0], layers=kind[1]):
                yield self.image(*kind)

    def is_right(self, name):
        self.keg("create", "--name", "one", name)
        self.keg("export", "-o", self.dir / "root.tar", "one")
        with tarfile.open(self.dir / "root.tar") as root:
            self.assertEqual(sorted(root.getnames()), ["bin", "bin/tool", "new"])
        self.keg("unpack", name, self.dir / "bundle")
        self.assertEqual(sorted(os.listdir(self.dir / "bundle/rootfs")), ["bin", "new"])
        run("rm", "-r", self.dir / "bundle")
        shown = json.loads(self.keg("image", "inspect", name).stdout)[0]["Id"]
        self.keg("image", "inspect", shown)
        self.keg("system", "check")
        self.keg("rm", "one")

    def is_gone_without_a_trace(self, name):
        self.keg("rmi", name)
        left = [path for kind in ("blobs", "layers") for path in self.store.glob(f"{kind}/sha*/*")]
        self.assertEqual(left, [])

    def archive(self, files, top, change=lambda files: None):
        entry = top | {"annotations": {"io.containerd.image.name": "docker.io/library/app:1"}}
        named = {"blobs/" + digest.replace(":", "/"): data for digest, data in files.items()}
        change(named)
        return self.write("archive", tar_of({**named, "index.json": index(entry), "oci-layout": LAYOUT}))

    def test_it_is_loaded(self):
        for files, top in self.kinds():
            self.keg("load", "-i", self.archive(files, top))
            self.is_right("app:1")
            self.is_gone_without_a_trace("app:1")

    def test_it_is_unpacked_where_indexes_cannot_be_mounted(self):
        self.keep_plain_files()
        for files, top in self.kinds():
            self.keg("load", "-i", self.archive(files, top))
            self.is_right("app:1")
            self.is_gone_without_a_trace("app:1")

    def test_it_is_pulled(self):
        for files, top in self.kinds():
            answers = {f"/v2/app/blobs/{digest}": (200, {}, data) for digest, data in files.items()}
            manifest = (200, {"Content-Type": MANIFEST}, files[top["digest"]])
            answers |= {"/v2/": (200, {}, b"{}"), "/v2/app/manifests/1": manifest, f"/v2/app/manifests/{top['digest']}": manifest}
            fake = FakeRegistry(answers)
            self.addCleanup(fake.stop)
            name = f"{fake.host}/app@{top['digest']}"
            self.keg("pull", name)
            self.is_right(name)
            self.is_gone_without_a_trace(name)

    def test_a_changed_byte_is_refused(self):
        for files, top in self.kinds():
            for name in files:
                def change(named):
                    path = "blobs/" + name.replace(":", "/")
                    named[path] = named[path][:-1] + b"?"
                self.fails("load", "-i", self.archive(files, top, change), code=1, says=name[:20])
            self.assertEqual(self.keg("images", "-qa").stdout, "")

    def test_a_damaged_blob_in_the_store_is_found_and_loaded_again(self):
        files, top = self.image("sha512", "sha512")
        archive = self.archive(files, top)
        self.keg("load", "-i", archive)
        for blob in self.store.glob("blobs/sha512/*"):
            blob.write_bytes(blob.read_bytes()[:-1] + b"?")
            found = self.keg("system", "check", check=False)
            self.assertEqual(found.returncode, 1)
            self.assertIn(f"sha512:{blob.name}", found.stdout)
            self.keg("load", "-i", archive)
            self.keg("system", "check")


@needs_root
class ByTheTools(StoreCase):
    def layers(self, name):
        return json.loads(self.keg("image", "inspect", name).stdout)[0]["RootFS"]["Layers"]

    @needs("podman")
    def test_podman(self):
        podman = ["podman", "--root", self.dir / "podman", "--runroot", self.dir / "podman-run", "--storage-driver", "vfs"]
        self.keg("tag", "base", "hello:stable")
        self.keg("save", "-o", self.dir / "keg.tar", "hello:stable")
        run(*podman, "load", "-i", self.dir / "keg.tar")
        want = self.layers("base")
        self.keg("rmi", "hello:stable")
        for form in ("docker-archive", "oci-archive"):
            with self.subTest(form):
                run(*podman, "save", "--format", form, "-o", self.dir / form, "docker.io/library/hello:stable")
                self.assertEqual(self.keg("load", "-i", self.dir / form).stdout, "Loaded image: hello:stable\n")
                self.assertEqual(self.layers("hello:stable"), want)
                self.keg("rmi", "hello:stable")
        run(*podman, "tag", "docker.io/library/hello:stable", "docker.io/library/two:1")
        run(*podman, "save", "-m", "-o", self.dir / "multi", "docker.io/library/hello:stable", "docker.io/library/two:1")
        self.keg("load", "-i", self.dir / "multi")
        self.assertEqual(self.layers("two:1"), want)

    @needs("containerd")
    @needs("ctr")
    def test_containerd(self):
        (self.dir / "containerd.toml").write_text(
            f'version = 2\nroot = "{self.dir}/root"\nstate = "{self.dir}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{self.dir}/c.sock"\n[ttrpc]\naddress = "{self.dir}/t.sock"\n')
        daemon = subprocess.Popen(["containerd", "-c", self.dir / "containerd.toml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)
        wait_until((self.dir / "c.sock").exists, "containerd")
        ctr = ["ctr", "-a", self.dir / "c.sock", "images"]
        self.keg("tag", "base", "hello:stable")
        for form in ("docker-archive", "oci-archive"):
            with self.subTest(form):
                self.keg("save", "--format", form, "-o", self.dir / "keg.tar", "hello:stable")
                run(*ctr, "import", "--no-unpack", self.dir / "keg.tar") if "--no-unpack" in run("ctr", "images", "import", "--help").stdout \
                    else run(*ctr, "import", self.dir / "keg.tar")
                self.assertIn("docker.io/library/hello:stable", run(*ctr, "ls", "-q").stdout)
                run(*ctr, "export", self.dir / "ctr.tar", "docker.io/library/hello:stable")
                want = self.layers("base")
                self.keg("rmi", "hello:stable")
                self.assertEqual(self.keg("load", "-i", self.dir / "ctr.tar").stdout, "Loaded image: hello:stable\n")
                self.assertEqual(self.layers("hello:stable"), want)
                run(*ctr, "rm", "docker.io/library/hello:stable")


if __name__ == "__main__":
    unittest.main()
