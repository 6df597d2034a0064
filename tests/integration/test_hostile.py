"""What a hostile process cannot do to who enters its container, nor a hostile image to who prepares it: the
attacks that have no number. docs/security.md says which of its points each test is for.
"""
import json
import os
import pathlib
import resource
import select
import shutil
import socket
import struct
import subprocess
import threading
import unittest

from hostile import Hostile, libc, swapping, with_python, without, without_dev
from keg import PATIENCE, RUNTIME, rounds, run

SYS_ADD_KEY, SYS_KEYCTL = 248, 250   # x86_64


def of_a_user(config):
    """In a user namespace, and root in there with every right."""
    config["linux"]["namespaces"].append({"type": "user"})
    for which in ("uidMappings", "gidMappings"):
        config["linux"][which] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    with_all_capabilities(config)


def with_all_capabilities(config):
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    names = json.loads(run(RUNTIME, "features").stdout)["linux"]["capabilities"][:last + 1]
    config["process"]["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}


def unmasked(config):
    config["linux"]["maskedPaths"] = []


class Keyrings(Hostile):
    """Keys that the caller of the runtime holds are in its session keyring, which children inherit."""

    def hold_a_secret(self):
        libc.syscall(SYS_KEYCTL, 1, None)                                  # a session keyring of our own
        libc.syscall(SYS_ADD_KEY, b"user", b"callers-secret", b"x", 1, -3)

    # Whether it is in the session keyring of this process; what /proc/keys lists may not be read by who is not its holder.
    LOOK = f"""import ctypes; libc = ctypes.CDLL(None)
print("found" if libc.syscall({SYS_KEYCTL}, 10, -3, b"user", b"callers-secret", 0) > 0 else "nothing")"""

    def test_the_callers_keys_stay_outside(self):
        look = ("python3", "-c", self.LOOK)
        self.assertEqual(run(*look, preexec_fn=self.hold_a_secret).stdout, "found\n")
        bundle = self.bundle(*look, edit=with_python)
        self.assertEqual(self.runtime("run", "-b", bundle, "c", preexec_fn=self.hold_a_secret).stdout, "nothing\n")
        with self.sleeping(with_python):
            self.assertEqual(self.runtime("exec", "s", *look, preexec_fn=self.hold_a_secret).stdout, "nothing\n")
            kept = self.runtime("run", "-b", bundle, "--no-new-keyring", "c", preexec_fn=self.hold_a_secret).stdout
            self.assertEqual(kept, "found\n")


class KernelFiles(Hostile):
    """What the runtime tells the kernel through /proc arrives there (point 2)."""

    def test_time_offsets_reach_the_kernel(self):
        """A mount namespace that is joined has a /proc of its own, and it may be none."""
        with self.sleeping(lambda config: without(config, "/proc"), self.fake_proc):
            pid = json.loads(self.runtime("state", "s").stdout)["pid"]
            def edit(config):
                for namespace in config["linux"]["namespaces"]:
                    if namespace["type"] == "mount":
                        namespace["path"] = f"/proc/{pid}/ns/mnt"
                config["linux"]["namespaces"].append({"type": "time"})
                config["linux"]["timeOffsets"] = {"monotonic": {"secs": 1000000}}
                config["mounts"] = []
            bundle = self.bundle("sleep", "1000", edit=edit)
            # The root file system is looked for in the namespace that is joined.
            mirror = self.dir / "sleeping/rootfs" / str(bundle).lstrip("/")
            mirror.mkdir(parents=True)
            run("cp", "-a", bundle / "rootfs", mirror)
            subprocess.run([RUNTIME, "--root", str(self.state), "run", "-d", "-b", str(bundle), "c"], check=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            pid = json.loads(self.runtime("state", "c").stdout)["pid"]
            self.assertRegex(pathlib.Path(f"/proc/{pid}/timens_offsets").read_text(), r"monotonic +1000000 ")

    @staticmethod
    def fake_proc(rootfs):
        (rootfs / "proc/self/ns").mkdir(parents=True)
        (rootfs / "proc/self/timens_offsets").write_text("")
        (rootfs / "proc/self/ns/time_for_children").symlink_to("/dev/null")


class Files(Hostile):
    IN_OPEN = 0x20

    def opened_in(self, directory, command):
        """The names in there that somebody opened for more than their place (O_PATH) meanwhile."""
        fd = libc.inotify_init1(os.O_NONBLOCK)
        self.addCleanup(os.close, fd)
        self.assertGreaterEqual(libc.inotify_add_watch(fd, os.fsencode(directory), self.IN_OPEN), 0)
        command()
        names = set()
        try:
            events = os.read(fd, 1 << 16)
        except BlockingIOError:
            return names
        while events:
            length = struct.unpack_from("iIII", events)[3]
            names.add(events[16:16 + length].rstrip(b"\0").decode())
            events = events[16 + length:]
        return names - {""}

    def test_the_images_devices_are_not_opened(self):
        """Opening alone does something to a fifo, a terminal, a tape; so the runtime looks first."""
        def prepare(rootfs):
            for name in ("dev/null", "etc/passwd"):
                (rootfs / name).unlink(missing_ok=True)
                os.mkfifo(rootfs / name)
        def edit(config):
            without_dev(config)
            config["process"]["args"] = ["true"]
        bundle = self.bundle(edit=edit)
        prepare(bundle / "rootfs")
        for name in ("dev", "etc"):
            self.assertEqual(self.opened_in(bundle / "rootfs" / name, lambda: self.runtime("run", "-b", bundle, "c")), set())
        control = lambda: os.close(os.open(bundle / "rootfs/dev/null", os.O_RDWR))
        self.assertEqual(self.opened_in(bundle / "rootfs/dev", control), {"null"})


class Sealed(Hostile):
    MOUNT_SETATTR, OPEN_TREE = 442, 428
    AT_EMPTY_PATH, READ_ONLY = 0x1000, 1

    def make_writable(self, fd):
        wanted = struct.pack("QQQQ", 0, self.READ_ONLY, 0, 0)
        return libc.syscall(self.MOUNT_SETATTR, fd, b"", self.AT_EMPTY_PATH, wanted, len(wanted)) == 0

    def test_the_executables_mount_stays_read_only(self):
        """CVE-2019-5736 once more: who has a descriptor of a detached mount may change it, if he may mount at all."""
        AT_FDCWD, CLONE = -100, 1
        victim = self.dir / "victim"
        victim.write_text("")
        tree = libc.syscall(self.OPEN_TREE, AT_FDCWD, os.fsencode(victim), CLONE)
        wanted = struct.pack("QQQQ", self.READ_ONLY, 0, 0, 0)
        self.assertEqual(libc.syscall(self.MOUNT_SETATTR, tree, b"", self.AT_EMPTY_PATH, wanted, len(wanted)), 0)
        with self.assertRaises(OSError):
            open(f"/proc/self/fd/{tree}", "w")
        self.assertTrue(self.make_writable(tree))   # the attack works while whoever made it holds it
        open(f"/proc/self/fd/{tree}", "w").close()
        os.close(tree)

        mine = self.dir / "keg-runtime"   # on a file system that is not read-only anyway
        shutil.copy(RUNTIME, mine)
        subprocess.run([mine, "--root", str(self.state), "create", "-b", self.bundle("true"), "c"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid = json.loads(self.runtime("state", "c").stdout)["pid"]
        exe = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
        self.addCleanup(os.close, exe)
        self.assertFalse(self.make_writable(exe))
        self.assertEqual(libc.syscall(self.OPEN_TREE, exe, b"", self.AT_EMPTY_PATH | CLONE), -1)
        with self.assertRaises(OSError):
            open(f"/proc/self/fd/{exe}", "w")



class Joining(Hostile):
    """Who enters a container is among its processes before it has become one of them."""

    # Looks for processes that are not yet the container's, and tries all there is to try at them.
    SPY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, PIDFD_OPEN, PIDFD_GETFD = 0x4206, 0x4207, 17, 434, 438
mine = set(os.listdir("/proc"))
def exe(pid):
    try: return os.readlink(f"/proc/{pid}/exe")
    except OSError: return "none"
def got(what, pid):
    # The runtime's own file has no place in here, so its path says little: "/".
    if not exe(pid).startswith(("/bin/", "/usr/", "none")): print(what, pid, exe(pid), flush=True)
print("ready", flush=True)
seen = 0
while not os.path.exists("/stop"):
    for pid in set(os.listdir("/proc")) - mine:
        if not pid.isdigit(): continue
        seen += 1
        got("exe", pid)
        for name in ("mem", "exe", "environ", "maps", "root/", "cwd/", "map_files"):
            try: os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY)); got(name, pid)
            except OSError: pass
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"): os.close(os.open(f"/proc/{pid}/fd/{fd}", os.O_PATH)); got("fd " + fd, pid)
        except OSError: pass
        if libc.ptrace(PTRACE_SEIZE, int(pid), 0, 0) == 0:
            got("ptrace", pid)
            libc.ptrace(PTRACE_INTERRUPT, int(pid), 0, 0)
            try: os.waitpid(int(pid), 0x40000000)   # __WALL: stopped, or at its end
            except OSError: pass
            libc.ptrace(PTRACE_DETACH, int(pid), 0, 0)
        held = libc.syscall(PIDFD_OPEN, int(pid), 0)
        if held >= 0:
            for fd in range(12):
                taken = libc.syscall(PIDFD_GETFD, held, fd, 0)
                if taken >= 0: got(f"getfd {fd}", pid); os.close(taken)
            os.close(held)
print("looked at", seen, flush=True)
"""

    def spied_on(self, edit, prepare=lambda rootfs: None, enough=False):
        """What a process of such a container saw of forty that came in; or of the first that it saw anything of."""
        def whole(config):
            with_python(config)
            edit(config)
        with self.sleeping(whole, prepare) as bundle:
            (bundle / "rootfs/spy").write_text(self.SPY)
            spy = subprocess.Popen([RUNTIME, "--root", str(self.state), "exec", "s", "python3", "/spy"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True)
            self.assertEqual(spy.stdout.readline(), "ready\n")
            for _ in range(400 if enough else rounds(40)):
                self.runtime("exec", "s", "true", check=False)
                if enough and select.select([spy.stdout], [], [], 0)[0]:
                    break
            (bundle / "rootfs/stop").write_text("")
            *found, last = spy.communicate(timeout=PATIENCE)[0].splitlines()
            self.assertRegex(last, r"^looked at [1-9]")
            return found

    def test_processes_of_root_cannot_look_into_it(self):
        self.assertEqual(self.spied_on(lambda config: None), [])

    def test_root_of_a_user_namespace_with_every_right_cannot_look_into_it(self):
        self.dir.chmod(0o755)
        self.assertEqual(self.spied_on(of_a_user, lambda rootfs: run("chown", "-R", "100000:100000", rootfs)), [])

    def test_who_may_trace_anybody_sees_something(self):
        """So the spy of the others would, if there were something to see."""
        self.assertNotEqual(self.spied_on(with_all_capabilities, enough=True), [])

    def test_lowered_limits_do_not_weaken_it(self):
        """A process with the same uid may lower the limits of who enters: then it fails, or is all it should be."""
        starve = """
import os, resource
mine = set(os.listdir("/proc"))
print("ready", flush=True)
while not os.path.exists("/stop"):
    for pid in set(os.listdir("/proc")) - mine:
        if pid.isdigit() and int(pid) % 2:
            for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_MEMLOCK):
                try: resource.prlimit(int(pid), limit, (0, 0))
                except (OSError, ValueError): pass
"""
        def edit(config):
            with_python(config)
            config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}
        with self.sleeping(edit) as bundle:
            (bundle / "rootfs/starve").write_text(starve)
            hostile = subprocess.Popen([RUNTIME, "--root", str(self.state), "exec", "s", "python3", "/starve"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, text=True)
            self.assertEqual(hostile.stdout.readline(), "ready\n")
            for _ in range(rounds(40)):
                result = self.runtime("exec", "s", "grep", "-E", "^(CapBnd|NoNewPrivs|Seccomp):", "/proc/self/status", check=False)
                if result.stdout:
                    self.assertEqual(result.stdout.split()[1::2], ["0000000020000420", "1", "2"])
                else:
                    self.assertNotEqual(result.returncode, 0)
            (bundle / "rootfs/stop").write_text("")
            hostile.communicate(timeout=PATIENCE)

    def test_raced_working_directory_stays_inside(self):
        """CVE-2024-21626 with a moving target: a directory in one moment, a link into somebody's descriptors in the next."""
        with self.sleeping() as bundle:
            volume = bundle / "rootfs/volume"
            for name, target in (("out", "/proc/self/fd/" + "../" * 12), ("fd", "/proc/self/fd/8"), ("up", "/proc/1/cwd/" + "../" * 12)):
                (volume / name / "x").mkdir(parents=True)
                (volume / name / "y").symlink_to(target)
                with swapping(volume / name / "x", volume / name / "y"):
                    for _ in range(rounds(15)):
                        result = self.runtime("exec", "--cwd", f"/volume/{name}/x", "s", "sh", "-c", "ls ..; ls " + str(self.outside).lstrip("/"), check=False)
                        self.assertNotIn("secret", result.stdout)
                        self.assertNotIn("outside", result.stdout)

    def test_terminal_is_not_what_was_mounted_there(self):
        """CVE-2025-52565's shape, by a process that may mount: ptmx is covered."""
        with self.sleeping(with_all_capabilities) as bundle:
            self.runtime("exec", "s", "sh", "-ec", "mkfifo /fifo; mount --bind /fifo /dev/pts/ptmx")
            process = json.loads((bundle / "config.json").read_text())["process"]
            process.update(args=["true"], terminal=True)
            (self.dir / "process.json").write_text(json.dumps(process))
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(self.dir / "console"))
                server.listen()
                result = self.runtime("exec", "-d", "--console-socket", self.dir / "console", "-p", self.dir / "process.json", "s", check=False)
            self.assertEqual(result.returncode, 255)
            self.assertIn("open /dev/pts/ptmx: ", result.stderr)


