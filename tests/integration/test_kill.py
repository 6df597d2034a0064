"""Nothing is left behind: whenever keg-runtime is killed, `delete --force` removes the container, and if
its init is killed while it becomes one, create says so and removes it itself.

Two ways to choose the moment: at the border of the n-th system call (the test traces the command), and
after a random part of the time that the command takes. What may not be left: a cgroup in any hierarchy, a mount,
a process, a file, a network device, a unit of systemd.
"""
import ctypes
import json
import os
import pathlib
import random
import signal
import subprocess
import time
import unittest

from keg import PATIENCE, QUIET, ROUNDS, RUNTIME, RuntimeCase, needs_root, rounds, run, wait_until
from test_checkpoint import needs_criu
from test_systemd import as_user, systemctl

CGROUPS = pathlib.Path("/sys/fs/cgroup")

libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper():
    """What loses its parent becomes ours, so that no process can hide."""
    PR_SET_CHILD_SUBREAPER = 36
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


PTRACE_TRACEME, PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SETOPTIONS = 0, 7, 24, 0x4200
TRACE_CHILDREN = 2 | 8
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def start_traced(argv, err="/dev/null"):
    pid = os.fork()
    if pid == 0:
        null, words = os.open("/dev/null", os.O_RDWR), os.open(err, os.O_RDWR)
        for fd, target in ((0, null), (1, null), (2, words)):
            os.dup2(target, fd)
        libc.ptrace(PTRACE_TRACEME, 0, None, None)
        os.execv(argv[0], argv)
    return pid


def run_until_call(argv, n):
    """Runs a program and kills it when it enters or leaves a system call for the n-th time.

    True if it was killed, False if it ended before. Its children are not traced."""
    pid = start_traced(argv)
    for _ in range(n):
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return False
        stopped = os.WSTOPSIG(status)
        libc.ptrace(PTRACE_SYSCALL, pid, None, stopped if stopped != signal.SIGTRAP else None)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def run_and_kill_child(argv, n, err):
    """Runs a program and kills its first child when that enters or leaves a system call for the n-th time.

    The program's exit code, and how often the child was seen until the program had ended."""
    pid, child, seen = start_traced(argv, err), None, 0
    while True:
        stopped, status = os.waitpid(-1, 0x40000000)   # __WALL
        if stopped == pid and not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status), seen
        if not os.WIFSTOPPED(status):
            continue
        if stopped == pid:
            libc.ptrace(PTRACE_SETOPTIONS, pid, None, TRACE_CHILDREN)
            passed_on = os.WSTOPSIG(status) if os.WSTOPSIG(status) != signal.SIGTRAP else None
            libc.ptrace(PTRACE_CONT, pid, None, passed_on)
            continue
        child = child or stopped
        if stopped == child:
            seen += 1
            if seen == n:
                os.kill(child, signal.SIGKILL)
        libc.ptrace(PTRACE_SYSCALL, stopped, None, None)


def living_children():
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return []
        if pid == 0:
            return pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


def rarely(step):
    """Every step-th call, or fewer of them with a ROUNDS below 100."""
    return step * 100 // ROUNDS


