"""keg build: from a Dockerfile to an image, as its user meets it."""
import json
import os
import subprocess
import tarfile
import unittest

from archives import layered_archive
from keg import KEG, StoreCase, make_busybox_root, needs_root, run


@needs_root
class Build(StoreCase):
    def context(self, dockerfile, **files):
        directory = self.dir / "context"
        directory.mkdir(exist_ok=True)
        (directory / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return directory

    def build(self, dockerfile, *options, tag="app", **files):
        return self.keg("build", "-t", tag, *options, self.context(dockerfile, **files))

    def output(self, *command, image="app"):
        return self.keg("run", "--rm", "--network", "none", image, *command).stdout

    def test_a_command_changes_the_image(self):
        self.build("FROM base\nRUN echo made > /made\nCMD [\"cat\", \"/made\"]\n")
        self.assertEqual(self.output(), "made\n")

    def test_an_unchanged_build_is_cached(self):
        text = "FROM base\nCOPY f /f\nRUN cat /proc/sys/kernel/random/uuid > /when\n"
        self.build(text, f="1")
        before = self.output("cat", "/when")
        again = self.build(text, f="1")
        self.assertEqual(again.stderr.count("CACHED"), 2)
        self.assertEqual(self.output("cat", "/when"), before)

    def test_what_a_step_does_not_see_does_not_build_it_again(self):
        text = "FROM base\nLABEL n={0}\nEXPOSE {0}\nCMD [\"{0}\"]\nRUN cat /proc/sys/kernel/random/uuid > /when\nLABEL m={0}\nCOPY f /f\nWORKDIR /w\n"
        self.build(text.format(1), f="1")
        self.assertEqual(self.build(text.format(2), f="1").stderr.count("CACHED"), 3)
        self.assertEqual(self.output("echo", "there"), "there\n")

    def test_a_linked_copy_is_a_layer_of_its_own(self):
        text = "FROM base\nRUN echo {} > /x; mkdir -p /a/kept; ln -s /a /b\nCOPY --link{} f /b/\nRUN cat /b/f > /seen; ls /a > /below\n"
        self.build(text.format(1, ""), f="1")
        self.assertEqual(self.output("sh", "-c", "test -L /b || cat /b/f /seen /below; id -u"), "11kept\n0\n")
        self.assertEqual(self.build(text.format(3, ""), f="1").stderr.count("CACHED"), 1)
        self.assertEqual(self.build(text.format(3, "=false"), f="1").stderr.count("CACHED"), 1)    # the RUN
        self.assertEqual(self.output("cat", "/b/f", "/a/f"), "11")
        self.fails("build", self.context(text.format(1, "=often"), f="1"), says="expecting boolean value for flag link")
        self.build("FROM base\nCOPY --link --chown=7:8 f deep/er/\n", f="2")
        self.assertEqual(self.output("stat", "-c", "%u:%g %a", "/deep/er", "/deep/er/f"), "7:8 755\n7:8 644\n")
        self.keg("save", "-o", self.dir / "app.tar", "app")
        self.keg("rmi", "app")
        self.keg("load", "-i", self.dir / "app.tar")
        self.assertEqual(self.output("cat", "/deep/er/f"), "2")

    def test_what_a_step_sees_builds_it_again(self):
        text = "FROM base\n{}\nRUN cat /proc/sys/kernel/random/uuid > /when\n"
        seen = set()
        for line in ("", "ENV A=1", "ENV A=2", "ARG B=1", "ARG B=2", "USER 0:1", "WORKDIR /tmp", 'SHELL ["/bin/sh", "-ec"]', "RUN echo 1 > /one", "RUN echo 2 > /one"):
            self.build(text.format(line))
            seen.add(self.output("cat", "/when"))
        self.assertEqual(len(seen), 10)
        self.assertEqual(self.build("FROM base\nUSER 1\nWORKDIR /of\n").stderr.count("CACHED"), 0)
        self.assertEqual(self.build("FROM base\nUSER 2\nWORKDIR /of\n").stderr.count("CACHED"), 0)

    def test_a_step_whose_input_was_made_again_with_the_same_bytes_is_not_run_again(self):
        self.build("FROM base\nCOPY f /f\nRUN cat /proc/sys/kernel/random/uuid > /when\n", f="1")
        before = self.output("cat", "/when")
        self.keg("config", "--label", "other=1", "-t", "other", "base")
        self.build("FROM other\nLABEL x=y\nCOPY f /f\nRUN cat /proc/sys/kernel/random/uuid > /when\n", f="1")
        self.assertEqual(self.output("cat", "/when"), before)

    def test_one_step_of_builds_at_once_is_run_once(self):
        context = self.context("FROM base\nRUN cat /proc/sys/kernel/random/uuid > /when; sleep 0.5\nRUN echo x > /x\n")
        builds = [subprocess.Popen([KEG, "--root", self.store, "build", "-q", context], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
                  for _ in range(4)]
        self.assertEqual(len({build.communicate()[0] for build in builds}), 1)
        self.assertEqual([build.returncode for build in builds], [0] * 4)

    def test_a_changed_file_builds_what_comes_after_it(self):
        text = "FROM base\nRUN cat /proc/sys/kernel/random/uuid > /early\nCOPY f /f\nRUN cat /proc/sys/kernel/random/uuid > /late\n"
        self.build(text, f="1")
        early, late = self.output("cat", "/early"), self.output("cat", "/late")
        self.build(text, f="2")
        self.assertEqual(self.output("cat", "/early"), early)
        self.assertNotEqual(self.output("cat", "/late"), late)
        self.assertEqual(self.output("cat", "/f"), "2")

    def test_a_later_stage_takes_files_from_an_earlier_one(self):
        self.build("FROM base AS one\nRUN echo tool > /tool\nFROM base\nCOPY --from=one --chmod=755 /tool /bin/tool\n")
        self.assertEqual(self.output("cat", "/bin/tool"), "tool\n")

    def test_stages_that_the_target_does_not_need_are_not_built(self):
        self.build("FROM base AS broken\nRUN false\nFROM base AS good\nRUN true\n")
        self.keg("build", "--target", "good", self.dir / "context")

    def test_arguments_and_variables_are_expanded(self):
        self.build("ARG TAG=latest\nFROM base:${TAG}\nARG WHO=nobody\nENV GREETING=\"hello $WHO\" X=${UNSET:-else}\n"
                   "RUN echo \"$GREETING $X\" > /g\n", "--build-arg", "WHO=world")
        self.assertEqual(self.output("cat", "/g"), "hello world else\n")
        self.assertEqual(self.output("sh", "-c", "echo $GREETING"), "hello world\n")

    def test_dockerignore_keeps_files_out(self):
        self.build("FROM base\nCOPY . /all/\n", **{".dockerignore": "secret*\n!secret.ok\n**/*.o\n", "secret.txt": "s", "secret.ok": "k",
                                                  "sub/a.o": "o", "sub/a.c": "c"})
        found = self.output("find", "/all", "-type", "f").split()
        self.assertIn("/all/secret.ok", found)
        self.assertIn("/all/sub/a.c", found)
        self.assertNotIn("/all/secret.txt", found)
        self.assertNotIn("/all/sub/a.o", found)

    def test_heredocs_are_scripts_and_files(self):
        self.build("FROM base\nRUN <<EOF\necho one > /h\necho two >> /h\nEOF\nCOPY <<EOT /conf\nkey=value\nEOT\n")
        self.assertEqual(self.output("cat", "/h", "/conf"), "one\ntwo\nkey=value\n")

    def test_a_removed_file_is_gone_in_the_image_and_in_its_archive(self):
        self.build("FROM base\nRUN rm /etc/group && mkdir /d && touch /d/x\nRUN rm -r /d && mkdir /d && touch /d/y\n")
        self.assertEqual(self.output("sh", "-c", "ls /d; test -e /etc/group || echo gone"), "y\ngone\n")
        self.keg("unpack", "app", self.dir / "bundle")
        self.assertFalse((self.dir / "bundle/rootfs/etc/group").exists())
        self.assertEqual(os.listdir(self.dir / "bundle/rootfs/d"), ["y"])

    def test_what_the_runtime_needs_is_not_in_the_layer(self):
        self.build("FROM base\nRUN true\n")
        self.keg("save", "-o", self.dir / "app.tar", "app")
        self.keg("unpack", "app", self.dir / "bundle")
        etc = self.dir / "bundle/rootfs/etc"
        self.assertFalse((etc / "resolv.conf").exists())
        self.assertFalse((etc / "hosts").exists())

    def test_user_and_workdir_hold_for_run_and_copy(self):
        self.build("FROM base\nWORKDIR /srv/app\nCOPY --chown=nobody:staff f .\nUSER nobody\nRUN id -u > /tmp/id; pwd >> /tmp/id\n", f="x")
        self.assertEqual(self.output("cat", "/tmp/id"), "65534\n/srv/app\n")
        self.assertEqual(self.output("stat", "-c", "%u:%g", "/srv/app/f"), "65534:50\n")

    def test_a_relative_workdir_loses_its_slash(self):
        for typed, there in (("app/", "/app"), ("a//b/", "/a/b"), ("/app/", "/app/")):
            self.build(f"FROM base\nWORKDIR {typed}\n")
            self.assertEqual(json.loads(self.keg("inspect", "app").stdout)[0]["Config"]["WorkingDir"], there)

    def test_an_image_that_was_packed_from_a_private_directory_lets_other_users_in(self):
        make_busybox_root(self.dir / "private")
        made = set()
        for mode, shown in ((0o700, "755"), (0o750, "755"), (0o701, "701"), (0o111, "111")):
            (self.dir / "private").chmod(mode)
            layer = subprocess.run(["tar", "-C", self.dir / "private", "--owner=0", "--group=0", "-c", "."], check=True, capture_output=True).stdout
            self.keg("load", "-q", "-i", self.write("private.tar", layered_archive({"private:latest": [layer]})))
            self.assertEqual(self.output("stat", "-c", "%a", "/", image="private"), shown + "\n")
            self.build("FROM private\nRUN true\nUSER 65534\nRUN true\n")
            made.update(json.loads(self.keg("inspect", "app").stdout)[0]["RootFS"]["Layers"][1:])
        self.assertLessEqual(len(made), 1, "RUN true changed something")
        self.build("FROM private\nRUN chmod 701 /\n")
        self.assertEqual(self.output("stat", "-c", "%a", "/"), "701\n")

    def test_the_config_says_what_the_dockerfile_says(self):
        self.build("FROM base\nLABEL a=b \"c d\"=e\nEXPOSE 80 53/udp\nVOLUME /data\nSTOPSIGNAL SIGINT\n"
                   "HEALTHCHECK --interval=5s CMD true\nENTRYPOINT [\"sh\", \"-c\"]\nCMD echo hi\n")
        config = json.loads(self.keg("inspect", "app").stdout)[0]["Config"]
        self.assertEqual(config["Labels"], {"a": "b", "c d": "e"})
        self.assertEqual(set(config["ExposedPorts"]), {"80/tcp", "53/udp"})
        self.assertEqual(config["Entrypoint"], ["sh", "-c"])
        self.assertEqual(config["Cmd"], ["/bin/sh", "-c", "echo hi"])
        self.assertEqual(config["StopSignal"], "SIGINT")

    def test_add_unpacks_local_tars(self):
        context = self.context("FROM base\nADD a.tar /out/\n")
        (self.dir / "t").mkdir()
        (self.dir / "t/inside").write_text("x")
        run("tar", "-C", self.dir / "t", "-cf", context / "a.tar", "inside")
        self.keg("build", "-t", "app", context)
        self.assertEqual(self.output("cat", "/out/inside"), "x")

    def test_copies_from_an_image_keep_their_owners_those_from_the_context_are_roots(self):
        self.context("", file="x")
        os.chown(self.dir / "context" / "file", 12, 34)
        self.build("""FROM base AS other
RUN echo x > /f; chown 7:8 /f
FROM base
COPY file /file
COPY --from=other /f /f
COPY --from=other --chown=9 /f /g
""")
        self.assertEqual(self.output("sh", "-c", "stat -c %u:%g /file /f /g"), "0:0\n7:8\n9:9\n")

    def test_what_is_ignored_is_not_there_for_copy(self):
        (self.dir / "context/dir/deep").mkdir(parents=True)
        (self.dir / "context" / "dir/deep/kept").write_text("x")
        (self.dir / "context" / "dir/gone").write_text("x")
        (self.dir / "context" / ".dockerignore").write_text("dir\n!dir/deep/kept\n")
        self.build("FROM base\nCOPY di* /d/\n")
        self.assertEqual(self.output("sh", "-c", "cd /d; find . -type f"), "./deep/kept\n")
        self.fails("build", self.context("FROM base\nCOPY dir/gone /d/\n"), says='Dockerfile:2: failed to compute cache key: "/dir/gone": not found')

    def add_archive_with(self, name):
        self.context("")
        with tarfile.open(self.dir / "context" / "a.tar", "w") as tar:
            info = tarfile.TarInfo(name)
            info.uid = 5
            tar.addfile(info)
        return "FROM base\nADD --chown=3:4 a.tar /x/\n"

    def test_an_archive_that_is_added_has_the_owner_that_was_asked_for(self):
        self.build(self.add_archive_with("file"))
        self.assertEqual(self.output("sh", "-c", "stat -c '%n %u:%g' /x/file"), "/x/file 3:4\n")

    def test_an_archive_that_is_added_is_no_layer(self):
        # A file of that name would be a file here and a deletion wherever the image is sent.
        self.fails("build", self.context(self.add_archive_with(".wh.bin")), says=('Dockerfile:2: "x/.wh.bin"', "cannot be in a layer"))

    def test_triggers_of_a_base_image_run_in_the_place_of_the_from(self):
        self.build("FROM base\nONBUILD ARG WHO=you\nONBUILD RUN echo hello $WHO > /said\nONBUILD COPY <<EOF /file\nline\nEOF\n", tag="parent")
        self.build("FROM parent\nRUN cat /said /file > /both\n")
        self.assertEqual(self.output("sh", "-c", "cat /both"), "hello you\nline\n")
        self.assertNotIn("OnBuild", str(json.loads(self.keg("image", "inspect", "app").stdout)[0]["Config"].get("OnBuild") or ""))

    def test_the_last_of_arg_and_env_counts(self):
        self.build("FROM base\nENV A=env\nARG A=arg\nRUN echo $A > /1\nARG B=arg\nENV B=env\nRUN echo $B > /2\n")
        self.assertEqual(self.output("sh", "-c", "cat /1 /2; echo $A"), "arg\nenv\nenv\n")

    def test_the_history_reads_as_dockers(self):
        self.context("", f="x")
        self.build("""FROM scratch
ARG V=1 W
ENV A=b C="d e"
LABEL l=m
EXPOSE 80 53/UDP
VOLUME /data
WORKDIR /w
COPY f g/
HEALTHCHECK --interval=90s CMD true
CMD ["a", "b c"]
ENTRYPOINT run it
""")
        lines = json.loads(self.keg("history", "--no-trunc", "--format", "json", "app").stdout.join(["[", "]"]).replace("}\n{", "},{"))
        self.assertEqual([line["CreatedBy"] for line in reversed(lines)], [
            "ARG V=1 W", "ENV A=b C=d e", "LABEL l=m", "EXPOSE [53/udp 80/tcp]", "VOLUME [/data]", "WORKDIR /w", "COPY f g/ # buildkit",
            "HEALTHCHECK {Test:[CMD-SHELL true] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
            'CMD ["a" "b c"]', 'ENTRYPOINT ["/bin/sh" "-c" "run it"]'])

    def test_copy_never_reads_outside_the_context(self):
        (self.dir / "outside").write_text("secret")
        context = self.context("FROM base\nCOPY link /got\n")
        os.symlink("../outside", context / "link")
        self.fails("build", "-t", "app", context)
        self.fails("build", "-t", "app", self.context("FROM base\nCOPY ../outside /got\n"), says="not found")

    def test_mistakes_name_file_and_line_and_leave_no_image(self):
        cases = [
            ("FROM base\nRUM true\n", ["Dockerfile:2", "unknown instruction: RUM (did you mean RUN?)"]),
            ("FROM base\nCOPY --chwon=1 a b\n", ["Dockerfile:2", "--chwon", "did you mean --chown?"]),
            ("FROM base\nEXPOSE 70000\n", ["Dockerfile:2", "invalid containerPort: 70000"]),
            ("FROM base\nSTOPSIGNAL SIGNOPE\n", ["Dockerfile:2", "invalid signal: SIGNOPE"]),
            ("FROM base\nSHELL /bin/bash\n", ["Dockerfile:2", "SHELL requires the arguments to be in JSON form"]),
            ("FROM base AS 1st\n", ["Dockerfile:1", "invalid name for build stage"]),
            ("FROM base AS own\nCOPY --from=own /a /b\n", ["Dockerfile:2", "circular dependency detected on stage: own"]),
            ("FROM base\nONBUILD FROM x\n", ["Dockerfile:2", "FROM isn't allowed as an ONBUILD trigger"]),
            ("FROM base\nCOPY f <<EOF\nx\nEOF\n", ["Dockerfile:2", "cannot accept a heredoc as the final argument"]),
            ("FROM base\nHEALTHCHECK --interval=1 CMD true\n", ["Dockerfile:2", "invalid --interval"]),
            ("FROM base\nCMD [1]\n", ["Dockerfile:2", "only string type is allowed in JSON format arrays"]),
            ("FROM base\nADD --checksum=md5:1 https://x/y /\n", ["Dockerfile:2", "invalid checksum"]),
            ("", ["Dockerfile", "cannot be empty"]),
            ("# only a comment\n", ["Dockerfile", "cannot be empty"]),
            ("FROM base\nCOPY nope /x\n", ["Dockerfile:2", '"/nope": not found']),
            ("FROM base\nRUN exit 3\n", ["Dockerfile:2", "did not complete successfully: exit code: 3"]),
            ("RUN true\n", ["Dockerfile:1", "no build stage in current context"]),
            ("FROM base\nENV A\n", ["Dockerfile:2", "ENV must have two arguments"]),
            ("FROM base\nRUN --device=x true\n", ["Dockerfile:2", "RUN --device is not supported"]),
            ("FROM base\nRUN <<EOF\ntrue\n", ["Dockerfile:2", "unterminated heredoc"]),
            ("FROM base\nENV A=${x^y}\n", ["Dockerfile:2", "unsupported modifier"]),
        ]
        for text, says in cases:
            with self.subTest(text):
                self.fails("build", "-t", "bad", self.context(text), says=says)
                self.assertNotIn("bad", self.keg("images").stdout)

    def test_a_base_image_that_is_not_there_is_named(self):
        self.fails("build", "-t", "app", self.context("FROM localhost:1/nothing:here\n"), says="Dockerfile:1")

    def test_a_bad_tag_is_refused_before_anything_is_built(self):
        result = self.fails("build", "-t", "App", self.context("FROM base\nRUN true\n"), says="must be lowercase")
        self.assertNotIn("RUN", result.stderr)

    def test_a_failed_build_leaves_no_mount_and_no_work(self):
        self.fails("build", "-t", "app", self.context("FROM base\nRUN echo x > /y; false\n"))
        with open("/proc/self/mounts") as mounts:
            self.assertNotIn(str(self.store), mounts.read())
        self.assertEqual(os.listdir(self.store / "tmp"), [])


if __name__ == "__main__":
    unittest.main()
