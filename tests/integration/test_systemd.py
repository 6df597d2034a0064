"""Containers whose cgroup systemd makes (--systemd-cgroup): as root on the system's own, as an ordinary user
on the user's. Skipped where systemd is not the first process; tests/vm has a machine where it is."""
import json
import os
import pathlib
import signal
import subprocess
import unittest

from keg import PATIENCE, RUNTIME, RuntimeCase, run, wait_until

ROOT = os.geteuid() == 0
CGROUPS = pathlib.Path("/sys/fs/cgroup")
V2 = (CGROUPS / "cgroup.controllers").exists()


def systemctl(*words, check=True):
    return run("systemctl", *([] if ROOT else ["--user"]), *words, check=check).stdout


@unittest.skipUnless(os.path.isdir("/run/systemd/system"), "needs systemd as the first process")
class Systemd(RuntimeCase):
    def setUp(self):
        super().setUp()
        self.name = f"t{os.getpid()}-{self._testMethodName[-40:]}"
        self.unit = f"keg-{self.name}.scope"

    def container(self, *args, edit=None, path=None, detach=True, check=True):
        def prepare(config):
            if not ROOT:
                as_user(config)
            if path is not None:
                config["linux"]["cgroupsPath"] = path
            if edit:
                edit(config)
        bundle = self.bundle(*(args or ["sleep", "100"]), edit=prepare)
        words = [RUNTIME, "--root", str(self.state), "--systemd-cgroup", "run", "-b", str(bundle), *(["-d"] if detach else []), self.name]
        # A container keeps its stdio: a pipe of ours would never end.
        with open(self.dir / "output", "w+") as output:
            result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=PATIENCE)
            output.seek(0)
            self.output = output.read().replace('\\"', '"')   # as logrus writes it
        if check:
            self.assertEqual(result.returncode, 0, self.output)
        return result

    def show(self, *properties, unit=None):
        lines = systemctl("show", unit or self.unit, *[f"-p{name}" for name in properties]).splitlines()
        return dict(line.split("=", 1) for line in lines if line)

    def directory(self, controller="memory"):
        group = self.show("ControlGroup")["ControlGroup"].lstrip("/")
        return CGROUPS / group if V2 else CGROUPS / controller / group

    def wait_until_gone(self):
        wait_until(lambda: self.show("LoadState")["LoadState"] == "not-found", f"the end of {self.unit}", lambda: self.show("ActiveState"))

    def test_container_is_a_scope_that_systemd_knows(self):
        self.container()
        shown = self.show("Slice", "Delegate", "Description", "ActiveState", "ControlGroup")
        self.assertEqual(shown["Slice"], "system.slice" if ROOT else "user.slice")
        self.assertEqual((shown["Delegate"], shown["ActiveState"]), ("yes", "active"))
        self.assertIn(self.name, shown["Description"])
        pid = json.loads(self.runtime("state", self.name).stdout)["pid"]
        self.assertIn(shown["ControlGroup"] + "\n", pathlib.Path(f"/proc/{pid}/cgroup").read_text())
        # exec goes into the same; no later command needs the flag.
        self.runtime("exec", self.name, "true")
        self.assertEqual(self.runtime("ps", "--format", "json", self.name).stdout.strip(), f"[{pid}]")
        self.runtime("delete", "--force", self.name)
        self.wait_until_gone()
        self.assertEqual(os.listdir(self.state), [])

    def test_cgroups_path_names_slice_and_scope(self):
        self.unit = f"pre-{self.name}.scope"
        self.container(path=f"kegtest-sub.slice:pre:{self.name}")
        self.assertTrue(self.show("ControlGroup")["ControlGroup"].endswith(f"/kegtest.slice/kegtest-sub.slice/{self.unit}"))
        self.runtime("delete", "--force", self.name)
        self.wait_until_gone()
        systemctl("stop", "kegtest.slice")

    def test_other_paths_are_refused(self):
        self.assertEqual(self.container(path="/not/systemd", check=False).returncode, 1)
        self.assertIn('expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/not/systemd" instead', self.output)
        self.assertEqual(os.listdir(self.state), [])

    @unittest.skipUnless(ROOT or V2, "an ordinary user has no limits in cgroup v1")
    def test_limits_are_systemds_and_the_kernels(self):
        def edit(config):
            config["linux"]["resources"] = {
                "memory": {"limit": 64 << 20}, "cpu": {"shares": 2048, "quota": 25500, "period": 100000}, "pids": {"limit": 50}}
        self.container(edit=edit)
        self.assertEqual(self.show("TasksMax", "CPUQuotaPerSecUSec"), {"TasksMax": "50", "CPUQuotaPerSecUSec": "260ms"})
        memory, quota, pids = self.files()
        self.assertEqual((memory, quota, pids), (str(64 << 20), "25500", "50"))
        self.runtime("update", "--memory", "96m", "--pids-limit", "60", self.name)
        self.assertEqual(self.show("TasksMax")["TasksMax"], "60")
        # systemd looks after its cgroups again: what it was told stays, rounded as it does.
        for _ in range(2):
            memory, quota, pids = self.files()
            self.assertEqual((memory, pids), (str(96 << 20), "60"))
            self.assertIn(quota, ("25500", "26000"))
            systemctl("daemon-reload")

    @unittest.skipUnless(ROOT, "the last word is an ordinary user's only over some controllers")
    def test_update_that_systemd_or_the_kernel_refuses_changes_nothing(self):
        self.container(edit=lambda config: config["linux"].update(resources={"memory": {"limit": 64 << 20}, "cpu": {"shares": 2048}, "pids": {"limit": 50}}))
        known = ("TasksMax", "CPUWeight" if V2 else "CPUShares", "MemoryMax" if V2 else "MemoryLimit")
        before, files = self.show(*known), self.files()
        resources = {"memory": {"limit": 96 << 20}, "pids": {"limit": 60}, "cpu": {"shares": 1024, "cpus": "0"},
                     "blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 9, "rate": 1000}]}}
        refused = self.runtime("update", "-r", "-", self.name, check=False, input=json.dumps(resources))
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual((self.show(*known), self.files()), (before, files))
        # Without its bus systemd cannot be told, so the kernel's files are as before too.
        nowhere = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}
        refused = self.runtime("update", "--memory", "96m", "--cpuset-cpus", "0", self.name, check=False, env=nowhere)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual((self.show(*known), self.files()), (before, files))
        self.runtime("update", "--memory", "96m", "--cpuset-cpus", "0", self.name)
        self.assertEqual(self.show("AllowedCPUs"), {"AllowedCPUs": "0"})

    def test_failed_update_leaves_cpus_free_again(self):
        self.container()
        if not (self.directory("cpuset") / "cpuset.cpus").exists():
            self.skipTest("needs the cpuset controller")
        before = (self.directory("cpuset") / "cpuset.cpus.effective").read_text() if V2 else (self.directory("cpuset") / "cpuset.cpus").read_text()
        self.runtime("update", "--cpuset-cpus", "0", "--cpuset-mems", "77", self.name, check=False)
        self.assertEqual((self.directory("cpuset") / "cpuset.cpus").read_text(), before)

    def test_container_that_cannot_be_made_leaves_no_failed_unit(self):
        def edit(config):
            config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
        self.assertEqual(self.container(edit=edit, check=False).returncode, 1)
        self.wait_until_gone()
        self.assertNotIn(self.unit, systemctl("list-units", "--all", "--plain", "--no-legend", "--state=failed"))

    def files(self):
        names = ("memory.max", "cpu.max", "pids.max") if V2 else ("memory.limit_in_bytes", "cpu.cfs_quota_us", "pids.max")
        return tuple((self.directory(name.split(".")[0]) / name).read_text().split()[0] for name in names)

    def test_annotations_are_properties(self):
        def edit(config):
            config["annotations"] = {"org.systemd.property.TimeoutStopUSec": "uint64 7000000", "org.systemd.property.CollectMode": "'inactive-or-failed'"}
        self.container(edit=edit)
        self.assertEqual(self.show("TimeoutStopUSec", "CollectMode"), {"TimeoutStopUSec": "7s", "CollectMode": "inactive-or-failed"})

    def test_property_that_systemd_does_not_know_fails_with_its_words(self):
        def edit(config):
            config["annotations"] = {"org.systemd.property.NoSuchThing": "'x'"}
        self.assertEqual(self.container(edit=edit, check=False).returncode, 1)
        self.assertIn(f'unable to apply cgroup configuration: unable to start unit "{self.unit}": ', self.output)
        self.assertIn("NoSuchThing", self.output)
        self.assertEqual(os.listdir(self.state), [])
        self.wait_until_gone()

    def test_pause_kill_and_exit_code(self):
        self.container()
        self.runtime("pause", self.name)
        self.assertEqual(json.loads(self.runtime("state", self.name).stdout)["status"], "paused")
        self.runtime("resume", self.name)
        self.runtime("kill", self.name, "KILL")
        self.wait_until_gone()   # systemd sees by itself that nobody is left
        self.runtime("delete", self.name)

    def test_somebody_elses_unit_is_left_alone(self):
        systemd_run = ["systemd-run", *([] if ROOT else ["--user"]), "--scope", f"--unit={self.unit}", "sleep", "100"]
        other = subprocess.Popen(systemd_run, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: self.show("ActiveState")["ActiveState"] == "active", "somebody else's unit")
            slice_of_its_own = "kegother.slice" if ROOT else "app-kegother.slice"
            self.assertEqual(self.container(path=f"{slice_of_its_own}:keg:{self.name}", check=False).returncode, 1)
            self.assertIn(self.unit, self.output)
            self.assertEqual(self.show("ActiveState")["ActiveState"], "active")
            self.assertIsNone(other.poll())
        finally:
            other.kill()
            other.wait()

    def test_failed_unit_of_the_name_is_replaced(self):
        run("systemd-run", *([] if ROOT else ["--user"]), "--scope", f"--unit={self.unit}", "-p", "RuntimeMaxSec=1", "sleep", "10", check=False)
        self.assertEqual(self.show("ActiveState")["ActiveState"], "failed")
        self.container()
        self.assertEqual(self.show("ActiveState")["ActiveState"], "active")

    def test_create_that_was_killed_leaves_nothing_after_delete(self):
        # Killed in a hook: the scope is there, the state is not complete.
        def edit(config):
            config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"kill -9 $PPID; echo > {self.dir}/hooked"]}]}
        result = self.container(edit=edit, check=False)
        self.assertEqual(result.returncode, -signal.SIGKILL)
        self.runtime("delete", "--force", self.name)
        self.wait_until_gone()
        self.assertEqual(os.listdir(self.state), [])


def as_user(config):
    """What `keg-runtime spec --rootless` does, with a cgroup."""
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "network"] + [{"type": "user"}]
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    config["mounts"] = [one for one in config["mounts"] if one["type"] not in ("sysfs", "cgroup")]
    for mount in config["mounts"]:
        mount["options"] = [option for option in mount.get("options", []) if not option.startswith("gid=")]


if __name__ == "__main__":
    unittest.main()
