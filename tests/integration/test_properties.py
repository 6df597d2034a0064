"""Nothing that a bundle asks for is dropped in silence: each property has a probe inside the container that must show it.

A table has what a property is set to, and what the container then sees. It is walked singly, and so that every two
properties which can stand together once did; the options of a mount are walked so, too, against what their words mean.
What cannot be applied is an error, or at least a line in the log, that names it.
"""
import itertools
import json
import os
import pathlib
import random
import unittest

from keg import RuntimeCase, default_config, make_busybox_root, needs_root, run

MACHINE = os.uname().machine


class Property:
    """`edit` changes a config; `probe` is a shell's words, and their output must be `shows`. Two with one `place` are not
    set together, nor one with a place that is among the `spoils` of the other."""

    def __init__(self, name, place, edit, probe, shows, spoils=()):
        self.name, self.place, self.edit, self.probe, self.shows, self.spoils = name, place, edit, probe, shows, set(spoils)

    def fits(self, other):
        return self.place != other.place and self.place not in other.spoils and other.place not in self.spoils


def process(**members):
    return lambda config: config["process"].update(members)


def linux(**members):
    return lambda config: config["linux"].update(members)


def top(**members):
    return lambda config: config.update(members)


def sysctl(key, value):
    return lambda config: config["linux"].setdefault("sysctl", {}).__setitem__(key, value)


def append(where, *entries):
    def edit(config):
        owner = config if where == "mounts" else config["linux"]
        owner.setdefault(where, []).extend(entries)
    return edit


def rlimit(kind, soft, hard):
    def edit(config):
        limits = config["process"].setdefault("rlimits", [])
        limits[:] = [limit for limit in limits if limit["type"] != kind] + [{"type": kind, "soft": soft, "hard": hard}]
    return edit


def namespace(kind, **more):
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != kind] + [{"type": kind}]
        config["linux"].update(more)
    return edit


def resources(**members):
    return lambda config: config["linux"].setdefault("resources", {}).update(members)


def capabilities(**sets):
    return lambda config: config["process"].update(capabilities=sets)


def mount(destination, options, kind="tmpfs", source="tmpfs"):
    return append("mounts", {"destination": destination, "type": kind, "source": str(source), "options": list(options)})


def file_of_group(v1, v2):
    """A limit, as the container sees it in its own cgroup."""
    return f"cat /sys/fs/cgroup/{v1} /sys/fs/cgroup/{v2} 2>/dev/null"


def status(field):
    return f"grep ^{field}: /proc/self/status"


V1 = pathlib.Path("/sys/fs/cgroup/memory").is_dir()
WHOLE = [{"containerID": 0, "hostID": 0, "size": 65536}]
CAPABLE = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"]
# A filter beside everything: it refuses what is done to set a container up, and the program sees that it does.
SET_UP = ["mount", "umount2", "sethostname", "setdomainname", "unshare", "setns", "pivot_root", "chroot", "mknod", "mknodat", "ioprio_set",
          "sched_setattr", "set_mempolicy", "personality", "setrlimit", "move_mount", "open_tree", "fsopen", "mount_setattr", "keyctl"]
FILTER = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": SET_UP, "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}

