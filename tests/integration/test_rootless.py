"""Containers of ordinary users: without root, without cgroups, with and without subordinate ids.

The user is a throw-away: uid 12345, who is in passwd, group, subuid and subgid only in a mount namespace of
the test's own. One script enters that and becomes the user; nothing of the machine changes.
"""
import io
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tarfile
import unittest

from archives import layered_archive, tar_of
from keg import KEG, PATIENCE, QUIET, RUNTIME, Looks, RuntimeCase, TempCase, make_busybox_root, needs, needs_root, run

UID = 12345
SUBORDINATE = (200000, 65536)

BECOME = """#!/bin/sh
exec unshare -m sh -ec '
    cd {home}
    for f in passwd group subuid subgid; do
        mount --bind etc/$f /etc/$f
    done
    exec setpriv --reuid {uid} --regid {uid} --clear-groups \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME={home} USER=kegtest XDG_RUNTIME_DIR={home}/run "$@"' sh "$@"
"""


@needs_root
class OrdinaryUser(TempCase):
    def setUp(self):
        super().setUp()
        self.dir.chmod(0o755)
        self.home = self.dir / "home"
        for name in ("home", "home/run", "home/etc", "home/bundle"):
            (self.dir / name).mkdir()
        for name in ("subuid", "subgid"):
            if not os.path.exists(f"/etc/{name}"):
                self.skipTest(f"/etc/{name} is not there")
            (self.home / "etc" / name).write_text(f"kegtest:{SUBORDINATE[0]}:{SUBORDINATE[1]}\n")
        for name, line in (("passwd", f"kegtest:x:{UID}:{UID}::{self.home}:/bin/sh\n"), ("group", f"kegtest:x:{UID}:\n")):
            (self.home / "etc" / name).write_text(pathlib.Path(f"/etc/{name}").read_text() + line)
        shutil.copy(RUNTIME, self.home / "keg-runtime")
        make_busybox_root(self.home / "bundle/rootfs")
        (self.home / "become").write_text(BECOME.format(home=self.home, uid=UID))
        (self.home / "become").chmod(0o755)
        run("chown", "-R", f"{UID}:{UID}", self.home / "run", self.home / "bundle")
        self.addCleanup(self.remove_containers)
        result = self.as_user("unshare", "-Ur", "true", check=False)
        if result.returncode != 0:
            self.skipTest(f"the kernel gives users no user namespaces: {result.stderr}")

    def remove_containers(self):
        if (self.home / "run/keg").is_dir():
            for name in os.listdir(self.home / "run/keg"):
                self.runtime("delete", "--force", name, check=False)

    def as_user(self, *words, **options):
        return run(self.home / "become", *words, **options)

    def runtime(self, *words, **options):
        return self.as_user(self.home / "keg-runtime", *words, **options)


