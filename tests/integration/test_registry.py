"""Registries: what is asked of them, in which order, who is told who we are, and what happens when they do wrong."""
import base64
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import threading
import time
import unittest

from archives import MANIFEST, config_of, registry_image, sha, tar_of
from keg import KEG, StoreCase, needs, needs_root, run, wait_until
from registries import INDEX, Registry, answer, break_off, drip, lie


class RegistryCase(StoreCase):
    images = False

    def setUp(self):
        super().setUp()
        self.environment = {name: value for name, value in os.environ.items() if name not in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR")} | {
            "DOCKER_CONFIG": str(self.dir / "docker"), "HOME": str(self.dir), "XDG_CONFIG_HOME": str(self.dir / "config"),
            "CONTAINERS_REGISTRIES_CONF": str(self.write("registries.conf", b""))}

    def keg(self, *words, **options):
        return super().keg(*words, **{"env": getattr(self, "environment", None), **options})

    def registry(self, *words, **options):
        registry = Registry(*words, **options)
        self.addCleanup(registry.stop)
        return registry

    def image_in(self, registry, name, *layers):
        """An image of these layers, or of a small one, as NAME:1."""
        answers, manifest = registry_image(name, "1", layers or [tar_of({"hello": b"world"})])
        registry.put_image(answers, name)
        return json.loads(manifest)

    def import_as(self, name, files):
        self.keg("import", self.write("import.tar", tar_of(files)), name)

    def write_auth(self, registry, user, password, path=None, **more):
        path = path or self.dir / "docker/config.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"auths": {registry: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}, **more}))


