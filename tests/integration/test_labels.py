"""Labels of security modules: a program runs with the one that was asked for, or not at all."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from hostile import Hostile, in_private_mounts, libc, with_python
from keg import PROJECT, RUNTIME, needs, needs_root, run

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


@needs_root
@needs("secilc")
@unittest.skipUnless(os.path.exists("/sys/fs/selinux/enforce"), "the kernel runs without SELinux")
class SELinux(Hostile):
    """In a machine that has no policy of its own, with the one of tests/data/selinux, enforced."""

    LABEL, FILES = "u:r:box_t:s0:c1,c2", "u:r:box_file_t:s0:c1,c2"
    IMAGE, OTHER_FILES = "u:r:box_file_t:s0", "u:r:box_file_t:s0:c0"
    PUBLIC, SECRET = "u:r:public_t:s0", "u:r:secret_t:s0"
    OTHER, STRAY = "u:r:box_t:s0:c0", "u:r:stray_t:s0"
    FORBIDDEN = f'selinux label "{STRAY}": the policy does not let u:r:kernel_t:s0 start a process with it'

    @classmethod
    def setUpClass(cls):
        own = pathlib.Path("/proc/self/attr/current").read_text().rstrip("\0\n")
        if own not in ("kernel", "u:r:kernel_t:s0"):
            raise unittest.SkipTest(f"this machine has a policy already: we are {own}")
        if own == "kernel":
            with tempfile.TemporaryDirectory() as work:
                version = pathlib.Path("/sys/fs/selinux/policyvers").read_text()
                run("secilc", "-c", version, "-o", f"{work}/policy", "-f", "/dev/null", PROJECT / "tests/data/selinux/policy.cil")
                with open("/sys/fs/selinux/load", "wb", buffering=0) as load:
                    load.write(pathlib.Path(work, "policy").read_bytes())
        enforce = pathlib.Path("/sys/fs/selinux/enforce")
        cls.addClassCleanup(enforce.write_text, enforce.read_text())
        enforce.write_text("1")

    def bundle(self, *args, **options):
        """Its files have the label that an engine gives an image."""
        directory = super().bundle(*args, **options)
        for path in (directory / "rootfs", *(directory / "rootfs").rglob("*")):
            if not path.is_symlink():
                self.label(path, self.IMAGE)
        return directory

    def label(self, path, label):
        os.setxattr(path, "security.selinux", label.encode() + b"\0")

    def labelled(self, process=LABEL, mounts=""):
        def edit(config):
            config["process"]["selinuxLabel"] = process
            config["linux"]["mountLabel"] = mounts
        return edit

    def test_a_denial_is_a_denial(self):
        """Of files that root may read by their mode, a container reads those of its own categories and no others."""
        files = {"own": self.FILES, "others": self.OTHER_FILES, "machines": self.SECRET, "images": self.IMAGE, "public": self.PUBLIC}
        def prepare(rootfs):
            for name, label in files.items():
                (rootfs / name).write_text(name + "\n")
                self.label(rootfs / name, label)
        script = f"for f in {' '.join(files)}; do cat $f; echo x >> $f && echo wrote $f; done 2> /dev/null; true"
        seen = lambda edit, name: self.sh(script, edit, prepare, name=name).stdout.split("\n")[:-1]
        self.assertEqual(seen(lambda config: None, "machine"), [line for f in files for line in (f, f"wrote {f}")])
        self.assertEqual(seen(self.labelled(), "one"), ["own", "wrote own", "images", "wrote images", "public"])
        self.assertEqual(seen(self.labelled(self.OTHER), "other"), ["others", "wrote others", "images", "wrote images", "public"])

    def test_files_of_the_host_stay_closed(self):
        self.label(self.outside / "secret", self.SECRET)
        def edit(config):
            self.labelled()(config)
            config["mounts"].append({"destination": "/outside", "type": "bind", "source": str(self.outside), "options": ["bind"]})
        result = self.sh("cat /outside/secret", edit, check=False)
        self.assertEqual(result.stdout, "")
        self.assertIn("/outside/secret': Permission denied", result.stderr)
        with self.sleeping(edit):
            self.assertIn("Permission denied", self.runtime("exec", "s", "cat", "/outside/secret", check=False).stderr)

    def test_label_that_the_policy_forbids_is_an_error(self):
        self.refused(self.FORBIDDEN, self.labelled(self.STRAY))
        self.assertFalse(self.state.exists() and os.listdir(self.state))
        with self.sleeping(self.labelled()):
            result = self.runtime("exec", "--process-label", self.STRAY, "s", "true", check=False)
            self.assertEqual(result.returncode, 255)
            self.assertIn(self.FORBIDDEN, result.stderr.replace('\\"', '"'))
            self.assertEqual(self.runtime("exec", "s", "echo", "still there").stdout, "still there\n")

    def test_program_that_the_label_may_not_execute_is_an_error(self):
        def prepare(rootfs):
            shutil.copy(rootfs / "bin/busybox", rootfs / "closed")
            self.label(rootfs / "closed", self.OTHER_FILES)
        def edit(config):
            self.labelled()(config)
            config["process"]["args"] = ["/closed", "echo", "it runs"]
        said = f'exec /closed with selinux label "{self.LABEL}": permission denied'
        self.refused(said, edit, prepare)
        self.assertEqual(os.listdir(self.state), [])
        with self.sleeping(self.labelled(), prepare):
            result = self.runtime("exec", "s", "/closed", "echo", "it runs", check=False)
            self.assertEqual((result.returncode, result.stdout), (255, ""))
            self.assertIn(said, result.stderr.replace('\\"', '"'))

    def test_processes_have_the_label(self):
        """As the kernel writes it, whichever way it was asked for."""
        for i, label in enumerate((self.LABEL, "u:r:box_t:s0:c2,c1", "u:r:box_alias:s0:c1,c2")):
            self.assertEqual(self.sh("cat /proc/self/attr/current", self.labelled(label), name=f"b{i}").stdout, self.LABEL + "\0")
        with self.sleeping(self.labelled()):
            said = lambda *options: self.runtime("exec", *options, "s", "cat", "/proc/self/attr/current").stdout
            self.assertEqual(said(), self.LABEL + "\0")
            self.assertEqual(said("--process-label", "u:r:box_t:s0"), "u:r:box_t:s0\0")

    def test_unknown_label_is_an_error(self):
        self.refused('selinux label "u:r:none_t:s0": write: invalid argument', self.labelled("u:r:none_t:s0"))
        self.assertFalse(self.state.exists() and os.listdir(self.state))

    def test_keyring_has_the_label(self):
        KEYCTL, GET_SECURITY, SESSION = 250, 17, -3   # x86_64
        look = ("python3", "-c", f"""import ctypes; text = ctypes.create_string_buffer(200)
