"""What a build does with its steps: side by side, once, from memory; and what RUN --mount gives them."""
import json
import os
import pathlib
import socket
import subprocess
import time

import keg
from test_build_run import BuildCase


@keg.needs_root
class Mounts(BuildCase):
    def seen(self, *lines, options=(), **files):
        """What /seen holds after these."""
        self.build("\n".join(("FROM base", *lines, "")), *options, **files)
        return self.keg("run", "--rm", "--network", "none", "app", "cat", "/seen").stdout

    def names_in_last_layer(self):
        return sorted(self.last_layer())

    def test_the_context_is_there_for_reading_without_what_is_ignored(self):
        (self.dir / "context").mkdir()
        (self.dir / "context/.dockerignore").write_text("secret\n")
        self.assertEqual(self.seen("RUN --mount=target=/ctx ls /ctx > /seen; touch /ctx/new 2>> /seen || true",
                                   plain="1", secret="2"),
                         "Dockerfile\nplain\ntouch: /ctx/new: Read-only file system\n")
        self.assertEqual(self.names_in_last_layer(), ["seen"])

    def test_what_is_mounted_is_part_of_the_key(self):
        lines = ["RUN --mount=source=f,target=/f cat /f > /seen"]
        self.assertEqual(self.seen(*lines, f="1", other="1"), "1")
        again = self.build("\n".join(("FROM base", *lines, "")), f="1", other="2")
        self.assertIn("CACHED", again.stderr)
        self.assertEqual(self.seen(*lines, f="2"), "2")

    def test_a_stage_is_mounted_and_what_is_written_to_it_is_thrown_away(self):
        self.assertEqual(self.seen("RUN mkdir /d; echo made > /d/f", "FROM base",
                                   "RUN --mount=from=0,source=/d,target=/d,rw echo more >> /d/f; cat /d/f > /seen",
                                   "RUN --mount=from=0,source=/d,target=/d cat /d/f >> /seen"),
                         "made\nmore\nmade\n")
        self.assertEqual(self.names_in_last_layer(), ["seen"])

    def test_a_cache_is_kept_from_build_to_build_and_is_in_no_layer(self):
        line = "RUN --mount=type=cache,target=/c,uid=5,mode=0700 stat -c '%u %a' /c > /seen; echo x >> /c/n; cat /c/n >> /seen"
        self.assertEqual(self.seen(line), "5 700\nx\n")
        self.assertEqual(self.seen(line, "RUN true # another"), "5 700\nx\n")    # remembered
        self.assertEqual(self.seen(line + " # again"), "5 700\nx\nx\n")
        self.assertEqual(self.names_in_last_layer(), ["seen"])
        self.assertIn("cache mount", self.keg("builder", "du").stdout)
        self.keg("builder", "prune", "-a", "-f")
        self.assertEqual(self.seen(line + " # once more"), "5 700\nx\n")

    def test_a_private_cache_is_another_for_each_at_once(self):
        line = "RUN --mount=type=cache,id=i,target=/c,sharing={} mkdir /c/one; sleep 1; ls /c | wc -l > /n{}"
        shared = "\n".join(("FROM base AS a", line.format("private", 1), "FROM base AS b", line.format("private", 2),
                            "FROM base", "COPY --from=a /n1 /", "COPY --from=b /n2 /", "RUN cat /n1 /n2 > /seen"))
        self.build(shared)
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "app", "cat", "/seen").stdout, "1\n1\n")

    def test_a_secret_is_where_it_was_asked_for_and_nowhere_else(self):
        (self.dir / "password").write_text("hunter2-of-a-file")
        lines = ["RUN --mount=type=secret,id=s,uid=3,mode=0444 stat -c '%u %a' /run/secrets/s > /seen; wc -c < /run/secrets/s >> /seen",
                 "RUN --mount=type=secret,id=v,env=PASSWORD echo ${#PASSWORD} >> /seen; ls /run/secrets 2>> /seen || true",
                 "RUN --mount=type=secret,id=none cat /run/secrets/none 2>> /seen || true"]
        os.environ["OF_TEST"] = "hunter2-of-a-variable"
        seen = self.seen(*lines, options=("--secret", f"id=s,src={self.dir}/password", "--secret", "id=v,env=OF_TEST"))
        self.assertEqual(seen.splitlines()[:3], ["3 444", "17", "21"])
        self.assertIn("No such file", seen)
        kept = subprocess.run(["grep", "-r", "-l", "-s", "hunter2-of", self.store], stdout=subprocess.PIPE, text=True)
        self.assertEqual(kept.stdout, "")
        self.assertEqual(self.names_in_last_layer(), ["seen"])
        self.fails("build", self.dir / "context", "--secret", "src=x", says="it has no id")
        failed = self.build("FROM base\nRUN --mount=type=secret,id=gone,required cat /run/secrets/gone\n", check=False)
        self.assertIn("Dockerfile:2: secret gone: not found", failed.stderr)

    def test_a_secret_is_on_no_disk_while_a_command_has_it(self):
        (self.dir / "context").mkdir()
        (self.dir / "context/Dockerfile").write_text(
            "FROM base\nRUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S --mount=type=cache,target=/w touch /w/up; while [ ! -e /w/go ]; do sleep 0.1; done\n")
        (self.dir / "password").write_text("hunter2-at-work")
        build = subprocess.Popen([keg.KEG, "--root", self.store, "build", "-q", "--secret", f"id=s,src={self.dir}/password", self.dir / "context"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        up = lambda: [*self.store.glob("mounts/*/data-0/up")]
        keg.wait_until(up, "the command to run")
        found = subprocess.run(["find", self.store, "-xdev", "-type", "f", "-exec", "grep", "-l", "hunter2-at-work", "{}", "+"],
                               stdout=subprocess.PIPE, text=True)
        (up()[0].parent / "go").touch()
        self.assertEqual(build.wait(keg.PATIENCE), 0)
        self.assertEqual(found.stdout, "")

    def test_an_ssh_agent_is_reached_by_the_user_who_was_named(self):
        place = str(self.dir / "agent")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(place)
        listener.listen()

        seen = self.seen("RUN touch /seen; chmod 666 /seen", "USER 7",
                         "RUN --mount=type=ssh,uid=7 echo $SSH_AUTH_SOCK > /seen; test -S $SSH_AUTH_SOCK && stat -c '%u %a' $SSH_AUTH_SOCK >> /seen",
                         options=("--ssh", f"default={place}"))
        self.assertIn("/run/buildkit/ssh_agent.0\n", seen)
        self.assertIn("7 600\n", seen)
        listener.close()

    def test_a_tmpfs_has_its_size_and_leaves_nothing(self):
        seen = self.seen("RUN --mount=type=tmpfs,target=/t,size=1m df -k /t | tail -1 > /seen; touch /t/x")
        self.assertEqual(seen.split()[:2], ["tmpfs", "1024"])
        self.assertEqual(self.names_in_last_layer(), ["seen"])

    def test_a_heredoc_with_an_interpreter_is_executed_by_it(self):
        self.assertEqual(self.seen("RUN <<EOF", "#!/bin/sh -e", "echo $0 $HOME > /seen", "EOF"), "/dev/pipes/EOF /root\n")

    def test_insecure_is_had_only_by_leave(self):
        line = "RUN --security=insecure grep CapEff /proc/self/status > /seen; grep ^Seccomp: /proc/self/status >> /seen"
        failed = self.build(f"FROM base\n{line}\n", check=False)
        self.assertIn("security.insecure is not allowed", failed.stderr)
        own = [word for word in pathlib.Path("/proc/self/status").read_text().splitlines() if word.startswith("CapBnd")][0].split()[1]
        self.assertEqual(self.seen(line, options=("--allow", "security.insecure")).split(), ["CapEff:", own, "Seccomp:", "0"])


@keg.needs_root
class Copies(BuildCase):
    def tree(self, *lines, **files):
        self.build("\n".join(("FROM base", *lines, "")), **files)
        return self.keg("run", "--rm", "--network", "none", "app", "sh", "-c", "cd /to && find . -type f | sort").stdout.split()

    def test_parents_keeps_the_path_from_the_pivot_on(self):
        (self.dir / "context/a/b").mkdir(parents=True)
        for name in ("a/b/x.txt", "a/y.txt", "a/b/z.c"):
            (self.dir / "context" / name).touch()
        self.assertEqual(self.tree("COPY --parents a/b/x.txt a/*.txt /to/"), ["./a/b/x.txt", "./a/y.txt"])
        self.assertEqual(self.tree("COPY --parents a/./b/x.txt /to/"), ["./b/x.txt"])
        self.assertEqual(self.tree("COPY --parents **/*.txt /to/"), ["./a/b/x.txt", "./a/y.txt"])

    def test_exclude_leaves_out_what_it_names_below_the_source(self):
        (self.dir / "context/a/b").mkdir(parents=True)
        for name in ("a/b/x.txt", "a/y.txt", "a/b/z.c"):
            (self.dir / "context" / name).touch()
        self.assertEqual(self.tree("COPY --exclude=*.txt a /to/"), ["./b/x.txt", "./b/z.c"])
        self.assertEqual(self.tree("COPY --exclude=**/*.txt --exclude=!b/x.txt a /to/"), ["./b/x.txt", "./b/z.c"])

    def test_chmod_takes_symbols(self):
        (self.dir / "context/d").mkdir(parents=True)
        (self.dir / "context/d/x").touch()
        self.build("FROM base\nCOPY --chmod=u=rwX,go=rX d /d\nCOPY --chmod=o+w f /f\n", f="1")
        shown = self.keg("run", "--rm", "--network", "none", "app", "stat", "-c", "%a", "/d/x", "/f").stdout
        self.assertEqual(shown.split(), ["644", "646"])

    def test_a_file_of_another_mode_is_another_file_and_one_of_another_time_is_not(self):
        text, file = "FROM base\nCOPY f /f\n", self.dir / "context/f"
        self.build(text, f="1")
        os.utime(file, (1, 1))
        self.assertIn("CACHED", self.build(text).stderr)
        file.chmod(0o751)
        self.assertNotIn("CACHED", self.build(text).stderr)
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "app", "stat", "-c", "%a", "/f").stdout, "751\n")

    def test_names_have_no_place_in_a_layer_of_its_own(self):
        failed = self.build("FROM base\nCOPY --link --chown=nobody f /\n", f="1", check=False)
        self.assertIn("expected numbers", failed.stderr)

    def test_a_link_of_the_image_leads_a_copy_within_the_image(self):
        self.build("FROM base\nRUN mkdir /real && ln -s /real /l1 && ln -s ../../../l1 /l2\nCOPY f /l2/\nCOPY f /l2/../top\n", f="x")
        shown = self.keg("run", "--rm", "--network", "none", "app", "ls", "/real/f", "/top").stdout
        self.assertEqual(shown.split(), ["/real/f", "/top"])

    def test_a_file_does_not_take_the_place_of_a_directory_nor_the_other_way_round(self):
        (self.dir / "context/d").mkdir(parents=True)
        (self.dir / "context/d/x").touch()
        for line, says in {"COPY d /etc/passwd": "cannot copy to non-directory: /etc/passwd",
                           "COPY d/x /etc/passwd/": "cannot copy to non-directory: /etc/passwd",
                           "RUN mkdir -p /to/x\nCOPY d /to/": "cannot replace to directory /to/x with file"}.items():
            failed = self.build(f"FROM base\n{line}\n", check=False)
            self.assertIn(says, failed.stderr)


