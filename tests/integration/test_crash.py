"""A store survives whoever works on it: killed at any point, two at once, a disk that fills up."""
import gzip
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time
import unittest

from archives import FakeRegistry, config_of, files_of, layered_archive, registry_image, tar_of
from keg import KEG, PATIENCE, StoreCase, make_busybox_root, needs_root, processes_of, run, wait_until


@needs_root
class Kills(StoreCase):
    kills = 9
    seed = int(os.environ.get("KEG_SEED", "1"))

    def setUp(self):
        super().setUp()
        self.random = random.Random(self.seed)
        self.kept = self.image_id("base")

    def time_of(self, *words):
        began = time.monotonic()
        self.keg(*words)
        return time.monotonic() - began

    def kill_during(self, words, most):
        process = subprocess.Popen([KEG, "--root", self.store, *map(str, words)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(self.random.uniform(0, most))
        process.send_signal(signal.SIGKILL)
        return process.wait()

    def check_store(self):
        """All that the store lists is whole, and what it had is there."""
        for digest in set(self.keg("images", "-q", "--no-trunc").stdout.split()):
            self.keg("image", "inspect", digest)
        self.assertEqual(self.image_id("base"), self.kept)
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "base", "echo", "alive").stdout, "alive\n")

    def check_killed(self, *words, made="made"):
        """Random kills of that command, then the command itself, then nothing but the base is left."""
        untouched = files_of(self.store)
        self.kill_often(words, made)
        self.keg(*words)
        self.keg("rmi", "-f", made)
        self.check_untouched(untouched)

    def kill_often(self, words, made, after_each=lambda: None):
        most = self.time_of(*words) * 1.1
        self.keg("rmi", "-f", made)
        self.keg("image", "prune", "-f")
        tried = killed = 0
        while tried < self.kills or killed < 2:
            tried += 1
            if self.kill_during(words, most) == -signal.SIGKILL:
                killed += 1
            else:
                most *= 0.7    # the machine has become faster than it was
            self.check_store()
            after_each()
            self.keg("rmi", "-f", made, check=False)

    def check_untouched(self, before):
        for part in (self.store / "partial").glob("*"):   # of blobs, which the next pull would go on with
            os.utime(part, (0, 0))
        # Who clears up after those that were killed needs a moment, and holds what they used for that long;
        # what nobody holds, the next prune takes.
        left = lambda: [*os.listdir(self.store / "tmp"), *processes_of(str(self.store))]
        pruned = lambda: self.keg("image", "prune", "-f") and not left()
        wait_until(pruned, "the end of the clearing up", left)
        self.keg("builder", "prune", "-a", "-f")
        self.assertEqual(files_of(self.store), before)
        self.assertNotIn(str(self.store), pathlib.Path("/proc/self/mounts").read_text())
        self.assertEqual(processes_of(str(self.store)), [])

    def big_layer(self):
        return tar_of({f"d/{i}": os.urandom(10_000) for i in range(300)})

    def test_import(self):
        self.check_killed("import", self.write("big.tar", self.big_layer()), "made")

    def test_load(self):
        layers = [self.big_layer(), tar_of({"d/.wh.1": b"", "e": b"e"}), self.big_layer()]
        self.check_killed("load", "-i", self.write("a.tar", layered_archive({"made:latest": layers})))

    def test_pull(self):
        answers, _ = registry_image("made", "1", [self.big_layer(), tar_of({"d/.wh.1": b"", "e": b"e"}), self.big_layer()])
        fake = FakeRegistry(answers)
        self.addCleanup(fake.stop)
        self.check_killed("pull", fake.host + "/made:1", made=fake.host + "/made:1")

    def test_build(self):
        (self.dir / "context").mkdir()
        (self.dir / "context/big").write_bytes(os.urandom(1_000_000))
        (self.dir / "context/Dockerfile").write_text(
            "FROM base\nCOPY big /big\nRUN cp /big /copy && rm /big\nWORKDIR /w\nRUN i=0; while [ $i -lt 200 ]; do echo $i > $i; i=$((i+1)); done\n")
        self.check_killed("build", "--no-cache", "-t", "made", self.dir / "context")

    def test_commit_of_a_container_that_goes_on(self):
        untouched = files_of(self.store)
        self.keg("run", "-d", "--name", "one", "--network", "none", "base", "sh", "-c",
                 "head -c 3000000 /dev/urandom > /big; while :; do echo x > /tmp/now; sleep 0.1; done")
        goes_on = lambda: wait_until(lambda: self.keg("inspect", "-f", "{{.State.Status}}", "one").stdout == "running\n" and
                                     self.keg("exec", "one", "cat", "/tmp/now", check=False).stdout, "the container to go on")
        goes_on()
        self.kill_often(["commit", "one", "made"], "made", after_each=goes_on)
        self.keg("rm", "-f", "one")
        self.check_untouched(untouched)

    def test_repack(self):
        self.keg("unpack", "base", self.dir / "bundle")
        (self.dir / "bundle/rootfs/big").write_bytes(os.urandom(3_000_000))
        self.check_killed("repack", "-t", "made", self.dir / "bundle")

    def test_a_build_that_is_ended_takes_its_container_with_it(self):
        (self.dir / "context").mkdir()
        (self.dir / "context/Dockerfile").write_text("FROM base\nRUN sleep 987\n")
        for how in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
            with self.subTest(how.name):
                build = subprocess.Popen([KEG, "--root", self.store, "build", self.dir / "context"], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
                wait_until(lambda: processes_of("sleep 987"), "RUN")
                [work] = os.listdir(self.store / "tmp")
                if how == signal.SIGINT:   # as the terminal does it: to all in the foreground
                    os.killpg(build.pid, how)
                else:
                    build.send_signal(how)
                self.assertEqual(build.wait(PATIENCE), -how)
                wait_until(lambda: not processes_of(str(self.store)), "the end of all processes")
                self.assertEqual(processes_of("sleep 987"), [])
                self.assertEqual(os.listdir(self.store / "tmp"), [])
                self.assertNotIn(str(self.store), pathlib.Path("/proc/self/mounts").read_text())
                self.assertEqual(list(pathlib.Path("/sys/fs/cgroup").rglob("keg-" + work)), [])


@needs_root
class TwoAtOnce(StoreCase):
    def test_many_commands_on_one_store(self):
        """Imports, loads, builds and removals that run at the same time all do what they say."""
        shared = tar_of({"s": os.urandom(200_000)})
        for i in range(4):
            self.write(f"load{i}", layered_archive({f"load{i}:latest": [shared, tar_of({f"f{i}": b"x" * 1000})]}))
            self.write(f"import{i}", tar_of({f"f{i}": os.urandom(100_000)}))
            context = self.dir / f"context{i}"
            context.mkdir()
            (context / "Dockerfile").write_text(f"FROM base\nRUN echo same\nRUN echo {i} > /i\n")
        commands = [("load", "-i", self.dir / f"load{i}") for i in range(4)]
        commands += [("import", self.dir / f"import{i}", f"import{i}") for i in range(4)]
        commands += [("build", "-t", f"build{i}", self.dir / f"context{i}") for i in range(4)]
        commands += [("image", "prune", "-f")] * 3
        results = {}

        def work(i):
            results[i] = self.keg(*commands[i], check=False)
        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(commands))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, result in results.items():
            self.assertEqual(result.returncode, 0, f"{commands[i]}: {result.stderr}")
        names = self.keg("images", "--format", "{{.Repository}}").stdout.split()
        self.assertEqual(sorted(names), sorted(["base"] + [f"{kind}{i}" for kind in ("load", "import", "build") for i in range(4)]))
        for i in range(4):
            self.assertEqual(self.keg("run", "--rm", "--network", "none", f"build{i}", "cat", "/i").stdout, f"{i}\n")
            self.keg("save", "-o", self.dir / "out.tar", f"load{i}")


