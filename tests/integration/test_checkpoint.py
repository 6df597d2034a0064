"""A container that is written to files goes on where it was, in another container or on another day.

CRIU does not run on every kernel: where it does not, the error has to say why."""
import json
import shutil
import subprocess
import time
import unittest

from keg import RUNTIME, RuntimeCase, needs, needs_root


def criu_works():
    return shutil.which("criu") and subprocess.run(["criu", "check"], capture_output=True).returncode == 0


needs_criu = unittest.skipUnless(criu_works(), "needs a kernel on which `criu check` is content")

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.1; done"


@needs_root
class Checkpoint(RuntimeCase):
    def detached(self, *words, **options):
        subprocess.run([RUNTIME, "--root", str(self.state), *map(str, words)], check=True, timeout=60,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)

    def count(self):
        return int((self.dir / "bundle/rootfs/count").read_text().strip() or 0)

    def run_counter(self, edit=None):
        bundle = self.bundle("sh", "-c", COUNT, edit=edit)
        self.detached("run", "-d", "-b", bundle, "c", stderr=subprocess.DEVNULL)
        for _ in range(200):
            if (bundle / "rootfs/count").exists() and self.count() > 3:
                return bundle
            time.sleep(0.05)
        self.fail("the container does not count")

    @needs_criu
    def test_a_container_goes_on_where_it_was(self):
        (self.dir / "file").write_text("of the host")

        def edit(config):
            config["mounts"].append({"destination": "/bound", "type": "bind", "source": str(self.dir / "file"), "options": ["bind", "ro"]})
        bundle = self.run_counter(edit)
        self.runtime("checkpoint", "--image-path", self.dir / "images", "c")
        self.assertEqual(self.runtime("list", "-q").stdout, "")
        before = self.count()
        time.sleep(0.5)
        self.assertEqual(self.count(), before)
        self.detached("restore", "-d", "-b", bundle, "--image-path", self.dir / "images", "--pid-file", self.dir / "pid", "c")
        state = json.loads(self.runtime("state", "c").stdout)
        self.assertEqual((state["status"], str(state["pid"])), ("running", (self.dir / "pid").read_text()))
        time.sleep(1)
        self.assertGreater(self.count(), before)
        self.assertEqual(self.runtime("exec", "c", "cat", "/bound").stdout, "of the host")
        self.runtime("delete", "--force", "c")

    @needs_criu
    def test_a_container_that_is_left_running_runs(self):
        self.run_counter()
        self.runtime("checkpoint", "--leave-running", "--image-path", self.dir / "images", "--work-path", self.dir / "work", "c")
        self.assertTrue((self.dir / "work/dump.log").exists())
        before = self.count()
        time.sleep(1)
        self.assertGreater(self.count(), before)

    @needs_criu
    def test_the_exit_code_of_a_restored_container_is_its_own(self):
        bundle = self.bundle("sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 7")
        self.detached("run", "-d", "-b", bundle, "c", stderr=subprocess.DEVNULL)
        self.runtime("checkpoint", "--image-path", self.dir / "images", "c")
        (bundle / "rootfs/go").touch()
        self.assertEqual(self.runtime("restore", "-b", bundle, "--image-path", self.dir / "images", "c", check=False).returncode, 7)
        self.assertEqual(self.runtime("list", "-q").stdout, "")

    @needs_criu
    def test_what_criu_says_reaches_the_caller(self):
        (self.dir / "images").mkdir()
        result = self.runtime("restore", "-b", self.bundle("true"), "--image-path", self.dir / "images", "c", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("criu failed: type RESTORE", result.stderr)
        self.assertIn("Error (criu", result.stderr)
        self.assertIn(f"log file: {self.dir}/images/restore.log", result.stderr)
        self.assertEqual(self.runtime("list", "-q").stdout, "")

    @needs("criu")
    @unittest.skipIf(criu_works(), "criu works here")
    def test_a_kernel_that_criu_cannot_use_is_said_and_the_container_stays(self):
        self.run_counter()
        result = self.runtime("checkpoint", "--image-path", self.dir / "images", "c", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("criu failed", result.stderr)
        self.assertEqual(json.loads(self.runtime("state", "c").stdout)["status"], "running")

    def test_a_container_that_has_not_started_is_refused(self):
        self.detached("create", "-b", self.bundle("true"), "c", stderr=subprocess.DEVNULL)
        result = self.runtime("checkpoint", "c", check=False)
        self.assertIn("Container cannot be checkpointed in created state", result.stderr)


if __name__ == "__main__":
    unittest.main()