TABLE = [
    Property("hostname", "hostname", top(hostname="props"), "hostname", "props"),
    Property("domainname", "domainname", top(domainname="props.example"), "cat /proc/sys/kernel/domainname", "props.example"),
    Property("env", "env", lambda c: c["process"]["env"].append("PROPS=a b=c"), 'echo "$PROPS"', "a b=c"),
    Property("cwd", "cwd", process(cwd="/usr/bin"), "pwd", "/usr/bin"),
    Property("umask", "umask", lambda c: c["process"]["user"].update(umask=0o27), "umask", "0027"),
    Property("additional groups", "groups", lambda c: c["process"]["user"].update(additionalGids=[7, 50]), status("Groups"), "Groups:\t7 50 "),
    Property("no new privileges", "nnp", process(noNewPrivileges=True), status("NoNewPrivs"), "NoNewPrivs:\t1"),
    Property("new privileges", "nnp", process(noNewPrivileges=False), status("NoNewPrivs"), "NoNewPrivs:\t0"),
    Property("bounding set", "capabilities", capabilities(bounding=CAPABLE), status("CapBnd"), "CapBnd:\t00000000000000a1"),
    Property("effective set", "capabilities", capabilities(bounding=CAPABLE, effective=CAPABLE, permitted=CAPABLE), status("CapEff"),
             "CapEff:\t00000000000000a1"),
    Property("ambient set", "capabilities", capabilities(**{s: CAPABLE for s in ("bounding", "effective", "permitted", "inheritable", "ambient")}),
             status("CapAmb"), "CapAmb:\t00000000000000a1"),
    Property("oom score", "oom", process(oomScoreAdj=345), "cat /proc/self/oom_score_adj", "345"),
    Property("open files", "nofile", rlimit("RLIMIT_NOFILE", 70, 90), "ulimit -Sn; ulimit -Hn", "70\n90"),
    Property("core size", "core", rlimit("RLIMIT_CORE", 0, 4096), "ulimit -Sc; ulimit -Hc", "0\n8"),
    Property("queued signals", "sigpending", rlimit("RLIMIT_SIGPENDING", 77, 88), "grep '^Max pending' /proc/self/limits | tr -s ' '",
             "Max pending signals 77 88 signals "),
    Property("scheduler", "scheduler", process(scheduler={"policy": "SCHED_BATCH", "nice": 3}), "cut -d' ' -f19,41 /proc/self/stat", "3 3"),
    Property("idle scheduler", "scheduler", process(scheduler={"policy": "SCHED_IDLE"}), "cut -d' ' -f41 /proc/self/stat", "5"),
    Property("i/o priority", "ioprio", process(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 6}), "ionice -p $$", "best-effort: prio 6"),
    Property("personality", "personality", linux(personality={"domain": "LINUX32"}), "uname -m", {"x86_64": "i686", "aarch64": "armv8l"}.get(MACHINE)),
    Property("memory policy", "mempolicy", linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0"}), "grep -om1 bind:0 /proc/self/numa_maps", "bind:0"),
    Property("sysctl of the network", "sysctl.net", sysctl("net.ipv4.ip_forward", "1"), "cat /proc/sys/net/ipv4/ip_forward", "1"),
    Property("sysctl of ipc", "sysctl.ipc", sysctl("kernel.msgmax", "4321"), "cat /proc/sys/kernel/msgmax", "4321"),
    Property("masked file", "masked", append("maskedPaths", "/etc/passwd"), "wc -c < /etc/passwd", "0"),
    Property("masked directory", "masked.directory", append("maskedPaths", "/root"), "ls -A /root | wc -l; touch /root/x 2>/dev/null || echo closed", "0\nclosed"),
    Property("read-only path", "readonly", append("readonlyPaths", "/usr"), "touch /usr/x 2>/dev/null || echo closed", "closed"),
    Property("read-only root", "root", lambda c: c["root"].update(readonly=True), "touch /x 2>/dev/null || echo closed", "closed"),
    Property("device", "devices", append("devices", {"path": "/dev/props", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4}),
             "stat -c '%t:%T %a %u %g' /dev/props", "1:5 640 3 4", spoils={"user"}),
    Property("tmpfs", "mount.tmpfs", mount("/tmp/in", ["size=64k", "mode=711", "nosuid"]), "stat -c %a /tmp/in; df -k /tmp/in | tail -1 | tr -s ' ' | cut -d' ' -f2", "711\n64"),
    Property("tmpfs with more", "mount.more", mount("/tmp/more", ["size=64k", "sync", "rnoexec", "private"]),
             "grep ' /tmp/more ' /proc/self/mountinfo | grep -o noexec; grep ' /tmp/more ' /proc/self/mountinfo | grep -o sync", "noexec\nsync"),
    Property("bind", "mount.bind", mount("/tmp/bound", ["rbind", "ro", "nodev"], "bind", "/etc"), "grep ' /tmp/bound ' /proc/self/mountinfo | cut -d' ' -f6 | cut -d, -f1,2", "ro,nodev"),
    Property("shared root", "propagation", linux(rootfsPropagation="shared"), "grep -c ' / [^ ]* shared:' /proc/self/mountinfo", "1"),
    Property("root of its own", "propagation", linux(rootfsPropagation=""), "grep -c ' / [^ ]* shared:\\| / [^ ]* master:' /proc/self/mountinfo", "0"),
    Property("time namespace", "time", namespace("time", timeOffsets={"boottime": {"secs": 5000000}}), "cut -c-22 /proc/self/timens_offsets | tail -1 | tr -s ' '", "boottime 5000000 "),
    Property("cgroup namespace", "cgroup", namespace("cgroup"), "grep -vc ':/$' /proc/self/cgroup", "0"),
    Property("user namespace", "user", namespace("user", uidMappings=WHOLE, gidMappings=WHOLE), "tr -s ' ' < /proc/self/uid_map", " 0 0 65536", spoils={"devices"}),
    Property("tasks", "pids", resources(pids={"limit": 321}), file_of_group("pids/pids.max", "pids.max"), "321"),
    Property("memory", "memory", resources(memory={"limit": 96 << 20}), file_of_group("memory/memory.limit_in_bytes", "memory.max"), str(96 << 20)),
    Property("cpu quota", "cpu", resources(cpu={"quota": 50000, "period": 100000}),
             file_of_group("cpu/cpu.cfs_quota_us", "cpu.max"), "50000" if V1 else "50000 100000"),
    Property("filter", "seccomp", linux(seccomp=FILTER), "unshare -m true 2>&1 | grep -o 'No space.*'; mount -t tmpfs x /tmp 2>&1 | grep -o 'No space.*'",
             "No space left on device\nNo space left on device"),
]


