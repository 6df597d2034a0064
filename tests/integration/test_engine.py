"""keg's containers under bad circumstances: while they start, on a full disk, with torn files, with volumes that
others use, with readers that go away and terminals that belong to somebody else."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import stat
import subprocess
import tarfile
import time
import unittest

import keg
from keg import PATIENCE, wait_until, waits_for_a_lock


def read_terminal(master, until):
    """What a terminal shows until that is among it, or until it closes."""
    shown = b""
    while until not in shown:
        if not select.select([master], [], [], PATIENCE)[0]:
            raise AssertionError(f"waited in vain for {until} after {shown}")
        try:
            shown += os.read(master, 65536)
        except OSError:
            break
    return shown


def exit_code_of(pid):
    """Of a child, which ends by itself."""
    try:
        _, status = wait_until(lambda: (ended := os.waitpid(pid, os.WNOHANG))[0] and ended, "the end of a command")
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return os.waitstatus_to_exitcode(status)


class EngineCase(keg.StoreCase):
    def start(self, *words, **options):
        return subprocess.Popen([keg.KEG, "--root", str(self.store), *map(str, words)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def on_terminal(self, *words):
        pid, master = pty.fork()
        if pid == 0:
            os.execv(keg.KEG, [keg.KEG, "--root", str(self.store), *words])
        self.addCleanup(os.close, master)
        return pid, master

    def slow_runtime(self):
        """A runtime that waits in `create` until self.go exists; it makes self.waiting when it does."""
        self.waiting, self.go = self.dir / "waiting", self.dir / "go"
        script = self.dir / "slow-runtime"
        script.write_text(f'#!/bin/sh\ncase " $* " in *" create "*) touch {self.waiting}; while [ ! -e {self.go} ]; do sleep 0.05; done;; esac\n'
                          f'exec {keg.RUNTIME} "$@"\n')
        script.chmod(0o755)
        return script

    def containers(self):
        return self.keg("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.split("\n")[:-1]

    def directory_of(self, name):
        return self.store / "containers" / self.keg("inspect", "-f", "{{.Id}}", name).stdout.strip()


@keg.needs_root
class WhileItStarts(EngineCase):
    def starting(self, *words, name="slow"):
        process = self.start("--runtime", self.slow_runtime(), "run", *words, "--network", "none", "--name", name, "base", "sleep", "1000")
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        wait_until(self.waiting.exists, "a runtime in create")
        return process

    def while_it_starts(self, *words):
        """That command, begun while the container starts, which then goes on."""
        starting = self.starting("-d")
        command = self.start(*words)
        time.sleep(0.3)    # a command that has not come so far yet waits all the same: this only shows less then
        self.assertIsNone(command.poll(), "it did not wait")
        self.go.touch()
        out, err = command.communicate(timeout=PATIENCE)
        self.assertEqual(starting.wait(timeout=PATIENCE), 0)
        return command.returncode, out, err

    def test_rm_with_force_waits_for_the_start_and_removes_it(self):
        self.assertEqual(self.while_it_starts("rm", "-f", "slow")[0], 0)
        self.assertEqual(self.containers(), [])

    def test_stop_waits_for_the_start_and_stops_it(self):
        self.assertEqual(self.while_it_starts("stop", "-t", "0", "slow")[0], 0)
        self.assertEqual(self.containers(), ["slow exited"])

    def test_a_second_start_finds_it_running(self):
        self.assertEqual(self.while_it_starts("start", "slow")[0], 0)
        self.assertEqual(self.containers(), ["slow running"])

    def test_rm_without_force_learns_that_it_runs(self):
        code, _, err = self.while_it_starts("rm", "slow")
        self.assertEqual(code, 1)
        self.assertIn("container is running", err)

    def test_an_interrupt_ends_the_start_and_what_it_made_though_the_runtime_hangs(self):
        for options, left in ((["--rm"], []), ([], ["slow created"])):
            process = self.starting(*options)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=PATIENCE), 130)
            wait_until(lambda: self.containers() == left, "the end of the container")
            self.assertNotIn(str(self.store), pathlib.Path("/proc/self/mounts").read_text())
            self.waiting.unlink()

    def test_a_stopped_command_keeps_nobody_from_its_container(self):
        process = self.start("run", "--network", "none", "--name", "held", "base", "sleep", "1000")
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        wait_until(lambda: self.containers() == ["held running"], "the container")
        process.send_signal(signal.SIGSTOP)
        self.keg("rm", "-f", "held")
        self.assertEqual(self.containers(), [])


@keg.needs_root
class Refused(EngineCase):
    def test_options_that_cannot_be_leave_no_container(self):
        for words, says in (
                (["-m", "4m"], "Minimum memory limit allowed is 6MB"),
                (["--memory-swap", "1g"], "You should always set the Memory limit"),
                (["--cpuset-cpus", "9999"], "Requested CPUs are not available - requested 9999, available: "),
                (["--cpuset-mems", "77"], "Requested memory nodes are not available"),
                (["--cap-add", "BOGUS"], 'invalid CapAdd: unknown capability: "CAP_BOGUS"'),
                (["--security-opt", "bogus=1"], "invalid --security-opt"),
                (["--mount", "type=bind,src=/nosuch,dst=/x"], "bind source path does not exist: /nosuch"),
                (["--mount", "type=bind,src=/tmp,dst=/x,bind-propagation=bogus"], "invalid propagation mode: bogus"),
                (["--oom-score-adj", "5000"], '"5000" for "--oom-score-adj" flag'),
                (["--device", "/dev/nosuch"], '"/dev/nosuch"'),
                (["--tmpfs", "/t:bogus"], 'invalid tmpfs option "bogus"'),
                (["--dns", "notanip"], "notanip is not an ip address"),
                (["--add-host", "x:999.1.1.1"], 'invalid IP address in add-host: "999.1.1.1"'),
                (["--label", "=x"], "invalid label '=x': empty name"),
                (["-a", "stdout", "-d"], "cannot specify both --attach and --detach"),
                (["--pids-limit", "99999999999"], '"99999999999" for "--pids-limit" flag: value out of range'),
                (["--pids-limit", "many"], 'parsing "many": invalid syntax'),
                (["--stop-timeout", "4294967296"], "value out of range"),
                (["-c", "-1"], '"-1" for "-c, --cpu-shares" flag: value out of range'),
        ):
            with self.subTest(words=words):
                failed = self.fails("run", "--network", "none", "--name", "web", *words, "base", "true", code=125, says=says)
                self.assertRegex(failed.stderr, r"\Akeg: [^\n]*\n(See '[^\n]*\n)?\Z")
                self.assertEqual(self.containers(), [])
        self.keg("run", "--network", "none", "--name", "web", "base", "true")

    def test_options_have_their_effect(self):
        run = lambda *words: self.keg("run", "--rm", "--network", "none", *words)
        self.assertEqual(run("--domainname", "example.org", "base", "cat", "/proc/sys/kernel/domainname").stdout, "example.org\n")
        both = ["base", "sh", "-c", "echo out; echo err >&2"]
        for stream, out, err in (("stdout", "out\n", ""), ("STDERR", "", "err\n")):
            result = run("-a", stream, *both)
            self.assertEqual((result.stdout, result.stderr), (out, err))
        self.assertEqual(run("--shm-size", "0", "base", "sh", "-c", "df -m /dev/shm | awk 'END {print $2}'").stdout, "64\n")

    def test_a_long_time_to_stop_is_a_long_time(self):
        self.keg("run", "-d", "--network", "none", "--name", "patient", "base", "sh", "-c", "trap 'sleep 2; exit 3' TERM; echo up; while :; do sleep 0.05; done")
        wait_until(lambda: self.keg("logs", "patient").stdout == "up\n", "the program")
        self.keg("stop", "-t", "4294968", "patient")
        self.assertEqual(self.keg("inspect", "-f", "{{.State.ExitCode}}", "patient").stdout, "3\n")
        self.fails("stop", "-t", "9999999999", "patient", code=125, says='invalid argument "9999999999" for "-t, --time" flag: value out of range')


@keg.needs_root
class FullDisk(EngineCase):
    def setUp(self):
        super().setUp()
        small = self.dir / "small"
        small.mkdir()
        keg.run("mount", "-t", "tmpfs", "-o", "size=9m", "none", small)
        self.addCleanup(keg.run, "umount", "-l", small, check=False)
        self.store, self.full = small / "store", small / "full"
        self.addCleanup(self.remove_containers)
        self.keg("import", self.dir / "busybox.tar", "base")

    def fill(self):
        with open(self.full, "wb", buffering=0) as full:
            for size in (65536, 4096, 1):
                try:
                    while full.write(bytes(size)):
                        pass
                except OSError:
                    pass

    def test_the_exit_code_reaches_everybody(self):
        told = self.dir / "told"
        told.mkdir()
        process = self.start("run", "--network", "none", "--name", "full", "-v", f"{told}:/told", "base",
                             "sh", "-c", "until [ -e /told/to-end ]; do sleep 0.05; done; exit 7")
        wait_until(lambda: self.containers() == ["full running"], "the container")
        waiter = self.start("wait", "full")
        wait_until(lambda: waits_for_a_lock(waiter), "keg wait to wait")
        self.fill()
        (told / "to-end").touch()
        self.assertEqual(process.wait(timeout=PATIENCE), 7)
        process.communicate()
        self.assertEqual(waiter.communicate(timeout=PATIENCE)[0], "7\n")
        self.assertEqual(self.keg("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "full").stdout, "exited 7\n")
        self.assertNotIn(f"{self.store}/containers", pathlib.Path("/proc/self/mounts").read_text())
        self.keg("rm", "full")
        self.assertEqual(self.containers(), [])

    def test_a_container_that_filled_it_can_be_removed_with_all_it_had(self):
        self.keg("run", "-d", "--name", "full", "-p", "0:80", "base", "sh", "-c", "i=0; while [ $i -lt 60 ]; do seq 20000; i=$((i+1)); done; sleep 1000")
        # The log goes on in pieces, and ends before one that does not fit.
        wait_until(lambda: os.statvfs(self.store).f_bavail * os.statvfs(self.store).f_frsize < 1 << 20, "an almost full disk")
        self.fill()
        self.keg("rm", "-f", "full")
        hash8 = __import__("hashlib").sha256(os.path.realpath(self.store).encode()).hexdigest()[:8]
        wait_until(lambda: not [link for link in os.listdir("/sys/class/net") if hash8 in link], "the end of its network")
        wait_until(lambda: hash8 not in keg.run("nft", "list", "tables").stdout, "the end of its rules")

    def test_the_log_has_whole_lines_only(self):
        self.keg("run", "--network", "none", "--name", "full", "base", "sh", "-c", "i=0; while [ $i -lt 40 ]; do seq 20000; i=$((i+1)); done; exit 3", check=False)
        for line in (self.directory_of("full") / "log").read_text().splitlines():
            json.loads(line)
        self.assertEqual(self.keg("inspect", "-f", "{{.State.ExitCode}}", "full").stdout, "3\n")


@keg.needs_root
class Damaged(EngineCase):
    def setUp(self):
        super().setUp()
        for name in ("torn", "sound"):
            self.keg("create", "--network", "none", "--name", name, "base", "true")
        self.torn = self.directory_of("torn")

    def test_torn_settings_concern_one_container(self):
        for text in ("", "{", "{}", "null", '{"id": 5}', "\0" * 4096):
            with self.subTest(text=text):
                (self.torn / "settings.json").write_text(text)
                shown = self.keg("ps", "-a", "--format", "{{.Names}}")
                self.assertEqual(shown.stdout, "sound\n")
                self.assertEqual(shown.stderr.count(self.torn.name), 1, shown.stderr)
                self.assertNotIn("map::at", shown.stderr)
                self.keg("image", "prune", "-f")
                self.assertEqual(self.keg("start", "-a", "sound").returncode, 0)
                for words in (["start", "torn"], ["inspect", "torn"], ["logs", "torn"], ["rm", "torn"], ["stop", "torn"]):
                    self.fails(*words, code=1, says="is damaged: settings.json")
        self.fails("run", "--name", "torn", "base", "true", code=125)
        self.keg("rm", "-f", "torn")
        self.assertEqual(self.containers(), ["sound exited"])
        self.assertFalse(self.torn.exists())
        self.keg("create", "--network", "none", "--name", "torn", "base", "true")   # the name is free

    def test_a_torn_state_is_called_dead_and_can_be_started_or_removed(self):
        for text in ("", "[1]", '{"status": 7}'):
            (self.torn / "state.json").write_text(text)
            shown = self.keg("ps", "-a", "--format", "{{.Names}} {{.Status}}", "--filter", "name=torn")
            self.assertEqual(shown.stdout, "torn Dead\n")
            self.assertIn(self.torn.name, shown.stderr)
        self.keg("start", "-a", "torn")
        self.assertEqual(sorted(self.containers()), ["sound created", "torn exited"])
        (self.torn / "state.json").write_text("")
        self.keg("rm", "torn")
        self.assertEqual(self.containers(), ["sound created"])

    def test_a_running_container_with_torn_files_is_killed_by_rm(self):
        self.keg("run", "-d", "--network", "none", "--name", "runs", "base", "sleep", "1000")
        directory = self.directory_of("runs")
        pid = int(self.keg("inspect", "-f", "{{.State.Pid}}", "runs").stdout)
        for name in ("settings.json", "state.json"):
            (directory / name).write_text("")
        self.keg("rm", "-f", "runs")
        self.assertFalse(directory.exists())
        wait_until(lambda: not os.path.exists(f"/proc/{pid}/root/bin"), "the end of its process")
        self.assertNotIn(str(directory), pathlib.Path("/proc/self/mounts").read_text())

    def test_what_would_have_removed_itself_goes_with_the_next_run(self):
        self.keg("create", "--rm", "--network", "none", "--name", "gone", "base", "true")
        directory = self.directory_of("gone")
        (directory / "settings.json").write_text("")   # as a power cut leaves what was never synced
        self.keg("run", "--rm", "--network", "none", "base", "true")
        self.assertFalse(directory.exists())

    def test_anothers_process_is_never_taken_for_the_containers(self):
        self.keg("run", "-d", "--network", "none", "--name", "reused", "base", "sleep", "1000")
        directory = self.directory_of("reused")
        pid = int(self.keg("inspect", "-f", "{{.State.Pid}}", "reused").stdout)
        monitor = int(re.search(r"PPid:\s*(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
        os.kill(monitor, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}/root/bin"), "the end of its process")
        with subprocess.Popen(["sleep", "1000"]) as other:   # has the number now
            self.addCleanup(other.kill)
            state = json.loads((directory / "state.json").read_text())
            state["pid"] = other.pid
            (directory / "state.json").write_text(json.dumps(state))
            self.assertEqual(self.keg("ps", "-q").stdout, "")
            self.fails("kill", "reused", code=1, says="is not running")
            self.fails("exec", "reused", "true", code=1, says="is not running")
            self.keg("stop", "-t", "0", "reused")
            self.keg("rm", "-f", "reused")
            self.assertIsNone(other.poll())
            other.kill()


@keg.needs_root
class Volumes(EngineCase):
    def run_with(self, volume, *words, image="base", **options):
        return self.keg("run", "--rm", "--network", "none", "-v", volume, image, *words, **options)

    def image_with(self, script):
        (self.dir / "Dockerfile").write_text(f"FROM base\nRUN {script}\n")
        self.keg("build", "-q", "-t", "filled", "-f", self.dir / "Dockerfile", "--network", "none", self.dir)

    def test_containers_share_one_directory_whenever_they_start(self):
        self.keg("run", "-d", "--network", "none", "--name", "first", "-v", "shared:/v", "base", "sleep", "1000")
        self.run_with("shared:/v", "sh", "-c", "echo other > /v/other")
        self.assertEqual(self.keg("exec", "first", "sh", "-c", "ls /v; echo own > /v/own").stdout, "other\n")
        self.assertEqual(self.run_with("shared:/v", "ls", "/v").stdout, "other\nown\n")

    def test_an_empty_one_keeps_its_owner_and_mode(self):
        self.run_with("owned:/v", "sh", "-c", "chown 5:6 /v; chmod 2750 /v")
        self.assertEqual(self.run_with("owned:/v", "stat", "-c", "%u %g %a", "/v").stdout, "5 6 2750\n")

    def test_everybody_sees_the_images_files_or_waits(self):
        self.image_with("mkdir /data; i=0; while [ $i -lt 2000 ]; do echo $i > /data/f$i; i=$((i+1)); done")
        runs = [self.start("run", "--rm", "--network", "none", "-v", "many:/data", "filled", "sh", "-c", "ls /data | wc -l") for _ in range(4)]
        self.assertEqual([run.communicate(timeout=PATIENCE) for run in runs], [("2000\n", "")] * 4)

    def test_a_copy_that_was_killed_is_made_anew(self):
        self.image_with("mkdir /data; echo one > /data/one; echo two > /data/two")
        volume = self.store / "volumes/half"
        (volume / "filling.1").mkdir(parents=True)
        (volume / "filling.1/one").write_text("half")
        self.assertEqual(self.run_with("half:/data", "cat", "/data/one", "/data/two", image="filled").stdout, "one\ntwo\n")
        self.assertEqual(sorted(os.listdir(volume)), ["_data", "lock"])
        # One that was whole, and only half moved into a volume that was there.
        (volume / "filled").mkdir()
        (volume / "filled/three").write_text("three\n")
        self.assertEqual(self.run_with("half:/data", "cat", "/data/one", "/data/three", image="filled").stdout, "one\nthree\n")

    def test_an_empty_volume_is_filled_under_those_that_have_it(self):
        self.image_with("mkdir -p /data/sub; echo one > /data/sub/one; chown 7:7 /data")
        self.keg("run", "-d", "--network", "none", "--name", "first", "-v", "late:/v", "base", "sleep", "1000")
        self.run_with("late:/data", "true", image="filled")
        self.assertEqual(self.keg("exec", "first", "sh", "-c", "cat /v/sub/one; stat -c %u /v").stdout, "one\n7\n")

    def test_the_copy_is_like_the_image(self):
        self.image_with("mkdir -m 1777 /data; cd /data; echo text > file; ln file again; ln -s /etc/passwd link; mkfifo -m 600 fifo; mknod node c 1 3;"
                        " chown 5:6 file; chmod 4711 file; mkdir deep; touch -d '2001-02-03 04:05:06' file deep")
        script = "cd /data; stat -c '%n %F %u %g %a %h %Y' file again fifo deep .; stat -c '%F %t %T' node; readlink link; cat file"
        plain = lambda text: re.sub(r"(?m)^((?:fifo|\.) .*) \d+$", r"\1", text)   # when those were made is of no interest
        wanted = self.keg("run", "--rm", "--network", "none", "filled", "sh", "-c", script).stdout
        self.assertEqual(plain(self.run_with("like:/data", "sh", "-c", script, image="filled").stdout), plain(wanted))

    def test_what_containers_keep_is_out_of_reach_for_the_hosts_users(self):
        self.run_with("private:/v", "sh", "-c", "cp /bin/busybox /v/id; chmod 4755 /v/id")
        self.keg("create", "--network", "none", "--name", "private", "base", "true")
        self.assertTrue((self.store / "volumes/private/_data/id").stat().st_mode & stat.S_ISUID)
        os.chmod(self.dir, 0o755)
        os.chmod(self.store, 0o755)   # even if somebody opens the store itself
        reach = lambda path: keg.run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "test", "-x", path, check=False).returncode
        self.assertNotEqual(reach(self.store / "volumes/private/_data/id"), 0)
        self.assertNotEqual(reach(self.directory_of("private") / "upper"), 0)
        # The container's own users come to it by their mount.
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "-u", "nobody", "-v", "private:/v", "base", "ls", "/v").stdout, "id\n")


@keg.needs_root
class Export(EngineCase):
    def exported(self, name):
        self.keg("export", "-o", self.dir / "out.tar", name)
        with tarfile.open(self.dir / "out.tar") as tar:
            return {member.name: member for member in tar.getmembers()}, (self.dir / "out.tar").read_bytes()

    def test_what_the_image_and_the_container_make_together_without_volumes(self):
        self.keg("run", "--name", "one", "--network", "none", "-v", "/data", "base", "sh", "-c",
                 "echo hi > /new; ln -s new /link; ln /new /hard; mkdir /d; chown 5:6 /d; chmod 1777 /d; rm /bin/sh; echo no > /data/no")
        members, data = self.exported("one")
        self.assertIn("bin", members)
        self.assertNotIn("bin/sh", members)
        self.assertNotIn("data/no", members)
        self.assertEqual((members["link"].linkname, members["d"].uid, members["d"].gid, members["d"].mode), ("new", 5, 6, 0o1777))
        self.assertEqual({members["new"].type, members["hard"].type}, {tarfile.REGTYPE, tarfile.LNKTYPE})
        self.assertFalse([name for name in members if ".wh." in name])
        # The same to standard output, and again: nothing of it changes the container.
        shown = subprocess.run([keg.KEG, "--root", self.store, "export", "one"], stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(shown, data)
        self.keg("import", self.dir / "out.tar", "again")
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "again", "/bin/busybox", "cat", "/hard").stdout, "hi\n")

    def test_of_a_container_that_runs_and_of_one_that_never_did(self):
        self.keg("run", "-d", "--name", "up", "--network", "none", "base", "sh", "-c", "echo hi > /new; exec sleep 1000")
        keg.wait_until(lambda: self.keg("exec", "up", "cat", "/new", check=False).stdout, "what the container writes")
        self.assertIn("new", self.exported("up")[0])
        self.assertEqual(self.containers(), ["up running"])
        self.keg("create", "--name", "new", "--network", "none", "base", "true")
        self.assertIn("bin/sh", self.exported("new")[0])
        self.keg("rm", "-f", "up", "new")

    def test_half_an_export_is_not_left(self):
        self.keg("create", "--name", "new", "--network", "none", "base", "true")
        shown = subprocess.run([keg.KEG, "--root", self.store, "export", "new"], stdout=open("/dev/full", "w"), stderr=subprocess.PIPE, text=True)
        self.assertEqual((shown.returncode, shown.stderr), (1, "keg: writing the archive: write: no space left on device\n"))
        self.assertIn("is a directory", self.keg("export", "-o", self.dir, "new", check=False).stderr)
        self.assertEqual(os.listdir(self.store / "tmp"), [])


@keg.needs_root
class Streams(EngineCase):
    def test_a_reader_that_has_enough_ends_the_command(self):
        process = self.start("run", "--network", "none", "--name", "talks", "base", "yes")
        self.assertEqual(process.stdout.readline(), "y\n")
        process.stdout.close()
        self.assertEqual(process.wait(timeout=PATIENCE), 1)
        self.assertIn("broken pipe", process.stderr.read())
        process.stderr.close()
        self.keg("rm", "-f", "talks")

    def test_a_terminal_is_read_by_the_foreground_only(self):
        pid, master = pty.fork()
        if pid == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**os.environ, "TERM": "dumb"})
        self.addCleanup(os.close, master)
        os.write(master, b"PS1='shell> '\n")
        read_terminal(master, b"\nshell> ")
        os.write(master, f"{keg.KEG} --root {self.store} run -i --network none --name back base cat &\n".encode())
        wait_until(lambda: self.containers() == ["back running"], "the container")
        for number in range(5):
            os.write(master, b"echo typed-$((100+%d))\n" % number)
            self.assertIn(b"typed-%d" % (100 + number), read_terminal(master, b"typed-%d" % (100 + number)))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.assertEqual(self.keg("logs", "back").stdout, "")

    def test_what_is_typed_arrives_and_its_end_too(self):
        pid, master = self.on_terminal("run", "--rm", "-i", "--network", "none", "base", "cat")
        os.write(master, b"to the cat\n")
        self.assertEqual(read_terminal(master, b"to the cat\r\nto the cat\r\n"), b"to the cat\r\nto the cat\r\n")   # the echo, and the cat
        os.write(master, b"\x04")
        self.assertEqual(exit_code_of(pid), 0)

    def test_exec_can_be_left_by_its_keys(self):
        self.keg("run", "-d", "--network", "none", "--name", "keys", "base", "sleep", "1000")
        pid, master = self.on_terminal("exec", "-it", "keys", "cat")
        os.write(master, b"hello\n")
        read_terminal(master, b"hello\r\nhello\r\n")
        os.write(master, b"\x10\x11")
        self.assertEqual(exit_code_of(pid), 0)
        time.sleep(0.3)
        self.assertIn("cat", self.keg("exec", "keys", "ps").stdout)   # it goes on
        self.keg("rm", "-f", "keys")

    def test_exec_on_a_terminal_gives_the_exit_code_and_the_error(self):
        self.keg("run", "-d", "--network", "none", "--name", "codes", "base", "sleep", "1000")
        pid, master = self.on_terminal("exec", "-it", "codes", "sh", "-c", "tty; exit 5")
        self.assertIn(b"/dev/pts/", read_terminal(master, b"\r\n"))
        self.assertEqual(exit_code_of(pid), 5)
        pid, master = self.on_terminal("exec", "-it", "codes", "no-such-program")
        self.assertIn(b"executable file not found", read_terminal(master, b"not found"))
        self.assertEqual(exit_code_of(pid), 127)

    def test_logs_follow_a_log_that_is_copied_and_truncated(self):
        self.keg("run", "-d", "--network", "none", "--name", "rotated", "base", "sh", "-c", "i=0; while :; do i=$((i+1)); echo line-$i; sleep 0.05; done")
        log = self.directory_of("rotated") / "log"
        with self.start("logs", "-f", "rotated") as follower:
            self.addCleanup(follower.kill)
            self.assertEqual(follower.stdout.readline(), "line-1\n")
            wait_until(lambda: log.stat().st_size > 1000, "a log of some length")
            os.truncate(log, 0)
            last = int(follower.stdout.readline().split("-")[1])
            for _ in range(20):
                number = int(follower.stdout.readline().split("-")[1])
                self.assertGreater(number, last)
                last = number
            follower.kill()
            follower.communicate()

    def test_a_damaged_line_of_the_log_hides_no_other(self):
        self.keg("run", "--network", "none", "--name", "noted", "base", "sh", "-c", "echo one; echo two")
        log = self.directory_of("noted") / "log"
        lines = log.read_text().splitlines(keepends=True)
        log.write_text(lines[0] + '{"log":"to\n' + "\0\0\n" + lines[1])
        shown = self.keg("logs", "noted")
        self.assertEqual(shown.stdout, "one\ntwo\n")
        self.assertIn("damaged", shown.stderr)

    def test_a_build_passes_a_line_without_an_end_on_in_pieces(self):
        (self.dir / "Dockerfile").write_text('FROM base\nRUN head -c 3000000 /dev/zero | tr "\\\\0" y\n')
        shown = self.keg("build", "--progress", "plain", "--network", "none", "-f", self.dir / "Dockerfile", self.dir)
        self.assertGreaterEqual((shown.stdout + shown.stderr).count("y"), 3_000_000)


@keg.needs_root
class Files(EngineCase):
    def test_what_keg_writes_is_for_root_alone_and_what_the_container_needs_is_not(self):
        keg.run("sh", "-c", f"umask 077; {keg.KEG} --root {self.store} create --network bridge --name made -u nobody -w /made/here base cat /etc/hosts")
        directory = self.directory_of("made")
        self.assertEqual(stat.S_IMODE((directory / "settings.json").stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(directory.stat().st_mode), 0o700)
        result = keg.run("sh", "-c", f"umask 077; {keg.KEG} --root {self.store} start -a made")
        self.assertIn("localhost", result.stdout)
        self.assertEqual(stat.S_IMODE((directory / "upper/made/here").stat().st_mode), 0o755)
        self.assertEqual(stat.S_IMODE((directory / "state.json").stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE((directory / "log").stat().st_mode) & 0o007, 0)

    def test_long_lines_are_kept_in_pieces_of_16_kib(self):
        self.keg("run", "--network", "none", "--name", "long", "base", "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo")
        pieces = [json.loads(line)["log"] for line in (self.directory_of("long") / "log").read_text().splitlines()]
        self.assertEqual([len(piece) for piece in pieces], [16384, 16384, 40001 - 2 * 16384])
        self.assertEqual(self.keg("logs", "long").stdout, "x" * 40000 + "\n")


if __name__ == "__main__":
    unittest.main()
