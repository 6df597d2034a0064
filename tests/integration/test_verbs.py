"""What people type around a container: files in and out, what it changed, its processes, what it uses, other limits,
volumes; and options of `run`, each with its effect."""
import io
import json
import os
import subprocess
import tarfile

import keg
from keg import wait_until
from test_engine import EngineCase


class VerbCase(EngineCase):
    def once(self, *words, check=True):
        return self.keg("run", "--rm", "--network", "none", *words, check=check)

    def up(self, name, *options):
        self.keg("run", "-d", "--network", "none", "--name", name, *options, "base", "sleep", "1000")


@keg.needs_root
class Copy(VerbCase):
    def test_out_and_in_whether_it_runs_or_not(self):
        self.keg("create", "--network", "none", "--name", "box", "-v", "data:/data", "base", "sleep", "1000")
        for running in (False, True):
            if running:
                self.keg("start", "box")
            here = self.dir / f"here{running}"
            here.mkdir()
            (here / "one").write_text("1")
            (here / "tree/deep").mkdir(parents=True)
            (here / "tree/deep/two").write_text("2")
            self.keg("cp", here / "one", "box:/tmp/as-named")
            self.keg("cp", here / "tree", "box:/tmp")             # into a directory that is there
            self.keg("cp", f"{here}/tree/.", "box:/tmp/content")  # one that is not there takes its place
            self.keg("cp", here / "tree", "box:/data/volume")
            for name, text in (("/tmp/as-named", "1"), ("/tmp/tree/deep/two", "2"), ("/tmp/content/deep/two", "2"), ("/data/volume/deep/two", "2")):
                back = self.dir / f"back{running}{name.replace('/', '-')}"
                self.keg("cp", f"box:{name}", back)
                self.assertEqual(back.read_text(), text)
            self.keg("cp", "box:/tmp/tree", here / "again")
            self.assertEqual((here / "again/deep/two").read_text(), "2")

    def test_an_archive_by_standard_input_and_output(self):
        self.up("box")
        self.keg("exec", "box", "sh", "-c", "mkdir /d; echo x > /d/f; chown 50:60 /d/f")
        out = subprocess.run([keg.KEG, "--root", str(self.store), "cp", "box:/d", "-"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(out)) as archive:
            self.assertEqual({member.name: (member.uid, member.gid) for member in archive}, {"d": (0, 0), "d/f": (50, 60)})
        subprocess.run([keg.KEG, "--root", str(self.store), "cp", "-", "box:/tmp"], input=out, check=True)
        self.assertEqual(self.keg("exec", "box", "stat", "-c", "%u:%g", "/tmp/d/f").stdout, "50:60\n")

    def test_no_link_of_the_container_leads_out_of_it_nor_one_here_into_it(self):
        secret = self.dir / "secret"
        secret.write_text("the host's")
        self.up("evil")
        self.keg("exec", "evil", "sh", "-c", f"ln -s {secret} /link; ln -s {self.dir} /dir; mkdir -p {self.dir}; echo mine > {secret}")
        self.keg("cp", "-L", "evil:/link", self.dir / "followed")
        self.assertEqual((self.dir / "followed").read_text(), "mine\n")
        self.keg("cp", "evil:/link", self.dir / "kept")
        self.assertEqual(os.readlink(self.dir / "kept"), str(secret))
        source = self.dir / "source"
        source.write_text("from here")
        self.keg("cp", source, "evil:/dir/planted")
        self.assertFalse((self.dir / "planted").exists())
        self.assertEqual(self.keg("exec", "evil", "cat", str(self.dir / "planted")).stdout, "from here")

    def test_what_cannot_be_copied_says_why(self):
        self.up("box", "--read-only")
        (self.dir / "file").write_text("")
        for words, says in ((["box:/nosuch", self.dir / "x"], "Could not find the file /nosuch in container box"),
                            (["box:/etc", self.dir / "file"], "cannot copy directory"),
                            ([self.dir / "file", "box:/nosuch/x"], "no such file or directory: /nosuch"),
                            ([self.dir / "nosuch", "box:/tmp"], "no such file or directory"),
                            ([self.dir / "file", "box:/etc"], "ead-only file system"),
                            (["box:/etc", "box:/tmp"], "copying between containers is not supported"),
                            ([self.dir / "file", self.dir / "x"], "must specify at least one container source")):
            with self.subTest(words=words):
                self.fails("cp", *words, says=says)


@keg.needs_root
class Looking(VerbCase):
    def test_diff_shows_what_it_did_and_nothing_that_a_start_did(self):
        self.keg("run", "--network", "none", "--name", "did", "-v", "/mnt/new", "base", "sh", "-c", "echo > /tmp/new; rm /etc/group; echo >> /etc/passwd")
        self.assertEqual(self.keg("diff", "did").stdout, "C /etc\nD /etc/group\nC /etc/passwd\nC /tmp\nA /tmp/new\n")
        self.keg("run", "--network", "none", "--name", "idle", "base", "true")
        self.assertEqual(self.keg("diff", "idle").stdout, "")

    def test_top_shows_its_processes_only(self):
        self.up("busy")
        lines = self.keg("top", "busy").stdout.splitlines()
        self.assertEqual((len(lines), "sleep 1000" in lines[1], lines[0].split()[:2]), (2, True, ["UID", "PID"]))
        self.assertEqual(self.keg("top", "busy", "-o", "pid,comm").stdout.split()[1:2] + self.keg("top", "busy", "-o", "pid,comm").stdout.split()[3:], ["COMMAND", "sleep"])
        self.keg("stop", "-t", "0", "busy")
        self.fails("top", "busy", says="is not running")

    def test_stats_show_what_it_uses(self):
        self.up("uses", "-m", "64m")
        shown = json.loads(self.keg("stats", "--no-stream", "--format", "json", "uses").stdout)
        self.assertEqual((shown["Name"], shown["PIDs"]), ("uses", "1"))
        self.assertRegex(shown["CPUPerc"], r"^\d+\.\d\d%$")
        self.assertRegex(shown["MemUsage"], r"[KM]iB / 64MiB$")
        self.assertIn("CPU %", self.keg("stats", "--no-stream").stdout)

    def test_version_and_info(self):
        self.assertIn("Version", self.keg("version").stdout)
        self.assertTrue(self.keg("version", "--format", "{{.Server.Version}}").stdout.strip())
        self.up("one")
        info = json.loads(self.keg("info", "--format", "json").stdout)
        self.assertEqual((info["Containers"], info["ContainersRunning"], info["Images"]), (1, 1, 1))

    def test_ps_knows_before_since_and_all_names_of_its_group(self):
        for name in ("first", "second", "third"):
            self.keg("create", "--network", "none", "--name", name, "base", "true")
        names = lambda *words: self.keg("container", "ls", "-a", "--format", "{{.Names}}", *words).stdout.split()
        self.assertEqual(names("--filter", "before=second"), ["first"])
        self.assertEqual(names("--filter", "since=second"), ["third"])
        self.keg("container", "prune", "-f")
        self.assertEqual(names(), [])


@keg.needs_root
class Update(VerbCase):
    def test_limits_change_while_it_runs_and_hold_for_the_next_start(self):
        self.up("grows", "-m", "64m")
        limit = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
        self.assertEqual(self.keg("exec", "grows", "sh", "-c", limit, check=False).stdout, f"{64 << 20}\n")
        self.keg("update", "-m", "96m", "--memory-swap", "-1", "--pids-limit", "77", "grows")
        self.assertEqual(self.keg("exec", "grows", "sh", "-c", limit, check=False).stdout, f"{96 << 20}\n")
        self.keg("restart", "-t", "0", "grows")
        self.assertEqual(self.keg("exec", "grows", "sh", "-c", limit, check=False).stdout, f"{96 << 20}\n")
        self.fails("update", "-m", "1m", "grows", says="Minimum memory limit allowed is 6MB")
        self.assertEqual(self.keg("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}", "grows").stdout, f"{96 << 20} 77\n")


@keg.needs_root
class Volumes(VerbCase):
    def test_the_life_of_a_volume(self):
        self.assertEqual(self.keg("volume", "create", "--label", "a=b", "data").stdout, "data\n")
        self.once("-v", "data:/data", "base", "sh", "-c", "echo kept > /data/f")
        self.assertEqual(self.once("-v", "data:/data", "base", "cat", "/data/f").stdout, "kept\n")
        shown = json.loads(self.keg("volume", "inspect", "data").stdout)[0]
        self.assertEqual((shown["Name"], shown["Labels"], shown["Driver"]), ("data", {"a": "b"}, "local"))
        self.assertEqual(self.keg("volume", "ls", "-q", "--filter", "label=a=b").stdout, "data\n")
        self.assertEqual(self.keg("volume", "ls", "-q", "--filter", "label=a", "--filter", "label=c").stdout, "")
        self.keg("create", "--network", "none", "--name", "user", "-v", "data:/x", "base", "true")
        self.fails("volume", "rm", "data", says="volume is in use - [")
        self.keg("rm", "user")
        self.keg("volume", "rm", "data")
        self.fails("volume", "inspect", "data", says="no such volume")
        self.fails("volume", "create", "a/b", says="includes invalid characters")

    def test_prune_takes_those_without_a_name_or_all(self):
        self.keg("create", "--network", "none", "--name", "keeps", "-v", "/kept", "base", "true")
        self.keg("create", "--network", "none", "--name", "leaves", "-v", "/left", "base", "true")
        self.keg("volume", "create", "named")
        for name in ("keeps", "leaves"):
            self.keg("start", name)
            self.keg("wait", name)
        self.keg("rm", "leaves")
        self.keg("volume", "prune", "-f")
        self.assertEqual(len(self.keg("volume", "ls", "-q").stdout.split()), 2)
        self.keg("volume", "prune", "-fa")
        self.assertEqual(len(self.keg("volume", "ls", "-q").stdout.split()), 1)

    def test_volumes_from_another_container_and_parts_of_one(self):
        self.keg("create", "--network", "none", "--name", "has", "-v", "data:/data", "base", "true")
        self.once("--volumes-from", "has", "base", "sh", "-c", "mkdir /data/part; echo x > /data/part/f")
        self.assertEqual(self.once("--mount", 'type=volume,"source=data",target=/p,volume-subpath=part', "base", "cat", "/p/f").stdout, "x\n")
        self.assertNotEqual(self.once("--volumes-from", "has:ro", "base", "touch", "/data/g", check=False).returncode, 0)
        self.assertNotIn("data", self.once("--mount", "type=volume,source=data,target=/p,volume-subpath=part", "base", "ls", "/p").stdout)
        self.once("-v", "data:/data", "base", "ln", "-s", "/etc", "/data/out")
        self.assertIn("no such file", self.once("--mount", "type=volume,source=data,target=/p,volume-subpath=out", "base", "true", check=False).stderr)
        for words, says in ((["--mount", "type=volume,target=/p,volume-subpath=../x"], "subpath must be a relative path within the volume"),
                            (["--mount", "type=bind,source=/tmp,target=/p,volume-nocopy"], "cannot mix 'volume-nocopy' with mount type 'bind'"),
                            (["--mount", 'type=volume,"source=a'], "missing"),
                            (["--volumes-from", "nosuch"], "No such container: nosuch")):
            with self.subTest(words=words):
                self.fails("run", "--network", "none", *words, "base", "true", code=125, says=says)

    def test_a_read_only_bind_may_leave_what_is_below_it_writable_or_out(self):
        (self.dir / "top/below").mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "below", str(self.dir / "top/below")], check=True)
        mount = f"type=bind,source={self.dir}/top,target=/m,readonly"
        self.assertNotEqual(self.once("--mount", mount, "base", "touch", "/m/below/x", check=False).returncode, 0)
        self.once("--mount", mount + ",bind-recursive=writable", "base", "touch", "/m/below/x")
        self.assertEqual(self.once("--mount", mount + ",bind-recursive=disabled", "base", "ls", "/m/below").stdout, "")


