"""A container that is written to files goes on where it was, in another container or on another day.

CRIU does not run on every kernel: where it does not, the error has to say why. tests/vm has one where it does."""
import array
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import unittest

from keg import PATIENCE, QUIET, RUNTIME, RuntimeCase, needs, needs_root, run, wait_until
from test_labels import PROFILE


def criu_works():
    return shutil.which("criu") and subprocess.run(["criu", "check"], capture_output=True).returncode == 0


needs_criu = unittest.skipUnless(criu_works(), "needs a kernel on which `criu check` is content")

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.1; done"


class CheckpointCase(RuntimeCase):
    """A container whose life shows in the file /count of its root."""

    def setUp(self):
        super().setUp()
        self.images = self.dir / "images"

    def detached(self, *words, **stdio):
        """Without files of ours, which CRIU could not find again; what goes wrong is in a log."""
        log = self.dir / "log"
        stdio = QUIET | stdio
        status = subprocess.run([RUNTIME, "--root", str(self.state), "--log", str(log), *map(str, words)], timeout=PATIENCE, **stdio).returncode
        self.assertEqual(status, 0, log.read_text() if log.exists() else "")

    def count(self):
        file = self.dir / "bundle/rootfs/count"
        return int(file.read_text().strip() or 0) if file.exists() else 0

    def goes_on(self, before=None):
        before = self.count() if before is None else before
        wait_until(lambda: self.count() > before + 1, "counting")

    def run_counter(self, edit=None, args=("sh", "-c", COUNT), options=(), **stdio):
        bundle = self.bundle(*args, edit=edit)
        self.detached("run", "-d", "-b", bundle, *options, "c", **stdio)
        self.goes_on(3)
        return bundle

    def checkpoint(self, *options, id="c", check=True, **more):
        return self.runtime("checkpoint", "--image-path", self.images, *options, id, check=check, **more)

    def restore(self, *options, id="c", bundle="bundle", **stdio):
        self.detached("restore", "-d", "-b", self.dir / bundle, "--image-path", self.images, *options, id, **stdio)

    def goes_on_after(self, dump=(), restore=(), id="c"):
        """Through files and back."""
        self.checkpoint(*dump)
        before = self.count()
        self.restore(*restore, id=id)
        self.assertEqual(self.status(id), "running")
        self.goes_on(before)

    def forget(self):
        self.runtime("delete", "--force", "c")
        shutil.rmtree(self.dir / "bundle")
        shutil.rmtree(self.images)

    def status(self, id="c"):
        return json.loads(self.runtime("state", id).stdout)["status"]

    def pid(self, id="c"):
        return json.loads(self.runtime("state", id).stdout)["pid"]

    def inside(self, *words, check=True, id="c"):
        return self.runtime("exec", id, *words, check=check).stdout


def with_mount(**mount):
    return lambda config: config["mounts"].append(mount)


