"""The bench a case works at: a bundle of its own, the runtime, and what is needed to look at the result.

A case uses the OCI command line and nothing else, so that any runtime can be judged. What can be seen
from inside the container is asked there, of a static busybox; what cannot is read from /proc and the
cgroup files outside. A container's stdio are files, not pipes: a pipe ends only when the container does.
"""
import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

# Seconds: longer than any machine needs for what a case awaits, however slow and busy it is.
TIMEOUT = 120
MB = 1 << 20


class Failed(Exception):
    """The runtime broke the rule of the case."""


class Skipped(Exception):
    """The machine cannot show it."""


def wait_until(condition, what):
    """The condition's value, as soon as it is true."""
    end = time.monotonic() + TIMEOUT
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"waited in vain for {what}")
        time.sleep(0.02)
    return value


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out + self.err


CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_NET_BIND_SERVICE",
                "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT", "CAP_MKNOD"]

CONFIG = {
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": ["PATH=/bin:/usr/bin"],
        "cwd": "/",
        "capabilities": {name: CAPABILITIES for name in ("bounding", "effective", "permitted")},
    },
    "root": {"path": "rootfs"},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    ],
    "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
}


def namespaces(*add, without=()):
    """The usual namespaces and others: "user", or ("network", path)."""
    kinds = [n["type"] for n in CONFIG["linux"]["namespaces"] if n["type"] not in without]
    rows = {kind: {"type": kind} for kind in kinds}
    for entry in add:
        kind, path = (entry, None) if isinstance(entry, str) else entry
        rows[kind] = {"type": kind, **({"path": path} if path else {})}
    return list(rows.values())


USERS = {"linux.namespaces": namespaces("user"),
         "linux.uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
         "linux.gidMappings": [{"containerID": 0, "hostID": 200000, "size": 65536}]}


def patched(patch):
    """CONFIG with members set by their dotted path; "mounts+" appends, None removes."""
    config = copy.deepcopy(CONFIG)
    for path, value in patch.items():
        *parents, last = path.rstrip("+").split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last, None)
        elif path.endswith("+"):
            place.setdefault(last, []).extend(value)
        else:
            place[last] = value
    return config


def make_template(directory):
    """The root file system that every bundle gets a copy of."""
    root = pathlib.Path(directory)
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "root", "usr/bin", "mnt"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            os.symlink("busybox", root / "bin" / applet)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nuser:x:1000:\n")


class Bench:
    def __init__(self, runtime, directory, template):
        self.runtime, self.dir, self.template = runtime, directory, template
        self.root = directory / "state"
        self.id = directory.name
        self.rootfs = directory / "rootfs"

    def cleanup(self):
        for name in os.listdir(self.root) if self.root.is_dir() else ():
            self.rt("delete", "--force", name, check=False)
        mounts = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
        for target in reversed([m for m in mounts if m.startswith(f"{self.dir}/")]):
            subprocess.run(["umount", "-l", target], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- the bundle

    def bundle(self, *args, **patch):
        """Writes config.json; args are the process's, a patch's dots are written __ (or give a dict as `patch`)."""
        patch = {**patch.pop("patch", {}), **{k.replace("__", "."): v for k, v in patch.items()}}
        if not self.rootfs.exists():
            subprocess.run(["cp", "-al", self.template, self.rootfs], check=True)
        config = patched(patch)
        if args and "process.args" not in patch:
            config["process"]["args"] = list(args)
        (self.dir / "config.json").write_text(json.dumps(config))
        return self

    def write(self, inside, text, mode=0o644):
        """A file of this bundle only: those of the template are shared by hard links."""
        path = self.rootfs / inside.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(mode)

    # --- the runtime

    def rt(self, *words, check=True, input=None, env=None, globals=(), **options):
        out, err = self.dir / "out", self.dir / "err"
        with open(out, "w+") as stdout, open(err, "w+") as stderr:
            given = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
            try:
                code = subprocess.run([self.runtime, "--root", str(self.root), *globals, *map(str, words)], text=True, cwd=self.dir,
                                      stdout=stdout, stderr=stderr, timeout=TIMEOUT, check=False,
                                      env=None if env is None else {"PATH": os.environ["PATH"], **env}, **given, **options).returncode
            except subprocess.TimeoutExpired:
                raise Failed(f"{words[0]} did not end in {TIMEOUT} s") from None
        done = Done(code, out.read_text(errors="replace"), err.read_text(errors="replace"))
        if check and done.code != 0:
            raise Failed(f"{words[0]}: exit {done.code}: {done.text.strip()[-300:]}")
        return done

    def run(self, *args, check=True, **patch):
        """`run` in the foreground."""
        self.bundle(*args, **patch)
        return self.rt("run", self.id, check=check)

    def sh(self, script, **patch):
        return self.run("sh", "-c", script, **patch).out.strip()

    def create(self, *args, options=(), **patch):
        self.bundle(*args, **patch)
        return self.rt("create", *options, self.id)

    def start(self, *args, **patch):
        """A container that runs until it is killed, if nothing else is said."""
        self.create(*(args or ("sleep", "1000")), **patch)
        self.rt("start", self.id)
        return self.state()

    def exec(self, *words, options=(), check=True):
        return self.rt("exec", *options, self.id, *words, check=check)

    def state(self, id=None):
        try:
            return json.loads(self.rt("state", id or self.id).out)
        except json.JSONDecodeError as error:
            raise Failed(f"state is no JSON: {error}") from None

    def wait_for(self, status, id=None):
        """Gives the state that has it."""
        return wait_until(lambda: (state := self.state(id))["status"] == status and state, f"a container that is {status}")

    def wait_for_file(self, inside):
        """What the container's program makes, when it is so far."""
        wait_until((self.rootfs / inside.lstrip("/")).exists, f"the container's {inside}")

    def kill(self, signal="KILL"):
        self.rt("kill", self.id, signal)
        return self.wait_for("stopped")

    # --- what a case says

    def equal(self, got, wanted, what=""):
        if got != wanted:
            raise Failed(f"{what + ': ' if what else ''}{got!r} instead of {wanted!r}")

    def true(self, holds, what):
        if not holds:
            raise Failed(what)

    def matches(self, text, pattern):
        if not re.search(pattern, text):
            raise Failed(f"{text.strip()[-300:]!r} does not match {pattern!r}")

    def refused(self, *args, says="", verb="create", **patch):
        """Must be an error, at create or at the latest at start; nothing may stay."""
        self.bundle(*args, **patch)
        done = self.rt(verb, self.id, check=False)
        if done.code == 0 and verb == "create":
            done = self.rt("start", self.id, check=False)
            if done.code == 0:
                raise Failed("was accepted")
            return done
        if done.code == 0:
            raise Failed("was accepted")
        self.matches(done.err, re.escape(says))
        self.true(self.rt("state", self.id, check=False).code != 0, "the refused container has a state")
        return done

    def skip_unless(self, holds, reason):
        if not holds:
            raise Skipped(reason)


# --- the list of cases

CASES = []


def case(rule, needs=None):
    """A case is a function of a bench; its name is its module's and its own. `needs` is (holds, reason)."""
    def register(function):
        name = f"{function.__module__}/{function.__name__}"
        CASES.append((name, rule, function, needs))
        return function
    return register


def rows(module, table, check):
    """A case for each row (name, rule, …): check(bench, …) gets the rest of the row."""
    for name, rule, *rest in table:
        CASES.append((f"{module}/{name}", rule, lambda bench, rest=rest: check(bench, *rest), None))
