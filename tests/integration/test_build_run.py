"""RUN is a container like any other of keg's: the same filter, rights and network, and the host keeps its own."""
import gzip
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tarfile
import unittest

import keg


class BuildCase(keg.StoreCase):
    def build(self, dockerfile, *options, tag="app", check=True, **files):
        directory = self.dir / "context"
        directory.mkdir(exist_ok=True)
        (directory / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (directory / name).write_text(text)
        return self.keg("build", "-t", tag, *options, directory, check=check)

    def result_of(self, command, *options, base="base", flags=""):
        """What the command of a RUN writes."""
        self.build(f"FROM {base}\nRUN {flags} {command} > /result 2>&1; true\n", "--no-cache", *options)
        return self.keg("run", "--rm", "--network", "none", "app", "cat", "/result").stdout

    def last_layer(self, image="app"):
        """The names in it, and the times."""
        self.keg("save", "-o", self.dir / "saved.tar", image)
        with tarfile.open(self.dir / "saved.tar") as archive:
            name = json.load(archive.extractfile("manifest.json"))[0]["Layers"][-1]
            data = archive.extractfile(name).read()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        with tarfile.open(fileobj=io.BytesIO(data)) as layer:
            return {member.name: int(member.mtime) for member in layer}


@keg.needs_root
class Confined(BuildCase):
    def test_the_filter_of_a_container_is_on_it(self):
        self.assertEqual(self.result_of("grep ^Seccomp: /proc/self/status").split(), ["Seccomp:", "2"])

    def test_root_has_a_containers_rights_and_a_user_has_none(self):
        wanted = self.keg("run", "--rm", "--network", "none", "base", "grep", "^Cap", "/proc/self/status").stdout
        self.assertEqual(self.result_of("grep ^Cap /proc/self/status"), wanted)
        self.build("FROM base\nRUN touch /result; chmod 666 /result\nUSER nobody\nRUN grep ^CapEff /proc/self/status > /result\n")
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "app", "cat", "/result").stdout.split()[1], "0" * 16)

    def test_the_kernels_files_are_hidden_as_in_a_container(self):
        (self.dir / "look").write_text("wc -c /proc/keys /proc/timer_list; touch /proc/sys/kernel/domainname; ls -A /sys/firmware")
        wanted = self.keg("run", "--rm", "--network", "none", "-v", f"{self.dir}/look:/look", "base", "sh", "-c", "sh /look 2>&1").stdout
        self.assertIn("Read-only file system", wanted)
        self.build("FROM base\nCOPY look /look\nRUN sh /look > /result 2>&1; true\n", look=(self.dir / "look").read_text())
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "app", "cat", "/result").stdout, wanted)


@keg.needs_root
class Network(BuildCase):
    HOST = os.readlink("/proc/self/ns/net")

    def test_it_is_not_the_hosts(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        self.assertNotEqual(self.result_of("readlink /proc/self/ns/net").strip(), self.HOST)
        self.assertIn("refused", self.result_of(f"nc -w 3 127.0.0.1 {port} < /dev/null"))

    def test_a_run_has_an_address_and_a_way_out(self):
        self.assertIn("default via", self.result_of("ip route"))
        self.assertIn("127.0.0.1", self.result_of("cat /etc/hosts"))
        self.assertRegex(self.result_of("cat /etc/resolv.conf"), r"(?m)^nameserver (?!127\.)")

    def test_none_is_none(self):
        for options, flags in ((("--network", "none"), ""), ((), "--network=none")):
            with self.subTest(options=options, flags=flags):
                self.assertEqual(self.result_of("ip route", *options, flags=flags), "")

    def test_the_hosts_is_had_only_by_leave(self):
        dockerfile = "FROM base\nRUN --network=host readlink /proc/self/ns/net > /result\n"
        refused = self.build(dockerfile, check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("network.host is not allowed", refused.stderr)
        for options in (("--allow", "network.host"), ("--network", "host")):
            with self.subTest(options=options):
                self.build(dockerfile, "--no-cache", *options)
                self.assertEqual(self.keg("run", "--rm", "--network", "none", "app", "cat", "/result").stdout.strip(), self.HOST)

    def test_it_goes_with_the_build(self):
        self.build("FROM base\nRUN true\n")
        digest = keg.run("sha256sum", input=str(self.store.resolve())).stdout[:8]
        keg.wait_until(lambda: not os.path.exists(f"/sys/class/net/keg-{digest}"), "the end of the bridge")
        keg.wait_until(lambda: not os.path.exists(f"/run/keg-stores/{digest}/net/subnet"), "the end of what is known of it")

    def test_a_given_proxy_is_in_its_environment_and_nowhere_else(self):
        first = self.build("FROM base\nRUN echo \"$http_proxy\" > /result\n", "--build-arg", "http_proxy=http://u:p@proxy:1")
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "app", "cat", "/result").stdout, "http://u:p@proxy:1\n")
        self.assertNotIn("proxy:1", self.keg("history", "--no-trunc", "app").stdout + self.keg("inspect", "app").stdout)
        again = self.build("FROM base\nRUN echo \"$http_proxy\" > /result\n", "--build-arg", "http_proxy=http://another:2")
        self.assertNotIn("CACHED", first.stderr)
        self.assertIn("CACHED", again.stderr)


