"""linux.namespaces, id mappings, time offsets, network devices (config-linux.md)."""
import os
import subprocess

from bench import USERS, Failed, case, namespaces, rows, wait_until

KINDS = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup", "time": "time"}


def inode(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{KINDS.get(kind, kind)}")


def made(bench, kind):
    pid = bench.start(patch={"linux.namespaces": namespaces(kind)})["pid"]
    bench.true(inode(pid, kind) != inode("self", kind), f"the {kind} namespace is the runtime's")


def inherited(bench, kind):
    pid = bench.start(patch={"linux.namespaces": namespaces(without=[kind]), **({"hostname": None} if kind == "uts" else {})})["pid"]
    bench.equal(inode(pid, kind), inode("self", kind))


def mounts_of(bench):
    return [line.split()[4] for line in open("/proc/self/mountinfo") if str(bench.rootfs) in line]


@case("config-linux.md: an absent mount namespace is the runtime's; what was mounted goes with the container")
def inherited_mount(bench):
    without = {"linux.namespaces": namespaces(without=["mount"])}
    bench.bundle("sleep", "1000", patch=without)
    subprocess.run(["mount", "--bind", bench.rootfs, bench.rootfs], check=True)  # the caller's own, which stays
    before = mounts_of(bench)
    bench.rt("run", "--detach", bench.id)
    bench.equal(inode(bench.state()["pid"], "mount"), inode("self", "mount"))
    bench.equal(bench.exec("sh", "-c", "pwd; ls -d /etc/passwd; mount | grep -q ' /dev/shm ' && echo mounted").out.split(), ["/", "/etc/passwd", "mounted"])
    bench.kill()
    bench.rt("delete", bench.id)
    bench.equal(mounts_of(bench), before)
    bench.refused("/no/where", patch=without)
    bench.equal(mounts_of(bench), before, "after a create that failed")


def another(bench, kind):
    """A process in a namespace of that kind, to join it."""
    option = {"network": "net", "time": "time", "user": "map-root-user"}.get(kind, kind)
    process = subprocess.Popen(["unshare", f"--{option}", *(["--fork", "--kill-child"] if kind in ("pid", "time") else []), "sleep", "100"])

    def holder():
        children = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()
        pid = int(children[0]) if children else process.pid
        try:
            return pid if inode(pid, kind) != inode("self", kind) else None
        except OSError:
            return None
    try:
        return process, wait_until(holder, f"a {kind} namespace to join")
    except Failed:
        process.kill()
        raise


def joined(bench, kind):
    process, holder = another(bench, kind)
    try:
        pid = bench.start(patch={"linux.namespaces": namespaces((kind, f"/proc/{holder}/ns/{KINDS[kind]}")),
                                 **({"hostname": None} if kind == "uts" else {})})["pid"]
        bench.equal(inode(pid, kind), inode(holder, kind))
        bench.equal(bench.exec("readlink", f"/proc/self/ns/{KINDS[kind]}").out.strip(), inode(holder, kind), "exec")
    finally:
        process.kill()
        process.wait()


rows("namespaces", [(f"made-{k}", f"config-linux.md: a new {k} namespace", k) for k in KINDS], made)
rows("namespaces", [(f"inherited-{k}", f"config-linux.md: an absent {k} namespace is the runtime's", k) for k in KINDS if k != "mount"], inherited)
rows("namespaces", [(f"joined-{k}", f"config-linux.md: the {k} namespace of a path", k) for k in KINDS if k != "mount"], joined)


@case("config-linux.md: a type twice MUST be an error")
def twice(bench):
    bench.refused("true", patch={"linux.namespaces": namespaces() + [{"type": "ipc"}]})


@case("config-linux.md: an unknown type is an error")
def unknown(bench):
    bench.refused("true", patch={"linux.namespaces": namespaces() + [{"type": "weather"}]})


@case("config-linux.md: a path of another type MUST be an error")
def wrong_type(bench):
    bench.refused("true", patch={"linux.namespaces": namespaces(("network", "/proc/self/ns/ipc"))})


@case("config-linux.md: a path that does not exist is an error")
def no_path(bench):
    bench.refused("true", patch={"linux.namespaces": namespaces(("network", "/not/there"))})


@case("config-linux.md: uidMappings and gidMappings")
def mappings(bench):
    out = bench.sh("cat /proc/self/uid_map /proc/self/gid_map; id -u", patch=USERS)
    bench.equal(out.split(), ["0", "100000", "65536", "0", "200000", "65536", "0"])


@case("config-linux.md: several mappings")
def several_mappings(bench):
    rows_ = [{"containerID": 0, "hostID": 100000, "size": 10}, {"containerID": 1000, "hostID": 300000, "size": 5}]
    out = bench.sh("cat /proc/self/uid_map", patch={**USERS, "linux.uidMappings": rows_})
    bench.equal(out.split(), ["0", "100000", "10", "1000", "300000", "5"])


@case("runc: a user namespace without mappings is an error")
def no_mappings(bench):
    bench.refused("true", patch={"linux.namespaces": namespaces("user")})


@case("user_namespaces(7): a joined user namespace owns the others")
def joined_user(bench):
    # One that maps enough: the holder of a container's user namespace.
    holder = bench.start(patch=USERS)["pid"]
    path = f"/proc/{holder}/ns/user"
    second = f"{bench.id}-second"
    bench.bundle("sleep", "1000", patch={**USERS, "linux.namespaces": namespaces(("user", path))})
    bench.rt("run", "--detach", second)
    pid = bench.rt("state", second).out.split('"pid":')[1].split(",")[0].strip()
    bench.equal(inode(pid, "user"), inode(holder, "user"))
    bench.equal(bench.rt("exec", second, "cat", "/proc/self/uid_map").out.split(), ["0", "100000", "65536"])


@case("config-linux.md: timeOffsets")
def time_offsets(bench):
    out = bench.sh("cat /proc/self/timens_offsets", patch={"linux.namespaces": namespaces("time"),
                                                            "linux.timeOffsets": {"monotonic": {"secs": 172800, "nanosecs": 5}, "boottime": {"secs": 604800}}})
    bench.equal(out.split(), ["monotonic", "172800", "5", "boottime", "604800", "0"])


@case("config-linux.md: timeOffsets need a time namespace")
def time_offsets_alone(bench):
    bench.refused("true", patch={"linux.timeOffsets": {"monotonic": {"secs": 1}}})


@case("runc: the loopback interface of a new network namespace is up")
def loopback(bench):
    bench.matches(bench.sh("ip addr show lo"), r"UP(.|\n)*127\.0\.0\.1")


@case("config-linux.md: netDevices are moved, renamed and up")
def net_devices(bench):
    device = f"d-{bench.id}"
    subprocess.run(["ip", "link", "add", "name", device, "type", "veth", "peer", "name", f"p-{bench.id}"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", "10.9.8.7/24", "dev", device], check=True)
        out = bench.sh("ip addr show moved", patch={"linux.netDevices": {device: {"name": "moved"}}})
        bench.matches(out, r"<[^>]*UP(.|\n)*10\.9\.8\.7/24")
    finally:
        subprocess.run(["ip", "link", "del", device], stderr=subprocess.DEVNULL, check=False)


@case("config-linux.md: a network device that does not exist is an error")
def net_device_missing(bench):
    bench.refused("true", patch={"linux.netDevices": {"not-there": {}}})


@case("pid_namespaces(7): the container's first process is 1")
def first_process(bench):
    bench.equal(bench.sh("echo $$"), "1")


@case("runc: a container without a pid namespace of its own is killed as a whole")
def kill_without_pid_namespace(bench):
    bench.start("sh", "-c", "sleep 1234 & sleep 1234", patch={"linux.namespaces": namespaces(without=["pid"])})
    bench.kill()
    left = lambda: [pid for pid in os.listdir("/proc") if pid.isdigit() and bench_processes(pid, str(bench.rootfs))]
    wait_until(lambda: not left(), "the end of all its processes")


def bench_processes(pid, rootfs):
    """Whether a process lives in this container's root file system, by its mount namespace's root."""
    try:
        return rootfs in open(f"/proc/{pid}/mountinfo").readline() or "1234" in open(f"/proc/{pid}/cmdline").read()
    except OSError:
        return False
