"""What keg-runtime promises about cgroups: limits, update, events, pausing, killing, removal.

The same promises are tested on v1 (also with an empty v2 hierarchy beside it) and on v2; what only one
of them can do is skipped on the other.
"""
import json
import os
import pathlib
import shutil
import stat
import subprocess
import time
import unittest

from keg import PATIENCE, RUNTIME, RuntimeCase, needs_root, run, wait_until

TOP = pathlib.Path("/sys/fs/cgroup")
V2 = (TOP / "cgroup.controllers").exists()
BESIDE = TOP / "unified"
PARENT = f"keg-test-{os.getpid()}"

on_v1 = unittest.skipIf(V2, "needs cgroup v1")
on_v2 = unittest.skipUnless(V2, "needs cgroup v2 at /sys/fs/cgroup")


def group(controller, name):
    return (TOP if V2 else TOP / controller) / PARENT / name


def setting(name, v1, v2):
    """What a limit's file says; v1 as controller/file."""
    controller, file = v1.split("/")
    return (group(controller, name) / (v2 if V2 else file)).read_text().strip()


def has(controller):
    if V2:
        return controller in (TOP / "cgroup.controllers").read_text().split()
    return (TOP / controller).is_dir()


def disk():
    """Major and minor of one that is not empty."""
    device = next(path for path in pathlib.Path("/sys/block").iterdir() if int((path / "size").read_text()) > 0)
    return map(int, (device / "dev").read_text().split(":"))


def unusual_device():
    """One that opens here, and that no container has without asking: type, major, minor."""
    for path in ("/dev/fuse", "/dev/loop-control", "/dev/zram0", "/dev/loop0", "/dev/rtc0", "/dev/ttyS0"):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        info = os.stat(path)
        return "b" if stat.S_ISBLK(info.st_mode) else "c", os.major(info.st_rdev), os.minor(info.st_rdev)
    raise unittest.SkipTest("needs a device like /dev/fuse")


@needs_root
class CgroupCase(RuntimeCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_parent)

    def remove_parent(self):
        self.remove_all()
        left = [path for path in TOP.glob(f"{PARENT}/*" if V2 else f"*/{PARENT}/*") if path.is_dir()]
        for path in (TOP.glob(PARENT) if V2 else TOP.glob(f"*/{PARENT}")):
            subprocess.run(["find", path, "-depth", "-type", "d", "-delete"], stderr=subprocess.DEVNULL)
        self.assertEqual(left, [], "cgroups were left behind")

    def start(self, name, *args, resources=None, edit=None, flags=()):
        """A detached container in the cgroup PARENT/name."""
        def change(config):
            config["linux"]["cgroupsPath"] = f"/{PARENT}/{name}"
            config["linux"]["resources"].update(resources or {})
            if edit:
                edit(config)
        bundle = self.bundle(*(args or ("sleep", "60")), edit=change, name=name)
        # Not to a pipe: the container would keep it open.
        with open(self.dir / "out", "w+") as out:
            subprocess.run([RUNTIME, "--root", self.state, *flags, "run", "--detach", "--bundle", bundle, name],
                           stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False, timeout=PATIENCE)
            out.seek(0)
            return out.read()

    def fails(self, *words, says):
        result = self.runtime(*words, check=False)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        self.assertIn(says, result.stderr)