class Pushes(RegistryCase):
    def setUp(self):
        super().setUp()
        self.there = self.registry()
        self.name = f"{self.there.host}/lib/app:1"

    def layers_there(self, name="lib/app", tag="1"):
        return [layer["digest"] for layer in json.loads(self.there.manifests[name, tag][1])["layers"]]

    def test_a_blob_is_asked_for_then_sent_and_what_names_it_comes_last(self):
        self.import_as(self.name, {"hello": b"world"})
        out = self.keg("push", self.name).stdout
        layer, = self.layers_there()
        config = json.loads(self.there.manifests["lib/app", "1"][1])["config"]["digest"]
        kinds = [line.split("?")[0] for line in self.there.asked() if not line.endswith("/v2/")]
        numbers = [number.rsplit("/", 1)[1] for number in kinds if number.startswith("PUT") and "uploads" in number]
        blobs = lambda digest, number: [f"HEAD /v2/lib/app/blobs/{digest}", "POST /v2/lib/app/blobs/uploads/", f"PUT /v2/lib/app/blobs/uploads/{number}"]
        self.assertEqual(kinds, blobs(layer, numbers[0]) + blobs(config, numbers[1]) + ["PUT /v2/lib/app/manifests/1"])
        text = self.there.manifests["lib/app", "1"][1]
        self.assertEqual(out, f"The push refers to repository [{self.there.host}/lib/app]\n1: digest: sha256:{sha(text)} size: {len(text)}\n")

    def test_a_second_push_sends_nothing(self):
        self.import_as(self.name, {"big": os.urandom(300_000)})
        self.keg("push", "-q", self.name)
        self.assertGreater(self.there.received, 300_000)
        self.there.forget()
        self.assertEqual(self.keg("push", "-q", self.name).stdout, self.name + "\n")
        self.assertLess(self.there.received, 2000)   # the manifest
        self.assertEqual(self.there.asked("POST", "PATCH"), [])

    def test_what_was_pushed_is_the_same_image_when_it_is_pulled(self):
        self.import_as(self.name, {"hello": b"world", "zeros": bytes(100_000)})
        before = self.image_id(self.name)
        for words, compression in ((["--compression=gzip"], "+gzip"), (["--compression-level=9"], "+gzip"), (["--compression=zstd"], "+zstd"),
                                   (["--compression=none"], ""), (["--compression=zstd", "--compression-level=19"], "+zstd")):
            self.keg("push", "-q", *words, self.name)
            manifest = json.loads(self.there.manifests["lib/app", "1"][1])
            self.assertEqual([layer["mediaType"] for layer in manifest["layers"]], ["application/vnd.oci.image.layer.v1.tar" + compression])
            store, self.store = self.store, self.dir / ("other" + "".join(words))
            self.keg("pull", "-q", self.name)
            self.assertEqual(self.image_id(self.name), before)
            self.store = store

    def test_what_was_pulled_is_pushed_with_its_own_digest(self):
        other = self.registry()
        self.image_in(other, "app")
        self.keg("pull", "-q", f"{other.host}/app:1")
        self.keg("tag", f"{other.host}/app:1", self.name)
        self.assertIn("sha256:" + sha(other.manifests["app", "1"][1]), self.keg("push", self.name).stdout)
        self.assertEqual(self.there.manifests["lib/app", "1"], other.manifests["app", "1"])

    def test_an_image_of_the_same_registry_is_mounted_and_not_sent(self):
        self.image_in(self.there, "lib/base", tar_of({"big": os.urandom(300_000)}))
        self.keg("pull", "-q", f"{self.there.host}/lib/base:1")
        self.keg("tag", f"{self.there.host}/lib/base:1", self.name)
        self.there.forget()
        self.assertIn("Mounted from lib/base", self.keg("push", self.name).stderr)
        self.assertLess(self.there.received, 2000)
        # And what went to one repository is mounted in the next.
        self.import_as(f"{self.there.host}/one:1", {"big": os.urandom(300_000)})
        self.keg("push", "-q", f"{self.there.host}/one:1")
        self.keg("tag", f"{self.there.host}/one:1", f"{self.there.host}/two:1")
        self.there.forget()
        self.keg("push", "-q", f"{self.there.host}/two:1")
        self.assertLess(self.there.received, 2000)

    def test_an_upload_that_breaks_off_goes_on_where_the_registry_is(self):
        self.import_as(self.name, {"big": os.urandom(1_000_000)})
        self.there.fail("PUT", "/uploads/", break_off(read=400_000))
        self.there.fail("PATCH", "/uploads/", break_off(read=400_000))
        self.keg("push", "-q", "--compression=none", self.name)
        self.assertIn("GET", [method for method, url, _ in self.there.log if "/uploads/" in url])
        self.assertLess(self.there.received, 1_100_000)
        self.keg("pull", "-q", self.name)

    def test_an_upload_that_the_registry_has_forgotten_begins_anew(self):
        self.import_as(self.name, {"big": os.urandom(1_000_000)})
        self.there.fail("PUT", "/uploads/", break_off(read=400_000))
        self.there.fail("GET", "/uploads/", answer(404))
        self.keg("push", "-q", self.name)
        self.assertEqual(len(self.there.asked("POST")), 3)

    def test_a_large_blob_goes_in_pieces(self):
        self.import_as(self.name, {"big": bytes(150 << 20)})
        self.there.fail("PATCH", "/uploads/", break_off(read=1_000_000))
        self.keg("push", "-q", "--compression=none", self.name)
        ranges = [headers["Content-Range"] for method, _, headers in self.there.log if "Content-Range" in headers]
        ends = [tuple(map(int, each.split("-"))) for each in ranges]
        self.assertEqual(ends[0], (0, (64 << 20) - 1))
        self.assertEqual(ends[1], (1_000_000, 1_000_000 + (64 << 20) - 1))
        self.assertTrue(all(after[0] == before[1] + 1 for before, after in zip(ends[1:], ends[2:])), ends)
        self.assertEqual(self.there.asked("PATCH").__len__(), 3)

    def test_a_busy_registry_is_asked_again_when_it_wants_to_be(self):
        self.import_as(self.name, {"hello": b"world"})
        self.there.fail("HEAD", "/blobs/", answer(429, {"Retry-After": "1"}))
        self.there.fail("POST", "/uploads/", answer(503))
        self.there.fail("PUT", "/uploads/", answer(502))
        self.there.fail("PUT", "/manifests/", answer(500))
        begin = time.monotonic()
        self.keg("push", "-q", self.name)
        self.assertGreater(time.monotonic() - begin, 2)
        self.assertIn(("lib/app", "1"), self.there.manifests)

    def test_a_registry_that_wants_too_long_a_wait_is_given_up(self):
        self.import_as(self.name, {"hello": b"world"})
        self.there.fail("HEAD", "/blobs/", answer(429, {"Retry-After": "3600"}), times=2)
        self.there.fail("POST", "/uploads/", answer(429, {"Retry-After": "3600"}), times=9)
        begin = time.monotonic()
        self.fails("push", self.name, code=1, says=("toomanyrequests", "status 429", self.there.host))
        self.assertLess(time.monotonic() - begin, 20)

    def test_all_tags_of_a_repository_are_pushed(self):
        self.import_as(self.name, {"hello": b"world"})
        self.keg("tag", self.name, f"{self.there.host}/lib/app:2")
        out = self.keg("push", "-a", f"{self.there.host}/lib/app").stdout
        self.assertEqual(sorted(line.split(":")[0] for line in out.splitlines()[1:]), ["1", "2"])
        self.assertEqual(self.there.manifests["lib/app", "1"], self.there.manifests["lib/app", "2"])
        self.fails("push", "-a", self.name, code=1, says="tag can't be used with --all-tags/-a")

    def test_what_cannot_be_pushed_is_said_in_dockers_words(self):
        self.fails("push", f"{self.there.host}/nothing", code=1, says=f"An image does not exist locally with the tag: {self.there.host}/nothing")
        self.fails("push", f"{self.there.host}/nothing@sha256:" + "0" * 64, code=1, says="cannot push a digest reference")
        self.import_as(self.name, {"hello": b"world"})
        for fault, says in ((answer(403, {}, b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}'),
                             "denied: requested access to the resource is denied"),
                            (answer(403), "denied: requested access to the resource is denied"),
                            (answer(405, {"Content-Type": "text/html"}, b"<html>log in</html>"), "a page of type text/html")):
            self.there.fail("POST", "/uploads/", fault)
            said = self.fails("push", self.name, code=1, says=(says, f"registry {self.there.host}, repository lib/app, status 40")).stderr
            self.assertNotIn("secret", said)
        self.fails("push", "--compression=lzma", self.name, says='unknown compression "lzma"')
        self.fails("push", "--compression-level=12", self.name, says="from 1 to 9")

    def test_an_index_goes_with_all_that_is_in_it_or_not_at_all(self):
        other = self.registry()
        manifest = self.image_in(other, "app")
        text = other.manifests["app", "1"][1]
        arch = json.loads(config_of())["architecture"]
        entry = {"mediaType": MANIFEST, "digest": "sha256:" + sha(text), "size": len(text), "platform": {"os": "linux", "architecture": arch}}
        foreign = {"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "size": 7, "platform": {"os": "linux", "architecture": "s390x"}}
        for entries, whole in (([entry], True), ([entry, foreign], False)):
            index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
            other.manifests["app", "2"] = (INDEX, index)
            self.keg("pull", "-q", "--platform", f"linux/{arch}", f"{other.host}/app:2")
            self.keg("tag", f"{other.host}/app:2", self.name)
            result = self.keg("push", self.name)
            self.assertEqual(self.there.manifests["lib/app", "1"], (INDEX, index) if whole else (MANIFEST, text))
            self.assertEqual("Not all multiplatform-content" in result.stderr, not whole)
        self.assertTrue(manifest)


class Elsewhere(RegistryCase):
    """Blobs that are not, or need not be, where the image is."""

    FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

    def setUp(self):
        super().setUp()
        self.there, self.stranger = self.registry(), self.registry()
        manifest = self.image_in(self.there, "app")
        self.layer = manifest["layers"][0]
        self.change(manifest, mediaType=self.FOREIGN, urls=[f"http://{self.stranger.host}/layer?token=secret"])

    def change(self, manifest, **words):
        """The image's layer has these words, too."""
        self.layer = manifest["layers"][0] | words
        text = json.dumps(manifest | {"layers": [self.layer]}).encode()
        for reference in ("1", "sha256:" + sha(text)):
            self.there.manifests["app", reference] = (MANIFEST, text)
        return manifest

    def test_nothing_is_fetched_from_where_an_image_says(self):
        self.there.places.remove(("app", self.layer["digest"]))
        said = self.fails("pull", f"{self.there.host}/app:1", code=1, says=(
            f"fetching blob {self.layer['digest']}: the registry has it not", f'"http://{self.stranger.host}/layer"',
            "keg fetches nothing from where an image says", f"registry {self.there.host}, repository app, status 404")).stderr
        self.assertNotIn("secret", said)
        self.assertEqual((self.stranger.log, self.keg("images", "-q").stdout), ([], ""))

    def test_a_layer_that_is_not_to_be_given_away_is_not_pushed(self):
        other = self.registry()
        self.keg("pull", "-q", f"{self.there.host}/app:1")
        self.keg("tag", f"{self.there.host}/app:1", f"{other.host}/app:1")
        self.assertIn("Skipped foreign layer", self.keg("push", f"{other.host}/app:1").stderr)
        self.assertEqual(other.manifests["app", "1"], self.there.manifests["app", "1"])
        self.assertNotIn(("app", self.layer["digest"]), other.places)

    def test_bytes_in_a_descriptor_need_not_be_fetched_and_wrong_ones_are_not_taken(self):
        manifest = json.loads(self.there.manifests["app", "1"][1])
        right = base64.b64encode(self.there.blobs[self.layer["digest"]]).decode()
        for number, (data, asked) in enumerate([(right, 0), (right.rstrip("="), 0), (base64.b64encode(b"wrong").decode(), 1), ("?", 1)]):
            self.store = self.dir / f"store{number}"
            self.change(manifest, data=data)
            self.there.forget()
            self.keg("pull", "-q", f"{self.there.host}/app:1")
            self.assertEqual(len([line for line in self.there.asked("GET") if self.layer["digest"] in line]), asked)


class Retries(RegistryCase):
    def setUp(self):
        super().setUp()
        self.there = self.registry()
        self.manifest = self.image_in(self.there, "app", tar_of({"big": os.urandom(3_000_000)}))
        self.layer = self.manifest["layers"][0]
        self.name = f"{self.there.host}/app:1"

    def ranges(self):
        return [headers.get("Range") for _, url, headers in self.there.log if self.layer["digest"] in url]

    def test_a_busy_registry_is_asked_again_for_documents_and_blobs(self):
        self.there.fail("GET", "/manifests/", answer(503))
        self.there.fail("GET", "/manifests/", answer(429, {"Retry-After": "1"}))
        self.there.fail("GET", self.layer["digest"], answer(500))
        self.there.fail("GET", self.layer["digest"], break_off(sent=1_000_000))
        self.keg("pull", "-q", self.name)
        self.assertEqual(self.ranges()[-1], "bytes=1000000-")

    def test_a_pull_that_is_killed_goes_on_in_the_next_command(self):
        self.there.fail("GET", self.layer["digest"], lambda request: (setattr(request, "stop_after", 2_000_000), request.route(), time.sleep(30)))
        process = subprocess.Popen([KEG, "--root", self.store, "pull", "-q", self.name], env=self.environment)
        partial = self.store / "partial" / self.layer["digest"].replace(":", "-")
        wait_until(lambda: partial.exists() and partial.stat().st_size == 2_000_000, "two megabytes")
        process.kill()
        process.wait()
        self.keg("pull", "-q", self.name)
        self.assertEqual(self.ranges(), [None, "bytes=2000000-"])
        self.assertEqual(os.listdir(self.store / "partial"), [])

    def test_a_part_with_wrong_bytes_is_thrown_away(self):
        (self.store / "partial").mkdir(parents=True)
        (self.store / "partial" / self.layer["digest"].replace(":", "-")).write_bytes(bytes(2_000_000))
        self.keg("image", "prune", "-f")   # too young to be collected
        self.keg("pull", "-q", self.name)
        self.assertEqual(self.ranges(), ["bytes=2000000-", None])

    def test_a_part_that_nobody_went_on_with_for_a_day_is_collected(self):
        self.keg("pull", "-q", self.name)
        part = self.store / "partial" / ("sha256-" + "0" * 64)
        part.write_bytes(b"x" * 1000)
        self.keg("image", "prune", "-f")
        self.assertTrue(part.exists())
        os.utime(part, (time.time() - 90_000,) * 2)
        self.keg("image", "prune", "-f")
        self.assertFalse(part.exists())

    def test_what_two_commands_want_is_fetched_once(self):
        honest = self.there.fail
        honest("GET", self.layer["digest"], lambda request: (time.sleep(1), request.route()))
        threads = [threading.Thread(target=self.keg, args=("pull", "-q", self.name)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.ranges(), [None])
        self.assertEqual(self.keg("system", "check").returncode, 0)

    def test_a_registry_that_drips_is_given_up(self):
        self.environment["KEG_REGISTRY_TIMEOUT"] = "2s"
        self.there.fail("GET", self.layer["digest"], drip, times=9)
        begin = time.monotonic()
        self.fails("pull", "-q", self.name, code=1, says="/blobs/sha256:")
        self.assertLess(time.monotonic() - begin, 60)
        self.environment["KEG_REGISTRY_TIMEOUT"] = "soon"
        self.fails("pull", "-q", self.name, code=1, says="KEG_REGISTRY_TIMEOUT")

    def test_a_registry_that_is_broken_for_good_is_given_up(self):
        self.there.fail("GET", "/manifests/", answer(503), times=99)
        self.fails("pull", "-q", self.name, code=1, says=("status 503", self.there.host, "repository app"))
        self.assertLess(len(self.there.asked()), 10)

    def test_a_page_for_logging_in_is_called_so(self):
        page = b"<html><form>Welcome to our network</form></html>"
        self.there.fail("GET", "/manifests/", answer(200, {"Content-Type": "text/html"}, page))
        self.fails("pull", "-q", self.name, code=1, says=("no JSON", "a page of type text/html"))
        self.there.fail("GET", "/manifests/", answer(403, {"Content-Type": "text/html"}, page))
        self.fails("pull", "-q", self.name, code=1, says=("status 403", "a page of type text/html"))

    def test_a_redirect_that_never_ends_is_refused(self):
        self.there.fail("GET", "/manifests/", answer(307, {"Location": "/v2/app/manifests/1"}), times=99)
        self.fails("pull", "-q", self.name, code=1, says="redirects")
        self.assertLess(len(self.there.asked()), 15)

    def test_one_connection_serves_many_requests(self):
        accepted = []
        get_request = self.there.server.get_request
        self.there.server.get_request = lambda: accepted.append(1) or get_request()
        self.keg("pull", "-q", self.name)
        self.assertLessEqual(len(accepted), 4)   # one is asked whether it speaks TLS

    def test_a_proxy_is_not_asked_for_this_machine(self):
        self.environment |= {"http_proxy": "http://192.0.2.1:9", "https_proxy": "http://192.0.2.1:9", "ALL_PROXY": "http://192.0.2.1:9"}
        self.keg("pull", "-q", self.name)


def refusal(status, code, message, **headers):
    return answer(status, {"Content-Type": "application/json", **headers}, json.dumps({"errors": [{"code": code, "message": message}]}).encode())


class Refusals(RegistryCase):
    """Whatever is asked for and refused: the registry's words, with who has said them of what."""

    PAGE = b"<html>Welcome to our network</html>"
    CHALLENGE = {"WWW-Authenticate": 'Basic realm="a registry"'}
    TOO_LONG = {"Retry-After": "3600"}   # for a busy registry to be asked again

    def pages(self):
        """Of a network to which one has to log in: of any status."""
        return [(answer(status, {"Content-Type": "text/html"}, self.PAGE), ("no registry's answer but a page of type text/html", f"status {status}"))
                for status in (200, 403, 404)]

    def refused(self, words, method, url, answers, where):
        there, _, repository = where.partition("/")
        for fault, says in answers:
            self.there.fail(method, url, fault)
            says = says if isinstance(says, tuple) else (says,)
            result = self.fails(*words, code=1, says=(*says, f"registry {there}, repository {repository}"))
            self.assertEqual((len(result.stderr.splitlines()), self.there.faults), (1, []), result.stderr)
            self.assertNotIn("Welcome", result.stderr)

    def setUp(self):
        super().setUp()
        self.there = self.registry()

    def test_of_a_pull(self):
        manifest = self.image_in(self.there, "lib/app")
        name, where = f"{self.there.host}/lib/app:1", f"{self.there.host}/lib/app"
        pull = ["pull", "-q", name]
        none = f"pull access denied for {where}, repository does not exist or may require 'docker login': "
        self.refused(pull, "GET", "/manifests/", [
            (answer(401, self.CHALLENGE), (none + "no basic auth credentials", "status 401")),
            (answer(401), (none + "unauthorized: authentication required", "status 401")),
            (refusal(403, "DENIED", "not for you"), (none + "denied: not for you", "status 403")),
            (refusal(404, "NAME_UNKNOWN", "no such repository"), (none + "name unknown: no such repository", "status 404")),
            (refusal(404, "MANIFEST_UNKNOWN", "manifest unknown"), (f"manifest for {name} not found: manifest unknown: manifest unknown", "status 404")),
            (refusal(400, "NAME_INVALID", "no"), (f'invalid repository name "lib/app": name invalid: no', "status 400")),
            (refusal(429, "TOOMANYREQUESTS", "you have reached your limit", **self.TOO_LONG),
             (f"pulling {name}: toomanyrequests: you have reached your limit", "status 429")),
            (refusal(418, "TEAPOT", "short and stout"), (f"pulling {name}: teapot: short and stout", "status 418")),
            *self.pages()], where)
        for blob in (manifest["config"], *manifest["layers"]):
            doing = f"fetching blob {blob['digest']}: "
            self.refused(pull, "GET", f"/blobs/{blob['digest']}", [
                (answer(401), (doing + "unauthorized: authentication required", "status 401")),
                (refusal(403, "DENIED", "not for you"), (doing + "denied: not for you", "status 403")),
                (refusal(404, "BLOB_UNKNOWN", "blob unknown"), (doing + "blob unknown: blob unknown", "status 404")),
                (answer(429, self.TOO_LONG), (doing + "toomanyrequests: too many requests", "status 429")),
                *self.pages()], where)
        self.assertEqual(self.keg("images", "-q").stdout, "")

    def test_of_a_push(self):
        name, where = f"{self.there.host}/lib/app:1", f"{self.there.host}/lib/app"
        self.import_as(name, {"hello": b"world"})
        push, doing = ["push", "-q", name], f"pushing {name}: "
        common = [(answer(401, self.CHALLENGE), (doing + "no basic auth credentials", "status 401")),
                  (refusal(403, "DENIED", "not for you"), (doing + "denied: not for you", "status 403")),
                  (answer(403), (doing + "denied: requested access to the resource is denied", "status 403"))]
        busy = [(answer(429, self.TOO_LONG), (doing + "toomanyrequests: too many requests", "status 429"))]
        self.refused(push, "HEAD", "/blobs/", [common[0], common[2]], where)   # which have no body
        self.refused(push, "POST", "/blobs/uploads/", common + busy + [
            (refusal(400, "NAME_INVALID", "no"), (doing + "name invalid: no", "status 400")),
            (answer(405), (doing + "unsupported: the operation is unsupported", "status 405")), *self.pages()[:2]], where)
        self.refused(push, "PUT", "/blobs/uploads/", common + busy + [
            (refusal(400, "DIGEST_INVALID", "another digest"), (doing + "digest invalid: another digest", "status 400")),
            (answer(413), (doing + "too large: the registry, or a proxy before it, takes no more at once", "status 413")), *self.pages()[:2]], where)
        self.refused(push, "PUT", "/manifests/", common + busy + [
            (refusal(400, "MANIFEST_INVALID", "no manifest"), (doing + "manifest invalid: no manifest", "status 400")),
            (refusal(404, "MANIFEST_BLOB_UNKNOWN", "a blob"), (doing + "manifest blob unknown: a blob", "status 404")),
            (answer(413), (doing + "too large", "status 413")), *self.pages()], where)
        self.assertEqual(self.there.manifests, {})

    def test_of_a_list_of_tags(self):
        where = f"{self.there.host}/lib/app"
        none = f"pull access denied for {where}, repository does not exist or may require 'docker login': "
        self.refused(["pull", "-q", "-a", where], "GET", "/tags/list", [
            (answer(401, self.CHALLENGE), (none + "no basic auth credentials", "status 401")),
            (refusal(403, "DENIED", "not for you"), (none + "denied: not for you", "status 403")),
            (refusal(404, "NAME_UNKNOWN", "no such repository"), (none + "name unknown: no such repository", "status 404")),
            (answer(429, self.TOO_LONG), ("toomanyrequests: too many requests", "status 429")),
            *self.pages()], where)

    def test_who_may_not_mount_sends(self):
        self.image_in(self.there, "lib/base")
        self.keg("pull", "-q", f"{self.there.host}/lib/base:1")
        for number, fault in enumerate((answer(401), answer(403), answer(404), answer(405), answer(200, {"Content-Type": "text/html"}, self.PAGE))):
            name = f"{self.there.host}/app{number}:1"
            self.keg("tag", f"{self.there.host}/lib/base:1", name)
            self.there.fail("POST", "mount=", fault)
            self.keg("push", "-q", name)
            self.assertEqual((self.there.manifests[f"app{number}", "1"], self.there.faults), (self.there.manifests["lib/base", "1"], []))

    def test_a_page_does_not_say_that_something_is_there(self):
        name = f"{self.there.host}/lib/app:1"
        self.import_as(name, {"hello": b"world"})
        self.there.fail("HEAD", "/blobs/", answer(200, {"Content-Type": "text/html"}), times=2)
        self.keg("push", "-q", name)
        self.assertEqual(len(self.there.asked("POST")), 2)


class Tags(RegistryCase):
    """pull -a: all that a repository has."""

    def setUp(self):
        super().setUp()
        self.there = self.registry()
        self.image_in(self.there, "app")
        for tag in ("2", "3", "stable", "v1.0_x-y"):
            self.there.manifests["app", tag] = self.there.manifests["app", "1"]
        self.app = f"{self.there.host}/app"

    def names(self):
        return sorted(line.split(":")[-1] for line in self.keg("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split() if "/app:" in line)

    def test_all_tags_are_pulled_whatever_pages_they_come_in(self):
        self.keg("pull", "-a", self.app)
        self.assertEqual(self.names(), ["1", "2", "3", "stable", "v1.0_x-y"])

    def test_what_is_no_image_is_passed_by_and_what_fails_is_named(self):
        signature = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
                                "config": {"mediaType": "application/vnd.example", "size": 2, "digest": "sha256:" + sha(b"{}")}}).encode()
        self.there.manifests["app", "signature"] = ("application/vnd.oci.image.manifest.v1+json", signature)
        done = self.keg("pull", "-q", "-a", self.app)
        self.assertIn("app:signature is not an image: its config is \"application/vnd.example\": passed by", done.stderr)
        self.there.manifests["app", "broken"] = ("application/vnd.oci.image.manifest.v1+json", b"{}")
        failed = self.keg("pull", "-q", "-a", self.app, check=False)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("app:broken", failed.stderr)
        self.assertEqual(self.names(), ["1", "2", "3", "stable", "v1.0_x-y"])

    def test_a_list_is_a_strangers(self):
        for body, words in ((b"<html>log in</html>", "the answer is no list of tags"), (b'{"tags": [3]}', "the answer is no list of tags"),
                            (b"[]", "the answer is no list of tags")):
            self.there.fail("GET", "/tags/", answer(200, body=body))
            self.fails("pull", "-a", self.app, code=1, says=words)
        self.there.fail("GET", "/tags/", answer(200, body=b'{"tags": ["../../etc", "--rm", "1"]}'))
        done = self.keg("pull", "-a", self.app)
        self.assertEqual(self.names(), ["1"])
        self.assertIn('a tag "../../etc", which is none', done.stderr)
        self.there.fail("GET", "/tags/", answer(404, body=b'{"errors": [{"code": "NAME_UNKNOWN", "message": "unknown"}]}'))
        self.fails("pull", "-a", self.app, code=1, says=f"pull access denied for {self.app}")

    def test_a_list_without_an_end_is_given_up(self):
        self.there.fail("GET", "/tags/", answer(200, {"Link": "</v2/app/tags/list>; rel=next"}, b'{"tags": []}'), times=110)
        self.fails("pull", "-a", self.app, code=1, says="the list has no end")

    def test_a_tag_and_all_tags_exclude_each_other(self):
        self.fails("pull", "-a", self.app + ":1", code=1, says="tag can't be used with --all-tags/-a")


class Platforms(RegistryCase):
    def test_all_images_of_an_index_are_pulled_when_asked(self):
        there = self.registry()
        digests = {}
        for architecture in ("amd64", "arm64"):
            manifest = self.image_in(there, "app", tar_of({architecture: os.urandom(1000)}))
            data = there.manifests["app", "1"][1]
            digests[architecture] = ("sha256:" + sha(data), len(data), manifest)
        index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
             "platform": {"os": "linux", "architecture": architecture}} for architecture, (digest, size, _) in digests.items()]}).encode()
        for reference in ("1", "sha256:" + sha(index)):
            there.manifests["app", reference] = ("application/vnd.oci.image.index.v1+json", index)
        layers = {architecture: manifest["layers"][0]["digest"] for architecture, (_, _, manifest) in digests.items()}
        stored = lambda digest: (self.store / "blobs" / digest.replace(":", "/")).exists()
        self.keg("pull", "-q", f"{there.host}/app:1")
        self.assertEqual([stored(layers[each]) for each in ("amd64", "arm64")], [True, False])
        self.keg("pull", "-q", "--all-platforms", f"{there.host}/app:1")
        self.assertEqual([stored(layers[each]) for each in ("amd64", "arm64")], [True, True])
        self.fails("pull", "--all-platforms", "--platform", "linux/arm64", f"{there.host}/app:1", code=1, says="exclude each other")


