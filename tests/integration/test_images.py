"""Images go in and out: archives, registries, tarballs; what is broken is refused and leaves nothing."""
import gzip
import json
import os
import socket
import subprocess
import unittest
import urllib.parse

from archives import MANIFEST, LAYER, FakeRegistry, config_of, docker_archive, files_of, registry_image, sha, tar_of
from keg import KEG, StoreCase, needs, needs_root, run, wait_until


@needs_root
class ImageCase(StoreCase):
    def other(self, *words, **options):
        """The same in a second store."""
        return run(KEG, "--root", self.dir / "other", *words, **options)


class Archives(ImageCase):
    def test_saved_archive_is_loaded_again(self):
        for form in ("docker-archive", "oci-archive"):
            with self.subTest(form):
                self.keg("save", "--format", form, "-o", self.dir / form, "base")
                result = self.other("load", "-i", self.dir / form)
                self.assertEqual(result.stdout, "Loaded image: base:latest\n")
                self.assertEqual(self.other("images", "-q", "--no-trunc", "base").stdout.strip(), self.image_id("base"))
                self.other("rmi", "base")

    def test_saving_twice_gives_the_same_bytes(self):
        for name in ("a", "b"):
            self.keg("save", "-o", self.dir / name, "base")
        self.assertEqual((self.dir / "a").read_bytes(), (self.dir / "b").read_bytes())

    def test_save_streams_to_a_pipe_and_load_reads_one(self):
        run("sh", "-c", f"{KEG} --root {self.store} save base | gzip | {KEG} --root {self.dir}/other load")
        self.assertIn("base", self.other("images").stdout)

    def test_several_images_and_names_travel_together(self):
        self.keg("tag", "base", "base:two")
        self.keg("import", "-c", "ENV A=1", self.dir / "busybox.tar", "localhost:5000/app:v1")
        self.keg("save", "-o", self.dir / "all.tar", "base", "localhost:5000/app:v1")
        result = self.other("load", "-i", self.dir / "all.tar")
        self.assertEqual(sorted(result.stdout.splitlines()),
                         ["Loaded image: base:latest", "Loaded image: base:two", "Loaded image: localhost:5000/app:v1"])

    def test_image_saved_by_id_has_no_name(self):
        self.keg("save", "-o", self.dir / "a.tar", self.image_id("base"))
        self.assertEqual(self.other("load", "-i", self.dir / "a.tar").stdout, f"Loaded image ID: {self.image_id('base')}\n")

    def test_save_to_a_terminal_is_refused(self):
        master, slave = os.openpty()
        result = subprocess.run([KEG, "--root", self.store, "save", "base"], stdout=slave, stderr=subprocess.PIPE, text=True)
        os.close(master)
        os.close(slave)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cowardly refusing to save to a terminal. Use the -o flag or redirect", result.stderr)

    def test_failed_save_leaves_the_old_file(self):
        target = self.write("a.tar", b"old")
        self.fails("save", "-o", target, "nothing", says="No such image: nothing")
        self.assertEqual(target.read_bytes(), b"old")
        self.assertEqual([p.name for p in self.dir.glob("a.tar*")], ["a.tar"])

    @needs("skopeo")
    def test_skopeo_reads_what_keg_saves(self):
        self.keg("save", "-o", self.dir / "d.tar", "base")
        self.keg("save", "--format", "oci-archive", "-o", self.dir / "o.tar", "base")
        for source in (f"docker-archive:{self.dir}/d.tar", f"oci-archive:{self.dir}/d.tar", f"oci-archive:{self.dir}/o.tar"):
            with self.subTest(source):
                run("skopeo", "inspect", source)
                run("skopeo", "copy", source, f"dir:{self.dir}/out")
        self.assertEqual(json.loads(run("skopeo", "inspect", f"docker-archive:{self.dir}/d.tar").stdout)["Layers"],
                         json.loads(self.keg("image", "inspect", "base").stdout)[0]["RootFS"]["Layers"])

    @needs("skopeo")
    def test_keg_loads_what_skopeo_writes(self):
        self.keg("save", "-o", self.dir / "d.tar", "base")
        for target in ("docker-archive:{}:hello:stable", "oci-archive:{}:hello:stable"):
            with self.subTest(target):
                path = self.dir / "skopeo.tar"
                path.unlink(missing_ok=True)
                run("skopeo", "copy", f"docker-archive:{self.dir}/d.tar", target.format(path))
                self.assertEqual(self.other("load", "-i", path).stdout, "Loaded image: hello:stable\n")
                # Between the forms skopeo writes the config anew: the layers are what must be the same.
                layers = lambda keg, name: keg("image", "inspect", "-f", "{{json .RootFS.Layers}}", name).stdout
                self.assertEqual(layers(self.other, "hello:stable"), layers(self.keg, "base"))
                self.other("rmi", "hello:stable")

    @needs("podman")
    def test_podman_loads_what_keg_saves(self):
        self.keg("tag", "base", "hello:stable")
        for form in ("docker-archive", "oci-archive"):
            with self.subTest(form):
                self.keg("save", "--format", form, "-o", self.dir / form, "hello:stable")
                podman = ["podman", "--root", self.dir / f"podman-{form}", "--runroot", self.dir / "podman-run", "--storage-driver", "vfs"]
                self.assertIn("hello:stable", run(*podman, "load", "-i", self.dir / form).stdout)
                shown = json.loads(run(*podman, "image", "inspect", "hello:stable").stdout)[0]
                self.assertEqual("sha256:" + shown["Id"], self.image_id("base"))

    def test_old_docker_archive_with_links_and_compression_is_loaded(self):
        item = {"Config": "c.json", "RepoTags": None, "Layers": ["a/layer.tar", "b/layer.tar"]}
        archive = tar_of({"a/VERSION": b"1.0", "a/json": b"{}", "a/layer.tar": gzip.compress(LAYER), "b/layer.tar": "../a/layer.tar",
                          "c.json": config_of(LAYER, LAYER), "manifest.json": json.dumps([item]).encode()})
        result = self.keg("load", "-i", self.write("old.tar.gz", gzip.compress(archive)))
        self.assertIn("Loaded image ID: sha256:", result.stdout)


