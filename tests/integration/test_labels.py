"""Labels of security modules: a program runs with the one that was asked for, or not at all."""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from hostile import Hostile, in_private_mounts
from keg import RUNTIME, needs, needs_root, run

PROFILE = """profile {name} flags=(attach_disconnected,mediate_deleted{more}) {{
    file,
    capability,
    network,
    mount,
    umount,
    pivot_root,
    ptrace,
    signal,
    deny /secret rwklx,
}}
"""


@needs_root
@needs("apparmor_parser")
@unittest.skipUnless(os.path.exists("/sys/kernel/security/apparmor"), "the kernel runs without AppArmor")
class AppArmor(Hostile):
    @classmethod
    def setUpClass(cls):
        cls.profiles = "".join(PROFILE.format(name=name, more=more) for name, more in
                               (("keg-test", ""), ("keg-other", ""), ("keg-learns", ",complain")))
        run("apparmor_parser", "--replace", "--skip-cache", input=cls.profiles)

    @classmethod
    def tearDownClass(cls):
        run("apparmor_parser", "--remove", input=cls.profiles)

    SAY = "cat /proc/self/attr/current; cat /secret"

    def profile(self, name):
        return lambda config: config["process"].update(apparmorProfile=name)

    def secret(self, rootfs):
        (rootfs / "secret").write_text("secret\n")

    def test_first_process_has_the_profile(self):
        self.assertEqual(self.sh(self.SAY, prepare=self.secret).stdout, "unconfined\nsecret\n")
        for profile, says in (("keg-test", "keg-test (enforce)\n"), ("keg-learns", "keg-learns (complain)\n")):
            result = self.sh(self.SAY, self.profile(profile), self.secret, name=profile, check=False)
            self.assertEqual(result.stdout, says, result.stderr)

    def test_caller_may_have_hidden_the_files_of_the_kernel(self):
        """podman starts the runtime without /sys/kernel for a container with a user namespace."""
        bundle = self.bundle("cat", "/proc/self/attr/current", edit=self.profile("keg-test"))
        result = in_private_mounts(f"mount -t tmpfs none /sys/kernel; exec {RUNTIME} --root {self.state} run -b {bundle} c")
        self.assertEqual(result.stdout, "keg-test (enforce)\n", result.stderr)

    def test_profiles_are_stacked(self):
        result = self.sh("cat /proc/self/attr/current", self.profile("keg-test//&keg-other"), check=False)
        self.assertRegex(result.stdout, r"^keg-(test|other)//&keg-(test|other) \(enforce\)$", result.stderr)

    def test_process_that_joins_has_the_profile(self):
        with self.sleeping(self.profile("keg-test"), self.secret):
            exec = lambda *options: self.runtime("exec", *options, "s", "sh", "-c", self.SAY, check=False)
            self.assertEqual(exec().stdout, "keg-test (enforce)\n")
            self.assertEqual(exec("--apparmor", "keg-other").stdout, "keg-other (enforce)\n")
            self.assertIn("'/secret': Permission denied", exec().stderr)

    def test_unknown_profile_is_an_error(self):
        said = "unable to apply apparmor profile: apparmor failed to apply profile: write /proc/thread-self/attr/apparmor/exec: no such file or directory"
        self.refused(said, self.profile("keg-none"))
        self.assertEqual(os.listdir(self.state), [])
        with self.sleeping():
            result = self.runtime("exec", "--apparmor", "keg-none", "s", "true", check=False)
            self.assertEqual(result.returncode, 255)
            self.assertIn(said, result.stderr)

    def test_covered_proc_takes_no_label(self):
        """CVE-2019-16884, CVE-2025-52881, by a process of the container that may mount."""
        def edit(config):
            for kind in ("bounding", "effective", "permitted"):
                config["process"]["capabilities"][kind].append("CAP_SYS_ADMIN")
        with self.sleeping(edit):
            self.runtime("exec", "s", "sh", "-ec", """mount -t tmpfs x /proc
                mkdir -p /proc/self/attr/apparmor /proc/thread-self/attr/apparmor
                for a in self thread-self; do touch /proc/$a/attr/exec /proc/$a/attr/apparmor/exec; done""")
            pid_file = self.dir / "pid"
            subprocess.run([RUNTIME, "--root", str(self.state), "exec", "-d", "--pid-file", str(pid_file), "--apparmor", "keg-test",
                            "s", "sleep", "100"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            current = pathlib.Path(f"/proc/{pid_file.read_text()}/attr/apparmor/current").read_text()
            self.assertEqual(current, "keg-test (enforce)\n")


if __name__ == "__main__":
    unittest.main()
