"""keg validate finds what is wrong with what others wrote: of each rule one input that breaks it, made of a right one
by one change; and right ones, by keg and by others, in which it finds nothing."""
import base64
import gzip
import io
import json
import lzma
import random
import shutil
import socket
import tarfile
import unittest

import erofs
from archives import MANIFEST, sha, tar_of
from keg import KEG, StoreCase, TempCase, default_config, needs, needs_root, rounds, run

INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
NAME = "org.opencontainers.image.ref.name"
BASE = tar_of({"bin": None, "bin/sh": b"sh", "etc": None, "etc/passwd": b"root:x:0:0::/:/bin/sh\nweb:x:5:5::/:/bin/sh\n"})
OTHER = "0" * 64


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": "sha256:" + sha(data), "size": len(data), **more}


def text(document):
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def to(value, *way):
    """A change of a document: that value there. A function is given what was there."""
    def change(document):
        at = document
        for step in way[:-1]:
            at = at[step]
        at[way[-1]] = value(at[way[-1]]) if callable(value) else value
    return change


def without(*way):
    def change(document):
        at = document
        for step in way[:-1]:
            at = at[step]
        del at[way[-1]]
    return change


def instead(data):
    return lambda document: data


def changed(document, change):
    return text((change and change(document)) or document)


def blob(data):
    return "blobs/sha256/" + sha(data)


def image(layers=(BASE,), stored=None, layer_type=LAYER, config=None, manifest=None, diff_ids=None):
    """The blobs of an image by their paths, and its manifest. `stored` are the layers' blobs if they are not the tars."""
    stored = list(layers if stored is None else stored)
    config = changed({"architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z", "config": {"User": "web", "Env": ["A=b"]},
                      "rootfs": {"type": "layers", "diff_ids": diff_ids or ["sha256:" + sha(layer) for layer in layers]},
                      "history": [{"created_by": "made"} for _ in layers]}, config)
    manifest = changed({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG),
                        "layers": [descriptor(layer, layer_type) for layer in stored]}, manifest)
    return {blob(data): data for data in [*stored, config, manifest]}, manifest


def layout(index=None, files=None, manifest_type=MANIFEST, **how):
    """The files of a right image layout, but for what is changed."""
    blobs, manifest = image(**how)
    top = changed({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(manifest, manifest_type, annotations={NAME: "app"})]}, index)
    made = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": top, **blobs}
    if files:
        files(made)
    return made


