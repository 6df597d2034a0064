"""A value that config.json cannot have is one line: the place in the document, and what was expected there. Nothing stays behind.

What the runtime reads stands in the tables of spec/: from them comes a table of wrong types and of numbers that do not
fit, so that a new property is in it by itself. What else a value can be (a word that nobody knows, an empty one, one that
contradicts another, a path that leads nowhere, more than the kernel takes) is a row here. Where runc has words for it,
the runtime says these; they name a mount by its destination, a hook by its number.
"""
import glob
import json
import os
import pathlib
import re
import unittest

from keg import PROJECT, RuntimeCase, default_config, make_busybox_root, needs_root

V1 = pathlib.Path("/sys/fs/cgroup/memory").is_dir()
LIMITS = {"bool": None, "int": (-2**31, 2**31 - 1), "int32_t": (-2**31, 2**31 - 1), "int64_t": (-2**63, 2**63 - 1), "uint16_t": (0, 2**16 - 1),
          "uint32_t": (0, 2**32 - 1), "uint64_t": (0, 2**64 - 1)}
# A key for each map of names.
KEYS = {"annotations": "some.thing", "sysctl": "kernel.msgmax", "timeOffsets": "boottime", "netDevices": "eth9", "rdma": "mlx5_1", "unified": "memory.high"}


def properties(struct="Config", place=""):
    """Every property that the runtime reads, as (its place, its type in C++)."""
    for name, kind in TABLES[struct]:
        at = f"{place}.{name}".lstrip(".")
        while True:
            yield at, kind
            if kind.startswith("std::vector<"):
                at, kind = at + "[0]", kind[12:-1]
            elif kind.startswith("std::map<"):
                at, kind = f"{at}.{KEYS[name]}", kind[len("std::map<std::string, "):-1]
            else:
                break
        if kind in TABLES:
            yield from properties(kind, at)


def read_tables():
    """{struct: [(name in JSON, type in C++)]} of spec/runtime.cpp and spec/runtime.h."""
    header = re.sub(r"//.*", "", (PROJECT / "spec/runtime.h").read_text())
    members = {}
    for struct, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", header, re.S | re.M):
        for kind, names in re.findall(r"^\s*([\w:]+(?:<.*>)?)\s+([^;]*);", body, re.M):
            for name in names.split(","):
                members[struct, name.split("=")[0].strip()] = re.sub(r"^std::optional<(.*)>$", r"\1", kind.replace("Annotations", "std::map<std::string, std::string>"))
    tables = {}
    for name, struct, member in re.findall(r'(?:required|optional)\("([^"]+)",\s*&(\w+)::(\w+)\)', (PROJECT / "spec/runtime.cpp").read_text()):
        tables.setdefault(struct, []).append((name, members[struct, member]))
    return tables


TABLES = read_tables()


def put(document, place, value):
    """At "linux.devices[0].path"; what is on the way there is made."""
    steps = [int(step[1:-1]) if step[0] == "[" else step for step in re.findall(r"\[\d+\]|[^.\[\]]+", place)]
    for key in KEYS.values():   # these have dots of their own
        if f".{key}" in place:
            parts = key.split(".")
            at = next(i for i in range(len(steps)) if steps[i:i + len(parts)] == parts)
            steps[at:at + len(parts)] = [key]
    for step, following in zip(steps, steps[1:]):
        made = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            document[step:] = document[step:] or [made]
        elif not isinstance(document.get(step), type(made)):
            document[step] = made
        document = document[step]
    if isinstance(steps[-1], int):
        document[steps[-1]:steps[-1] + 1] = [value]
    elif value is MISSING:
        document.pop(steps[-1])
    else:
        document[steps[-1]] = value


MISSING = object()
TMPFS, BIND = {"destination": "/tmp", "type": "tmpfs", "source": "x"}, {"destination": "/tmp", "type": "bind", "source": "/etc", "options": ["bind"]}
NULL = {"path": "/dev/x", "type": "c", "major": 1, "minor": 3}
ONE = [{"containerID": 0, "hostID": 0, "size": 1}]
ALLOW = {"defaultAction": "SCMP_ACT_ALLOW"}


def rule(**more):
    return {**ALLOW, "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", **more}]}


