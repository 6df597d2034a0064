"""A store loses nothing: what cannot be read stays and hides nothing, what is damaged is found and healed, what is
needed is kept while others collect; and it is its owner's alone."""
import gzip
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import tarfile
import threading
import unittest

from archives import FakeRegistry, config_of, layered_archive, registry_image, sha, tar_of
from keg import KEG, PATIENCE, QUIET, StoreCase, needs, needs_root, run, wait_until, waits_for_a_lock


REF_NAME = "org.opencontainers.image.ref.name"


@needs_root
class StoreOf(StoreCase):
    def files(self, what):
        return set(os.listdir(self.store / what / "sha256"))

    def index(self):
        return json.loads((self.store / "index.json").read_text())

    def manifest_digest(self, name):
        [digest] = [entry["digest"] for entry in self.index()["manifests"]
                    if entry.get("annotations", {}).get(REF_NAME) == name + ":latest"]
        return digest.removeprefix("sha256:")

    def manifest(self, name):
        return json.loads(self.blob(self.manifest_digest(name)).read_text())

    def blob(self, digest):
        return self.store / "blobs/sha256" / digest.removeprefix("sha256:")

    def damage(self, digest):
        """One byte changes; the size stays."""
        data = bytearray(self.blob(digest).read_bytes())
        data[len(data) // 2] ^= 1
        self.blob(digest).write_bytes(data)

    def small_image(self, name="other", content=b"other"):
        self.keg("load", "-q", "-i", self.write(name + ".tar", layered_archive({name + ":latest": [tar_of({name: content})]})))

    def alive(self, image="base"):
        self.assertEqual(self.keg("run", "--rm", "--network", "none", image, "echo", "alive").stdout, "alive\n")


class Unreadable(StoreOf):
    @needs("strace")
    def test_an_image_that_cannot_be_read_just_now_loses_nothing(self):
        self.small_image()
        manifest = self.blob(self.manifest_digest("base"))
        blobs, layers = self.files("blobs"), self.files("layers")
        result = run("strace", "-f", "-o", "/dev/null", "-P", manifest, "-e", "trace=openat", "-e", "inject=openat:error=EMFILE",
                     KEG, "--root", self.store, "rmi", "other")
        self.assertIn('image "base:latest" cannot be read', result.stderr)
        self.assertIn("too many open files", result.stderr)
        self.assertEqual((self.files("blobs"), self.files("layers")), (blobs, layers))
        self.alive()
        self.keg("image", "prune", "-f")     # now that it can be read
        self.assertLess(self.files("blobs"), blobs)
        self.alive()

    def test_a_damaged_image_keeps_what_it_may_need_and_is_removed_by_name(self):
        self.small_image()
        self.damage(self.manifest_digest("other"))
        blobs = self.files("blobs")
        listed = self.keg("images", "--format", "{{.Repository}}")
        self.assertEqual(listed.stdout, "base\n")
        self.assertIn("other:latest", listed.stderr)
        self.assertIn("damaged", listed.stderr)
        self.assertIn("other:latest", self.keg("image", "prune", "-f").stderr)
        self.assertIn("other:latest", self.keg("image", "prune", "-a", "-f").stderr)
        self.assertEqual(self.files("blobs"), blobs)
        self.assertIn("Untagged: other:latest", self.keg("rmi", "other").stdout)
        self.assertNotIn("other", (self.store / "index.json").read_text())
        self.assertLess(len(self.files("blobs")), len(blobs))

    def test_without_index_nothing_is_deleted(self):
        index = self.store / "index.json"
        text = index.read_bytes()
        blobs, layers = self.files("blobs"), self.files("layers")
        for torn in (None, b"", text[:-10]):
            with self.subTest(torn and len(torn)):
                index.unlink() if torn is None else index.write_bytes(torn)
                for words in (("image", "prune", "-f"), ("image", "prune", "-af"), ("rmi", "-f", "base"), ("tag", "base", "b"), ("images",)):
                    self.fails(*words, code=1, says="index.json")
                self.assertEqual((self.files("blobs"), self.files("layers")), (blobs, layers))
                index.write_bytes(text)
        self.alive()
        # Not even if the store looks like one that is being made.
        (self.store / "oci-layout").unlink()
        index.unlink()
        self.fails("image", "prune", "-f", code=1, says="index.json")
        index.write_bytes(text)
        self.alive()

    def test_a_container_that_cannot_be_read_keeps_layers_and_images(self):
        broken = self.keg("create", "--network", "none", "base", "true").stdout.strip()
        self.keg("create", "--name", "whole", "--network", "none", "base", "true")
        settings = self.store / "containers" / broken / "settings.json"
        text, layers = settings.read_bytes(), self.files("layers")
        settings.write_bytes(b"")
        refused = self.fails("rmi", "base", says="must force")
        self.assertIn(broken[:12], refused.stderr)
        self.assertIn(broken[:12], self.keg("image", "prune", "-af").stderr)
        self.keg("rmi", "-f", "base")
        self.keg("image", "prune", "-f")
        self.assertEqual(self.files("layers"), layers)
        settings.write_bytes(text)
        self.assertEqual(self.keg("start", "-a", broken).returncode, 0)


class Damage(StoreOf):
    def test_a_blob_with_wrong_bytes_is_found_when_it_is_read(self):
        self.small_image()
        manifest = self.manifest("other")
        for digest, words in ((manifest["config"]["digest"], ("image", "inspect", "other")),
                              (self.manifest_digest("other"), ("history", "other")),
                              (manifest["layers"][0]["digest"], ("save", "-o", self.dir / "out.tar", "other"))):
            with self.subTest(words[0]):
                whole = self.blob(digest).read_bytes()
                self.damage(digest)
                self.fails(*words, code=1, says="is damaged")
                self.blob(digest).write_bytes(whole)
                self.keg(*words)

    def test_loading_again_heals(self):
        archive = self.dir / "base.tar"
        self.keg("save", "-o", archive, "base")
        for digest in self.files("blobs"):
            self.damage(digest)
        self.keg("load", "-q", "-i", archive)
        for digest in self.files("blobs"):
            self.assertEqual(sha(self.blob(digest).read_bytes()), digest)
        self.alive()

    def test_pulling_again_heals(self):
        answers, _ = registry_image("app", "v1", [tar_of({"hello": b"world"})])
        fake = FakeRegistry(answers)
        self.addCleanup(fake.stop)
        before = self.files("blobs")
        self.keg("pull", "-q", fake.host + "/app:v1")
        pulled = self.files("blobs") - before
        for digest in pulled:
            self.damage(digest)
        self.keg("pull", "-q", fake.host + "/app:v1")
        for digest in pulled:
            self.assertEqual(sha(self.blob(digest).read_bytes()), digest)

    def test_a_layers_blob_that_is_damaged_is_not_unpacked(self):
        answers, manifest = registry_image("app", "v1", [tar_of({"hello": b"world"})])
        fake = FakeRegistry(answers)
        self.addCleanup(fake.stop)
        self.keg("pull", "-q", fake.host + "/app:v1")
        [layer] = json.loads(manifest)["layers"]
        whole = self.blob(layer["digest"]).read_bytes()
        for wrong in (whole + b"junk", whole[:-1] + b"\1" if whole[-1:] != b"\1" else whole[:-1] + b"\2"):
            self.blob(layer["digest"]).write_bytes(wrong)
            self.fails("unpack", fake.host + "/app:v1", self.dir / "bundle", code=1, says="damaged")
            run("rm", "-rf", self.dir / "bundle")
        self.blob(layer["digest"]).write_bytes(whole)
        self.keg("unpack", fake.host + "/app:v1", self.dir / "bundle")

    def test_other_bytes_under_the_diff_ids_of_unpacked_layers_are_refused(self):
        self.small_image()
        config = self.blob(self.manifest("other")["config"]["digest"]).read_bytes()
        evil = tar_of({"evil": b"evil"})
        answers, _ = registry_image("evil", "v1", [evil], config)
        fake = FakeRegistry(answers)
        self.addCleanup(fake.stop)
        for _ in range(2):
            self.fails("pull", fake.host + "/evil:v1", code=1, says="diff ID")
        self.assertNotIn("evil", self.keg("images").stdout)

    def test_the_same_layer_from_another_blob_is_checked_once(self):
        self.small_image()
        config = self.blob(self.manifest("other")["config"]["digest"]).read_bytes()
        answers, manifest = registry_image("same", "v1", [tar_of({"other": b"other"})], config)
        fake = FakeRegistry(answers)
        self.addCleanup(fake.stop)
        self.keg("pull", "-q", fake.host + "/same:v1")
        [layer] = json.loads(manifest)["layers"]
        known = [path for path in (self.store / "layers/sha256").glob("*/blobs") if layer["digest"] in path.read_text()]
        self.assertEqual(len(known), 1)

    def test_bytes_behind_the_end_of_a_layer_belong_to_it(self):
        layer = tar_of({"hello": b"world"})
        longer = layer + b"behind the end"
        self.keg("load", "-q", "-i", self.write("longer.tar", layered_archive({"longer:latest": [longer]})))
        config = config_of(layer)
        manifest = [{"Config": "c.json", "RepoTags": ["short:latest"], "Layers": ["l.tar"]}]
        for stored in (longer, gzip.compress(longer)):
            archive = tar_of({"c.json": config, "l.tar": stored, "manifest.json": json.dumps(manifest).encode()})
            self.fails("load", "-i", self.write("short.tar", archive), code=1, says="iff")


class Together(StoreOf):
    def build_that_waits(self, text):
        """A build, once its RUN has made /waiting."""
        context = self.dir / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(text)
        build = subprocess.Popen([KEG, "--root", self.store, "build", "-t", "built", context], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(build.wait)
        self.addCleanup(build.kill)
        wait_until(lambda: self.roots_that_wait() or build.poll() is not None, "RUN")
        self.assertIsNone(build.poll())
        return build

    def roots_that_wait(self):
        return [path.parent for path in self.store.glob("tmp/*/*/*/waiting") if os.path.ismount(path.parent)]

    def test_prune_frees_at_once_what_no_build_at_work_needs(self):
        self.small_image()
        build = self.build_that_waits("FROM base\nRUN echo first > /first\nRUN touch /waiting; while ! [ -e /go ]; do sleep 0.1; done; rm /go /waiting\nRUN cat /first\n")
        layers = self.files("layers")
        self.keg("rmi", "other")
        self.assertLess(self.files("layers"), layers)
        self.keg("rmi", "-f", "base")
        self.keg("image", "prune", "-af")
        [root] = self.roots_that_wait()
        (root / "go").touch()
        self.assertEqual(build.wait(PATIENCE), 0, build.stderr.read())
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "built", "cat", "/first").stdout, "first\n")
        self.assertEqual(os.listdir(self.store / "leases"), [])

    def test_what_a_killed_command_needed_is_freed(self):
        build = self.build_that_waits("FROM base\nRUN echo first > /first\nRUN touch /waiting; sleep 1000\n")
        self.assertEqual(len(os.listdir(self.store / "leases")), 1)
        build.kill()
        build.wait()
        self.keg("rmi", "-f", "base")
        def left():
            self.keg("builder", "prune", "-f")    # the step that was done by then is remembered
            return self.files("layers") | self.files("blobs") | set(os.listdir(self.store / "leases"))
        wait_until(lambda: not left(), "the end of what the build needed", left)   # what it started ends, too

    @needs("strace")
    def test_a_name_given_while_the_image_is_removed_means_an_image(self):
        with self.stopped_after("openat", "tag", "base", "second", of=self.store / "index.lock") as tag:
            removal = subprocess.Popen([KEG, "--root", self.store, "rmi", "base"], **QUIET)
            wait_until(lambda: waits_for_a_lock(removal), "keg rmi to wait for who has found the image")
        tag.communicate()
        self.assertEqual((tag.returncode, removal.wait(PATIENCE)), (0, 0))
        self.alive("second")

    @needs("strace")
    def test_a_store_that_another_command_makes_meanwhile_is_a_store(self):
        image, self.store = self.dir / "busybox.tar", self.dir / "new"
        with self.stopped_after("openat", "images", "-q", of=self.store / "oci-layout") as images:
            self.keg("import", image, "base")
            self.keg("manifest", "create", "list", "base")   # whose lock is a file of the store, too
        listed, said = images.communicate()
        self.assertEqual((images.returncode, said), (0, ""))
        self.assertNotEqual(listed, "")
        self.keg("system", "check")

    @needs("strace")
    def test_no_container_is_made_of_an_image_that_is_removed_meanwhile(self):
        with self.stopped_after("openat", "create", "--network", "none", "base", "echo", "alive", of=self.store / "lock") as create:
            self.keg("rmi", "-f", "base")
        made, said = create.communicate()
        self.assertEqual((create.returncode, made), (125, ""))
        self.assertIn("No such image", said)

    def test_an_image_in_use_stays(self):
        container = self.keg("create", "--network", "none", "base", "echo", "alive").stdout.strip()
        layers = self.files("layers")
        for word in ("base", self.image_id("base")):
            self.assertIn(container[:12], self.fails("rmi", word, code=1, says="conflict").stderr)
        self.assertNotIn("deleted", self.keg("image", "prune", "-af").stdout)
        self.alive()
        self.keg("rmi", "-f", "base")
        self.assertEqual(self.files("layers"), layers)
        self.assertEqual(self.keg("start", "-a", container).stdout, "alive\n")


