"""What a container's monitor does while it runs and when it ends: it starts it again by its policy, asks it for its
health, keeps its log short, lets others attach, and tells what has happened."""
import contextlib
import json
import os
import signal
import subprocess
import time

import keg
from keg import PATIENCE, wait_until
from test_engine import EngineCase, exit_code_of, read_terminal


class WatchCase(EngineCase):
    def run_detached(self, name, *words):
        """Options and a command; the image stands for itself."""
        self.keg("run", "-d", "--network", "none", "--name", name, *words)

    def state(self, name, field="Status"):
        return self.keg("inspect", "-f", "{{.State.%s}}" % field, name).stdout.strip()

    def restarts(self, name):
        return int(self.keg("inspect", "-f", "{{.RestartCount}}", name).stdout)


@keg.needs_root
class Restart(WatchCase):
    def test_on_failure_tries_as_often_as_it_was_told_and_keeps_the_exit_code(self):
        self.run_detached("fails", "--restart", "on-failure:2", "base", "sh", "-c", "echo run; exit 3")
        wait_until(lambda: self.state("fails") == "exited", "the last try")
        self.assertEqual(self.keg("logs", "fails").stdout, "run\n" * 3)
        self.assertEqual((self.state("fails", "ExitCode"), self.restarts("fails")), ("3", 2))
        self.keg("start", "fails")     # by hand: it counts anew
        wait_until(lambda: self.keg("logs", "fails").stdout == "run\n" * 6, "three more")

    def test_on_failure_is_content_with_a_success(self):
        self.run_detached("good", "--restart", "on-failure", "base", "true")
        wait_until(lambda: self.state("good") == "exited", "its end")
        self.assertEqual(self.restarts("good"), 0)

    def test_always_goes_on_until_it_is_stopped(self):
        self.run_detached("always", "--restart", "always", "base", "true")
        wait_until(lambda: self.restarts("always") >= 2, "restarts")
        wait_until(lambda: self.state("always") == "restarting", "a pause")
        self.assertIn("Restarting (0)", self.keg("ps", "--format", "{{.Status}}").stdout)
        self.keg("stop", "always")
        self.assertEqual((self.state("always"), self.state("always", "ExitCode")), ("exited", "0"))
        self.keg("rm", "always")

    def test_who_is_stopped_while_he_runs_stays_down(self):
        self.run_detached("stays", "--restart", "always", "--stop-signal", "KILL", "base", "sleep", "1000")
        self.keg("stop", "stays")
        self.assertEqual((self.state("stays"), self.restarts("stays")), ("exited", 0))
        self.keg("start", "stays")
        self.keg("kill", "stays")
        wait_until(lambda: self.state("stays") == "exited", "its end")

    def test_one_that_restarts_can_be_removed_at_any_time(self):
        for number in range(keg.rounds(10)):
            self.run_detached("gone", "--restart", "always", "base", "true")
            if number % 2:
                wait_until(lambda: self.restarts("gone") >= 1, "a restart")
            self.keg("rm", "-f", "gone")
        self.assertEqual(self.containers(), [])

    def test_the_command_in_the_foreground_ends_with_the_first_run(self):
        code = self.keg("run", "--network", "none", "--name", "front", "--restart", "always", "base", "sh", "-c", "sleep 0.1; exit 4", check=False).returncode
        self.assertEqual(code, 4)
        wait_until(lambda: self.restarts("front") >= 1, "a restart")
        self.assertEqual(self.keg("wait", "front").stdout, "4\n")

    def test_update_changes_the_policy_of_one_that_runs(self):
        self.run_detached("calm", "--restart", "always", "base", "sleep", "0.5")
        self.keg("update", "--restart", "no", "calm")
        wait_until(lambda: self.state("calm") == "exited", "its end")
        self.assertEqual(self.keg("inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", "calm").stdout, "no\n")

    def test_after_a_boot_those_run_again_that_their_policy_wants(self):
        for name, policy in (("al", "always"), ("un", "unless-stopped"), ("stopped", "unless-stopped"), ("no", "no")):
            self.run_detached(name, "--restart", policy, "--stop-signal", "KILL", "base", "sleep", "1000")
        self.keg("create", "--network", "none", "--name", "created", "--restart", "always", "base", "sleep", "1000")
        self.keg("stop", "stopped", "al")
        pids = [self.state(name, "Pid") for name in ("un", "no")]
        for name in ("un", "no"):      # as a power cut leaves them: the state says that they run, and of another boot
            file = self.directory_of(name) / "state.json"
            state = json.loads(file.read_text())
            state["boot"] = "another"
            file.write_text(json.dumps(state))
        self.assertEqual(self.state("un"), "running")     # its monitor lives: nothing is taken for granted
        for monitor in keg.processes_of(f"--root {self.store} run"):
            os.kill(int(monitor), signal.SIGKILL)
        wait_until(lambda: self.state("un") == "exited", "it to be taken for one of before the boot")
        self.keg("system", "start")
        self.assertEqual(sorted(self.containers()), ["al running", "created created", "no exited", "stopped exited", "un running"])
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def test_policies_that_cannot_be_are_refused(self):
        for words, says in ((["--restart", "sometimes"], "unknown policy 'sometimes'"),
                            (["--restart", "always:3"], "maximum retry count can only be used with 'on-failure'"),
                            (["--restart", "on-failure:x"], "maximum retry count must be an integer"),
                            (["--restart", "always", "--rm"], "cannot specify both --restart and --rm")):
            self.fails("run", "--network", "none", *words, "base", "true", code=125, says=says)
        self.assertEqual(self.containers(), [])