@keg.needs_root
class Graph(BuildCase):
    def test_stages_that_do_not_need_each_other_are_built_at_once(self):
        # Each waits for a file that the other makes.
        meet = "RUN --mount=type=cache,id=m,target=/m touch /m/{0}; for i in $(seq 300); do test -e /m/{1} && exit 0; sleep 0.1; done; exit 1"
        self.build("\n".join(("FROM base AS one", meet.format("one", "two"), "FROM base AS two", meet.format("two", "one"),
                              "FROM base", "COPY --from=one /etc/passwd /1", "COPY --from=two /etc/passwd /2")))

    def test_the_first_error_ends_what_else_runs_and_shows_its_lines(self):
        started = time.monotonic()
        failed = self.build("FROM base AS slow\nRUN sleep 300\nFROM base AS bad\nRUN echo before; exit 3\nFROM base\n"
                            "COPY --from=slow /x /\nCOPY --from=bad /x /\n", check=False)
        self.assertLess(time.monotonic() - started, 120)
        self.assertIn("before", failed.stderr)
        self.assertIn(">>> RUN echo before; exit 3", failed.stderr)
        self.assertTrue(failed.stderr.rstrip().endswith("did not complete successfully: exit code: 3"), failed.stderr)
        self.assertEqual(os.listdir(self.store / "tmp"), [])

    def test_two_cold_builds_are_one_image_whatever_the_files_times_are(self):
        text = ("FROM base\nRUN mkdir -p /d/e && echo x > /d/e/f && rm /etc/group && ln -s f /d/e/l\nCOPY . /c/\nWORKDIR /w/x\n"
                "FROM scratch\nCOPY --from=0 /d /d\n")
        first = self.build(text, "-q", f="1").stdout
        os.utime(self.dir / "context/f", (2_000_000_000, 2_000_000_000))
        self.assertEqual(self.build(text, "-q", "--no-cache", f="1").stdout, first)

    def test_what_keeps_a_build_from_being_reproducible_is_said_file_by_file(self):
        self.build("FROM base\nRUN echo x > /x\n", "--check-reproducible")
        failed = self.build("FROM base\nRUN cat /proc/sys/kernel/random/uuid > /same\n",
                            "--check-reproducible", tag="other", check=False)
        self.assertIn(": /same: content", failed.stderr)
        self.assertIn("the build is not reproducible: 1 difference", failed.stderr)
        self.assertNotIn("other", self.keg("images").stdout)

    def test_squash_leaves_one_layer_and_no_trace_of_what_is_gone(self):
        self.build("FROM base\nRUN echo secret > /gone; echo x > /kept\nRUN rm /gone /etc/group\nENV A=1\n", "--squash", "--rm")
        base, app = (json.loads(self.keg("image", "inspect", name).stdout)[0]["RootFS"]["Layers"] for name in ("base", "app"))
        self.assertEqual((app[:-1], len(app)), (base, len(base) + 1))
        # A directory has another time if something of it is gone.
        self.assertEqual(set(self.last_layer()) - {"etc"}, {"etc/.wh.group", "kept"})
        shown = self.keg("run", "--rm", "--network", "none", "app", "sh", "-c", "cat /kept; ls /gone /etc/group 2>&1; echo $A").stdout
        self.assertEqual(shown.count("No such file"), 2)
        self.assertTrue(shown.startswith("x\n") and shown.endswith("1\n"), shown)

    def test_platforms_become_an_index_whose_images_say_what_they_are_for(self):
        self.build("FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\nCOPY f /f\n", "--platform", "linux/amd64,linux/arm64", f="1")
        listed = json.loads(self.keg("manifest", "inspect", "app").stdout)
        self.assertEqual([each["platform"]["architecture"] for each in listed["manifests"]], ["amd64", "arm64"])
        shown = json.loads(self.keg("image", "inspect", "--platform", "linux/arm64", "app").stdout)[0]
        self.assertEqual((shown["Architecture"], shown["Config"]["Labels"]), ("arm64", {"for": "arm64"}))
        self.build("FROM scratch\nCOPY f /f\n", "--platform", "linux/amd64,linux/arm64", "-o", self.dir / "out", f="1")
        self.assertEqual(sorted(os.listdir(self.dir / "out")), ["linux_amd64", "linux_arm64"])

    def test_a_time_that_is_asked_for_is_the_latest_of_the_image(self):
        self.build("FROM base\nRUN echo x > /x\nCOPY f /f\n", "--build-arg", "SOURCE_DATE_EPOCH=1000000000", f="1")
        self.assertEqual(set(self.last_layer().values()), {1000000000})
        shown = json.loads(self.keg("image", "inspect", "app").stdout)[0]
        self.assertEqual(shown["Created"][:19], "2001-09-09T01:46:40")
        failed = self.build("FROM base\n", "--build-arg", "SOURCE_DATE_EPOCH=soon", check=False)
        self.assertIn("invalid SOURCE_DATE_EPOCH", failed.stderr)

    def test_what_a_container_sees_is_the_stored_layer(self):
        self.build("FROM base\nRUN mkdir -p /d/e; echo x > /d/f; ln /d/f /d/g; chmod 4755 /d/f; mkfifo /d/p; rm /etc/passwd\nCOPY f /d/e/\n", f="1")
        show = ("sh", "-c", "find /d /etc -exec stat -c '%n %a %u %g %s %Y %F %h' {} + | sort")
        built = self.keg("run", "--rm", "--network", "none", "app", *show).stdout
        self.keg("save", "-o", self.dir / "app.tar", "app")
        other = self.dir / "other"
        keg.run(keg.KEG, "--root", other, "load", "-i", self.dir / "app.tar")
        loaded = keg.run(keg.KEG, "--root", other, "run", "--rm", "--network", "none", "app", *show).stdout
        drop = lambda text: [line for line in text.splitlines() if not line.startswith(("/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/etc/mtab", "/etc "))]
        self.assertEqual(drop(built), drop(loaded))

    def test_a_filter_makes_one_stage_anew(self):
        text = "FROM base AS one\nRUN cat /proc/sys/kernel/random/uuid > /1\nFROM base\nRUN cat /proc/sys/kernel/random/uuid > /2\nCOPY --from=one /1 /1\n"
        self.build(text)
        again = self.build(text, "--no-cache-filter", "one")
        self.assertEqual(again.stderr.count("CACHED"), 1)

    def test_a_step_that_changes_nothing_is_an_empty_layer_that_takes_nothing(self):
        self.build("FROM base\nRUN true\nRUN true # twice\nRUN echo x > /x\n")
        shown = json.loads(self.keg("image", "inspect", "app").stdout)[0]
        self.assertEqual(len(set(shown["RootFS"]["Layers"])), len(shown["RootFS"]["Layers"]) - 1)
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "app", "cat", "/x").stdout, "x\n")
        self.assertEqual(json.loads(self.keg("system", "check", "--format", "json").stdout)["problems"], [])