@keg.needs_root
class Options(VerbCase):
    def test_an_init_reaps_passes_signals_on_and_gives_the_exit_code(self):
        self.assertEqual(self.once("--init", "base", "sh", "-c", "exit 9", check=False).returncode, 9)
        self.assertEqual(self.once("--init", "base", "no-such-program", check=False).returncode, 127)
        self.keg("run", "-d", "--init", "--network", "none", "--name", "inits", "base", "sh", "-c",
                 "trap 'exit 7' TERM; (sleep 0.01 & exec sleep 0.02) & echo up; while :; do sleep 0.05; done")
        wait_until(lambda: "up" in self.keg("logs", "inits").stdout, "the program")
        wait_until(lambda: " Z " not in self.keg("exec", "inits", "ps", "-o", "stat,comm").stdout, "the dead to be reaped")
        self.keg("stop", "inits")
        self.assertEqual(self.keg("inspect", "-f", "{{.State.ExitCode}}", "inits").stdout, "7\n")

    def test_namespaces_of_others(self):
        self.up("lends", "--ipc", "shareable")
        self.keg("exec", "lends", "sh", "-c", "echo shared > /dev/shm/f")
        self.assertEqual(self.once("--ipc", "container:lends", "base", "cat", "/dev/shm/f").stdout, "shared\n")
        self.assertIn("sleep 1000", self.once("--pid", "container:lends", "base", "ps").stdout)
        self.up("keeps")
        self.assertIn("non-shareable IPC", self.once("--ipc", "container:keeps", "base", "true", check=False).stderr)
        for words in (["--ipc", "bogus"], ["--pid", "bogus"], ["--uts", "bogus"], ["--userns", "bogus"], ["--cgroupns", "bogus"]):
            self.fails("run", *words, "base", "true", code=125, says='invalid mode: "bogus"')
        own = os.readlink("/proc/self/ns/cgroup")
        self.assertEqual(self.once("--cgroupns", "host", "base", "readlink", "/proc/self/ns/cgroup").stdout.strip(), own)
        self.assertNotEqual(self.once("--cgroupns", "private", "base", "readlink", "/proc/self/ns/cgroup").stdout.strip(), own)

    def test_processor_time_and_devices(self):
        quota = self.once("--cpu-period", "50000", "--cpu-quota", "25000", "base", "sh", "-c",
                          "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true").stdout.split()[0]
        self.assertEqual(quota, "25000")
        for words, says in ((["--cpu-period", "10"], "CPU cfs period can not be less than 1ms"),
                            (["--cpus", "1", "--cpu-quota", "5000"], "Nano CPUs and CPU Quota cannot both be set"),
                            (["--blkio-weight", "5"], "Range of blkio weight is from 10 to 1000"),
                            (["--device-read-bps", "/dev/null:1m"], "/dev/null: not a block device"),
                            (["--device-read-bps", "nodevice"], "bad format"),
                            (["--device-cgroup-rule", "x 1:1 r"], "invalid device cgroup format 'x 1:1 r'"),
                            (["--gpus", "all"], "--gpus is not supported"),
                            (["--isolation", "hyperv"], "--isolation is not supported: it is for Windows"),
                            (["--volume-driver", "nfs"], "--volume-driver \"nfs\" is not supported")):
            with self.subTest(words=words):
                self.fails("run", "--network", "none", *words, "base", "true", code=125, says=says)
        made = ["base", "sh", "-c", "mknod /n c 1 11 && echo < /n"]
        self.assertNotEqual(self.once(*made, check=False).returncode, 0)
        self.once("--device-cgroup-rule", "c 1:11 rwm", "--cap-add", "MKNOD", "base", "sh", "-c", "mknod /n c 1 11 && : > /n")

    def test_annotations_reach_the_runtime_and_inspect(self):
        self.up("noted", "--annotation", "org.example.a=b")
        self.assertEqual(self.keg("inspect", "-f", '{{index .HostConfig.Annotations "org.example.a"}}', "noted").stdout, "b\n")
        config = json.loads((self.directory_of("noted") / "config.json").read_text())
        self.assertEqual(config["annotations"]["org.example.a"], "b")


class Table(keg.TempCase):
    def test_the_table_of_dockers_options_says_what_the_program_says(self):
        keg.run(keg.PROJECT / "scripts/docker-table", "--check", keg.KEG)