ctypes.CDLL(None).syscall({KEYCTL}, {GET_SECURITY}, {SESSION}, text, 200); print(text.value.decode())""")
        def edit(config):
            self.labelled()(config)
            with_python(config)
        bundle = self.bundle(*look, edit=edit)
        self.assertEqual(self.runtime("run", "-b", bundle, "c").stdout, self.LABEL + "\n")
        # The caller's has the machine's label and says nothing.
        own_keyring = lambda: libc.syscall(KEYCTL, 1, None)
        self.assertEqual(self.runtime("run", "--no-new-keyring", "-b", bundle, "c", preexec_fn=own_keyring).stdout, "\n")
        with self.sleeping(edit):
            self.assertEqual(self.runtime("exec", "s", *look).stdout, self.LABEL + "\n")

    def test_file_systems_have_the_label(self):
        for name in ("lower", "upper", "work"):
            (self.dir / name).mkdir()
        def edit(config):
            self.labelled(mounts=self.FILES)(config)
            config["mounts"] += [
                {"destination": "/tmpfs", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "rprivate"]},
                {"destination": "/overlay", "type": "overlay", "source": "overlay",
                 "options": [f"lowerdir={self.dir}/lower", f"upperdir={self.dir}/upper", f"workdir={self.dir}/work"]}]
        with self.sleeping(edit):
            root = f"/proc/{json.loads(self.runtime('state', 's').stdout)['pid']}/root"
            for place in ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/tmpfs", "/overlay"):
                self.assertEqual(os.getxattr(root + place, "security.selinux").rstrip(b"\0").decode(), self.FILES, place)
            for place in ("/dev/shm", "/tmpfs", "/overlay"):
                write, read = ("sh", "-c", f"echo mine > {place}/x && cat {place}/x"), ("cat", f"{place}/x")
                self.assertEqual(self.runtime("exec", "s", *write).stdout, "mine\n", place)
                result = self.runtime("exec", "--process-label", self.OTHER, "s", *read, check=False)
                self.assertEqual((result.returncode, result.stdout), (1, ""), place)
                self.assertIn("Permission denied", result.stderr)


if __name__ == "__main__":
    unittest.main()