class KillCase(RuntimeCase):
    cgroups_path = "/keg-kill-{pid}/c"
    options = ()    # for every command

    def setUp(self):
        super().setUp()
        self.assertEqual(living_children(), [], "processes of another test are left")
        become_subreaper()
        self.group = f"keg-kill-{os.getpid()}"
        self.addCleanup(self.remove_groups)
        self.runs = 0

    def groups(self):
        """Every directory of ours in every hierarchy, without the one that all containers share."""
        tops = [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())]
        return [path for top in tops for path, _, _ in os.walk(top / self.group, topdown=False)
                if path != str(top / self.group)]

    def remove_groups(self):
        for top in [CGROUPS, *CGROUPS.iterdir()]:
            for path, _, _ in os.walk(top / self.group, topdown=False):
                os.rmdir(path)

    def make_bundle(self, *args, edit=None, name="bundle"):
        def whole(config):
            if os.geteuid() != 0:
                as_user(config)
            config["linux"]["cgroupsPath"] = self.cgroups_path.format(pid=os.getpid())
            config["process"]["args"] = list(args)
            if edit:
                edit(config)
        self.where = self.bundle(edit=whole, name=name)
        # What every container makes in its root file system, it has made now.
        self.started()
        self.runtime("delete", "--force", "c")
        self.before = self.files()
        self.assert_nothing_is_left("before the first kill")

    def files(self):
        return sorted(str(p) for p in self.dir.rglob("*") if not {self.state, self.dir / "images"} & set(p.parents) and p.name not in ("pid", "images"))

    def argv(self, words):
        return [RUNTIME, "--root", str(self.state), *self.options, *map(str, words)]

    def command(self, *words):
        return subprocess.Popen(self.argv(words), **QUIET)

    def assert_nothing_is_left(self, when):
        # A process that was killed is gone a moment later.
        names = lambda: [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in living_children() if os.path.exists(f"/proc/{pid}")]
        wait_until(lambda: not living_children(), f"the end of processes {when}", names)
        self.assertEqual(self.groups(), [], f"cgroups are left {when}")
        self.assertEqual(os.listdir(self.state), [], f"state is left {when}")
        mounts = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(self.dir) in line]
        self.assertEqual(mounts, [], f"mounts are left {when}")

    def check(self, when):
        """The other commands cope with what the kill left; one delete ends it."""
        self.runs += 1
        listed = self.runtime("list", "--format", "json")
        there = (self.state / "c").exists()
        self.assertEqual([c["id"] for c in json.loads(listed.stdout) or []], ["c"] if there else [], when)
        self.assertEqual(listed.stderr, "", when)
        state = self.runtime("state", "c", check=False)
        if there:
            # "creating": init had no turn yet since it was born, and does not know that it shall end.
            self.assertIn(json.loads(state.stdout)["status"], ("creating", "created", "running", "paused", "stopped"), when)
        else:
            self.assertIn("container does not exist", state.stderr, when)
        self.runtime("delete", "--force", "c")
        self.assert_nothing_is_left(when)

    def kill_at_calls(self, words, step, prepare=lambda: None):
        """Dies at call number n, for every step-th n until the command ends before."""
        step = rarely(step)
        n = random.randrange(1, step + 1)
        while True:
            prepare()
            killed = run_until_call(self.argv(words), n)
            self.check(f"by {words[0]} killed at call {n}")
            if not killed:
                break
            n += step
        self.assertEqual(set(self.files()) ^ set(self.before), set())
        return n

    def kill_at_random(self, words, times, prepare=lambda: None, seed=None):
        seed = seed or random.randrange(1 << 32)
        dice = random.Random(seed)
        prepare()
        started = time.monotonic()
        self.command(*words).wait(timeout=PATIENCE)
        whole = time.monotonic() - started
        self.check("without a kill")
        for _ in range(rounds(times, 5)):
            prepare()
            after = dice.uniform(0, whole * 1.1)
            process = self.command(*words)
            time.sleep(after)
            process.kill()
            process.wait(timeout=PATIENCE)
            self.check(f"by {words[0]} killed after {after * 1000:.2f} ms (seed {seed})")
        self.assertEqual(set(self.files()) ^ set(self.before), set())

    def created(self):
        self.assertEqual(self.command("create", "-b", self.where, "c").wait(timeout=PATIENCE), 0)

    def started(self):
        self.assertEqual(self.command("run", "-d", "-b", self.where, "c").wait(timeout=PATIENCE), 0)


