"""What the host hands to a container is read-only or was newly made for it, and what was checked is what is used.

Each test is a container (or another user of the host) that reaches for more than it was given.
"""
import os
import pathlib
import socket
import stat
import subprocess
import unittest

from hostile import Hostile, swapping, without, without_dev
from keg import RUNTIME, run, wait_until

MAPPED = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def in_user_namespace(config, mappings=MAPPED):
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = mappings
    without(config, "/sys/fs/cgroup")


def with_capabilities(config, *names):
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind] = sorted({*config["process"]["capabilities"][kind], *names})


def quietly(*words):
    """Of what stays: it keeps the descriptors that it is given."""
    subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def belongs_to(path, uid):
    for directory, _, files in os.walk(path):
        for name in (directory, *(os.path.join(directory, f) for f in files)):
            os.lchown(name, uid, uid)


class OwnDev:
    """A namespace's /dev of its own, as the host has it: what fails there does not take the machine's along."""
    MAKE = """d=$1; shift; mount -t tmpfs -o mode=755 tmpfs $d
        for n in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
            IFS=: read -r name major minor <<< "$n"; mknod -m 666 $d/$name c $major $minor; done
        mkdir $d/pts $d/shm $d/mqueue; ln -s /proc/self/fd $d/fd; mount --bind /dev/pts $d/pts; ln -s pts/ptmx $d/ptmx
        mount --move $d /dev
        stat -c 'before %a %u:%g %Y' /dev/null; "$@"; stat -c 'after %a %u:%g %Y' /dev/null"""

    @classmethod
    def run(cls, directory, *words):
        """What the words print, and the null device's mode, owner and time before and after."""
        place = directory / "dev"
        place.mkdir(exist_ok=True)
        out = run("unshare", "-m", "--propagation", "private", "bash", "-ec", cls.MAKE, "bash", place, *words, check=False)
        lines = out.stdout.splitlines()
        return {"before": next(l[7:] for l in lines if l.startswith("before ")), "after": next(l[6:] for l in lines if l.startswith("after ")),
                "out": [l for l in lines if not l.startswith(("before ", "after "))], "err": out.stderr}