class Environments(Hostile):
    """What the container's process is given does not reach the host's programs, nor the caller's the container's."""

    def test_hooks_and_processes_have_their_own(self):
        kinds = ("createRuntime", "createContainer", "startContainer", "poststart", "poststop")
        def edit(config):
            config["process"]["env"] = ["PATH=/evil:/bin", "LD_PRELOAD=/evil.so", "EVIL=1"]
            config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"env > {'' if kind == 'startContainer' else self.dir}/{kind}.env"]}]
                               for kind in kinds}
        bundle = self.bundle("env", edit=edit)
        caller = dict(os.environ, CALLERS="secret")
        seen = {"process": self.runtime("run", "-b", bundle, "c", env=caller).stdout}
        for kind in kinds:
            directory = bundle / "rootfs" if kind == "startContainer" else self.dir
            seen[kind] = (directory / f"{kind}.env").read_text()
        self.assertIn("EVIL=1", seen.pop("process"))
        self.assertIn("EVIL=1", seen["startContainer"])   # it is a program of the container's
        self.assertNotIn("CALLERS", seen.pop("startContainer"))
        for kind, environment in seen.items():
            self.assertNotIn("EVIL", environment, kind)
            self.assertNotIn("evil", environment, kind)
            self.assertNotIn("CALLERS", environment, kind)
            self.assertIn("PATH=", environment, kind)

    def test_the_callers_is_not_the_processes(self):
        caller = dict(os.environ, CALLERS="secret", LD_PRELOAD="")
        self.assertNotIn("CALLERS", self.runtime("run", "-b", self.bundle("env"), "c", env=caller).stdout)
        with self.sleeping():
            self.assertNotIn("CALLERS", self.runtime("exec", "s", "env", env=caller).stdout)
            # Nor in the memory that /proc shows of who waits for its start.
            self.assertNotIn("CALLERS", self.runtime("exec", "s", "cat", "/proc/1/environ", env=caller).stdout)