def indexed(*documents, change=None, **how):
    """A layout whose index.json leads to an index of these manifests, and of the image's."""
    blobs, manifest = image(**how)
    inner = changed({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(manifest, MANIFEST, platform={"architecture": "amd64", "os": "linux"}), *documents]}, change)
    top = {"schemaVersion": 2, "manifests": [descriptor(inner, INDEX)]}
    return {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": text(top), **blobs, blob(inner): inner}


def nested(times):
    blobs, manifest = image()
    made = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', **blobs}
    inner, media_type = manifest, MANIFEST
    for _ in range(times):
        made[blob(inner)] = inner
        inner, media_type = text({"schemaVersion": 2, "manifests": [descriptor(inner, media_type)]}), INDEX
    return {**made, "index.json": inner}


def artifact(**more):
    config = b"{}"
    manifest = text({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, EMPTY), "layers": [], **more})
    top = text({"schemaVersion": 2, "manifests": [descriptor(manifest, MANIFEST)]})
    return {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": top, blob(config): config, blob(manifest): manifest}


def docker(items=None, **files):
    blobs, _ = image()
    config = next(path for path, data in blobs.items() if b"rootfs" in data)
    made = {"one/layer.tar": BASE, "config.json": blobs[config], **files}
    items = items or [{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["one/layer.tar"]}]
    return {**made, "manifest.json": text(items)}


def member(name, kind=tarfile.REGTYPE, data=b"", **more):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar(*members, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sparse_tar():
    info = tarfile.TarInfo("hole")
    info.size = 512
    info.pax_headers = {"GNU.sparse.map": "0,512", "GNU.sparse.size": "4096", "GNU.sparse.name": "hole"}
    return tar((info, b"x" * 512))


def gzip_at(data, mtime):
    out = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=out, mode="wb", mtime=mtime) as file:
        file.write(data)
    return out.getvalue()


def on_base(*members):
    return layout(layers=(BASE, tar(*members)))


def bad_sum(data):
    return data[:148] + b"0000000\0" + data[156:]


LINK, SYMLINK, DIRECTORY, DEVICE = tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE
ODD = "application/vnd.example"
AMD64 = {"architecture": "amd64", "os": "linux"}


def data_of(wrong):
    return lambda document: to(base64.b64encode(wrong).decode(), "config", "data")(document)


def empty_blob_of(files):
    files["blobs/sha256/" + OTHER] = b""


# {what is wrong: (the finding, the files)}; where one change breaks two rules, the second one is after it.
DOCUMENTS = {
    "JSON that is cut off": ("fatal invalid-json", lambda: layout(index=instead(b'{"schemaVersion": 2,'))),
    "something behind it": ("fatal invalid-json", lambda: layout(config=instead(b"{} x"))),
    "a property twice": ("fatal invalid-json", lambda: layout(manifest=instead(b'{"schemaVersion": 2, "schemaVersion": 2}'))),
    "no UTF-8": ("fatal invalid-json", lambda: layout(config=instead(b'{"os": "\xff"}'))),
    "an array": ("fatal invalid-json", lambda: layout(config=instead(b"[]"))),
    "a document of 5 MiB": ("fatal too-large", lambda: layout(config=to("x" * (5 << 20), "author"))),
    "layers that are a text": ("fatal wrong-type", lambda: layout(manifest=to("x", "layers"))),
    "a layer that is a number": ("fatal wrong-type", lambda: layout(manifest=to(7, "layers", 0))),
    "a variant that is a number": ("fatal wrong-type", lambda: layout(config=to(8, "variant"))),
    "what only the reader knows": ("fatal unreadable", lambda: layout(config=to({"Test": 1}, "config", "Healthcheck"))),
    "a version of its own": ("fatal schema-version", lambda: layout(manifest=to(3, "schemaVersion"))),
    "no version": ("fatal schema-version", lambda: layout(index=without("schemaVersion"))),
    "manifest and index at once": ("fatal two-kinds", lambda: layout(manifest=to([], "manifests"))),
    "no layers": ("error missing-field", lambda: layout(manifest=without("layers"))),
    "manifests that are null": ("error missing-field", lambda: layout(index=to(None, "manifests"))),
    "no architecture": ("error missing-field", lambda: layout(config=without("architecture"))),
    "no rootfs": ("error missing-field", lambda: layout(config=without("rootfs"))),
    "no mediaType": ("error media-type-missing", lambda: layout(manifest=without("layers", 0, "mediaType"))),
    "a mediaType that is none": ("error invalid-media-type", lambda: layout(manifest=to("tar", "layers", 0, "mediaType"))),
    "another mediaType than the descriptor's": ("error media-type-mismatch", lambda: layout(manifest=to("application/vnd.docker.distribution.manifest.v2+json", "mediaType"))),
    "an empty config without artifactType": ("error artifact-type-missing", lambda: artifact()),
    "a manifest of schema 1": ("warning schema1", lambda: layout(manifest_type="application/vnd.docker.distribution.manifest.v1+prettyjws")),
    "a time in words": ("warning invalid-time", lambda: layout(config=to("yesterday", "created"))),
    "a time in words in the history": ("warning invalid-time", lambda: layout(config=to("then", "history", 0, "created"))),
    "an index in an index in an index": ("warning deep-index", lambda: nested(4)),
    "too many of them": ("fatal too-large", lambda: nested(10), "warning deep-index"),
    "an entry of another type": ("info unknown-type", lambda: layout(manifest_type=ODD)),
    "a layer of another type": ("info unknown-type", lambda: layout(layer_type="application/vnd.erofs.chunk-index.v1")),
    "an attestation": ("info attestation", lambda: layout(index=to({"vnd.docker.reference.type": "attestation-manifest"}, "manifests", 0, "annotations"))),
}

BLOBS = {
    "a digest in capitals": ("fatal invalid-digest", lambda: layout(manifest=to(lambda d: d.upper().replace("SHA", "sha"), "layers", 0, "digest"))),
    "a digest that is a path": ("fatal invalid-digest", lambda: layout(manifest=to("sha256:../../x", "layers", 0, "digest"))),
    "a diff_id that is cut off": ("fatal invalid-digest", lambda: layout(config=to("sha256:00", "rootfs", "diff_ids", 0))),
    "a size below 0": ("fatal negative-size", lambda: layout(manifest=to(-1, "layers", 0, "size"))),
    "data that is another's": ("fatal data-mismatch", lambda: layout(manifest=data_of(b"{}"))),
    "data that is no base64": ("fatal data-mismatch", lambda: layout(manifest=to("e30", "config", "data"))),
    "a config that was changed": ("fatal digest-mismatch", lambda: layout(files=lambda files: files.update({path: data.replace(b"linux", b"Linux") for path, data in files.items() if b"rootfs" in data}))),
    "a layer that was changed": ("fatal digest-mismatch", lambda: layout(files=lambda files: files.update({blob(BASE): BASE.replace(b"web", b"gnu")})), "fatal diff-id-mismatch", "warning unknown-user"),
    "an artifact's blob that was changed": ("fatal digest-mismatch", lambda: {path: b"[]" if data == b"{}" else data for path, data in artifact(artifactType=ODD).items()}),
    "another size": ("fatal size-mismatch", lambda: layout(manifest=to(7, "layers", 0, "size"))),
    "a blob that is a link": ("fatal irregular-blob", lambda: layout(files=lambda files: files.update({"elsewhere": BASE, blob(BASE): "../../elsewhere"}))),
    "a directory among the blobs": ("fatal irregular-blob", lambda: layout(files=lambda files: files.update({"blobs/sha256/" + OTHER + "/x": b""}))),
    "a blob of another name": ("error blob-name", lambda: layout(files=empty_blob_of), "warning unreferenced-blob"),
    "a name that is no digest": ("error blob-name", lambda: layout(files=lambda files: files.update({"blobs/sha256/readme": b""}))),
    "a layer that is not there": ("warning missing-blob", lambda: layout(files=lambda files: files.pop(blob(BASE)))),
    "a manifest that is not there": ("warning missing-blob", lambda: layout(index=to("sha256:" + OTHER, "manifests", 0, "digest"))),
    "a blob that nobody names": ("warning unreferenced-blob", lambda: layout(files=lambda files: files.update({blob(b"x"): b"x"}))),
    "a digest of another kind": ("warning other-digest", lambda: layout(manifest=to({"mediaType": MANIFEST, "size": 1, "digest": "sha512:" + OTHER * 2}, "subject"))),
}

LAYOUTS = {
    "no index.json": ("fatal missing-file", lambda: layout(files=lambda files: files.pop("index.json"))),
    "no oci-layout": ("fatal missing-file", lambda: layout(files=lambda files: files.pop("oci-layout"))),
    "no blobs": ("fatal missing-file", lambda: {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": b'{"schemaVersion": 2, "manifests": []}'}),
    "a version of the future": ("fatal layout-version", lambda: layout(files=lambda files: files.update({"oci-layout": b'{"imageLayoutVersion": "2.0.0"}'}))),
    "no version": ("fatal layout-version", lambda: layout(files=lambda files: files.update({"oci-layout": b"{}"}))),
    "a name twice": ("warning duplicate-name", lambda: layout(index=to(lambda all: all * 2, "manifests"))),
    "a name that is none": ("warning invalid-name", lambda: layout(index=to("--app", "manifests", 0, "annotations", NAME))),
    "two manifests without platforms": ("warning no-platform", lambda: indexed(change=to(lambda all: [{**entry, "platform": None} for entry in all * 2], "manifests"))),
    "another platform": ("warning platform-mismatch", lambda: indexed(change=to("arm64", "manifests", 0, "platform", "architecture"))),
}

CONFIGS = {
    "a rootfs of another type": ("fatal rootfs-type", lambda: layout(config=to("tarball", "rootfs", "type"))),
    "a diff_id too many": ("fatal diff-id-count", lambda: layout(diff_ids=["sha256:" + sha(BASE)] * 2), "warning history-count"),
    "a diff_id of another layer": ("fatal diff-id-mismatch", lambda: layout(diff_ids=["sha256:" + OTHER])),
    "a history of two layers": ("warning history-count", lambda: layout(config=to(lambda all: all * 2, "history"))),
    "a variable without a name": ("warning invalid-word", lambda: layout(config=to(["=x"], "config", "Env"))),
    "a port of no protocol": ("warning invalid-word", lambda: layout(config=to({"80/http": {}}, "config", "ExposedPorts"))),
    "a volume that is a mount": ("warning invalid-word", lambda: layout(config=to({"/etc:/host": {}}, "config", "Volumes"))),
    "a signal that is none": ("warning invalid-word", lambda: layout(config=to("SIGSTOPPED", "config", "StopSignal"))),
    "a user of three parts": ("warning invalid-word", lambda: layout(config=to("a:b:c", "config", "User")), "warning unknown-user"),
    "ports without end": ("warning invalid-word", lambda: layout(config=to({f"1-{65000 + i}/tcp": {} for i in range(9)}, "config", "ExposedPorts"))),
    "a user that nobody knows": ("warning unknown-user", lambda: layout(config=to("nobody", "config", "User"))),
}

EROFS = "application/vnd.erofs.layer.v1"
PASSWD = {"etc": {"passwd": b"web:x:5:5::/:/bin/sh\n"}}


def on_images(*layers, layer_type=EROFS, features=("erofs",), **how):
    return layout(layers=layers or (erofs.image(PASSWD),), layer_type=layer_type, config=to(list(features), "os.features"), **how)


LAYERS = {
    "xz": ("fatal unknown-compression", lambda: layout(stored=[lzma.compress(BASE)]), "error compression-mismatch"),
    "gzip that is cut off": ("fatal corrupt-stream", lambda: layout(stored=[gzip_at(BASE, 0)[:-20]], layer_type=LAYER + "+gzip")),
    "gzip with another checksum": ("fatal corrupt-stream", lambda: layout(stored=[gzip_at(BASE, 0)[:-8] + bytes(8)], layer_type=LAYER + "+gzip")),
    "something behind gzip's data": ("fatal corrupt-stream", lambda: layout(stored=[gzip_at(BASE, 0) + b"x"], layer_type=LAYER + "+gzip")),
    "a header with another checksum": ("fatal invalid-tar", lambda: layout(layers=[bad_sum(BASE)])),
    "a tar that is cut off": ("fatal invalid-tar", lambda: layout(layers=[BASE[:1100]])),
    "no tar": ("fatal invalid-tar", lambda: layout(layers=[b"no tar at all\n" * 100])),
    "a name that leads out": ("fatal escaping-entry", lambda: on_base(member("bin/../../x"))),
    "a hard link that leads out": ("fatal escaping-entry", lambda: on_base(member("x", LINK, linkname="../../etc/passwd"))),
    "a root that is a link": ("fatal root-type", lambda: on_base(member("./", SYMLINK, linkname="/etc"))),
    "a whiteout of nothing named": ("fatal empty-whiteout", lambda: on_base(member("bin/.wh."))),
    "a hard link to nothing": ("fatal bad-hard-link", lambda: on_base(member("x", LINK, linkname="nothing"))),
    "a hard link to a directory": ("fatal bad-hard-link", lambda: on_base(member("x", LINK, linkname="bin"))),
    "a device that is a whiteout": ("fatal unusable-entry", lambda: on_base(member("x", DEVICE))),
    "a name of 300 letters": ("fatal unusable-entry", lambda: on_base(member("x" * 300))),
    "another compression than is said": ("error compression-mismatch", lambda: layout(layer_type=LAYER + "+gzip")),
    "a path twice": ("error duplicate-path", lambda: on_base(member("x"), member("./x"))),
    "a type that is not given on": ("warning nondistributable", lambda: layout(layer_type="application/vnd.oci.image.layer.nondistributable.v1.tar")),
    "a sparse file": ("warning sparse-entry", lambda: layout(layers=(BASE, sparse_tar()))),
    "an attribute of overlayfs's": ("warning ignored-attribute", lambda: on_base(member("x", pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"}))),
    "an owner above 2^31": ("warning large-owner", lambda: on_base(member("x", uid=2 ** 31))),
    "something behind the tar's end": ("warning trailing-bytes", lambda: layout(layers=(BASE, tar(member("x")) + b"y"))),
    "a directory that nobody describes": ("warning implied-parent", lambda: on_base(member("srv/www/x"))),
    "a whiteout that hides nothing": ("warning idle-whiteout", lambda: on_base(member("bin", DIRECTORY), member("bin/.wh.bash"))),
    "a whiteout behind a file": ("warning late-whiteout", lambda: on_base(member("bin", DIRECTORY), member("bin/a"), member("bin/.wh.sh"))),
    "an opaque directory": ("warning opaque-whiteout", lambda: on_base(member("bin", DIRECTORY), member("bin/.wh..wh..opq"))),
    "an image that is called a tar": ("fatal layer-kind", lambda: on_images(layer_type=LAYER)),
    "a tar that is called an image": ("fatal layer-kind", lambda: on_images(BASE)),
    "an image that is cut off": ("fatal invalid-erofs", lambda: on_images(erofs.image(PASSWD)[:-4096])),
    "an image that is compressed inside": ("fatal invalid-erofs", lambda: on_images(erofs.image(PASSWD, super={"incompatible": 2}))),
    "an image that is a part of others": ("fatal erofs-role", lambda: on_images(manifest=to({"org.erofs.role": "device"}, "layers", 0, "annotations"))),
    "an image that config and platforms say nothing of": ("warning erofs-feature", lambda: on_images(features=())),
    "a tar below an image": ("warning mixed-layers", lambda: on_images(BASE, erofs.image({}), manifest=to(LAYER, "layers", 0, "mediaType"))),
    "a whiteout in an image that hides nothing": ("warning idle-whiteout", lambda: on_images(erofs.image({**PASSWD, "gone": erofs.WHITEOUT}))),
    "gzip with a time": ("info gzip-header", lambda: layout(stored=[gzip_at(BASE, 1000)], layer_type=LAYER + "+gzip")),
    "a layer for partial pulls": ("info partial-pull", lambda: layout(manifest=to({"containerd.io/snapshot/stargz/toc.digest": "sha256:" + OTHER}, "layers", 0, "annotations"))),
    "a link into a layer that is missing": ("info lower-link", lambda: layout(layers=(BASE, tar(member("x", LINK, linkname="bin/sh"))), files=lambda files: files.pop(blob(BASE))), "warning missing-blob"),
}

ARCHIVES = {
    "a name that leads out": ("fatal invalid-archive", lambda: docker(**{"../x": b""})),
    "no such config": ("error missing-part", lambda: docker([{"Config": "other.json", "RepoTags": [], "Layers": ["one/layer.tar"]}])),
    "no such layer": ("error missing-part", lambda: docker([{"Config": "config.json", "RepoTags": [], "Layers": ["two/layer.tar"]}])),
    "no list of layers": ("error missing-field", lambda: docker([{"Config": "config.json"}]), "fatal diff-id-count"),
    "a layer that is a link": ("error layer-through-link", lambda: docker([{"Config": "config.json", "RepoTags": None, "Layers": ["two/layer.tar"]}], **{"two/layer.tar": "../one/layer.tar"})),
    "a tag that is none": ("error invalid-tag", lambda: docker([{"Config": "config.json", "RepoTags": ["App:1"], "Layers": ["one/layer.tar"]}])),
    "a tag twice": ("error duplicate-tag", lambda: docker([{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["one/layer.tar"]}] * 2)),
    "other layers than in the layout": ("error disagreement", lambda: two_orders(), "fatal diff-id-mismatch"),
    "a layer of another image": ("fatal diff-id-mismatch", lambda: docker(**{"one/layer.tar": tar_of({"x": b""})}), "warning unknown-user"),
    "no index.json": ("fatal missing-file", lambda: layout(files=lambda files: files.pop("index.json"))),
    "a manifest.json that is no array": ("fatal invalid-json", lambda: docker({"Config": "config.json"})),
}


def two_orders():
    """As docker 25.0.0 wrote them."""
    upper = tar_of({"x": b""})
    made = layout(layers=(BASE, upper), manifest=to(lambda all: all[::-1], "layers"))
    config = next(path for path, data in made.items() if b"rootfs" in data)
    return {**made, "manifest.json": text([{"Config": config, "RepoTags": [], "Layers": [blob(BASE), blob(upper)]}])}


TABLES = (DOCUMENTS, BLOBS, LAYOUTS, CONFIGS, LAYERS, ARCHIVES)


class Judged(TempCase):
    def put(self, files, name="layout"):
        """A directory of these files; a text is the target of a link."""
        top = self.dir / name
        shutil.rmtree(top, ignore_errors=True)
        top.mkdir()
        for path, data in files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(data, str):
                (top / path).symlink_to(data)
            else:
                (top / path).write_bytes(data)
        return top

    def write(self, name, data):
        (self.dir / name).write_bytes(data)
        return self.dir / name

    def validate(self, *words, check=False, **options):
        return run(KEG, "--root", self.dir / "store", "validate", *words, check=check, **options)

    def report(self, *words, kind=None, **options):
        result = self.validate("--format", "json", *words, **options)
        self.assertEqual(result.stderr, "")
        report = json.loads(result.stdout)
        if kind:
            self.assertEqual(report["kind"], kind)
        counts = report["counts"]
        self.assertEqual(result.returncode, int(counts["fatal"] + counts["error"] > 0), result.stdout)
        return report

    def found(self, *words, **options):
        return {f"{finding['severity']} {finding['code']}" for finding in self.report(*words, **options)["findings"]}

    def finds_nothing(self, *words, but=(), **options):
        self.assertEqual(self.found(*words, **options) - set(but), set())


class Rules(Judged):
    def check_table(self, table, put, kind):
        for what, (wanted, make, *more) in table.items():
            with self.subTest(what):
                found = self.found(put(make()), kind=kind)
                if not wanted.startswith("info"):
                    found = {finding for finding in found if not finding.startswith("info")}
                self.assertEqual(found, {wanted, *more})

    def test_each_rule_for_documents(self):
        self.check_table(DOCUMENTS, self.put, "layout")

    def test_each_rule_for_blobs(self):
        self.check_table(BLOBS, self.put, "layout")

    def test_each_rule_for_layouts(self):
        self.check_table(LAYOUTS, self.put, "layout")

    def test_each_rule_for_configs(self):
        self.check_table(CONFIGS, self.put, "layout")

    def test_each_rule_for_layers(self):
        self.check_table(LAYERS, self.put, "layout")

    def test_each_rule_for_archives(self):
        self.check_table(ARCHIVES, lambda files: self.write("archive.tar", tar_of(files)), "archive")

    def test_an_archive_that_is_cut_off(self):
        self.assertIn("fatal invalid-archive", self.found("--type", "archive", self.write("a.tar", tar_of(docker())[:-12000])))
        self.assertIn("fatal corrupt-stream", self.found("--type", "archive", self.write("a.tgz", gzip_at(tar_of(docker()), 0)[:-20])))

    def test_a_layer_on_more_layers_than_are_remembered(self):
        """A layer is read once, on whatever it stands; it is kept for the second time, if it is not too large."""
        shared = tar(member("x", LINK, linkname="bin/sh"))
        other = tar_of({"lib": None})
        one, first = image(layers=(BASE, shared))
        two, second = image(layers=(other, shared), config=to("", "config", "User"))
        files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', **one, **two,
                 "index.json": text({"schemaVersion": 2, "manifests": [descriptor(first, MANIFEST), descriptor(second, MANIFEST)]})}
        self.assertEqual(self.found(self.put(files)), {"fatal bad-hard-link"})

    def test_a_bundle(self):
        def bundle(config=None, **files):
            return self.put({"config.json": text(config or default_config().encode()), "rootfs/bin/sh": b"", **files}, "bundle")
        self.finds_nothing(bundle(), kind="bundle")
        broken = json.loads(default_config())
        broken["process"]["cwd"] = "relative"
        self.assertEqual(self.found(bundle(broken)), {"error invalid-config"})
        broken = json.loads(default_config())
        broken["root"]["path"] = "nowhere"
        self.assertEqual(self.found(bundle(broken)), {"error missing-rootfs"})
        self.assertEqual(self.found(bundle(**{"keg.json": b"{}"})), {"warning invalid-origin"})
        shutil.rmtree(self.dir / "bundle")
        (self.dir / "bundle").mkdir()
        self.assertEqual(self.found("--type", "bundle", self.dir / "bundle"), {"fatal missing-file"})

    def test_each_rule_has_a_case_here(self):
        rules = {" ".join(line.split()[:2]) for line in self.validate("--rules", check=True).stdout.splitlines()}
        cases = {wanted for table in TABLES for wanted, _, *_ in table.values()}
        others = {"error invalid-config", "error missing-rootfs", "warning invalid-origin", "info not-stacked"}   # below and above
        self.assertEqual(rules - cases, others)
        self.assertEqual(cases - rules, set())


class Answers(Judged):
    def test_a_right_layout_has_nothing(self):
        self.finds_nothing(self.put(layout()), kind="layout")
        self.finds_nothing(self.put(indexed()))
        self.finds_nothing(self.put(nested(2)))
        self.finds_nothing(self.put(artifact(artifactType=ODD)), but={"info unknown-type"})
        self.finds_nothing(self.put(layout(stored=[gzip_at(BASE, 0)], layer_type=LAYER + "+gzip")))
        self.finds_nothing(self.put(layout(layers=[tar()], config=to("5", "config", "User"))))
        self.finds_nothing(self.put(layout(layers=[b""], config=to("5", "config", "User"))))
        self.finds_nothing(self.put(on_images()))
        self.finds_nothing(self.put(on_images(erofs.image(PASSWD), erofs.image({"etc": erofs.opaque({**PASSWD["etc"], "new": b""})}))))
        self.finds_nothing(self.put(layout(config=lambda config: config.update(history=None, author=None, unknown=1))))

    def test_an_archive_from_a_file_or_a_pipe_compressed_or_not(self):
        for make in (docker, layout):
            for pack in (lambda data: data, gzip.compress, lzma.compress):
                path = self.write("archive", pack(tar_of(make())))
                self.finds_nothing(path, kind="archive")
                result = run("sh", "-c", f"cat {path} | {KEG} --root {self.dir}/store validate -")
                self.assertEqual(result.stdout, "archive -: nothing found\n")

    def test_embedded_data_is_as_good_as_a_blob(self):
        files = layout(manifest=lambda manifest: manifest["config"].update(data=base64.b64encode(self.config()).decode()))
        del files[blob(self.config())]
        self.finds_nothing(self.put(files))

    @staticmethod
    def config():
        return next(data for data in image()[0].values() if b"rootfs" in data)

    def test_a_layer_alone(self):
        for pack in (lambda data: data, gzip.compress):
            path = self.write("layer", pack(BASE))
            self.finds_nothing(path, kind="layer", but={"info gzip-header"})
            self.finds_nothing("--type", "layer", path, kind="layer", but={"info gzip-header"})
            self.assertIn("layer -: ", run("sh", "-c", f"cat {path} | {KEG} --root {self.dir}/store validate --type layer -").stdout)
        path = self.write("layer", tar(member(".wh.y"), member("x", LINK, linkname="bin/sh"), member("manifest.json")))
        self.assertEqual(self.found("--type", "layer", path, kind="layer"), {"info lower-link"})

    def test_it_goes_on_behind_what_it_found(self):
        upper = tar(member("../x"), member("y"), member("y"))
        files = layout(layers=(bad_sum(BASE), upper), config=to("yesterday", "created"))
        self.assertLessEqual({"fatal invalid-tar", "fatal escaping-entry", "error duplicate-path", "warning invalid-time"}, self.found(self.put(files)))

    def test_a_line_a_finding_and_one_that_counts(self):
        top = self.put(layout(config=to("yesterday", "created"), layers=[tar_of({"x": b""})], files=lambda files: files.update({blob(b"x"): b"x"})))
        lines = self.validate(top).stdout.splitlines()
        self.assertEqual(lines[-1], f"layout {top}: 3 warnings")
        self.assertEqual(len({line.index("sha256:") for line in lines[:-1]}), 1, lines)
        self.assertRegex(lines[0], r'^warning  invalid-time +sha256:[0-9a-f]{12}/created +\S')

    def test_many_of_a_kind_are_counted(self):
        report = self.report("--type", "layer", self.write("layer", tar(*[member(f"../{i}") for i in range(1000)])))
        self.assertEqual(report["counts"]["fatal"], 1000)
        self.assertEqual(len(report["findings"]), 21)
        self.assertEqual(report["findings"][-1]["problem"], "and 980 more of these")

    def test_what_a_stranger_wrote_is_shown_with_its_control_characters(self):
        path = self.write("layer", tar(member("a\x1b[31m\nb", uid=2 ** 31)))
        shown = self.validate("--type", "layer", path).stdout
        self.assertNotIn("\x1b", shown)
        self.assertEqual(shown.count("\n"), 2)
        self.assertIn(r"a\x1b[31m\nb", shown)

    def test_the_exit_code_is_by_the_severity_that_is_asked_for(self):
        warned, wrong, broken = (self.put(layout(**how), name) for name, how in {
            "warned": {"config": to("yesterday", "created")}, "wrong": {"layer_type": LAYER + "+gzip"}, "broken": {"diff_ids": ["sha256:" + OTHER]}}.items())
        for path, codes in {warned: (0, 0, 1), wrong: (0, 1, 1), broken: (1, 1, 1)}.items():
            got = tuple(self.validate("--fail-on", severity, path).returncode for severity in ("fatal", "error", "warning"))
            self.assertEqual(got, codes, path)

    def test_what_cannot_be_judged_is_one_error_and_125(self):
        (self.dir / "empty").mkdir()
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(self.dir / "socket"))
        junk, right = self.write("junk", b"no tar at all\n" * 1000), self.put(layout())
        for words, says in {("nosuch/file.tar.gz/./x",): "no such file", ("NoSuch",): "No such image: NoSuch", ("nosuch",): "No such image: nosuch", ("--type", "layer", "nosuch"): "no such file",
                            (self.dir / "empty",): "neither an image layout nor a bundle", (junk,): "neither an archive nor a layer", (self.write("none", b""),): "neither",
                            ("--type", "tree", right): '--type "tree"', ("--format", "xml", right): '--format "xml"', ("--fail-on", "info", right): '--fail-on "info"',
                            ("--type", "layout", junk): "no directory", ("--type", "archive", right): "is a directory", ("--type", "layout", "-"): "not standard input",
                            (self.dir / "socket",): "socket", (): "nothing to judge"}.items():
            with self.subTest(words):
                result = self.validate(*words)
                self.assertEqual((result.returncode, result.stdout), (125, ""))
                self.assertRegex(result.stderr, r"\Akeg: [^\n]+\n\Z")
                self.assertIn(says, result.stderr)


class Hostile(Judged):
    """Whatever it is given, it ends, and says something."""

    def test_a_damaged_layout_has_an_end(self):
        right = layout(layers=(BASE, tar(member("x", LINK, linkname="bin/sh"))), stored=None)
        for seed in range(rounds(40)):
            choice = random.Random(seed)
            files = dict(right)
            path = choice.choice(sorted(files))
            data = bytearray(files[path])
            for _ in range(choice.randint(1, 4)):
                data[choice.randrange(len(data))] = choice.randrange(256)
            files[path] = bytes(data)
            with self.subTest(seed=seed):
                report = self.report(self.put(files))
                self.assertTrue(report["findings"] or files == right)

    def test_a_layer_of_zeros_without_end_costs_no_memory(self):
        info = tarfile.TarInfo("x")
        info.size = 512 << 20
        head = info.tobuf(tarfile.GNU_FORMAT)
        script = f"(printf '%s' '{base64.b64encode(head).decode()}' | base64 -d; head -c {info.size + 1024} /dev/zero) | gzip -1 > {self.dir}/layer"
        run("sh", "-c", script)
        result = run("sh", "-c", f"ulimit -v 300000; exec {KEG} --root {self.dir}/store validate {self.dir}/layer")
        self.assertIn("layer ", result.stdout)

    def test_ports_users_and_links_are_not_followed_for_ever(self):
        loop = tar(member("a", SYMLINK, linkname="b"), member("b", SYMLINK, linkname="a"), member("c", LINK, linkname="a/x"))
        self.assertIn("fatal bad-hard-link", self.found(self.put(layout(layers=(BASE, loop)))))
        archive = docker([{"Config": "a", "RepoTags": [], "Layers": ["one/layer.tar"]}], a="b", b="a")
        self.assertIn("error missing-part", self.found(self.write("loop.tar", tar_of(archive))))


@needs_root
class Written(StoreCase):
    """What keg and others write has nothing that is wrong."""

    def judge(self, *words, kind, allowed=()):
        report = json.loads(self.keg("validate", "--format", "json", "--fail-on", "error", *words).stdout)
        self.assertEqual(report["kind"], kind)
        self.assertEqual({f["code"] for f in report["findings"] if f["severity"] == "warning"} - set(allowed), set(), report["findings"])

    def setUp(self):
        super().setUp()
        (self.dir / "Dockerfile").write_text("FROM base\nRUN mkdir /srv && echo x > /srv/x && rm /bin/ls\nUSER nobody\nEXPOSE 80\n")
        self.keg("build", "--network", "none", "-t", "app", self.dir)

    def test_keg_writes_what_it_accepts(self):
        self.judge(self.store, kind="layout")
        self.judge("app", kind="image")
        self.judge("--type", "image", "base", kind="image")
        for form in ("docker-archive", "oci-archive"):
            self.keg("save", "--format", form, "-o", self.dir / f"{form}.tar", "app", "base")
            # As docker: the annotation is the tag alone, and a second one has the whole name.
            self.judge(self.dir / f"{form}.tar", kind="archive", allowed={"duplicate-name"})
        self.keg("unpack", "app", self.dir / "bundle")
        self.judge(self.dir / "bundle", kind="bundle")
        (self.dir / "bundle/rootfs/new").write_text("x")
        self.keg("repack", "-t", "app:2", self.dir / "bundle")
        self.judge("app:2", kind="image")

    @needs("skopeo")
    def test_what_skopeo_writes(self):
        source = f"oci:{self.store}:app:latest"
        for target, kind in {f"oci:{self.dir}/copy:app": "layout", f"oci-archive:{self.dir}/oci.tar:app": "archive", f"docker-archive:{self.dir}/docker.tar:app:1": "archive"}.items():
            with self.subTest(target):
                run("skopeo", "--insecure-policy", "copy", "-q", source, target)
                self.judge(target.split(":")[1], kind=kind)

    def test_what_tar_writes(self):
        for form in ("ustar", "pax", "gnu", "oldgnu"):
            run("tar", f"--format={form}", "-C", self.dir / "busybox", "-cf", self.dir / "layer.tar", ".")
            self.judge(self.dir / "layer.tar", kind="layer")


if __name__ == "__main__":
    unittest.main()