class Credentials(RegistryCase):
    def protected(self, auth, **options):
        registry = self.registry(auth, {"ann": "her secret"}, **options)
        self.image_in(registry, "lib/app")
        return registry

    def pull(self, registry, **options):
        return self.keg("pull", "-q", f"{registry.host}/lib/app:1", check=False, **options)

    def test_a_password_of_any_of_the_files_is_used(self):
        for auth in ("basic", "token"):
            registry = self.protected(auth)
            self.assertNotEqual(self.pull(registry).returncode, 0)
            runtime = self.dir / "run"
            for path, more in ((self.dir / "docker/config.json", {}), (self.dir / "config/containers/auth.json", {}),
                               (runtime / "containers/auth.json", {"XDG_RUNTIME_DIR": str(runtime)}),
                               (self.dir / "named.json", {"REGISTRY_AUTH_FILE": str(self.dir / "named.json")})):
                for key in (registry.host, f"https://{registry.host}/v1/") + ((f"{registry.host}/lib", f"{registry.host}/lib/app") if "docker" not in str(path) else ()):
                    with self.subTest(auth=auth, path=path, key=key):
                        self.write_auth(key, "ann", "her secret", path)
                        result = self.pull(registry, env=self.environment | more)
                        self.assertEqual(result.returncode, 0, result.stderr)
                        path.unlink()

    def test_the_nearest_key_has_the_word(self):
        registry = self.protected("basic")
        encoded = lambda text: {"auth": base64.b64encode(text.encode()).decode()}
        path = self.dir / "docker/config.json"
        path.parent.mkdir()
        path.write_text(json.dumps({"auths": {registry.host: encoded("x:wrong"), f"{registry.host}/lib": encoded("ann:her secret"), f"{registry.host}/li": encoded("x:y")}}))
        self.assertEqual(self.pull(registry).returncode, 0)

    def test_a_wrong_password_is_refused_and_not_shown(self):
        for auth in ("basic", "token"):
            registry = self.protected(auth)
            self.write_auth(registry.host, "ann", "wrong secret")
            result = self.pull(registry)
            self.assertEqual(result.returncode, 1)
            self.assertIn("status 401", result.stderr)
            debug = self.keg("-D", "pull", f"{registry.host}/lib/app:1", check=False)
            for text in (result.stderr, debug.stderr, debug.stdout):
                self.assertNotIn("wrong secret", text)
                self.assertNotIn(base64.b64encode(b"ann:wrong secret").decode(), text)

    def test_a_registry_that_wants_a_password_of_nobody_says_so_in_dockers_words(self):
        registry = self.protected("basic")
        self.import_as(f"{registry.host}/new:1", {"hello": b"world"})
        self.fails("push", f"{registry.host}/new:1", code=1, says="no basic auth credentials")

    def helper(self, body):
        path = self.dir / "bin/docker-credential-test"
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + body)
        path.chmod(0o755)
        self.environment["PATH"] = f"{path.parent}:{os.environ['PATH']}"

    def test_a_helper_is_asked_for_what_it_keeps(self):
        registry = self.protected("token")
        self.helper(f'read server; echo "$1 $server" >> {self.dir}/asked\n'
                    """[ "$1" = get ] && echo '{"Username": "ann", "Secret": "her secret"}'\n""")
        for config in ({"credsStore": "test"}, {"credHelpers": {registry.host: "test"}}):
            (self.dir / "docker").mkdir(exist_ok=True)
            (self.dir / "docker/config.json").write_text(json.dumps(config))
            self.assertEqual(self.pull(registry).returncode, 0)
        self.assertEqual((self.dir / "asked").read_text(), f"get {registry.host}\n" * 2)

    def test_a_helper_that_has_nothing_is_no_error_and_one_that_fails_is(self):
        registry = self.protected("token", public=["lib/app"])
        (self.dir / "docker").mkdir()
        (self.dir / "docker/config.json").write_text('{"credsStore": "test"}')
        self.helper("echo credentials not found in native keychain; exit 1\n")
        self.assertEqual(self.pull(registry).returncode, 0)
        for body, says in (("echo the keyring is locked; exit 1\n", "the keyring is locked"), ("yes\n", "says too much"), ("echo '<html>'\n", "docker-credential-test")):
            self.helper(body)
            self.assertIn(says, self.pull(registry).stderr)
        (self.dir / "docker/config.json").write_text('{"credsStore": "../../bin/sh -c"}')
        self.assertIn("is no name", self.pull(registry).stderr)

    def test_an_identity_token_is_changed_for_what_is_needed(self):
        registry = self.protected("token")
        registry.identity_token = "long lived"
        (self.dir / "docker").mkdir()
        (self.dir / "docker/config.json").write_text(json.dumps({"auths": {registry.host: {"identitytoken": "long lived"}}}))
        result = self.pull(registry)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([line for line in registry.asked() if "token" in line], ["POST /token"])

    def test_of_several_challenges_the_token_is_taken(self):
        registry = self.protected("token")
        bearer = f'Bearer realm="http://{registry.host}/token",service="a, b"'
        self.write_auth(registry.host, "ann", "her secret")
        for challenge in (f'Basic realm="x, y", {bearer}', f'{bearer}, Basic realm="x"', ['Basic realm="x"', bearer], ["Negotiate", f"Newauth a=b, {bearer}"]):
            registry.challenge = challenge
            registry.forget()
            result = self.pull(registry)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.keg("rmi", f"{registry.host}/lib/app:1")
            to_registry = [headers.get("Authorization", "") for _, url, headers in registry.log if not url.startswith("/token")]
            self.assertEqual([each for each in to_registry if each.startswith("Basic")], [])

    def test_one_token_serves_all_requests_and_a_push_asks_for_more(self):
        registry = self.protected("token")
        self.write_auth(registry.host, "ann", "her secret")
        self.assertEqual(self.pull(registry).returncode, 0)
        scopes = lambda: [url.split("scope=")[1].split("&")[0] for _, url, _ in registry.log if url.startswith("/token")]
        self.assertEqual(scopes(), ["repository%3Alib%2Fapp%3Apull"])
        registry.forget()
        self.keg("tag", f"{registry.host}/lib/app:1", f"{registry.host}/other:1")
        self.keg("push", "-q", f"{registry.host}/other:1")
        asked = [url for _, url, _ in registry.log if url.startswith("/token")]
        self.assertIn("scope=repository%3Aother%3Apull%2Cpush&scope=repository%3Alib%2Fapp%3Apull", "".join(asked))
        self.assertEqual(len(asked), 2)

    def test_nobody_else_is_shown_who_we_are(self):
        other = self.registry()
        for auth in ("basic", "token"):
            registry = self.protected(auth)
            self.write_auth(registry.host, "ann", "her secret")
            for digest, blob in list(registry.blobs.items()):
                other.put_blob("lib/app", blob)
                registry.fail("GET", digest, answer(307, {"Location": f"http://{other.host}/v2/lib/app/blobs/{digest}"}))
            result = self.pull(registry)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.keg("rmi", f"{registry.host}/lib/app:1")
            self.keg("image", "prune", "-f")
            # An upload may be another machine's business, too.
            self.import_as(f"{registry.host}/lib/new:1", {auth: os.urandom(1000)})
            registry.fail("POST", "/uploads/", answer(202, {"Location": f"http://{other.host}/v2/lib/new/blobs/uploads/1"}))
            self.keg("push", "-q", f"{registry.host}/lib/new:1")   # by an upload of its own, in the end
        self.assertEqual([headers["Authorization"] for _, _, headers in other.log if "Authorization" in headers], [])
        self.assertGreater(len(other.log), 4)


