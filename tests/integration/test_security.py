"""What nobody in a container, and nobody who made its image, can do. docs/security.md is the promise.

Each test is an attack that worked on some runtime, with its number; the image or the process is hostile, the
config is not. Where it is cheap a test first shows that its attack works on who does not defend himself.
"""
import array
import contextlib
import ctypes
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import unittest

from hostile import Hostile, in_private_mounts, libc, swapping, without, without_dev
from keg import PATIENCE, RUNTIME, rounds, run


class Executable(Hostile):
    WRITE_LATER = """exec 3< /proc/$pid/exe; echo > /tmp/go; while [ -e /proc/$pid/fd/0 ]; do sleep 0.01; done
        if (echo overwritten > /proc/self/fd/3) 2> /tmp/why; then echo WRITTEN; else cat /tmp/why; fi"""

    def test_runtime_cannot_be_overwritten(self):
        """CVE-2019-5736: a program of the container is /proc/self/exe; what it runs is the runtime's file."""
        mine = self.dir / "keg-runtime"
        shutil.copy(RUNTIME, mine)
        before = mine.read_bytes()
        with self.sleeping(runtime=str(mine)):
            base = [str(mine), "--root", str(self.state)]
            # The attack works: a file of the container's own is overwritten like this.
            control = run(*base, "exec", "s", "sh", "-c", f"""mkdir /tmp/v; cp /bin/busybox /tmp/v/; mkfifo /tmp/go
                /tmp/v/busybox cat /tmp/go & pid=$!
                until [ "$(readlink /proc/$pid/exe)" = /tmp/v/busybox ]; do sleep 0.01; done; {self.WRITE_LATER}; rm /tmp/go""")
            self.assertIn("WRITTEN", control.stdout)
            # keg-runtime itself, held where it opens its log, a fifo.
            run(*base, "exec", "s", "mkfifo", "/tmp/go")
            held = subprocess.Popen([*base, "exec", "s", "/proc/self/exe", "--log", "/tmp/go", "list"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            find = """for n in $(seq 900); do for p in /proc/[0-9]*; do
                if [ "$(tr '\\0' ' ' < $p/cmdline)" = "/proc/self/exe --log /tmp/go list " ]; then pid=${p#/proc/}; fi
                done; [ "$pid" ] && break; sleep 0.1; done; """
            attack = run(*base, "exec", "s", "sh", "-c", find + self.WRITE_LATER.replace("echo > /tmp/go", "cat /tmp/go & sleep 0.1"), check=False)
            held.wait(timeout=PATIENCE)
            self.assertIn("Read-only file system", attack.stdout + attack.stderr)
            self.assertNotIn("WRITTEN", attack.stdout)
        self.assertEqual(mine.read_bytes(), before)

    def test_open_descriptors_lead_nowhere(self):
        """CVE-2024-21626: the working directory or the program is /proc/self/fd/N, N the runtime's own."""
        (self.outside / "program").write_text("#!/bin/sh\necho ESCAPED\n")
        (self.outside / "program").chmod(0o755)
        up = "../" * 12
        # The attack works on who keeps a descriptor: it survives a change of root.
        control = subprocess.run(["python3", "-c", f"""
import os
fd = os.open({str(self.outside)!r}, os.O_RDONLY | os.O_DIRECTORY); os.chroot("/usr"); os.chdir("/")
os.fchdir(fd); print(os.path.exists("../outside/program"))"""], capture_output=True, text=True)
        self.assertEqual(control.stdout.strip(), "True")
        for n in range(3, 16):
            for tail in ("", f"/{up}"):
                def edit(config, cwd=f"/proc/self/fd/{n}{tail}"):
                    config["process"]["cwd"] = cwd
                result = self.sh(f"ls {str(self.outside).lstrip('/')}; ls -a", edit, name=f"cwd{n}-{len(tail)}", check=False)
                self.assertNotIn("secret", result.stdout)
                self.assertTrue(result.returncode != 0 or "busybox" not in result.stdout, result.stdout)
            program = f"/proc/self/fd/{n}/{up}{str(self.outside).lstrip('/')}/program"
            self.assertNotIn("ESCAPED", self.runtime("run", "-b", self.bundle(program, name=f"program{n}"), "c", check=False).stdout)
        with self.sleeping():
            for n in range(3, 16):
                result = self.runtime("exec", "--cwd", f"/proc/self/fd/{n}/{up}", "s", "ls", str(self.outside).lstrip("/"), check=False)
                self.assertNotIn("secret", result.stdout)
                program = f"/proc/self/fd/{n}/{up}{str(self.outside).lstrip('/')}/program"
                self.assertNotIn("ESCAPED", self.runtime("exec", "s", program, check=False).stdout)

    def test_callers_descriptors_stay_outside(self):
        """CVE-2016-9962 and its kin: what the caller of the runtime left open is not the container's."""
        fd = os.open(self.outside, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, fd)
        script = "ls -l /proc/self/fd | grep -c outside"
        result = self.runtime("run", "-b", self.bundle("sh", "-c", script), "c", check=False, pass_fds=(fd,))
        self.assertEqual(result.stdout.strip(), "0")
        with self.sleeping():
            result = self.runtime("exec", "s", "sh", "-c", script, check=False, pass_fds=(fd,))
            self.assertEqual(result.stdout.strip(), "0")

    def test_init_cannot_be_looked_into(self):
        """While init is the runtime's it is not dumpable: its /proc files are the host's root's, not the container's."""
        def edit(config):
            config["linux"]["namespaces"].append({"type": "user"})
            for which in ("uidMappings", "gidMappings"):
                config["linux"][which] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        bundle = self.bundle("sleep", "1000", edit=edit)
        self.dir.chmod(0o755)
        run("chown", "-R", "100000:100000", bundle / "rootfs")
        def owner(command):
            self.detached(*command, "c")
            return os.stat(f"/proc/{json.loads(self.runtime('state', 'c').stdout)['pid']}/fd").st_uid
        self.assertEqual(owner(["create", "-b", str(bundle)]), 0)
        self.assertEqual(owner(["start"]), 100000)


class Proc(Hostile):
    def test_proc_and_sys_are_directories(self):
        """CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: a link in the image for /proc or /sys."""
        (self.dir / "link").symlink_to(self.outside)
        control = in_private_mounts(f"mount -t proc proc {self.dir}/link; test -e {self.outside}/self && echo REDIRECTED")
        self.assertIn("REDIRECTED", control.stdout)
        for i, (name, target) in enumerate([("proc", "/tmp"), ("proc", self.up(self.outside)), ("sys", "/tmp"), ("proc", "/nowhere")]):
            self.refused("must be mounted on ordinary directory", prepare=self.link(name, target), name=f"b{i}")
        def file(rootfs):
            (rootfs / "proc").rmdir()
            (rootfs / "proc").write_text("")
        self.refused("must be mounted on ordinary directory", prepare=file, name="file")
        self.outside_is_untouched()

    def test_nothing_is_mounted_over_proc(self):
        """CVE-2019-16884: a volume of the image covers /proc, and labels are written into nothing."""
        fake = self.dir / "fake"
        (fake / "self/attr").mkdir(parents=True)
        for i, (destination, says) in enumerate([("/proc", "not of type proc"), ("/proc/self/attr", "inside /proc"), ("/here/sys", "inside /proc"),
                                                 ("/etc/../proc/sys/kernel", "inside /proc")]):
            def edit(config):
                config["mounts"].append({"destination": destination, "type": "bind", "source": str(fake), "options": ["bind"]})
            self.refused(says, edit, self.link("here", "/proc"), name=f"b{i}")

    def test_part_of_proc_is_not_proc(self):
        """A bind of /proc/self, say, has the right file system and is not a whole one."""
        def edit(config):
            config["mounts"].append({"destination": "/proc", "type": "bind", "source": "/proc/self", "options": ["bind"]})
        self.refused("not of type proc", edit)

    def test_written_sysctls_reach_the_kernel(self):
        """CVE-2025-52881: a mount that is raced onto /proc redirects what the runtime writes there."""
        def edit(config):
            config["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": "99"}
            config["mounts"].append({"destination": "/volume/x", "type": "tmpfs", "source": "raced"})
        bundle = self.bundle("sh", "-c", "cat /proc/sys/net/ipv4/ip_default_ttl; grep -c ' /proc/[^ ]* .* raced ' /proc/self/mountinfo", edit=edit)
        volume = bundle / "rootfs/volume"
        (volume / "x").mkdir(parents=True)
        (volume / "y").symlink_to("/proc/sys")
        seen = set()
        with swapping(volume / "x", volume / "y"):
            started = time.monotonic()
            # Both sides of the race, or this showed little.
            while (waited := time.monotonic() - started) < 2 or (len(seen) < 2 and waited < PATIENCE):
                result = self.runtime("run", "-b", bundle, "c", check=False)
                seen.add("ran" if result.stdout else "refused")
                if result.stdout:
                    self.assertEqual(result.stdout.split(), ["99", "0"])
                else:
                    self.assertIn("inside /proc", result.stderr)
        self.assertEqual(seen, {"ran", "refused"})


class Mounts(Hostile):
    def raced(self, bundle, judge, seconds=2):
        """Runs it again and again while volume/x is a directory in one moment and leads out in the next."""
        volume = bundle / "rootfs/volume"
        (volume / "x").mkdir(parents=True)
        (volume / "y").symlink_to(self.up(self.outside))
        tried = 0
        with swapping(volume / "x", volume / "y"):
            until = time.monotonic() + seconds
            while time.monotonic() < until or tried <= 10:   # an emulated machine is slow
                judge(self.runtime("run", "-b", bundle, "c", check=False))
                tried += 1
        self.outside_is_untouched()

    def test_raced_destination_stays_inside(self):
        """CVE-2021-30465: the destination is swapped for a link between the check and the mount."""
        (self.dir / "link").symlink_to(self.outside)
        control = in_private_mounts(f"mount -t tmpfs x {self.dir}/link; grep -q {self.outside} /proc/self/mountinfo && echo REDIRECTED")
        self.assertIn("REDIRECTED", control.stdout)
        def edit(config):
            config["mounts"].append({"destination": "/volume/x", "type": "tmpfs", "source": "raced-tmpfs"})
            config["mounts"].append({"destination": "/volume/x/below", "type": "bind", "source": str(self.outside), "options": ["bind", "ro"]})
        bundle = self.bundle("cat", "/proc/self/mountinfo", edit=edit)
        def judge(result):
            if result.returncode == 0:   # one that landed outside would be gone with the old root
                self.assertEqual(result.stdout.count("raced-tmpfs"), 1, result.stdout)
        self.raced(bundle, judge)

    def test_raced_directories_are_made_inside(self):
        """CVE-2024-45310: the directories of a destination are made outside."""
        (self.dir / "link").symlink_to(self.outside)
        os.makedirs(self.dir / "link/made")
        self.assertTrue((self.outside / "made").is_dir())
        (self.outside / "made").rmdir()
        def edit(config):
            config["mounts"].append({"destination": "/volume/x/a/b/c", "type": "tmpfs", "source": "tmpfs"})
            config["process"]["cwd"] = "/volume/x/d/e"
        self.raced(self.bundle("true", edit=edit), lambda result: None)

    def test_raced_destination_does_not_reach_proc(self):
        """CVE-2025-31133, CVE-2025-52881: files, cgroups and masks instead of a tmpfs, and a link to the kernel's own files."""
        (self.dir / "content").write_text("mine")
        def edit(config):
            config["mounts"] += [
                {"destination": "/volume/file", "type": "bind", "source": str(self.dir / "content"), "options": ["bind"]},
                {"destination": "/volume/dir", "type": "cgroup", "source": "cgroup", "options": ["ro"]}]
            config["linux"]["maskedPaths"] = ["/volume/hidden"]
            config["linux"]["readonlyPaths"] = ["/volume/seen"]
        bundle = self.bundle("cat", "/proc/self/mountinfo", edit=edit)
        volume = bundle / "rootfs/volume"
        volume.mkdir()
        with contextlib.ExitStack() as swaps:
            for name, target in (("file", "/proc/sys/kernel/core_pattern"), ("dir", "/proc/self/attr"), ("hidden", self.up(self.outside / "secret")),
                                 ("seen", self.up(self.outside))):
                if name in ("dir", "seen"):
                    (volume / name).mkdir()
                else:
                    (volume / name).write_text("")
                (volume / f"{name}-link").symlink_to(target)
                swaps.enter_context(swapping(volume / name, volume / f"{name}-link"))
            seen, started = set(), time.monotonic()
            while (waited := time.monotonic() - started) < 3 or (len(seen) < 2 and waited < PATIENCE):
                result = self.runtime("run", "-b", bundle, "c", check=False)
                seen.add(result.returncode)
                if result.returncode != 0:
                    self.assertRegex(result.stderr, r"inside /proc|no such file|is a directory|not a directory|too many levels")
                points = [line.split()[4] for line in result.stdout.splitlines()]
                self.assertEqual([p for p in points if p.startswith(("/proc/", str(self.outside)))], [])
        self.assertEqual(seen, {0, 1})
        self.outside_is_untouched()

    def test_destinations_behind_links_stay_inside(self):
        """CVE-2017-1002101's shape: links in the image instead of a race."""
        def edit(config):
            for destination in ("/link/made", "/dangling/made", "/../../../../up"):
                config["mounts"].append({"destination": destination, "type": "tmpfs", "source": "tmpfs"})
            config["mounts"].append({"destination": "/file", "type": "bind", "source": "/etc/hostname", "options": ["bind"]})
        def prepare(rootfs):
            self.link("link", self.up(self.outside))(rootfs)
            self.link("dangling", self.up(self.outside / "not-there"))(rootfs)
            self.link("file", self.up(self.outside / "file"))(rootfs)
        self.sh("true", edit, prepare, check=False)
        self.outside_is_untouched()

    def test_no_file_is_written_through_the_image(self):
        """CVE-2025-24965: a file of the runtime's in the root file system is a link to one of the host's."""
        def prepare(rootfs):
            for name in (".krun_config.json", ".containerenv", "etc/hostname", "etc/mtab", "run/notify", "config.json"):
                self.link(name, self.up(self.outside / "file"))(rootfs)
        self.sh("true", prepare=prepare)
        self.outside_is_untouched()

    def test_masked_paths_are_covered_by_the_null_device(self):
        """CVE-2025-31133: the image's /dev/null is a link to what the mask shall hide."""
        def edit(config):
            without_dev(config)
            config["linux"]["maskedPaths"] = ["/hidden", "/proc/version", "/proc/acpi", "/etc"]
        def prepare(rootfs):
            (rootfs / "hidden").write_text("hidden")
            self.link("dev/null", "/proc/sys/kernel/core_pattern")(rootfs)
        out = self.sh("stat -c '%t:%T' /hidden /proc/version; cat /hidden; ls /etc; readlink /dev/null",
                      edit, prepare).stdout.split()
        self.assertEqual(out, ["1:3", "1:3", "/proc/sys/kernel/core_pattern"])

    def test_read_only_paths_stay_so(self):
        def edit(config):
            config["linux"]["readonlyPaths"] = ["/proc/sys", "/link"]
        out = self.sh("echo x > /proc/sys/kernel/domainname; echo x > /link/x; echo x > /etc/x; ls /etc/x; true", edit,
                      self.link("link", "/tmp")).stdout
        self.assertEqual(out.strip(), "/etc/x")


class WithoutOpenat2(Mounts):
    """The same, in a container engine whose filter does not know openat2."""

    refusal = 38   # ENOSYS

    def filter(self):
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, OPENAT2 = 22, 2, 437
        program = b"".join(struct.pack("HBBI", *line) for line in (
            (0x20, 0, 0, 0),                              # load the number
            (0x15, 0, 1, OPENAT2),                        # if it is openat2:
            (0x06, 0, 0, 0x00050000 | self.refusal),      #   return the error
            (0x06, 0, 0, 0x7fff0000)))                    # allow
        buffer = ctypes.create_string_buffer(program)
        head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)))
        if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0) != 0:
            os._exit(99)

    def runtime(self, *words, **options):
        return super().runtime(*words, preexec_fn=self.filter, **options)

    def test_the_filter_works(self):
        result = run("python3", "-c", "import ctypes; l = ctypes.CDLL(None, use_errno=True); l.syscall(437, 0, 0, 0, 0); print(ctypes.get_errno())",
                     preexec_fn=self.filter)
        self.assertEqual(int(result.stdout), self.refusal)