class BadArchives(ImageCase):
    def refused(self, data, says=()):
        before = files_of(self.store)
        result = self.fails("load", "-i", self.write("bad", data), code=1, says=says)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        self.assertEqual(files_of(self.store), before)

    def test_junk_is_refused_and_leaves_nothing(self):
        for data in (b"", b"junk", os.urandom(100_000), b"\0" * 10240, gzip.compress(b"junk"), b"{" * 1_000_000):
            with self.subTest(data[:8]):
                self.refused(data)

    def test_truncated_archive_leaves_nothing(self):
        whole = docker_archive(names=("cut:1",))
        for size in (600, 1100, len(whole) // 2, 5000):
            with self.subTest(size):
                self.refused(whole[:size])
        self.refused(gzip.compress(whole)[:-20])

    def test_truncated_layer_is_refused(self):
        self.refused(docker_archive(LAYER[:700]), says="diffID")
        self.refused(docker_archive(gzip.compress(LAYER)[:-10]))

    def test_layer_with_another_content_is_refused(self):
        other = tar_of({"hello": b"other\n"})
        self.refused(docker_archive(other), says="diffID")
        self.refused(docker_archive(gzip.compress(other)))

    def test_names_that_lead_out_are_refused(self):
        for name in ("../x", "/x", "a/../../x"):
            with self.subTest(name):
                self.refused(tar_of({name: b"x"}), says="leads out")
        self.assertFalse((self.dir / "x").exists())

    def test_upper_case_tag_in_an_archive_is_refused(self):
        self.refused(docker_archive(names=("Hello:stable",)), says="must be lowercase")

    def test_layer_that_is_no_tar_is_refused(self):
        junk = b"not a tar" * 1000
        manifest = [{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l"]}]
        self.refused(tar_of({"l": junk, "c.json": config_of(junk), "manifest.json": json.dumps(manifest).encode()}))


class Imports(ImageCase):
    def test_tarball_becomes_an_image_with_changes(self):
        result = self.keg("import", "-m", "made here", "-c", "ENV A=1 B='x y'", "-c", 'CMD ["/bin/sh"]', "-c", "EXPOSE 80",
                          self.dir / "busybox.tar", "app:v1")
        self.assertRegex(result.stdout, r"^sha256:[0-9a-f]{64}\n$")
        shown = json.loads(self.keg("image", "inspect", "app:v1").stdout)[0]
        self.assertEqual(shown["Id"], result.stdout.strip())
        self.assertEqual(shown["RepoTags"], ["app:v1"])
        self.assertEqual(shown["Config"]["Env"], ["A=1", "B=x y"])
        self.assertEqual(shown["Config"]["Cmd"], ["/bin/sh"])
        self.assertIn("made here", self.keg("history", "app:v1").stdout)

    def test_compression_does_not_change_the_layer(self):
        plain = self.keg("import", self.dir / "busybox.tar", "a").stdout
        data = (self.dir / "busybox.tar").read_bytes()
        self.write("b.tar.gz", gzip.compress(data))
        run("zstd", "-q", self.dir / "busybox.tar", "-o", self.dir / "b.tar.zst")
        layers = set()
        for name in ("busybox.tar", "b.tar.gz", "b.tar.zst"):
            self.keg("import", self.dir / name, "x")
            layers.add(str(json.loads(self.keg("image", "inspect", "x").stdout)[0]["RootFS"]["Layers"]))
        self.assertEqual(len(layers), 1, plain)

    def test_junk_is_refused_and_leaves_nothing(self):
        before = files_of(self.store)
        data = (self.dir / "busybox.tar").read_bytes()
        for junk in (b"", b"junk", data[:len(data) // 2], gzip.compress(data)[:-100]):
            with self.subTest(junk[:8]):
                self.fails("import", self.write("junk", junk), "junk", code=1)
                self.assertEqual(files_of(self.store), before)

    def test_bad_changes_and_names_are_refused_first(self):
        before = files_of(self.store)
        self.fails("import", "-c", "RUN x", self.dir / "busybox.tar", "a", says="RUN is not a valid change command")
        self.fails("import", self.dir / "busybox.tar", "Base", says="must be lowercase")
        self.fails("import", self.dir / "nothing.tar", "a", says="no such file or directory")
        self.assertEqual(files_of(self.store), before)


class Names(ImageCase):
    def test_listing_has_dockers_columns(self):
        lines = self.keg("images").stdout.splitlines()
        self.assertEqual(lines[0].split("  ")[0], "REPOSITORY")
        self.assertRegex(lines[1], r"^base +latest +[0-9a-f]{12} +\S.* ago +\S+B$")

    def test_templates_and_json(self):
        self.keg("tag", "base", "other/name:v1")
        self.assertEqual(self.keg("images", "--format", "{{.Repository}}:{{.Tag}}", "base").stdout, "base:latest\n")
        table = self.keg("images", "--format", r"table {{.Tag}}\t{{upper .Repository}}", "base").stdout.splitlines()
        self.assertEqual([line.split() for line in table], [["TAG", "REPOSITORY"], ["latest", "BASE"]])
        rows = [json.loads(line) for line in self.keg("images", "--format", "json").stdout.splitlines()]
        self.assertEqual(sorted(row["Repository"] for row in rows), ["base", "other/name"])
        self.fails("images", "--format", "{{.Nothing}}", says="template parsing error")
        self.fails("images", "--format", "{{if", says="template parsing error")

    def test_filters(self):
        self.keg("import", "-c", "LABEL a=b", self.dir / "busybox.tar", "labelled:1")
        self.keg("import", self.dir / "busybox.tar")
        shown = lambda *words: self.keg("images", "--format", "{{.Repository}}", *words).stdout.split()
        self.assertEqual(shown("--filter", "dangling=true"), ["<none>"])
        self.assertEqual(shown("-f", "label=a=b"), ["labelled"])
        self.assertEqual(shown("-f", "reference=b*"), ["base"])
        self.fails("images", "-f", "colour=red", says="invalid filter 'colour'")

    def test_bad_names_are_refused(self):
        self.fails("tag", "base", "Base:v1", says="invalid reference format: repository name (library/Base) must be lowercase")
        self.fails("tag", "base", "a:b:c", says="invalid reference format")
        self.fails("tag", "nothing", "x", says="No such image: nothing")

    def test_removing_names_then_the_image(self):
        identity = self.image_id("base")
        self.keg("tag", "base", "two")
        self.fails("rmi", identity[7:19], says="image is referenced in multiple repositories")
        self.assertEqual(self.keg("rmi", "two").stdout, "Untagged: two:latest\n")
        self.assertEqual(self.keg("rmi", "base").stdout, f"Untagged: base:latest\nDeleted: {identity}\n")
        self.assertEqual(list((self.store / "blobs/sha256").iterdir()), [])
        self.fails("rmi", "base", says="No such image: base")

    def test_prune_removes_dangling_images(self):
        self.keg("import", "-c", "ENV A=1", self.dir / "busybox.tar")
        self.assertIn("deleted: sha256:", self.keg("image", "prune", "-f").stdout)
        self.assertEqual(len(self.keg("images", "-q").stdout.split()), 1)
        self.assertIn("Total reclaimed space: 0B", self.keg("image", "prune", "-f").stdout)


@needs("docker-registry")
@needs("skopeo")
class Pulls(ImageCase):
    def setUp(self):
        super().setUp()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        self.write("registry.yml", f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.dir}/registry}}}}\n"
                                   f"http: {{addr: \"{self.host}\"}}\n".encode())
        self.registry = subprocess.Popen(["docker-registry", "serve", self.dir / "registry.yml"], stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop_registry)
        wait_until(self.registry_answers, "the registry")
        self.keg("save", "-o", self.dir / "base.tar", "base")
        run("skopeo", "copy", "--dest-tls-verify=false", f"docker-archive:{self.dir}/base.tar", f"docker://{self.host}/lib/base:v1")

    def registry_answers(self):
        host, port = self.host.split(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def stop_registry(self):
        self.registry.kill()
        self.registry.wait()

    def test_pulled_image_is_the_one_that_was_pushed(self):
        result = self.other("pull", f"{self.host}/lib/base:v1")
        self.assertIn(f"Status: Downloaded newer image for {self.host}/lib/base:v1", result.stdout)
        self.assertEqual(self.other("images", "-q", "--no-trunc").stdout.strip(), self.image_id("base"))
        again = self.other("pull", f"{self.host}/lib/base:v1").stdout
        self.assertIn(f"Status: Image is up to date for {self.host}/lib/base:v1", again)
        self.other("unpack", f"{self.host}/lib/base:v1", self.dir / "bundle")
        self.assertTrue((self.dir / "bundle/rootfs/bin/busybox").is_file())

    def test_pulled_by_digest(self):
        digest = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{self.host}/lib/base:v1").stdout)["Digest"]
        self.other("pull", "-q", f"{self.host}/lib/base@{digest}")
        self.assertEqual(self.other("images", "-q", "--no-trunc").stdout.strip(), self.image_id("base"))

    def test_what_was_pulled_is_saved_with_plain_layers(self):
        self.other("pull", "-q", f"{self.host}/lib/base:v1")
        self.other("save", "-o", self.dir / "again.tar", f"{self.host}/lib/base:v1")
        self.assertEqual(self.keg("load", "-i", self.dir / "again.tar").stdout, f"Loaded image: {self.host}/lib/base:v1\n")
        self.assertEqual(self.image_id(f"{self.host}/lib/base"), self.image_id("base"))

    def test_what_is_not_there_is_said_in_dockers_words(self):
        self.fails("pull", f"{self.host}/lib/base:v2", code=1,
                   says=f"manifest for {self.host}/lib/base:v2 not found: manifest unknown")
        self.fails("pull", f"{self.host}/nothing/here", code=1, says=["not found: manifest unknown"])
        self.fails("pull", f"{self.host}/lib/Base", says="must be lowercase")
        self.stop_registry()
        self.fails("pull", f"{self.host}/lib/base:v1", code=1, says=self.host)

    def test_damaged_blob_is_refused(self):
        blobs = sorted((self.dir / "registry").rglob("data"), key=lambda path: path.stat().st_size)
        data = bytearray(blobs[-1].read_bytes())
        data[len(data) // 2] ^= 1
        blobs[-1].write_bytes(data)
        result = self.other("pull", f"{self.host}/lib/base:v1", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(self.other("images", "-q").stdout, "")


class FakePulls(ImageCase):
    images = False
    INDEX = "application/vnd.oci.image.index.v1+json"

    def fake(self, answers):
        fake = FakeRegistry(answers)
        self.addCleanup(fake.stop)
        return fake

    def image(self, layer=LAYER, config=None, **changes):
        return registry_image("app", "v1", [layer], config, **changes)

    def test_anonymous_token_is_fetched_once_and_used(self):
        answers, _ = self.image()
        fake = self.fake({})

        def guarded(answer):
            def give(request):
                if request.headers.get("Authorization") == "Bearer good":
                    return answer
                return 401, {"WWW-Authenticate": f'Bearer realm="http://{fake.host}/token",service="a, b",scope="repository:app:pull"'}, b"{}"
            return give

        fake.answers = {path: guarded(answer) for path, answer in answers.items()}
        fake.answers["/token"] = (200, {}, b'{"token": "good"}')
        self.keg("pull", "-q", f"{fake.host}/app:v1")
        asked = [urllib.parse.parse_qs(path.split("?")[1]) for path, _ in fake.requests if path.startswith("/token")]
        self.assertEqual(asked, [{"scope": ["repository:app:pull"], "service": ["a, b"]}])

    def test_credentials_do_not_follow_a_redirect(self):
        answers, _ = self.image()
        other = self.fake(answers)
        redirected = {path: ((307, {"Location": f"http://{other.host}{path}"}, b"") if "/blobs/" in path else answer)
                      for path, answer in answers.items()}
        fake = self.fake({})

        def guarded(answer):
            return lambda request: answer if request.headers.get("Authorization") else (
                401, {"WWW-Authenticate": f'Bearer realm="http://{fake.host}/token"'}, b"{}")

        fake.answers = {path: guarded(answer) for path, answer in redirected.items()} | {"/token": (200, {}, b'{"access_token": "secret"}')}
        self.keg("pull", "-q", f"{fake.host}/app:v1")
        self.assertEqual({authorization for _, authorization in other.requests}, {None})
        self.assertEqual(len(other.requests), 2)

    def test_image_for_the_platform_is_taken_from_an_index(self):
        answers, manifest = self.image()
        entry = {"mediaType": MANIFEST, "digest": "sha256:" + sha(manifest), "size": len(manifest)}
        index = {"schemaVersion": 2, "mediaType": self.INDEX, "manifests": [
            entry | {"digest": "sha256:" + "0" * 64, "platform": {"os": "linux", "architecture": "s390x"}},
            entry | {"platform": {"os": "linux", "architecture": "amd64"}},
            entry | {"digest": "sha256:" + "1" * 64, "platform": {"os": "unknown", "architecture": "unknown"}}]}
        answers["/v2/app/manifests/v1"] = (200, {"Content-Type": self.INDEX}, json.dumps(index).encode())
        answers["/v2/app/manifests/sha256:" + sha(manifest)] = (200, {"Content-Type": MANIFEST}, manifest)
        fake = self.fake(answers)
        self.keg("pull", "-q", "--platform", "linux/amd64", f"{fake.host}/app:v1")
        self.fails("pull", "--platform", "linux/riscv64", f"{fake.host}/app:v1", says="no matching manifest for linux/riscv64")

    def test_a_name_is_that_of_the_index_it_was_pulled_by(self):
        answers, manifest = self.image()
        entry = {"mediaType": MANIFEST, "digest": "sha256:" + sha(manifest), "size": len(manifest)}
        arch = json.loads(config_of())["architecture"]
        index = json.dumps({"schemaVersion": 2, "mediaType": self.INDEX, "manifests": [
            entry | {"digest": "sha256:" + "0" * 64, "platform": {"os": "linux", "architecture": "s390x"}},
            entry | {"platform": {"os": "linux", "architecture": arch}}]}).encode()
        outer = json.dumps({"schemaVersion": 2, "mediaType": self.INDEX, "manifests": [
            {"mediaType": self.INDEX, "digest": "sha256:" + sha(index), "size": len(index), "platform": {"os": "linux", "architecture": arch}}]}).encode()
        for document in (index, outer):
            answers["/v2/app/manifests/sha256:" + sha(document)] = (200, {"Content-Type": self.INDEX}, document)
        answers["/v2/app/manifests/sha256:" + sha(manifest)] = (200, {"Content-Type": MANIFEST}, manifest)
        for document in (index, outer):
            answers["/v2/app/manifests/v1"] = (200, {"Content-Type": self.INDEX}, document)
            fake = self.fake(answers)
            digest = "sha256:" + sha(document)
            self.assertIn(f"Digest: {digest}\n", self.keg("pull", f"{fake.host}/app:v1").stdout)
            self.assertIn("up to date", self.keg("pull", f"{fake.host}/app:v1").stdout)
            self.keg("image", "prune", "-f")
            [shown] = json.loads(self.keg("image", "inspect", f"{fake.host}/app:v1").stdout)
            self.assertEqual(shown["RepoDigests"], [f"{fake.host}/app@{digest}"])
            self.keg("rmi", f"{fake.host}/app:v1")
            self.keg("pull", "-q", f"{fake.host}/app@{digest}")
            self.keg("image", "inspect", f"{fake.host}/app@{digest}")
            self.keg("system", "check")
            self.keg("save", "-o", self.dir / "saved.tar", f"{fake.host}/app@{digest}")
            self.keg("rmi", f"{fake.host}/app@{digest}")
            self.assertEqual(self.keg("images", "-q").stdout, "")

    def broken(self, line, answer_range=True):
        """Answers for a layer of half a megabyte, of which each transfer brings so many bytes."""
        answers, _ = self.image(tar_of({"data": os.urandom(500_000)}))
        path, (_, _, blob) = max(((path, answer) for path, answer in answers.items() if "/blobs/" in path), key=lambda each: len(each[1][2]))

        def give(request):
            asked = request.headers.get("Range")
            if not asked or not answer_range:
                return 200, {}, blob, next(line)
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            return 206, {"Content-Range": f"bytes {begin}-{len(blob) - 1}/{len(blob)}"}, blob[begin:], next(line)

        return answers | {path: give}

    def test_a_transfer_that_breaks_goes_on_where_it_was(self):
        fake = self.fake(self.broken(iter([100_000] * 20)))
        self.keg("pull", "-q", f"{fake.host}/app:v1")
        self.keg("rmi", f"{fake.host}/app:v1")
        fake.answers = self.broken(iter([300_000, 200_000, 600_000]), answer_range=False)   # the whole of it each time
        self.keg("pull", "-q", f"{fake.host}/app:v1")

    def test_a_registry_that_sends_another_part_is_refused(self):
        answers = self.broken(iter([200_000, 600_000]))
        path = next(path for path, answer in answers.items() if callable(answer))
        honest = answers[path]

        def lie(request):
            status, headers, body, sent = honest(request)
            return status, {name: "bytes 0-9/10" for name in headers}, body, sent

        fake = self.fake(answers | {path: lie})
        self.fails("pull", "-q", f"{fake.host}/app:v1", code=1, says="asked for the bytes from 200000")

    def test_a_line_that_brings_nothing_is_given_up(self):
        fake = self.fake(self.broken(iter([200_000] + [0] * 20)))
        self.fails("pull", "-q", f"{fake.host}/app:v1", code=1, says="/blobs/sha256:")
        self.assertLess(len(fake.requests), 10)

    def test_lies_of_a_registry_are_refused(self):
        answers, manifest = self.image()
        blobs = [path for path in answers if "/blobs/" in path]
        wrong = {blobs[0]: (200, {}, b"x"), blobs[1]: (200, {}, b"x" * 100_000)}
        cases = [
            (answers | {blobs[1]: wrong[blobs[1]]}, "larger than its manifest says"),
            (answers | {blobs[0]: wrong[blobs[0]]}, "fewer than"),
            (answers | {blobs[1]: (404, {}, b"")}, "fetching blob"),
            (answers | {"/v2/app/manifests/v1": (200, {"Content-Type": self.INDEX}, manifest)}, "but it is"),
            (answers | {"/v2/app/manifests/v1": (200, {"Content-Type": MANIFEST}, b"[" * 100_000)}, ""),
            (answers | {"/v2/app/manifests/v1": (200, {"Content-Type": MANIFEST}, b"x" * 5_000_000)}, "too large"),
            (answers | {"/v2/app/manifests/v1": (403, {}, b"<html>")}, "pull access denied for"),
            (self.image(manifests=[])[0], ""),
            (self.image(config=config_of(LAYER, LAYER))[0], "has 1 layers, but its config names 2"),
            (self.image(config=config_of(b"other"))[0], ""),
            (self.image(layers=[{"mediaType": "x", "digest": "sha256:../../x", "size": 1}])[0], "layers[0].digest: invalid digest"),
            (self.image(layers=[{"mediaType": "application/vnd.erofs.chunk-index.v1", "digest": "sha256:" + "0" * 64, "size": 1}])[0], "is no layer that can be unpacked"),
        ]
        for i, (answers, says) in enumerate(cases):
            fake = self.fake(answers)
            self.store = self.dir / str(i)
            with self.subTest(i):
                result = self.fails("pull", f"{fake.host}/app:v1", code=1, says=says)
                self.assertEqual([line[:5] for line in result.stderr.splitlines()][-1], "keg: ", result.stderr)
                self.assertEqual(self.keg("images", "-q").stdout, "")

    def test_a_registrys_words_reach_the_terminal_as_one_plain_line(self):
        error = {"code": "DENIED", "message": "no\n\x1b[2Jkeg: all is well" + "x" * 100_000}
        fake = self.fake({"/v2/": (200, {}, b"{}"), "/v2/app/manifests/v1": (403, {}, json.dumps({"errors": [error]}).encode())})
        said = self.fails("pull", "-q", f"{fake.host}/app:v1", says="denied: no").stderr
        self.assertEqual(len(said.splitlines()), 1)
        self.assertTrue(said.rstrip("\n").isprintable(), said)
        self.assertLess(len(said), 1000)

    def test_manifest_of_another_digest_is_refused(self):
        answers, manifest = self.image()
        digest = "sha256:" + "0" * 64
        answers["/v2/app/manifests/" + digest] = answers["/v2/app/manifests/v1"]
        fake = self.fake(answers)
        self.fails("pull", f"{fake.host}/app@{digest}", says="manifest verification failed for digest " + digest)


if __name__ == "__main__":
    unittest.main()