class Logins(RegistryCase):
    def setUp(self):
        super().setUp()
        self.there = self.registry("basic", {"ann": "her secret"})
        self.config = self.dir / "docker/config.json"

    def login(self, *words, password="her secret\n", **options):
        return self.keg("login", *words, self.there.host, input=password, **options)

    def test_who_has_logged_in_may_push_and_who_has_logged_out_may_not(self):
        self.import_as(f"{self.there.host}/app:1", {"hello": b"world"})
        result = self.login("-u", "ann", "--password-stdin")
        self.assertEqual(result.stdout, "Login Succeeded\n")
        self.assertIn(f"stored unencrypted in '{self.config}'", result.stderr)
        self.keg("push", "-q", f"{self.there.host}/app:1")
        self.assertEqual(self.keg("logout", self.there.host).stdout, f"Removing login credentials for {self.there.host}\n")
        self.fails("push", f"{self.there.host}/app:1", says="no basic auth credentials")
        self.assertEqual(self.keg("logout", self.there.host).stdout, f"Not logged in to {self.there.host}\n")

    def test_what_others_have_written_stays_and_nobody_else_can_read_it(self):
        self.write_auth("quay.io", "x", "y", psFormat="table")
        self.login("-u", "ann", "--password-stdin")
        file = json.loads(self.config.read_text())
        self.assertEqual(sorted(file["auths"]), sorted(["quay.io", self.there.host]))
        self.assertEqual(file["psFormat"], "table")
        self.assertEqual(base64.b64decode(file["auths"][self.there.host]["auth"]), b"ann:her secret")
        self.assertEqual(stat.S_IMODE(self.config.stat().st_mode), 0o600)
        self.keg("logout", self.there.host)
        self.assertEqual(list(json.loads(self.config.read_text())["auths"]), ["quay.io"])

    def test_a_wrong_password_is_not_remembered(self):
        result = self.login("-u", "ann", "--password-stdin", password="wrong secret", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"login attempt to http://{self.there.host}/v2/ failed with status: 401", result.stderr)
        self.assertNotIn("wrong secret", result.stderr)
        self.assertFalse(self.config.exists())

    def test_a_password_on_the_command_line_is_warned_of(self):
        self.assertIn("WARNING! Using --password via the CLI is insecure", self.login("-u", "ann", "-p", "her secret").stderr)
        self.fails("login", "-u", "ann", "-p", "x", "--password-stdin", self.there.host, says="mutually exclusive")
        self.fails("login", "--password-stdin", self.there.host, says="must provide --username")
        self.fails("login", "-u", "ann", self.there.host, says="interactive login from a non-terminal")

    def test_who_is_known_need_not_say_it_again(self):
        self.login("-u", "ann", "--password-stdin")
        result = self.keg("login", self.there.host)
        self.assertIn("Authenticating with existing credentials... [Username: ann]", result.stderr)
        self.assertEqual(result.stdout, "Login Succeeded\n")

    def test_a_token_server_says_whether_the_password_is_right(self):
        self.there.auth = "token"
        self.assertEqual(self.login("-u", "ann", "--password-stdin").stdout, "Login Succeeded\n")
        result = self.login("-u", "ann", "--password-stdin", password="x", check=False)
        self.assertIn("incorrect username or password", result.stderr)

    def test_a_helper_keeps_the_password_if_there_is_one(self):
        helper = self.dir / "bin/docker-credential-test"
        helper.parent.mkdir()
        helper.write_text(f"""#!/bin/sh
case $1 in
store) cat > {self.dir}/kept ;;
get) cat > /dev/null; cat {self.dir}/kept 2> /dev/null || {{ echo credentials not found in native keychain; exit 1; }} ;;
erase) rm {self.dir}/kept ;;
esac
""")
        helper.chmod(0o755)
        self.environment["PATH"] = f"{helper.parent}:{os.environ['PATH']}"
        self.config.parent.mkdir()
        self.config.write_text('{"credsStore": "test"}')
        self.assertNotIn("unencrypted", self.login("-u", "ann", "--password-stdin").stderr)
        self.assertEqual(json.loads((self.dir / "kept").read_text()), {"ServerURL": self.there.host, "Username": "ann", "Secret": "her secret"})
        self.assertNotIn("auth\"", self.config.read_text())
        self.keg("logout", self.there.host)
        self.assertFalse((self.dir / "kept").exists())

    def test_a_typed_password_is_not_seen(self):
        import pty
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe(KEG, [KEG, "--root", str(self.store), "login", self.there.host], self.environment)
        seen = b""
        def read_until(text):
            nonlocal seen
            while text not in seen:
                seen += os.read(terminal, 4096)
        read_until(b"Username: ")
        os.write(terminal, b"ann\n")
        read_until(b"Password: ")
        os.write(terminal, b"her secret\n")
        read_until(b"Login Succeeded")
        os.waitpid(pid, 0)
        os.close(terminal)
        self.assertNotIn(b"her secret", seen)


