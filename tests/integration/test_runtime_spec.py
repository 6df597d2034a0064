"""Each property of runtime-spec's config for Linux, in a real container."""
import array
import json
import os
import pathlib
import platform
import socket
import threading
import unittest

from keg import RUNTIME, RuntimeCase, needs, needs_root, processes_of, run

CPUS = sorted(os.sched_getaffinity(0))


def can_clone(*flags):
    return run("unshare", *flags, "true", check=False).returncode == 0


class SpecCase(RuntimeCase):
    count = 0

    def sh(self, script, edit=None, check=True, **options):
        """Runs the script in a container of its own; gives the finished runtime."""
        self.count += 1
        bundle = self.bundle("sh", "-c", script, edit=edit, name=f"b{self.count}")
        return self.runtime("run", "-b", bundle, f"c{self.count}", check=check, **options)

    def out(self, script, edit=None):
        return self.sh(script, edit).stdout.strip()

    def refused(self, edit, *says, script="true"):
        """The container is not made, for that reason, and nothing is left of it."""
        result = self.sh(script, edit, check=False)
        self.assertEqual(result.returncode, 1, result.stdout)
        for text in says:
            self.assertIn(text, result.stderr.replace('\\"', '"'))
        self.assertEqual(os.listdir(self.state) if self.state.exists() else [], [])

    def run_detached(self, edit=None):
        """A container that runs until the test ends."""
        self.count += 1
        self.detached("run", "-d", "-b", self.bundle("sleep", "100", edit=edit, name=f"b{self.count}"), "d")


def process(**members):
    return lambda config: config["process"].update(members)


def linux(**members):
    return lambda config: config["linux"].update(members)


def mount(destination, source="tmpfs", kind="tmpfs", options=(), **members):
    entry = {"destination": destination, "type": kind, "source": str(source), "options": list(options), **members}
    return lambda config: config["mounts"].append(entry)


def both(*edits):
    def edit(config):
        for one in edits:
            one(config)
    return edit


def namespace(kind, path=None):
    def edit(config):
        namespaces = config["linux"]["namespaces"]
        namespaces[:] = [n for n in namespaces if n["type"] != kind]
        namespaces.append({"type": kind, **({"path": str(path)} if path else {})})
    return edit


def in_network(name):
    """Words before a command. (`ip netns exec` would cover /sys, too, and with it the cgroups.)"""
    return "nsenter", f"--net=/run/netns/{name}"


def without(kind):
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != kind]
    return edit


SHIFT = [{"containerID": 0, "hostID": 100000, "size": 65536}]
shifted = both(namespace("user"), linux(uidMappings=SHIFT, gidMappings=SHIFT))