class WithoutRightToOpenat2(WithoutOpenat2):
    refusal = 1    # EPERM, as Docker's older profiles


class Devices(Hostile):
    def test_dev_may_be_a_link(self):
        """CVE-2026-41579, CVE-2026-47766: /dev of the image leads out, and ptmx is removed there."""
        (self.outside / "ptmx").write_text("kept")
        self.sh("true", without_dev, self.link("dev", self.up(self.outside)), check=False)
        self.assertEqual(sorted(os.listdir(self.outside)), ["ptmx", "secret"])
        self.assertEqual((self.outside / "ptmx").read_text(), "kept")

    def test_dev_may_be_a_bind(self):
        """And one that is bound from the host is left as it is."""
        (self.outside / "ptmx").write_text("kept")
        def edit(config):
            without_dev(config)
            config["mounts"].append({"destination": "/dev", "type": "bind", "source": str(self.outside), "options": ["bind"]})
        self.sh("true", edit)
        self.assertEqual(sorted(os.listdir(self.outside)), ["ptmx", "secret"])

    def test_device_nodes_are_not_made_behind_links(self):
        """CVE-2019-18837, CVE-2026-88265: each node that is to be made is a link already."""
        names = ("null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "ptmx", "console", "mine")
        def edit(config):
            without_dev(config)
            config["linux"]["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3}]
        def prepare(rootfs):
            for name in names:
                self.link(f"dev/{name}", self.up(self.outside / name))(rootfs)
        self.sh("true", edit, prepare, check=False)
        self.outside_is_untouched()

    def test_raced_dev_stays_inside(self):
        """The same while /dev is a directory in one moment and leads out in the next."""
        def edit(config):
            without_dev(config)
            config["linux"]["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3}]
        bundle = self.bundle("true", edit=edit)
        (bundle / "rootfs/other").symlink_to(self.up(self.outside))
        with swapping(bundle / "rootfs/dev", bundle / "rootfs/other"):
            for _ in range(rounds(40)):
                self.runtime("run", "-b", bundle, "c", check=False)
        self.outside_is_untouched()

    def test_raced_console_stays_inside(self):
        """CVE-2025-52565 with a moving target."""
        def prepare(rootfs):
            (rootfs / "dev/console").write_text("")
            (rootfs / "dev/other").symlink_to(self.up(self.outside / "secret"))
        def edit(config):
            without(config, "/dev", "/dev/shm", "/dev/mqueue")
        for n in range(rounds(10)):
            with contextlib.ExitStack() as swaps:
                def prepare_and_swap(rootfs):
                    prepare(rootfs)
                    swaps.enter_context(swapping(rootfs / "dev/console", rootfs / "dev/other"))
                said = self.with_terminal(edit, prepare_and_swap, name=f"console{n}")
                self.runtime("delete", "--force", "c", check=False)
                # "0": it was mounted on, and moved away since.
                self.assertRegex(said, "^(88|0)|too many levels of symbolic links|no such file")
            self.outside_is_untouched()

    def with_terminal(self, edit, prepare, args=("sh", "-c", "stat -c %t /dev/console; stat -L -c %t /proc/self/fd/0"),
                      name="bundle"):
        """Creates, starts, and gives what is written to the terminal, or the error."""
        def whole(config):
            config["process"]["terminal"] = True
            edit(config)
        bundle = self.bundle(*args, edit=whole, name=name)
        prepare(bundle / "rootfs")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.dir / f"{name}.socket"))
            server.listen()
            created = self.runtime("create", "-b", bundle, "--console-socket", self.dir / f"{name}.socket", "c", check=False)
            if created.returncode != 0:
                return created.stderr
            with server.accept()[0] as connection:
                fds = array.array("i")
                _, control, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
                fds.frombytes(control[0][2])
        self.runtime("start", "c")
        out = b""
        with contextlib.suppress(OSError):   # EIO: the last one closed it
            while piece := os.read(fds[0], 1000):
                out += piece
        os.close(fds[0])
        return out.decode()

    def test_console_is_the_terminal(self):
        """CVE-2025-52565, CVE-2026-88264: /dev/console is a link; what is bound there, or made, is outside."""
        def edit(config):
            without(config, "/dev", "/dev/shm", "/dev/mqueue")
        said = self.with_terminal(edit, self.link("dev/console", self.up(self.outside / "console")))
        self.assertIn("too many levels of symbolic links", said)
        self.outside_is_untouched()

    def test_terminal_is_the_containers_own(self):
        out = self.with_terminal(lambda config: None, lambda rootfs: None)
        self.assertEqual(out.split(), ["88", "88"])   # major 136

    def test_terminal_needs_a_devpts(self):
        """CVE-2025-52565: /dev/pts is a directory of the image with a ptmx of its own."""
        def prepare(rootfs):
            (rootfs / "dev/pts").mkdir(parents=True)
            (rootfs / "dev/pts/ptmx").write_text("")
        self.assertIn("a terminal needs a devpts on /dev/pts", self.with_terminal(without_dev, prepare))


class Rights(Hostile):
    def test_exec_gives_no_inheritable_capabilities(self):
        """CVE-2022-29162, CVE-2022-27650, CVE-2025-27612, CVE-2022-24769."""
        with self.sleeping():
            out = self.runtime("exec", "--cap", "CAP_NET_ADMIN", "s", "grep", "-E", "Cap(Inh|Amb|Eff)", "/proc/self/status").stdout.split()
            self.assertEqual((out[1], out[5]), ("0" * 16, "0" * 16))
            self.assertTrue(int(out[3], 16) >> 12 & 1)

    def test_user_is_a_number_to_its_end(self):
        """CVE-2026-30892: "1000x" is read as another user, and in the worst case as root."""
        with self.sleeping():
            for user in ("x", "1000x", "x1000", "-1", "4294967296", " 5", "0x10", "5:", "5:x", "5:-1", "1e3", "+5", "５"):
                result = self.runtime("exec", "--user", user, "s", "id", "-u", check=False)
                self.assertEqual(result.returncode, 255, (user, result.stdout))
                self.assertRegex(result.stderr, "bad (uid|gid|user)|invalid (uid|gid|user)", user)

    def test_ids_and_paths_are_names(self):
        """An id is joined to the state root, cgroupsPath to every hierarchy."""
        bundle = self.bundle("true")
        for name in ("../x", "a/b", "..", ".", "a b", "a\nb", "ä", "/"):
            for words in (("create", "-b", bundle), ("state",), ("delete", "--force"), ("kill",)):
                result = self.runtime(*words, name, check=False)
                self.assertNotEqual(result.returncode, 0, name)
                self.assertIn("invalid container ID format", result.stderr)
        for i, path in enumerate(("../../x", "/a/../../x", "x/..")):
            self.refused("..", lambda config: config["linux"].update(cgroupsPath=path), name=f"cgroup{i}")

    def test_long_values_are_not_cut(self):
        """CVE-2021-43784: a length of 16 bits overflows in a message, and its rest is read as other words."""
        def many(config):
            config["linux"]["namespaces"].append({"type": "user"})
            for which in ("uidMappings", "gidMappings"):
                config["linux"][which] = [{"containerID": n, "hostID": 100000 + 2 * n, "size": 1} for n in range(9000)]
        self.refused("linux.uidMappings: the kernel takes 340 ranges, but there are 9000", many)
        def long(config):
            for namespace in config["linux"]["namespaces"]:
                if namespace["type"] == "network":
                    namespace["path"] = "/proc/self/ns/" + "x" * 70000
        self.refused("file name too long", long, name="long")

    def test_cgroups_of_the_host_are_read_only_without_a_cgroup_namespace(self):
        """CVE-2023-25809: a user's container writes to the cgroups that it is in."""
        def edit(config):
            config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"] + [{"type": "user"}]
            for which in ("uidMappings", "gidMappings"):
                config["linux"][which] = [{"containerID": 0, "hostID": 0, "size": 1}]
            for mount in config["mounts"]:
                mount["options"] = [o for o in mount.get("options", []) if o != "ro" and not o.startswith("gid=")] 
        script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -e $d/cgroup.procs ] && echo below && mkdir $d/escape && echo WRITTEN; done; true"
        result = self.sh(script, edit)
        self.assertIn("below", result.stdout)
        self.assertNotIn("WRITTEN", result.stdout)
        self.assertIn("Read-only file system", result.stderr)

    def test_release_agent_cannot_be_set(self):
        """CVE-2022-0492: a v1 hierarchy is mounted again, and its release_agent is run by the host."""
        out = self.sh("""mkdir /tmp/c; mount -t cgroup -o pids cgroup /tmp/c && echo MOUNTED
            for f in $(find /sys/fs/cgroup -name release_agent); do (echo /x > $f) && echo WRITTEN; done; unshare -Ur true && echo NAMESPACE
            true""").stdout
        self.assertNotIn("MOUNTED", out)
        self.assertNotIn("WRITTEN", out)

    def test_images_passwd_is_read_as_text(self):
        """A fifo, a device or a link out for /etc/passwd neither hangs the runtime nor tells it anything."""
        def fifo(rootfs):
            (rootfs / "etc/passwd").unlink()
            os.mkfifo(rootfs / "etc/passwd")
        for i, prepare in enumerate((fifo, self.link("etc/passwd", "/proc/self/fd/0"), self.link("etc/passwd", "/dev/zero"),
                                     self.link("etc/passwd", self.up("/etc/passwd")))):
            self.assertEqual(self.sh("echo $HOME", prepare=prepare, name=f"b{i}").stdout.strip(), "/")


if __name__ == "__main__":
    unittest.main()
