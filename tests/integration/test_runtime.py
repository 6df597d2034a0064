"""What keg-runtime promises, each test named for one promise."""
import json
import os
import subprocess
import unittest

from keg import PATIENCE, RUNTIME, RuntimeCase, needs_root, run, wait_until


def add_namespace(config, kind, path=None):
    config["linux"]["namespaces"].append({"type": kind, **({"path": path} if path else {})})


def shift_users(config):
    add_namespace(config, "user")
    for which in ("uidMappings", "gidMappings"):
        config["linux"][which] = [{"containerID": 0, "hostID": 100000, "size": 65536}]


@needs_root
class Life(RuntimeCase):
    def test_exit_code_of_run_is_the_containers(self):
        for code in (0, 3, 127):
            bundle = self.bundle("sh", "-c", f"exit {code}", name=f"b{code}")
            self.assertEqual(self.runtime("run", "-b", bundle, "c", check=False).returncode, code)
        self.assertEqual(os.listdir(self.state), [])

    def test_death_by_signal_is_128_and_the_signal(self):
        bundle = self.bundle("sleep", "100")
        process = subprocess.Popen([RUNTIME, "--root", self.state, "run", "-b", str(bundle), "c"], stdin=subprocess.DEVNULL)
        self.wait_for("running")
        self.runtime("kill", "c", "KILL")
        self.assertEqual(process.wait(timeout=PATIENCE), 137)

    def test_create_start_kill_delete(self):
        bundle = self.bundle("sleep", "100")
        self.detached("create", "-b", bundle, "--pid-file", self.dir / "pid", "c")
        state = json.loads(self.runtime("state", "c").stdout)
        self.assertEqual(state["status"], "created")
        self.assertEqual((self.dir / "pid").read_text(), str(state["pid"]))
        self.detached("start", "c")
        self.wait_for("running")
        refused = self.runtime("delete", "c", check=False)
        self.assertIn("cannot delete container c that is not stopped: running", refused.stderr)
        self.runtime("kill", "c", "SIGKILL")
        self.wait_for("stopped")
        self.assertIn("container not running", self.runtime("kill", "c", check=False).stderr)
        self.runtime("delete", "c")
        self.assertIn("container does not exist", self.runtime("state", "c", check=False).stderr)
        self.runtime("delete", "--force", "c")

    def test_delete_force_leaves_nothing(self):
        bundle = self.bundle("sleep", "100")
        self.detached("run", "-d", "-b", bundle, "keg-test-gone")
        self.runtime("delete", "--force", "keg-test-gone")
        self.assertEqual(os.listdir(self.state), [])
        left = run("find", "/sys/fs/cgroup", "-name", "keg-test-gone").stdout
        self.assertEqual(left, "")

    def test_exec_joins_and_gives_its_exit_code(self):
        bundle = self.bundle("sleep", "100")
        self.detached("run", "-d", "-b", bundle, "c")
        result = self.runtime("exec", "--cwd", "/tmp", "-e", "A=b", "-u", "7:8", "c", "sh", "-c", 
                              "pwd; echo $A; id -u; id -g; exit 9", check=False)
        self.assertEqual((result.returncode, result.stdout.split()), (9, ["/tmp", "b", "7", "8"]))
        missing = self.runtime("exec", "c", "nowhere", check=False)
        self.assertEqual(missing.returncode, 255)
        self.assertIn("executable file not found in $PATH", missing.stderr)

    def test_pause_stops_and_resume_continues(self):
        bundle = self.bundle("sleep", "100")
        self.detached("run", "-d", "-b", bundle, "c")
        self.runtime("pause", "c")
        self.assertEqual(json.loads(self.runtime("state", "c").stdout)["status"], "paused")
        self.assertIn("cannot exec in a paused container", self.runtime("exec", "c", "true", check=False).stderr)
        self.runtime("resume", "c")
        self.assertEqual(json.loads(self.runtime("state", "c").stdout)["status"], "running")

    def test_hooks_run_in_the_specs_order(self):
        log = self.dir / "order"

        def edit(config):
            say = lambda name: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat >/dev/null; echo {name} >> {log}"]}]
            config["hooks"] = {name: say(name) for name in
                               ("prestart", "createRuntime", "createContainer", "poststart", "poststop")}
            config["hooks"]["startContainer"] = [{"path": "/bin/sh", "args": ["sh", "-c", "cat > /tmp/start"]}]
        bundle = self.bundle("cat", "/tmp/start", edit=edit)
        result = self.runtime("run", "-b", bundle, "c")
        self.assertEqual(log.read_text().split(), ["prestart", "createRuntime", "createContainer", "poststart", "poststop"])
        self.assertEqual(json.loads(result.stdout)["id"], "c")

    def test_container_is_creating_until_create_has_ended(self):
        def edit(config):
            ask = f"cat > {self.dir}/told; {RUNTIME} --root {self.state} state c > {self.dir}/answers; " \
                  f"{RUNTIME} --root {self.state} list >> {self.dir}/answers; {RUNTIME} --root {self.state} start c 2> {self.dir}/refused; true"
            config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", ask]}]}
        self.detached("create", "-b", self.bundle("sleep", "100", edit=edit), "c")
        self.assertEqual(json.loads((self.dir / "told").read_text())["status"], "creating")
        state, _, listed = (self.dir / "answers").read_text().partition("}")
        self.assertEqual(json.loads(state + "}")["status"], "creating")
        self.assertEqual(listed.splitlines()[-1].split()[2], "creating")
        self.assertIn("cannot start a container in the creating state", (self.dir / "refused").read_text())
        self.assertEqual(json.loads(self.runtime("state", "c").stdout)["status"], "created")
        self.runtime("start", "c")

    def test_hooks_are_told_how_far_the_container_is(self):
        told = self.dir / "told"
        told.touch()

        def edit(config):
            say = lambda name: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat >> {told}"]}]
            config["hooks"] = {name: say(name) for name in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")}
            config["mounts"] += [{"destination": str(told), "source": str(told), "type": "bind", "options": ["bind"]}]
        self.runtime("run", "-b", self.bundle("true", edit=edit), "c")
        decoder, text, found = json.JSONDecoder(), told.read_text(), []
        while text:
            state, end = decoder.raw_decode(text)
            found, text = found + [state["status"]], text[end:].lstrip()
        self.assertEqual(found, ["created", "creating", "creating", "created", "running", "stopped"])

    def test_root_of_a_users_namespace_keeps_its_states_with_the_user(self):
        # podman starts the runtime like this, with no other variable than XDG_RUNTIME_DIR.
        def edit(config):
            for mount in config["mounts"]:  # there is no group 5 in there
                mount["options"] = [option for option in mount.get("options", []) if option != "gid=5"]
        bundle = self.bundle("true", edit=edit)
        own = self.dir / "own"
        own.mkdir()
        os.chown(own, 65534, 65534)
        for directory in (self.dir, bundle):
            directory.chmod(0o755)
        run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Ur",
            "env", "-i", f"XDG_RUNTIME_DIR={own}", RUNTIME, "run", "-b", bundle, "c")
        self.assertEqual(os.listdir(own), ["keg"])

    @unittest.skipUnless(os.path.exists("/sys/kernel/security/apparmor"), "the kernel runs without AppArmor")
    def test_apparmor_profile_is_the_processes(self):
        def edit(config):
            config["process"]["apparmorProfile"] = "unconfined"
        bundle = self.bundle("sleep", "100", edit=edit)
        self.detached("run", "-d", "-b", bundle, "c")
        result = self.runtime("exec", "--apparmor", "unconfined", "c", "cat", "/proc/1/attr/current", "/proc/self/attr/current")
        self.assertEqual(result.stdout, "unconfined\nunconfined\n")
        self.assertIn("unable to apply apparmor profile", self.runtime("exec", "--apparmor", "keg-none", "c", "true", check=False).stderr)

    def test_hook_is_named_by_its_arguments(self):
        # dockerd's hook is its own executable under the name "libnetwork-setkey", which chooses what it does.
        log = self.dir / "name"

        def edit(config):
            config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["other-name", "-c", f"echo $0 > {log}"]}]}
        self.runtime("run", "-b", self.bundle("true", edit=edit), "c")
        self.assertEqual(log.read_text(), "other-name\n")

    def test_a_container_that_waits_for_its_start_takes_little_memory_and_starts(self):
        bundle = self.bundle("sh", "-c", "echo ran > /ran; sleep 100")
        self.detached("create", "-b", bundle, "c")
        pid = json.loads(self.runtime("state", "c").stdout)["pid"]
        lines = (line.split() for line in open(f"/proc/{pid}/smaps_rollup"))
        self.assertLess(sum(int(words[1]) for words in lines if words[0].startswith("Private_")), 1024)
        self.runtime("start", "c")
        wait_until((bundle / "rootfs/ran").exists, "its program")

    def test_failing_hook_leaves_nothing(self):
        def edit(config):
            config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
        result = self.runtime("run", "-b", self.bundle("true", edit=edit), "c", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("error running createRuntime hook #0: exit status 1", result.stderr)
        self.assertEqual(os.listdir(self.state), [])


@needs_root
class Walls(RuntimeCase):
    def run_sh(self, script, edit=None, check=True, name="bundle"):
        return self.runtime("run", "-b", self.bundle("sh", "-c", script, edit=edit, name=name), "c", check=check)

    def test_masked_path_hides_file_and_directory(self):
        def edit(config):
            config["linux"]["maskedPaths"] = ["/etc/passwd", "/usr", "/not/there"]
        out = self.run_sh("cat /etc/passwd | wc -c; ls /usr | wc -l; mkdir /usr/x || echo denied", edit).stdout
        self.assertEqual(out.split(), ["0", "0", "denied"])

    def test_read_only_root_and_paths(self):
        def edit(config):
            config["root"]["readonly"] = True
        self.assertNotEqual(self.run_sh("touch /x", edit, check=False).returncode, 0)

        def edit_path(config):
            config["linux"]["readonlyPaths"] = ["/etc"]
        self.assertEqual(self.run_sh("touch /etc/x || touch /tmp/x && echo ok", edit_path, name="b2").stdout.strip(), "ok")

    def test_planted_links_lead_nowhere(self):
        outside = self.dir / "outside"
        outside.mkdir()

        def edit(config):
            config["mounts"].append({"destination": "/link/made", "type": "tmpfs", "source": "tmpfs"})
            config["mounts"].append({"destination": "/../../../../up", "type": "tmpfs", "source": "tmpfs"})
        bundle = self.bundle("true", edit=edit)
        os.symlink(f"../../../../../../..{outside}", bundle / "rootfs/link")
        self.runtime("run", "-b", bundle, "c")
        self.assertEqual(list(outside.iterdir()), [])

    def test_proc_must_be_a_directory(self):
        bundle = self.bundle("true")
        (bundle / "rootfs/proc").rmdir()
        os.symlink("/tmp", bundle / "rootfs/proc")
        result = self.runtime("run", "-b", bundle, "c", check=False)
        self.assertIn("must be mounted on ordinary directory", result.stderr)

    def test_nothing_may_be_mounted_over_proc(self):
        def edit(config):
            config["mounts"].append({"destination": "/proc/self", "type": "tmpfs", "source": "tmpfs"})
        result = self.run_sh("true", edit, check=False)
        self.assertIn("inside /proc", result.stderr)

    def test_working_directory_outside_is_refused(self):
        def edit(config):
            config["process"]["cwd"] = "/proc/self/fd/7/../../.."
        result = self.run_sh("pwd", edit, check=False)
        self.assertNotEqual(result.returncode, 0)

    def test_user_namespace_shifts_ids(self):
        bundle = self.bundle("sh", "-c", "id -u; cat /proc/self/uid_map; echo x > /dev/null && echo null", edit=shift_users)
        run("chown", "-R", "100000:100000", bundle / "rootfs")
        os.chmod(self.dir, 0o755)
        out = self.runtime("run", "-b", bundle, "c").stdout.split()
        self.assertEqual(out, ["0", "0", "100000", "65536", "null"])

    def test_time_namespace_has_its_offset(self):
        def edit(config):
            add_namespace(config, "time")
            config["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000000}}
        out = self.run_sh("cut -d. -f1 /proc/uptime", edit).stdout
        self.assertGreater(int(out), 1000000000)

    def test_capabilities_are_those_of_the_config(self):
        def edit(config):
            for name in config["process"]["capabilities"]:
                config["process"]["capabilities"][name] = ["CAP_KILL"] if name != "ambient" else []
            config["process"]["capabilities"].pop("inheritable", None)
        out = self.run_sh("grep -E 'Cap(Prm|Bnd|Inh)' /proc/self/status", edit).stdout.split()
        self.assertEqual(out[1::2], ["0" * 16, f"{1 << 5:016x}", f"{1 << 5:016x}"])

    def test_capability_that_nobody_can_give_stops_nothing(self):
        def edit(config):  # whoever runs the tests may lack it: CAP_SYS_RESOURCE in some machines
            for name in config["process"]["capabilities"]:
                config["process"]["capabilities"][name] = ["CAP_SYS_RESOURCE", "CAP_SYS_ADMIN", "CAP_KILL"]
        self.assertEqual(self.run_sh("echo started", edit).stdout, "started\n")

    def test_filter_older_than_our_system_calls_stops_nothing(self):
        def edit(config):  # all of these are the runtime's own on the way to the program
            config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["faccessat2", "close_range", "getcwd"], "action": "SCMP_ACT_ERRNO"}]}
        for no_new_privileges in (False, True):
            def both(config):
                edit(config)
                config["process"]["noNewPrivileges"] = no_new_privileges
            self.assertEqual(self.run_sh("echo started", both, name=f"b{no_new_privileges}").stdout, "started\n")

    def test_joined_namespace_is_the_given_one(self):
        def edit(config):
            namespaces = config["linux"]["namespaces"]
            config["linux"]["namespaces"] = [n for n in namespaces if n["type"] != "network"]
            add_namespace(config, "network", "/proc/self/ns/net")
        out = self.run_sh("readlink /proc/self/ns/net", edit).stdout.strip()
        self.assertEqual(out, os.readlink("/proc/self/ns/net"))

    def test_unknown_program_fails_at_create(self):
        bundle = self.bundle("nowhere")
        result = self.runtime("create", "-b", bundle, "c", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn('exec: "nowhere": executable file not found in $PATH', result.stderr.replace('\\"', '"'))
        self.assertEqual(os.listdir(self.state), [])

    def test_tmpcopyup_keeps_what_was_there(self):
        def edit(config):
            config["mounts"].append({"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]})
        self.assertIn("root:x:0", self.run_sh("cat /etc/passwd; touch /etc/x; true", edit).stdout)


if __name__ == "__main__":
    unittest.main()
