"""keg-runtime's command line: what runc's callers send, and what they read of the answers."""
import json
import os
import socket
import subprocess
import threading
import time
import unittest

from keg import PATIENCE, RUNTIME, RuntimeCase, needs_root, run, wait_until


@needs_root
class Words(RuntimeCase):
    def fails(self, *words, says, code=1, out=None):
        result = self.runtime(*words, check=False)
        self.assertEqual(result.returncode, code, result.stderr)
        message = result.stderr.replace('\\"', '"')
        self.assertIn(f'level=error msg="{says}', message)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        if out is not None:
            self.assertIn(out, result.stdout)
        return result

    def test_wrong_words_get_the_usage_and_runcs_error(self):
        self.fails("create", says='keg-runtime: "create" requires exactly 1 argument(s)', out="Incorrect Usage.")
        self.fails("kill", says='keg-runtime: "kill" requires a minimum of 1 argument(s)', out="USAGE:")
        self.fails("list", "x", says='keg-runtime: "list" requires exactly 0 argument(s)')
        self.fails("run", "--nope", "c", says="flag provided but not defined: -nope", out="Incorrect Usage: flag provided")
        self.fails("run", "-bundle", says="flag needs an argument: -bundle")
        self.fails("run", "--detach=maybe", "c", says='invalid boolean value "maybe" for -detach: parse error')
        self.fails("exec", "-g", "x", "c", "id", says='invalid value "x" for flag -g: strconv.ParseInt: parsing "x": invalid syntax')
        self.fails("run", "--preserve-fds", "x", "c", says='invalid value "x" for flag -preserve-fds: parse error')
        self.fails("kill", "c", "-9", says="container does not exist")   # a word, as it is no option
        self.fails("state", "", says="container id cannot be empty")
        self.fails("moon", says="No help topic for 'moon'", code=3)
        self.state.mkdir()
        self.fails("list", "-f", "xml", says="invalid format option")

    def test_global_options_are_checked(self):
        for words, says in ((("--log-format", "xml"), "invalid log-format: xml"), (("--root", "/"), "Option --root argument should not be set to /"),
                            (("--log-level", "loud"), "invalid log-level: loud"), (("--rootless", "perhaps"), 'invalid --rootless: "perhaps"')):
            result = run(RUNTIME, *words, "list", check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn(says, result.stderr.replace('\\"', '"'))

    def test_what_does_not_exist(self):
        for command in ("state", "start", "kill", "delete", "pause", "resume", "ps"):
            self.fails(command, "none", says="container does not exist")
        self.fails("exec", "none", "true", says="exec failed: container does not exist", code=255)
        self.fails("kill", "none", "FOO", says="container does not exist")
        self.runtime("delete", "--force", "none")
        bundle = self.bundle("true")
        for name in ("a/b", "..", "a b"):
            self.fails("create", "-b", bundle, name, says="keg-runtime create failed: invalid container ID format")
        self.fails("create", "-b", self.dir / "none", "c", says=f"keg-runtime create failed: chdir {self.dir}/none: no such file or directory")
        self.fails("list", says=f"open {self.state}: no such file or directory")
        self.fails("create", "-b", self.dir, "c", says="keg-runtime create failed: JSON specification file config.json not found")

    def test_version_is_what_callers_parse(self):
        lines = run(RUNTIME, "--version").stdout.splitlines()
        self.assertRegex(lines[0], r"^keg-runtime version \d+\.\d+")
        self.assertIn("spec: 1.3.0", lines)
        self.assertEqual(run(RUNTIME, "-version").stdout.splitlines(), lines)

    def test_help_is_asked_for_anywhere(self):
        for words in (("--help",), ("help",), ("create", "--help"), ("help", "create"), ("--debug", "h", "create"), ("exec", "-h"),
                      ("list", "--quiet", "--help"), ("state", "c", "-help")):
            self.assertIn("USAGE:", run(RUNTIME, *words).stdout)

    def test_list_without_containers(self):
        self.state.mkdir()
        (self.state / "file").touch()
        self.assertEqual(self.runtime("list", "-f", "json").stdout, "null\n")
        self.assertEqual(self.runtime("list").stdout.split(), ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"])
        self.assertEqual(self.runtime("list", "-q").stdout, "")


@needs_root
class Log(RuntimeCase):
    def broken(self, config):
        config["process"]["args"] = ["nowhere"]
        config["process"]["capabilities"]["bounding"].append("CAP_MOON")

    def test_a_failure_is_exactly_one_json_record(self):
        log = self.dir / "log"
        result = self.runtime("--log", log, "--log-format", "json", "create", "-b", self.bundle(edit=self.broken), "c", check=False)
        record = json.loads(log.read_text())
        self.assertEqual(record["level"], "error")
        self.assertIn('unable to start container process: error during container init: exec: "nowhere": executable file not found in $PATH', record["msg"])
        time.strptime(record["time"], "%Y-%m-%dT%H:%M:%SZ")
        self.assertEqual(result.stderr.strip(), record["msg"])
        self.assertEqual(os.listdir(self.state), [])

    def test_a_record_is_json_and_utf_8_whatever_is_in_it(self):
        log = self.dir / "log"
        self.runtime("--log", log, "--log-format", "json", "create", "-b", os.fsdecode(b"/nowhere/\xff\x1b\n"), "c", check=False,
                     errors="replace")
        self.assertIn("/nowhere/\ufffd\x1b\n", json.loads(log.read_text())["msg"])

    def test_wrong_words_are_in_the_log(self):
        for words in (("moon",), ("create",), ("run", "--nope")):
            log = self.dir / words[0]
            self.runtime("--log", log, "--log-format", "json", *words, check=False)
            self.assertEqual(json.loads(log.read_text())["level"], "error")

    def test_debug_and_levels_add_records(self):
        bundle = self.bundle(edit=self.broken)
        for words, level in ((("--debug",), "debug"), (("--log-level", "warning"), "warning")):
            log = self.dir / level
            self.runtime("--log", log, "--log-format", "json", *words, "create", "-b", bundle, "c", check=False)
            records = [json.loads(line) for line in log.read_text().splitlines()]
            self.assertEqual(records[-1]["level"], "error")
            self.assertIn(level, [r["level"] for r in records])

    def test_warnings_are_shown_where_somebody_reads(self):
        result = self.runtime("create", "-b", self.bundle(edit=self.broken), "c", check=False)
        self.assertIn("ignoring unknown or unavailable capabilities: [CAP_MOON]", result.stderr)


@needs_root
class Running(RuntimeCase):
    def start(self, *ids):
        bundle = self.bundle("sleep", "100")
        for name in ids:
            self.detached("run", "-d", "-b", bundle, name)
        return bundle

    def test_state_and_list_have_runcs_keys(self):
        bundle = self.start("c")
        state = json.loads(self.runtime("state", "c").stdout)
        self.assertEqual(list(state), ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"])
        self.assertEqual((state["owner"], state["bundle"]), ("", str(bundle)))
        [listed] = json.loads(self.runtime("list", "--format", "json").stdout)
        self.assertEqual(listed["owner"], "root")
        self.assertEqual(self.runtime("list", "--quiet").stdout, "c\n")

    def test_ps_filters_the_hosts(self):
        self.start("c")
        pid = json.loads(self.runtime("state", "c").stdout)["pid"]
        self.assertEqual(json.loads(self.runtime("ps", "-f", "json", "c").stdout), [pid])
        header, row = self.runtime("ps", "c", "-o", "pid,args").stdout.splitlines()
        self.assertEqual((header.split()[0], row.split()), ("PID", [str(pid), "sleep", "100"]))
        self.assertIn("exit status 1", self.runtime("ps", "c", "--nope", check=False).stderr)
        self.assertIn("couldn't find PID field", self.runtime("ps", "c", "-o", "args", check=False).stderr)
        self.runtime("kill", "c", "9")
        self.wait_for("stopped")
        self.assertEqual(self.runtime("ps", "-f", "json", "c").stdout, "null\n")

    def test_signals_by_every_name(self):
        bundle = self.bundle("sh", "-c", "trap 'exit 0' 37; touch /ready; while :; do sleep 0.05; done")
        self.detached("run", "-d", "-b", bundle, "c")
        wait_until((bundle / "rootfs/ready").exists, "the program")
        for word in ("0", "WINCH", "sigwinch", "SIGCHLD", "28"):
            self.runtime("kill", "c", word)
            self.assertEqual(self.status("c"), "running")
        self.runtime("kill", "c", "RTMIN+3")
        self.wait_for("stopped")
        self.runtime("kill", "--all", "c", "9")          # of a dead one: no error
        self.assertIn("container not running", self.runtime("kill", "c", "9", check=False).stderr)

    def test_wrong_signals_are_refused(self):
        self.start("c")
        self.assertIn('unknown signal \\"FOO\\"', self.runtime("kill", "c", "FOO", check=False).stderr)
        self.assertIn('unknown signal \\"99\\"', self.runtime("kill", "c", "99", check=False).stderr)
        self.assertEqual(self.status("c"), "running")

    def test_regular_expressions_name_many(self):
        self.start("web1", "web2", "db1")
        self.runtime("kill", "--regex", "^web", "KILL")
        self.wait_for("stopped", "web1"), self.wait_for("stopped", "web2")
        self.assertEqual(self.status("db1"), "running")
        self.runtime("delete", "--regex", "web[0-9]$")
        self.assertEqual(self.runtime("list", "-q").stdout, "db1\n")
        self.assertIn("invalid regular expression", self.runtime("delete", "--regex", "(", check=False).stderr)

    def test_another_config_than_the_bundles(self):
        bundle = self.bundle("false")
        config = json.loads((bundle / "config.json").read_text())
        config["process"]["args"] = ["true"]
        (self.dir / "other.json").write_text(json.dumps(config))
        self.assertEqual(self.runtime("run", "-b", bundle, "c", check=False).returncode, 1)
        self.runtime("run", "-b", bundle, "--config", self.dir / "other.json", "c")
        missing = self.runtime("run", "-b", bundle, "-f", "/no/such.json", "c", check=False)
        self.assertIn("JSON specification file /no/such.json not found", missing.stderr)

    def test_exec_says_what_is_wrong(self):
        self.start("c")
        for words, says in ((("c",), "exec args cannot be empty"), (("--cwd", "x", "c", "true"), "Cwd must be an absolute path"),
                            (("-u", "root", "c", "true"), 'bad uid: "root"'), (("-u", "1:x", "c", "true"), 'bad gid: "x"'),
                            (("-e", "A", "c", "true"), "invalid environment variable: missing '='"),
                            (("-t", "-d", "c", "true"), "cannot allocate tty if runc will detach without setting console socket"),
                            (("c", "/etc"), 'exec: "/etc": is a directory'), (("c", "/etc/passwd"), 'exec: "/etc/passwd": permission denied'),
                            (("c", "/none"), 'exec: "/none": stat /none: no such file or directory'),
                            (("--cwd", "/none", "c", "true"), 'chdir to cwd ("/none") set in config.json failed: no such file or directory'),
                            (("-p", "/none", "c"), "open /none: no such file or directory")):
            result = self.runtime("exec", *words, check=False)
            self.assertEqual(result.returncode, 255, words)
            self.assertIn(f"exec failed: ", result.stderr)
            self.assertIn(says, result.stderr.replace('\\"', '"'))

    def test_exec_takes_a_process_file(self):
        self.start("c")
        process = {"args": ["sh", "-c", "id -u; echo $A; umask; ulimit -n; pwd"], "cwd": "/tmp", "env": ["A=b", "PATH=/bin", "A=c"],
                   "user": {"uid": 3, "gid": 4, "umask": 0o77}, "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]}
        (self.dir / "p.json").write_text(json.dumps(process))
        out = self.runtime("exec", "--process", self.dir / "p.json", "c").stdout.split()
        self.assertEqual(out, ["3", "c", "0077", "50", "/tmp"])

    def test_pid_file_of_exec_has_digits_only(self):
        self.start("c")
        self.detached("exec", "--detach", "--pid-file", self.dir / "pid", "c", "sleep", "100")
        self.assertIn(int((self.dir / "pid").read_text()), json.loads(self.runtime("ps", "-f", "json", "c").stdout))
        self.assertTrue((self.dir / "pid").read_text().isdigit())
        self.runtime("exec", "--pid-file", self.dir / "none", "c", "/none", check=False)
        self.assertFalse((self.dir / "none").exists())

    def test_descriptors_are_passed_when_asked_for(self):
        script = "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; for f in 3 4; do cat <&$f; done; ls /proc/self/fd | wc -l"
        bundle = self.bundle("sh", "-c", script)
        (self.dir / "one").write_text("one\n")
        (self.dir / "two").write_text("two\n")
        command = f"exec {RUNTIME} --root {self.state} run -b {bundle} --preserve-fds 1 c 3<{self.dir}/one 4<{self.dir}/two 5<{self.dir}/two"
        env = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
        out = run("bash", "-c", f"LISTEN_PID=$$ {command}", env=env).stdout.split()
        self.assertEqual(out, ["1", "1", "web", "one", "two", "6"])   # 0 1 2, the two, and the directory that ls reads
        # Another's descriptors are not ours to pass.
        out = run("bash", "-c", f"LISTEN_PID=1 {command.replace('--preserve-fds 1', '--preserve-fds 2')}", env=env).stdout.split()
        self.assertEqual(out, ["one", "two", "6"])
        # Nor is what the runtime itself has open.
        for words in (("run", "-b", bundle, "--preserve-fds", "1", "c"), ("--log", self.dir / "log", "run", "-b", bundle, "--preserve-fds", "1", "c")):
            missing = self.runtime(*words, check=False)
            self.assertIn("unable to stat preserved-fd 0: bad file descriptor", missing.stderr)

    def test_a_user_may_open_its_streams_again(self):
        script = "echo out > /dev/stdout; echo err > /dev/stderr"
        bundle = self.bundle("sh", "-c", script, edit=lambda config: config["process"].update(user={"uid": 1000, "gid": 1000}), name="pipes")
        self.start("c")
        for words in (("run", "-b", bundle, "d"), ("run", "-d", "-b", bundle, "e"), ("exec", "-u", "1000", "c", "sh", "-c", script)):
            result = self.runtime(*words)   # run() gives pipes, and reads them to their end
            self.assertEqual((result.stdout, result.stderr), ("out\n", "err\n"), words)
        # A file, too, but not one that is only read.
        (self.dir / "read").write_text("")
        with open(self.dir / "written", "w") as written, open(self.dir / "read") as read:
            subprocess.run([RUNTIME, "--root", self.state, "run", "-b", bundle, "f"], stdin=read, stdout=written, timeout=PATIENCE, stderr=subprocess.DEVNULL)
        self.assertEqual((self.dir / "written").read_text(), "out\n")
        self.assertEqual(((self.dir / "written").stat().st_uid, (self.dir / "read").stat().st_uid), (1000, 0))

    def test_who_is_started_without_streams_gets_the_null_device(self):
        bundle = self.bundle("sh", "-c", "for i in 0 1 2; do name=$(readlink /proc/$$/fd/$i); echo $name >&3; done 3>/streams")
        for verb in ("run -b", "create -b"):
            run("sh", "-c", f"{RUNTIME} --root {self.state} {verb} {bundle} c <&- >&- 2>&-")
            if verb == "create -b":
                self.runtime("start", "c")
                self.wait_for("stopped")
            self.assertEqual((bundle / "rootfs/streams").read_text().splitlines(), ["/dev/null"] * 3)
        failed = run("sh", "-c", f"{RUNTIME} --root {self.state} start c 2>&-", check=False)
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertEqual(json.loads(self.runtime("state", "c").stdout)["status"], "stopped")

    def test_options_without_a_value_are_as_not_given(self):
        self.start("c")
        self.assertEqual(self.runtime("exec", "--cwd", "", "--user", "", "--process", "", "c", "sh", "-c", "pwd; id -u").stdout.split(), ["/", "0"])
        self.runtime("kill", "c", "")
        self.assertEqual(self.status("c"), "running")   # TERM, which sleep as process 1 does not hear

    def test_the_last_number_is_no_user(self):
        bundle = self.start("c")
        for user in ("4294967295", "0:4294967295"):
            result = self.runtime("exec", "--user", user, "c", "id", check=False)
            self.assertEqual((result.returncode, result.stdout), (255, ""))
            self.assertIn("is not a number from 0 to 4294967294", result.stderr)
        config = json.loads((bundle / "config.json").read_text())
        config["process"]["user"]["uid"] = 4294967295
        (bundle / "config.json").write_text(json.dumps(config))
        self.assertIn("process.user.uid: 4294967295 is no id", self.runtime("create", "-b", bundle, "d", check=False).stderr)

    def test_a_created_container_ends_when_it_is_told_to(self):
        bundle = self.bundle("sleep", "100")
        for name in ("TERM", "INT", "QUIT", "HUP"):
            self.detached("create", "-b", bundle, name)
            self.runtime("kill", name, name)
            self.wait_for("stopped", name)
            self.assertIn("cannot start a container that has stopped", self.runtime("start", name, check=False).stderr)

    def test_a_failing_start_hook_is_told_once(self):
        bundle = self.bundle("true", edit=lambda config: config.update(hooks={"startContainer": [{"path": "/bin/false"}]}))
        result = self.runtime("run", "-b", bundle, "c", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn("error running startContainer hook #0: exit status 1", result.stderr)


@needs_root
class Notify(RuntimeCase):
    """NOTIFY_SOCKET: the container says READY=1 on a socket of its own, the service manager hears it."""

    def manager(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(PATIENCE)
        manager.bind(str(self.dir / "manager"))
        self.addCleanup(manager.close)
        return manager

    def hear(self, manager, heard):
        """Everything the manager is told; the descriptor that comes with BARRIER=1 is closed by dropping it."""
        while len(heard) < 2:
            data, control, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(4))
            heard.append(data.decode())
            for _, _, fd in control:
                os.close(int.from_bytes(fd[:4], "little"))

    def test_start_waits_until_the_container_is_ready(self):
        # busybox has no datagram client: the word is sent by a program of python's from outside, as the container would.
        script = "test -d /run/notify && echo $NOTIFY_SOCKET > /where; sleep 100"
        bundle = self.bundle("sh", "-c", script)
        env = {**os.environ, "NOTIFY_SOCKET": str(self.dir / "manager")}
        manager, heard = self.manager(), []
        listener = threading.Thread(target=self.hear, args=(manager, heard), daemon=True)
        listener.start()
        self.detached("create", "-b", bundle, "c", env=env)
        starting = subprocess.Popen([RUNTIME, "--root", self.state, "start", "c"], env=env)
        where = bundle / "rootfs/where"
        self.assertEqual(wait_until(lambda: where.exists() and where.read_text(), "the container's word"), "/run/notify/notify.sock\n")
        self.assertIsNone(starting.poll())
        pid = json.loads(self.runtime("state", "c").stdout)["pid"]
        container = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(container.close)
        container.connect(f"/proc/{pid}/root/run/notify/notify.sock")
        container.send(b"STATUS=warming up")
        container.send(b"READY=1")
        self.assertEqual(starting.wait(timeout=PATIENCE), 0)
        listener.join(timeout=PATIENCE)
        self.assertEqual(heard, [f"READY=1\nMAINPID={pid}\n", "BARRIER=1"])

    def say(self, id, word):
        pid = json.loads(self.runtime("state", id).stdout)["pid"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as container:
            container.connect(f"/proc/{pid}/root/run/notify/notify.sock")
            container.send(word)

    def started(self, id, *words):
        """In the background, with a service manager, and running."""
        process = subprocess.Popen([RUNTIME, "--root", self.state, *words, "-b", self.bundle("sleep", "100"), id], stdin=subprocess.DEVNULL,
                                   env={**os.environ, "NOTIFY_SOCKET": str(self.dir / "manager")}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait_for("running", id)
        return process

    def test_in_the_foreground_the_runtime_is_what_is_watched(self):
        manager = self.manager()
        process = self.started("c", "run")
        self.say("c", b"STATUS=nearly\nREADY=1")
        self.assertEqual(manager.recv(4096).decode(), f"READY=1\nMAINPID={process.pid}\n")

    def test_a_manager_that_is_gone_leaves_the_container_running(self):
        manager = self.manager()
        process = self.started("c", "run", "-d")
        manager.close()
        self.say("c", b"READY=1")
        self.assertEqual(process.wait(timeout=PATIENCE), 0)
        self.assertEqual(json.loads(self.runtime("state", "c").stdout)["status"], "running")

    def test_start_ends_with_a_container_that_never_is_ready(self):
        self.manager()
        env = {**os.environ, "NOTIFY_SOCKET": str(self.dir / "manager")}
        self.runtime("run", "-b", self.bundle("true"), "c", env=env)
        self.detached("run", "-d", "-b", self.dir / "bundle", "d", env=env)


class Spec(RuntimeCase):
    def test_spec_writes_runcs_document(self):
        here = self.dir / "new"
        here.mkdir()
        run(RUNTIME, "spec", cwd=here)
        text = (here / "config.json").read_text()
        self.assertTrue(text.startswith('{\n\t"ociVersion": "1.3.0",\n\t"process": {\n\t\t"terminal": true,'))
        self.assertFalse(text.endswith("\n"))
        again = run(RUNTIME, "spec", "--bundle", here, check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("File config.json exists. Remove it first", again.stderr)
        self.assertEqual(run(RUNTIME, "spec", "-f", "-").stdout, text)

    def test_rootless_spec_maps_the_caller(self):
        config = json.loads(run(RUNTIME, "spec", "--rootless", "--config", "-").stdout)
        kinds = [n["type"] for n in config["linux"]["namespaces"]]
        self.assertIn("user", kinds)
        self.assertNotIn("network", kinds)
        self.assertEqual(config["linux"]["uidMappings"], [{"containerID": 0, "hostID": os.geteuid(), "size": 1}])


if __name__ == "__main__":
    unittest.main()
