"""linux.cgroupsPath and linux.resources, read back from the cgroup files; update, pause, events (config-linux.md)."""
import json
import os
import pathlib
import time

from bench import MB, Skipped, case, namespaces, rows, wait_until

MOUNTS = {}  # controller, "" for v2: where it is mounted
for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
    _, where, kind, options = line.split()[:4]
    if kind == "cgroup2":
        MOUNTS[""] = pathlib.Path(where)
    elif kind == "cgroup":
        for word in options.split(","):
            MOUNTS.setdefault(word, pathlib.Path(where))
V2 = "cpu" not in MOUNTS and "memory" not in MOUNTS


def group(pid, controller):
    """The directory of a process in a hierarchy."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if (V2 and controllers == "") or controller in controllers.split(","):
            return MOUNTS["" if V2 else controller] / path.lstrip("/")
    raise Skipped(f"no {controller} controller")


def read(pid, v1, v2):
    name = v2 if V2 else v1
    if name is None:
        raise Skipped(f"cgroup {'v2' if V2 else 'v1'} does not have it")
    controller = name.split(".")[0]
    directory = group(pid, controller)
    # Some runtimes put the process into a group below the one with the limits.
    for place in (directory, directory.parent):
        if (place / name).exists():
            return (place / name).read_text().strip()
    raise Skipped(f"this kernel has no {name}")


def limit(bench, resources, v1, want1, v2, want2):
    name = v2 if V2 else v1
    hierarchy = name and MOUNTS.get("" if V2 else name.split(".")[0])
    if not hierarchy or not has(hierarchy, name):
        raise Skipped(f"this kernel has no {name or v1} on cgroup {'v2' if V2 else 'v1'}")
    pid = bench.start(patch={"linux.resources": resources})["pid"]
    bench.equal(read(pid, v1, v2), want2 if V2 else want1)


def has(hierarchy, name):
    """Whether groups below this one have the file."""
    probe = hierarchy / f"probe-{os.getpid()}-{name}"
    probe.mkdir(exist_ok=True)
    try:
        return (probe / name).exists()
    finally:
        probe.rmdir()


LIMITS = [
    ("memory-limit", "memory.limit", {"memory": {"limit": 64 * MB}}, "memory.limit_in_bytes", str(64 * MB), "memory.max", str(64 * MB)),
    ("memory-reservation", "memory.reservation", {"memory": {"reservation": 32 * MB}}, "memory.soft_limit_in_bytes", str(32 * MB), "memory.low", str(32 * MB)),
    ("memory-swap", "memory.swap", {"memory": {"limit": 64 * MB, "swap": 96 * MB}}, "memory.memsw.limit_in_bytes", str(96 * MB), "memory.swap.max", str(32 * MB)),
    ("memory-unlimited", "memory.limit -1", {"memory": {"limit": -1}}, "memory.limit_in_bytes", "9223372036854771712", "memory.max", "max"),
    ("memory-swappiness", "memory.swappiness", {"memory": {"swappiness": 7}}, "memory.swappiness", "7", None, None),
    ("memory-kernel-tcp", "memory.kernelTCP", {"memory": {"kernelTCP": 16 * MB}}, "memory.kmem.tcp.limit_in_bytes", str(16 * MB), None, None),
    ("cpu-shares", "cpu.shares", {"cpu": {"shares": 512}}, "cpu.shares", "512", "cpu.weight", "59"),
    ("cpu-quota", "cpu.quota, cpu.period", {"cpu": {"quota": 50000, "period": 200000}}, "cpu.cfs_quota_us", "50000", "cpu.max", "50000 200000"),
    ("cpu-period", "cpu.period", {"cpu": {"quota": 50000, "period": 200000}}, "cpu.cfs_period_us", "200000", "cpu.max", "50000 200000"),
    ("cpu-burst", "cpu.burst", {"cpu": {"quota": 50000, "period": 100000, "burst": 10000}}, "cpu.cfs_burst_us", "10000", "cpu.max.burst", "10000"),
    ("cpu-idle", "cpu.idle", {"cpu": {"idle": 1}}, "cpu.idle", "1", "cpu.idle", "1"),
    ("cpu-cpus", "cpu.cpus", {"cpu": {"cpus": "0"}}, "cpuset.cpus", "0", "cpuset.cpus", "0"),
    ("cpu-mems", "cpu.mems", {"cpu": {"mems": "0"}}, "cpuset.mems", "0", "cpuset.mems", "0"),
    ("pids-limit", "pids.limit", {"pids": {"limit": 20}}, "pids.max", "20", "pids.max", "20"),
    ("pids-unlimited", "pids.limit -1", {"pids": {"limit": -1}}, "pids.max", "max", "pids.max", "max"),
    ("hugepages", "hugepageLimits", {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MB}]}, "hugetlb.2MB.limit_in_bytes", str(4 * MB), "hugetlb.2MB.max", str(4 * MB)),
    ("network-class", "network.classID", {"network": {"classID": 1048577}}, "net_cls.classid", "1048577", None, None),
    ("block-weight", "blockIO.weight", {"blockIO": {"weight": 300}}, "blkio.bfq.weight", "300", "io.bfq.weight", "default 300"),
]
rows("cgroups", [(name, f"config-linux.md: resources.{what}", *rest) for name, what, *rest in LIMITS], limit)


def disk():
    """A block device whose use can be limited, as MAJOR:MINOR."""
    for device in sorted(pathlib.Path("/sys/block").iterdir()):
        if not (device / "partition").exists() and (device / "size").read_text().strip() != "0":
            return device.name, (device / "dev").read_text().strip()
    raise Skipped("no block device")


@case("config-linux.md: resources.blockIO, the throttles")
def throttle(bench):
    _, number = disk()
    major, minor = map(int, number.split(":"))
    device = [{"major": major, "minor": minor, "rate": 1048576}]
    pid = bench.start(patch={"linux.resources": {"blockIO": {"throttleReadBpsDevice": device, "throttleWriteIOPSDevice": [{**device[0], "rate": 1000}]}}})["pid"]
    if V2:
        bench.matches(read(pid, None, "io.max"), rf"{number} rbps=1048576 wbps=max riops=max wiops=1000")
    else:
        bench.equal(read(pid, "blkio.throttle.read_bps_device", None), f"{number} 1048576")
        bench.equal(read(pid, "blkio.throttle.write_iops_device", None), f"{number} 1000")


@case("config-linux.md: cgroupsPath, absolute")
def path_absolute(bench):
    pid = bench.start(patch={"linux.cgroupsPath": f"/above/{bench.id}"})["pid"]
    bench.matches(str(group(pid, "pids")), f"/above/{bench.id}")


@case("config-linux.md: cgroupsPath, relative")
def path_relative(bench):
    pid = bench.start(patch={"linux.cgroupsPath": f"relative/{bench.id}"})["pid"]
    bench.matches(str(group(pid, "pids")), f"relative/{bench.id}")


@case("config-linux.md: without cgroupsPath the container has a group of its own")
def path_absent(bench):
    pid = bench.start()["pid"]
    bench.true(group(pid, "pids") != group("self", "pids"), "the group is the runtime's")


@case("runc: a cgroupsPath does not lead out of the hierarchy")
def path_with_dots(bench):
    bench.bundle("sleep", "1000", patch={"linux.cgroupsPath": f"/../../../{bench.id}-dots"})
    if bench.rt("create", bench.id, check=False).code == 0:
        bench.true(group(bench.state()["pid"], "pids").resolve().is_relative_to(MOUNTS["" if V2 else "pids"]), "it did")


@case("runtime.md: delete removes the container's groups, those below too")
def removed(bench):
    pid = bench.start(patch={"linux.cgroupsPath": f"/gone/{bench.id}"})["pid"]
    directory = group(pid, "pids")
    (directory / "below/deeper").mkdir(parents=True)
    bench.kill()
    bench.rt("delete", bench.id)
    left = [str(place) for place in {hierarchy / "gone" / bench.id for hierarchy in MOUNTS.values()} if place.exists()]
    bench.equal(left, [])


def devices(bench, rules, script, wanted):
    # No driver is behind 10:250: who may open it hears that, who may not hears EPERM.
    nodes = [{"path": "/dev/odd", "type": "c", "major": 10, "minor": 250}]
    got = bench.sh(script, patch={"linux.devices": nodes, "linux.resources": {"devices": rules}})
    bench.equal(got, wanted)


NONE = {"allow": False, "access": "rwm"}
TRY = "for d in odd null; do (exec 3< /dev/$d) 2>&1 | grep -q 'not permitted' || echo $d; done"
rows("cgroups", [
    ("devices-denied", "config-linux.md: resources.devices", [NONE], TRY, "null"),
    ("devices-allowed", "config-linux.md: resources.devices", [NONE, {"allow": True, "type": "c", "major": 10, "minor": 250, "access": "r"}], TRY,
     "odd\nnull"),
    ("devices-order", "config-linux.md: resources.devices, MUST be applied in order",
     [{"allow": True, "type": "c", "major": 10, "minor": 250, "access": "r"}, NONE], TRY, "null"),
    ("devices-access", "config-linux.md: resources.devices.access", [NONE, {"allow": True, "type": "c", "major": 10, "minor": 250, "access": "w"}], TRY, "null"),
    ("devices-wildcard", "config-linux.md: resources.devices, no number is every number", [NONE, {"allow": True, "type": "c", "major": 10, "access": "r"}], TRY,
     "odd\nnull"),
], devices)


@case("config-linux.md: resources.unified is for v2; its unknown controllers are an error")
def unified(bench):
    if V2:
        pid = bench.start(patch={"linux.resources": {"unified": {"pids.max": "30"}}})["pid"]
        bench.equal(read(pid, None, "pids.max"), "30")
        bench.rt("delete", "--force", bench.id)
    bench.refused("true", patch={"linux.resources": {"unified": {"weather.max": "1"} if V2 else {"pids.max": "30"}}})


@case("config-linux.md: a limit that the kernel refuses is an error")
def refused_limit(bench):
    bench.refused("true", patch={"linux.resources": {"cpu": {"cpus": "4000"}}})


@case("cgroup_namespaces(7): a container with a cgroup namespace sees its own group as the root")
def cgroup_namespace(bench):
    out = bench.sh("cut -d: -f3 /proc/self/cgroup | sort -u", patch={"linux.namespaces": namespaces("cgroup")})
    bench.true(all(path in ("/", "/container") for path in out.split()), f"it sees {out.split()}")


@case("config.md: a cgroup mount shows the container's groups, read-only if asked")
def cgroup_mount(bench):
    mount = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
    script = ("dir=$(dirname $(find /sys/fs/cgroup/ -name cgroup.procs | head -1)); cat $dir/cgroup.procs > /dev/null && echo seen; "
              "mkdir $dir/x 2>/dev/null || echo closed")
    bench.equal(bench.sh(script, patch={"mounts+": [mount], "linux.namespaces": namespaces("cgroup")}), "seen\nclosed")


# --- commands

@case("runc: update sets what is given and leaves the rest")
def update(bench):
    pid = bench.start(patch={"linux.resources": {"pids": {"limit": 20}, "cpu": {"shares": 512}}})["pid"]
    bench.rt("update", "--pids-limit", "33", bench.id)
    bench.equal(read(pid, "pids.max", "pids.max"), "33")
    bench.equal(read(pid, "cpu.shares", "cpu.weight"), "59" if V2 else "512")


@case("runc: update --resources reads JSON, from standard input too")
def update_json(bench):
    pid = bench.start()["pid"]
    bench.rt("update", "--resources=-", bench.id, input=json.dumps({"pids": {"limit": 44}, "memory": {"limit": 50 * MB}, "unknown": 1}))
    bench.equal(read(pid, "pids.max", "pids.max"), "44")
    bench.equal(read(pid, "memory.limit_in_bytes", "memory.max"), str(50 * MB))


@case("runc: update raises memory and swap in the order that the kernel takes")
def update_memory(bench):
    pid = bench.start(patch={"linux.resources": {"memory": {"limit": 50 * MB, "swap": 60 * MB}}})["pid"]
    for limit_, swap in ((100, 120), (30, 40)):
        bench.rt("update", "--memory", f"{limit_}m", "--memory-swap", f"{swap}m", bench.id)
        bench.equal(read(pid, "memory.limit_in_bytes", "memory.max"), str(limit_ * MB))


@case("runc: an update that fails leaves the old limits")
def update_fails(bench):
    pid = bench.start(patch={"linux.resources": {"pids": {"limit": 20}}})["pid"]
    done = bench.rt("update", "--resources=-", bench.id, check=False,
                    input=json.dumps({"pids": {"limit": 30}, "cpu": {"cpus": "4000"}}))
    bench.true(done.code != 0, "it succeeded")
    bench.equal(read(pid, "pids.max", "pids.max"), "20")


@case("runc: pause stops every process, resume lets them go on")
def pause(bench):
    bench.start("sh", "-c", "while :; do echo >> /count; done")
    size = lambda: (bench.rootfs / "count").stat().st_size if (bench.rootfs / "count").exists() else 0
    wait_until(size, "what it writes")
    bench.rt("pause", bench.id)
    before = size()
    time.sleep(0.2)
    bench.equal(size(), before)
    bench.rt("resume", bench.id)
    wait_until(lambda: size() > before, "what it writes after the resume")


@case("runc: a paused container can be killed")
def kill_paused(bench):
    bench.start()
    bench.rt("pause", bench.id)
    bench.rt("kill", bench.id, "KILL")
    bench.rt("delete", "--force", bench.id)


@case("runc: events --stats says what is used")
def stats(bench):
    bench.start(patch={"linux.resources": {"memory": {"limit": 64 * MB}, "pids": {"limit": 20}}})
    event = json.loads(bench.rt("events", "--stats", bench.id).out)
    bench.equal((event["type"], event["id"]), ("stats", bench.id))
    data = event["data"]
    bench.equal(data["pids"]["limit"], 20)
    bench.true(data["pids"]["current"] >= 1, "no process is counted")
    bench.true(data["memory"]["usage"]["usage"] > 0, "no memory is counted")
    bench.equal(data["memory"]["usage"]["limit"], 64 * MB)
    bench.true(data["cpu"]["usage"]["total"] > 0, "no time is counted")


@case("runc: --cgroup-manager is not asked for again: what create used is remembered")
def manager_is_remembered(bench):
    bench.start()
    # containerd's shim gives --systemd-cgroup to create and not to delete, and the other way round.
    bench.rt("delete", "--force", bench.id, globals=("--systemd-cgroup=false",))
    bench.true(bench.rt("state", bench.id, check=False).code != 0, "it is still there")


@case("runc: the memory limit is kept: a process that takes more is killed")
def out_of_memory(bench):
    done = bench.run("sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1; exit $?", check=False,
                     patch={"linux.resources": {"memory": {"limit": 16 * MB, "swap": 16 * MB}}})
    bench.true(done.code != 0, "it got its memory")


@case("config-linux.md: the pids limit is kept")
def out_of_pids(bench):
    done = bench.run("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait", check=False, patch={"linux.resources": {"pids": {"limit": 5}}})
    bench.matches(done.text, "can't fork|Resource temporarily unavailable")
