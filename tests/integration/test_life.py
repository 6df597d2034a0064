"""What the commands that look see of a container, and that every command ends, whatever somebody else does not do."""
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

from keg import RUNTIME, RuntimeCase, needs_root

CGROUPS = pathlib.Path("/sys/fs/cgroup")
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


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

    def until(self, condition, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.02)
        self.fail("it did not come to that in time")

    def status(self):
        return json.loads(self.runtime("state", self.name).stdout)["status"]

    def create_with_a_hook_that_hangs(self, kind):
        """Gives the create, in the middle of the hook."""
        mark = self.dir / f"mark-{kind}"
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"touch {mark}; exec sleep 1000"]}
        bundle = self.bundle("sleep", "1000", edit=lambda config: config.update(hooks={kind: [hook]}), name=kind)
        create = self.command("create", "-b", bundle, self.name, stderr=subprocess.PIPE, text=True)
        self.addCleanup(create.stderr.close)
        self.until(mark.exists)
        return create


@needs_root
class Impatience(LifeCase):
    def test_create_that_is_told_to_end_leaves_nothing(self):
        for kind in ("prestart", "createRuntime", "createContainer"):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                with self.subTest(kind, signal=number):
                    create = self.create_with_a_hook_that_hangs(kind)
                    create.send_signal(number)
                    self.assertEqual(create.wait(timeout=20), 128 + number)
                    self.assertIn("interrupted: ", create.stderr.read())
                    self.assertEqual((os.listdir(self.state), self.groups()), ([], []))
                    (self.dir / f"mark-{kind}").unlink()
                    subprocess.run(["rm", "-rf", self.dir / kind], check=True)

    def test_a_signal_that_is_ignored_stays_so(self):
        mark = self.dir / "mark"
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"touch {mark}; while [ -e {mark} ]; do sleep 0.05; done"]}
        bundle = self.bundle("sleep", "1000", edit=lambda config: config.update(hooks={"createRuntime": [hook]}))
        create = self.command("create", "-b", bundle, self.name, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.until(mark.exists)
        create.send_signal(signal.SIGHUP)
        mark.unlink()
        self.assertEqual(create.wait(timeout=20), 0)
        self.assertEqual(self.status(), "created")

    def test_delete_force_ends_a_create_whose_hook_hangs(self):
        for kind in ("prestart", "createRuntime", "createContainer"):
            with self.subTest(kind):
                create = self.create_with_a_hook_that_hangs(kind)
                self.runtime("delete", "--force", self.name, timeout=9)
                self.assertEqual((os.listdir(self.state), self.groups()), ([], []))
                self.assertEqual(create.wait(timeout=20), 1)
                self.assertIn("container", create.stderr.read())

    def test_a_caller_that_ignores_the_ends_of_his_children(self):
        """For himself: the runtime hears of the ends of its own."""
        def ignore():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        hook = {"path": "/bin/true"}
        bundle = self.bundle("sh", "-c", "exit 7", edit=lambda config: config.update(hooks={"createRuntime": [hook]}))
        self.assertEqual(self.command("run", "-b", bundle, self.name, preexec_fn=ignore).wait(timeout=20), 7)
        sleeping = self.bundle("sleep", "1000", name="sleeping")
        self.assertEqual(self.command("run", "-d", "-b", sleeping, self.name).wait(timeout=20), 0)
        self.assertEqual(self.command("exec", self.name, "sh", "-c", "exit 8", preexec_fn=ignore).wait(timeout=20), 8)


if __name__ == "__main__":
    unittest.main()