@keg.needs_root
class Health(WatchCase):
    def test_a_check_says_what_ps_and_inspect_show(self):
        self.run_detached("checked", "--health-cmd", "test -e /ok || { echo not yet; exit 1; }", "--health-interval", "100ms", "--health-retries", "2", "base", "sleep", "1000")
        health = lambda: self.state("checked", "Health.Status")
        wait_until(lambda: health() == "unhealthy", "two failures")
        self.assertIn("(unhealthy)", self.keg("ps", "--format", "{{.Status}}").stdout)
        log = json.loads(self.keg("inspect", "checked").stdout)[0]["State"]["Health"]["Log"]
        self.assertEqual((log[-1]["ExitCode"], log[-1]["Output"]), (1, "not yet\n"))
        self.keg("exec", "checked", "touch", "/ok")
        wait_until(lambda: health() == "healthy", "a success")
        self.assertEqual(self.keg("ps", "-q", "--filter", "health=healthy").stdout.count("\n"), 1)
        told = self.keg("events", "--since", "1h", "--until", "0s", "--filter", "event=health_status").stdout
        self.assertEqual([line.split("health_status: ")[1].split()[0] for line in told.splitlines()], ["unhealthy", "healthy"])

    def test_a_check_that_takes_too_long_is_killed_and_counts_as_a_failure(self):
        self.run_detached("slow", "--health-cmd", "sleep 1000", "--health-interval", "50ms", "--health-timeout", "100ms", "--health-retries", "1", "base", "sleep", "2000")
        wait_until(lambda: self.state("slow", "Health.Status") == "unhealthy", "a failure")
        log = json.loads(self.keg("inspect", "slow").stdout)[0]["State"]["Health"]["Log"]
        self.assertEqual(log[0]["ExitCode"], -1)
        self.assertIn("exceeded timeout", log[0]["Output"])
        self.keg("update", "--restart", "no", "slow")
        self.keg("pause", "slow")      # a paused one is not asked, and nothing piles up
        self.keg("unpause", "slow")
        self.assertLess(self.keg("exec", "slow", "ps").stdout.count("sleep 1000"), 4)

    def test_failures_do_not_count_while_it_may_start(self):
        self.run_detached("starts", "--health-cmd", "false", "--health-interval", "50ms", "--health-start-interval", "50ms", "--health-start-period", "1000s",
                          "--health-retries", "1", "base", "sleep", "1000")
        wait_until(lambda: len(json.loads(self.keg("inspect", "starts").stdout)[0]["State"]["Health"]["Log"]) >= 3, "three checks")
        self.assertEqual(self.state("starts", "Health.Status"), "starting")

    def test_the_images_check_holds_unless_it_is_switched_off(self):
        (self.dir / "Dockerfile").write_text("FROM base\nHEALTHCHECK --interval=100ms CMD true\n")
        self.keg("build", "-t", "checks", self.dir)
        self.run_detached("image", "checks", "sleep", "1000")
        wait_until(lambda: self.state("image", "Health.Status") == "healthy", "a success")
        self.run_detached("off", "--no-healthcheck", "checks", "sleep", "1000")
        self.assertNotIn("Health", json.loads(self.keg("inspect", "off").stdout)[0]["State"])
        self.fails("run", "--no-healthcheck", "--health-cmd", "true", "checks", "true", code=125, says="--no-healthcheck conflicts with --health-* options")
        self.fails("run", "--health-cmd", "true", "--health-interval", "1us", "checks", "true", code=125, says="cannot be less than 1ms")


