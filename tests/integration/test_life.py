"""What the commands that look see of a container, and that every command ends, whatever somebody else does not do."""
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

from keg import PATIENCE, QUIET, RUNTIME, RuntimeCase, needs_root, wait_until

CGROUPS = pathlib.Path("/sys/fs/cgroup")


class LifeCase(RuntimeCase):
    def setUp(self):
        super().setUp()
        self.name = f"keg-life-{os.getpid()}"

    def groups(self):
        tops = [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())]
        return [str(top / self.name) for top in tops if (top / self.name).exists()]

    def command(self, *words, **options):
        process = subprocess.Popen([RUNTIME, "--root", str(self.state), *map(str, words)], **{**QUIET, **options})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def run_in_background(self, *args, edit=None, name="bundle", id=None):
        """Gives the number of its first process."""
        pid = self.dir / "pid"
        run = self.command("run", "-d", "--pid-file", pid, "-b", self.bundle(*args, edit=edit, name=name), id or self.name)
        self.assertEqual(run.wait(timeout=PATIENCE), 0)
        return int(pid.read_text())

    def assert_gone(self, pid):
        """Nobody of that number, or nobody but who waits to be reaped."""
        def gone():
            try:
                return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            except (FileNotFoundError, ProcessLookupError):
                return True
        wait_until(gone, f"the end of process {pid}")

    def create_with_a_hook_that_hangs(self, kind):
        """Gives the create, in the middle of the hook."""
        mark = self.dir / f"mark-{kind}"
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"touch {mark}; exec sleep 1000"]}
        bundle = self.bundle("sleep", "1000", edit=lambda config: config.update(hooks={kind: [hook]}), name=kind)
        create = self.command("create", "-b", bundle, self.name, stderr=subprocess.PIPE, text=True)
        self.addCleanup(create.stderr.close)
        wait_until(mark.exists, f"the {kind} hook")
        return create