@needs_root
class FullDisk(StoreCase):
    """A store on a small tmpfs, which the work to be done fills."""
    images = False

    def setUp(self):
        super().setUp()
        (self.dir / "small").mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", self.dir / "small")
        self.store = self.dir / "small/store"
        make_busybox_root(self.dir / "busybox")
        run("tar", "-C", self.dir / "busybox", "-cf", self.dir / "busybox.tar", ".")
        self.keg("import", self.dir / "busybox.tar", "base")
        self.big = tar_of({"big": os.urandom(6 << 20)})

    def check_full(self, *words, complete_blobs_stay=False):
        before = files_of(self.store)
        result = self.fails(*words, code=1, says="no space left on device")
        errors = [line for line in result.stderr.splitlines() if "no space left" in line]
        self.assertEqual(len(errors), 1, result.stderr)
        if complete_blobs_stay:  # the next try needs them
            self.keg("image", "prune", "-f")
        self.assertEqual(files_of(self.store), before)
        self.assertEqual(os.listdir(self.store / "tmp"), [])
        self.assertEqual(self.keg("image", "inspect", "--format", "{{.RepoTags}}", "base").stdout.strip(), "[base:latest]")

    def test_import(self):
        self.check_full("import", self.write("big.tar", self.big), "big")

    def test_load(self):
        self.check_full("load", "-i", self.write("archive", layered_archive({"x:1": [self.big]})))

    def test_load_whose_layers_are_small_until_they_are_unpacked(self):
        bomb = tar_of({"zeros": bytes(200 << 20)})
        manifest = [{"Config": "c", "RepoTags": ["x:1"], "Layers": ["l"]}]
        self.check_full("load", "-i", self.write("archive", tar_of({"c": config_of(bomb), "l": gzip.compress(bomb), "manifest.json": json.dumps(manifest).encode()})))

    def test_pull(self):
        fake = FakeRegistry(registry_image("app", "1", [self.big])[0])
        self.addCleanup(fake.stop)
        self.check_full("pull", fake.host + "/app:1", complete_blobs_stay=True)

    def test_repack_and_add_layer(self):
        self.keg("unpack", "base", self.dir / "bundle")
        (self.dir / "bundle/rootfs/big").write_bytes(os.urandom(6 << 20))
        self.check_full("repack", "-t", "big", self.dir / "bundle")
        self.check_full("add-layer", "base", self.write("big.tar", self.big))

    def test_commit(self):
        space = os.statvfs(self.store)
        self.keg("run", "--name", "one", "--network", "none", "base", "sh", "-c",
                 f"head -c {space.f_bavail * space.f_bsize * 6 // 10} /dev/urandom > /big")
        self.addCleanup(self.keg, "rm", "-f", "one")
        self.check_full("commit", "one", "big")

    def test_build(self):
        (self.dir / "context").mkdir()
        (self.dir / "context/big").write_bytes(self.big)
        for step in ("COPY big /big", "RUN cat /dev/urandom > /big || exit 1"):
            with self.subTest(step):
                (self.dir / "context/Dockerfile").write_text(f"FROM base\n{step}\n")
                before = files_of(self.store)
                result = self.fails("build", "--no-cache", self.dir / "context", code=1)
                self.assertIn("no space left on device", result.stderr.lower())
                self.assertEqual(files_of(self.store), before)
                self.assertEqual(os.listdir(self.store / "tmp"), [])


if __name__ == "__main__":
    unittest.main()