@needs_root
class Mounts(SpecCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.data = self.dir / "data"
        self.data.mkdir()
        (self.data / "file").write_text("hello\n")
        os.chown(self.data / "file", 1000, 1000)

    def options_of(self, path, edit):
        """What the kernel says about the mount: its own options, and the file system's."""
        line = self.out(f"grep ' {path} ' /proc/self/mountinfo", edit)
        fields = line.split(" ")
        return fields[5].split(","), fields[-1].split(","), fields[6:fields.index("-")]

    def test_each_option_reaches_the_kernel(self):
        for options, flags in ((["ro"], {"ro"}), (["nosuid", "nodev", "noexec"], {"nosuid", "nodev", "noexec"}), (["noatime"], {"noatime"}),
                               (["nodiratime"], {"nodiratime"}), (["nosymfollow"], {"nosymfollow"}), (["relatime"], {"relatime"}),
                               (["strictatime"], set()), (["ro", "rw", "nosuid", "suid"], set())):
            for edit in (mount("/m", options=options), mount("/m", self.data, "bind", ["bind", *options])):
                got = set(self.options_of("/m", edit)[0])
                self.assertEqual(flags - got, set(), (options, got))
                self.assertEqual("ro" in got, "ro" in flags)
        for option, word in (("sync", "sync"), ("dirsync", "dirsync"), ("lazytime", "lazytime"), ("size=64k", "size=64k"), ("mode=711", "mode=711")):
            self.assertIn(word, self.options_of("/m", mount("/m", options=[option]))[1])
        for option in ("async", "atime", "defaults", "dev", "diratime", "exec", "loud", "nolazytime", "norelatime", "nostrictatime",
                       "silent", "symfollow", "nomand", "noiversion"):
            self.options_of("/m", mount("/m", options=[option]))

    def test_a_bind_that_names_options_has_no_others(self):
        run("mount", "-t", "tmpfs", "-o", "ro,nodev,noexec,noatime", "tmpfs", self.data)
        self.addCleanup(run, "umount", self.data)
        options = lambda *words: set(self.options_of("/m", mount("/m", self.data, "bind", ["bind", *words]))[0])
        self.assertEqual(options(), {"ro", "nodev", "noexec", "noatime"})
        self.assertEqual(options("rprivate"), {"ro", "nodev", "noexec", "noatime"})
        self.assertEqual(options("nosuid"), {"rw", "nosuid", "noatime"})
        self.assertEqual(options("dev"), {"rw", "noatime"})
        self.assertEqual(options("ro", "relatime"), {"ro", "relatime"})
        self.assertEqual(options("atime"), {"rw", "noatime"})

    def test_what_is_read_only_is_filled_before(self):
        below = both(mount("/ro", options=["ro"]), mount("/ro/below"), mount("/ro/file", self.data / "file", "bind", ["bind"]))
        self.assertEqual(self.out("cat /ro/file; touch /ro/below/x; touch /ro/x 2>&1 || true", below).split("\n"),
                         ["hello", "touch: /ro/x: Read-only file system"])
        def read_only_dev(config):
            next(m for m in config["mounts"] if m["destination"] == "/dev")["options"].append("ro")
        self.assertIn("Read-only file system", self.out("echo > /dev/null; ls /dev/pts > /dev/null; touch /dev/x 2>&1 || true", read_only_dev))

    def test_links_to_nothing_are_followed_inside(self):
        bundle = self.bundle("sh", "-c", "cat /run/real/hosts; ls /run", edit=mount("/etc/hosts", self.data / "file", "bind", ["bind"]))
        (bundle / "rootfs/etc/hosts").unlink(missing_ok=True)
        (bundle / "rootfs/etc/hosts").symlink_to("../jump/hosts")
        (bundle / "rootfs/jump").symlink_to("/run/real")
        self.assertEqual(self.runtime("run", "-b", bundle, "c").stdout, "hello\nreal\n")

    def test_a_destination_may_name_the_root(self):
        self.assertEqual(self.out("cat /m/file", mount(f"{self.dir}/b1/rootfs/m", self.data, "bind", ["bind"])), "hello")

    def test_propagation_words(self):
        for word, tags in (("shared", "shared:"), ("rshared", "shared:"), ("unbindable", "unbindable"), ("runbindable", "unbindable")):
            got = self.options_of("/m", mount("/m", self.data, "bind", ["bind", word]))[2]
            self.assertTrue(any(t.startswith(tags) for t in got), (word, got))
        for word in ("private", "rprivate"):
            self.assertEqual(self.options_of("/m", mount("/m", self.data, "bind", ["bind", word]))[2], [])

    def test_relative_names_and_order(self):
        edit = both(mount("m"), mount("/m/below", options=["ro"]))
        self.assertIn("ro", self.options_of("/m/below", edit)[0])
        bundle = self.bundle("cat", "/f", edit=mount("/f", "file", "none", ["bind"]))
        (bundle / "file").write_text("beside config.json\n")
        self.assertEqual(self.runtime("run", "-b", bundle, "c").stdout, "beside config.json\n")

    def tree(self):
        """A directory with a tmpfs in it, to be bound with what is below."""
        (self.data / "sub").mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", self.data / "sub")
        self.addCleanup(run, "umount", self.data / "sub")

    def test_recursive_attributes_hold_for_the_whole_tree(self):
        self.tree()
        for word, flag in (("rro", "ro"), ("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec"), ("rnoatime", "noatime"),
                           ("rnodiratime", "nodiratime"), ("rnosymfollow", "nosymfollow")):
            for path in ("/m", "/m/sub"):
                self.assertIn(flag, self.options_of(path, mount("/m", self.data, "bind", ["rbind", word]))[0], word)
            back = {"rro": "rrw", "rnodev": "rdev"}.get(word, word.replace("no", "", 1))
            self.assertNotIn(flag, self.options_of("/m/sub", mount("/m", self.data, "bind", ["rbind", word, back]))[0], back)
        self.assertIn("relatime", self.options_of("/m/sub", mount("/m", self.data, "bind", ["rbind", "rrelatime"]))[0])
        for word in ("rstrictatime", "rnostrictatime", "rnorelatime"):
            self.options_of("/m/sub", mount("/m", self.data, "bind", ["rbind", word]))
        # "ro" alone is for the top.
        self.assertNotIn("ro", self.options_of("/m/sub", mount("/m", self.data, "bind", ["rbind", "ro"]))[0])

    def test_idmapped_mount_with_mappings_of_its_own(self):
        maps = [{"containerID": 1000, "hostID": 7, "size": 1}]
        for options in (["bind", "idmap"], ["bind"]):
            edit = mount("/m", self.data, "bind", options, uidMappings=maps, gidMappings=maps)
            self.assertEqual(self.out("stat -c %u:%g /m/file", edit), "7:7")
        self.assertEqual(os.stat(self.data / "file").st_uid, 1000)

    def test_idmapped_mount_takes_the_containers_mappings(self):
        os.chown(self.data / "file", 5, 5)
        own = both(shifted, mount("/m", self.data, "bind", ["bind", "idmap"]))
        bundle = self.bundle("stat", "-c", "%u", "/m/file", "/plain/file", edit=both(own, mount("/plain", self.data, "bind", ["bind"])))
        run("chown", "-R", "100000:100000", bundle / "rootfs")
        self.assertEqual(self.runtime("run", "-b", bundle, "c").stdout.split(), ["5", "65534"])

    def test_idmap_reaches_submounts_only_if_recursive(self):
        self.tree()
        (self.data / "sub/file").write_text("")
        maps = [{"containerID": 0, "hostID": 9, "size": 1}]
        for word, expected in (("ridmap", "9"), ("idmap", "0")):
            edit = mount("/m", self.data, "bind", ["rbind", word], uidMappings=maps, gidMappings=maps)
            self.assertEqual(self.out("stat -c %u /m/sub/file", edit), expected)

    def test_an_idmap_that_cannot_be_is_an_error(self):
        self.refused(mount("/m", self.data, "bind", ["bind", "idmap"]), "id-mapped mount without mappings and without a user namespace")
        self.refused(mount("/m", self.data, "bind", ["bind", "idmap"], uidMappings=SHIFT), "uidMappings and gidMappings must be given together")
        self.refused(mount("/m", options=["idmap"], uidMappings=SHIFT, gidMappings=SHIFT), "id-mapped mounts must be bind mounts")
        # procfs takes no mapping.
        self.refused(mount("/m", "/proc", "bind", ["bind", "idmap"], uidMappings=SHIFT, gidMappings=SHIFT), 'error mounting "/proc"', "mount_setattr")

    def test_a_bind_ignores_the_options_of_a_file_system(self):
        self.assertEqual(self.out("ls -d /m", mount("/m", self.data, "bind", ["bind", "size=3"])), "/m")

    def test_bind_sources_that_only_the_host_may_reach(self):
        os.chmod(self.dir / "data", 0o700)
        (self.data / "in").mkdir()
        (self.data / "in/file").write_text("deep\n")
        bundle = self.bundle("cat", "/m/file", edit=both(shifted, mount("/m", self.data / "in", "bind", ["rbind", "ro"])))
        run("chown", "-R", "100000:100000", bundle / "rootfs")
        self.assertEqual(self.runtime("run", "-b", bundle, "c").stdout, "deep\n")

    def test_mounts_below_a_bind_do_not_reach_the_host(self):
        run("mount", "-t", "tmpfs", "tmpfs", self.data)
        self.addCleanup(run, "umount", "-l", self.data)
        run("mount", "--make-shared", self.data)
        (self.data / "sub").mkdir()
        below = both(mount("/m", self.data, "bind", ["rbind"]), mount("/m/sub"))
        maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
        for name, edit in (("plain", below), ("shifted", both(shifted, below)),
                           ("mapped", both(mount("/m", self.data, "bind", ["rbind", "idmap"], uidMappings=maps, gidMappings=maps), mount("/m/sub")))):
            bundle = self.bundle("grep", "-c", " /m/sub ", "/proc/self/mounts", edit=edit, name=name)
            run("chown", "-R", "100000:100000" if name == "shifted" else "0:0", bundle / "rootfs")
            self.assertEqual(self.runtime("run", "-b", bundle, name).stdout.strip(), "1")
            self.assertNotIn(f"{self.data}/sub", pathlib.Path("/proc/self/mounts").read_text(), name)

    def test_many_binds_in_a_user_namespace(self):
        edits = [mount(f"/m{i}", self.data, "bind", ["bind"]) for i in range(20)]
        bundle = self.bundle("sh", "-c", "cat /m*/file | wc -l", edit=both(shifted, *edits))
        run("chown", "-R", "100000:100000", bundle / "rootfs")
        self.assertEqual(self.runtime("run", "-b", bundle, "c").stdout.strip(), "20")

    def test_the_root_does_not_follow_the_host(self):
        run("mount", "--bind", self.dir, self.dir)
        self.addCleanup(run, "umount", "-l", self.dir)
        run("mount", "--make-shared", self.dir)
        for word, seen in ((None, "0"), ("rslave", "1")):
            bundle = self.bundle("sleep", "100", edit=linux(rootfsPropagation=word) if word else None, name=f"root-{word}")
            (bundle / "rootfs/data").mkdir()
            self.detached("run", "-d", "-b", bundle, "d")
            run("mount", "-t", "tmpfs", "late", bundle / "rootfs/data")
            self.assertEqual(self.runtime("exec", "d", "grep", "-c", " - tmpfs late ", "/proc/self/mountinfo", check=False).stdout.strip(), seen, word)
            run("umount", bundle / "rootfs/data")
            self.runtime("delete", "-f", "d")

    def test_rootfs_propagation(self):
        for word, says in (("shared", "shared:"), ("rshared", "shared:"), ("slave", "master:"), ("rslave", "master:"), ("private", None),
                           ("rprivate", None), ("unbindable", "unbindable"), ("runbindable", "unbindable")):
            line = self.out("grep ' / / \\| / rw\\| / ro' /proc/self/mountinfo | head -1", linux(rootfsPropagation=word))
            tags = line.split(" ")[6:line.split(" ").index("-")]
            if says != "master:":   # a slave of a private mount is private
                self.assertEqual([t for t in tags if says and t.startswith(says)] != [], says is not None, (word, line))
        self.refused(linux(rootfsPropagation="loud"), "rootfsPropagation")

    def test_tmpcopyup_copies_owner_mode_and_links(self):
        def edit(config):
            mount("/etc", options=["tmpcopyup"])(config)
        self.count += 1
        bundle = self.bundle("sh", "-c", "stat -c '%a %u' /etc/odd; readlink /etc/link; cat /etc/passwd | head -1; touch /etc/new", edit=edit)
        (bundle / "rootfs/etc/odd").write_text("")
        os.chmod(bundle / "rootfs/etc/odd", 0o4711)
        os.chown(bundle / "rootfs/etc/odd", 33, 33)
        os.chmod(bundle / "rootfs/etc/odd", 0o4711)
        os.symlink("passwd", bundle / "rootfs/etc/link")
        out = self.runtime("run", "-b", bundle, "c").stdout.splitlines()
        self.assertEqual(out[:2], ["4711 33", "passwd"])
        self.assertFalse((bundle / "rootfs/etc/new").exists())
        self.refused(mount("/x", self.data, "bind", ["bind", "tmpcopyup"]), "tmpcopyup needs a tmpfs")


@needs_root
class Namespaces(SpecCase):
    def test_absent_ones_are_the_runtimes(self):
        for kind, name in (("network", "net"), ("ipc", "ipc"), ("uts", "uts")):
            edit = both(without(kind), lambda c: c.pop("hostname", None))
            if kind == "network":
                edit = both(edit, lambda c: None)
            if kind == "ipc":
                edit = both(edit, lambda c: c.__setitem__("mounts", [m for m in c["mounts"] if m["type"] != "mqueue"]))
            self.assertEqual(self.out(f"readlink /proc/self/ns/{name}", edit), os.readlink(f"/proc/self/ns/{name}"))

    def test_each_kind_can_be_joined_by_path(self):
        self.run_detached(both(namespace("time"), namespace("cgroup")))
        pid = json.loads(self.runtime("state", "d").stdout)["pid"]
        for kind, name in (("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"), ("cgroup", "cgroup"), ("time", "time")):
            path = f"/proc/{pid}/ns/{name}"
            edit = both(namespace(kind, path), lambda c: c.pop("hostname", None))
            self.assertEqual(self.out(f"readlink /proc/self/ns/{name}", edit), os.readlink(path), kind)

    def test_a_path_of_another_kind_is_refused(self):
        self.refused(namespace("network", "/proc/self/ns/uts"), 'is not a network namespace')
        self.refused(namespace("network", "/etc/passwd"), 'is not a network namespace')
        self.refused(namespace("network", "/no/such"), "no such file or directory")
        self.refused(namespace("network", "relative"), "must be an absolute path")

    def test_twice_and_unknown_are_refused(self):
        self.refused(lambda c: c["linux"]["namespaces"].append({"type": "pid"}), 'malformed spec file: duplicated ns "pid"')
        self.refused(namespace("moon"), '"moon"')

    def test_user_namespace_joined_by_path_with_and_without_mappings(self):
        first = self.bundle("sleep", "100", edit=shifted, name="first")
        os.chmod(self.dir, 0o755)
        run("chown", "-R", "100000:100000", first / "rootfs")
        self.detached("run", "-d", "-b", first, "d")
        pid = json.loads(self.runtime("state", "d").stdout)["pid"]
        join = namespace("user", f"/proc/{pid}/ns/user")
        for name, edit in (("plain", join), ("mapped", both(join, linux(uidMappings=SHIFT, gidMappings=SHIFT)))):
            bundle = self.bundle("sh", "-c", "readlink /proc/self/ns/user; id -u; cat /proc/self/uid_map", edit=edit, name=name)
            run("chown", "-R", "100000:100000", bundle / "rootfs")
            out = self.runtime("run", "-b", bundle, name).stdout.split()
            self.assertEqual(out, [os.readlink(f"/proc/{pid}/ns/user"), "0", "0", "100000", "65536"])

    def test_namespaces_of_somebody_else_are_joined_beside_a_user_namespace_of_its_own(self):
        place = self.dir / "net"
        place.touch()
        run("unshare", "-n", "sh", "-c", f"mount --bind /proc/self/ns/net {place}")
        self.addCleanup(run, "umount", place)
        inode = place.stat().st_ino
        bundle = self.bundle("sh", "-c", "readlink /proc/self/ns/net; cat /proc/self/uid_map", edit=both(shifted, namespace("network", place)))
        os.chmod(self.dir, 0o755)
        run("chown", "-R", "100000:100000", bundle / "rootfs")
        self.assertEqual(self.runtime("run", "-b", bundle, "c").stdout.split(), [f"net:[{inode}]", "0", "100000", "65536"])

    def test_mappings_and_their_namespace_go_together(self):
        self.refused(linux(uidMappings=SHIFT, gidMappings=SHIFT), "user namespace mappings specified, but user namespace isn't enabled in the config")
        self.refused(namespace("user"), "user namespaces enabled, but no user mapping found")

    def test_time_namespace_without_and_with_offsets(self):
        own = os.readlink("/proc/self/ns/time")
        self.assertNotEqual(self.out("readlink /proc/self/ns/time", namespace("time")), own)
        edit = both(namespace("time"), linux(timeOffsets={"monotonic": {"secs": 86400, "nanosecs": 500000000}, "boottime": {"secs": 1000000}}))
        out = self.out("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime", edit).split()
        self.assertEqual(out[:6], ["monotonic", "86400", "500000000", "boottime", "1000000", "0"])
        self.assertGreater(int(out[6]), 1000000)
        self.refused(linux(timeOffsets={"boottime": {"secs": 1}}), "time namespace offsets")
        self.refused(both(namespace("time"), linux(timeOffsets={"moon": {"secs": 1}})), "moon")
        self.refused(both(namespace("time"), linux(timeOffsets={"boottime": {"nanosecs": 1000000000}})), "nanosecs")

    def test_time_namespace_of_a_user_namespace_takes_offsets(self):
        bundle = self.bundle("head", "-1", "/proc/self/timens_offsets", edit=both(shifted, namespace("time"), linux(timeOffsets={"monotonic": {"secs": 86400}})))
        os.chmod(self.dir, 0o755)
        run("chown", "-R", "100000:100000", bundle / "rootfs")
        self.assertEqual(self.runtime("run", "-b", bundle, "c").stdout.split(), ["monotonic", "86400", "0"])

    def test_exec_is_in_the_time_namespace(self):
        self.run_detached(both(namespace("time"), linux(timeOffsets={"boottime": {"secs": 1000000}})))
        pid = json.loads(self.runtime("state", "d").stdout)["pid"]
        self.assertEqual(self.runtime("exec", "d", "readlink", "/proc/self/ns/time").stdout.strip(), os.readlink(f"/proc/{pid}/ns/time"))

    def test_host_and_domain_name(self):
        def edit(config):
            config["hostname"], config["domainname"] = "keg-host", "example.org"
        self.assertEqual(self.out("hostname; cat /proc/sys/kernel/domainname", edit).split(), ["keg-host", "example.org"])
        self.refused(both(without("uts"), edit), "without a private UTS namespace")


@needs_root
class Process(SpecCase):
    def test_personality(self):
        self.assertEqual(self.out("uname -m", linux(personality={"domain": "LINUX"})), platform.machine())
        if platform.machine() == "x86_64":
            self.assertEqual(self.out("uname -m", linux(personality={"domain": "LINUX32"})), "i686")
        self.refused(linux(personality={"domain": "SOLARIS"}), "SOLARIS")
        self.refused(linux(personality={"domain": "LINUX", "flags": ["X"]}), "X")

    def test_scheduler(self):
        read = "cat /proc/self/sched | grep -E '^(policy|prio)' | tr -d ' '"
        if pathlib.Path("/proc/self/sched").exists():
            self.assertIn("policy:3", self.out(read, process(scheduler={"policy": "SCHED_BATCH", "nice": 5})))
        self.assertEqual(self.out("cat /proc/self/stat", process(scheduler={"policy": "SCHED_OTHER", "nice": 5})).split()[18], "5")
        for wrong, says in (({"policy": "SCHED_MOON"}, "SCHED_MOON"), ({"policy": ""}, "scheduler policy is required"),
                            ({"policy": "SCHED_OTHER", "nice": 20}, "invalid scheduler.nice: 20"),
                            ({"policy": "SCHED_OTHER", "priority": 3}, "scheduler.priority can only be specified for SchedFIFO or SchedRR policy"),
                            ({"policy": "SCHED_FIFO", "priority": 3, "runtime": 1}, "scheduler runtime/deadline/period can only be specified for SchedDeadline policy"),
                            ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_MOON"]}, "SCHED_FLAG_MOON")):
            self.refused(process(scheduler=wrong), says)

    def test_io_priority(self):
        self.assertEqual(self.out("ionice", process(ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 0})), "idle")
        self.assertEqual(self.out("ionice", process(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 6})), "best-effort: prio 6")
        self.refused(process(ioPriority={"class": "IOPRIO_CLASS_MOON", "priority": 1}), "IOPRIO_CLASS_MOON")
        self.refused(process(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8}), "8")

    def test_the_callers_affinity_is_not_the_containers(self):
        if len(CPUS) < 2:
            self.skipTest("needs two CPUs")
        self.count += 1
        bundle = self.bundle("grep", "Cpus_allowed_list", "/proc/self/status")
        result = run("taskset", "-c", str(CPUS[0]), RUNTIME, "--root", self.state, "run", "-b", bundle, "c")
        everything = run("grep", "Cpus_allowed_list", "/proc/self/status").stdout
        self.assertEqual(result.stdout.split(), everything.split())

    def test_exec_cpu_affinity(self):
        if len(CPUS) < 2:
            self.skipTest("needs two CPUs")
        self.run_detached()
        spec = {"args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
        for affinity, expected in (({"initial": str(CPUS[0]), "final": str(CPUS[1])}, str(CPUS[1])), ({"initial": str(CPUS[1])}, str(CPUS[1]))):
            (self.dir / "p").write_text(json.dumps({**spec, "execCPUAffinity": affinity}))
            self.assertEqual(self.runtime("exec", "-p", self.dir / "p", "d").stdout.split()[1], expected)
        (self.dir / "p").write_text(json.dumps({**spec, "execCPUAffinity": {"final": "x"}}))
        wrong = self.runtime("exec", "-p", self.dir / "p", "d", check=False)
        self.assertEqual(wrong.returncode, 255)
        self.assertIn("x", wrong.stderr)

    def test_memory_policy(self):
        if not pathlib.Path("/proc/self/numa_maps").exists():
            self.skipTest("the kernel has no NUMA")
        read = "grep -m1 -o ' \\(default\\|bind:[^ ]*\\|interleave:[^ ]*\\|prefer[^ ]*\\|local\\) ' /proc/self/numa_maps"
        self.assertEqual(self.out(read, linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0"})), "bind:0")
        self.assertIn("interleave", self.out("grep -m1 interleave /proc/self/numa_maps",
                                             linux(memoryPolicy={"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]})))
        self.out("true", linux(memoryPolicy={"mode": "MPOL_DEFAULT"}))
        self.out("true", linux(memoryPolicy={"mode": "MPOL_LOCAL"}))
        self.run_detached(linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0"}))
        self.assertEqual(self.runtime("exec", "d", "sh", "-c", read).stdout.strip(), "bind:0")
        self.runtime("delete", "-f", "d")
        for wrong, says in (({"mode": "MPOL_MOON"}, "MPOL_MOON"), ({"mode": "MPOL_BIND", "nodes": "a"}, '"a"'),
                            ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_MOON"]}, "MPOL_F_MOON"), ({"mode": "MPOL_BIND"}, "requires at least one node")):
            self.refused(linux(memoryPolicy=wrong), says)

    def test_rlimits(self):
        limits = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
        self.assertEqual(self.out("ulimit -Sn; ulimit -Hn; ulimit -c", process(rlimits=limits)).split(), ["100", "200", "0"])
        self.refused(process(rlimits=[limits[0], limits[0]]), "RLIMIT_NOFILE")
        self.refused(process(rlimits=[{"type": "RLIMIT_MOON", "soft": 1, "hard": 1}]), "RLIMIT_MOON")
        self.refused(process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]), "RLIMIT_NOFILE")

    def test_user_groups_and_umask(self):
        edit = process(user={"uid": 7, "gid": 8, "umask": 0o27, "additionalGids": [9, 10]})
        self.assertEqual(self.out("id -u; id -g; id -G; umask", edit).split("\n"), ["7", "8", "8 9 10", "0027"])

    def test_oom_score(self):
        self.assertEqual(self.out("cat /proc/self/oom_score_adj", process(oomScoreAdj=100)), "100")
        self.assertEqual(self.out("cat /proc/self/oom_score_adj", lambda c: c["process"].pop("oomScoreAdj", None)),
                         pathlib.Path("/proc/self/oom_score_adj").read_text().strip())

    def test_what_security_modules_lack_is_said(self):
        if not pathlib.Path("/sys/kernel/security/apparmor").exists():
            self.refused(process(apparmorProfile="x"), "apparmor: config provided but apparmor not supported")
        if not pathlib.Path("/sys/fs/selinux/enforce").exists():
            self.refused(process(selinuxLabel="a:b:c:s0"), "selinux label is specified in config, but selinux is disabled or not supported")
            self.refused(linux(mountLabel="a:b:c:s0"), "mountLabel is specified in config, but selinux is disabled or not supported")

    def test_cwd_is_made_and_environment_counts_once(self):
        edit = process(cwd="/new/dir", env=["A=1", "PATH=/bin", "A=2", "HOME="])
        self.assertEqual(self.out("pwd; echo $A $HOME", edit).split(), ["/new/dir", "2", "/root"])
        self.refused(process(env=["A"]), "invalid environment variable: missing '='")
        self.refused(process(env=["=A"]), "invalid environment variable: name cannot be empty")
        self.refused(process(cwd="x"), "must be an absolute path")
        self.refused(process(args=[]), "args must not be empty")
        self.refused(lambda c: c.pop("process"), "process property must not be empty")

    def test_no_new_privileges(self):
        for value in (True, False):
            self.assertEqual(self.out("grep NoNewPrivs /proc/self/status", process(noNewPrivileges=value)).split()[1], str(int(value)))


@needs_root
class Kernel(SpecCase):
    def test_sysctls_of_private_namespaces(self):
        settings = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/rp_filter": "2", "kernel.msgmax": "4096", "kernel.shm_rmid_forced": "1",
                    "fs.mqueue.msg_max": "11", "kernel.domainname": "d.example"}
        out = self.out("cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/conf/lo/rp_filter kernel/msgmax kernel/shm_rmid_forced "
                       "fs/mqueue/msg_max kernel/domainname", linux(sysctl=settings))
        self.assertEqual(out.split(), ["1", "2", "4096", "1", "11", "d.example"])

    def test_sysctls_that_are_the_hosts(self):
        for key, edit, says in (("vm.swappiness", None, "is not in a separate kernel namespace"),
                                ("kernel.hostname", None, 'is not allowed as it conflicts with the OCI "hostname" field'),
                                ("net.core.somaxconn", without("network"), "not allowed in host network namespace"),
                                ("net.core.somaxconn", namespace("network", "/proc/self/ns/net"), "not allowed in host network namespace"),
                                ("kernel.sem", without("ipc"), "is not allowed in the hosts ipc namespace"),
                                ("fs.mqueue.msg_max", without("ipc"), "is not allowed in the hosts ipc namespace"),
                                ("net.ipv4.no_such", None, "write sysctl key net.ipv4.no_such")):
            self.refused(both(linux(sysctl={key: "1"}), edit or (lambda c: None)), says)

    def test_default_devices_and_those_of_the_config(self):
        devices = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6}, {"path": "/in/pipe", "type": "p", "fileMode": 0o600}]
        out = self.out("stat -c '%F %t:%T %a %u:%g' /dev/mine; stat -c %F /in/pipe; for d in null zero full random urandom tty ptmx fd stdin; do "
                       "test -e /dev/$d -o -L /dev/$d && echo $d; done; readlink /dev/ptmx", linux(devices=devices)).split("\n")
        self.assertEqual(out, ["character special file 1:3 640 5:6", "fifo", "null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin", "pts/ptmx"])
        self.refused(linux(devices=[{"path": "/etc/passwd", "type": "c", "major": 1, "minor": 3}]), "/etc/passwd")
        self.refused(linux(devices=[{"path": "/dev/x", "type": "x", "major": 1, "minor": 3}]), "type")

    @needs("ip")
    def test_net_devices_move_with_their_addresses(self):
        name = f"kegt{os.getpid() % 10000}"
        run("ip", "netns", "add", name)
        self.addCleanup(run, "ip", "netns", "del", name, check=False)
        inside = ("ip", "netns", "exec", name)
        config = linux(netDevices={"v0": {"name": "eth7"}, "v1": {}, "v2": {"name": "net%d"}})
        bundle = self.bundle("sh", "-c", "ip -o addr; ip -o link", edit=config)
        run(*inside, "sh", "-c", "for i in 0 1 2; do ip link add v$i type veth peer name p$i; done; ip addr add 192.0.2.9/24 dev v0; "
            "ip addr add 2001:db8::9/64 dev v0 nodad; ip link set v0 address 02:00:00:00:00:09 mtu 1400")
        out = run(*in_network(name), RUNTIME, "--root", self.state, "run", "-b", bundle, "c").stdout
        for text in ("192.0.2.9/24", "2001:db8::9/64", "02:00:00:00:00:09", "mtu 1400", " eth7@", " v1@", " net0@"):
            self.assertIn(text, out)
        self.assertEqual([line for line in out.splitlines() if " v1@" in line and "UP" not in line], [])
        self.assertNotIn("v0", run(*inside, "ip", "-o", "link").stdout)   # not moved back: gone with the namespace

    @needs("ip")
    def test_net_devices_move_into_a_namespace_that_is_joined(self):
        hosts, pods = (f"keg{letter}{os.getpid() % 10000}" for letter in "vw")
        for name in (hosts, pods):
            run("ip", "netns", "add", name)
            self.addCleanup(run, "ip", "netns", "del", name, check=False)
        run("ip", "netns", "exec", hosts, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "p0")
        bundle = self.bundle("ip", "-o", "link", edit=both(linux(netDevices={"v0": {"name": "eth7"}}), namespace("network", f"/run/netns/{pods}")))
        out = run(*in_network(hosts), RUNTIME, "--root", self.state, "run", "-b", bundle, "c").stdout
        self.assertIn(" eth7@", out)

    @needs("ip")
    def test_net_devices_that_cannot_move(self):
        name = f"kegu{os.getpid() % 10000}"
        run("ip", "netns", "add", name)
        self.addCleanup(run, "ip", "netns", "del", name, check=False)
        for devices, edit, says in (({"none0": {}}, None, "none0"), ({"lo": {}}, None, "lo"), ({"lo": {"name": "x" * 16}}, None, "invalid network device name"),
                                    ({"lo": {}}, without("network"), "without a private NET namespace")):
            bundle = self.bundle("true", edit=both(linux(netDevices=devices), edit or (lambda c: None)), name=f"n{len(os.listdir(self.dir))}")
            result = run(*in_network(name), RUNTIME, "--root", self.state, "run", "-b", bundle, "c", check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn(says, result.stderr)
            self.assertEqual(os.listdir(self.state) if self.state.exists() else [], [])


# What the runtime itself still asks for when the filter is in place.
CALLS = ["read", "write", "close", "close_range", "execve", "execveat", "exit_group", "prctl", "stat", "newfstatat", "faccessat", "faccessat2",
         "sendmsg", "getpid", "rt_sigprocmask", "poll"]


class Agent:
    """A seccomp agent: keeps what comes with each connection, answers notifications with an error number."""

    def __init__(self, path):
        self.states, self.fds = [], []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            data, control, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(16))
            for _, _, bytes_ in control:
                fds = array.array("i")
                fds.frombytes(bytes_[:len(bytes_) - len(bytes_) % 4])
                self.fds += list(fds)
            while more := connection.recv(65536):
                data += more
            self.states.append(json.loads(data))
            threading.Thread(target=self.answer, args=(self.fds[-1],), daemon=True).start()

    def answer(self, fd):
        import fcntl
        import struct
        while True:
            request = bytearray(80)
            try:
                fcntl.ioctl(fd, 0xC0502100, request)                     # SECCOMP_IOCTL_NOTIF_RECV
                cookie = struct.unpack_from("Q", request)[0]
                fcntl.ioctl(fd, 0xC0182101, struct.pack("QqiI", cookie, 0, -63, 0))   # SECCOMP_IOCTL_NOTIF_SEND: ENOSR
            except OSError:
                return


@needs_root
class Seccomp(SpecCase):
    def profile(self, *syscalls, default="SCMP_ACT_ALLOW", **members):
        return linux(seccomp={"defaultAction": default, "syscalls": list(syscalls), **members})

    def test_errno_and_conditions(self):
        rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
        self.assertIn("No space left", self.out("mkdir /x 2>&1 || true", self.profile(rule)))
        self.assertIn("Operation not permitted", self.out("mkdir /x 2>&1 || true", self.profile({**rule, "errnoRet": 1})))
        kill = {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}
        self.assertEqual(self.out("sleep 9 & kill -10 $! 2>/dev/null || echo no; kill -9 $! && echo yes", self.profile(kill)).split(), ["no", "yes"])

    def test_a_rule_that_cannot_be_kept_is_an_error_that_names_the_call(self):
        rule = {"names": ["mkdir", "from_the_future"], "action": "SCMP_ACT_ERRNO"}
        self.refused(self.profile(rule), 'unknown system call "from_the_future"')
        # What is only not allowed is stricter than it was meant.
        self.assertEqual(self.out("echo ok", self.profile({**rule, "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_LOG")), "ok")

    def test_a_call_is_refused_by_what_it_reads_of_an_int(self):
        self.count += 1
        deny = [{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}]},
                {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "args": [{"index": 1, "value": 0o100, "valueTwo": 0o300, "op": "SCMP_CMP_MASKED_EQ"}]}]
        bundle = self.bundle("/call", edit=self.profile(*deny))
        run("cc", "-x", "c", "-static", "-o", bundle / "rootfs/call", "-", input="""
            #include <errno.h>
            #include <sys/stat.h>
            #include <sys/syscall.h>
            #include <unistd.h>
            static int refused(long result) { return result < 0 && errno == ENOSPC; }
            int main(void) {
                if (!refused(syscall(SYS_socket, 16L, 3L, 0L))) return 1;
                if (!refused(syscall(SYS_socket, 0x100000010L, 3L, 0L))) return 2;
                if (refused(syscall(SYS_socket, 1L, 1L, 0L))) return 3;
                if (!refused(chmod("/bin", 0500)) || refused(chmod("/bin", 0755 & ~0100))) return 4;
                return 0;
            }""")
        self.runtime("run", "-b", bundle, "c")

    def test_kill_is_a_signal(self):
        for action in ("SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"):
            result = self.sh("mkdir /x; echo alive $?", self.profile({"names": ["mkdir", "mkdirat"], "action": action}))
            self.assertIn("alive 159", result.stdout)

    def test_profile_without_messages_is_no_obstacle(self):
        """Init still has something to say when its filter is in force: that it is made, or why it is not."""
        quiet = self.profile({"names": ["sendmsg", "sendto", "sendmmsg", "recvmsg", "recvfrom"], "action": "SCMP_ACT_ERRNO"})
        self.assertEqual(self.out("echo ok", quiet), "ok")
        result = self.runtime("run", "-b", self.bundle("/missing", edit=quiet), "quiet", check=False)
        self.assertIn("/missing", result.stderr)
        self.assertIn("no such file or directory", result.stderr)

    def test_every_flag_and_architecture(self):
        for flag in ("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"):
            self.out("true", self.profile(flags=[flag]))
        everything = json.loads(run(RUNTIME, "features").stdout)["linux"]["seccomp"]["archs"]
        self.assertEqual(self.out("echo ok", self.profile(architectures=everything)), "ok")

    def test_a_call_younger_than_the_profile_is_not_there(self):
        # 9999 is no system call: the kernel's own answer must be the filter's as well.
        self.count += 1
        bundle = self.bundle("/call", edit=self.profile({"names": CALLS, "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_ERRNO", defaultErrnoRet=1))
        source = "int main(void) { long r; __asm__ volatile(\"syscall\" : \"=a\"(r) : \"a\"(9999L) : \"rcx\", \"r11\", \"memory\"); _Exit(r == -38 ? 0 : 1); }"
        if platform.machine() != "x86_64":
            self.skipTest("the program is for x86_64")
        run("cc", "-x", "c", "-static", "-nostdlib", "-include", "stdlib.h", "-o", bundle / "rootfs/call", "-", input=
            source.replace("int main(void)", "void _start(void)").replace("_Exit(r == -38 ? 0 : 1)",
            "__asm__ volatile(\"syscall\" : : \"a\"(231L), \"D\"(r == -38 ? 0L : 1L) : \"rcx\", \"r11\")"))
        self.runtime("run", "-b", bundle, "c")

    def test_notify_hands_each_process_to_the_agent(self):
        path = self.dir / "agent"
        agent = Agent(path)
        self.addCleanup(agent.socket.close)
        rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}
        edit = both(self.profile(rule, listenerPath=str(path), listenerMetadata="tag"), lambda c: c.__setitem__("annotations", {"a": "b"}))
        for nnp in (True, False):
            agent.states.clear()
            bundle = self.bundle("sh", "-c", "mkdir /x; sleep 100", edit=both(edit, process(noNewPrivileges=nnp)), name=f"nnp{nnp}")
            log = open(self.dir / "out", "w+")
            self.detached("run", "-d", "-b", bundle, "d", stdout=log, stderr=log)
            out = self.runtime("exec", "d", "sh", "-c", "mkdir /y 2>&1 || true").stdout
            self.assertIn("Out of streams resources", out)
            pid = json.loads(self.runtime("state", "d").stdout)["pid"]
            first, second = agent.states
            self.assertEqual((first["pid"], first["metadata"], first["fds"], first["state"]["id"]), (pid, "tag", ["seccompFd"], "d"))
            self.assertEqual(first["state"]["annotations"], {"a": "b"})
            self.assertNotEqual(second["pid"], pid)
            self.runtime("delete", "-f", "d")

    def test_what_a_profile_may_not_say(self):
        notify = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
        self.refused(self.profile(notify), "listenerPath")
        self.refused(self.profile(notify, listenerPath="/no/such/socket"), "dial unix /no/such/socket: connect: no such file or directory")
        self.refused(self.profile({**notify, "names": ["write"]}, listenerPath="/x"), "SCMP_ACT_NOTIFY cannot be used for the write syscall")
        self.refused(self.profile(default="SCMP_ACT_NOTIFY", listenerPath="/x"), "SCMP_ACT_NOTIFY cannot be used as default action")
        self.refused(self.profile({"names": ["mkdir"], "action": "SCMP_ACT_KILL", "errnoRet": 3}), "errnoRet")
        self.refused(self.profile(default="SCMP_ACT_KILL", defaultErrnoRet=3), "rrnoRet")
        self.refused(self.profile(listenerMetadata="x"), "listenerMetadata")


@needs_root
class Hooks(SpecCase):
    """Order, place, state and failure of the six kinds."""

    def hook(self, script, **members):
        return {"path": "/bin/sh", "args": ["sh", "-c", script], **members}

    def hooks(self, **kinds):
        def edit(config):
            config["annotations"] = {"k": "v"}
            config["hooks"] = {kind: [h if isinstance(h, dict) else self.hook(h) for h in (hooks if isinstance(hooks, list) else [hooks])]
                               for kind, hooks in kinds.items()}
        return edit

    def test_each_kind_is_told_its_state(self):
        record = f"cat > {self.dir}/$0.json"
        edit = self.hooks(**{kind: {"path": "/bin/sh", "args": ["sh", "-c", record, kind]} for kind in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")},
                          startContainer="cat > /startContainer.json")
        bundle = self.bundle("true", edit=edit)
        self.runtime("run", "-b", bundle, "c")
        states = {f.stem: json.loads(f.read_text()) for f in [*self.dir.glob("*.json"), bundle / "rootfs/startContainer.json"]}
        self.assertEqual(len(states), 6)
        for kind, state in states.items():
            self.assertEqual((state["id"], state["bundle"], state["annotations"]), ("c", str(bundle), {"k": "v"}), kind)
        self.assertEqual(states["poststop"]["status"], "stopped")
        self.assertEqual(states["poststart"]["status"], "running")
        # The number of init as the hook's own namespace counts.
        self.assertEqual({states[k]["pid"] for k in ("createContainer", "startContainer")}, {1})
        self.assertEqual(len({states[k]["pid"] for k in ("prestart", "createRuntime", "poststart")} - {1}), 1)
        self.assertNotIn("pid", states["poststop"])

    def test_namespaces_roots_and_environments(self):
        look = "readlink /proc/self/ns/mnt /proc/self/ns/uts; pwd; echo \"[$OURS]\""
        bundle = self.bundle("readlink", "/proc/self/ns/mnt", edit=self.hooks(
            createRuntime=f"({look}) > {self.dir}/runtime", createContainer=f"({look}) > {self.dir}/container",
            startContainer="(readlink /proc/self/ns/mnt; env; ls /proc/self/fd) > /start", prestart=[self.hook(f"env > {self.dir}/env", env=["A=b"])]))
        own = run(RUNTIME, "--root", self.state, "run", "-b", bundle, "c", env={**os.environ, "OURS": "yes"}).stdout.strip()
        host = [os.readlink(f"/proc/self/ns/{n}") for n in ("mnt", "uts")]
        self.assertEqual((self.dir / "runtime").read_text().split(), [*host, str(bundle), "[]"])
        container = (self.dir / "container").read_text().split()
        self.assertEqual((container[0], container[2]), (own, str(bundle / "rootfs")))
        self.assertNotEqual(container[1], host[1])
        start = (bundle / "rootfs/start").read_text()
        self.assertEqual(start.split()[0], own)
        self.assertNotIn("OURS", start)
        self.assertIn("A=b", (self.dir / "env").read_text())
        self.assertNotIn("OURS", (self.dir / "env").read_text())

    def test_hooks_run_in_the_listed_order(self):
        edit = self.hooks(createRuntime=[f"echo {i} >> {self.dir}/order" for i in range(4)])
        self.sh("true", edit)
        self.assertEqual((self.dir / "order").read_text().split(), ["0", "1", "2", "3"])

    def test_failures_during_create_undo_it_and_run_poststop(self):
        for kind in ("prestart", "createRuntime", "createContainer"):
            gone = self.dir / kind
            self.refused(self.hooks(**{kind: ["true", "echo why >&2; exit 3", f"touch {gone}.second"]}, poststop=f"touch {gone}"),
                         f"error running {kind} hook #1: exit status 3, stdout: , stderr: why")
            self.assertTrue(gone.exists(), kind)
            self.assertFalse((self.dir / f"{kind}.second").exists())

    def create(self, *args, edit):
        self.count += 1
        bundle = self.bundle(*args, edit=edit, name=f"b{self.count}")
        self.detached("create", "-b", bundle, "c")
        return bundle

    def test_failures_during_start_end_the_container(self):
        for kind in ("startContainer", "poststart"):
            script = "echo why >&2; exit 3"
            self.create("sleep", "100", edit=self.hooks(**{kind: script}, poststop=f"touch {self.dir}/{kind}"))
            pid = json.loads(self.runtime("state", "c").stdout)["pid"]
            result = self.runtime("start", "c", check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"error running {kind} hook #0: exit status 3, stdout: , stderr: why", result.stderr)
            self.assertTrue((self.dir / kind).exists())
            self.assertIn("container does not exist", self.runtime("state", "c", check=False).stderr)
            self.assertFalse(pathlib.Path(f"/proc/{pid}/root/bin").exists())

    def test_timeouts_kill_the_hook(self):
        endless = self.hook("exec sleep 86400", timeout=1)
        self.refused(self.hooks(createRuntime=endless), "error running createRuntime hook #0: hook ran past specified timeout of 1.0s")
        self.assertEqual(processes_of("sleep 86400"), [])
        self.refused(self.hooks(createRuntime=self.hook("true", timeout=0)), "timeout")
        self.refused(self.hooks(createRuntime={"path": "true"}), "must be an absolute path")
        self.refused(self.hooks(createRuntime={"path": "/no/such"}), "error running createRuntime hook #0: ", "no such file or directory")

    def test_a_failing_poststop_is_a_warning(self):
        result = self.sh("exit 4", self.hooks(poststop=["exit 3", f"touch {self.dir}/second"]), check=False)
        self.assertEqual(result.returncode, 4)
        self.assertIn("level=warning", result.stderr)
        self.assertIn("exit status 3", result.stderr)
        self.assertTrue((self.dir / "second").exists())

    def test_later_changes_of_the_config_have_no_effect(self):
        bundle = self.create("sleep", "100", edit=self.hooks(poststart=f"touch {self.dir}/started"))
        (bundle / "config.json").write_text("{}")
        self.runtime("start", "c")
        self.assertTrue((self.dir / "started").exists())


if __name__ == "__main__":
    unittest.main()