@keg.needs_root
class Attach(WatchCase):
    def attached(self, name, *words, **options):
        process = subprocess.Popen([keg.KEG, "--root", str(self.store), "attach", *words, name], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def test_streams_go_both_ways_and_the_exit_code_comes_back(self):
        self.run_detached("both", "-i", "base", "sh", "-c", "while read line; do echo out-$line; echo err-$line >&2; [ $line = end ] && exit 6; done")
        process = self.attached("both")
        process.stdin.write("one\nend\n")
        process.stdin.flush()
        self.assertEqual(process.wait(timeout=PATIENCE), 6)
        self.assertEqual((process.stdout.read(), process.stderr.read()), ("out-one\nout-end\n", "err-one\nerr-end\n"))
        process.stdin.close()

    def test_several_see_the_same_and_a_dead_one_hurts_nobody(self):
        self.run_detached("many", "-i", "base", "cat")
        first, second, dead = (self.attached("many") for _ in range(3))
        dead.stdin.close()
        for one in (first, second):
            one.stdin.write("x\n")
            one.stdin.flush()
        for one in (first, second):
            self.assertEqual([one.stdout.readline(), one.stdout.readline()], ["x\n", "x\n"])
        dead.kill()
        dead.wait()
        first.stdin.write("y\n")
        first.stdin.flush()
        self.assertEqual(second.stdout.readline(), "y\n")
        self.keg("rm", "-f", "many")
        self.assertEqual((first.wait(timeout=PATIENCE), second.wait(timeout=PATIENCE)), (137, 137))
        first.stdin.close(), second.stdin.close()

    def test_a_terminal_can_be_left_by_keys_of_ones_own_and_joined_again(self):
        pid, master = self.on_terminal("run", "-it", "--network", "none", "--detach-keys", "ctrl-a,d", "--name", "keys", "base", "cat")
        os.write(master, b"hello\n")
        read_terminal(master, b"hello\r\nhello\r\n")
        os.write(master, b"\x01d")
        self.assertEqual(exit_code_of(pid), 0)
        pid, master = self.on_terminal("attach", "--detach-keys", "ctrl-x,x", "keys")
        os.write(master, b"again\n")
        read_terminal(master, b"again\r\nagain\r\n")
        os.write(master, b"\x18x")
        self.assertEqual(exit_code_of(pid), 0)
        self.assertEqual(self.state("keys"), "running")
        self.fails("attach", "--detach-keys", "ctrl-1", "keys", says="Invalid detach keys provided")

    def test_three_interrupts_free_the_prompt_and_the_container_goes_on(self):
        self.run_detached("deaf", "base", "sh", "-c", "trap '' INT; while :; do echo tick; sleep 0.05; done")
        process = self.attached("deaf")
        self.assertEqual(process.stdout.readline(), "tick\n")
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)      # two that wait at once are one
        wait_until(lambda: process.poll() is not None or process.send_signal(signal.SIGINT), "its end")
        self.assertEqual(process.wait(), 1)
        self.assertIn("got 3 SIGTERM/SIGINTs, forcefully exiting", process.stderr.read())
        self.assertEqual(self.state("deaf"), "running")
        process.stdin.close()

    def test_what_cannot_be_attached_to_says_so(self):
        self.keg("create", "--network", "none", "--name", "down", "base", "true")
        self.fails("attach", "down", says="You cannot attach to a stopped container, start it first")
        self.run_detached("frozen", "base", "sleep", "1000")
        self.keg("pause", "frozen")
        self.fails("attach", "frozen", says="You cannot attach to a paused container, unpause it first")


