"""The table of a start (docs/security.md): who holds what of the host, who may look into whom, and with whom each
ends, at every step between the command and the container's program.

The command and all that it makes are stopped at the entry of each of their system calls, and looked at through
/proc; what /proc does not tell (dumpable, the signal for the creator's death) a stopped process is made to ask
itself. A rule holds at every stop, but for the few that its own steps need: those are named where it is tested.
"""
import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import platform
import select
import shutil
import signal
import struct
import subprocess
import unittest

from hostile import Hostile, libc, with_python
from keg import PATIENCE, RUNTIME, needs_root, run, wait_until
from test_checkpoint import needs_criu

libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE_TRACEME, PTRACE_PEEKDATA, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH, PTRACE_SYSCALL = 0, 2, 12, 13, 17, 24
PTRACE_SETOPTIONS, PTRACE_GETEVENTMSG, PTRACE_GET_SYSCALL_INFO = 0x4200, 0x4201, 0x420e
GOOD, FORK, VFORK, CLONE, EXEC, EXITKILL = 1, 2, 4, 8, 16, 1 << 20
EVENTS_OF_BIRTH, EVENT_EXEC = (1, 2, 3), 4
PR_GET_PDEATHSIG, PR_GET_DUMPABLE = 2, 3
WALL = 0x40000000
SYS_ADD_KEY, SYS_KEYCTL = 248, 250
CAP_SYS_ADMIN = 1 << 21

# x86_64; only those whose name a test needs.
CALLS = {0: "read", 1: "write", 7: "poll", 33: "dup2", 56: "clone", 57: "fork", 59: "execve", 80: "chdir", 105: "setuid", 112: "setsid",
         117: "setresuid", 119: "setresgid", 126: "capset", 155: "pivot_root", 165: "mount", 157: "prctl", 161: "chroot", 231: "exit_group",
         272: "unshare", 308: "setns", 317: "seccomp", 322: "execveat", 435: "clone3", 250: "keyctl", 436: "close_range"}
KINDS = ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user")

only_x86 = unittest.skipUnless(platform.machine() == "x86_64", "knows the registers of x86_64 only")


@dataclasses.dataclass
class Stop:
    """One process at the entry of a system call."""
    role: str        # whose child it is: "" for the command, "1" for its first, "1.1" for the first one's first
    pid: int
    call: str
    args: tuple
    hidden: bool     # not dumpable
    death: int       # the signal for its creator's death
    files: dict      # what is open, by number
    places: dict     # what they are, as numbers of a device and a file
    kept: dict       # those of them that an execve leaves open
    spaces: dict     # inodes of its namespaces
    root: tuple
    uid: int
    effective: int
    words: bytes     # its command line and environment, as /proc shows them

    def __str__(self):
        return f"{self.role or 'the command'} at {self.call}: hidden={self.hidden} death={self.death} files={self.files} uid={self.uid}"


class Registers:
    """What PTRACE_GETREGS gives, as numbers."""
    NAMES = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs".split()

    def __init__(self, pid):
        raw = ctypes.create_string_buffer(8 * len(self.NAMES))
        libc.ptrace(PTRACE_GETREGS, pid, None, raw)
        self.values = dict(zip(self.NAMES, struct.unpack(f"{len(self.NAMES)}Q", raw.raw)))

    def set(self, pid, **changed):
        values = {**self.values, **changed}
        raw = ctypes.create_string_buffer(struct.pack(f"{len(self.NAMES)}Q", *(values[name] for name in self.NAMES)))
        libc.ptrace(PTRACE_SETREGS, pid, None, raw)


def identity(path):
    info = os.stat(path)
    return info.st_dev, info.st_ino


def namespaces(pid):
    return {kind: os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in KINDS}


@contextlib.contextmanager
def deadline(seconds):
    def over(*_):
        raise AssertionError(f"it did not end in {seconds} s")
    former = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