class PropertyCase(RuntimeCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        make_busybox_root(self.dir / "rootfs")
        (self.dir / "rootfs/root/secret").write_text("")
        self.count = 0

    def config(self, *edits):
        config = json.loads(default_config())
        config["root"] = {"path": str(self.dir / "rootfs"), "readonly": False}
        config["process"]["terminal"] = False
        for name in ("maskedPaths", "readonlyPaths"):
            config["linux"].pop(name, None)
        for edit in edits:
            edit(config)
        return config

    def start(self, script, *edits):
        """Runs the script in a container of its own; gives the finished runtime."""
        self.count += 1
        bundle = self.dir / f"b{self.count}"
        bundle.mkdir()
        config = self.config(*edits)
        config["process"]["args"] = ["sh", "-c", script]
        (bundle / "config.json").write_text(json.dumps(config))
        return self.runtime("run", "-b", bundle, f"props-{os.getpid()}-{self.count}", check=False)


@needs_root
class Table(PropertyCase):
    def check(self, *properties):
        """One container with all of them shows each."""
        names = " + ".join(p.name for p in properties)
        result = self.start("".join(f"({p.probe}); echo @@;" for p in properties), *(p.edit for p in properties))
        self.assertEqual(result.returncode, 0, f"{names}: {result.stderr}")
        shown = result.stdout.split("@@\n")
        for one, got in zip(properties, shown):
            self.assertEqual(got.removesuffix("\n"), one.shows, f"{one.name} in {names}")

    def test_each_alone(self):
        for one in TABLE:
            with self.subTest(one.name):
                self.check(one)

    def test_every_two_together(self):
        """In groups, of which there are as many as it takes for each pair to have been in one."""
        dice = random.Random(20)
        pending = {frozenset(pair) for pair in itertools.combinations(TABLE, 2) if pair[0].fits(pair[1])}
        while pending:
            group = sorted(dice.choice(sorted(pending, key=lambda pair: sorted(p.name for p in pair))), key=lambda p: p.name)
            for one in dice.sample(TABLE, len(TABLE)):
                if len(group) < 14 and all(one.fits(other) for other in group):
                    group.append(one)
            self.check(*group)
            pending -= {frozenset(pair) for pair in itertools.combinations(group, 2)}


# What a word of a mount's options does, to the mount and to its file system.
TIMES = {"noatime", "relatime"}
FLAGS = {"ro": "rw", "nosuid": "suid", "nodev": "dev", "noexec": "exec", "nodiratime": "diratime", "nosymfollow": "symfollow"}
WHOLE_FLAGS = {"sync": "async", "dirsync": None, "lazytime": "nolazytime", "mand": "nomand"}
PROPAGATION = ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"]
WORDS = [*FLAGS, *FLAGS.values(), *WHOLE_FLAGS, *filter(None, WHOLE_FLAGS.values()), *PROPAGATION, "noatime", "atime", "relatime", "strictatime",
         "rnoatime", "rrelatime", "rstrictatime", "rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec", "rnodiratime", "rdiratime",
         "rnosymfollow", "rsymfollow", "tmpcopyup", "silent", "loud", "defaults", "size=64k", "mode=711"]


def expected(words):
    """The options of the mount, those of the file system, and the propagation, for a new tmpfs."""
    flags, whole, time, propagation = set(), set(), "relatime", ""
    for word in words:
        for flag, opposite in FLAGS.items():
            flags = flags | {flag} if word == flag else flags - {flag} if word == opposite else flags
        for flag, opposite in WHOLE_FLAGS.items():
            whole = whole | {flag} if word == flag else whole - {flag} if word == opposite else whole
        if word in ("noatime", "relatime", "strictatime"):
            time = word
        elif word == "atime" and time == "noatime":
            time = "relatime"
        if word.removeprefix("r") in ("private", "slave", "shared", "unbindable"):
            propagation = word.removeprefix("r") if word.removeprefix("r") in ("shared", "unbindable") else ""
        if "=" in word:
            whole |= {word}
    for word in words:   # what is for a whole tree counts more
        for flag, opposite in FLAGS.items():
            flags = flags | {flag} if word == "r" + flag else flags - {flag} if word == "r" + opposite else flags
        if word in ("rnoatime", "rrelatime", "rstrictatime"):
            time = word[1:]
    return flags, time, whole, propagation


def pairs_of(words, seed):
    """Every two, in an order by chance. (What a slave is that may not be bound is not the same in each kernel.)"""
    dice = random.Random(seed)
    pairs = [dice.sample(pair, 2) for pair in itertools.combinations(words, 2)]
    return [pair for pair in pairs if {word.removeprefix("r") for word in pair} != {"slave", "unbindable"}]


@needs_root
class MountOptions(PropertyCase):
    def shown(self, mounts):
        """What the kernel says of each: {source: (options of the mount, of the file system, propagation)}."""
        def edit(config):
            for at, options, kind, source in mounts:
                mount(at, options, kind, source)(config)
        result = self.start("cat /proc/self/mountinfo", edit)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = {}
        for line in result.stdout.splitlines():
            fields = line.split(" ")
            dash = fields.index("-")
            rows[fields[4]] = set(fields[5].split(",")), set(fields[dash + 3].split(",")), fields[6:dash]
        return rows

    def check(self, name, words, row):
        mounted, whole, tags = row
        flags, time, super_flags, propagation = expected(words)
        self.assertEqual(mounted & set(FLAGS), flags, name)
        self.assertEqual(mounted & TIMES, {time} & TIMES, name)
        self.assertEqual(super_flags - whole, set(), name)
        self.assertEqual(whole & set(WHOLE_FLAGS), super_flags & set(WHOLE_FLAGS), name)
        self.assertEqual([tag.split(":")[0] for tag in tags], [propagation] if propagation else [], name)

    def test_each_option_beside_every_other(self):
        pairs = pairs_of(WORDS, 21)
        for start in range(0, len(pairs), 500):
            batch = {f"/tmp/{i}": words for i, words in enumerate(pairs[start:start + 500])}
            rows = self.shown([(at, words, "tmpfs", "tmpfs") for at, words in batch.items()])
            for at, words in batch.items():
                self.check("+".join(words), words, rows[at])

    def test_each_option_of_a_bind_beside_every_other(self):
        source = self.dir / "source"
        source.mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", source)
        self.addCleanup(run, "umount", source)
        words = [w for w in WORDS if w not in WHOLE_FLAGS and w not in WHOLE_FLAGS.values() and "=" not in w and w != "tmpcopyup"]
        pairs = pairs_of(words, 22)
        for start in range(0, len(pairs), 500):
            batch = {f"/tmp/{i}": options for i, options in enumerate(pairs[start:start + 500])}
            rows = self.shown([(at, ["bind", *options], "bind", source) for at, options in batch.items()])
            for at, options in batch.items():
                self.check("+".join(options), options, rows[at])

    def test_what_a_mount_cannot_have_is_named(self):
        for words, says in ((["bogus=1"], "bogus=1"), (["size=huge"], "size=huge"), (["mode=711", "bogus"], "bogus"), (["sync", "bogus"], "bogus"),
                            (["iversion", "rprivate"], "iversion"), (["tmpcopyup", "remount"], "tmpcopyup")):
            result = self.start("true", mount("/tmp/m", words))
            self.assertEqual(result.returncode, 1, words)
            self.assertIn(f'"{says}"' if says != "tmpcopyup" else says, result.stderr.replace('\\"', '"'), words)

    def test_what_has_no_effect_on_a_bind_is_said(self):
        result = self.start("echo ran", mount("/tmp/m", ["bind", "sync", "size=1k"], "bind", "/etc"))
        self.assertEqual(result.stdout, "ran\n")
        self.assertIn("sync,size=1k", result.stderr)
        self.assertIn("/tmp/m", result.stderr)

    def test_a_file_system_that_is_mounted_already_does_not_become_synchronous(self):
        # The queues of an ipc namespace are one file system: what was mounted first decides.
        twice = [mount("/tmp/first", [], "mqueue", "mqueue"), mount("/tmp/second", ["sync"], "mqueue", "mqueue")]
        result = self.start("grep sync /proc/self/mountinfo", *twice)
        self.assertEqual(result.returncode, 1)
        self.assertIn('option "sync" has no effect', result.stderr.replace('\\"', '"'))

    def test_a_remount_keeps_what_else_it_is_told(self):
        rows = self.shown([("/tmp/m", [], "tmpfs", "tmpfs"), ("/tmp/m", ["remount", "nosuid", "rnoexec", "shared", "sync"], "tmpfs", "tmpfs")])
        self.check("remount", ["nosuid", "rnoexec", "shared", "sync"], rows["/tmp/m"])


@needs_root
class Unknown(PropertyCase):
    """A value that cannot be is an error: test_mistakes.py."""

    def test_a_capability_that_nobody_knows_is_a_warning(self):
        result = self.start("echo ran", capabilities(bounding=["CAP_KILL", "CAP_BOGUS"]))
        self.assertEqual(result.stdout, "ran\n")
        self.assertIn("CAP_BOGUS", result.stderr)


if __name__ == "__main__":
    unittest.main()