class Mirrors(RegistryCase):
    def configure(self, text):
        (self.dir / "registries.conf").write_text(text)

    def test_a_mirror_is_asked_first_and_the_registry_if_it_cannot_help(self):
        registry, mirror = self.registry(), self.registry()
        self.image_in(registry, "lib/app")
        self.configure(f'[[registry]]\nprefix = "{registry.host}/lib"\nlocation = "{registry.host}/lib"\n'
                       f'[[registry.mirror]]\nlocation = "{mirror.host}/cache/lib"\n')
        self.keg("pull", "-q", f"{registry.host}/lib/app:1")
        self.assertEqual([line for line in mirror.asked() if "manifests" in line], ["GET /v2/cache/lib/app/manifests/1"])
        self.keg("rmi", f"{registry.host}/lib/app:1")
        self.image_in(mirror, "cache/lib/app")
        registry.forget()
        self.keg("pull", "-q", f"{registry.host}/lib/app:1")
        self.assertEqual(registry.log, [])
        # A push goes to the registry.
        self.keg("tag", f"{registry.host}/lib/app:1", f"{registry.host}/lib/new:1")
        mirror.forget()
        self.keg("push", "-q", f"{registry.host}/lib/new:1")
        self.assertEqual(mirror.log, [])

    def test_a_mirror_that_lies_is_no_danger(self):
        registry, mirror = self.registry(), self.registry()
        self.image_in(registry, "app")
        digest = "sha256:" + sha(registry.manifests["app", "1"][1])
        self.image_in(mirror, "app", tar_of({"evil": b"evil"}))
        mirror.manifests["app", digest] = mirror.manifests["app", "1"]
        self.configure(f'[[registry]]\nlocation = "{registry.host}"\n[[registry.mirror]]\nlocation = "{mirror.host}"\n')
        self.keg("pull", "-q", f"{registry.host}/app@{digest}")
        self.assertEqual(self.keg("image", "inspect", "--format", "{{.Id}}", f"{registry.host}/app@{digest}").stdout.strip(),
                         json.loads(registry.manifests["app", "1"][1])["config"]["digest"])

    def test_a_name_may_lie_elsewhere(self):
        registry = self.registry()
        self.image_in(registry, "in/here/app")
        self.configure(f'[[registry]]\nprefix = "example.com/there"\nlocation = "{registry.host}/in/here"\n')
        self.keg("pull", "-q", "example.com/there/app:1")
        self.keg("image", "inspect", "example.com/there/app:1")

    def test_what_is_blocked_is_not_asked_for(self):
        registry = self.registry()
        self.image_in(registry, "app")
        self.configure(f'[[registry]]\nlocation = "{registry.host}"\nblocked = true\n')
        self.fails("pull", f"{registry.host}/app:1", code=1, says=f"registry {registry.host} is blocked in")
        self.assertEqual(registry.log, [])

    def test_a_file_that_cannot_be_read_is_named_with_the_line(self):
        self.configure('[[registry]]\nlocation = "x"\nwrong = = 1\n')
        self.fails("pull", "example.com/app", code=1, says=f"{self.dir}/registries.conf:3: ")


