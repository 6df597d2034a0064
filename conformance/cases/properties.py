"""The properties of config.json, each looked at from inside the container (config.md, config-linux.md)."""
import os
import pathlib

from bench import USERS, case, namespaces, rows


def shows(bench, patch, script, wanted):
    """What the script prints in a container with this patch; a pattern starts with "~"."""
    got = bench.sh(script, patch=patch)
    if wanted.startswith("~"):
        bench.matches(got, wanted[1:])
    else:
        bench.equal(got, wanted)


def refuses(bench, patch):
    bench.refused("true", patch=patch)


def caps(*names):
    known = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_NET_RAW": 13, "CAP_MKNOD": 27}
    return f"{sum(1 << known[name] for name in names):016x}"


def cap_set(which, *names):
    sets = {name: [] for name in ("bounding", "effective", "permitted", "inheritable", "ambient")}
    for name in ("bounding", which, *(("permitted",) if which == "effective" else ()),
                 *(("permitted", "inheritable") if which == "ambient" else ())):
        sets[name] = list(names)
    return {"process.capabilities": sets}


RUNS = "echo ran"
LOOK = [
    ("version-1.0.0", "config.md: ociVersion, a runtime takes every minor version", {"ociVersion": "1.0.0"}, RUNS, "ran"),
    ("version-1.2.1", "config.md: ociVersion", {"ociVersion": "1.2.1"}, RUNS, "ran"),
    ("unknown-member", "config.md: unknown properties MUST be ignored", {"future": {"x": 1}, "linux.future": 1}, RUNS, "ran"),
    ("unknown-annotation", "config.md: unknown annotations MUST be ignored", {"annotations": {"com.example.unknown": "x"}}, RUNS, "ran"),
    ("root-writable", "config.md: root.readonly is false by default", {}, "touch /x && echo written", "written"),
    ("root-readonly", "config.md: root.readonly", {"root.readonly": True}, "touch /x 2>/dev/null || echo read-only; touch /dev/shm/x && echo mounts are not",
     "read-only\nmounts are not"),
    ("hostname", "config.md: hostname", {"hostname": "conformance"}, "hostname", "conformance"),
    ("domainname", "config.md: domainname", {"domainname": "example.org"}, "cat /proc/sys/kernel/domainname", "example.org"),
    ("cwd", "config.md: process.cwd", {"process.cwd": "/tmp"}, "pwd", "/tmp"),
    ("cwd-made", "runc: a missing process.cwd is made", {"process.cwd": "/made/for/me"}, "pwd", "/made/for/me"),
    ("env", "config.md: process.env", {"process.env": ["PATH=/bin", "A=b=c", "EMPTY="]}, "echo $A-$EMPTY-", "b=c--"),
    ("env-twice", "runc: the last of two variables wins", {"process.env": ["PATH=/bin", "A=1", "A=2"]}, "env | grep ^A=", "A=2"),
    ("env-home", "runc: HOME comes from the container's passwd", {"process.user": {"uid": 1000, "gid": 1000}}, "echo $HOME", "/home/user"),
    ("env-home-unknown", "runc: HOME is / for a user without an entry", {"process.user": {"uid": 7, "gid": 7}}, "echo $HOME", "/"),
    ("user", "config.md: process.user.uid, gid", {"process.user": {"uid": 1000, "gid": 1001}}, "id -u; id -g", "1000\n1001"),
    ("user-groups", "config.md: process.user.additionalGids", {"process.user": {"uid": 1000, "gid": 1000, "additionalGids": [5, 33]}},
     "grep Groups: /proc/self/status", "~5 33"),
    ("user-no-groups", "config.md: no groups but those of the config", {}, "grep Groups: /proc/self/status", "Groups:"),
    ("user-umask", "config.md: process.user.umask", {"process.user": {"uid": 0, "gid": 0, "umask": 0o027}}, "umask", "0027"),
    ("user-streams", "runc: standard streams are the user's, who may open them again", {"process.user": {"uid": 1000, "gid": 1000}},
     "echo opened > /dev/stdout; echo > /dev/stderr", "opened"),
    ("rlimits", "config.md: process.rlimits", {"process.rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]},
     "ulimit -Sn; ulimit -Hn", "100\n200"),
    ("rlimits-core", "config.md: process.rlimits", {"process.rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]}, "ulimit -c", "0"),
    ("caps-bounding", "config.md: process.capabilities.bounding", cap_set("bounding", "CAP_CHOWN", "CAP_KILL"),
     "grep CapBnd /proc/self/status", f"CapBnd:\t{caps('CAP_CHOWN', 'CAP_KILL')}"),
    ("caps-permitted", "config.md: process.capabilities.permitted", {**cap_set("effective", "CAP_CHOWN"), "process.user": {"uid": 0, "gid": 0}},
     "grep -E 'Cap(Prm|Eff)' /proc/self/status", f"CapPrm:\t{caps('CAP_CHOWN')}\nCapEff:\t{caps('CAP_CHOWN')}"),
    ("caps-ambient", "config.md: process.capabilities.ambient", {**cap_set("ambient", "CAP_KILL"), "process.user": {"uid": 1000, "gid": 1000}},
     "grep -E 'Cap(Eff|Amb)' /proc/self/status", f"CapEff:\t{caps('CAP_KILL')}\nCapAmb:\t{caps('CAP_KILL')}"),
    ("caps-of-user", "capabilities(7): a user keeps none without ambient", {"process.user": {"uid": 1000, "gid": 1000}},
     "grep CapEff /proc/self/status", f"CapEff:\t{caps()}"),
    ("caps-unknown", "config.md: an unknown capability MUST only be a warning",
     {"process.capabilities": {"bounding": ["CAP_KILL", "CAP_FROM_THE_FUTURE"]}}, RUNS, "ran"),
    ("no-new-privileges", "config.md: process.noNewPrivileges", {"process.noNewPrivileges": True}, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"),
    ("new-privileges", "config.md: process.noNewPrivileges is false by default", {}, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0"),
    ("oom-score", "config.md: process.oomScoreAdj", {"process.oomScoreAdj": 321}, "cat /proc/self/oom_score_adj", "321"),
    ("scheduler-batch", "config.md: process.scheduler", {"process.scheduler": {"policy": "SCHED_BATCH", "nice": 5}}, "cut -d' ' -f19,41 /proc/self/stat", "5 3"),
    ("scheduler-idle", "config.md: process.scheduler", {"process.scheduler": {"policy": "SCHED_IDLE"}}, "cut -d' ' -f41 /proc/self/stat", "5"),
    ("io-priority", "config.md: process.ioPriority", {"process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3}}, "ionice -p $$", "best-effort: prio 3"),
    ("io-priority-idle", "config.md: process.ioPriority", {"process.ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}}, "ionice -p $$", "~^idle"),
    ("personality", "config-linux.md: personality.domain", {"linux.personality": {"domain": "LINUX32"}}, "uname -m", "~i[3-6]86|armv"),
    ("personality-default", "config-linux.md: personality.domain", {"linux.personality": {"domain": "LINUX"}}, "uname -m", os.uname().machine),
    ("memory-policy", "config-linux.md: memoryPolicy", {"linux.memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}}, "grep -m1 bind:0 /proc/self/numa_maps", "~bind:0"),
    ("sysctl-net", "config-linux.md: sysctl", {"linux.sysctl": {"net.ipv4.ip_forward": "1"}}, "cat /proc/sys/net/ipv4/ip_forward", "1"),
    ("sysctl-ipc", "config-linux.md: sysctl", {"linux.sysctl": {"kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "11"}},
     "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/fs/mqueue/msg_max", "1\n11"),
    ("masked-file", "config-linux.md: maskedPaths", {"linux.maskedPaths": ["/etc/passwd"]}, "wc -c < /etc/passwd", "0"),
    ("masked-directory", "config-linux.md: maskedPaths", {"linux.maskedPaths": ["/etc"]}, "ls -A /etc; touch /etc/x 2>/dev/null || echo closed", "closed"),
    ("masked-missing", "config-linux.md: a masked path that does not exist is ignored", {"linux.maskedPaths": ["/not/there"]}, RUNS, "ran"),
    ("readonly-paths", "config-linux.md: readonlyPaths", {"linux.readonlyPaths": ["/tmp", "/proc/sys"]},
     "touch /tmp/x 2>/dev/null || echo closed; echo 1 2>/dev/null > /proc/sys/vm/swappiness || echo closed", "closed\nclosed"),
    ("readonly-root", "config-linux.md: readonlyPaths", {"linux.readonlyPaths": ["/"]}, "touch /x 2>/dev/null || echo read-only", "read-only"),
    ("readonly-missing", "config-linux.md: a read-only path that does not exist is ignored", {"linux.readonlyPaths": ["/not/there"]}, RUNS, "ran"),
    ("default-devices", "config-linux.md: default devices MUST be supplied", {},
     "for d in null zero full random urandom tty ptmx; do [ -c /dev/$d ] || echo no $d; done; head -c2 /dev/zero | wc -c", "2"),
    ("default-links", "runtime-linux.md: dev symbolic links", {}, "for l in fd stdin stdout stderr; do readlink /dev/$l; done",
     "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2"),
    ("device-char", "config-linux.md: devices", {"linux.devices": [{"path": "/dev/my-null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6}]},
     "stat -c '%F %a %u %g %t:%T' /dev/my-null", "character special file 640 5 6 1:3"),
    ("device-mode", "runc: fileMode may hold the type of the file, too", {"linux.devices": [{"path": "/dev/my-null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o20640}]},
     "stat -c '%a %F' /dev/my-null", "640 character special file"),
    ("device-fifo", "config-linux.md: devices, type p", {"linux.devices": [{"path": "/dev/a-fifo", "type": "p", "fileMode": 0o600}]},
     "stat -c '%F %a' /dev/a-fifo", "fifo 600"),
    ("device-block", "config-linux.md: devices, type b", {"linux.devices": [{"path": "/srv/a-disk", "type": "b", "major": 7, "minor": 99}]},
     "stat -c '%F %t:%T' /srv/a-disk", "block special file 7:63"),
    ("without-linux", "schema: linux may be absent", {"linux": None, "hostname": None, "mounts": None}, RUNS, "ran"),
    ("without-mounts", "schema: mounts may be absent", {"mounts": None}, RUNS, "ran"),
]

SECCOMP = "linux.seccomp"
DENY = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
FILTERS = [
    ("seccomp-errno", "config-linux.md: seccomp, SCMP_ACT_ERRNO is EPERM by default", {SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [DENY]}},
     "mkdir /tmp/x 2>&1 | grep -c 'not permitted'", "1"),
    ("seccomp-errno-ret", "config-linux.md: seccomp, errnoRet", {SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{**DENY, "errnoRet": 28}]}},
     "mkdir /tmp/x 2>&1 | grep -c 'No space left'", "1"),
    ("seccomp-unknown-call", "config-linux.md: seccomp, an unknown name of a rule that is milder than the default is skipped",
     {SECCOMP: {"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["from_the_future"], "action": "SCMP_ACT_ALLOW"}, DENY]}},
     "mkdir /tmp/x 2>/dev/null || echo denied", "denied"),
    ("seccomp-argument", "config-linux.md: seccomp, args", {SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95, "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}]}},
     "kill -10 1 2>&1 | grep -c 'not supported'; kill -0 1 && echo others pass", "1\nothers pass"),
    ("seccomp-masked", "config-linux.md: seccomp, SCMP_CMP_MASKED_EQ", {SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 8, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ"}]}]}},
     "kill -10 1 2>/dev/null || echo denied; kill -0 1 && echo others pass", "denied\nothers pass"),
    ("seccomp-log-flag", "config-linux.md: seccomp, flags", {SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
                                                                    "syscalls": [DENY]}}, "grep Seccomp: /proc/self/status", "Seccomp:\t2"),
    ("seccomp-no-new-privileges", "config-linux.md: seccomp with noNewPrivileges", {"process.noNewPrivileges": True, SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [DENY]}},
     "mkdir /tmp/x 2>/dev/null || echo denied", "denied"),
    ("seccomp-architectures", "config-linux.md: seccomp, architectures", {SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [
        "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"], "syscalls": [DENY]}}, "mkdir /tmp/x 2>/dev/null || echo denied", "denied"),
]

REFUSED = [
    ("version-major-2", "config.md: ociVersion, another major version is none of ours", {"ociVersion": "2.0.0"}),
    ("version-word", "config.md: ociVersion MUST be SemVer", {"ociVersion": "latest"}),
    ("root-missing", "config.md: a directory MUST exist at root.path", {"root.path": "nowhere"}),
    ("args-empty", "config.md: process.args has at least one entry", {"process.args": []}),
    ("cwd-relative", "config.md: process.cwd MUST be absolute", {"process.cwd": "tmp"}),
    ("hostname-without-uts", "runc: a hostname needs a uts namespace", {"linux.namespaces": namespaces(without=["uts"])}),
    ("user-none", "setuid(2): the last number is no user", {"process.user": {"uid": 4294967295, "gid": 0}}),
    ("mount-on-the-root", "runc: nothing is mounted on the root itself", {"mounts+": [{"destination": "/", "type": "tmpfs", "source": "tmpfs"}]}),
    ("memory-swap-below-limit", "config-linux.md: memory.swap is memory and swap", {"linux.resources": {"memory": {"limit": 64 << 20, "swap": 1 << 20}}}),
    ("rlimit-twice", "config.md: a type of rlimit twice MUST be an error",
     {"process.rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 10}, {"type": "RLIMIT_NOFILE", "soft": 20, "hard": 20}]}),
    ("rlimit-unknown", "config.md: an unknown rlimit MUST be an error", {"process.rlimits": [{"type": "RLIMIT_LOVE", "soft": 1, "hard": 1}]}),
    ("rlimit-soft-above-hard", "setrlimit(2): soft is at most hard", {"process.rlimits": [{"type": "RLIMIT_NOFILE", "soft": 20, "hard": 10}]}),
    ("scheduler-unknown", "config.md: process.scheduler.policy", {"process.scheduler": {"policy": "SCHED_NEVER"}}),
    ("scheduler-fifo-nice", "config.md: scheduler, priority is required for FIFO", {"process.scheduler": {"policy": "SCHED_FIFO", "priority": 1000}}),
    ("io-priority-unknown", "config.md: ioPriority.class", {"process.ioPriority": {"class": "IOPRIO_CLASS_VIP", "priority": 1}}),
    ("personality-flags", "config-linux.md: personality.flags, none is defined", {"linux.personality": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}}),
    ("personality-unknown", "config-linux.md: personality.domain", {"linux.personality": {"domain": "SOLARIS"}}),
    ("memory-policy-unknown", "config-linux.md: memoryPolicy.mode", {"linux.memoryPolicy": {"mode": "MPOL_MAYBE", "nodes": "0"}}),
    ("sysctl-of-the-host", "runc: a sysctl that no namespace holds is an error", {"linux.sysctl": {"kernel.pid_max": "40000"}}),
    ("sysctl-without-namespace", "runc: a sysctl of a namespace that is not there is an error",
     {"linux.namespaces": namespaces(without=["network"]), "linux.sysctl": {"net.ipv4.ip_forward": "1"}}),
    ("sysctl-unknown", "config-linux.md: what cannot be set is an error", {"linux.sysctl": {"net.ipv4.no_such_thing": "1"}}),
    ("seccomp-unknown-action", "config-linux.md: seccomp.defaultAction", {SECCOMP: {"defaultAction": "SCMP_ACT_HOPE"}}),
    ("seccomp-unknown-operator", "config-linux.md: seccomp.args.op", {SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {**DENY, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_ALMOST"}]}]}}),
    ("seccomp-unknown-flag", "config-linux.md: seccomp.flags", {SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_HOPE"], "syscalls": [DENY]}}),
    ("seccomp-notify-without-listener", "config-linux.md: SCMP_ACT_NOTIFY needs listenerPath", {SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {**DENY, "action": "SCMP_ACT_NOTIFY"}]}}),
    ("seccomp-errno-ret-of-allow", "config-linux.md: errnoRet with an action without one MUST be an error", {SECCOMP: {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}]}}),
    ("device-without-type", "config-linux.md: devices.type", {"linux.devices": [{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]}),
    ("rdt-without-resctrl", "config-linux.md: what cannot be set is an error", {"linux.intelRdt": {"closID": "x", "l3CacheSchema": "L3:0=f"}}),
]

rows("properties", LOOK + FILTERS, shows)
rows("properties", [row for row in REFUSED if row[0] != "rdt-without-resctrl" or not pathlib.Path("/sys/fs/resctrl/schemata").exists()], refuses)


@case("config.md: process.scheduler.priority", needs=(not pathlib.Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists(),
                                                     "new cpu groups have no real time on cgroup v1"))
def scheduler_fifo(bench):
    shows(bench, {"process.scheduler": {"policy": "SCHED_FIFO", "priority": 7}}, "cut -d' ' -f40,41 /proc/self/stat", "7 1")


@case("config.md: root.path may be absolute")
def root_absolute(bench):
    bench.equal(bench.sh(RUNS, patch={"root.path": str(bench.rootfs)}), "ran")


@case("config-linux.md: seccomp, SCMP_ACT_KILL_PROCESS")
def seccomp_kill(bench):
    done = bench.run("mkdir", "/tmp/x", check=False, patch={SECCOMP: {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {**DENY, "action": "SCMP_ACT_KILL_PROCESS"}]}})
    bench.equal(done.code, 128 + 31)


@case("runtime.md: changes of config.json after create MUST have no effect")
def config_is_read_once(bench):
    bench.create("sh", "-c", "echo first > /said")
    bench.bundle("sh", "-c", "echo second > /said", hostname="other")
    bench.rt("start", bench.id)
    bench.wait_for("stopped")
    bench.equal((bench.rootfs / "said").read_text(), "first\n")


@case("config.md: execCPUAffinity", needs=(len(os.sched_getaffinity(0)) > 1, "needs two processors"))
def exec_cpu_affinity(bench):
    bench.start(patch={"process.execCPUAffinity": {"initial": "0", "final": "1"}})
    bench.equal(bench.exec("grep", "Cpus_allowed_list", "/proc/self/status").out.split(), ["Cpus_allowed_list:", "1"])


@case("config.md: oomScoreAdj, absent means unchanged")
def oom_score_unchanged(bench):
    mine = pathlib.Path("/proc/self/oom_score_adj").read_text().strip()
    bench.equal(bench.sh("cat /proc/self/oom_score_adj"), mine)


@case("config.md: the process of a user namespace's root owns its files outside as the mapped user")
def user_namespace_owner(bench):
    bench.bundle("sh", "-c", "touch /tmp/mine", patch=USERS)
    bench.rt("run", bench.id)
    owner = (bench.rootfs / "tmp/mine").stat()
    bench.equal((owner.st_uid, owner.st_gid), (100000, 200000))