class Masks(Hostile):
    TOUCH = """for f in /etc/secret /etc/other; do
        chmod 600 $f && echo CHMOD; chown 7:7 $f && echo CHOWN; touch -d @1000000000 $f && echo TOUCH
        cat $f; echo ignored > $f && echo written; done 2> /tmp/why; grep -c 'Read-only file system' /tmp/why"""

    def edit(self, config):
        with_capabilities(config, "CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE")
        config["linux"]["maskedPaths"] = ["/etc/secret", "/etc/other"]

    def test_a_masked_file_is_no_way_to_the_hosts_null_device(self):
        for name, edit in (("own", self.edit), ("none", lambda c: (self.edit(c), without_dev(c)))):
            with self.subTest(dev=name):
                bundle = self.bundle("sh", "-c", self.TOUCH, edit=edit, name=name)
                for secret in ("secret", "other"):
                    (bundle / "rootfs/etc" / secret).write_text("secret")
                seen = OwnDev.run(self.dir, RUNTIME, "--root", self.state, "run", "-b", bundle, name)
                self.assertEqual(seen["out"], ["written", "written", "6"], seen)
                self.assertEqual(seen["before"], seen["after"])

    def test_nor_is_one_in_the_hosts_own_dev(self):
        def edit(config):
            self.edit(config)
            without_dev(config)
            config["mounts"].append({"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]})
        bundle = self.bundle("sh", "-c", self.TOUCH, edit=edit)
        for secret in ("secret", "other"):
            (bundle / "rootfs/etc" / secret).write_text("secret")
        seen = OwnDev.run(self.dir, RUNTIME, "--root", self.state, "run", "-b", bundle, "c")
        self.assertEqual(seen["out"], ["written", "written", "6"], seen)
        self.assertEqual(seen["before"], seen["after"])


class Nodes(Hostile):
    def run_mapped(self, script, edit=lambda config: None, name="mapped", **options):
        def both(config):
            in_user_namespace(config)
            edit(config)
        bundle = self.bundle("sh", "-c", script, edit=both, name=name)
        belongs_to(bundle / "rootfs", MAPPED[0]["hostID"])
        self.dir.chmod(0o711)
        return self.runtime("run", "-b", bundle, name, **options)

    def test_devices_in_a_user_namespace_have_their_numbers_mode_and_owner(self):
        def edit(config):
            config["linux"]["devices"] = [
                {"path": "/dev/no-such-name-outside", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 10, "gid": 11},
                {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 10, "gid": 11},
                {"path": "/in/pipe", "type": "p", "fileMode": 0o620, "uid": 10, "gid": 11}]
            config["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
            config["process"]["user"] = {"uid": 10, "gid": 11}
        out = self.run_mapped("stat -c '%n %F %t:%T %a %u:%g' /dev/no-such-name-outside /dev/kmsg /in/pipe /dev/null /dev/tty /dev/urandom;"
                              "head -c 3 /dev/no-such-name-outside | wc -c; echo x > /dev/null && head -c 1 /dev/urandom | wc -c", edit).stdout.splitlines()
        self.assertEqual(out, ["/dev/no-such-name-outside character special file 1:5 640 10:11", "/dev/kmsg character special file 1:3 600 10:11",
                               "/in/pipe fifo 0:0 620 10:11", "/dev/null character special file 1:3 666 0:0", "/dev/tty character special file 5:0 666 0:0",
                               "/dev/urandom character special file 1:9 666 0:0", "3", "1"])

    def test_what_their_root_does_to_them_stays_inside(self):
        def edit(config):
            with_capabilities(config, "CAP_CHOWN", "CAP_FOWNER")
        script = "for n in null zero full random urandom tty; do chmod 600 /dev/$n; chown 5:5 /dev/$n; stat -c %a:%u /dev/$n; done"
        before = [os.stat(f"/dev/{n}") for n in ("null", "zero", "full", "random", "urandom", "tty")]
        out = self.run_mapped(script, edit).stdout.split()
        self.assertEqual(out, ["600:5"] * 6)
        for now, then in zip((os.stat(f"/dev/{n}") for n in ("null", "zero", "full", "random", "urandom", "tty")), before):
            self.assertEqual((now.st_mode, now.st_uid, now.st_ctime_ns), (then.st_mode, then.st_uid, then.st_ctime_ns))

    def test_who_may_make_no_nodes_has_the_hosts_which_nobody_changes(self):
        def edit(config):
            with_capabilities(config, "CAP_CHOWN", "CAP_FOWNER")
        bundle = self.bundle("sh", "-c", """chmod 600 /dev/null && echo CHMOD; chown 7:7 /dev/null && echo CHOWN; touch -d @1000000000 /dev/null && echo TOUCH
            echo x > /dev/null && head -c 2 /dev/zero | wc -c""", edit=edit)
        seen = OwnDev.run(self.dir, "setpriv", "--bounding-set=-mknod", "--inh-caps=-mknod", RUNTIME, "--root", self.state, "run", "-b", bundle, "c")
        self.assertEqual(seen["out"], ["2"], seen)
        self.assertEqual(seen["before"], seen["after"])

    def test_the_console_and_the_message_queues_belong_to_root_of_a_user_namespace(self):
        out = self.run_mapped("stat -c '%n %u:%g' /dev/mqueue /dev/shm; ls -ld /proc/self/ns/ipc | wc -l").stdout.splitlines()
        self.assertEqual(out, ["/dev/mqueue 0:0", "/dev/shm 0:0", "1"])


class Streams(Hostile):
    """Standard streams whose owner has no number in a user namespace."""
    def bundle_of(self, script, name="b"):
        def edit(config):
            in_user_namespace(config, [{"containerID": 0, "hostID": 200000, "size": 10}])
            without(config, "/dev/pts")    # whose group is 5: it has a number, but no mode for others is needed
        bundle = self.bundle("sh", "-c", script, edit=edit, name=name)
        belongs_to(bundle / "rootfs", 200000)
        self.dir.chmod(0o711)
        return bundle

    def test_pipes_and_files_may_be_opened_again(self):
        bundle = self.bundle_of("echo one; echo two > /dev/stdout; echo three > /dev/stderr")
        result = self.runtime("run", "-b", bundle, "c")
        self.assertEqual(result.stdout.split(), ["one", "two"])
        self.assertEqual(result.stderr.split(), ["three"])
        with open(self.dir / "file", "w") as file:
            subprocess.run([RUNTIME, "--root", self.state, "run", "-b", bundle, "d"], stdout=file, stdin=subprocess.DEVNULL, check=True, stderr=subprocess.PIPE)
        self.assertIn("two", (self.dir / "file").read_text())

    def test_those_of_a_process_that_joins_as_well(self):
        bundle = self.bundle_of("sleep 1000")
        quietly(RUNTIME, "--root", self.state, "run", "-d", "-b", bundle, "s")
        out = self.runtime("exec", "s", "sh", "-c", "echo one; echo two > /dev/stdout").stdout.split()
        self.assertEqual(out, ["one", "two"])


class Sealed(Hostile):
    def exe_of(self, runtime):
        """Where the program lies that waits as init for `start`, and whether its file system is read-only."""
        bundle = self.bundle("true", name=f"exe-{runtime.parent.name}")
        quietly(runtime, "--root", self.state, "create", "-b", bundle, "e")
        pid = self.runtime("state", "e").stdout.split('"pid": ')[1].split(",")[0]
        exe = os.readlink(f"/proc/{pid}/exe")
        flags = os.statvfs(f"/proc/{pid}/exe").f_flag
        self.runtime("delete", "--force", "e")
        return exe, bool(flags & os.ST_RDONLY)

    def test_a_read_only_host_is_no_seal(self):
        """Its owner makes it writable for an update, and with it whoever has the runtime's file open."""
        place = self.dir / "usr"
        place.mkdir()
        script = f"""mount -t tmpfs tmpfs {place}; cp {RUNTIME} {place}/keg-runtime; mount -o remount,ro {place}
            cd {self.bundle("true")}; {place}/keg-runtime --root {self.state} create e > /dev/null 2>&1 < /dev/null
            pid=$({RUNTIME} --root {self.state} state e | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p')
            readlink /proc/$pid/exe
            mount -o remount,rw {place}; (exec 3<> /proc/$pid/exe) 2>/dev/null && echo WRITABLE; {RUNTIME} --root {self.state} delete -f e"""
        out = run("unshare", "-m", "--propagation", "private", "sh", "-c", script, check=False)
        self.assertEqual(out.stdout.split(), ["/"], out.stderr)

    def test_what_enters_a_container_runs_from_a_mount_that_lies_nowhere(self):
        self.assertEqual(self.exe_of(pathlib.Path(RUNTIME)), ("/", True))


class Private(Hostile):
    """Another user of the host, who knows a container's id."""
    def as_nobody(self, *words):
        return run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *words, check=False)

    def test_a_containers_state_is_nobody_elses(self):
        self.dir.chmod(0o711)
        with self.sleeping():
            self.assertEqual(stat.S_IMODE(os.stat(self.state).st_mode), 0o700)
            for path in (self.state / "s", self.state / "s/config.json", self.state / "s/state.json", self.state / "s/exec.fifo"):
                result = self.as_nobody("stat", path)
                self.assertIn("Permission denied", result.stderr)

    def test_even_if_the_directory_of_all_is_open(self):
        self.dir.chmod(0o711)
        self.state.mkdir(mode=0o755)
        with self.sleeping():
            self.assertIn("Permission denied", self.as_nobody("ls", self.state / "s").stderr)

    def test_only_the_container_says_that_it_is_ready(self):
        self.dir.chmod(0o711)
        bundle = self.bundle("sleep", "1000")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(self.dir / "manager"))
            env = {**os.environ, "NOTIFY_SOCKET": str(self.dir / "manager")}
            waiting = subprocess.Popen([RUNTIME, "--root", self.state, "run", "-d", "-b", bundle, "n"], env=env,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                there = self.state / "n/notify/notify.sock"
                wait_until(there.exists, "the container's socket")
                said = self.as_nobody("python3", "-c", f"import socket; socket.socket(1, 2).sendto(b'READY=1', {str(there)!r})")
                self.assertIn("PermissionError", said.stderr)
                manager.setblocking(False)
                self.assertRaises(BlockingIOError, manager.recv, 4096)
            finally:
                waiting.kill()
                waiting.wait()


class Files(Hostile):
    def test_a_file_of_the_kernels_for_passwd_keeps_nobody(self):
        """A read of /proc/kmsg does not end, and it is a regular file to whoever only asks for that."""
        for i, target in enumerate(("/proc/kmsg", "/proc/self/mem", "/sys/kernel/notes", "/proc/sys/kernel/core_pattern")):
            with self.subTest(target):
                out = self.sh("echo $HOME", prepare=self.link("etc/passwd", target), name=f"p{i}").stdout
                self.assertEqual(out.strip(), "/")

    def test_what_changes_while_it_is_copied_up_stops_nobody(self):
        """A file is a FIFO by the time it is opened."""
        def edit(config):
            config["mounts"].append({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]})
        bundle = self.bundle("true", edit=edit)
        (bundle / "rootfs/data").mkdir()
        (bundle / "rootfs/data/file").write_text("x")
        os.mkfifo(self.dir / "fifo")
        with swapping(bundle / "rootfs/data/file", self.dir / "fifo"):
            for i in range(60):
                run(RUNTIME, "--root", self.state, "run", "-b", bundle, f"c{i}")

    def test_what_is_copied_up_is_as_it_was_at_any_depth(self):
        def edit(config):
            config["mounts"].append({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]})
            config["process"]["rlimits"] = []    # those of who starts it
        script = """cd /data; stat -c '%n %F %a %u:%g %s' file big link pipe dir dir/in; readlink link; cat file; du -k big | cut -f1
            n=0; cd deep; while cd d 2> /dev/null; do n=$((n+1)); done; echo $n"""
        bundle = self.bundle("sh", "-c", script, edit=edit)
        data = bundle / "rootfs/data"
        (data / "dir").mkdir(parents=True)
        self.addCleanup(run, "rm", "-rf", data)   # as deep as Python does not go
        (data / "file").write_text("content\n")
        (data / "dir/in").write_text("")
        with open(data / "big", "wb") as big:
            big.truncate(1 << 40)
        (data / "link").symlink_to("/nowhere")
        os.mkfifo(data / "pipe")
        for name, mode, owner in (("file", 0o4755, 7), ("pipe", 0o620, 8), ("dir", 0o1775, 9)):
            os.chown(data / name, owner, owner)
            (data / name).chmod(mode)
        (data / "deep").mkdir()
        here = os.open(data / "deep", os.O_RDONLY)
        depth = 1500
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        out = run("prlimit", "--nofile=256", RUNTIME, "--root", self.state, "run", "-b", bundle, "c").stdout.splitlines()
        self.assertEqual(out, ["file regular file 4755 7:7 8", f"big regular file 644 0:0 {1 << 40}", "link symbolic link 777 0:0 8", "pipe fifo 620 8:8 0",
                               "dir directory 1775 9:9 60", "dir/in regular empty file 644 0:0 0", "/nowhere", "content", "0", str(depth)])

    def test_a_kernel_parameter_is_judged_by_the_file_that_is_written(self):
        for i, key in enumerate(("net/../kernel/core_pattern", "net/../../no-such-file", "net/./ipv4/ip_forward", "net//ipv4/ip_forward", "net.ipv4.", "/net/ipv4/ip_forward",
                                 "net./..kernel", "net.//.kernel")):
            with self.subTest(key):
                self.refused(f'sysctl "{key}" is no', lambda config: config["linux"].update(sysctl={key: "1"}), name=f"s{i}")