class Private(StoreOf):
    def open_to_others(self):
        """What the host's user 65534 reaches of the store."""
        os.chmod(self.dir, 0o711)
        return run("find", self.store, "-readable", "-print", user=65534, group=65534, extra_groups=[], check=False).stdout.split()

    def test_other_users_reach_nothing_of_a_store(self):
        self.small_image()
        self.keg("create", "--network", "none", "-v", "volume:/v", "base", "true")
        self.assertEqual(self.open_to_others(), [])
        self.assertEqual(stat.S_IMODE(self.store.stat().st_mode), 0o700)
        for path in [self.store / "index.json", self.store / "oci-layout", *(self.store / "blobs/sha256").iterdir()]:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_a_store_that_was_open_is_closed(self):
        for path in [self.store, *self.store.rglob("*")]:
            if not path.is_symlink():
                os.chmod(path, 0o755)
        self.assertNotEqual(self.open_to_others(), [])
        self.keg("images")
        self.assertEqual(self.open_to_others(), [])

    def test_somebodys_directory_is_not_made_a_store(self):
        theirs = self.dir / "theirs"
        theirs.mkdir(mode=0o755)
        (theirs / "letter").write_text("dear")
        result = run(KEG, "--root", theirs, "images", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("letter", result.stderr)
        self.assertEqual(os.listdir(theirs), ["letter"])
        self.assertEqual(stat.S_IMODE(theirs.stat().st_mode), 0o755)


class Durable(StoreOf):
    @needs("strace")
    def test_a_name_is_written_after_all_that_it_means_is_on_the_disk(self):
        archive = self.write("other.tar", layered_archive({"other:latest": [tar_of({"a": b"a" * 10_000}), tar_of({"b": b"b" * 10_000})]}))
        run("strace", "-f", "-y", "-o", self.dir / "trace", "-e", "trace=rename,fsync,syncfs", KEG, "--root", self.store, "load", "-q", "-i", archive)
        # A call of one thread may be told in two lines, with another thread's between them: it counts where it ends.
        lines, begun = [], {}
        for line in (self.dir / "trace").read_text().splitlines():
            thread, said = line.split(None, 1)
            if said.endswith(" <unfinished ...>"):
                begun[thread] = said.removesuffix(" <unfinished ...>")
            else:
                lines.append(re.sub(r"^<\.\.\. \w+ resumed>", lambda _: begun[thread], said))
        synced, blobs, layers = set(), 0, 0
        for i, line in enumerate(lines):
            if found := re.search(r"(?:fsync|syncfs)\(\d+<(.*?)>\) *= 0", line):
                synced.add(found[1])
            if not (found := re.search(r'rename\("(.*?)", "(.*?)"\) *= 0', line)):
                continue
            old, new = found.groups()
            self.assertIn(old, synced, "renamed before its content was on the disk: " + line)
            directory = os.path.dirname(new)
            later = [k for k in range(i, len(lines)) if re.search(rf"fsync\(\d+<{re.escape(directory)}/?>\)", lines[k])]
            self.assertTrue(later, "nothing makes this name durable: " + line)
            blobs += "/blobs/" in new
            layers += "/layers/" in new
            if new.endswith("index.json"):
                self.assertFalse([line for line in lines[i:] if "/blobs/" in line or "/layers/" in line])
        self.assertGreaterEqual(blobs, 4)
        self.assertGreaterEqual(layers, 2)


class Names(StoreOf):
    """index.json is read and written by others, too; a name is there or not, whoever is killed; many cost what few do."""

    def names(self):
        return set(self.keg("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split())

    def write_names(self, names, **style):
        """As another tool would: an entry each, for the image that `base` was."""
        index = self.index()
        [entry] = [entry for entry in index["manifests"] if entry["annotations"][REF_NAME] == "base:latest"]
        index["manifests"] = [entry | {"annotations": {REF_NAME: name}} for name in ["base:latest", *names]]
        (self.store / "index.json").write_text(json.dumps(index, **style))

    def time_of(self, *words):
        """Of the processor, the least of some."""
        def once():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.keg(*words)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return min(once() for _ in range(7))

    def test_the_ten_thousandth_name_costs_what_the_first_does(self):
        commands = (("tag", "base", "new"), ("history", "base"))
        first = [self.time_of(*words) for words in commands]
        self.write_names(f"registry.example/some/app-{i}:v{i}" for i in range(10_000))
        self.keg("tag", "base", "new")      # and index.json is in keg's form
        for words, before in zip(commands, first):
            self.assertLess(self.time_of(*words), 12 * before + 0.01, words)
        self.assertEqual(len(self.names()), 10_002)

    @needs("strace")
    def test_whoever_is_killed_leaves_the_name_as_it_was_or_as_it_shall_be(self):
        self.write_names(f"app-{i}:1" for i in range(50))
        others = self.names()
        calls = "openat,write,fsync,rename,unlink,flock"
        for words, undo in ((("tag", "base", "new"), ("rmi", "new")), (("rmi", "new"), ("tag", "base", "new"))):
            for when in range(1, 200):
                self.keg(*undo, check=False)
                result = run("strace", "-f", "-o", "/dev/null", "-e", f"inject={calls}:signal=KILL:when={when}",
                             KEG, "--root", self.store, *words, check=False)
                self.assertIn(self.names(), (others, others | {"new:latest"}))
                if result.returncode == 0:
                    break
            self.assertEqual(result.returncode, 0)
            self.assertGreater(when, 10)
            self.assertEqual("new:latest" in self.names(), words[0] == "tag")
        self.assertEqual(self.keg("system", "check").returncode, 0)
        self.keg("image", "prune", "-f")
        self.assertEqual([name for name in os.listdir(self.store) if name.startswith(".index.json")], [])

    def test_two_who_write_names_at_once_lose_none(self):
        given = [[f"{who}:{i}" for i in range(25)] for who in ("one", "two")]
        workers = [threading.Thread(target=lambda mine=mine: [self.keg("tag", "base", name) for name in mine]) for mine in given]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(self.names(), {"base:latest", *given[0], *given[1]})
        workers = [threading.Thread(target=lambda mine=mine: self.keg("rmi", *mine)) for mine in given]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(self.names(), {"base:latest"})

    def test_what_another_tool_has_written_is_read_and_kept(self):
        for style in ({}, {"indent": 2}, {"sort_keys": True, "indent": 1}, {"separators": (",", ":")}):
            with self.subTest(style):
                self.write_names(["docker.io/library/app", "not one of keg's"], **style)
                self.assertIn("app:latest", self.names())
                self.keg("tag", "app", "new")
                self.assertIn("not one of keg's", (self.store / "index.json").read_text())
                self.assertEqual(self.keg("rmi", "app").stdout, "Untagged: app:latest\n")
                self.assertEqual(self.names() & {"app:latest", "new:latest", "base:latest"}, {"new:latest", "base:latest"})

    @needs("skopeo")
    def test_skopeo_and_keg_write_one_store_in_turn(self):
        skopeo = lambda *words: run("skopeo", "--insecure-policy", *words)
        self.keg("tag", "base", "a:1")
        skopeo("copy", f"oci:{self.store}:a:1", f"oci:{self.store}:b:2")
        self.assertEqual(self.names(), {"base:latest", "a:1", "b:2"})
        self.keg("tag", "b:2", "c:3")
        self.keg("rmi", "a:1")
        for name in ("base:latest", "b:2", "c:3"):
            skopeo("inspect", f"oci:{self.store}:{name}")
        self.assertEqual(self.names(), {"base:latest", "b:2", "c:3"})
        self.alive()


class Archives(StoreOf):
    images = False

    def test_an_archive_of_many_layers_needs_few_descriptors(self):
        layers = [tar_of({f"f{i}": os.urandom(6000)}) for i in range(60)]
        archive = self.write("many.tar", layered_archive({"many:latest": layers}))
        run("prlimit", "--nofile=32:32", KEG, "--root", self.store, "load", "-q", "-i", archive)

    def test_images_of_an_archive_may_share_layers(self):
        shared = tar_of({"big": os.urandom(20_000)})
        archive = layered_archive({"one:1": [shared], "two:1": [shared, tar_of({"own": os.urandom(20_000)})]})
        self.assertEqual(self.keg("load", "-q", "-i", self.write("two.tar", archive)).stdout, "Loaded image: one:1\nLoaded image: two:1\n")

    def test_a_name_that_two_images_of_an_archive_want_is_the_last_ones(self):
        first, last = tar_of({"first": b"1"}), tar_of({"last": b"2"})
        items, files = [], {}
        for layer in (first, last):
            config = config_of(layer)
            files |= {sha(config): config, sha(layer): layer}
            items.append({"Config": sha(config), "RepoTags": ["both:1"], "Layers": [sha(layer)]})
        self.keg("load", "-q", "-i", self.write("a.tar", tar_of({**files, "manifest.json": json.dumps(items).encode()})))
        self.assertEqual(self.image_id("both:1"), "sha256:" + sha(config_of(last)))
        self.assertEqual(sorted(self.keg("images", "-q", "--no-trunc").stdout.split()), sorted("sha256:" + sha(config_of(l)) for l in (first, last)))

    def test_too_many_layers_are_refused_before_any_is_unpacked(self):
        layers = [tar_of({f"f{i}": b""}) for i in range(501)]
        self.fails("load", "-i", self.write("many.tar", layered_archive({"many:latest": layers})), code=1, says="501 layers")
        self.assertEqual(self.files("layers"), set())

    def test_a_sparse_file_stays_sparse(self):
        info = tarfile.TarInfo("huge")
        info.type = tarfile.GNUTYPE_SPARSE
        header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        def put(at, width, value):
            header[at:at + width] = b"\x80" + value.to_bytes(width - 1, "big")
        put(124, 12, 512)                   # stored bytes
        put(386, 12, 1 << 30)               # the one piece: where, and how long
        put(398, 12, 512)
        put(483, 12, (1 << 40))             # the file's size
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        layer = bytes(header) + b"x" * 512 + bytes(1024)
        self.keep_plain_files()
        self.keg("load", "-q", "-i", self.write("sparse.tar", layered_archive({"sparse:latest": [layer]})))
        [huge] = self.store.glob("layers/sha256/*/diff/huge")
        self.assertEqual(huge.stat().st_size, 1 << 40)
        self.assertLess(huge.stat().st_blocks, 1000)
        with open(huge, "rb") as file:
            file.seek(1 << 30)
            self.assertEqual(file.read(512), b"x" * 512)


class Builds(StoreOf):
    def build(self, name, dockerfile):
        context = self.dir / name
        context.mkdir()
        (context / "Dockerfile").write_text(dockerfile)
        return self.keg("build", "-q", "-t", name, context, check=False)

    def test_a_file_whose_name_would_hide_another_cannot_be_in_a_layer(self):
        result = self.build("hides", "FROM base\nRUN mkdir /d && echo keep > /d/data\nRUN touch /d/.wh.data\n")
        self.assertEqual(result.returncode, 1)
        self.assertIn('"d/.wh.data"', result.stderr)

    def test_what_a_step_makes_of_the_root_directory_is_in_its_layer(self):
        for mode in ("711", "701"):
            self.assertEqual(self.build("root" + mode, f"FROM base\nRUN chmod {mode} /\n").returncode, 0)
        self.keg("save", "-o", self.dir / "root.tar", "root701", "root711")
        for store in (self.store, self.dir / "second"):
            self.store = store
            if store.name == "second":
                self.keg("load", "-q", "-i", self.dir / "root.tar")
            for mode in ("711", "701"):
                self.assertEqual(self.keg("run", "--rm", "--network", "none", "root" + mode, "stat", "-c", "%a", "/").stdout, mode + "\n")

    def test_a_step_may_leave_a_tree_of_any_depth(self):
        deep = "i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done"
        self.addCleanup(run, "rm", "-rf", self.store)   # Python's own goes no deeper than its stack
        context = self.dir / "deep"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM base\nRUN {deep}\nRUN echo\n")
        run("prlimit", "--nofile=256:256", KEG, "--root", self.store, "build", "-q", "-t", "deep", context)
        self.keg("save", "-o", self.dir / "deep.tar", "deep")
        self.keg("rmi", "deep")
        run("prlimit", "--nofile=256:256", KEG, "--root", self.store, "load", "-q", "-i", self.dir / "deep.tar")


class DiskUse(StoreOf):
    """`keg system df`: what takes the disk, and what of it nobody needs."""

    def rows(self):
        lines = self.keg("system", "df", "--format", "json").stdout.splitlines()
        return {row["Type"]: row for row in map(json.loads, lines)}

    def shares(self):
        found = self.keg("system", "df", "--format", "{{.TotalCount}} {{.Active}}").stdout.split("\n")[:4]
        return [tuple(map(int, line.split())) for line in found]

    def bytes_of(self, shown):
        number, unit = re.fullmatch(r"([0-9.]+)(B|kB|MB)( \(\d+%\))?", shown).group(1, 2)
        return float(number) * {"B": 1, "kB": 1e3, "MB": 1e6}[unit]

    def test_images_share_layers_and_containers_need_them(self):
        shared, own = tar_of({"shared": os.urandom(1_000_000)}), tar_of({"own": os.urandom(2_000_000)})
        self.keg("rmi", "base")
        self.keg("load", "-q", "-i", self.write("two.tar", layered_archive({"one:latest": [shared], "two:latest": [shared, own]})))
        images = self.rows()["Images"]
        self.assertEqual(images["TotalCount"], "2")
        self.assertAlmostEqual(self.bytes_of(images["Size"]), 3e6, delta=2e5)
        self.assertIn("(100%)", images["Reclaimable"])
        self.keg("create", "--name", "user", "one", "x")
        images = self.rows()["Images"]
        self.assertEqual(images["Active"], "1")
        self.assertAlmostEqual(self.bytes_of(images["Reclaimable"]), 2e6, delta=2e5)
        self.keg("rmi", "two")
        self.assertIn("(0%)", self.rows()["Images"]["Reclaimable"])

    def test_each_of_them_is_listed(self):
        shared, own = tar_of({"shared": os.urandom(1_000_000)}), tar_of({"own": os.urandom(2_000_000)})
        self.keg("rmi", "base")
        self.keg("load", "-q", "-i", self.write("two.tar", layered_archive({"one:latest": [shared], "two:latest": [shared, own]})))
        self.keg("tag", "two", "three:3")
        self.keg("create", "--name", "user", "-v", "kept:/data", "two", "x", "y")
        (self.store / "volumes/kept/_data").mkdir(parents=True, exist_ok=True)
        listed = self.keg("system", "df", "-v").stdout
        titles = ("Images space usage:", "Containers space usage:", "Local Volumes space usage:", "Build cache usage: 0B")
        self.assertEqual([line for line in listed.splitlines() if " usage:" in line], list(titles))
        tables = [re.split(r" {2,}", line) for line in listed.splitlines() if line and " usage:" not in line]
        images = {row[0]: row for row in tables[1:4]}
        self.assertEqual(tables[0], ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"])
        self.assertEqual({name: (row[1], row[7]) for name, row in images.items()},
                         {"one": ("latest", "0"), "two": ("latest", "1"), "three": ("3", "1")})
        self.assertAlmostEqual(self.bytes_of(images["one"][5]), 1e6, delta=1e5)
        self.assertAlmostEqual(self.bytes_of(images["one"][6]), 0, delta=1e5)
        self.assertAlmostEqual(self.bytes_of(images["three"][5]), 1e6, delta=1e5)
        self.assertAlmostEqual(self.bytes_of(images["three"][6]), 2e6, delta=1e5)
        user = tables[5]
        self.assertEqual((user[1], user[2], user[3], user[-1]), ("two", '"x y"', "1", "user"))
        self.assertEqual(tables[7][:2], ["kept", "1"])
        self.fails("system", "df", "-v", "--format", "json", says="conflict")

    def test_containers_and_volumes(self):
        self.keg("run", "-d", "--name", "writer", "--network", "none", "-v", "kept:/data", "base", "sh", "-c",
                 "head -c 1000000 /dev/urandom > /data/x; head -c 2000000 /dev/urandom > /y; touch /ready; sleep 10000")
        wait_until(lambda: self.keg("exec", "writer", "test", "-e", "/ready", check=False).returncode == 0, "the files")
        self.assertEqual(self.shares()[1:3], [(1, 1), (1, 1)])
        rows = self.rows()
        self.assertAlmostEqual(self.bytes_of(rows["Containers"]["Size"]), 2e6, delta=2e5)
        self.assertAlmostEqual(self.bytes_of(rows["Local Volumes"]["Size"]), 1e6, delta=2e5)
        self.keg("kill", "writer")
        self.keg("wait", "writer", check=False)
        self.assertEqual(self.shares()[1:3], [(1, 0), (1, 1)])
        self.keg("rm", "writer")
        self.assertEqual(self.shares()[1:3], [(0, 0), (1, 0)])
        self.assertTrue(self.keg("system", "df").stdout.startswith("TYPE "))


class Checks(StoreOf):
    def check(self, *words, code):
        result = self.keg("system", "check", "--format", "json", *words, check=False)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return json.loads(result.stdout)

    def kinds(self, report):
        return sorted(problem["kind"] for problem in report["problems"])

    def test_a_whole_store_has_nothing_wrong(self):
        self.small_image()
        (self.dir / "context").mkdir()
        (self.dir / "context/Dockerfile").write_text("FROM base\nRUN rm -r /root && mkdir /root && echo x > /root/x && ln /root/x /y && chown 5:6 /y && rm /etc/group\n")
        self.keg("build", "-q", "-t", "built", self.dir / "context")
        report = self.check(code=0)
        self.assertEqual((report["images"], report["layers"], report["problems"]), (3, 3, []))
        self.assertIn("nothing wrong", self.keg("system", "check").stdout)

    def test_a_damaged_blob_is_named_quarantined_and_healed(self):
        archive = self.dir / "base.tar"
        self.keg("save", "-o", archive, "base")
        layer = self.manifest("base")["layers"][0]["digest"]
        self.damage(layer)
        wrong = self.blob(layer).read_bytes()
        for words in ((), ("--repair",)):
            report = self.check(*words, code=1)
            self.assertEqual(self.kinds(report), ["blob", "image"])
            for problem in report["problems"]:
                self.assertIn(layer, problem["object"] + problem["problem"])
            self.assertEqual(self.blob(layer).exists(), not words)
        self.assertEqual((self.store / "quarantine" / layer.replace(":", "-")).read_bytes(), wrong)
        self.assertIn(layer, self.keg("system", "check", check=False).stdout)
        self.fails("run", "--rm", "--network", "none", "base", "true", code=125, says=(layer, "load or pull the image again"))
        self.keg("load", "-q", "-i", archive)
        self.check(code=0)

    def test_a_missing_blob_is_named_with_its_image_and_nothing_else_goes(self):
        self.small_image()
        config = self.manifest("other")["config"]["digest"]
        self.blob(config).unlink()
        blobs = self.files("blobs")
        report = self.check("--repair", code=1)
        self.assertEqual([problem["object"] for problem in report["problems"]], ["other:latest"])
        self.assertIn(config, report["problems"][0]["problem"])
        self.assertEqual(self.files("blobs"), blobs)
        self.keg("rmi", "other")
        self.check(code=0)

    def test_a_changed_file_of_an_unpacked_layer_is_found_and_mended(self):
        self.keep_plain_files()
        self.small_image()
        for change in ("content", "mode", "extra", "gone"):
            with self.subTest(change):
                [file] = self.store.glob("layers/sha256/*/diff/other")
                if change == "content":
                    file.write_bytes(b"OTHER")
                elif change == "mode":
                    file.chmod(0o4755)
                elif change == "extra":
                    file.with_name("more").touch()
                else:
                    file.unlink()
                [problem] = self.check(code=1)["problems"]
                self.assertEqual(problem["kind"], "layer")
                [problem] = self.check("--repair", code=1)["problems"]
                self.assertIn("unpacked anew", problem["repaired"])
                self.check(code=0)
                [file] = self.store.glob("layers/sha256/*/diff/other")
                self.assertEqual(file.read_bytes(), b"other")

    def test_a_layer_that_is_gone_from_below_another_is_found_and_made_again(self):
        self.keep_plain_files()
        layers = [tar_of({name: name.encode()}) for name in ("low", "middle", "high")]
        self.keg("load", "-q", "-i", self.write("three.tar", layered_archive({"three:latest": layers})))
        self.keg("create", "--name", "held", "three")
        [middle] = [file.parents[1] for file in self.store.glob("layers/sha256/*/diff/middle")]

        def names_in_root():
            self.keg("rm", "--force", "look", check=False)
            self.keg("create", "--name", "look", "three")
            self.keg("export", "-o", self.dir / "root.tar", "look")
            with tarfile.open(self.dir / "root.tar") as tar:
                return set(tar.getnames())

        for lost in ("all of it", "its files"):
            with self.subTest(lost):
                lose = lambda: shutil.rmtree(middle if lost == "all of it" else middle / "diff")
                lose()
                self.assertIn(middle.name, self.keg("export", "held", check=False).stderr)
                [problem] = self.check(code=1)["problems"]
                self.assertEqual(problem["object"], f"layers/sha256/{middle.name}")
                [problem] = self.check("--repair", code=1)["problems"]
                self.assertEqual(problem["repaired"], "unpacked anew")
                self.check(code=0)
                self.assertLessEqual({"low", "middle", "high"}, names_in_root())
                lose()
                self.assertLessEqual({"low", "middle", "high"}, names_in_root())
                self.check(code=0)

    def test_a_changed_index_of_layers_is_found_and_mended(self):
        self.small_image()
        for index in self.store.glob("layers/sha256/*/index"):
            right = index.read_bytes()
            index.write_bytes(right[:1100] + b"?" + right[1101:])
            [problem] = self.check(code=1)["problems"]
            self.assertEqual(problem["kind"], "layer")
            self.check("--repair", code=1)
            self.check(code=0)
            self.assertEqual(index.read_bytes(), right)

    def test_what_goes_on_top_of_a_damaged_index_is_made_of_the_tars(self):
        low, high = tar_of({"low": b"low"}), tar_of({"high": b"high"})
        load = lambda images: self.keg("load", "-q", "-i", self.write("layers.tar", layered_archive(images)))
        before = set(self.store.glob("layers/sha256/*/index"))
        load({"low:latest": [low]})
        for index in set(self.store.glob("layers/sha256/*/index")) - before:
            index.write_bytes(bytes(1024) + index.read_bytes()[1024:1100] + b"?" * 500)
            self.assertIn(str(index), load({"high:latest": [low, high]}).stderr)
            self.keg("create", "--name", "look", "high")
            self.keg("export", "-o", self.dir / "root.tar", "look")
            with tarfile.open(self.dir / "root.tar") as tar:
                self.assertLessEqual({"low", "high"}, set(tar.getnames()))

    def test_a_tar_that_is_gone_or_changed_is_inflated_again(self):
        layer = tar_of({"hello": b"world"})
        answers, _ = registry_image("app", "v1", [layer])
        fake = FakeRegistry(answers)
        self.addCleanup(fake.stop)
        image = fake.host + "/app:v1"
        self.keg("pull", "-q", image)
        tar = "sha256:" + sha(layer)
        if not self.blob(tar).exists():
            self.skipTest("the layers are unpacked here")
        self.damage(tar)
        self.assertEqual(self.kinds(self.check(code=1))[0], "blob")
        self.assertIn("layer", self.kinds(self.check("--repair", code=1)))
        self.check(code=0)
        self.assertEqual(self.blob(tar).read_bytes(), layer)
        self.blob(tar).unlink()
        self.assertEqual(self.kinds(self.check(code=1)), ["layer"])
        self.keg("create", image)
        self.assertEqual(self.blob(tar).read_bytes(), layer)

    def test_a_lost_index_is_made_anew(self):
        self.small_image()
        ids = set(self.keg("images", "-q", "--no-trunc").stdout.split())
        (self.store / "index.json").unlink()
        self.assertEqual(self.kinds(self.check(code=1)), ["index"])
        self.assertFalse((self.store / "index.json").exists())
        self.check("--repair", code=1)
        self.assertEqual(set(self.keg("images", "-q", "--no-trunc").stdout.split()), ids)
        self.check(code=0)

    def test_what_a_killed_command_left_is_found(self):
        (self.store / "tmp/build-123456").mkdir()
        [problem] = self.check(code=1)["problems"]
        self.assertEqual((problem["kind"], problem["object"]), ("leftover", "tmp/build-123456"))
        # To compare layers a directory is needed, and whoever takes one clears away what the dead have left.
        self.check(code=0)
        self.assertEqual(os.listdir(self.store / "tmp"), [])


if __name__ == "__main__":
    unittest.main()