@needs_root
class Kill(KillCase):
    def create_words(self):
        return "create", "-b", self.where, "--pid-file", self.dir / "pid", "c"

    def test_create(self):
        self.make_bundle("sleep", "1000")
        self.kill_at_calls(self.create_words(), step=4)
        self.kill_at_random(self.create_words(), times=60)

    def test_create_with_hooks(self):
        def edit(config):
            def hook(name):
                return [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > /dev/null; sleep 0.004; echo {name} >> {self.dir}/hooks"]}]
            config["hooks"] = {name: hook(name) for name in ("createRuntime", "createContainer", "poststop")}
        (self.dir / "hooks").touch()
        self.make_bundle("sleep", "1000", edit=edit)
        self.kill_at_calls(self.create_words(), step=16)
        self.kill_at_random(self.create_words(), times=25)

    def test_create_while_a_hook_hangs(self):
        """Neither the hook nor init outlives the runtime, wherever the hook runs."""
        for kind in ("prestart", "createRuntime", "createContainer"):
            mark = self.dir / f"mark-{kind}"
            hook = {"path": "/bin/sh", "args": ["sh", "-c", f"touch {mark}; exec sleep 1000"]}
            with self.subTest(kind):
                self.where = self.bundle("sleep", "1000", edit=lambda c: c.update(hooks={kind: [hook]}), name=kind)
                process = self.command("create", "-b", self.where, "c")
                wait_until(mark.exists, f"the {kind} hook")
                process.kill()
                process.wait()
                self.check(f"by create killed in a {kind} hook")

    def test_init_that_is_killed_before_create_ends(self):
        """Whenever that is, create says so and leaves nothing."""
        self.make_bundle("sleep", "1000")
        words, said = self.argv(("create", "-b", self.where, "c")), self.dir / "said"
        def create(n):
            said.write_text("")
            return run_and_kill_child(words, n, said)
        code, seen = create(-1)
        self.assertEqual(code, 0)
        self.check("without a kill")
        said.unlink()
        # The last thing that is seen is init's waiting for start; before that it has said that it is ready. The count varies a little.
        for n in [*range(random.randrange(1, 12), seen - 20, rarely(12)), *range(seen - 20, seen)]:
            code, _ = create(n)
            when = f"by init killed at call {n} of {seen}, after create ended with {code}: {said.read_text()}"
            if code == 0:
                self.assertGreater(n, seen - 16, when)
            else:
                self.assertEqual((code, os.listdir(self.state)), (1, []), when)
                self.assertRegex(said.read_text(), r'^time="[^"]*" level=error msg="keg-runtime create failed: .*"\n$', when)
            said.unlink()
            self.check(when)

    def test_create_in_a_user_namespace(self):
        def edit(config):
            config["linux"]["namespaces"] += [{"type": "user"}, {"type": "time"}]
            for which in ("uidMappings", "gidMappings"):
                config["linux"][which] = [{"containerID": 0, "hostID": 0, "size": 65536}]
        self.make_bundle("sleep", "1000", edit=edit)
        self.kill_at_calls(self.create_words(), step=16)
        self.kill_at_random(self.create_words(), times=25)

    def test_create_that_moves_a_network_device(self):
        made, peer = "keg-kill0", "keg-kill1"
        def device():
            run("ip", "link", "add", made, "type", "veth", "peer", "name", peer, check=False)
        device()
        if not os.path.exists(f"/sys/class/net/{made}"):
            self.skipTest("the kernel makes no veth devices")
        self.addCleanup(run, "ip", "link", "del", made, check=False)
        def edit(config):
            config["linux"]["netDevices"] = {made: {"name": "inside0"}}
        self.make_bundle("sleep", "1000", edit=edit)
        links = set(os.listdir("/sys/class/net")) - {made, peer}
        self.kill_at_calls(self.create_words(), step=40, prepare=device)
        self.kill_at_random(self.create_words(), times=15, prepare=device)
        # The device is in here still, or it ended with the container's network namespace.
        self.assertLessEqual(set(os.listdir("/sys/class/net")) - {made, peer}, links)

    def test_create_that_mounts_for_the_container(self):
        """What the host mounts with other ids, and what it sees of a container without a mount namespace."""
        shared = self.dir / "shared"
        shared.mkdir()
        mapped = [{"containerID": 0, "hostID": 1000, "size": 1000}]
        def edit(config):
            config["mounts"] += [{"destination": "/shared", "source": str(shared), "type": "bind", "options": ["bind"],
                                  "uidMappings": mapped, "gidMappings": mapped}]
        self.make_bundle("sleep", "1000", edit=edit)
        self.kill_at_calls(self.create_words(), step=40)
        self.kill_at_random(self.create_words(), times=15)

    def test_create_without_a_mount_namespace(self):
        def edit(config):
            config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "mount"]
            # A link may lead such mounts elsewhere, and a mount that is shared cannot be moved: those are other tests.
            config["linux"].pop("maskedPaths"), config["linux"].pop("readonlyPaths")
        self.make_bundle("sleep", "1000", edit=edit)
        self.kill_at_calls(self.create_words(), step=20)
        self.kill_at_random(self.create_words(), times=20)
        self.kill_at_calls(("delete", "--force", "c"), step=20, prepare=self.started)

    @unittest.skipUnless(os.path.exists("/sys/fs/resctrl/schemata"), "needs resctrl: a processor that shares out its cache")
    def test_create_with_a_share_of_the_cache(self):
        groups = lambda: {path for path, _, _ in os.walk("/sys/fs/resctrl")}
        before = groups()
        self.make_bundle("sleep", "1000", edit=lambda config: config["linux"].update(intelRdt={"enableMonitoring": True}))
        self.kill_at_random(self.create_words(), times=20)
        self.assertEqual(groups(), before)

    def test_start(self):
        self.make_bundle("sleep", "1000")
        self.kill_at_calls(("start", "c"), step=2, prepare=self.created)
        self.kill_at_random(("start", "c"), times=20, prepare=self.created)

    def test_exec(self):
        self.make_bundle("sleep", "1000")
        words = ("exec", "-d", "--pid-file", self.dir / "pid", "c", "sleep", "2000")
        self.kill_at_calls(words, step=6, prepare=self.started)
        self.kill_at_random(words, times=25, prepare=self.started)

    def test_exec_without_a_pid_namespace(self):
        """There init's death kills nobody else."""
        def edit(config):
            config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]
        self.make_bundle("sleep", "1000", edit=edit)
        self.kill_at_random(("exec", "-d", "c", "sleep", "2000"), times=15, prepare=self.started)

    def test_run(self):
        self.make_bundle("true")
        self.kill_at_calls(("run", "-b", self.where, "c"), step=7)
        self.kill_at_random(("run", "-b", self.where, "c"), times=40)

    def test_delete(self):
        """And its poststop hooks run, if not by the delete that was killed, then by the next."""
        ran = self.dir / "ran"
        ran.touch()
        def edit(config):
            config["hooks"] = {"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > /dev/null; echo x >> {ran}"]}]}
        self.make_bundle("sleep", "1000", edit=edit)
        def prepare():
            self.started()
            ran.write_text("")
        self.hook_log = ran
        self.kill_at_calls(("delete", "--force", "c"), step=3, prepare=prepare)
        self.kill_at_random(("delete", "--force", "c"), times=20, prepare=prepare)
        self.kill_at_calls(("delete", "c"), step=8, prepare=self.created)

    def check(self, when):
        super().check(when)
        if getattr(self, "hook_log", None) and "delete" in when:
            self.assertNotEqual(self.hook_log.read_text(), "", f"no poststop hook {when}")