@needs_root
class Impatience(LifeCase):
    def test_create_that_is_told_to_end_leaves_nothing(self):
        for kind in ("prestart", "createRuntime", "createContainer"):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                with self.subTest(kind, signal=number):
                    create = self.create_with_a_hook_that_hangs(kind)
                    create.send_signal(number)
                    self.assertEqual(create.wait(timeout=PATIENCE), 128 + number)
                    self.assertIn("interrupted: ", create.stderr.read())
                    self.assertEqual((os.listdir(self.state), self.groups()), ([], []))
                    (self.dir / f"mark-{kind}").unlink()
                    subprocess.run(["rm", "-rf", self.dir / kind], check=True)

    def test_a_signal_that_is_ignored_stays_so(self):
        mark = self.dir / "mark"
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"touch {mark}; while [ -e {mark} ]; do sleep 0.05; done"]}
        bundle = self.bundle("sleep", "1000", edit=lambda config: config.update(hooks={"createRuntime": [hook]}))
        create = self.command("create", "-b", bundle, self.name, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        wait_until(mark.exists, "the hook")
        create.send_signal(signal.SIGHUP)
        mark.unlink()
        self.assertEqual(create.wait(timeout=PATIENCE), 0)
        self.assertEqual(self.status(), "created")

    def test_delete_force_ends_a_create_whose_hook_hangs(self):
        for kind in ("prestart", "createRuntime", "createContainer"):
            with self.subTest(kind):
                create = self.create_with_a_hook_that_hangs(kind)
                self.runtime("delete", "--force", self.name)
                self.assertEqual((os.listdir(self.state), self.groups()), ([], []))
                self.assertEqual(create.wait(timeout=PATIENCE), 1)
                self.assertIn("container", create.stderr.read())

    def test_delete_force_ends_a_create_that_does_nothing_any_more(self):
        create = self.create_with_a_hook_that_hangs("createRuntime")
        create.send_signal(signal.SIGSTOP)
        self.runtime("delete", "--force", self.name)
        self.assertEqual((os.listdir(self.state), self.groups()), ([], []))
        self.assertEqual(create.wait(timeout=PATIENCE), -signal.SIGKILL)

    def test_a_caller_that_ignores_the_ends_of_his_children(self):
        """For himself: the runtime hears of the ends of its own."""
        def ignore():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        hook = {"path": "/bin/true"}
        bundle = self.bundle("sh", "-c", "exit 7", edit=lambda config: config.update(hooks={"createRuntime": [hook]}))
        self.assertEqual(self.command("run", "-b", bundle, self.name, preexec_fn=ignore).wait(timeout=PATIENCE), 7)
        sleeping = self.bundle("sleep", "1000", name="sleeping")
        self.assertEqual(self.command("run", "-d", "-b", sleeping, self.name).wait(timeout=PATIENCE), 0)
        self.assertEqual(self.command("exec", self.name, "sh", "-c", "exit 8", preexec_fn=ignore).wait(timeout=PATIENCE), 8)


@needs_root
class Looking(LifeCase):
    def test_who_looks_keeps_nobody_from_looking(self):
        """A killed create left this directory; a look at it holds the lock that all lookers share."""
        (self.state / self.name).mkdir(parents=True)
        directory = os.open(self.state / self.name, os.O_RDONLY)
        self.addCleanup(os.close, directory)
        fcntl.flock(directory, fcntl.LOCK_SH)
        self.assertEqual(self.status(), "stopped")
        self.assertIn(self.name, self.runtime("list").stdout)

    def test_create_waits_for_who_looks(self):
        where = self.state / self.name
        for n in range(20):
            create = self.command("create", "-b", self.bundle("true", name=f"b{n}"), self.name)
            directory = None
            while directory is None and create.poll() is None:
                try:
                    directory = os.open(where, os.O_RDONLY)
                    fcntl.flock(directory, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except (FileNotFoundError, BlockingIOError):
                    pass
            time.sleep(0.01)
            if directory is not None:
                os.close(directory)
            self.assertEqual(create.wait(timeout=PATIENCE), 0)
            self.runtime("delete", "--force", self.name)

    def test_what_is_just_begun_or_nearly_removed_does_not_exist(self):
        (self.state / self.name).mkdir(parents=True)
        directory = os.open(self.state / self.name, os.O_RDONLY)
        fcntl.flock(directory, fcntl.LOCK_EX)
        self.assertIn("container does not exist", self.runtime("state", self.name, check=False).stderr)
        self.assertNotIn(self.name, self.runtime("list").stdout)
        os.close(directory)
        self.assertEqual(self.status(), "stopped")

    def test_nobody_sees_a_container_anew_while_it_is_deleted(self):
        bundle = self.bundle("true")
        for _ in range(15):
            self.assertEqual(self.command("run", "-d", "-b", bundle, self.name).wait(timeout=PATIENCE), 0)
            delete = self.command("delete", "--force", self.name)
            while delete.poll() is None:
                seen = self.runtime("state", self.name, check=False)
                self.assertNotIn("creating", seen.stdout)
                self.assertTrue(seen.returncode == 0 or "container does not exist" in seen.stderr, seen.stderr)

    def test_an_id_may_begin_with_a_dot(self):
        self.run_in_background("sleep", "1000", id=".hidden")
        self.assertIn(".hidden ", self.runtime("list").stdout)

    @unittest.skipUnless(shutil.which("cc"), "needs a compiler")
    def test_a_process_lives_as_long_as_one_of_its_threads(self):
        """A C program's first process may end its main thread: in /proc it is a zombie then."""
        source = self.dir / "leader.c"
        source.write_text("#include <pthread.h>\n#include <unistd.h>\nstatic void *work(void *a) { for (;;) pause(); return a; }\n"
                          "int main(void) { pthread_t t; pthread_create(&t, 0, work, 0); pthread_exit(0); }\n")
        def add_program(config):
            subprocess.run(["cc", "-static", "-pthread", "-o", self.dir / "bundle/rootfs/bin/leader", source], check=True)
        pid = self.run_in_background("leader", edit=add_program)
        wait_until(lambda: ") Z " in pathlib.Path(f"/proc/{pid}/stat").read_text(), "the end of the main thread")
        self.assertEqual(self.status(), "running")
        self.runtime("kill", self.name, "0")
        self.assertIn("not stopped", self.runtime("delete", self.name, check=False).stderr)
        self.runtime("kill", self.name, "KILL")
        self.wait_for("stopped")


@needs_root
class DamagedState(LifeCase):
    kinds = {"garbage": b"xxxxx", "empty": b"", "half": None, "missing": None}

    def damage(self, kind, id):
        file = self.state / id / "state.json"
        if kind == "missing":
            return file.unlink()
        file.write_bytes(self.kinds[kind] if kind != "half" else file.read_bytes()[:100])

    def test_delete_force_ends_the_container_all_the_same(self):
        for kind in self.kinds:
            with self.subTest(kind):
                pid = self.run_in_background("sleep", "1000", name=kind)
                self.damage(kind, self.name)
                deleted = self.runtime("delete", "--force", self.name)
                self.assertIn("state.json", deleted.stderr)
                self.assertEqual((os.listdir(self.state), self.groups()), ([], []))
                self.assert_gone(pid)

    def test_it_is_named_and_hides_no_other(self):
        self.run_in_background("sleep", "1000", name="whole", id="whole")
        for kind in self.kinds:
            with self.subTest(kind):
                self.run_in_background("sleep", "1000", name=kind)
                self.damage(kind, self.name)
                listed = self.runtime("list", "--quiet")
                self.assertEqual(listed.stdout, "whole\n")
                self.assertIn(f"{self.name}/state.json", listed.stderr)
                for words in (("state",), ("delete",), ("exec",), ("kill",)):
                    refused = self.runtime(*words, self.name, *(("true",) if words == ("exec",) else ()), check=False)
                    self.assertNotEqual(refused.returncode, 0)
                    self.assertIn(f"{self.name}/state.json", refused.stderr)
                self.runtime("delete", "--force", "--regex", ".*" + self.name)
                self.assertEqual((os.listdir(self.state), self.groups()), (["whole"], []))

    def test_who_has_the_same_cgroup_by_his_own_state_is_left_alone(self):
        def same(config):
            config["linux"]["cgroupsPath"] = f"/{self.name}"
        pid = self.run_in_background("sleep", "1000", edit=same, id="whole")
        (self.state / self.name).mkdir()
        shutil.copy(self.dir / "bundle/config.json", self.state / self.name)
        (self.state / self.name / "state.json").write_text("xxx")
        self.runtime("delete", "--force", self.name)
        self.assertEqual(os.listdir(self.state), ["whole"])
        self.assertEqual(json.loads(self.runtime("state", "whole").stdout)["status"], "running")
        os.kill(pid, 0)


@needs_root
class PidFile(LifeCase):
    def test_only_a_file_is_replaced(self):
        fifo, file = self.dir / "fifo", self.dir / "file"
        os.mkfifo(fifo)
        file.write_text("of an earlier container")
        end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, end)
        bundle = self.bundle("sleep", "1000")
        for path in (fifo, file):
            self.assertEqual(self.command("create", "--pid-file", path, "-b", bundle, self.name).wait(timeout=PATIENCE), 0)
            pid = json.loads(self.runtime("state", self.name).stdout)["pid"]
            self.assertEqual(os.read(end, 100).decode() if path == fifo else path.read_text(), str(pid))
            self.assertTrue(path.is_fifo() == (path == fifo))
            self.runtime("delete", "--force", self.name)

    def test_a_device_that_takes_nothing_is_an_error_and_stays(self):
        """/dev/full, as a node of its own."""
        full = self.dir / "full"
        os.mknod(full, 0o666 | 0o020000, os.makedev(1, 7))
        try:
            os.close(os.open(full, os.O_WRONLY))
        except PermissionError:
            self.skipTest("device nodes cannot be used here")
        create = self.runtime("create", "--pid-file", full, "-b", self.bundle("true"), self.name, check=False)
        self.assertIn("no space left on device", create.stderr)
        self.assertTrue(full.is_char_device())
        self.assertEqual((os.listdir(self.state), self.groups()), ([], []))


if __name__ == "__main__":
    unittest.main()