def namespaces(*entries, without=()):
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] not in without] + list(entries)
    return edit


IN_USER, IN_TIME = namespaces({"type": "user"}), namespaces({"type": "time"})

# The place, a value that cannot stand there, and what is said; with a fourth the place that is named, with a fifth what else is changed.
ROWS = [
    ("ociVersion", "", "is missing"), ("ociVersion", "1.x", "must be a semantic version"), ("ociVersion", "2.0.0", "unsupported spec version"),
    ("process", MISSING, "process property must not be empty"),
    ("process.consoleSize", {"height": 65536, "width": 1}, "must be from 0 to 65535", "process.consoleSize.height"),
    ("process.user.uid", 2**32 - 1, "is no id"), ("process.user.gid", 2**32 - 1, "is no id"), ("process.user.additionalGids[0]", 2**32 - 1, "is no id"),
    ("process.user.umask", 0o10000, "must be from 0 to 511"),
    ("process.args", [], "args must not be empty"), ("process.args", [""], "executable file not found", 'exec: ""'),
    ("process.args", ["/no/such"], "no such file", 'exec: "/no/such"'), ("process.args", ["/etc"], "is a directory", 'exec: "/etc"'), ("process.args", ["/etc/passwd"], "permission denied", 'exec: "/etc/passwd"'),
    ("process.env[0]", "NAME", "missing '='"), ("process.env[0]", "=value", "name cannot be empty"),
    ("process.cwd", "", "must not be empty"), ("process.cwd", "relative", "must be an absolute path"), ("process.cwd", "/etc/passwd", "not a directory", 'chdir to cwd ("/etc/passwd") set in config.json'),
    ("process.rlimits[0].type", "RLIMIT_MOON", "invalid rlimit type"), ("process.rlimits[0]", {"type": "RLIMIT_CPU", "soft": 2, "hard": 1}, "above the hard limit", "process.rlimits[0].soft"),
    ("process.rlimits", [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2, "duplicated rlimit", "process.rlimits[1].type"),
    ("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 2**40, "hard": 2**40}], "RLIMIT_NOFILE: operation not permitted"),
    ("process.oomScoreAdj", 1001, "must be from -1000 to 1000"), ("process.oomScoreAdj", -1001, "must be from -1000 to 1000"),
    ("process.scheduler", {}, "is required", "process.scheduler.policy"), ("process.scheduler.policy", "SCHED_MOON", "invalid scheduler policy"),
    ("process.scheduler", {"policy": "SCHED_BATCH", "nice": 20}, "invalid scheduler.nice", "process.scheduler.nice"),
    ("process.scheduler", {"policy": "SCHED_BATCH", "nice": -21}, "invalid scheduler.nice", "process.scheduler.nice"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "priority": 1}, "can only be specified for", "process.scheduler.priority"),
    ("process.scheduler", {"policy": "SCHED_FIFO"}, "must be from 1 to 99", "process.scheduler.priority"),
    ("process.scheduler", {"policy": "SCHED_RR", "priority": 100}, "must be from 1 to 99", "process.scheduler.priority"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "flags": ["LOUD"]}, "invalid scheduler flag", "process.scheduler.flags[0]"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "runtime": 1}, "can only be specified for", "process.scheduler.runtime"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "deadline": 1}, "can only be specified for", "process.scheduler.deadline"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "period": 1}, "can only be specified for", "process.scheduler.period"),
    ("process.scheduler", {"policy": "SCHED_DEADLINE"}, "needs a runtime", "process.scheduler.runtime"),
    ("process.scheduler", {"policy": "SCHED_DEADLINE", "runtime": 9, "deadline": 5, "period": 5}, "invalid argument"), ("process.scheduler", {"policy": "SCHED_ISO"}, "invalid argument"),
    ("process.ioPriority", {"class": "IOPRIO_CLASS_MOON", "priority": 1}, "invalid io priority class", "process.ioPriority.class"),
    ("process.ioPriority", {"priority": 1}, "invalid io priority class", "process.ioPriority.class"),
    ("process.ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 8}, "invalid io priority: 8", "process.ioPriority.priority"),
    ("process.ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": -1}, "invalid io priority: -1", "process.ioPriority.priority"),
    ("process.execCPUAffinity.initial", "1-0", "invalid list of CPUs"), ("process.execCPUAffinity.final", "all", "invalid list of CPUs"), ("process.execCPUAffinity.initial", "0-4294967295", "invalid list of CPUs"),
    ("root", MISSING, "is missing"), ("root.path", "", "is missing"), ("root.path", "/no/such", "no such file or directory"), ("root.path", "/etc/passwd", "not a directory"),
    ("hostname", "h" * 65, "takes 64 bytes"), ("hostname", "mine", "without a private UTS namespace", "hostname", namespaces(without=("uts",))),
    ("domainname", "d" * 65, "takes 64 bytes"), ("domainname", "mine", "without a private UTS namespace", "domainname", lambda c: (namespaces(without=("uts",))(c), c.pop("hostname"))),
    ("mounts[0].destination", "", "is missing"), ("mounts[0].destination", "/.", "is the root itself"), ("mounts[0]", {**TMPFS, "type": "moonfs"}, "no such device", 'error mounting "x" to rootfs at "/tmp"'),
    ("mounts[0]", {**BIND, "source": ""}, "is missing", "mounts[0].source"), ("mounts[0]", {**BIND, "source": "/no/such"}, "no such file or directory", 'error mounting "/no/such" to rootfs at "/tmp"'),
    ("mounts[0]", {**TMPFS, "destination": "/etc/passwd/x"}, "not a directory", 'to rootfs at "/etc/passwd/x"'),
    ("mounts[0]", {**TMPFS, "options": ["bogus"]}, 'option "bogus" of tmpfs', 'to rootfs at "/tmp"'), ("mounts[0]", {**TMPFS, "options": ["size=much"]}, 'option "size=much"', 'to rootfs at "/tmp"'),
    ("mounts[0]", {**BIND, "options": ["bind", "tmpcopyup"]}, "tmpcopyup needs a tmpfs", "mounts[0].options"), ("mounts[0]", {**BIND, "options": ["bind", "idmap"]}, "without mappings", "mounts[0].options"),
    ("mounts[0]", {**TMPFS, "uidMappings": ONE, "gidMappings": ONE}, "must be bind mounts", "mounts[0].options"), ("mounts[0]", {**BIND, "uidMappings": ONE}, "must be given together", "mounts[0].gidMappings"),
    ("mounts[0]", {**BIND, "gidMappings": ONE}, "must be given together", "mounts[0].uidMappings"),
    ("mounts[0]", {**BIND, "uidMappings": [{**ONE[0], "size": 0}], "gidMappings": ONE}, "is no range of ids", "mounts[0].uidMappings[0]"),
    ("mounts[0]", {**BIND, "uidMappings": ONE, "gidMappings": ONE * 2}, "ids of a range before it", "mounts[0].gidMappings[1]"),
    *((f"hooks.{kind}", [{"path": "bin/true"}], "must be an absolute path", f"hooks.{kind}[0].path") for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")),
    ("hooks.prestart", [{"path": ""}], "must be an absolute path", "hooks.prestart[0].path"), ("hooks.createRuntime", [{"path": "/bin/true", "timeout": 0}], "must be greater than zero", "hooks.createRuntime[0].timeout"),
    ("hooks.createRuntime", [{"path": "/bin/true"}, {"path": "/no/such"}], "no such file or directory", "createRuntime hook #1"), ("hooks.startContainer", [{"path": "/no/such"}], "no such file or directory", "startContainer hook #0"),
    ("hooks.createContainer", [{"path": "/etc/passwd"}], "permission denied", "createContainer hook #0"), ("hooks.prestart", [{"path": "/bin/sleep", "args": ["sleep", "9"], "timeout": 1}], "specified timeout of 1.0s", "prestart hook #0"),
    ("annotations", {"": "x"}, "a key must not be empty"),
    ("linux.uidMappings", ONE, "user namespace isn't enabled"), ("linux.gidMappings", ONE, "user namespace isn't enabled"),
    ("linux.uidMappings", ONE, "no user mapping found", "linux.gidMappings", IN_USER), ("linux.gidMappings", ONE, "no user mapping found", "linux.uidMappings", IN_USER),
    ("linux", {"uidMappings": [{"containerID": 1, "hostID": 1, "size": 1}], "gidMappings": ONE}, "has no container id 0", "linux.uidMappings", IN_USER),
    ("linux", {"uidMappings": ONE, "gidMappings": [*ONE, {"containerID": 9, "hostID": 9, "size": 0}]}, "is no range of ids", "linux.gidMappings[1]", IN_USER),
    ("linux", {"uidMappings": [*ONE, {"containerID": 0, "hostID": 9, "size": 5}], "gidMappings": ONE}, "ids of a range before it", "linux.uidMappings[1]", IN_USER),
    ("linux", {"uidMappings": [{"containerID": i, "hostID": i, "size": 1} for i in range(341)], "gidMappings": ONE}, "takes 340 ranges", "linux.uidMappings", IN_USER),
    ("linux.sysctl", {"": "x"}, "is no name of a sysctl"), ("linux.sysctl", {"vm.swappiness": "1"}, 'sysctl "vm.swappiness" is not in a separate kernel namespace'), ("linux.sysctl", {"kernel.hostname": "x"}, "conflicts with the OCI"),
    ("linux.sysctl", {"net/../kernel/x": "1"}, "is no name of a sysctl"), ("linux.sysctl", {"net.ipv4.none": "1"}, "net.ipv4.none: open /proc/sys/net/ipv4/none"), ("linux.sysctl", {"kernel.msgmax": "much"}, "kernel.msgmax: write"),
    ("linux.sysctl", {"net.ipv4.ip_forward": "1"}, "not allowed in host network namespace", "linux.sysctl", namespaces(without=("network",))), ("linux.sysctl", {"kernel.sem": "1"}, "hosts ipc namespace", "linux.sysctl", namespaces(without=("ipc",))),
    ("linux.cgroupsPath", "/a/../b", 'must not contain ".."'), ("linux.cgroupsPath", "/", "must not be the root"), ("linux.cgroupsPath", "/a\nb", "must be one line"),
    ("linux.namespaces[0]", {"type": "moon"}, "does not exist", "linux.namespaces[0].type"), ("linux.namespaces[0]", {}, "does not exist", "linux.namespaces[0].type"), ("linux.namespaces[0]", {"type": "mount"}, "duplicated ns", "linux.namespaces[4].type"),
    ("linux.namespaces[0]", {"type": "pid", "path": "proc/1/ns/pid"}, "must be an absolute path", "linux.namespaces[0].path"), ("linux.namespaces[0]", {"type": "pid", "path": "/no/such"}, "no such file or directory", "linux.namespaces"),
    ("linux.namespaces[0]", {"type": "pid", "path": "/etc/passwd"}, "is not a pid namespace", "linux.namespaces"), ("linux.namespaces[2]", {"type": "ipc", "path": "/proc/self/ns/net"}, "is not a ipc namespace", "linux.namespaces"),
    ("linux.devices[0]", {**NULL, "path": "dev/x"}, "must be an absolute path", "linux.devices[0].path"), ("linux.devices[0]", {**NULL, "path": "/"}, "is the root itself", "linux.devices[0].path"), ("linux.devices[0]", {**NULL, "type": "x"}, "must be one of c, b, u, p", "linux.devices[0].type"),
    ("linux.devices[0]", {**NULL, "major": -1}, "must be from 0 to 4095", "linux.devices[0].major"), ("linux.devices[0]", {**NULL, "minor": 1 << 20}, "must be from 0 to 1048575", "linux.devices[0].minor"), ("linux.devices[0]", {"path": "/dev/x", "type": "c"}, "has no major and minor", "linux.devices[0].major"),
    ("linux.devices[0]", {**NULL, "fileMode": 1 << 16}, "must be from 0 to 65535", "linux.devices[0].fileMode"), ("linux.devices[0]", {**NULL, "uid": 2**32 - 1}, "is no id", "linux.devices[0].uid"), ("linux.devices[0]", {**NULL, "gid": 2**32 - 1}, "is no id", "linux.devices[0].gid"),
    ("linux.devices", [NULL, {**NULL, "minor": 5}], "exists and is another file", 'error creating device "/dev/x"'), ("linux.devices", [{**NULL, "path": "/etc"}], "exists and is another file", 'error creating device "/etc"'),
    ("linux.netDevices", {"eth9": {}}, "without a private NET namespace", "linux.netDevices", namespaces(without=("network",))), ("linux.netDevices", {"a/b": {}}, "invalid network device name"), ("linux.netDevices", {"eth9": {"name": "sixteen-letters-"}}, "invalid network device name"),
    ("linux.netDevices", {"eth9": {}}, 'network device "eth9": no such device'),
    ("linux.rootfsPropagation", "loud", "is not supported"), ("linux.maskedPaths[0]", "proc", "must be an absolute path"), ("linux.maskedPaths[0]", "/.", "is the root itself"), ("linux.readonlyPaths[0]", "proc", "must be an absolute path"),
    ("linux.intelRdt.closID", "a/b", "invalid intelRdt.ClosID"), ("linux.intelRdt.memBwSchema", "L3:0=1", "must start with MB:"), ("linux.intelRdt.schemata", ["L3:0=f", "a\nb"], "must be one line", "linux.intelRdt.schemata[1]"),
    ("linux.memoryPolicy", {"nodes": "0"}, "invalid memory policy mode", "linux.memoryPolicy.mode"), ("linux.memoryPolicy", {"mode": "MPOL_MOON"}, "invalid memory policy mode", "linux.memoryPolicy.mode"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0", "flags": ["LOUD"]}, "invalid memory policy flag", "linux.memoryPolicy.flags[0]"), ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "x"}, "invalid memory policy nodes", "linux.memoryPolicy.nodes"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND"}, "requires at least one node", "linux.memoryPolicy.nodes"), ("linux.memoryPolicy", {"mode": "MPOL_LOCAL", "nodes": "0"}, "requires 0 nodes", "linux.memoryPolicy.nodes"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "1023"}, "set_mempolicy: invalid argument"), ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}, "set_mempolicy: invalid argument"),
    ("linux.personality", {}, "invalid personality domain", "linux.personality.domain"), ("linux.personality", {"domain": "SOLARIS"}, "invalid personality domain", "linux.personality.domain"), ("linux.personality", {"domain": "LINUX", "flags": ["X"]}, "flags are not supported", "linux.personality.flags"),
    ("linux.timeOffsets", {"boottime": {"secs": 1}}, "time namespace isn't enabled"), ("linux.timeOffsets", {"moon": {"secs": 1}}, 'unknown clock "moon"', "linux.timeOffsets", IN_TIME), ("linux.timeOffsets", {"boottime": {"nanosecs": 10**9}}, "must be below 1000000000", "linux.timeOffsets.boottime.nanosecs", IN_TIME),
    ("linux.timeOffsets", {"boottime": {"secs": -10**12}}, "out of range", "linux.timeOffsets", IN_TIME),
    # System call filters.
    ("linux.seccomp", {}, "is not a valid action", "linux.seccomp.defaultAction"), ("linux.seccomp", {"defaultAction": "SCMP_ACT_MOON"}, "string SCMP_ACT_MOON is not a valid action", "linux.seccomp.defaultAction"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}, "cannot be used as default action", "linux.seccomp.defaultAction"),
    ("linux.seccomp", {**ALLOW, "defaultErrnoRet": 1}, "is not for seccomp action", "linux.seccomp.defaultErrnoRet"), ("linux.seccomp", {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}, "is too large", "linux.seccomp.defaultErrnoRet"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 0}, '"execve" would only seem to be done'),
    ("linux.seccomp", {**ALLOW, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_Z80"]}, "is not a valid arch", "linux.seccomp.architectures[1]"), ("linux.seccomp", {**ALLOW, "flags": ["LOUD"]}, "is not a valid flag", "linux.seccomp.flags[0]"),
    ("linux.seccomp", {**ALLOW, "listenerMetadata": "x"}, "listenerPath is not", "linux.seccomp.listenerMetadata"), ("linux.seccomp", rule(action="SCMP_ACT_NOTIFY"), "listenerPath is not set", "linux.seccomp.listenerPath"),
    ("linux.seccomp", {**rule(action="SCMP_ACT_NOTIFY"), "listenerPath": "/no/such"}, "no such file or directory", "linux.seccomp.listenerPath"), ("linux.seccomp", {**rule(action="SCMP_ACT_NOTIFY", names=["write"]), "listenerPath": "/x"}, "cannot be used for the write syscall", "linux.seccomp.syscalls[0].names"),
    ("linux.seccomp", rule(names=[]), "must contain at least one entry", "linux.seccomp.syscalls[0].names"), ("linux.seccomp", rule(names=["mkdir", "moon"]), 'unknown system call "moon"', "linux.seccomp.syscalls[0].names[1]"),
    ("linux.seccomp", rule(action="SCMP_ACT_MOON"), "is not a valid action", "linux.seccomp.syscalls[0].action"), ("linux.seccomp", rule(errnoRet=4096), "is too large", "linux.seccomp.syscalls[0].errnoRet"), ("linux.seccomp", rule(action="SCMP_ACT_LOG", errnoRet=1), "is not for seccomp action", "linux.seccomp.syscalls[0].errnoRet"),
    ("linux.seccomp", rule(args=[{"index": 0, "value": 1, "op": "=="}]), "is not a valid operator", "linux.seccomp.syscalls[0].args[0].op"), ("linux.seccomp", rule(args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]), "is too large", "linux.seccomp.syscalls[0].args[0].index"),
    # Limits: what the document alone cannot mean, and what the kernel does not take.
    *(("linux.resources.devices[0]", {"allow": True, **wrong}, says, f"linux.resources.devices[0].{which}") for which, wrong, says in (
        ("type", {"type": "x"}, "must be one of a, b, c"), ("type", {"type": "p"}, "must be one of a, b, c"), ("access", {"type": "c", "access": "rx"}, "must be of r, w, m"), ("major", {"type": "c", "major": -2}, "must be from -1 to 4095"),
        ("major", {"type": "c", "major": 4096}, "must be from -1 to 4095"), ("minor", {"type": "c", "minor": 1 << 20}, "must be from -1 to 1048575"))),
    *((f"linux.resources.memory.{which}", -7, "must be -1 for no limit, or a number of bytes") for which in ("limit", "reservation", "swap", "kernelTCP")),
    ("linux.resources.memory", {"limit": 2 << 20, "swap": 1 << 20}, "must be >= memory limit", "linux.resources.memory.swap"), ("linux.resources.memory", {"swap": 1 << 30}, "invalid argument" if V1 else "without memory limit", "linux.resources.memory.swap"),
    ("linux.resources.memory", {"limit": 4096}, "memory limit too low?", "container init was OOM-killed"), ("linux.resources.memory.swappiness", 300, "invalid argument" if V1 else "has no such limit"), ("linux.resources.memory.useHierarchy", False, "invalid argument" if V1 else "has no such limit"),
    *([("linux.resources.cpu.shares", 1, "minimum allowed cpu-shares is 2"), ("linux.resources.cpu.shares", 262145, "maximum allowed cpu-shares is 262144")] if V1 else []),
    ("linux.resources.cpu.quota", 5, "invalid argument"), ("linux.resources.cpu.period", 5, "invalid argument", "linux.resources.cpu.period" if V1 else "linux.resources.cpu.quota"), ("linux.resources.cpu.idle", 2, "invalid argument" if V1 else "numerical result out of range"),
    ("linux.resources.cpu", {"quota": 50000, "burst": 60000}, "invalid argument", "linux.resources.cpu.quota" if V1 else "linux.resources.cpu.burst"), ("linux.resources.cpu.cpus", "x", "invalid argument"), ("linux.resources.cpu.cpus", "0-99999", "numerical result out of range"), ("linux.resources.cpu.mems", "99", "invalid argument"),
    ("linux.resources.pids.limit", -7, "must be -1 for no limit"),
    ("linux.resources.blockIO.weight", 5, "must be from 10 to 1000"), ("linux.resources.blockIO.leafWeight", 1001, "must be from 10 to 1000"), ("linux.resources.blockIO.weightDevice", [{"major": 8, "minor": 0}], "neither weight nor leafWeight", "linux.resources.blockIO.weightDevice[0]"),
    ("linux.resources.blockIO.weightDevice", [{"major": 8, "minor": 0, "weight": 5}], "must be from 10 to 1000", "linux.resources.blockIO.weightDevice[0].weight"), ("linux.resources.blockIO.weightDevice", [{"major": 8, "minor": 0, "leafWeight": 5}], "must be from 10 to 1000", "linux.resources.blockIO.weightDevice[0].leafWeight"),
    *((f"linux.resources.blockIO.throttle{which}Device", [{"major": 250, "minor": 77, "rate": 1}], "no such device") for which in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")),
    ("linux.resources.hugepageLimits", [{"pageSize": "2M", "limit": 1}], "must be a number and KB, MB or GB", "linux.resources.hugepageLimits[0].pageSize"), ("linux.resources.hugepageLimits", [{"pageSize": "", "limit": 1}], "must be a number and KB, MB or GB", "linux.resources.hugepageLimits[0].pageSize"),
    ("linux.resources.rdma", {"mlx5_1": {}}, "neither hcaHandles nor hcaObjects", "linux.resources.rdma.mlx5_1"),
    ("linux.resources.unified", {"a/b": "1"}, '"a/b" must be the name of a file'), ("linux.resources.unified", {"memory": "1"}, "must be in the form CONTROLLER.PARAMETER"), ("linux.resources.unified", {"memory.moon": "1"}, "cannot use unified on cgroup v1" if V1 else "has no file"),
]
# What this machine has not, or has: then the value may be right.
if not os.path.isdir("/sys/kernel/security/apparmor"):
    ROWS.append(("process.apparmorProfile", "moon", "apparmor not supported"))
if not os.path.isdir("/sys/fs/selinux"):
    ROWS += [("process.selinuxLabel", "moon", "selinux is disabled or not supported"), ("linux.mountLabel", "moon", "selinux is disabled or not supported")]
if "resctrl" not in pathlib.Path("/proc/mounts").read_text():
    ROWS.append(("linux.intelRdt", {"closID": "moon"}, "no resctrl file system is mounted"))


def of_another_type(kind):
    return {"std::string": 7, "bool": "yes"}.get(kind, "seven" if kind in LIMITS or kind in TABLES or kind.startswith("std::vector<") else [])


@needs_root
class Mistakes(RuntimeCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        make_busybox_root(self.dir / "rootfs")
        self.count = 0

    def check(self, place, value, says, named=None, also=None):
        with self.subTest(place, value=value):
            config = json.loads(default_config())
            config["root"]["path"] = str(self.dir / "rootfs")
            config["process"].update(terminal=False, args=["true"])
            config["linux"].pop("resources", None)
            if isinstance(value, dict) and place == "linux":
                config["linux"].update(value)
            else:
                put(config, place, value)
            if also:
                also(config)
            self.count += 1
            name, bundle = f"wrong-{os.getpid()}-{self.count}", self.dir / f"b{self.count}"
            bundle.mkdir()
            (bundle / "config.json").write_text(json.dumps(config))
            result = self.runtime("run", "-b", bundle, name, check=False, timeout=30)
            self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            said = result.stderr.replace("\\\\", "\\").replace('\\"', '"')
            self.assertIn(named or place, said)
            self.assertIn(says, said)
            self.assertEqual(os.listdir(self.state) if self.state.exists() else [], [])
            self.assertEqual(glob.glob(f"/sys/fs/cgroup/**/{name}", recursive=True), [])

    def test_a_value_of_another_type(self):
        rows = list(properties())
        self.assertGreater(len(rows), 200)
        for place, kind in rows:
            self.check(place, of_another_type(kind), "must be ", f"{place}: ")

    def test_a_number_that_does_not_fit(self):
        rows = [(place, LIMITS[kind]) for place, kind in properties() if LIMITS.get(kind)]
        self.assertGreater(len(rows), 70)
        for place, (least, most) in rows:
            self.check(place, most + 1, "is out of range: ", f"{place}: ")
            self.check(place, least - 1, f", must be from {least} to {most}", f"{place}: ")
            self.check(place, 1.5, "must be a whole number, but is 1.5", f"{place}: ")

    def test_a_value_that_cannot_be(self):
        self.assertGreater(len(ROWS), 160)
        for row in ROWS:
            self.check(*row)

    def test_a_text_that_ends_before_its_end(self):
        for place in ("hostname", "process.args[0]", "root.path", "mounts[0].destination", "linux.devices[0].path", "linux.sysctl.kernel.msgmax"):
            self.check(place, "a\0b", "contains a NUL byte", f"{place}: ")


if __name__ == "__main__":
    unittest.main()