@needs_root
class Rootless(OrdinaryUser):
    def spec(self, *args, edit=None):
        """What `spec --rootless` writes, with another program."""
        path = self.home / "bundle/config.json"
        path.unlink(missing_ok=True)
        self.runtime("spec", "--rootless", "--bundle", self.home / "bundle")
        config = json.loads(path.read_text())
        config["process"]["terminal"] = False
        config["process"]["args"] = list(args)
        if edit:
            edit(config)
        path.write_text(json.dumps(config))

    def run_once(self, *args, edit=None, wrapper=(), options=(), check=True):
        self.spec(*args, edit=edit)
        return self.as_user(*wrapper, self.home / "keg-runtime", *options, "run", "-b", self.home / "bundle", "c", check=check)

    def detached(self, *args, edit=None):
        self.spec(*args, edit=edit)
        subprocess.run([str(self.home / "become"), str(self.home / "keg-runtime"), "run", "-d", "-b", str(self.home / "bundle"), "c"],
                       check=True, timeout=PATIENCE, **QUIET)

    def map_subordinate(self, config):
        for which in ("uidMappings", "gidMappings"):
            config["linux"][which] = [{"containerID": 0, "hostID": UID, "size": 1},
                                      {"containerID": 1, "hostID": SUBORDINATE[0], "size": SUBORDINATE[1]}]

    def test_spec_runs_as_it_is(self):
        (self.home / "bundle/config.json").unlink(missing_ok=True)
        self.runtime("spec", "--rootless", "--bundle", self.home / "bundle")
        result = self.as_user("script", "-qec", f"{self.home}/keg-runtime run -b {self.home}/bundle c", "/dev/null",
                              input="id -u\nexit 7\n", check=False)
        self.assertEqual(result.returncode, 7, result.stdout)

    def test_one_id_needs_no_help(self):
        out = self.run_once("sh", "-c", "id -u; cat /proc/self/uid_map /proc/self/setgroups; echo x > /dev/null; ls /sys | wc -l").stdout.split()
        self.assertEqual(out[:5], ["0", "0", str(UID), "1", "deny"])
        self.assertGreater(int(out[5]), 3)

    def test_life(self):
        self.detached("sleep", "1000")
        root = self.home / "run/keg"
        self.assertEqual(root.stat().st_mode & 0o7777, 0o1700)
        self.assertEqual(root.stat().st_uid, UID)
        state = json.loads(self.runtime("state", "c").stdout)
        self.assertEqual(state["status"], "running")
        self.assertIn("kegtest", self.runtime("list").stdout)
        self.assertEqual(self.runtime("exec", "c", "id", "-u").stdout.strip(), "0")
        self.assertEqual(self.runtime("exec", "c", "sh", "-c", "exit 4", check=False).returncode, 4)
        self.assertEqual(json.loads(self.runtime("ps", "--format", "json", "c").stdout), [state["pid"]])
        self.assertIn("sleep 1000", self.runtime("ps", "c").stdout)
        self.runtime("kill", "c", "KILL")
        self.runtime("delete", "c")
        self.assertEqual(os.listdir(root), [])

    def test_force_deletes_all_processes(self):
        self.detached("sleep", "1000")
        subprocess.run([str(self.home / "become"), str(self.home / "keg-runtime"), "exec", "-d", "c", "sleep", "2000"], check=True, timeout=PATIENCE, **QUIET)
        pids = json.loads(self.runtime("ps", "--format", "json", "c").stdout)
        self.assertEqual(len(pids), 2)
        self.runtime("delete", "--force", "c")
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}/exe") and b"sleep" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())

    def test_what_needs_a_cgroup_says_so(self):
        self.detached("sleep", "1000")
        for words in (("pause", "c"), ("update", "--pids-limit", "10", "c")):
            result = self.runtime(*words, check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn("the container has no cgroup", result.stderr)

    def test_limits_need_cgroups(self):
        """They are not left out in silence; --rootless=false does not leave out cgroups at all."""
        def edit(config):
            config["linux"]["resources"] = {"pids": {"limit": 100}}
        limited = self.run_once("true", edit=edit, check=False)
        self.assertIn("rootless needs no limits + no cgrouppath when no permission is granted for cgroups", limited.stderr)
        refused = self.run_once("true", options=("--rootless", "false"), check=False)
        self.assertIn("unable to apply cgroup configuration", refused.stderr)
        self.run_once("true", options=("--rootless", "true"))
        self.run_once("true", edit=lambda config: config["linux"].update(cgroupsPath="/not/mine"))

    @needs("newuidmap")
    def test_subordinate_ids(self):
        def edit(config):
            self.map_subordinate(config)
            config["process"]["user"] = {"uid": 7, "gid": 8, "additionalGids": [5]}
        out = self.run_once("sh", "-c", "id -u; id -g; id -G; cat /proc/self/setgroups; cat /proc/self/uid_map", edit=edit).stdout.split()
        self.assertEqual(out[:5], ["7", "8", "8", "5", "allow"])
        self.assertEqual(out[5:], ["0", str(UID), "1", "1", str(SUBORDINATE[0]), str(SUBORDINATE[1])])

    @needs("newuidmap")
    def test_exec_among_subordinate_ids(self):
        def edit(config):
            self.map_subordinate(config)
            config["process"]["user"] = {"uid": 7, "gid": 8}
        self.detached("sleep", "1000", edit=edit)
        self.assertEqual(self.runtime("exec", "--user", "9:10", "c", "sh", "-c", "id -u; id -g").stdout.split(), ["9", "10"])
        self.runtime("kill", "c", "KILL")

    @needs("newuidmap")
    def test_ids_that_are_not_subordinate(self):
        def edit(config):
            self.map_subordinate(config)
            config["linux"]["uidMappings"][1]["hostID"] = 500000
        result = self.run_once("true", edit=edit, check=False)
        self.assertIn("newuidmap failed", result.stderr)
        self.assertIn(f"does /etc/subuid give user {UID} the ids that the config maps?", result.stderr)

    def test_missing_helper_is_named(self):
        result = self.run_once("true", edit=self.map_subordinate, wrapper=("env", "PATH=/nowhere"), check=False)
        self.assertIn("needs newuidmap, of Debian's package uidmap", result.stderr)

    def test_unmapped_users_and_groups(self):
        result = self.run_once("true", edit=lambda c: c["process"]["user"].update(uid=5), check=False)
        self.assertIn("setuid 5 (is it mapped into the user namespace?): invalid argument", result.stderr)
        result = self.run_once("true", edit=lambda c: c["process"]["user"].update(additionalGids=[5]), check=False)
        self.assertIn("setgroups", result.stderr)
        self.assertIn("operation not permitted", result.stderr)

    def test_sysfs_is_bound_without_a_network_namespace(self):
        def edit(config):
            config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/sys"]
            config["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev"]})
        out = self.run_once("sh", "-c", "ls -d /sys/class/net; touch /sys/x || echo read-only; grep -c ' /sys[ /].* ro,' /proc/self/mountinfo", edit=edit).stdout.split()
        self.assertEqual(out[:2], ["/sys/class/net", "read-only"])
        def own_network(config):
            edit(config)
            config["linux"]["namespaces"].append({"type": "network"})
        self.assertEqual(self.run_once("ls", "/sys/class/net", edit=own_network).stdout.split(), ["lo"])

    def test_oom_score_may_be_raised_only(self):
        out = self.run_once("cat", "/proc/self/oom_score_adj", edit=lambda c: c["process"].update(oomScoreAdj=500))
        self.assertEqual(out.stdout.strip(), "500")
        out = self.run_once("cat", "/proc/self/oom_score_adj", edit=lambda c: c["process"].update(oomScoreAdj=-500))
        self.assertIn("ignoring oomScoreAdj -500", out.stderr)
        self.detached("sleep", "1000", edit=lambda c: c["process"].update(oomScoreAdj=600))
        self.assertEqual(self.runtime("exec", "c", "cat", "/proc/self/oom_score_adj").stdout.strip(), "600")

    def test_in_a_user_namespace(self):
        """Root of a namespace of the user's, where ids are others, makes a container as well."""
        script = f"""cd {self.home}/bundle; rm -f config.json; {self.home}/keg-runtime spec --rootless
            sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"id"/' config.json; {self.home}/keg-runtime run c"""
        self.assertIn("uid=0", self.as_user("unshare", "-Ur", "sh", "-ec", script).stdout)
        self.assertTrue((self.home / "run/keg").is_dir())

    def test_ids_that_the_namespace_has_not(self):
        result = self.run_once("true", wrapper=("unshare", "-Ur"), check=False)
        self.assertIn("host ids must exist in the runtime's own user namespace", result.stderr)

    def test_container_in_a_container(self):
        """The inner one has no whole /proc: the kernel covers nothing up, and the error says why."""
        def edit(config):
            config["root"]["readonly"] = False
            config["mounts"].append({"destination": "/keg-runtime", "type": "bind", "source": str(self.home / "keg-runtime"), "options": ["bind", "ro"]})
            everything = ["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_SETPCAP", "CAP_DAC_OVERRIDE",
                          "CAP_SETFCAP", "CAP_CHOWN", "CAP_FOWNER", "CAP_KILL", "CAP_AUDIT_WRITE", "CAP_NET_BIND_SERVICE"]
            for which in ("bounding", "effective", "permitted"):
                config["process"]["capabilities"][which] = everything
        inner = """mkdir -p /b/rootfs/bin /b/rootfs/proc /b/rootfs/dev /b/rootfs/sys; cp -a /bin/busybox /bin/sh /bin/id /b/rootfs/bin/; cd /b
            /keg-runtime spec --rootless; sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"id"/' config.json
            /keg-runtime --root /tmp/state run inner"""
        result = self.run_once("sh", "-c", inner, edit=edit, check=False)
        self.assertIn("mount proc: operation not permitted; in a user namespace the kernel allows it only", result.stderr)
        def whole(config):
            edit(config)
            config["linux"].pop("maskedPaths"), config["linux"].pop("readonlyPaths")
        self.assertIn("uid=0", self.run_once("sh", "-c", inner, edit=whole).stdout)