@keg.needs_root
class Layer(BuildCase):
    """What keg puts into the root for the time of a RUN is no part of the image."""

    def base_with(self, change):
        root = self.dir / "other"
        shutil.copytree(self.dir / "busybox", root, symlinks=True)
        change(root)
        keg.run("tar", "-C", root, "-cf", self.dir / "other.tar", ".")
        self.keg("import", self.dir / "other.tar", "other")

    def bases(self):
        def bare(root):
            for name in ("etc", "proc", "sys", "dev"):
                shutil.rmtree(root / name)

        def linked(root):   # as where systemd-resolved is: the link leads nowhere in an image
            (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")

        def moved(root):
            (root / "etc").rename(root / "usr/etc")
            (root / "etc").symlink_to("usr/etc")

        return {"an ordinary one": lambda root: None, "no place is there": bare, "a link to nothing": linked, "/etc is a link": moved}

    def test_a_run_that_changes_nothing_makes_an_empty_layer(self):
        for name, change in self.bases().items():
            with self.subTest(name):
                shutil.rmtree(self.dir / "other", ignore_errors=True)
                self.base_with(change)
                self.build("FROM other\nRUN true\n", "--no-cache")
                self.assertEqual(self.last_layer(), {})

    def test_what_a_run_changes_beside_them_stays_as_it_left_it(self):
        for name, change in self.bases().items():
            if name == "/etc is a link":
                continue
            with self.subTest(name):
                shutil.rmtree(self.dir / "other", ignore_errors=True)
                self.base_with(change)
                self.build("FROM other\nRUN echo x > /etc/x && touch -d '2001-02-03 04:05:06' /etc\n", "--no-cache")
                layer = self.last_layer()
                self.assertEqual(sorted(layer), ["etc", "etc/x"])
                self.assertEqual(layer["etc"], 981173106)

    def test_a_link_that_a_run_makes_leads_to_no_file_of_the_host(self):
        victim = self.dir / "victim"
        victim.mkdir()
        for name in ("hosts", "resolv.conf"):
            (victim / name).touch()
        self.base_with(lambda root: shutil.rmtree(root / "etc"))
        self.build(f"FROM other\nRUN mv /etc /etc.old; ln -s {victim} /etc; true\n")
        self.assertEqual(sorted(os.listdir(victim)), ["hosts", "resolv.conf"])


@keg.needs_root
class Killed(BuildCase):
    def left(self):
        mounts = [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if str(self.store) in line]
        return mounts + os.listdir(self.store / "tmp")

    def test_a_build_that_is_ended_in_any_step_leaves_nothing(self):
        big = self.dir / "context/big"
        big.parent.mkdir()
        with open(big, "wb") as file:
            file.write(bytes(60_000_000))
        steps = {"RUN": "RUN sleep 100", "COPY": "COPY big /", "COPY --from": "COPY --from=base / /all/"}
        for step, line in steps.items():
            for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                with self.subTest(step=step, signal=how.name):
                    (self.dir / "context/Dockerfile").write_text(f"FROM base\n{line}\n")
                    build = subprocess.Popen([keg.KEG, "--root", self.store, "build", "-q", "--no-cache", self.dir / "context"],
                                             **keg.QUIET)
                    # With a directory of its own, and who clears that: in the step.
                    in_step = lambda: self.left() and pathlib.Path(f"/proc/{build.pid}/task/{build.pid}/children").read_text()
                    keg.wait_until(lambda: build.poll() is not None or in_step(), f"the {step} of a build")
                    build.send_signal(how)
                    build.wait(keg.PATIENCE)
                    keg.wait_until(lambda: not keg.processes_of(str(self.store)), "the end of who clears up")
                    if how == signal.SIGKILL and self.left():
                        # Killed between a directory and its guard, with a layer on its way to its place, or with a blob that
                        # was being written: no mount, and the next command takes it away.
                        for name in self.left():
                            if name.startswith("blob-"):
                                continue
                            self.assertIn(os.listdir(self.store / "tmp" / name), [[], ["diff"]] if name.startswith("layer-") else [[]])
                        self.keg("build", "-q", "--no-cache", "-f", "-", self.dir / "context", input="FROM base\nWORKDIR /x\n")
                    self.assertEqual(self.left(), [])


@keg.needs_root
class Profile(BuildCase):
    """--security-opt seccomp=FILE."""

    READ = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    # What a profile says wrongly: an edit of its only rule, or a whole document, and the place that is named.
    MISTAKES = [
        ("{", "is not JSON: at line 1"), ([], "must be an object"), ({"syscalls": []}, "defaultAction: is missing"),
        ({"defaultAction": "SCMP_ACT_MOON", "syscalls": []}, "defaultAction: string SCMP_ACT_MOON is not a valid action"),
        ({"defaultAction": 7, "syscalls": []}, "defaultAction: must be a string, but is 7"),
        ({"defaultAction": "SCMP_ACT_NOTIFY", "syscalls": []}, "defaultAction: SCMP_ACT_NOTIFY cannot be used as default action"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1, "syscalls": []}, "defaultErrnoRet: errnoRet is not for"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"], "syscalls": []}, "architectures[0]: string SCMP_ARCH_Z80"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["LOUD"], "syscalls": []}, "flags[0]: string LOUD"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}}, "syscalls: must be an array"),
        ({"exclude": {}}, 'syscalls[1]: unknown property "exclude"'), ({"names": "read"}, "syscalls[1].names: must be an array"),
        ({"names": []}, "syscalls[1]: exactly one of name and names"), ({"action": ""}, "syscalls[1].action: is missing"),
        ({"action": "SCMP_ACT_MOON"}, "syscalls[1].action: string SCMP_ACT_MOON is not a valid action"),
        ({"action": "SCMP_ACT_ERRNO", "errnoRet": 4096}, "syscalls[1].errnoRet: 4096 is too large"),
        ({"errnoRet": 1}, "syscalls[1].errnoRet: errnoRet is not for"),
        ({"names": ["mkdir", "moon"], "action": "SCMP_ACT_ERRNO"}, 'syscalls[1].names[1]: unknown system call "moon"'),
        ({"args": [{"index": 0, "value": 1, "op": "=="}]}, "syscalls[1].args[0].op: string == is not a valid operator"),
        ({"args": [{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}]}, "syscalls[1].args[0].value: is out of range: -1"),
        ({"args": [{"index": n, "value": 1, "op": "SCMP_CMP_EQ"} for n in range(7)]}, "syscalls[1].args[6].index: seccomp argument index 6 is too large"),
        ({"excludes": {"caps": ["CAP_MOON"]}}, 'syscalls[1].excludes.caps[0]: unknown capability "CAP_MOON"'),
        ({"includes": {"arches": ["vax"]}}, 'syscalls[1].includes.arches[0]: unknown architecture "vax"'),
    ]

    def profile(self, profile):
        path = self.dir / "profile.json"
        path.write_text(profile if isinstance(profile, str) else json.dumps(profile))
        return "--security-opt", f"seccomp={path}"

    def run_with(self, profile):
        return "run", "--rm", "--network", "none", *self.profile(profile), "base"

    REFUSES = {"defaultAction": "SCMP_ACT_ALLOW",
               "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
                            {"names": ["rmdir", "unlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "includes": {"caps": ["CAP_SYS_BOOT"]}}]}

    def test_a_file_takes_the_place_of_the_default(self):
        self.fails(*self.run_with(self.REFUSES), "mkdir", "/x", says="mkdir: can't create directory '/x': Input/output error")
        self.keg(*self.run_with(self.REFUSES), "rmdir", "/tmp")

    def test_it_does_so_for_a_run_whose_layer_is_no_others(self):
        with_it = self.profile(self.REFUSES)
        self.build("FROM base\nRUN mkdir /x || touch /refused\n")
        self.build("FROM base\nRUN mkdir /x || touch /refused\n", *with_it, tag="refused")
        again = self.build("FROM base\nRUN mkdir /x || touch /refused\n", *with_it, tag="refused")
        self.assertIn("CACHED", again.stderr)
        listed = [self.keg("run", "--rm", "--network", "none", image, "ls", "-d", "/x", "/refused", check=False).stdout for image in ("app", "refused")]
        self.assertEqual(listed, ["/x\n", "/refused\n"])
        self.assertIn("Seccomp:\t0", self.result_of("grep ^Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined"))

    def test_what_is_wrong_with_one_is_said_with_its_name_and_place(self):
        context = self.dir / "context"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM base\nRUN true\n")
        for wrong, place in self.MISTAKES:
            whole = not isinstance(wrong, dict) or "syscalls" in wrong
            profile = wrong if whole else {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [self.READ, {**self.READ, **wrong}]}
            option = self.profile(profile)
            for words, code in ((("run", "--rm", *option, "base", "true"), 125), (("create", *option, "base", "true"), 125), (("build", *option, context), 1)):
                with self.subTest(place, command=words[0]):
                    result = self.fails(*words, code=code, says=f"seccomp profile ({self.dir}/profile.json): {place}")
                    self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for words in (("run", "--rm", "base", "true"), ("build", context)):
            self.fails(words[0], "--security-opt", "seccomp=/no/such/file", *words[1:], says=("opening seccomp profile (/no/such/file) failed: ", "no such file or directory"))
        self.fails("run", "--security-opt", 'seccomp={"defaultAction": "SCMP_ACT_MOON"}', "base", "true", code=125, says="seccomp profile: defaultAction: string SCMP_ACT_MOON")
        self.fails("build", "--security-opt", "apparmor=x", context, says="invalid --security-opt: \"apparmor=x\"")
        self.assertEqual(self.keg("ps", "-aq").stdout, "")


if __name__ == "__main__":
    unittest.main()