class WithoutMountNamespace(Hostile):
    """Whose mounts lie on the host, over its root file system."""
    def setUp(self):
        super().setUp()
        def edit(config):
            config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] not in ("mount", "pid")]
            config["linux"].pop("maskedPaths"), config["linux"].pop("readonlyPaths")
        self.one = self.bundle("sleep", "1000", edit=edit)

    def start(self, name):
        quietly(RUNTIME, "--root", self.state, "run", "-d", "-b", self.one, name)

    def has_proc(self, name):
        return self.runtime("exec", name, "ls", "/proc/self/status", check=False).stdout.strip() == "/proc/self/status"

    def mounts(self):
        return sum(str(self.one) in line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())

    def test_deleting_one_takes_nothing_from_another(self):
        for order in ("abc", "acb", "bac", "bca", "cab", "cba"):
            with self.subTest(order):
                for name in "abc":
                    self.start(name)
                for i, name in enumerate(order):
                    self.runtime("delete", "--force", name)
                    for other in order[i + 1:]:
                        self.assertTrue(self.has_proc(other), f"{other} after {name} was deleted")
                self.assertEqual(self.mounts(), 0)

    def test_what_was_mounted_there_before_stays(self):
        run("mount", "--bind", self.one / "rootfs", self.one / "rootfs")
        self.addCleanup(run, "umount", self.one / "rootfs")
        before = self.mounts()
        self.start("a")
        self.runtime("delete", "--force", "a")
        self.assertEqual(self.mounts(), before)