def delegated_cgroup():
    """Where we are in v2, if it is ours to divide; else nothing."""
    lines = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
    own = pathlib.Path("/sys/fs/cgroup" + lines[0][3:]) if len(lines) == 1 and lines[0].startswith("0::") else None
    return own if own and os.geteuid() != 0 and own.stat().st_uid == os.geteuid() else None


@unittest.skipUnless(delegated_cgroup(), "needs to be an ordinary user with a delegated v2 cgroup")
class Delegated(RuntimeCase):
    """A user to whom systemd gave a part of v2's tree: limits without asking anybody."""

    def setUp(self):
        super().setUp()
        own = delegated_cgroup()
        self.place = own if own.name != "tests" else own.parent
        # Who has groups below with controllers has no processes of his own.
        (self.place / "tests").mkdir(exist_ok=True)
        for pid in (self.place / "cgroup.procs").read_text().split():
            (self.place / "tests/cgroup.procs").write_text(pid)

    def rootless(self, config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "network"] + [{"type": "user"}]
        for which, own in (("uidMappings", os.getuid()), ("gidMappings", os.getgid())):
            config["linux"][which] = [{"containerID": 0, "hostID": own, "size": 1}]
        for mount in config["mounts"]:
            mount["options"] = [o for o in mount.get("options", []) if not o.startswith("gid=")]
        config["linux"]["resources"] = {"memory": {"limit": 32 << 20}, "pids": {"limit": 20}, "cpu": {"shares": 512}}

    def test_limits_are_set_in_the_part_that_is_ours(self):
        for name, path in (("relative", None), ("absolute", str(self.place / "mine").removeprefix("/sys/fs/cgroup"))):
            def edit(config):
                self.rootless(config)
                config["linux"].pop("cgroupsPath", None)
                if path:
                    config["linux"]["cgroupsPath"] = path
            bundle = self.bundle("sleep", "1000", edit=edit, name=name)
            self.detached("run", "-d", "-b", bundle, name)
            group = self.place / ("mine" if path else name)
            pid = str(json.loads(self.runtime("state", name).stdout)["pid"])
            self.assertEqual((group / "cgroup.procs").read_text().split(), [pid])
            self.assertEqual((group / "memory.max").read_text(), f"{32 << 20}\n")
            self.assertEqual((group / "pids.max").read_text(), "20\n")
            self.runtime("update", "--pids-limit", "30", name)
            self.assertEqual((group / "pids.max").read_text(), "30\n")
            self.assertEqual(self.runtime("exec", name, "cat", "/proc/self/cgroup").stdout, "0::/\n")
            self.runtime("pause", name)
            self.assertIn("frozen 1", (group / "cgroup.events").read_text())
            self.runtime("resume", name)
            self.runtime("delete", "--force", name)
            self.assertFalse(group.exists())

    def test_what_is_not_ours_is_refused(self):
        def edit(config):
            self.rootless(config)
            config["linux"]["cgroupsPath"] = "/not-ours"
        result = self.runtime("run", "-b", self.bundle("true", edit=edit), "c", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("rootless needs no limits + no cgrouppath when no permission is granted for cgroups", result.stderr)


@needs_root
class Images(Looks, OrdinaryUser):
    """What can be done with images: all but running them by `keg`."""

    def setUp(self):
        super().setUp()
        shutil.copy(KEG, self.home / "keg")
        files = tar_of({"bin": None, "bin/tool": b"tool", "gone": b"x", "closed": None, "closed/in": b"in"})
        self.layer = self.changed(files, {"bin/tool": dict(uid=7, gid=8, mode=0o4755), "closed": dict(mode=0o000), "gone": dict(uid=9)},
                                  {"tty": dict(type=tarfile.CHRTYPE, devmajor=5, devminor=0, mode=0o620, gid=5)})
        self.archive = self.home / "app.tar"
        self.archive.write_bytes(layered_archive({"app:1": [self.layer]}))

    @staticmethod
    def changed(tar, changes, more):
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(tar)) as old, tarfile.open(fileobj=out, mode="w") as new:
            members = [(member, old.extractfile(member)) for member in old]
            members += [(tarfile.TarInfo(name), None) for name in more]
            for member, content in members:
                for key, value in {**changes, **more}.get(member.name, {}).items():
                    setattr(member, key, value)
                new.addfile(member, content)
        return out.getvalue()

    def keg(self, *words, **options):
        return self.as_user(self.home / "keg", "--root", self.home / "run/store", *words, **options)

    def test_what_was_unpacked_and_edited_is_packed_with_the_owners_of_its_image(self):
        self.keg("load", "-i", self.archive)
        bundle = self.home / "run/b"
        self.keg("unpack", "app:1", bundle)
        rootfs = bundle / "rootfs"
        self.assertEqual({(rootfs / name).stat().st_uid for name in ("bin/tool", "closed", "tty")}, {UID})
        self.assertEqual((stat.S_IMODE((rootfs / "bin/tool").stat().st_mode), stat.S_IMODE((rootfs / "closed").stat().st_mode)), (0o4755, 0))
        self.assertTrue((rootfs / "tty").is_file())
        self.assertEqual(self.keg("repack", "-t", "same", bundle).returncode, 0)
        self.assertEqual(self.layers("same"), self.layers("app:1"))
        self.as_user("sh", "-c", f"cd {rootfs}; rm gone; echo new > new; chmod 750 bin/tool")
        self.keg("repack", "-t", "edited", bundle)
        layer = self.top_layer("edited", self.home / "run")
        self.assertEqual({name: (member.uid, member.gid) for name, member in layer.items()},
                         {".wh.gone": (0, 0), "bin/tool": (7, 8), "new": (0, 0)})
        self.assertEqual(layer["bin/tool"].pax_headers, {})
        self.assertEqual(self.keg("system", "check").returncode, 0)

    def test_a_bundle_runs(self):
        make_busybox_root(self.dir / "busybox")
        run("tar", "-C", self.dir / "busybox", "-cf", self.home / "busybox.tar", ".")
        self.keg("import", "-c", 'CMD ["sh", "-c", "id -u; echo x > /new; ls -d /data"]', "-c", "USER 5", "-c", "VOLUME /data", self.home / "busybox.tar", "base")
        self.keg("unpack", "base", self.home / "run/b")
        config = json.loads((self.home / "run/b/config.json").read_text())
        config["process"]["terminal"] = False
        self.assertEqual(config["linux"]["uidMappings"], [{"containerID": 0, "hostID": UID, "size": 1}])
        self.assertEqual(self.runtime("run", "-b", self.home / "run/b", "c").stdout, "0\n/data\n")
        self.keg("repack", "-t", "changed", self.home / "run/b")
        self.assertLessEqual({"new"}, set(self.top_layer("changed", self.home / "run")))

    def test_images_are_changed_named_shown_and_removed(self):
        self.keg("load", "-i", self.archive)
        (self.home / "own").write_text("own")
        (self.home / "own").chmod(0o644)
        self.keg("insert", "-t", "more", "app:1", self.home / "own", "/own")
        self.assertEqual(self.top_layer("more", self.home / "run")["own"].uid, 0)
        self.keg("config", "-e", "A=b", "-t", "other", "more")
        self.assertIn("A=b", json.loads(self.keg("image", "inspect", "other").stdout)[0]["Config"]["Env"])
        self.assertEqual(len(self.keg("images", "-q").stdout.split()), 3)
        for name in ("other", "more", "app:1"):
            self.keg("rmi", name)
        left = [path for kind in ("blobs", "layers") for path in (self.home / "run/store" / kind).glob("sha*/*")]
        self.assertEqual(left, [])

    def test_what_cannot_be_for_an_ordinary_user_is_said(self):
        self.keg("load", "-i", self.archive)
        refused = self.keg("unpack", "--uid-map", "0:100000:65536", "--gid-map", "0:100000:65536", "app:1", self.home / "run/b", check=False)
        self.assertIn("need root", refused.stderr)
        self.assertFalse((self.home / "run/b").exists())
        self.assertIn("need root for now", self.keg("run", "--network", "none", "app:1", "x", check=False).stderr)
        (self.home / "run/context").mkdir()
        (self.home / "run/context/Dockerfile").write_text("FROM app:1\nRUN x\n")
        self.assertIn("needs root for now", self.keg("build", self.home / "run/context", check=False).stderr)


if __name__ == "__main__":
    unittest.main()