@unittest.skipUnless(os.path.isdir("/run/systemd/system"), "needs systemd as the first process")
class Systemd(KillCase):
    """With a scope of systemd's, also as an ordinary user with his own service manager."""
    cgroups_path = ":kegkill:{pid}"
    options = ("--systemd-cgroup",)

    def groups(self):
        return [path for path, _, _ in os.walk(CGROUPS) if f"kegkill-{os.getpid()}" in path]

    def units(self):
        return systemctl("list-units", "--all", "--plain", "--no-legend", "kegkill-*")

    def assert_nothing_is_left(self, when):
        wait_until(lambda: not self.units(), f"the end of units {when}", self.units)
        super().assert_nothing_is_left(when)

    def test_create(self):
        self.make_bundle("sleep", "1000")
        words = ("create", "-b", self.where, "c")
        self.kill_at_calls(words, step=16)
        self.kill_at_random(words, times=40)

    def test_init_that_is_killed_before_create_ends(self):
        self.make_bundle("sleep", "1000")
        words, said = self.argv(("create", "-b", self.where, "c")), self.dir / "said"
        for n in range(random.randrange(1, 40), 400, rarely(40)):
            said.write_text("")
            code, _ = run_and_kill_child(words, n, said)
            when = f"by init killed at call {n}, after create ended with {code}: {said.read_text()}"
            said.unlink()
            if code != 0:
                self.assertEqual((code, os.listdir(self.state), self.units()), (1, [], ""), when)
            self.check(when)

    def test_run_and_delete(self):
        self.make_bundle("true")
        self.kill_at_random(("run", "-b", self.where, "c"), times=30)
        self.make_bundle("sleep", "1000", name="sleeping")
        self.kill_at_calls(("delete", "--force", "c"), step=12, prepare=self.started)
        self.kill_at_random(("delete", "--force", "c"), times=15, prepare=self.started)