@needs_root
class Checkpoint(CheckpointCase):
    @needs_criu
    def test_a_container_goes_on_where_it_was(self):
        (self.dir / "file").write_text("of the host")
        self.run_counter(with_mount(destination="/bound", type="bind", source=str(self.dir / "file"), options=["bind", "ro"]))
        self.checkpoint()
        self.assertEqual(self.runtime("list", "-q").stdout, "")
        before = self.count()
        time.sleep(0.5)
        self.assertEqual(self.count(), before)
        self.restore("--pid-file", self.dir / "pid")
        state = json.loads(self.runtime("state", "c").stdout)
        self.assertEqual((state["status"], str(state["pid"])), ("running", (self.dir / "pid").read_text()))
        self.goes_on(before)
        self.assertEqual(self.inside("cat", "/bound"), "of the host")
        self.assertNotEqual(self.runtime("exec", "c", "touch", "/bound", check=False).returncode, 0)

    @needs_criu
    def test_a_container_that_is_left_running_runs(self):
        self.run_counter()
        self.checkpoint("--leave-running", "--work-path", self.dir / "work")
        self.assertTrue((self.dir / "work/dump.log").exists())
        self.assertFalse((self.images / "dump.log").exists())
        self.goes_on()

    @needs_criu
    def test_a_paused_container_is_paused_after_its_checkpoint_and_runs_after_its_restore(self):
        self.run_counter()
        self.runtime("pause", "c")
        self.checkpoint("--leave-running")
        self.assertEqual(self.status(), "paused")
        self.runtime("delete", "--force", "c")
        before = self.count()
        self.restore()
        self.assertEqual(self.status(), "running")
        self.goes_on(before)

    @needs_criu
    def test_the_exit_code_of_a_restored_container_is_its_own(self):
        bundle = self.bundle("sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 7")
        self.detached("run", "-d", "-b", bundle, "c")
        self.checkpoint()
        (bundle / "rootfs/go").touch()
        self.assertEqual(self.runtime("restore", "-b", bundle, "--image-path", self.images, "c", check=False).returncode, 7)
        self.assertEqual(self.runtime("list", "-q").stdout, "")

    @needs_criu
    def test_what_criu_says_reaches_the_caller(self):
        self.images.mkdir()
        result = self.runtime("restore", "-b", self.bundle("true"), "--image-path", self.images, "c", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("criu failed: type RESTORE", result.stderr)
        self.assertIn("Error (criu", result.stderr)
        self.assertIn(f"log file: {self.images}/restore.log", result.stderr)
        self.assertEqual(self.runtime("list", "-q").stdout, "")

    @needs("criu")
    @unittest.skipIf(criu_works(), "criu works here")
    def test_a_kernel_that_criu_cannot_use_is_said_and_the_container_stays(self):
        self.run_counter()
        result = self.checkpoint(check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("criu failed", result.stderr)
        self.assertEqual(self.status(), "running")

    def test_a_container_that_has_not_started_is_refused(self):
        self.detached("create", "-b", self.bundle("true"), "c")
        result = self.runtime("checkpoint", "c", check=False)
        self.assertIn("Container cannot be checkpointed in created state", result.stderr)


@needs_root
@needs_criu
class Memory(CheckpointCase):
    """Images in several steps, in other places, or only when they are asked for."""

    # The memory is another process's, which only waits: where the one that counts maps a page beside
    # it, the kernel takes the whole area for changed.
    FILL = ("sh", "-c", "(x=$(head -c 4000000 /dev/urandom | base64); touch /full; sleep 100000; :) & "
                        "until [ -e /full ]; do sleep 0.1; done; " + COUNT)

    def page_bytes(self, directory):
        return sum(file.stat().st_blocks * 512 for file in (self.dir / directory).glob("pages-*.img"))

    def pre_dump(self, directory, *options):
        said = self.runtime("checkpoint", "--pre-dump", "--image-path", self.dir / directory, *options, "c")
        self.assertEqual((said.stdout, said.stderr), ("", ""))
        self.assertEqual(self.status(), "running")
        self.goes_on()

    def test_a_checkpoint_after_pre_dumps_has_what_changed_since(self):
        self.run_counter(args=self.FILL)
        self.pre_dump("first")
        self.pre_dump("second", "--parent-path", "../first")
        self.goes_on_after(["--parent-path", "../second"])
        self.assertGreater(self.page_bytes("first"), 4_000_000)
        self.assertLess(self.page_bytes("images"), 2_000_000)
        self.assertEqual((self.images / "parent").readlink(), pathlib.Path("../second"))

    def test_auto_dedup_leaves_each_page_in_one_place(self):
        self.run_counter(args=self.FILL)
        self.pre_dump("first")
        before = self.page_bytes("first")
        self.goes_on_after(["--parent-path", "../first", "--auto-dedup"], ["--auto-dedup"])
        self.assertLess(self.page_bytes("first"), before)

    def test_a_parent_that_is_not_there_is_refused(self):
        self.run_counter()
        for path, says in {"/abs": "--parent-path", "../none": "invalid --parent-path"}.items():
            result = self.checkpoint("--pre-dump", "--parent-path", path, check=False)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(says, result.stderr)
        self.assertEqual(self.status(), "running")

    def server(self, *words):
        process = subprocess.Popen(["criu", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    @staticmethod
    def listens(port):
        return f":{port:04X} 00000000:0000 0A" in pathlib.Path("/proc/net/tcp").read_text()

    def test_pages_go_to_a_page_server(self):
        self.run_counter()
        self.images.mkdir()
        port = 27277
        server = self.server("page-server", "--images-dir", self.images, "--port", port)
        wait_until(lambda: self.listens(port), "a page server")
        self.checkpoint("--page-server", f"127.0.0.1:{port}")
        self.assertEqual(server.wait(timeout=PATIENCE), 0)
        self.restore()
        self.goes_on()

    def test_pages_come_when_they_are_asked_for(self):
        self.run_counter(args=self.FILL)
        port = 27278
        reader, writer = os.pipe()
        log = open(self.dir / "lazy.log", "w+")
        dump = subprocess.Popen([RUNTIME, "--root", self.state, "checkpoint", "--lazy-pages", "--page-server", f"127.0.0.1:{port}", "--status-fd", str(writer),
                                 "--image-path", self.images, "c"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writer])
        self.addCleanup(dump.wait)
        self.addCleanup(dump.kill)
        os.close(writer)
        self.assertEqual(os.read(reader, 1), b"\0", log.seek(0) or log.read())
        without = self.runtime("restore", "-d", "-b", self.dir / "bundle", "--image-path", self.images, "other", check=False)
        self.assertIn("has not all of the memory", without.stderr)
        pages = self.server("lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", port, "--images-dir", self.images)
        wait_until(lambda: (self.images / "lazy-pages.socket").exists(), "a server of pages")
        before = self.count()
        self.restore("--lazy-pages", id="other")
        self.goes_on(before)
        self.assertEqual((pages.wait(timeout=PATIENCE), dump.wait(timeout=PATIENCE)), (0, 0))
        self.assertEqual(self.runtime("list", "-q").stdout, "other\n")

    def test_lazy_pages_that_nobody_could_ask_for_are_refused(self):
        self.run_counter()
        self.assertIn("--lazy-pages needs --page-server", self.checkpoint("--lazy-pages", check=False).stderr)
        self.checkpoint()
        result = self.runtime("restore", "-d", "-b", self.dir / "bundle", "--image-path", self.images, "--lazy-pages", "c", check=False)
        self.assertIn("lazy-pages.socket", result.stderr)

    def test_a_page_server_without_port_is_refused(self):
        self.run_counter()
        self.assertIn("Use --page-server ADDRESS:PORT to specify page server", self.checkpoint("--page-server", "127.0.0.1", check=False).stderr)

    def test_a_status_fd_that_is_none_is_refused(self):
        self.run_counter()
        reader, writer = os.pipe()
        os.close(writer)
        for number, says in {777: "bad file descriptor", reader: "not writable"}.items():
            result = self.checkpoint("--lazy-pages", "--page-server", "127.0.0.1:27279", "--status-fd", number, check=False, pass_fds=[reader])
            self.assertIn(f"invalid --status-fd argument {number}: {says}", result.stderr.lower())
        os.close(reader)


@needs_root
@needs_criu
class Connections(CheckpointCase):
    """What leads out of a process: terminals, connections, files."""

    def console(self):
        """A socket as the engines listen on, and a function that gives the terminal that came."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        path = self.dir / f"console-{id(listener)}"
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(PATIENCE)

        def accept():
            connection = listener.accept()[0]
            message, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
            connection.close()
            master = array.array("i", ancillary[0][2][:4])[0]
            self.addCleanup(os.close, master)
            return master
        return path, accept

    def talk(self, master, word):
        os.write(master, word.encode() + b"\n")
        said = b""
        while b"<" + word.encode() + b">" not in said:
            said += os.read(master, 4096)

    def test_a_terminal_goes_on_at_a_new_console_socket(self):
        path, accept = self.console()
        bundle = self.bundle("sh", "-c", "touch /ready; while read x; do echo \"<$x>\"; done", edit=lambda config: config["process"].update(terminal=True))
        self.detached("run", "-d", "-b", bundle, "--console-socket", path, "c")
        self.talk(accept(), "one")
        self.checkpoint()
        path, accept = self.console()
        self.restore("--console-socket", path)
        self.talk(accept(), "two")
        self.assertIn("/dev/pts/0", self.inside("sh", "-c", "ls -l /proc/1/fd"))
        self.assertRegex(self.inside("grep", "/dev/console", "/proc/1/mountinfo"), "devpts")

    def test_a_terminal_that_nobody_takes_is_refused(self):
        path, accept = self.console()
        bundle = self.bundle("sh", "-c", "read x", edit=lambda config: config["process"].update(terminal=True))
        self.detached("run", "-d", "-b", bundle, "--console-socket", path, "c")
        accept()
        self.checkpoint()
        result = self.runtime("restore", "-d", "-b", bundle, "--image-path", self.images, "c", check=False)
        self.assertIn("cannot allocate tty if runc will detach without setting console socket", result.stderr)

    def test_an_established_connection_stays(self):
        self.run_counter(args=("sh", "-c", "sleep 1000 | nc -l -p 99 > /got & while :; do (i=0; while :; do i=$((i+1)); echo $i; echo $i > /count; sleep 0.1; done) | nc 127.0.0.1 99; done"))
        got = self.dir / "bundle/rootfs/got"
        wait_until(lambda: got.exists() and got.stat().st_size > 10, "a connection")
        refused = self.checkpoint(check=False)
        self.assertIn("tcp", refused.stderr)
        self.assertEqual(self.status(), "running")
        self.goes_on_after(["--tcp-established"], ["--tcp-established"])
        before = got.stat().st_size
        wait_until(lambda: got.stat().st_size > before, "what is sent")

    def test_a_locked_file_stays_locked(self):
        def edit(config):   # busybox has no flock
            for name in "lib", "lib64":
                (self.dir / "bundle/rootfs" / name).symlink_to("usr/" + name)
            config["mounts"].append({"destination": "/usr", "type": "bind", "source": "/usr", "options": ["bind", "ro"]})
        self.run_counter(edit, args=("sh", "-c", f"exec 9> /lock; /usr/bin/flock 9; {COUNT}"))
        self.assertIn("--file-locks", self.checkpoint(check=False).stderr)
        self.goes_on_after(["--file-locks"], ["--file-locks"])
        self.assertEqual(self.runtime("exec", "c", "/usr/bin/flock", "--nonblock", "/lock", "true", check=False).returncode, 1)

    def test_an_unlinked_file_is_linked_again(self):
        self.run_counter(args=("sh", "-c", f"mkdir /d; exec 9> /d/f; ln /d/f /d/g; rm /d/f; {COUNT}"))
        self.goes_on_after(["--link-remap"])
        self.assertIn("(deleted)", self.inside("ls", "-l", "/proc/1/fd"))


@needs_root
@needs_criu
class Surroundings(CheckpointCase):
    """Namespaces, mounts, cgroups, labels and hooks of a container that comes back."""

    def network_namespace(self):
        name = f"keg-{os.getpid()}"
        run("ip", "netns", "add", name)
        self.addCleanup(run, "ip", "netns", "del", name)
        run("ip", "-n", name, "link", "add", "dummy7", "type", "dummy")
        return f"/run/netns/{name}"

    def joins(self, type, path):
        def edit(config):
            config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != type]
            config["linux"]["namespaces"].append({"type": type, "path": str(path)})
        return edit

    def holder(self, file, *words):
        """The path of a namespace that a process holds."""
        process = subprocess.Popen(["unshare", *words, "sleep", "1000"], stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        path = f"/proc/{process.pid}/ns/{file}"
        wait_until(lambda: os.readlink(path) != os.readlink(f"/proc/self/ns/{file}"), "a namespace")
        return path

    def test_a_network_namespace_that_was_joined_is_joined_again(self):
        path = self.network_namespace()
        self.run_counter(self.joins("network", path))
        self.goes_on_after()
        self.assertEqual(os.stat(f"/proc/{self.pid()}/ns/net").st_ino, os.stat(path).st_ino)
        self.assertIn("dummy7", self.inside("ip", "link"))

    def test_a_network_namespace_that_is_gone_is_said(self):
        path = self.network_namespace()
        bundle = self.run_counter(self.joins("network", path))
        self.checkpoint()
        config = json.loads((bundle / "config.json").read_text())
        self.joins("network", "/run/netns/keg-none")(config)
        (bundle / "config.json").write_text(json.dumps(config))
        result = self.runtime("restore", "-d", "-b", bundle, "--image-path", self.images, "c", check=False)
        self.assertIn("/run/netns/keg-none", result.stderr)

    def test_other_namespaces_that_were_joined_are_joined_again(self):
        for type, file, flag in ("ipc", "ipc", "--ipc"), ("uts", "uts", "--uts"):
            with self.subTest(type):
                path = self.holder(file, flag)

                def edit(config):
                    self.joins(type, path)(config)
                    config.pop("hostname")
                self.run_counter(edit)
                self.goes_on_after()
                self.assertEqual(os.stat(f"/proc/{self.pid()}/ns/{file}").st_ino, os.stat(path).st_ino)
                self.forget()

    def test_a_pid_namespace_that_was_joined_is_joined_again(self):
        reaps = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); signal.pause()"
        holder = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "python3", "-c", reaps], stdin=subprocess.DEVNULL)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        children = pathlib.Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
        wait_until(lambda: children.read_text(), "a first process")
        path = f"/proc/{children.read_text().strip()}/ns/pid"
        self.run_counter(self.joins("pid", path))
        self.goes_on_after()
        self.assertEqual(os.stat(f"/proc/{self.pid()}/ns/pid").st_ino, os.stat(path).st_ino)

    def own_users(self, config):
        (self.dir / "bundle/rootfs").chmod(0o777)
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update({kind: [{"containerID": 0, "hostID": 100000, "size": 65536}] for kind in ("uidMappings", "gidMappings")})

    def test_a_user_namespace_of_its_own_is_made_again(self):
        """And the images of its memory are still nobody else's."""
        self.dir.chmod(0o711)   # for the container's root to find its own
        self.run_counter(self.own_users)
        self.runtime("checkpoint", "--pre-dump", "--image-path", self.dir / "first", "c")
        self.goes_on_after(["--parent-path", "../first"])
        self.assertEqual(self.inside("sh", "-c", "cat /proc/1/uid_map; ls -ln /count").split()[:6], ["0", "100000", "65536", "-rw-r--r--", "1", "0"])
        self.assertEqual([(self.dir / images).stat().st_mode & 0o777 for images in ("first", "images")], [0o700, 0o700])

    @needs("apparmor_parser")
    @unittest.skipUnless(os.path.exists("/sys/kernel/security/apparmor"), "the kernel runs without AppArmor")
    def test_an_apparmor_profile_stays_or_is_exchanged(self):
        profiles = "".join(PROFILE.format(name=name, more="") for name in ("keg-one", "keg-two"))
        run("apparmor_parser", "--replace", "--skip-cache", input=profiles)
        self.addCleanup(run, "apparmor_parser", "--remove", input=profiles)
        self.run_counter(lambda config: config["process"].update(apparmorProfile="keg-one"))
        for options, profile in ([], "keg-one"), (["--lsm-profile", "apparmor:keg-two"], "keg-two"):
            self.goes_on_after([], options)
            self.assertEqual(pathlib.Path(f"/proc/{self.pid()}/attr/current").read_text(), f"{profile} (enforce)\n")
        self.checkpoint()
        for profile, says in {"apparmor:keg-none": 'apparmor profile \\"keg-none\\" is not loaded', "keg-two": "invalid argument keg-two for --lsm-profile"}.items():
            result = self.runtime("restore", "-d", "-b", self.dir / "bundle", "--image-path", self.images, "--lsm-profile", profile, "c", check=False)
            self.assertIn(says, result.stderr)

    def test_a_network_that_hooks_fill_they_fill_again(self):
        self.run_counter(lambda config: config.update(hooks={"prestart": [
            {"path": "/bin/sh", "args": ["sh", "-c", "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); nsenter -t $pid -n ip link add dummy7 type dummy"], "env": [f"PATH={os.environ['PATH']}"]}]}))
        self.goes_on_after()
        self.assertRegex(self.inside("ip", "address"), "(?s)127.0.0.1.*dummy7")

    def test_an_empty_network_namespace_has_its_loopback(self):
        self.run_counter()
        self.goes_on_after(["--empty-ns", "network"], ["--empty-ns", "network"])
        self.assertIn("127.0.0.1", self.inside("ip", "address"))

    def test_a_namespace_that_cannot_be_empty_is_refused(self):
        self.run_counter()
        self.assertIn("namespace", self.checkpoint("--empty-ns", "ipc", check=False).stderr)

    def test_mounts_are_what_they_were(self):
        (self.dir / "data/inner").mkdir(parents=True)

        def edit(config):
            config["root"]["readonly"] = True
            config["mounts"] += [
                {"destination": "/data", "type": "bind", "source": str(self.dir / "data"), "options": ["rbind", "rw"]},
                {"destination": "/data/inner", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]},
                {"destination": "/scratch/deep", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=1777"]}]
            config["linux"]["maskedPaths"] = ["/proc/kcore", "/proc/acpi", "/proc/keys", "/none", "/etc/group"]
            config["linux"]["readonlyPaths"] = ["/proc/sys", "/proc/irq"]
        bundle = self.bundle("sh", "-c", f"echo kept > /scratch/deep/x; {COUNT.replace('/count', '/data/count')}", edit=edit)
        self.detached("run", "-d", "-b", bundle, "c")
        mounts = ("sh", "-c", "cut -d' ' -f5- /proc/self/mountinfo | sed 's/ [a-z]*:[0-9]*//; s/size=65536k,//' | sort")
        shown = ("sh", "-c", "cat /scratch/deep/x /etc/group; ls /proc/acpi; touch /x 2>&1; echo 1 2>&1 > /proc/sys/kernel/x")
        before, said = self.inside(*mounts), self.runtime("exec", "c", *shown, check=False).stdout
        self.checkpoint()
        (self.dir / "data/inner").rmdir()
        self.restore()
        self.assertEqual(self.inside(*mounts), before)
        self.assertEqual(self.runtime("exec", "c", *shown, check=False).stdout, said)

    def test_a_cgroup_mode_that_is_none_is_refused(self):
        self.run_counter()
        self.assertIn("invalid manage-cgroups-mode value", self.checkpoint("--manage-cgroups-mode", "hard", check=False).stderr)

    def test_another_id_is_another_cgroup(self):
        self.run_counter()
        cgroup = pathlib.Path(f"/proc/{self.pid()}/cgroup").read_text()
        self.goes_on_after(id="other")
        self.assertEqual(pathlib.Path(f"/proc/{self.pid('other')}/cgroup").read_text(), cgroup.replace("/c\n", "/other\n"))
        self.runtime("pause", "other")
        self.assertEqual(self.status("other"), "paused")
        self.runtime("resume", "other")

    def test_two_come_from_one(self):
        self.run_counter()
        self.checkpoint("--leave-running")
        shutil.copytree(self.dir / "bundle", self.dir / "twin", symlinks=True)
        self.restore(id="twin", bundle="twin")
        self.goes_on()
        self.assertEqual((self.status(), self.status("twin")), ("running", "running"))
        self.runtime("delete", "--force", "twin")
        self.goes_on()

    def test_hooks_run_in_their_order(self):
        log = self.dir / "hooks"

        def hook(name):
            return [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {name} $(tr -d ' \\n' | sed 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/') >> {log}"]}]
        self.run_counter(lambda config: config.update(hooks={name: hook(name) for name in ("prestart", "createRuntime", "poststart", "poststop")}))
        self.assertEqual(log.read_text(), "prestart created\ncreateRuntime creating\npoststart running\n")
        log.unlink()
        self.checkpoint()
        self.assertEqual(log.read_text(), "poststop stopped\n")
        log.unlink()
        self.restore()
        self.assertEqual(log.read_text(), "prestart created\ncreateRuntime creating\n")
        self.runtime("delete", "--force", "c")
        self.assertEqual(log.read_text(), "prestart created\ncreateRuntime creating\npoststop stopped\n")

    def test_a_hook_that_fails_ends_the_restore(self):
        bundle = self.run_counter()
        self.checkpoint()
        config = json.loads((bundle / "config.json").read_text())
        config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo no more >&2; exit 1"]}]}
        (bundle / "config.json").write_text(json.dumps(config))
        result = self.runtime("restore", "-d", "-b", bundle, "--image-path", self.images, "c", check=False)
        self.assertIn("no more", result.stderr)
        self.assertEqual(self.runtime("list", "-q").stdout, "")


if __name__ == "__main__":
    unittest.main()