@needs_root
@needs("openssl")
@needs("ip")
class Trust(RegistryCase):
    """A registry on an address that is not this machine's loopback, over TLS."""

    def setUp(self):
        super().setUp()
        run("ip", "address", "add", "192.0.2.7/32", "dev", "lo", check=False)
        self.addCleanup(run, "ip", "address", "del", "192.0.2.7/32", "dev", "lo", check=False)
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.dir / "key", "-out", self.dir / "certificate",
            "-days", "2", "-subj", "/CN=192.0.2.7", "-addext", "subjectAltName=IP:192.0.2.7")
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.dir / "certificate", self.dir / "key")

    def secure(self):
        registry = self.registry(tls=self.tls, address="192.0.2.7")
        self.image_in(registry, "app")
        return registry

    def pull(self, registry):
        """With the files of certificates that this test has made."""
        (self.dir / "certs.d").mkdir(exist_ok=True)
        return run("unshare", "-m", "--propagation", "private", "sh", "-c",
                   'mkdir -p /etc/docker && mount -t tmpfs tmpfs /etc/docker && mkdir /etc/docker/certs.d && mount --bind "$0" /etc/docker/certs.d && exec "$@"',
                   self.dir / "certs.d", KEG, "--root", self.store, "pull", "-q", f"{registry.host}/app:1", check=False, env=self.environment)

    def test_a_certificate_that_nobody_knows_is_refused_until_somebody_says_otherwise(self):
        registry = self.secure()
        self.assertIn("certificate", self.pull(registry).stderr)
        (self.dir / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        self.assertEqual(self.pull(registry).returncode, 0)

    def test_plain_http_is_spoken_only_to_whom_it_is_allowed(self):
        registry = self.registry(address="192.0.2.7")
        self.image_in(registry, "app")
        self.assertNotEqual(self.pull(registry).returncode, 0)
        (self.dir / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        self.assertEqual(self.pull(registry).returncode, 0)

    def test_an_authority_of_ones_own_is_believed_for_its_host(self):
        registry = self.secure()
        host = self.dir / "certs.d" / registry.host
        host.mkdir(parents=True)
        (host / "ca.crt").write_bytes((self.dir / "certificate").read_bytes())
        result = self.pull(registry)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotEqual(self.pull(self.secure()).returncode, 0)

    def test_a_clients_certificate_is_shown_to_its_host(self):
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.tls.load_verify_locations(self.dir / "certificate")
        registry = self.secure()
        host = self.dir / "certs.d" / registry.host
        host.mkdir(parents=True)
        (host / "ca.crt").write_bytes((self.dir / "certificate").read_bytes())
        self.assertNotEqual(self.pull(registry).returncode, 0)
        (host / "client.cert").write_bytes((self.dir / "certificate").read_bytes())
        self.assertIn("missing key client.key for client certificate client.cert", self.pull(registry).stderr)
        (host / "client.key").write_bytes((self.dir / "key").read_bytes())
        result = self.pull(registry)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_nothing_goes_from_https_to_http(self):
        registry, other = self.secure(), self.registry(address="192.0.2.7")
        self.image_in(other, "app")
        host = self.dir / "certs.d" / registry.host
        host.mkdir(parents=True)
        (host / "ca.crt").write_bytes((self.dir / "certificate").read_bytes())
        for digest in list(registry.blobs):
            registry.fail("GET", digest, answer(307, {"Location": f"http://{other.host}/v2/app/blobs/{digest}"}))
        self.assertIn("is not reached by https", self.pull(registry).stderr)
        self.assertEqual(other.log, [])


class DebianCase(RegistryCase):
    """Debian's docker-registry."""

    def serve(self, extra="", tls=""):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            host = f"localhost:{probe.getsockname()[1]}"
        self.write("registry.yml", f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.dir}/registry}}}}\n"
                                   f"http: {{addr: \"{host}\"{tls}}}\n{extra}".encode())
        process = subprocess.Popen(["docker-registry", "serve", self.dir / "registry.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        name, port = host.split(":")

        def answers():
            with socket.socket() as probe:
                return probe.connect_ex((name, int(port))) == 0
        wait_until(answers, "the registry")
        return host


@needs("docker-registry")
@needs("skopeo")
class DockerRegistry(DebianCase):
    """And skopeo to look at what arrived."""

    images = True

    def config_of(self, host, *words):
        return json.loads(run("skopeo", "inspect", "--raw", "--config", *words, f"docker://{host}/lib/base:1").stdout)

    def test_what_was_pushed_is_read_by_skopeo(self):
        host = self.serve()
        self.keg("tag", "base", f"{host}/lib/base:1")
        for compression in ("gzip", "zstd", "none"):
            self.keg("push", "-q", f"--compression={compression}", f"{host}/lib/base:1")
            run("skopeo", "copy", "--src-tls-verify=false", f"docker://{host}/lib/base:1", f"dir:{self.dir}/{compression}")
            self.assertEqual(json.loads(self.keg("image", "inspect", "base").stdout)[0]["RootFS"]["Layers"],
                             self.config_of(host, "--tls-verify=false")["rootfs"]["diff_ids"])
        self.keg("tag", "base", f"{host}/other/base:1")
        self.assertIn("Mounted from lib/base", self.keg("push", f"{host}/other/base:1").stderr)

    def test_a_large_layer_arrives_in_pieces(self):
        host = self.serve()
        self.import_as(f"{host}/lib/base:1", {"big": bytes(200 << 20)})
        self.keg("push", "-q", "--compression=none", f"{host}/lib/base:1")
        run("skopeo", "copy", "--src-tls-verify=false", f"docker://{host}/lib/base:1", f"dir:{self.dir}/big")

    @needs_root
    @needs("openssl")
    def test_an_authority_of_ones_own_is_believed_on_the_way_there_and_back(self):
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.dir / "key", "-out", self.dir / "certificate",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
        host = self.serve(tls=f", tls: {{certificate: {self.dir}/certificate, key: {self.dir}/key}}")
        self.keg("tag", "base", f"{host}/lib/base:1")
        self.fails("push", f"{host}/lib/base:1", says="certificate")
        (self.dir / "certs.d" / host).mkdir(parents=True)
        (self.dir / "certs.d" / host / "ca.crt").write_bytes((self.dir / "certificate").read_bytes())
        for words in (["push", "-q"], ["pull", "-q"]):
            run("unshare", "-m", "--propagation", "private", "sh", "-c",
                'mkdir -p /etc/docker && mount -t tmpfs tmpfs /etc/docker && mkdir /etc/docker/certs.d && mount --bind "$0" /etc/docker/certs.d && exec "$@"',
                self.dir / "certs.d", KEG, "--root", self.store, *words, f"{host}/lib/base:1", env=self.environment)
        self.config_of(host, "--cert-dir", str(self.dir / "certs.d" / host))

    def test_a_password_is_asked_for(self):
        (self.dir / "htpasswd").write_text("ann:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n")   # of "secret"
        host = self.serve(f"auth: {{htpasswd: {{realm: here, path: {self.dir}/htpasswd}}}}\n")
        self.keg("tag", "base", f"{host}/lib/base:1")
        self.fails("push", f"{host}/lib/base:1", says="no basic auth credentials")
        self.keg("login", "-u", "ann", "--password-stdin", host, input="secret")
        self.keg("push", "-q", f"{host}/lib/base:1")
        self.config_of(host, "--tls-verify=false", "--creds", "ann:secret")


class Copies(RegistryCase):
    def setUp(self):
        super().setUp()
        self.here, self.there = self.registry(), self.registry()
        self.image_in(self.here, "app", tar_of({"big": os.urandom(2_000_000)}))
        self.text = self.here.manifests["app", "1"][1]
        self.source, self.target = f"docker://{self.here.host}/app:1", f"docker://{self.there.host}/copy:2"

    def copy(self, *words):
        self.keg("copy", "-q", "--digestfile", self.dir / "digest", *words)
        self.assertEqual((self.dir / "digest").read_text(), f"sha256:{sha(self.text)}\n")

    def test_an_image_goes_from_one_registry_to_another_as_it_is(self):
        self.copy(self.source, self.target)
        self.assertEqual(self.there.manifests["copy", "2"][1], self.text)
        self.assertFalse(self.store.exists())
        self.there.forget()
        self.copy(self.source, self.target)
        self.assertEqual(self.there.received, len(self.text))   # the manifest says what the tag means; no blob

    def test_an_image_goes_to_a_layout_and_comes_back(self):
        self.copy(self.source, f"oci:{self.dir}/layout:x")
        self.copy(f"oci:{self.dir}/layout:x", self.target)
        self.copy(self.target, "store:app")
        self.assertEqual(self.there.manifests["copy", "2"][1], self.text)

    def test_a_transfer_that_breaks_off_goes_on(self):
        layer = json.loads(self.text)["layers"][0]["digest"]
        self.here.fail("GET", layer, break_off(sent=1_000_000))
        self.copy(self.source, f"dir:{self.dir}/d")
        self.assertEqual([headers.get("Range") for _, url, headers in self.here.log if layer in url], [None, "bytes=1000000-"])

    def test_what_lies_arrives_nowhere(self):
        layer = json.loads(self.text)["layers"][0]["digest"]
        self.here.blobs[layer] = b"x" * len(self.here.blobs[layer])
        for target in (self.target, f"oci:{self.dir}/o", f"oci-archive:{self.dir}/a.tar", "store:app"):
            with self.subTest(target):
                self.fails("copy", "-q", self.source, target, says=[self.source, layer, "damaged"])
        self.assertEqual(self.there.manifests, {})
        self.assertFalse((self.dir / "o").exists() or (self.dir / "a.tar").exists())


if __name__ == "__main__":
    unittest.main()