@needs_root
@needs_criu
class Restored(KillCase):
    def test_checkpoint(self):
        self.make_bundle("sleep", "1000")
        images = self.dir / "images"
        def prepare():
            subprocess.run(["rm", "-rf", str(images)], check=True)
            self.started()
        self.kill_at_random(("checkpoint", "--image-path", images, "c"), times=20, prepare=prepare)

    def test_restore(self):
        self.make_bundle("sleep", "1000")
        images = self.dir / "images"
        self.started()
        self.assertEqual(self.command("checkpoint", "--image-path", images, "c").wait(timeout=PATIENCE), 0)
        self.kill_at_random(("restore", "-d", "-b", self.where, "--image-path", images, "c"), times=25)


@needs_root
class TwoAtOnce(KillCase):
    """Of two commands at once each does what it says, or says why it does not."""

    def both(self, first, second, times, prepare=lambda: None):
        """Starts two commands with a random distance; gives what each answered, and cleans up."""
        words = []
        for _ in range(rounds(times, 5)):
            prepare()
            pair = []
            for command in (first, second):
                pair.append(subprocess.Popen(self.argv(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.PIPE, text=True))
                time.sleep(random.uniform(0, 0.006))
            answers = []
            for process in pair:
                # The container itself may keep our pipe: the runtime's last line is all that we wait for.
                code = process.wait(timeout=PATIENCE)
                answers.append((code, process.stderr.readline() if code else ""))
                process.stderr.close()
            words.append(answers)
            self.check(f"by {first[0]} and {second[0]} with the answers {answers}")
        return words

    def test_two_deletes(self):
        self.make_bundle("sleep", "1000")
        for one, other in self.both(("delete", "--force", "c"), ("delete", "--force", "c"), 15, self.started):
            self.assertEqual((one, other), ((0, ""), (0, "")))
        for answers in self.both(("delete", "c"), ("delete", "c"), 15, self.created):
            self.assertEqual(min(answers), (0, ""))
            self.assertTrue(max(answers) == (0, "") or "container does not exist" in max(answers)[1], answers)
            self.assertEqual([code for code, _ in answers].count(0), 1, answers)

    def test_two_creates(self):
        self.make_bundle("sleep", "1000")
        create = ("create", "-b", self.where, "c")
        for answers in self.both(create, create, 15):
            self.assertEqual([code for code, _ in answers].count(0), 1, answers)
            self.assertIn("container with given ID already exists", max(answers)[1])

    def test_two_starts(self):
        self.make_bundle("sleep", "1000")
        for answers in self.both(("start", "c"), ("start", "c"), 15, self.created):
            self.assertEqual([code for code, _ in answers].count(0), 1, answers)
            self.assertIn("cannot start an already running container", max(answers)[1])

    def test_start_and_kill(self):
        self.make_bundle("sleep", "1000")
        for start, kill in self.both(("start", "c"), ("kill", "c", "KILL"), 15, self.created):
            self.assertEqual(kill, (0, ""))
            self.assertTrue(start[0] == 0 or "cannot start a container that has stopped" in start[1], start)

    def test_create_and_delete(self):
        self.make_bundle("sleep", "1000")
        for create, delete in self.both(("create", "-b", self.where, "c"), ("delete", "--force", "c"), 20):
            self.assertEqual(delete, (0, ""))

    def test_exec_and_delete(self):
        self.make_bundle("sleep", "1000")
        known = ("cannot exec in a stopped container", "container does not exist", "exec failed")
        for entered, delete in self.both(("exec", "-d", "c", "sleep", "2000"), ("delete", "--force", "c"), 20, self.started):
            self.assertEqual(delete, (0, ""))
            self.assertTrue(entered[0] == 0 or any(word in entered[1] for word in known), entered)


if __name__ == "__main__":
    unittest.main()