class Limits(CgroupCase):
    def test_limits_reach_the_kernel(self):
        self.assertEqual(self.start("limits", resources={
            "memory": {"limit": 33554432, "reservation": 16777216, "swap": 50331648},
            "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0"}, "pids": {"limit": 30}}), "")
        self.assertEqual(setting("limits", "memory/memory.limit_in_bytes", "memory.max"), "33554432")
        self.assertEqual(setting("limits", "memory/memory.soft_limit_in_bytes", "memory.low"), "16777216")
        self.assertEqual(setting("limits", "memory/memory.memsw.limit_in_bytes", "memory.swap.max"), "16777216" if V2 else "50331648")
        self.assertEqual(setting("limits", "cpu/cpu.shares", "cpu.weight"), "59" if V2 else "512")
        self.assertEqual(setting("limits", "cpu/cpu.cfs_quota_us", "cpu.max"), "20000 50000" if V2 else "20000")
        self.assertEqual(setting("limits", "cpuset/cpuset.cpus", "cpuset.cpus"), "0")
        self.assertEqual(setting("limits", "pids/pids.max", "pids.max"), "30")

    def test_disks_are_throttled(self):
        major, minor = disk()
        rate = [{"major": major, "minor": minor, "rate": 1048576}]
        self.assertEqual(self.start("disk", resources={"blockIO": {"throttleReadBpsDevice": rate}}), "")
        self.assertIn(f"{major}:{minor} " + ("rbps=1048576" if V2 else "1048576"), setting("disk", "blkio/blkio.throttle.read_bps_device", "io.max"))

    @unittest.skipUnless(any("hugetlb" in path.read_text().split() for path in (TOP / "cgroup.controllers", BESIDE / "cgroup.controllers") if path.exists())
                         and any(pathlib.Path("/sys/kernel/mm/hugepages").iterdir()), "needs huge pages and their controller in cgroup v2")
    def test_huge_pages_are_limited_also_beside_v1(self):
        offered = (TOP if V2 else BESIDE) / "cgroup.subtree_control"
        if "hugetlb" not in offered.read_text().split():
            self.addCleanup(offered.write_text, "-hugetlb")
        self.assertEqual(self.start("huge", resources={"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}), "")
        directory = group("unified", "huge")
        self.assertEqual((directory / "hugetlb.2MB.rsvd.max").read_text().strip(), "4194304")
        self.assertEqual((directory / "hugetlb.2MB.max").read_text().strip(), "4194304")
        self.runtime("delete", "--force", "huge")

    def test_setting_that_this_machine_has_not_is_refused_by_name(self):
        if has("net_cls"):
            self.skipTest("this machine has net_cls")
        said = self.start("nothing", resources={"network": {"classID": 5}})
        self.assertIn("linux.resources.network.classID", said)
        if not V2:
            self.assertIn("net_cls", said)

    @on_v1
    def test_unified_is_refused_on_v1(self):
        self.assertIn("cannot use unified on cgroup v1", self.start("unified", resources={"unified": {"memory.max": "1"}}))

    @on_v2
    def test_unified_is_written_as_it_is(self):
        self.assertEqual(self.start("unified", resources={"unified": {"memory.high": "33554432"}}), "")
        self.assertEqual((group("", "unified") / "memory.high").read_text().strip(), "33554432")
        self.assertIn('linux.resources.unified', self.start("unknown", resources={"unified": {"nonsense.max": "1"}}))

    def test_devices_need_a_rule(self):
        kind, major, minor = unusual_device()
        script = f"mknod /node {kind} {major} {minor}; (: </node) 2>/dev/null && echo opened; head -c 1 /dev/zero >/dev/null && echo usual"

        def edit(config, rules):
            config["root"]["readonly"] = False
            config["linux"]["cgroupsPath"] = f"/{PARENT}/devices"
            config["linux"]["resources"]["devices"] = rules
            for name in ("bounding", "effective", "permitted"):
                config["process"]["capabilities"][name].append("CAP_MKNOD")
        for count, (rules, opened) in enumerate((([], False), ([{"allow": False, "access": "rwm"}], False),
                                                 ([{"allow": True, "type": kind, "major": major, "minor": minor, "access": "r"}], True),
                                                 ([{"allow": True, "access": "rwm"}], True))):
            with self.subTest(rules=rules):
                bundle = self.bundle("sh", "-c", script, edit=lambda config: edit(config, rules), name=f"devices{count}")
                output = self.runtime("run", "--bundle", bundle, "devices").stdout
                self.assertEqual("opened" in output, opened, output)
                self.assertIn("usual", output)

    @unittest.skipIf(" resctrl " in pathlib.Path("/proc/self/mountinfo").read_text(), "needs a machine without resctrl")
    def test_cache_shares_need_resctrl(self):
        said = self.start("shares", edit=lambda config: config["linux"].update(intelRdt={"closID": "gold"}))
        self.assertIn("intelRdt is specified in config, but no resctrl file system is mounted", said)
        self.start("plain")
        former = setting("plain", "pids/pids.max", "pids.max")
        self.fails("update", "--pids-limit", "77", "--l3-cache-schema", "L3:0=f", "plain", says="l3 cache schema is not enabled")
        self.assertEqual(setting("plain", "pids/pids.max", "pids.max"), former)
        self.fails("update", "--mem-bw-schema", "MB:0=20", "plain", says="memory bandwidth schema is not enabled")

    def test_init_that_gets_too_little_memory_is_said_so(self):
        said = self.start("tiny", resources={"memory": {"limit": 16384}})
        self.assertIn("container init was OOM-killed (memory limit too low?)", said)

    def test_cgroup_with_strangers_in_it_is_refused_and_left_alone(self):
        group("pids", "shared").mkdir(parents=True)
        stranger = subprocess.Popen(["sleep", "60"])
        empty = lambda: subprocess.run(["rmdir", group("pids", "shared")], stderr=subprocess.DEVNULL).returncode == 0
        self.addCleanup(lambda: (stranger.kill(), stranger.wait(), wait_until(empty, "the end of the stranger's cgroup")))
        (group("pids", "shared") / "cgroup.procs").write_text(str(stranger.pid))
        self.assertIn("container's cgroup is not empty: 1 process(es) found", self.start("shared"))
        self.assertIsNone(stranger.poll())

    def test_relative_path_stays_below_the_callers_group(self):
        bundle = self.bundle("cat", "/proc/self/cgroup", edit=lambda config: (
            config["linux"].update(cgroupsPath="below"),
            config["linux"].update(namespaces=[n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"])))
        controller = "" if V2 else "freezer"
        caller = group(controller, "caller") / "inner"
        caller.mkdir(parents=True)
        self.addCleanup(lambda: (caller.rmdir(), caller.parent.rmdir()))
        output = run("sh", "-c", 'echo $$ > "$1"; shift; "$@"', "sh", caller / "cgroup.procs",
                     RUNTIME, "--root", self.state, "run", "--bundle", bundle, "below").stdout
        self.assertIn(f"/{PARENT}/caller/below" if V2 else f"freezer:/{PARENT}/caller/inner/below", output)


class Managers(CgroupCase):
    def test_without_cgroups_the_container_stays_in_its_callers(self):
        self.assertEqual(self.start("none", flags=("--cgroup-manager", "disabled")), "")
        pid = json.loads(self.runtime("state", "none").stdout)["pid"]
        self.assertEqual(pathlib.Path(f"/proc/{pid}/cgroup").read_text(), pathlib.Path("/proc/self/cgroup").read_text())
        self.assertEqual(self.runtime("exec", "none", "echo", "in").stdout, "in\n")
        # Who made it is remembered: no later command says it.
        self.fails("update", "--pids-limit", "5", "none", says="no cgroup")
        self.fails("pause", "none", says="no cgroup")
        self.assertEqual(json.loads(self.runtime("ps", "--format", "json", "none").stdout), [pid])
        self.runtime("kill", "none", "KILL")
        self.runtime("delete", "--force", "none")
        self.assertEqual(self.runtime("list", "-q").stdout, "")

    def test_hierarchies_may_be_mounted_anywhere(self):
        limits = {"memory": {"limit": 100 << 20}, "pids": {"limit": 5}}
        def change(config):
            config["linux"].update(resources=limits, cgroupsPath=f"/{PARENT}/elsewhere")
        bundle, elsewhere = self.bundle("sleep", "1000", edit=change), self.dir / "elsewhere"
        elsewhere.mkdir()
        runtime = f"{RUNTIME} --root {self.state}"
        host = str(elsewhere) + str(group("pids", "elsewhere"))[len(str(TOP)):]
        inside = "/sys/fs/cgroup/pids.max" if V2 else "/sys/fs/cgroup/pids/pids.max"
        script = f"""mount --rbind {TOP} {elsewhere}; while umount -l {TOP} 2>/dev/null; do :; done
                     {runtime} run -d -b {bundle} elsewhere >{self.dir}/out 2>&1 </dev/null || cat {self.dir}/out
                     cat {host}/pids.max; {runtime} exec elsewhere cat {inside}; {runtime} delete --force elsewhere; ls {host}"""
        result = run("unshare", "--mount", "--propagation", "private", "sh", "-c", script, check=False)
        self.assertEqual(result.stdout, "5\n5\n", result.stderr)
        self.assertFalse(group("pids", "elsewhere").exists())
        self.assertFalse(group("memory", "elsewhere").exists())

    def test_without_cgroups_there_is_no_limit_that_would_be_dropped(self):
        said = self.start("limited", resources={"pids": {"limit": 5}}, flags=("--cgroup-manager", "disabled"))
        self.assertIn("linux.resources.pids.limit cannot be set", said)
        self.assertEqual(self.runtime("list", "-q").stdout, "")

    def test_unknown_manager_is_refused_with_those_there_are(self):
        bundle = self.bundle("true")
        result = self.runtime("--cgroup-manager", "mine", "run", "--bundle", bundle, "x", check=False)
        self.assertIn("unknown cgroup manager", result.stderr)
        self.assertIn("known are: cgroupfs, ", result.stderr)

    def test_groups_made_inside_go_with_the_container(self):
        self.assertEqual(self.start("nested"), "")
        deep = group("pids", "nested") / "a" / "b"
        deep.mkdir(parents=True)
        self.runtime("delete", "--force", "nested")
        self.assertFalse(group("pids", "nested").exists())

    def test_groups_deeper_than_a_path_go_with_the_container(self):
        self.assertEqual(self.start("deep"), "")
        here = os.open(group("freezer", "deep"), os.O_RDONLY)
        for _ in range(24):
            os.mkdir("n" * 200, dir_fd=here)
            below = os.open("n" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        self.runtime("delete", "--force", "deep")
        self.assertFalse(group("freezer", "deep").exists())

    def test_what_froze_itself_inside_is_killed(self):
        """As an engine inside the container does with a container of its own."""
        self.assertEqual(self.start("engine", "sh", "-c", "sleep 1000 & sleep 1000"), "")
        inner = group("freezer", "engine") / "inner"
        inner.mkdir()
        pid = max(json.loads(self.runtime("ps", "--format", "json", "engine").stdout))
        (inner / "cgroup.procs").write_text(str(pid))
        file, frozen = (inner / "cgroup.freeze", "1") if V2 else (inner / "freezer.state", "FROZEN")
        file.write_text(frozen)
        self.runtime("delete", "--force", "engine")
        self.assertFalse(group("freezer", "engine").exists())
        self.assertFalse(os.path.exists(f"/proc/{pid}"))

    @unittest.skipUnless(V2 or BESIDE.is_dir(), "needs a cgroup v2 hierarchy")
    def test_threaded_groups_are_no_obstacle(self):
        self.assertEqual(self.start("threads"), "")
        threaded = group("unified", "threads") / "t"
        threaded.mkdir()
        (threaded / "cgroup.type").write_text("threaded")   # says nothing about processes from now on
        self.assertEqual(len(json.loads(self.runtime("ps", "--format", "json", "threads").stdout)), 1)
        self.runtime("delete", "--force", "threads")
        self.assertFalse(threaded.exists())

    def test_all_processes_die_even_those_that_fork(self):
        # Without a pid namespace nothing but the cgroup knows them; each forks and ends all the time.
        script = "walk() { while :; do sh -c : ; done; }; for i in 1 2 3 4; do walk & done; wait"
        self.assertEqual(self.start("many", "sh", "-c", script, edit=lambda config: config["linux"].update(
            namespaces=[n for n in config["linux"]["namespaces"] if n["type"] != "pid"])), "")
        self.runtime("kill", "many", "KILL")
        self.assertEqual((group("pids", "many") / "cgroup.procs").read_text(), "")
        self.runtime("delete", "many")

    def test_paused_container_is_killed_and_removed(self):
        self.assertEqual(self.start("paused"), "")
        self.runtime("pause", "paused")
        self.assertEqual(json.loads(self.runtime("state", "paused").stdout)["status"], "paused")
        self.runtime("delete", "--force", "paused")
        self.assertFalse(group("freezer", "paused").exists())


DISK = {"major": 8, "minor": 0}
# Each limit, and the controllers of v1 and v2 that it needs (None: it has none there).
EACH_LIMIT = {
    **{f"memory.{which}": ({"memory": {which: value}}, "memory", "memory") for which, value in (("limit", 100 << 20), ("reservation", 50 << 20))},
    "memory.swap": ({"memory": {"swap": 200 << 20}}, "memory", None),
    **{f"memory.{which}": ({"memory": {which: value}}, "memory", None) for which, value in (("kernelTCP", 100 << 20), ("swappiness", 5), ("disableOOMKiller", True))},
    "memory.useHierarchy": ({"memory": {"useHierarchy": False}}, "memory", None),
    **{f"cpu.{which}": ({"cpu": {which: value}}, "cpu", "cpu") for which, value in (("shares", 100), ("quota", 50000), ("burst", 1000), ("idle", 1))},
    **{f"cpu.{which}": ({"cpu": {which: 100000}}, "cpu", None) for which in ("realtimeRuntime", "realtimePeriod")},
    "cpu.cpus": ({"cpu": {"cpus": "0"}}, "cpuset", "cpuset"), "cpu.mems": ({"cpu": {"mems": "0"}}, "cpuset", "cpuset"),
    "pids.limit": ({"pids": {"limit": 5}}, "pids", "pids"),
    "blockIO.weight": ({"blockIO": {"weight": 100}}, "blkio", "io"), "blockIO.leafWeight": ({"blockIO": {"leafWeight": 100}}, "blkio", None),
    "blockIO.weightDevice": ({"blockIO": {"weightDevice": [{**DISK, "weight": 100}]}}, "blkio", "io"),
    **{f"blockIO.throttle{which}Device": ({"blockIO": {f"throttle{which}Device": [{**DISK, "rate": 1 << 20}]}}, "blkio", "io") for which in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")},
    "hugepageLimits[0]": ({"hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 21}]}, "hugetlb", "hugetlb"),
    "network.classID": ({"network": {"classID": 5}}, "net_cls", None), "network.priorities": ({"network": {"priorities": [{"name": "lo", "priority": 1}]}}, "net_prio", None),
    "rdma": ({"rdma": {"mlx5_1": {"hcaHandles": 1}}}, "rdma", "rdma"),
    "devices": ({"devices": [{"allow": False, "access": "rwm"}]}, "devices", None),
    "unified": ({"unified": {"memory.high": "33554432"}}, None, "memory"),
}


class WithoutController(CgroupCase):
    """A limit whose controller is not there is an error that names both, and nothing is run without it."""

    def check(self, limit, before, controller=None, joins="/dev/null"):
        """In a mount namespace in which `before` was done, and below the cgroup that was joined."""
        resources = EACH_LIMIT[limit][0]
        def change(config):
            config["linux"].update(resources=resources, cgroupsPath=f"/{PARENT}/none")
        with self.subTest(limit):
            self.count = getattr(self, "count", 0) + 1
            bundle = self.bundle("echo", "ran", edit=change, name=f"b{self.count}")
            result = run("sh", "-c", f'echo $$ > {joins}; exec unshare --cgroup --mount --propagation private sh -c "$0"',
                         f"{before}; exec {RUNTIME} --root {self.state} run -b {bundle} none", check=False)
            self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn(f"linux.resources.{limit}", result.stderr)
            if controller:
                self.assertIn(f'controller "{controller}" not available', result.stderr.replace("\\", ""))
            self.assertEqual(os.listdir(self.state) if self.state.exists() else [], [])
            self.assertFalse(any(TOP.glob(f"**/{PARENT}/none")))

    NONE = f"while umount -l {TOP} 2>/dev/null; do :; done"

    def test_where_nobody_has_mounted_cgroups(self):
        for limit in EACH_LIMIT:
            self.check(limit, self.NONE)

    @on_v1
    def test_where_its_hierarchy_is_not_mounted(self):
        beside = (BESIDE / "cgroup.controllers").read_text().split() if BESIDE.is_dir() else []
        for limit, (_, controller, _) in EACH_LIMIT.items():
            if controller and controller not in beside:
                self.check(limit, f"umount {TOP}/{controller} 2>/dev/null", controller)

    @unittest.skipUnless(V2 or BESIDE.is_dir(), "needs cgroup v2")
    def test_where_a_v2_group_was_given_none(self):
        bare = (TOP if V2 else BESIDE) / PARENT / "bare"
        bare.mkdir(parents=True)
        self.addCleanup(bare.rmdir)
        for limit, (_, _, controller) in EACH_LIMIT.items():
            if limit != "devices":   # v2 has no controller for these
                self.check(limit, f"{self.NONE}; mount -t cgroup2 cgroup2 {TOP}", controller, joins=bare / "cgroup.procs")


class Update(CgroupCase):
    def memory(self):
        return setting("c", "memory/memory.limit_in_bytes", "memory.max")

    def test_options_change_what_they_name_and_nothing_else(self):
        self.start("c", resources={"memory": {"limit": 33554432}, "cpu": {"quota": 20000, "period": 50000}, "pids": {"limit": 20}})
        self.runtime("update", "--memory", "64m", "--pids-limit", "-1", "--cpu-quota", "30000", "c")
        self.assertEqual(self.memory(), "67108864")
        self.assertEqual(setting("c", "pids/pids.max", "pids.max"), "max")
        self.assertEqual(setting("c", "cpu/cpu.cfs_quota_us", "cpu.max"), "30000 50000" if V2 else "30000")
        self.runtime("update", "--cpu-period", "60000", "c")
        self.assertEqual(setting("c", "cpu/cpu.cfs_period_us", "cpu.max"), "30000 60000" if V2 else "60000")
        self.runtime("update", "--cpuset-cpus", "0", "--cpu-share", "100", "--memory-reservation", "1M", "c")
        self.assertEqual(setting("c", "cpuset/cpuset.cpus", "cpuset.cpus"), "0")
        self.assertEqual(self.memory(), "67108864")

    def test_resources_come_from_a_file_or_from_standard_input(self):
        self.start("c")
        self.runtime("update", "--resources", "-", "c", input='{"memory": {"limit": 50331648}, "unknown": 1}')
        self.assertEqual(self.memory(), "50331648")
        (self.dir / "new.json").write_text('{"pids": {"limit": 9}}')
        self.runtime("update", "-r", self.dir / "new.json", "--pids-limit", "5", "c")   # options are ignored then
        self.assertEqual(setting("c", "pids/pids.max", "pids.max"), "9")

    def test_memory_and_swap_move_together_in_both_directions(self):
        self.start("c", resources={"memory": {"limit": 33554432, "swap": 67108864}})
        for memory, swap in ((128, 256), (32, 48), (64, 64)):
            self.runtime("update", "--memory", f"{memory}M", "--memory-swap", f"{swap}M", "c")
            self.assertEqual(self.memory(), str(memory << 20))
            self.assertEqual(setting("c", "memory/memory.memsw.limit_in_bytes", "memory.swap.max"), str((swap - memory if V2 else swap) << 20))
        self.runtime("update", "--memory", "-1", "c")
        self.assertIn(self.memory(), ("max", "9223372036854771712"))
        self.assertIn(setting("c", "memory/memory.memsw.limit_in_bytes", "memory.swap.max"), ("max", "9223372036854771712"))

    def test_failed_update_changes_nothing(self):
        self.start("c", resources={"memory": {"limit": 33554432}, "pids": {"limit": 20}})
        self.fails("update", "--memory", "64M", "--pids-limit", "5", "--cpuset-cpus", "4000", "c", says="cpuset.cpus: ")
        self.assertEqual(self.memory(), "33554432")
        self.assertEqual(setting("c", "pids/pids.max", "pids.max"), "20")

    def limits(self):
        """What every file says that an update may write."""
        names = ("memory.max memory.low memory.swap.max cpu.weight cpu.max cpuset.cpus cpuset.mems pids.max" if V2 else
                 "memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes cpu.shares cpu.cfs_quota_us "
                 "cpu.cfs_period_us cpuset.cpus cpuset.mems pids.max").split()
        files = {name: group(name.split(".")[0], "c") / name for name in names}
        def value(file):
            # An empty cpuset of v2 has what is above it, and cannot be emptied again.
            text = file.read_text()
            return text if text.strip() else file.with_name(file.name + ".effective").read_text()
        return {name: value(file) for name, file in files.items() if file.exists()}

    def test_each_limit_before_the_refused_one_gets_its_old_value_back(self):
        """Those that were set, and those that were not; the last in the order of writing is refused."""
        everything = {"memory": {"limit": 50331648, "reservation": 16777216, "swap": 67108864}, "pids": {"limit": 9},
                      "cpu": {"shares": 333, "quota": 40000, "period": 80000, "cpus": "0", "mems": "0"}}
        no_such_disk = {"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 9, "rate": 1000}]}}
        for resources in ({}, {"memory": {"limit": 33554432, "swap": 41943040}, "pids": {"limit": 20}, "cpu": {"shares": 555, "quota": 20000, "period": 50000}}):
            self.start("c", resources=resources)
            before = self.limits()
            self.assertGreaterEqual(len(before), 7)
            refused = self.runtime("update", "-r", "-", "c", check=False, input=json.dumps({**everything, **no_such_disk}))
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("4000:9", refused.stderr)
            self.assertEqual(refused.stderr.count("level="), 1, refused.stderr)   # the roll-back has nothing to complain of
            self.assertEqual(self.limits(), before)
            self.runtime("update", "-r", "-", "c", input=json.dumps(everything))
            self.assertLessEqual(len(set(self.limits().items()) & set(before.items())), 1, self.limits())   # one memory node has no choice
            self.runtime("delete", "--force", "c")
            subprocess.run(["rm", "-rf", self.dir / "c"])

    @on_v1
    def test_limit_below_what_is_used_changes_nothing(self):
        self.start("c", "sh", "-c", "exec dd if=/dev/zero of=/dev/stdout bs=20M count=1 | sleep 60",
                   resources={"memory": {"limit": 67108864}, "cpu": {"shares": 555}})
        wait_until(lambda: int(setting("c", "memory/memory.usage_in_bytes", "")) > 20 << 20, "20 MiB to be used")
        before = self.limits()
        self.fails("update", "--memory", "1M", "--cpu-share", "100", "--pids-limit", "5", "c", says="unable to set memory limit to 1048576 (current usage: ")
        self.assertEqual(self.limits(), before)

    def test_what_is_not_a_value_is_refused(self):
        self.start("c")
        self.fails("update", "--memory", "4x", "c", says="invalid value for memory: invalid size: '4x'")
        self.fails("update", "--cpu-period", "-5", "c", says="invalid value for cpu-period")
        self.fails("update", "-r", "-", "c", says="")

    @on_v2
    def test_limit_below_what_is_used_is_refused_if_wanted(self):
        self.start("c")
        result = self.runtime("update", "-r", "-", "c", check=False, input='{"memory": {"limit": 4096, "checkBeforeUpdate": true}}')
        self.assertIn("rejecting memory limit 4096 <= usage", result.stderr)

    def test_stopped_container_is_not_updated(self):
        self.start("c")
        self.runtime("kill", "c", "KILL")
        self.wait_for("stopped")
        self.fails("update", "--pids-limit", "5", "c", says="container not running")


class Events(CgroupCase):
    def test_statistics_have_runcs_shape(self):
        self.start("c", resources={"memory": {"limit": 33554432}, "pids": {"limit": 20}})
        event = json.loads(self.runtime("events", "--stats", "c").stdout)
        self.assertEqual([event["type"], event["id"]], ["stats", "c"])
        data = event["data"]
        self.assertEqual(list(data), ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"])
        self.assertEqual(data["pids"], {"current": 1, "limit": 20})
        self.assertEqual(data["memory"]["usage"]["limit"], 33554432)
        self.assertGreater(data["memory"]["usage"]["usage"], 0)
        self.assertGreater(data["cpu"]["usage"]["total"], 0)

    def events(self, interval):
        """A process that tells of them, line by line."""
        events = subprocess.Popen([RUNTIME, "--root", self.state, "events", "--interval", interval, "c"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(events.communicate)
        self.addCleanup(events.kill)
        return events

    def rest_of(self, events):
        """What is told until the container ends, which it does now."""
        self.runtime("kill", "c", "KILL")
        lines = events.communicate(timeout=PATIENCE)[0].splitlines()
        self.assertEqual(events.returncode, 0)
        return [json.loads(line) for line in lines]

    def test_events_come_at_the_interval_until_the_container_ends(self):
        self.start("c", "sleep", "1000")
        began = time.monotonic()
        events = self.events("100ms")
        told = [json.loads(events.stdout.readline()) for _ in range(30)]
        took = time.monotonic() - began
        self.assertGreaterEqual(took, 30 * 0.1)       # never sooner
        self.assertLess(took, PATIENCE)               # the default of 5 s would make it 150
        told += self.rest_of(events)
        self.assertEqual({event["type"] for event in told}, {"stats"})
        self.fails("events", "--stats", "c", says="container with id c is not running")

    def test_want_of_memory_is_told(self):
        self.start("c", "sh", "-c", "until [ -e /go ]; do sleep 0.1; done; dd if=/dev/zero of=/dev/null bs=60M count=1; sleep 1000",
                   resources={"memory": {"limit": 33554432, "swap": 33554432}})
        events = self.events("100ms")
        told = [json.loads(events.stdout.readline())]   # it watches
        (self.dir / "c/rootfs/go").touch()
        while told[-1]["type"] != "oom":
            told.append(json.loads(events.stdout.readline()))
        told += self.rest_of(events)
        self.assertEqual([event for event in told if event["type"] != "stats"], [{"type": "oom", "id": "c"}])

    def test_interval_must_be_one(self):
        self.start("c")
        self.fails("events", "--interval", "0s", "c", says="duration interval must be greater than 0")
        self.fails("events", "--interval", "soon", "c", says="parse error")


class Exec(CgroupCase):
    def where(self, *options):
        """The groups of an exec'd process by controller, as the host sees them."""
        child = subprocess.Popen([RUNTIME, "--root", self.state, "exec", *options, "c", "sh", "-c", "echo here; read wait"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(child.stdout.readline(), "here\n")
            pid = max(map(int, json.loads(self.runtime("ps", "--format", "json", "c").stdout)))
            lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        finally:
            child.communicate("\n")
        return {controller: path for _, names, path in (line.split(":", 2) for line in lines) for controller in names.split(",")}

    def test_process_goes_to_the_groups_it_is_told(self):
        self.start("c")
        top = f"/{PARENT}/c"
        for name in ("pids", "freezer"):
            (group(name, "c") / "sub").mkdir(exist_ok=True)
        key = "" if V2 else "pids"
        self.assertEqual(self.where()[key], top)
        if V2:
            self.assertEqual(self.where("--cgroup", "sub")[""], f"{top}/sub")
        else:
            places = self.where("--cgroup", "pids,freezer:sub", "--cgroup", "cpu:/")
            self.assertEqual([places["pids"], places["freezer"], places["cpu"], places["memory"]], [f"{top}/sub", f"{top}/sub", top, top])

    def test_only_groups_of_the_container_are_accepted(self):
        self.start("c")
        for options, says in ((["--cgroup", "../x"], "bad sub cgroup path: ../x"), (["--cgroup", "nowhere"], "no such file or directory"),
                              (["--cgroup", "nonsense:sub"], "unknown controller nonsense in SubCgroupPaths"),
                              (["--cgroup", ":sub"], "empty <controller> prefix"),
                              (["--cgroup", "a", "--cgroup", "b"], "missing <controller>: prefix"),
                              (["--cgroup", "pids:a", "--cgroup", "pids:b"], "specified multiple times")):
            with self.subTest(options=options):
                self.fails("exec", *options, "c", "true", says=says)

    @on_v2
    def test_top_that_takes_no_processes_is_no_obstacle(self):
        self.start("c")
        pid = json.loads(self.runtime("state", "c").stdout)["pid"]
        inner = group("", "c") / "init"
        inner.mkdir()
        (inner / "cgroup.procs").write_text(str(pid))
        (group("", "c") / "cgroup.subtree_control").write_text("+memory")
        self.assertEqual(self.where()[""], f"/{PARENT}/c/init")
        self.fails("exec", "--cgroup", "/", "c", "true", says="device or resource busy")


@unittest.skipUnless(shutil.which("setpriv"), "needs setpriv")
class Rootless(CgroupCase):
    def run_as_user(self, **linux):
        """As a user who has rights over no cgroup."""
        bundle = self.bundle("cat", "/proc/self/cgroup")
        os.chmod(self.dir, 0o755)
        shutil.copy(RUNTIME, self.dir / "keg-runtime")
        (bundle / "config.json").unlink()
        run(RUNTIME, "spec", "--rootless", "--bundle", bundle)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(args=["cat", "/proc/self/cgroup"], terminal=False)
        for which in ("uidMappings", "gidMappings"):
            config["linux"][which] = [{"containerID": 0, "hostID": 4321, "size": 1}]
        config["linux"].update(linux)
        (bundle / "config.json").write_text(json.dumps(config))
        (self.dir / "user").mkdir()
        run("chown", "-R", "4321:4321", bundle, self.dir / "user")
        return run("setpriv", "--reuid", "4321", "--regid", "4321", "--clear-groups",
                   self.dir / "keg-runtime", "--root", self.dir / "user/state", "run", "--bundle", bundle, "c", check=False)

    def test_without_rights_the_container_stays_in_its_callers_groups(self):
        for count in range(5):   # once the race between the id maps and init's hiding was lost now and then
            with self.subTest(count=count):
                result = self.run_as_user()
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertTrue(result.stdout)
                shutil.rmtree(self.dir / "bundle")
                shutil.rmtree(self.dir / "user")

    def test_limits_that_cannot_be_had_are_refused(self):
        result = self.run_as_user(resources={"memory": {"limit": 33554432}})
        self.assertEqual(result.returncode, 1)
        self.assertIn("rootless needs no limits", result.stderr)


@on_v2
class Delegation(CgroupCase):
    def owner(self, *options):
        def edit(config):
            config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"] + [{"type": "cgroup"}]
            config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/sys/fs/cgroup"] + [
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": list(options)}]
            config["process"]["user"] = {"uid": 1234, "gid": 1234}
        self.assertEqual(self.start("owned", edit=edit), "")
        owners = {file: (group("", "owned") / file).stat().st_uid for file in (".", "cgroup.procs", "memory.max")}
        self.runtime("delete", "--force", "owned")
        self.assertFalse(group("", "owned").exists())
        subprocess.run(["rm", "-rf", self.dir / "owned"], check=True)
        return owners

    def test_group_belongs_to_the_containers_user_only_if_it_may_write_there(self):
        self.assertEqual(self.owner("nosuid", "rw"), {".": 1234, "cgroup.procs": 1234, "memory.max": 0})
        self.assertEqual(self.owner("nosuid", "ro"), {".": 0, "cgroup.procs": 0, "memory.max": 0})


if __name__ == "__main__":
    unittest.main()