class Descriptors(Hostile):
    def test_few_descriptors_are_an_error_and_leave_nothing(self):
        """Whatever cannot be opened any more must stop a start, not weaken it."""
        bundle = self.bundle("true")
        for most in range(3, 24):
            limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, 1024))
            result = self.runtime("run", "-b", bundle, "c", check=False, preexec_fn=limit)
            if result.returncode != 0:
                # The second is said where libc is not there yet.
                self.assertRegex(result.stderr.lower(), "too many open files|cannot execute a sealed copy", most)
            self.assertFalse(self.state.exists() and os.listdir(self.state), most)
        self.assertEqual(result.returncode, 0)


class Listener(Hostile):
    """An agent that is asked about system calls (seccomp's NOTIFY) may be slow, deaf or dead: then a start fails or waits, and leaves nothing."""

    NOTIF_RECV, NOTIF_SEND, CONTINUE = 0xC0502100, 0xC0182101, 1

    def setUp(self):
        super().setUp()
        self.server = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.server.close)
        self.server.bind(str(self.dir / "agent"))
        self.server.listen(0)

    def asking(self, *names):
        profile = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(self.dir / "agent"),
                   "syscalls": [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}]}
        return lambda config: config["linux"].update(seccomp=profile)

    def serve(self, times, answers):
        """In a thread: takes that many descriptors, and does with each what it is told."""
        def work():
            for _ in range(times):
                with self.server.accept()[0] as connection:
                    answers(connection)
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def allow_all(self, connection):
        _, control, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
        fd = struct.unpack("i", control[0][2][:4])[0]
        def answer():
            import fcntl
            request = bytearray(80)
            try:
                while True:
                    request[:] = bytes(80)
                    fcntl.ioctl(fd, self.NOTIF_RECV, request)
                    fcntl.ioctl(fd, self.NOTIF_SEND, struct.pack("QqiI", struct.unpack_from("Q", request)[0], 0, 0, self.CONTINUE))
            except OSError:
                os.close(fd)
        threading.Thread(target=answer, daemon=True).start()

    def test_agent_may_ask_for_the_calls_that_reach_it(self):
        """As bypass4netns does: the descriptor cannot be sent by who has to ask for sending."""
        self.serve(3, self.allow_all)
        edit = self.asking("sendmsg", "sendto", "recvmsg", "connect", "close", "openat", "wait4", "execve")
        for nnp in (True, False):
            def whole(config):
                edit(config)
                config["process"]["noNewPrivileges"] = nnp
            bundle = self.bundle("sh", "-c", "echo ran", edit=whole, name=f"nnp{nnp}")
            self.assertEqual(self.runtime("run", "-b", bundle, "c").stdout, "ran\n")
        with self.sleeping():
            config = self.dir / "state/s/config.json"
            changed = json.loads(config.read_text())
            edit(changed)
            config.write_text(json.dumps(changed))
            self.assertEqual(self.runtime("exec", "s", "echo", "ran").stdout, "ran\n")

    def test_dead_agents_container_runs_without_those_calls(self):
        self.serve(1, lambda connection: connection.recv(1))   # the descriptor is dropped
        result = self.sh("mkdir /x; echo ran", self.asking("mkdir"))
        self.assertIn("Function not implemented", result.stderr)
        self.assertEqual(result.stdout, "ran\n")

    def test_deaf_agent_does_not_keep_us_for_ever(self):
        waiting = []
        while len(waiting) < 20:   # nobody accepts: the queue is short
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.setblocking(False)
            try:
                client.connect(str(self.dir / "agent"))
            except BlockingIOError:
                break
            waiting.append(client)
        result = self.runtime("run", "-b", self.bundle("true", edit=self.asking("mkdir")), "c", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"dial unix {self.dir}/agent: connect: resource temporarily unavailable", result.stderr)
        self.assertEqual(os.listdir(self.state), [])

    def test_silent_agents_container_can_be_deleted(self):
        held = []
        self.serve(1, lambda connection: held.append(connection.recvmsg(65536, socket.CMSG_SPACE(4))))
        bundle = self.bundle("sh", "-c", "mkdir /x; sleep 1000", edit=self.asking("mkdir"))
        self.detached("run", "-d", "-b", bundle, "c")
        self.runtime("delete", "--force", "c")
        self.assertEqual(os.listdir(self.state), [])


if __name__ == "__main__":
    unittest.main()
