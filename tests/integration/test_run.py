"""keg's containers: run, ps, logs, exec, stop, rm, published ports, and that nothing stays behind."""
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time
import unittest
import urllib.request

import keg
from keg import PATIENCE, processes_of, wait_until, waits_for_a_lock


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@keg.needs_root
class Run(keg.StoreCase):
    def setUp(self):
        super().setUp()
        self.cgroups_before = set(self.cgroups())

    def run_detached(self, *words):
        return self.keg("run", "-d", *words).stdout.strip()

    # --- the foreground

    def test_run_gives_output_and_exit_code_of_the_command(self):
        result = self.keg("run", "--rm", "base", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
        self.assertEqual((result.stdout, result.stderr, result.returncode), ("out\n", "err\n", 7))

    def test_exit_codes_tell_whose_fault_it_is(self):
        self.fails("run", "--rm", "base", "no-such-program", code=127, says="executable file not found")
        self.fails("run", "--rm", "base", "/etc", code=126)
        self.fails("run", "--no-such-flag", "base", "true", code=125, says="unknown flag: --no-such-flag")
        self.fails("run", "--pull=never", "missing-image", code=125, says="No such image: missing-image")
        self.fails("run", "--restart=sometimes", "base", "true", code=125, says="unknown policy 'sometimes'")

    def test_stdin_reaches_the_command_with_i_only(self):
        self.assertEqual(self.keg("run", "--rm", "-i", "base", "cat", input="to cat").stdout, "to cat")
        self.assertEqual(self.keg("run", "--rm", "base", "cat", input="to nobody").stdout, "")

    def test_large_output_and_input_arrive_whole(self):
        text = "x" * 100 + "\n"
        result = self.keg("run", "--rm", "-i", "base", "cat", input=text * 30000)
        self.assertEqual(len(result.stdout), len(text) * 30000)

    def test_a_slow_reader_gets_everything(self):
        process = subprocess.Popen([keg.KEG, "--root", self.store, "run", "--rm", "base", "sh", "-c", "head -c 300000 /dev/zero; exit 3"], stdout=subprocess.PIPE)
        time.sleep(1)
        self.assertEqual(len(process.communicate(timeout=PATIENCE)[0]), 300000)
        self.assertEqual(process.returncode, 3)

    def test_a_reader_that_stalls_keeps_nobody_from_removing_the_container(self):
        process = subprocess.Popen([keg.KEG, "--root", self.store, "run", "--name", "stalled", "base", "yes"], stdout=subprocess.PIPE)
        wait_until(lambda: self.keg("ps", "-q").stdout, "the container")
        time.sleep(0.3)
        self.keg("rm", "-f", "stalled")
        self.assertEqual(self.keg("ps", "-aq").stdout, "")
        with process.stdout as output:
            self.assertTrue(output.read().startswith(b"y\ny\n"))
        self.assertEqual(process.wait(timeout=PATIENCE), 137)

    def test_sigterm_is_passed_on(self):
        process = subprocess.Popen([keg.KEG, "--root", self.store, "run", "--rm", "base", "sh", "-c",
                                    "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done"],
                                   stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.communicate(timeout=PATIENCE)[0], "got\n")
        self.assertEqual(process.returncode, 9)

    def test_a_terminal(self):
        pid, master = pty.fork()
        if pid == 0:
            os.execv(keg.KEG, [keg.KEG, "--root", str(self.store), "run", "--rm", "-it", "base", "sh", "-c", "tty; read x; echo got $x; exit 3"])
        shown = b""
        while b"/dev/pts" not in shown:
            shown += os.read(master, 1000)
        os.write(master, b"line\n")
        while select.select([master], [], [], PATIENCE)[0]:
            try:
                shown += os.read(master, 1000)
            except OSError:
                break
        self.assertIn(b"got line", shown)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 3)

    # --- options

    def test_environment_directory_user_and_host_name(self):
        (self.dir / "env").write_text("# none\nFROM_FILE=a b\n")
        out = self.keg("run", "--rm", "-e", "A=1", "-e", "B", "--env-file", self.dir / "env", "-w", "/made/here", "-u", "nobody",
                       "-h", "box", "base", "sh", "-c", 'echo "$A $B $FROM_FILE $PWD $(id -u) $(hostname)"',
                       env=dict(os.environ, B="two")).stdout
        self.assertEqual(out, "1 two a b /made/here 65534 box\n")

    def test_an_entrypoint_takes_the_words(self):
        self.assertEqual(self.keg("run", "--rm", "--entrypoint", "echo", "base", "a", "b").stdout, "a b\n")

    def test_more_groups_by_number_and_by_the_images_name(self):
        groups = lambda *words: self.keg("run", "--rm", *words, "base", "id", "-G").stdout.split()
        self.assertEqual(groups("--group-add", "staff", "--group-add", "4711"), ["0", "50", "4711"])
        self.assertEqual(groups("-u", "nobody", "--group-add", "4711"), ["65534", "50", "4711"])
        self.fails("run", "--rm", "--group-add", "nosuch", "base", "true", code=125, says="unable to find group nosuch")

    def test_etc_mtab_shows_the_mounts(self):
        self.assertEqual(self.keg("run", "--rm", "base", "readlink", "/etc/mtab").stdout, "/proc/mounts\n")

    def test_a_store_may_be_named_from_here(self):
        here = dict(cwd=self.dir, env=dict(os.environ, KEG_ROOT="store"))
        keg.run(keg.KEG, "run", "-d", "--name", "near", "base", "sleep", "1000", **here)
        self.assertEqual(self.keg("ps", "--format", "{{.Names}}").stdout, "near\n")
        self.assertEqual(keg.run(keg.KEG, "--root", "./store", "exec", "near", "echo", "in", cwd=self.dir).stdout, "in\n")

    def test_a_read_only_root_with_a_tmpfs(self):
        script = "touch /x 2>/dev/null && echo writable; touch /t/x && echo tmpfs"
        self.assertEqual(self.keg("run", "--rm", "--read-only", "--tmpfs", "/t", "base", "sh", "-c", script).stdout, "tmpfs\n")

    def test_host_directories_and_named_volumes(self):
        (self.dir / "data").mkdir()
        (self.dir / "data/file").write_text("host")
        self.assertEqual(self.keg("run", "--rm", "-v", f"{self.dir}/data:/d:ro", "base", "sh", "-c", "cat /d/file; touch /d/x 2>/dev/null || echo -ro").stdout, "host-ro\n")
        self.keg("run", "--rm", "-v", "vol:/etc", "base", "sh", "-c", "echo kept > /etc/new")
        self.assertEqual(self.keg("run", "--rm", "-v", "vol:/v", "base", "sh", "-c", "cat /v/new; ls /v/passwd").stdout, "kept\n/v/passwd\n")

    def test_a_read_only_directory_is_so_all_the_way_down(self):
        below = self.dir / "data/below"
        below.mkdir(parents=True)
        keg.run("mount", "-t", "tmpfs", "none", below)
        try:
            out = self.keg("run", "--rm", "-v", f"{self.dir}/data:/d:ro", "base", "sh", "-c", "touch /d/x /d/below/x; ls /d/below").stdout
            self.assertEqual(out, "")
        finally:
            keg.run("umount", below)

    def test_limits_reach_the_cgroup(self):
        script = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
        self.assertEqual(self.keg("run", "--rm", "-m", "64m", "base", "sh", "-c", script).stdout, "67108864\n")
        self.fails("run", "--rm", "-m", "1m", "base", "true", code=125, says="Minimum memory limit allowed is 6MB")

    def test_whom_the_kernel_killed_for_want_of_memory_is_told_from_others(self):
        for name, script, killed in (("greedy", "tail /dev/zero", "true"), ("other", "kill -9 $$", "false")):
            self.keg("run", "--name", name, "-m", "16m", "base", "sh", "-c", f"{script}; exit 137", check=False)
            self.assertEqual(self.keg("inspect", "-f", "{{.State.ExitCode}} {{.State.OOMKilled}}", name).stdout, f"137 {killed}\n")

    def test_capabilities_are_dockers_and_may_be_changed(self):
        bounding = lambda *words: self.keg("run", "--rm", *words, "base", "sh", "-c", "grep CapBnd /proc/self/status").stdout.split()[1]
        self.assertEqual(bounding(), "00000000a80425fb")
        self.assertEqual(bounding("--cap-drop", "ALL"), "0" * 16)
        self.assertEqual(bounding("--cap-drop", "ALL", "--cap-add", "chown"), "0" * 15 + "1")

    def test_seccomp_refuses_what_docker_refuses(self):
        seccomp = lambda *words: self.keg("run", "--rm", *words, "base", "grep", "Seccomp:", "/proc/self/status").stdout.split()[1]
        self.assertEqual(seccomp(), "2")
        self.assertEqual(seccomp("--security-opt", "seccomp=unconfined"), "0")
        self.assertEqual(seccomp("--privileged"), "0")

    # --- detached

    def test_the_life_of_a_detached_container(self):
        full = self.run_detached("--name", "web", "base", "sh", "-c", "echo hello; exec sleep 1000")
        self.assertRegex(full, r"^[0-9a-f]{64}$")
        shown = self.keg("ps", "--format", "{{.ID}} {{.Names}} {{.State}} {{.Status}}").stdout
        self.assertRegex(shown, rf"^{full[:12]} web running Up ")
        wait_until(lambda: self.keg("logs", "web").stdout == "hello\n", "its word")
        self.assertEqual(self.keg("exec", "web", "sh", "-c", "echo in; exit 4", check=False).returncode, 4)
        self.fails("run", "--name", "web", "base", "true", code=125, says='The container name "/web" is already in use')
        self.fails("rm", "web", code=1, says="container is running")
        self.keg("stop", "-t", "0", "web")
        self.assertEqual(self.keg("ps", "-q").stdout, "")
        self.assertRegex(self.keg("ps", "-a", "--format", "{{.Status}}").stdout, r"^Exited \(137\)")
        self.fails("exec", "web", "true", code=1, says="is not running")
        self.keg("start", "web")
        self.assertEqual(self.keg("inspect", "-f", "{{.State.Running}}", "web").stdout, "true\n")
        self.keg("rm", "-f", "web")
        self.assertEqual(self.keg("ps", "-aq").stdout, "")
        self.fails("logs", "web", code=1, says="No such container: web")

    def test_the_runtime_takes_no_store_for_a_container(self):
        before = keg.run(keg.RUNTIME, "list", "-q").stdout.split()
        self.run_detached("base", "sleep", "1000")
        self.assertEqual(set(keg.run(keg.RUNTIME, "list", "-q").stdout.split()) - set(before), set())

    def test_stop_sends_the_stop_signal(self):
        self.run_detached("--name", "stopme", "--stop-signal", "USR1", "base", "sh", "-c", "trap 'echo usr1; exit 3' USR1; echo up; while :; do sleep 0.05; done")
        wait_until(lambda: "up" in self.keg("logs", "stopme").stdout, "its word")
        self.keg("stop", "stopme")
        self.assertEqual(self.keg("logs", "stopme").stdout, "up\nusr1\n")
        self.assertEqual(self.keg("inspect", "-f", "{{.State.ExitCode}}", "stopme").stdout, "3\n")

    def test_wait_and_kill(self):
        self.run_detached("--name", "killme", "base", "sleep", "1000")
        self.keg("kill", "-s", "KILL", "killme")
        self.assertEqual(self.keg("wait", "killme").stdout, "137\n")
        self.fails("kill", "killme", code=1, says="is not running")

    def test_wait_knows_the_end_of_what_removes_itself(self):
        self.run_detached("--name", "gone", "--rm", "base", "sh", "-c", "until [ -e /told ]; do sleep 0.05; done; exit 6")
        waiter = subprocess.Popen([keg.KEG, "--root", self.store, "wait", "gone"], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: waits_for_a_lock(waiter), "keg wait to wait")
        self.keg("exec", "gone", "touch", "/told")
        self.assertEqual(waiter.communicate(timeout=PATIENCE)[0], "6\n")

    def test_logs_follow_to_the_end(self):
        self.run_detached("--name", "follow", "base", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
        self.assertEqual(self.keg("logs", "-f", "follow").stdout, "1\n2\n3\n")
        self.assertEqual(self.keg("logs", "--tail", "1", "follow").stdout, "3\n")
        self.assertRegex(self.keg("logs", "-t", "follow").stdout, r"(?m)\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z \d\n){3}\Z")

    def test_a_paused_container_hears_of_no_end(self):
        self.run_detached("--name", "paused", "base", "sh", "-c", "while :; do echo tick; sleep 0.05; done")
        self.keg("pause", "paused")
        self.assertIn("(Paused)", self.keg("ps").stdout)
        self.fails("pause", "paused", code=1, says="already paused")
        self.fails("exec", "paused", "true", code=1, says="is paused")
        self.fails("start", "paused", code=1, says="cannot start a paused container, try unpause instead")
        follower = subprocess.Popen([keg.KEG, "--root", self.store, "logs", "-f", "paused"], stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        self.assertIsNone(follower.poll())
        self.keg("unpause", "paused")
        self.keg("pause", "paused")
        self.keg("kill", "paused")   # thaws it, or the signal would wait
        self.assertEqual(self.keg("wait", "paused").stdout, "137\n")
        self.assertEqual(follower.wait(timeout=PATIENCE), 0)

    def test_a_paused_container_is_stopped_and_removed(self):
        for words in (["stop", "-t", "1"], ["rm", "-f"]):
            self.run_detached("--name", "paused", "--rm", "base", "sleep", "1000")
            self.keg("pause", "paused")
            self.keg(*words, "paused")
            self.assertEqual(self.keg("ps", "-aq").stdout, "")

    def test_exec_has_options(self):
        self.run_detached("--name", "execme", "-e", "A=old", "base", "sleep", "1000")
        out = self.keg("exec", "-e", "A=new", "-w", "/tmp", "-u", "nobody", "execme", "sh", "-c", "echo $A $PWD $(id -u)").stdout
        self.assertEqual(out, "new /tmp 65534\n")
        self.assertEqual(self.keg("exec", "-i", "execme", "cat", input="piped").stdout, "piped")
        # One error, said once.
        failed = self.fails("exec", "execme", "no-such-program", code=127)
        self.assertRegex(failed.stderr, r'\Akeg: OCI runtime exec failed: exec failed: [^\n]*exec: "no-such-program": executable file not found in \$PATH\n\Z')
        self.fails("exec", "execme", "/etc", code=126)

    def test_a_killed_monitor_hurts_nobody_for_long(self):
        full = self.run_detached("--name", "orphan", "base", "sleep", "1000")
        pid, monitor = self.monitor_of("orphan")
        os.kill(monitor, signal.SIGKILL)
        self.assertEqual(self.keg("ps", "-q").stdout.strip(), full[:12])
        self.assertEqual(self.keg("exec", "orphan", "echo", "alive").stdout, "alive\n")
        # Its network stays when the last of the others goes.
        self.keg("run", "--rm", "base", "true")
        wait_until(lambda: not processes_of(str(self.store)), "the end of the other's monitor")
        gateway = self.keg("exec", "orphan", "sh", "-c", "ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'").stdout.strip()
        self.keg("exec", "orphan", "ping", "-c", "1", "-W", "2", gateway)
        self.keg("rm", "-f", "orphan")
        self.assertFalse(os.path.exists(f"/proc/{pid}/root/bin"))   # gone, or waiting to be reaped
        self.assert_nothing_left()

    def monitor_of(self, name):
        pid = int(self.keg("inspect", "-f", "{{.State.Pid}}", name).stdout)
        return pid, int(re.search(r"PPid:\s*(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])

    def switch_off(self, *names):
        """What a power cut leaves: files, and nothing that runs."""
        import hashlib
        store = hashlib.sha256(os.path.realpath(self.store).encode()).hexdigest()[:8]
        for name in names:
            full = self.keg("inspect", "-f", "{{.Id}}", name).stdout.strip()
            for pid in reversed(self.monitor_of(name)):
                os.kill(pid, signal.SIGKILL)
            keg.run("umount", "-l", self.store / "containers" / full / "rootfs")
            for path in self.cgroups():
                if path.endswith(full):   # the kernel lets it go when the last process has been reaped
                    wait_until(lambda: subprocess.run(["rmdir", path], stderr=subprocess.DEVNULL).returncode == 0, "an empty cgroup")
        keg.run("ip", "link", "del", f"keg-{store}")
        keg.run("nft", "delete", "table", "inet", f"keg_{store}")
        shutil.rmtree(f"/run/keg-stores/{store}")

    def test_a_power_cut_ends_containers_and_nothing_else(self):
        port = free_port()
        self.serve("--name", "stays", "-p", f"{port}:80")
        self.run_detached("--name", "goes", "--rm", "-v", "/anonymous", "base", "sleep", "1000")
        self.switch_off("stays", "goes")
        self.assertEqual(self.keg("ps", "-a", "--format", "{{.Names}} {{.State}} {{.Ports}}").stdout, "stays exited \n")
        self.assertEqual(os.listdir(self.store / "volumes"), [])
        self.keg("start", "stays")
        self.wait_until_it_serves("stays")
        self.assertEqual(self.get(f"http://127.0.0.1:{port}/"), "container\n")
        self.keg("rm", "-f", "stays")
        self.assert_nothing_left()

    def test_the_name_of_what_should_have_removed_itself_is_free(self):
        self.run_detached("--name", "gone", "--rm", "base", "sleep", "1000")
        pid, monitor = self.monitor_of("gone")
        os.kill(monitor, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}/root/bin"), "the end of its process")
        self.assertEqual(self.keg("run", "--rm", "--name", "gone", "base", "echo", "again").stdout, "again\n")
        self.assert_nothing_left()

    def test_a_detached_container_outlives_its_shell(self):
        port = free_port()
        script = f"{keg.KEG} --root {self.store} run -d -p {port}:80 base sh -c 'mkdir /www; echo container > /www/index.html; echo up; exec httpd -f -p 80 -h /www'; sleep 1000"
        shell = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        name = shell.stdout.readline().strip()
        os.killpg(shell.pid, signal.SIGKILL)
        self.assertEqual(shell.communicate(timeout=PATIENCE)[0], "")     # nobody holds its output either
        wait_until(lambda: self.keg("logs", name).stdout == "up\n", "its word")
        self.wait_until_it_serves(name)
        self.assertEqual(self.get(f"http://127.0.0.1:{port}/"), "container\n")
        self.keg("rm", "-f", name)
        self.assert_nothing_left()

    def test_many_at_once_get_names_and_addresses_of_their_own(self):
        processes = [subprocess.Popen([keg.KEG, "--root", self.store, "run", "-d", "-p", "0:80", "base", "sleep", "1000"], stdout=subprocess.PIPE, text=True)
                     for _ in range(20)]
        names = [p.communicate(timeout=PATIENCE)[0].strip() for p in processes]
        self.assertEqual([p.returncode for p in processes], [0] * 20)
        addresses = self.keg("inspect", "-f", "{{.NetworkSettings.IPAddress}}", *names).stdout.split()
        self.assertEqual(len(set(addresses)), 20)
        self.assertEqual(len(set(self.keg("ps", "--format", "{{.Ports}}").stdout.split("\n"))), 21)
        self.assertEqual(self.keg("rm", "-f", *names).stdout.split(), names)
        self.assert_nothing_left()

    # --- the network

    def get(self, url):
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def serve(self, *options):
        return self.run_detached(*options, "base", "sh", "-c", "mkdir /www; echo container > /www/index.html; exec httpd -f -p 80 -h /www")

    def wait_until_it_serves(self, name):
        wait_until(lambda: self.keg("exec", name, "wget", "-qO-", "127.0.0.1", check=False).returncode == 0, f"the server of {name}")

    def test_a_published_port_is_reached_from_everywhere(self):
        port = free_port()
        self.serve("--name", "web", "-p", f"{port}:80")
        address = self.keg("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web").stdout.strip()
        self.wait_until_it_serves("web")
        self.assertEqual(self.get(f"http://127.0.0.1:{port}/"), "container\n")
        self.assertEqual(self.get(f"http://localhost:{port}/"), "container\n")
        self.assertEqual(self.get(f"http://{address}/"), "container\n")
        gateway = self.keg("inspect", "-f", "{{.NetworkSettings.Gateway}}", "web").stdout.strip()
        for url in (f"http://{address}/", f"http://{gateway}:{port}/"):   # from a neighbour
            self.assertEqual(self.keg("run", "--rm", "base", "wget", "-qO-", url).stdout, "container\n")
        self.assertEqual(self.keg("exec", "web", "wget", "-qO-", f"http://{gateway}:{port}/").stdout, "container\n")
        self.assertEqual(self.keg("port", "web").stdout, f"80/tcp -> 0.0.0.0:{port}\n")
        self.assertIn(f"0.0.0.0:{port}->80/tcp", self.keg("ps").stdout)
        self.fails("run", "--rm", "-p", f"{port}:80", "base", "true", code=125, says="port is already allocated")
        self.keg("rm", "-f", "web")
        self.keg("run", "--rm", "-p", f"{port}:80", "base", "true")   # free at once
        self.assert_nothing_left()

    def test_a_port_of_the_host_is_not_taken(self):
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 0))
            taken.listen()
            self.fails("run", "--rm", "-p", f"{taken.getsockname()[1]}:80", "base", "true", code=125, says="address already in use")

    def test_loopback_services_of_the_host_stay_private(self):
        port = free_port()
        self.serve("--name", "lo", "-p", f"127.0.0.1:{port}:80")
        self.wait_until_it_serves("lo")
        self.assertEqual(self.get(f"http://127.0.0.1:{port}/"), "container\n")
        gateway = self.keg("inspect", "-f", "{{.NetworkSettings.Gateway}}", "lo").stdout.strip()
        self.assertNotEqual(self.keg("exec", "lo", "timeout", "2", "wget", "-qO-", f"http://{gateway}:{port}/", check=False).returncode, 0)

    def test_host_port_zero_is_any_free_one(self):
        self.serve("--name", "any", "-p", "0:80")
        self.assertRegex(self.keg("port", "any").stdout, r"^80/tcp -> 0\.0\.0\.0:[1-9]\d+\n$")

    def test_network_modes(self):
        links = lambda mode: self.keg("run", "--rm", "--network", mode, "base", "ls", "/sys/class/net").stdout.split()
        self.assertEqual(links("none"), ["lo"])
        self.assertEqual(links("bridge"), ["eth0", "lo"])
        namespace = self.keg("run", "--rm", "--network", "host", "base", "readlink", "/proc/self/ns/net").stdout.strip()
        self.assertEqual(namespace, os.readlink("/proc/self/ns/net"))
        self.fails("run", "--rm", "--network", "nope", "base", "true", code=125, says="network nope not found")

    def test_containers_may_share_a_network(self):
        self.serve("--name", "first", "-h", "one")
        self.wait_until_it_serves("first")
        shared = lambda *words: self.keg("run", "--rm", "--network", "container:first", "base", *words).stdout
        self.assertEqual(shared("wget", "-qO-", "127.0.0.1"), "container\n")
        self.assertEqual(shared("hostname"), "one\n")
        self.assertEqual(shared("cat", "/etc/hosts"), self.keg("exec", "first", "cat", "/etc/hosts").stdout)
        for words, says in ((["-p", "80"], "port publishing and the container type network mode"), (["-h", "me"], "hostname and the network mode"),
                            (["--dns", "1.1.1.1"], "dns and the network mode")):
            self.fails("run", "--rm", "--network", "container:first", *words, "base", "true", code=125, says="conflicting options: " + says)
        self.fails("run", "--rm", "--network", "container:nobody", "base", "true", code=125, says="No such container: nobody")
        self.keg("stop", "-t", "0", "first")
        self.fails("run", "--rm", "--network", "container:first", "base", "true", code=125, says="cannot join network of a non running container")

    def test_hosts_and_resolv_conf(self):
        out = self.keg("run", "--rm", "-h", "me", "--add-host", "db:10.1.2.3", "--dns", "9.9.9.9", "base", "cat", "/etc/hosts", "/etc/resolv.conf").stdout
        self.assertIn("10.1.2.3\tdb\n", out)
        self.assertRegex(out, r"172\.\d+\.\d+\.\d+\tme\n")
        self.assertIn("nameserver 9.9.9.9\n", out)

    # --- what stays

    def cgroups(self):
        return [str(path) for depth in ("*", "*/*") for path in pathlib.Path("/sys/fs/cgroup").glob(depth) if re.fullmatch("keg-[0-9a-f]{64}", path.name)]

    def leftovers(self):
        """What this store's containers may have left: its bridge's and table's names hold the hash of its path."""
        import hashlib
        name = hashlib.sha256(os.path.realpath(self.store).encode()).hexdigest()[:8]
        found = [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if str(self.store) in line]
        found += [link for link in os.listdir("/sys/class/net") if name in link]
        found += [line for line in keg.run("nft", "list", "tables").stdout.splitlines() if name in line]
        found += [entry for entry in os.listdir(self.store / "containers") if entry != "names" and not entry.startswith("engine.db")]
        found += [entry for entry in os.listdir(self.store / "containers/names") if entry != ".lock"]
        found += sorted(set(self.cgroups()) - self.cgroups_before)
        found += [str(path) for path in pathlib.Path("/run/keg-stores").glob(name)]   # it goes with the last container
        return found

    def assert_nothing_left(self):
        wait_until(lambda: not self.leftovers(), "the end of what is left", self.leftovers)

    @keg.needs("nft")
    def test_nothing_stays_behind(self):
        for words in (["--rm", "base", "true"], ["--rm", "--network", "none", "base", "false"], ["--rm", "base", "no-such-program"],
                      ["--rm", "-p", f"{free_port()}:80", "base", "true"], ["--rm", "-v", "/anonymous", "base", "true"], ["--rm", "-t", "base", "true"]):
            self.keg("run", *words, check=False)
        self.assert_nothing_left()
        self.assertEqual(os.listdir(self.store / "volumes"), [])
        self.keg("run", "--name", "ended", "--network", "none", "base", "true")
        self.keg("rm", "ended")
        self.assertEqual(self.leftovers(), [])

    @keg.needs("nft")
    def test_a_full_disk_gets_one_error_and_nothing_half_made(self):
        small = self.dir / "small"
        small.mkdir()
        keg.run("mount", "-t", "tmpfs", "-o", "size=6m", "none", small)
        self.addCleanup(keg.run, "umount", "-l", small, check=False)
        self.store = small / "store"
        self.keg("import", self.dir / "busybox.tar", "base")
        self.keg("run", "--rm", "--network", "none", "base", "true")
        for pages in range(0, 12):   # it ends at another step each time
            with open(small / "fill", "wb", buffering=0) as fill, self.subTest(pages=pages):
                try:
                    while fill.write(bytes(4096)):
                        pass
                except OSError:
                    pass
                os.truncate(small / "fill", (small / "fill").stat().st_size // 4096 * 4096 - pages * 4096)
                result = self.keg("run", "--rm", "--name", "full", "--network", "none", "base", "true", check=False)
                if result.returncode:
                    self.assertEqual(result.returncode, 125)
                    self.assertRegex(result.stderr, r"\Akeg: [^\n]*no space left on device\n\Z")
                self.assert_nothing_left()
            os.unlink(small / "fill")
        self.keg("run", "--rm", "--network", "none", "base", "true")


if __name__ == "__main__":
    unittest.main()