@keg.needs_root
class Memory(BuildCase):
    TEXT = "FROM base AS one\nRUN cat /proc/sys/kernel/random/uuid > /when\nFROM base\nCOPY --from=one /when /\n"

    def test_steps_of_other_stages_are_remembered_when_images_go(self):
        self.build(self.TEXT)
        self.keg("rmi", "app")
        self.keg("image", "prune", "-f")
        self.assertEqual(self.build(self.TEXT).stderr.count("CACHED"), 2)

    def test_prune_forgets_and_frees_them(self):
        self.build(self.TEXT)
        self.assertEqual(self.keg("builder", "du", "--format", "{{.Type}}").stdout.split().count("step"), 2)
        self.keg("builder", "prune", "-f", "--filter", "until=1h")
        self.assertEqual(self.keg("builder", "du", "--format", "{{.Type}}").stdout.split().count("step"), 2)
        self.keg("rmi", "app")
        self.keg("builder", "prune", "-f")
        self.assertEqual(self.keg("builder", "du", "--format", "{{.Type}}").stdout, "")
        self.assertEqual(self.build(self.TEXT).stderr.count("CACHED"), 0)

    def test_a_size_that_is_kept_is_of_what_was_used_last(self):
        self.build("FROM base\nRUN head -c 300000 /dev/urandom > /a\n", tag="one")
        self.build("FROM base\nRUN head -c 300000 /dev/urandom > /b\n", tag="two")
        self.keg("builder", "prune", "-f", "--keep-storage", "400k")
        self.assertEqual(self.keg("builder", "du", "--format", "{{.Type}}").stdout.split().count("step"), 1)
        self.fails("builder", "prune", "-f", "--keep-storage", "much", says="invalid --keep-storage")
        self.fails("builder", "prune", "-f", "--filter", "age=1", says="expected until=DURATION")