class Walk:
    """Runs a command to its end, or until every process of it has become a program of somebody else's."""

    def __init__(self, argv, env=None, stop_at=lambda stop: False, preexec=None):
        self.stops, self.roles, self.children, self.begun, self.stop_at = [], {}, {}, set(), stop_at
        self.status, self.program = None, argv[0]
        pid = os.fork()
        if pid == 0:
            try:
                null = os.open("/dev/null", os.O_RDWR)
                for fd in (0, 1, 2):
                    os.dup2(null, fd)
                os.closerange(3, 1024)
                if preexec:
                    preexec()
                libc.ptrace(PTRACE_TRACEME, 0, None, None)
                os.execve(str(argv[0]), [str(a) for a in argv], env or dict(os.environ))
            finally:
                os._exit(127)
        self.command = pid
        self.roles[pid] = ""
        os.waitpid(pid, 0)
        libc.ptrace(PTRACE_SETOPTIONS, pid, None, GOOD | FORK | VFORK | CLONE | EXEC | EXITKILL)
        self.go_on(pid)
        with deadline(240):
            while self.roles:
                self.step(*os.waitpid(-1, WALL))

    def go_on(self, pid, number=None):
        libc.ptrace(PTRACE_SYSCALL, pid, None, number)

    def let_go(self, pid):
        self.roles.pop(pid, None)
        libc.ptrace(PTRACE_DETACH, pid, None, None)

    def step(self, pid, status):
        if not os.WIFSTOPPED(status):
            self.roles.pop(pid, None)
            if pid == self.command:
                self.status = os.waitstatus_to_exitcode(status)
            return
        number, event = os.WSTOPSIG(status), status >> 16
        if pid not in self.roles:           # a child that stops before its maker tells of it
            self.begun.add(pid)
            return
        if event in EVENTS_OF_BIRTH:
            message = ctypes.c_ulong()
            libc.ptrace(PTRACE_GETEVENTMSG, pid, None, ctypes.addressof(message))
            self.add_child(pid, message.value)
            self.go_on(pid)
        elif event == EVENT_EXEC:
            exe = pathlib.Path(f"/proc/{pid}/exe")      # the file itself, a view of it, or a sealed copy
            if exe.samefile(self.program) or "memfd:keg-runtime" in os.readlink(exe):
                self.go_on(pid)
            else:
                self.let_go(pid)
        elif number == signal.SIGTRAP | 0x80:
            self.look(pid)
        elif number == signal.SIGTRAP:
            self.go_on(pid)
        else:
            self.go_on(pid, number)

    def add_child(self, parent, child):
        self.children[self.roles[parent]] = number = self.children.get(self.roles[parent], 0) + 1
        self.roles[child] = f"{self.roles[parent]}.{number}".lstrip(".")
        if child in self.begun:
            self.begun.remove(child)
        else:
            os.waitpid(child, WALL)         # the stop that it begins with
        self.go_on(child)

    def call_of(self, pid):
        """(its number, its arguments) at an entry, or nothing at an exit."""
        info = ctypes.create_string_buffer(96)
        libc.ptrace(PTRACE_GET_SYSCALL_INFO, pid, ctypes.c_void_p(len(info)), info)
        if info.raw[0] != 1:
            return None
        return struct.unpack_from("7Q", info.raw, 24)

    def until_call(self, pid):
        """On to the next entry or exit, whatever comes between."""
        passed_on = None
        while True:
            self.go_on(pid, passed_on)
            _, status = os.waitpid(pid, WALL)
            if not os.WIFSTOPPED(status):
                self.step(pid, status)
                raise ProcessLookupError(pid)
            if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
                return
            passed_on = os.WSTOPSIG(status)

    def ask(self, pid, before):
        """What prctl tells the process about itself; then it is where it was, at the entry of its own call."""
        at, scratch = before.values["rip"] - 2, before.values["rsp"] - 512   # the instruction; below the red zone
        before.set(pid, orig_rax=157, rdi=PR_GET_DUMPABLE)
        self.until_call(pid)
        dumpable = Registers(pid).values["rax"]
        before.set(pid, rip=at, rax=157, orig_rax=2**64 - 1, rdi=PR_GET_PDEATHSIG, rsi=scratch)
        self.until_call(pid)
        self.until_call(pid)
        death = libc.ptrace(PTRACE_PEEKDATA, pid, scratch, None) & 0xffffffff
        before.set(pid, rip=at, rax=before.values["orig_rax"], orig_rax=2**64 - 1)
        self.until_call(pid)
        return dumpable, death

    def look(self, pid):
        entry = self.call_of(pid)
        if entry is None:
            return self.go_on(pid)
        number, *args = entry
        with contextlib.suppress(ProcessLookupError):
            dumpable, death = self.ask(pid, Registers(pid))
            stop = self.describe(pid, CALLS.get(number, str(number)), tuple(args), dumpable, death)
            self.stops.append(stop)
            if self.stop_at(stop):
                return self.let_go(pid)
            self.go_on(pid)

    def describe(self, pid, call, args, dumpable, death):
        proc = pathlib.Path(f"/proc/{pid}")
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
        files, places, kept = {}, {}, {}
        for entry in os.listdir(proc / "fd"):
            files[int(entry)] = os.readlink(proc / "fd" / entry)
            places[int(entry)] = identity(proc / "fd" / entry)
            flags = next(line for line in (proc / "fdinfo" / entry).read_text().splitlines() if line.startswith("flags:"))
            if not int(flags.split()[1], 8) & os.O_CLOEXEC:
                kept[int(entry)] = files[int(entry)]
        return Stop(self.roles[pid], pid, call, args, dumpable == 0, death, files, places, kept, namespaces(pid), identity(proc / "root"),
                    int(status["Uid"].split()[1]), int(status["CapEff"], 16), (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes())

    def of(self, role):
        return [stop for stop in self.stops if stop.role == role]


# What takes the guards away and what puts them back: between the two they are down, for nobody's use.
CHANGING = ("setresuid", "setresgid", "capset", "prctl", "poll", "setns")


def in_user_namespace(config):
    config["linux"]["namespaces"].append({"type": "user"})
    for which in ("uidMappings", "gidMappings"):
        config["linux"][which] = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def filtered(config):
    config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                                  "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}


def as_somebody(config):
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    config["process"]["cwd"] = "/"


SETTINGS = {"plain": lambda config: None, "a user namespace": in_user_namespace}


@needs_root
@only_x86
class Start(Hostile):
    SECRET = "CALLERS_SECRET=do-not-show"

    def walk(self, *words, **options):
        env = {**os.environ, "CALLERS_SECRET": "do-not-show"}
        return Walk([RUNTIME, "--root", str(self.state), "--log", str(self.dir / "log"), *map(str, words)], env=env, **options)

    def bundle(self, *args, edit=None, name="bundle"):
        """In groups of its own: those of "c" may be somebody else's, who tests on this machine."""
        def whole(config):
            config["linux"]["cgroupsPath"] = f"/keg-start-{os.getpid()}-{name}"
            if edit:
                edit(config)
        return super().bundle(*args, edit=whole, name=name)

    def make(self, *args, edit=lambda config: None, name="bundle"):
        bundle = self.bundle(*args, edit=edit, name=name)
        self.dir.chmod(0o755)
        run("chown", "-R", "100000:100000", bundle / "rootfs")
        return bundle

    def start_detached(self, bundle, *command):
        """The container keeps its descriptors, so they are nobody's who waits for their end."""
        self.detached(*(command or ("run", "-d")), "-b", bundle, "c")

    def holds(self, walk, role, rule, but=lambda stop: False):
        """At every stop of it; gives them."""
        stops = [stop for stop in walk.of(role) if not but(stop)]
        self.assertTrue(stops, f"nothing was seen of {role}")
        for stop in stops:
            self.assertTrue(rule(stop), str(stop))
        return stops

    def dies_from_its_first_steps_on(self, stops):
        """With its creator. Before that it only lets go of what is its creator's; gives where it ends to be so."""
        steps = [stop for stop in stops if stop.call not in CHANGING]
        kinds = [stop.death for stop in steps]
        first = kinds.index(signal.SIGKILL)
        last = len(kinds) - kinds[::-1].index(signal.SIGKILL)
        self.assertEqual(set(kinds[first:last]), {signal.SIGKILL}, [str(stop) for stop in steps])
        self.assertLess(first, 8, [str(stop) for stop in steps[:first + 1]])
        return steps[:last], steps[last:]

    def created(self, edit=lambda config: None, name="bundle"):
        """`create` looked at until its init waits for the start, and init's stops."""
        bundle = self.make("sleep", "1000", edit=edit, name=name)
        # Whoever of the two is faster: create gives the fifo its last name when it ends.
        waits = lambda stop: stop.call == "read" and stop.files.get(stop.args[0], "").endswith(("/create.fifo", "/exec.fifo"))
        walk = self.walk("create", "-b", bundle, "c", stop_at=waits)
        self.assertEqual(walk.status, 0, (self.dir / "log").read_text() if (self.dir / "log").exists() else "")
        return walk


def host_is_open(stop, but=()):
    """Whether a descriptor leads anywhere but into the runtime itself."""
    return [file for number, file in stop.files.items() if number > 2 and not file.startswith(("socket:", "pipe:", "anon_inode:")) and not any(b in file for b in but)]


class Create(Start):
    def test_nobody_may_look_into_init_from_its_birth_on(self):
        """A creator that is root needs no time in which its init is dumpable, also if there are id maps to write."""
        for what, edit in SETTINGS.items():
            with self.subTest(what):
                walk = self.created(edit, name=what.replace(" ", "-"))
                self.holds(walk, "1", lambda stop: stop.hidden)
                self.runtime("delete", "--force", "c")

    def test_init_ends_with_its_creator_until_it_is_a_container(self):
        for what, edit in SETTINGS.items():
            with self.subTest(what):
                init = self.created(edit, name=what.replace(" ", "-")).of("1")
                before, after = self.dies_from_its_first_steps_on(init)
                self.assertIn("pivot_root", [stop.call for stop in before])
                self.assertEqual(after[-1].death, 0)
                self.runtime("delete", "--force", "c")

    def test_run_is_a_create_that_is_started(self):
        for what, edit in SETTINGS.items():
            with self.subTest(what):
                walk = self.walk("run", "-b", self.make("true", edit=edit, name=what.replace(" ", "-")), "c")
                self.assertEqual(walk.status, 0)
                self.holds(walk, "1", lambda stop: stop.hidden)
                _, after = self.dies_from_its_first_steps_on(walk.of("1"))
                program = after[-1]
                self.assertEqual((program.call, program.death), ("execve", 0))
                self.assertEqual([file for number, file in program.kept.items() if number > 2], [])

    def test_created_init_holds_its_fifo_and_nothing_else(self):
        for what, edit in {**SETTINGS, "somebody's": as_somebody}.items():
            with self.subTest(what):
                waiting = self.created(edit, name=what.replace(" ", "-").replace("'", "")).of("1")[-1]
                self.assertIn([pathlib.Path(file).name for number, file in waiting.files.items() if number > 2], (["create.fifo"], ["exec.fifo"]), str(waiting))
                self.assertEqual(waiting.effective & CAP_SYS_ADMIN, 0)
                self.runtime("delete", "--force", "c")

    def test_no_descriptor_of_the_host_is_open_when_the_containers_words_are_resolved(self):
        """The working directory and the program: from there on only the channel and the fifo are."""
        init = self.created(as_somebody).of("1")
        first = next(i for i, stop in enumerate(init) if stop.call == "close_range" and stop.args[1] == 2**32 - 1) + 1
        self.assertIn("chdir", [stop.call for stop in init[first:]])
        for stop in init[first:]:
            self.assertEqual(host_is_open(stop, but=("exec.fifo", "create.fifo")), [], str(stop))

    def test_the_callers_words_are_not_inits(self):
        for what, edit in SETTINGS.items():
            with self.subTest(what):
                init = self.created(edit, name=what.replace(" ", "-")).of("1")
                entering = next(i for i, stop in enumerate(init) if stop.call in ("unshare", "setsid"))
                for stop in init[entering:]:
                    self.assertNotIn(b"do-not-show", stop.words)
                    self.assertNotIn(os.fsencode(self.dir), stop.words)
                self.runtime("delete", "--force", "c")

    def test_who_holds_a_user_namespace_for_a_mount_is_hidden_and_ends_with_us(self):
        def edit(config):
            (self.dir / "data").mkdir(exist_ok=True)
            config["mounts"].append({"destination": "/data", "type": "bind", "source": str(self.dir / "data"), "options": ["bind"],
                                     "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
                                     "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}]})
        for attempt in range(20):   # on a busy machine it may be ended before it has made a step
            walk = self.created(edit, name=f"bundle{attempt}")
            if walk.of("2"):
                break
            self.runtime("delete", "--force", "c")
        holder = self.holds(walk, "2", lambda stop: stop.hidden)
        self.assertNotEqual(holder[0].spaces["user"], namespaces("self")["user"])

    def test_who_joins_namespaces_for_init_is_hidden_and_ends_with_us(self):
        with self.sleeping(in_user_namespace, lambda rootfs: (self.dir.chmod(0o755), run("chown", "-R", "100000:100000", rootfs))):
            pid = json.loads(self.runtime("state", "s").stdout)["pid"]
            def edit(config):
                for kind, file in (("pid", "pid"), ("user", "user")):
                    config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != kind] + [{"type": kind, "path": f"/proc/{pid}/ns/{file}"}]
            walk = self.created(edit)
            self.holds(walk, "1", lambda stop: stop.hidden)
            self.holds(walk, "1.1", lambda stop: stop.hidden)
            self.dies_from_its_first_steps_on(walk.of("1"))
            self.runtime("delete", "--force", "c")


class CreateByAUser(Start):
    def test_init_is_hidden_before_it_joins_anything(self):
        """Its creator has to open its files for the id maps; from then on nobody may."""
        uid = 12345
        self.dir.chmod(0o755)
        bundle, program = self.bundle("true", edit=lambda config: None), self.dir / "keg-runtime"
        shutil.copy(RUNTIME, program)
        (bundle / "config.json").unlink()
        run("chown", "-R", f"{uid}:{uid}", bundle)
        user = ("setpriv", "--reuid", uid, "--regid", uid, "--clear-groups")
        if run(*user, "unshare", "-Ur", "true", check=False).returncode != 0:
            self.skipTest("the kernel gives users no user namespaces")
        run(*user, program, "spec", "--rootless", "--bundle", bundle)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["true"])
        (bundle / "config.json").write_text(json.dumps(config))
        self.state.mkdir()
        os.chown(self.state, uid, uid)
        def become():
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        walk = Walk([program, "--root", self.state, "run", "-b", bundle, "c"], preexec=become)
        self.assertEqual(walk.status, 0)
        init = walk.of("1")
        first = next(i for i, stop in enumerate(init) if stop.hidden)
        self.holds(walk, "1", lambda stop: stop.hidden, but=lambda stop: stop in init[:first])
        for call in ("setns", "setresuid", "mount", "pivot_root"):
            self.assertNotIn(call, [stop.call for stop in init[:first]])
        self.assertIn("pivot_root", [stop.call for stop in init[first:]])


class Exec(Start):
    def entered(self, *words, edit=lambda config: None):
        """The stops of an exec: of who is in between ("1") and of the process ("1.1"), and the container's init."""
        prepare = lambda rootfs: (self.dir.chmod(0o755), run("chown", "-R", "100000:100000", rootfs))
        with self.sleeping(edit, prepare) as bundle:
            init = json.loads(self.runtime("state", "s").stdout)["pid"]
            walk = self.walk("exec", *words, "s", "true")
            self.assertEqual(walk.status, 0, (self.dir / "log").read_text() if (self.dir / "log").exists() else "")
            walk.container, walk.root, walk.rootfs = namespaces(init), identity(f"/proc/{init}/root"), bundle / "rootfs"
        return walk

    CONTAINERS = {**SETTINGS, "with a filter": filtered,
                  "with a filter and new privileges": lambda config: (filtered(config), config["process"].update(noNewPrivileges=False))}

    def each(self, *words):
        for what, edit in self.CONTAINERS.items():
            with self.subTest(what):
                yield self.entered(*words, edit=edit)
                (self.dir / "sleeping").rename(self.dir / what.replace(" ", "-"))

    def test_the_process_holds_nothing_of_the_hosts(self):
        """It is born with the container's namespaces, root and descriptors: what it could show, the container has."""
        for walk in self.each():
            process = walk.of("1.1")
            self.assertTrue(process)
            for stop in process:
                self.assertEqual(host_is_open(stop), [], str(stop))
                self.assertEqual(stop.spaces, walk.container, str(stop))
                self.assertEqual(stop.root, walk.root, str(stop))
                self.assertNotIn(b"do-not-show", stop.words)
                self.assertNotIn(os.fsencode(self.dir), stop.words)

    def test_a_terminal_is_the_containers(self):
        walk = self.entered("-t")
        def own(stop):
            return all(number < 3 or stop.files[number].startswith(("socket:", "/dev/pts")) or place == walk.root for number, place in stop.places.items())
        process = self.holds(walk, "1.1", own)
        self.assertTrue(process[-1].files[0].startswith("/dev/pts/"), str(process[-1]))

    def test_who_is_in_between_is_never_in_the_containers_pid_namespace(self):
        for walk in self.each():
            own = namespaces("self")["pid"]
            self.holds(walk, "1", lambda stop: stop.spaces["pid"] == own)

    def test_nobody_may_look_into_either(self):
        for walk in self.each():
            self.holds(walk, "1", lambda stop: stop.hidden)
            self.holds(walk, "1.1", lambda stop: stop.hidden)

    def test_both_end_with_their_creator_until_the_process_changes_its_rights(self):
        for walk in self.each():
            _, after = self.dies_from_its_first_steps_on(walk.of("1"))
            self.assertEqual(after, [])
            before, after = self.dies_from_its_first_steps_on(walk.of("1.1"))
            self.assertIn("setsid", [stop.call for stop in before])
            self.assertEqual((after[-1].call, after[-1].death), ("execve", 0))

    def test_the_program_begins_with_the_containers_rights(self):
        for walk in self.each():
            program = walk.of("1.1")[-1]
            self.assertEqual(program.call, "execve")
            self.assertEqual(program.effective & CAP_SYS_ADMIN, 0)
            self.assertEqual([number for number in program.kept if number > 2], [])


@needs_criu
class Restore(Start):
    def test_criu_gets_its_socket_and_ends_with_us(self):
        bundle = self.make("sleep", "1000")
        run("chown", "-R", "0:0", bundle / "rootfs")
        self.start_detached(bundle)
        result = self.runtime("checkpoint", "--image-path", self.dir / "images", "c", check=False)
        if result.returncode != 0:
            self.skipTest(f"criu cannot dump here: {result.stderr.strip()[-200:]}")
        walk = self.walk("restore", "-d", "-b", bundle, "--image-path", self.dir / "images", "c")
        criu = [stop for stop in walk.of("1") if stop.call == "execve"]
        self.assertTrue(criu)
        self.assertEqual(criu[-1].death, signal.SIGKILL)
        self.assertEqual([file.split(":")[0] for number, file in criu[-1].kept.items() if number > 2], ["socket"], str(criu[-1]))


class Alone(Start):
    """What the rows are good for."""

    def test_init_dies_with_create_in_a_user_namespace_too(self):
        """CVE class: who changes its ids forgets the signal; a hook that hangs would hold init for ever."""
        for what, edit in SETTINGS.items():
            with self.subTest(what):
                def whole(config):
                    edit(config)
                    config["hooks"] = {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "600"]}]}
                bundle = self.make("true", edit=whole, name=what.replace(" ", "-"))
                create = subprocess.Popen([RUNTIME, "--root", str(self.state), "create", "-b", str(bundle), "c"],
                                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                wait_until(lambda: hook_of(create.pid), "the hook")
                init = children_of(create.pid)[0]
                pidfd = os.pidfd_open(init)
                create.kill()
                create.wait()
                self.assertTrue(select.select([pidfd], [], [], PATIENCE)[0], "init lives on")
                os.close(pidfd)
                self.runtime("delete", "--force", "c")

    LOOK = f"""import ctypes; libc = ctypes.CDLL(None)
text = ctypes.create_string_buffer(200)
libc.syscall({SYS_KEYCTL}, 6, -3, text, 200)
print(text.value.decode(), "found" if libc.syscall({SYS_KEYCTL}, 10, -3, b"user", b"planted", 0) > 0 else "nothing")"""

    def test_a_planted_keyring_is_not_the_containers(self):
        """Whoever shares the user namespace may have made keyrings of any name, for everybody to search."""
        held = []
        for name in (b"_ses.c", b"_ses.s", b"_ses", b"_ses.0"):
            ring = libc.syscall(SYS_ADD_KEY, b"keyring", name, None, 0, -2)     # in the process's own
            libc.syscall(SYS_KEYCTL, 5, ring, 0x3f3f3f3f)
            key = libc.syscall(SYS_ADD_KEY, b"user", b"planted", b"x", 1, ring)
            libc.syscall(SYS_KEYCTL, 5, key, 0x3f3f3f3f)
            held.append(ring)
        self.addCleanup(lambda: [libc.syscall(SYS_KEYCTL, 3, ring) for ring in held])
        look = ("python3", "-c", self.LOOK)
        self.assertIn("nothing", self.runtime("run", "-b", self.bundle(*look, edit=with_python), "c").stdout)
        with self.sleeping(with_python):
            self.assertIn("nothing", self.runtime("exec", "s", *look).stdout)


def children_of(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def hook_of(create):
    """The `sleep` that a hook of init runs."""
    return [hook for init in children_of(create) for hook in children_of(init)
            if pathlib.Path(f"/proc/{hook}/cmdline").read_bytes().startswith(b"sleep")]


class Joining(Start):
    """What an exec takes from the container, and what from its caller."""

    def limited(self, limit):
        def edit(config):
            config["linux"].setdefault("resources", {})["pids"] = {"limit": limit}
        return edit

    def test_exec_needs_no_room_for_a_helper(self):
        """Nor any at all: joining a group that is full is not limited, and one has to look into such a container."""
        with self.sleeping(self.limited(2)):
            self.assertEqual(self.runtime("exec", "s", "echo", "one").stdout, "one\n")
            self.runtime("update", "--pids-limit", "1", "s")
            self.assertEqual(self.runtime("exec", "s", "echo", "none").stdout, "none\n")
            own = self.runtime("exec", "s", "cat", "/proc/self/cgroup").stdout
            init = self.runtime("exec", "s", "cat", "/proc/1/cgroup").stdout
            self.assertEqual(own, init)      # where it runs, it is in all of the container's groups
            full = self.runtime("exec", "s", "sh", "-c", "true & wait", check=False)
            self.assertIn("fork", full.stderr)

    def test_exec_follows_init_when_its_groups_are_gone(self):
        self.start_detached(self.bundle("sleep", "1000"))
        pid = json.loads(self.runtime("state", "c").stdout)["pid"]
        moved, left = [], []
        self.addCleanup(lambda: [os.rmdir(directory) for directory in reversed(moved) if directory.is_dir()])
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, name, path = line.split(":", 2)
            name = name.removeprefix("name=")
            mount = pathlib.Path("/sys/fs/cgroup", name or "unified") if pathlib.Path("/sys/fs/cgroup/unified").is_dir() or name else pathlib.Path("/sys/fs/cgroup")
            if path == "/" or not (mount / path.lstrip("/")).is_dir():
                continue
            new = mount / f"keg-start-{os.getpid()}-moved"
            new.mkdir()
            moved.append(new)
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (mount / file).exists():
                    (new / file).write_text((mount / file).read_text())
            (new / "cgroup.procs").write_text(str(pid))
            os.rmdir(mount / path.lstrip("/"))
            left.append(path)
        if not left:
            self.skipTest("it is in no group of its own here")
        own = self.runtime("exec", "c", "cat", "/proc/self/cgroup").stdout
        self.assertEqual(own, self.runtime("exec", "c", "cat", "/proc/1/cgroup").stdout)
        self.assertEqual(json.loads(self.runtime("state", "c").stdout)["status"], "running")
        ended = os.pidfd_open(pid)
        self.addCleanup(os.close, ended)
        self.runtime("delete", "--force", "c")
        self.assertTrue(select.select([ended], [], [], 0)[0], "deleted, and its init lives")

    def process(self, **fields):
        document = {"user": {"uid": 0, "gid": 0}, "args": ["cat", "/proc/self/status"], "cwd": "/", "env": ["PATH=/bin"], **fields}
        (self.dir / "process.json").write_text(json.dumps(document))
        return self.runtime("exec", "-p", self.dir / "process.json", "s", check=False)

    def test_what_a_process_document_leaves_out_is_the_containers(self):
        def edit(config):
            process = config["process"]
            process["capabilities"] = {kind: ["CAP_KILL", "CAP_CHOWN"] for kind in ("bounding", "effective", "permitted")}
            process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]
            process["oomScoreAdj"] = 123
            process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
            process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
            process["user"]["umask"] = 0o027
        with self.sleeping(edit):
            status = self.process().stdout
            self.assertIn("CapEff:\t0000000000000021", status)
            self.assertIn("Umask:\t0027", status)
            look = lambda *args, **fields: self.process(args=["sh", "-c", " ".join(args)], **fields).stdout
            self.assertEqual(look("ulimit -n; cat /proc/self/oom_score_adj").split(), ["77", "123"])
            # The policy is the 41st field of stat, the nice the 19th.
            fields = look("cat /proc/self/stat").split()
            self.assertEqual((fields[18], fields[40]), ("5", "3"))
            self.assertIn("idle", look("ionice -p $$"))
            # What it gives is its own.
            own = self.process(capabilities={"bounding": [], "effective": [], "permitted": []}, oomScoreAdj=321,
                               user={"uid": 0, "gid": 0, "umask": 0o077}).stdout
            self.assertIn("CapEff:\t0000000000000000", own)
            self.assertIn("Umask:\t0077", own)
            self.assertEqual(look("cat /proc/self/oom_score_adj", oomScoreAdj=321).strip(), "321")

    def test_the_callers_umask_is_not_the_processes(self):
        with self.sleeping():
            status = self.runtime("exec", "s", "grep", "Umask", "/proc/self/status", umask=0o777 if os.geteuid() == 0 else 0o077).stdout
            self.assertEqual(status.split(), ["Umask:", "0022"])

    def test_a_score_that_may_not_be_set_is_left(self):
        """Without CAP_SYS_RESOURCE nobody lowers it: a warning, as with peers."""
        with self.sleeping():
            (self.dir / "process.json").write_text(json.dumps(
                {"user": {"uid": 0, "gid": 0}, "args": ["cat", "/proc/self/oom_score_adj"], "cwd": "/", "env": ["PATH=/bin"], "oomScoreAdj": -5}))
            result = run("setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", RUNTIME, "--root", self.state,
                         "exec", "-p", self.dir / "process.json", "s", check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("ignoring oomScoreAdj -5", result.stderr)

    def test_home_is_the_users_where_the_environment_lacks_it(self):
        with self.sleeping():
            self.assertEqual(self.process(args=["sh", "-c", "echo $HOME"]).stdout, "/root\n")
            self.assertEqual(self.process(args=["sh", "-c", "echo $HOME"], env=["PATH=/bin", "HOME="]).stdout, "/root\n")
            self.assertEqual(self.process(args=["sh", "-c", "echo $HOME"], env=["PATH=/bin", "HOME=/x"]).stdout, "/x\n")