class Criu(Hostile):
    """A stand-in for CRIU, which writes down what it is asked and says that all went well."""
    STAND_IN = """#!/usr/bin/env python3
import socket, sys
if len(sys.argv) > 2 and sys.argv[1] == 'swrk':
    s = socket.socket(fileno=int(sys.argv[2]))
    while True:
        asked = s.recv(1 << 20)
        if not asked: break
        open({log!r}, 'ab').write(asked + b'\\n')
        kind = asked[1] if asked[:1] == b'\\x08' else 0
        s.send(bytes([8, kind, 16, 1, 0x42, 4, 8, 4, 16, 1]))
else: print('Version: 4.1')
"""

    def setUp(self):
        super().setUp()
        (self.dir / "bin").mkdir()
        (self.dir / "bin/criu").write_text(self.STAND_IN.format(log=str(self.dir / "asked")))
        (self.dir / "bin/criu").chmod(0o755)
        (self.dir / "source").mkdir()
        self.env = {**os.environ, "PATH": f"{self.dir}/bin:{os.environ['PATH']}"}

    def test_a_mount_that_it_would_take_for_another_is_refused_before_it_is_asked(self):
        def edit(config):
            config["mounts"].append({"destination": "/data", "type": "bind", "source": str(self.dir / "source"), "options": ["bind"]})
        def prepare(rootfs):
            (rootfs / "x]:/etc").mkdir(parents=True)
            (rootfs / "data").symlink_to("/x]:/etc")
        with self.sleeping(edit, prepare) as bundle:
            images = self.dir / "images"
            result = run(RUNTIME, "--root", self.state, "checkpoint", "--image-path", images, "--leave-running", "s", env=self.env, check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn('criu cannot name a mount at "/x]:/etc"', result.stderr.replace('\\"', '"'))
            images.mkdir(exist_ok=True)
            result = run(RUNTIME, "--root", self.state, "restore", "--image-path", images, "-d", "-b", bundle, "r", env=self.env, check=False)
            self.assertIn('criu cannot name a mount at "/x]:/etc"', result.stderr.replace('\\"', '"'))
        self.assertFalse((self.dir / "asked").exists(), "CRIU was asked")


if __name__ == "__main__":
    unittest.main()