@keg.needs_root
class Logs(WatchCase):
    def test_a_log_has_no_more_files_than_it_was_told_and_is_read_from_the_oldest(self):
        self.run_detached("chatty", "--log-opt", "max-size=2k", "--log-opt", "max-file=3", "--log-opt", "compress=true", "base",
                          "sh", "-c", "for i in $(seq 1 300); do echo line $i; done")
        wait_until(lambda: self.state("chatty") == "exited", "its end")
        files = sorted(path.name for path in self.directory_of("chatty").glob("log*"))
        wait_until(lambda: sorted(path.name for path in self.directory_of("chatty").glob("log*")) == ["log", "log.1.gz", "log.2.gz"], "two files to be packed", lambda: str(files))
        lines = self.keg("logs", "chatty").stdout.splitlines()
        self.assertEqual(lines, [f"line {number}" for number in range(301 - len(lines), 301)])
        self.assertLess(len(lines), 300)
        self.assertEqual(self.keg("logs", "-n", "2", "chatty").stdout, "line 299\nline 300\n")

    def test_who_follows_misses_nothing_when_the_file_is_full(self):
        self.run_detached("long", "--log-opt", "max-size=20k", "--log-opt", "max-file=2", "base", "sh", "-c",
                          "while [ ! -e /go ]; do sleep 0.02; done; for i in $(seq 1 1000); do echo line $i; [ $((i % 100)) = 0 ] && sleep 0.3; done; true")
        with self.start("logs", "-f", "long") as follower:
            self.keg("exec", "long", "touch", "/go")
            self.assertEqual(follower.stdout.read().splitlines(), [f"line {number}" for number in range(1, 1001)])

    def test_none_keeps_nothing_and_passthrough_is_the_callers(self):
        self.keg("run", "--network", "none", "--name", "quiet", "--log-driver", "none", "base", "echo", "x")
        self.fails("logs", "quiet", says="configured logging driver does not support reading")
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "--log-driver", "passthrough", "base", "echo", "x").stdout, "x\n")
        self.fails("run", "--network", "none", "--log-driver", "nosuch", "base", "true", code=125, says="no log driver named 'nosuch'")
        self.fails("run", "--network", "none", "--log-opt", "nosuch=1", "base", "true", code=125, says="unknown log opt 'nosuch' for json-file log driver")


@keg.needs_root
class Events(WatchCase):
    def actions(self, *words):
        return [line.split()[2] for line in self.keg("events", "--since", "1h", "--until", "0s", *words).stdout.splitlines()]

    def test_the_life_of_a_container_is_told_in_order(self):
        self.run_detached("lives", "--label", "who=me", "--stop-signal", "KILL", "base", "sleep", "1000")
        self.keg("rename", "lives", "lived")
        self.keg("pause", "lived")
        self.keg("unpause", "lived")
        self.keg("stop", "lived")
        self.keg("rm", "lived")
        self.assertEqual(self.actions(), ["create", "start", "rename", "pause", "unpause", "die", "stop", "destroy"])
        self.assertEqual(self.actions("--filter", "event=die", "--filter", "label=who=me"), ["die"])
        self.assertEqual(self.actions("--filter", "label=who=you"), [])
        die = json.loads(self.keg("events", "--since", "1h", "--until", "0s", "--filter", "event=die", "--format", "json").stdout)
        self.assertEqual((die["Type"], die["status"], die["Actor"]["Attributes"]["exitCode"]), ("container", "die", "137"))

    def test_who_listens_hears_at_once(self):
        with self.start("events", "--format", "{{.Action}}") as listener:
            self.addCleanup(listener.kill)
            wait_until(lambda: os.path.exists(f"/proc/{listener.pid}/fd") and any("inotify" in os.readlink(f"/proc/{listener.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{listener.pid}/fd")), "it to listen")
            self.keg("run", "--rm", "--network", "none", "base", "true")
            self.assertEqual([listener.stdout.readline() for _ in range(4)], ["create\n", "start\n", "die\n", "destroy\n"])
            listener.kill()
