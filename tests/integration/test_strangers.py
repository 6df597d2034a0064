"""An image, a Dockerfile, a build context and a registry are strangers: what they may say, and what is opened of them."""
import io
import json
import os
import subprocess
import tarfile

import archives
from keg import KEG, PATIENCE, RUNTIME, StoreCase, needs, needs_root, run, wait_until


@needs_root
class Words(StoreCase):
    """What an image's config says is never read as what the user typed."""

    def image(self, name="evil", history=None, **config):
        """The base image with another config, as an archive brings it."""
        saved = tarfile.open(fileobj=io.BytesIO(subprocess.run([KEG, "--root", self.store, "save", "base"], capture_output=True, check=True).stdout))
        files = {member.name: saved.extractfile(member).read() for member in saved if member.isfile()}
        item = json.loads(files["manifest.json"])[0]
        document = json.loads(files[item["Config"]])
        document["config"] = {"Cmd": ["true"], "Env": ["PATH=/bin"], **config}
        if history:
            document["history"] = [history]
        archive = {layer: files[layer] for layer in item["Layers"]} | {
            "c.json": json.dumps(document).encode(),
            "manifest.json": json.dumps([{"Config": "c.json", "RepoTags": [name + ":latest"], "Layers": item["Layers"]}]).encode()}
        return self.write(name + ".tar", archives.tar_of(archive))

    def load(self, **config):
        self.keg("load", "-i", self.image(**config))

    def refused(self, says, **config):
        self.fails("load", "-i", self.image(**config), says=says)
        self.assertEqual(self.keg("images", "-q", "evil").stdout, "")

    def settings(self, *options):
        container = self.keg("create", *options, "evil").stdout.strip()
        return json.loads((self.store / "containers" / container / "settings.json").read_text())

    def test_what_an_image_says_steers_no_terminal(self):
        evil, meant = "a\x1b[2J\x9b1m\u202eb\tc\nd\x7f", r"a\x1b[2J\u009b1m\u202eb"
        self.load(history={"created": "2026-01-01T00:00:00Z", "created_by": evil, "comment": evil}, Cmd=["sleep", evil], Labels={"k": evil})
        self.keg("create", "--name", "shown", "evil")
        row = r"{{.Command}} {{.Labels}}"
        for words in (("history", "--no-trunc", "evil"), ("history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Comment}}", "evil"), ("ps", "-a", "--no-trunc"), ("ps", "-a", "--no-trunc", "--format", row),
                      ("ps", "-a", "--no-trunc", "--format", f"table {row}"), ("inspect", "-f", "{{.Config.Labels}}", "shown"), ("image", "inspect", "-f", "{{.Config.Cmd}}", "evil")):
            with self.subTest(words):
                said = self.keg(*words).stdout
                self.assertIn(meant, said)
                self.assertEqual([c for c in said if not c.isprintable() and c not in "\n\t"], [])
        # In a table no value goes on to another line or column, and in JSON it is what it was.
        self.assertEqual(len(self.keg("history", "evil").stdout.splitlines()), 2)
        self.assertEqual(len(self.keg("ps", "-a", "--no-trunc", "--format", "table {{.Labels}}").stdout.splitlines()), 2)
        self.assertEqual(json.loads(self.keg("inspect", "shown").stdout)[0]["Config"]["Labels"], {"k": evil})
        self.assertEqual(json.loads(self.keg("inspect", "-f", "{{json .Config.Labels}}", "shown").stdout), {"k": evil})
        self.assertEqual(json.loads(self.keg("ps", "-a", "--format", "json").stdout)["Labels"], f"k={evil}")

    def test_a_volume_names_no_directory_and_no_volume_of_the_hosts(self):
        for volume in (f"{self.dir}:/stolen", "mine:/named", "/:/host:rw"):
            self.refused(f'config.Volumes: "{volume}" is no path in a container', Volumes={volume: {}})
        self.load(Volumes={"relative": {}, "/a/../../b": {}})
        mounts = self.settings()["mounts"]
        self.assertEqual({(mount["type"], mount["destination"], mount["anonymous"]) for mount in mounts}, {("volume", "/relative", True), ("volume", "/b", True)})
        self.assertTrue(all(len(mount["source"]) == 64 for mount in mounts), mounts)

    def test_a_dockerfiles_volume_neither(self):
        self.write("Dockerfile", f'FROM base\nVOLUME ["{self.dir}:/stolen"]\n'.encode())
        self.fails("build", self.dir, says=f'Dockerfile:2: "{self.dir}:/stolen" is no path in a container')
        self.fails("import", "-c", f"VOLUME {self.dir}:/stolen", self.dir / "busybox.tar", "evil", says="is no path in a container")

    def test_an_exposed_port_chooses_nothing_of_the_hosts(self):
        self.refused("config.ExposedPorts: invalid containerPort: 127.0.0.1:39321:80/tcp", ExposedPorts={"127.0.0.1:39321:80/tcp": {}})
        self.load(ExposedPorts={"80": {}, "9000-9001/udp": {}})
        ports = self.settings("-P")["ports"]
        self.assertEqual({(port["container_port"], port["proto"], port.get("host_ip", ""), port.get("host_port", 0)) for port in ports},
                         {(80, "tcp", "", 0), (9000, "udp", "", 0), (9001, "udp", "", 0)})

    def test_a_variable_without_a_value_takes_none_away(self):
        self.load(Env=["PATH", "A=1"], Cmd=["/bin/sh", "-c", "echo $PATH $A"])
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "evil").stdout, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin 1\n")
        self.write("Dockerfile", b"FROM evil\nRUN echo $PATH $A > /said\n")
        self.keg("build", "-q", "-t", "built", self.dir)
        self.assertIn(" 1\n", self.keg("run", "--rm", "--network", "none", "built", "cat", "/said").stdout)

    def test_users_and_signals_have_their_forms(self):
        self.refused('config.User: invalid user "a:b:c"', User="a:b:c")
        self.refused("config.StopSignal: invalid signal: NOPE", StopSignal="NOPE")

    def test_a_relative_working_directory_begins_at_the_root(self):
        self.load(WorkingDir="tmp", Cmd=["pwd"])
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "evil").stdout, "/tmp\n")

    def test_triggers_of_a_base_image_are_instructions_that_may_wait(self):
        self.load(OnBuild=["FROM scratch"])
        self.write("Dockerfile", b"FROM evil\n")
        self.fails("build", self.dir, says="ONBUILD: FROM isn't allowed as an ONBUILD trigger")

    def test_a_digest_is_no_name_that_an_archive_may_give(self):
        name = "app@sha256:" + "0" * 64
        self.fails("load", "-i", self.write("a.tar", archives.docker_archive(names=[name])), says=f'invalid tag "{name}"')


@needs_root
class Labels(StoreCase):
    def annotations(self, labels, *options):
        text = "".join(f"LABEL {json.dumps(key)}={json.dumps(value)}\n" for key, value in labels.items())
        self.write("Dockerfile", ("FROM base\n" + text).encode())
        self.keg("build", "-q", "-t", "labelled", self.dir)
        bundle = self.dir / f"bundle{len(os.listdir(self.dir))}"
        self.said = self.keg("unpack", *options, "labelled", bundle).stderr
        return json.loads((bundle / "config.json").read_text())["annotations"]

    def test_what_a_runtime_obeys_comes_from_no_image(self):
        # What keg-runtime itself says about its own.
        unsafe = json.loads(run(RUNTIME, "features").stdout)["potentiallyUnsafeConfigAnnotations"]
        labels = {key + ("x" if key.endswith(".") else ""): "1" for key in unsafe}
        labels |= {key: "1" for key in ("org.systemd.property.SuccessAction", "run.oci.hooks.stdout", "run.oci.keep_original_groups", "krun.cpus",
                                        "module.wasm.image/variant", "io.katacontainers.config.hypervisor.path", "dev.gvisor.flag.debug",
                                        "io.kubernetes.cri-o.Devices", "cdi.k8s.io/gpu", "io.podman.annotations.init", "Org.CRIU.config")}
        good = {"maintainer": "a", "org.example.app": "b", "org.opencontainers.image.title": "c", "org.label-schema.name": "d"}
        found = self.annotations(labels | good)
        self.assertEqual({key: found.get(key) for key in good}, good)
        self.assertEqual(set(found) & set(labels), set())
        self.assertIn("did not become annotations", self.said)

    def test_the_user_may_take_them_all(self):
        labels = {"org.systemd.property.TasksMax": "uint64 9", "run.oci.handler": "x"}
        self.assertEqual({key: value for key, value in self.annotations(labels, "--label-annotations").items() if key in labels}, labels)


@needs_root
class Files(StoreCase):
    """Nothing of a stranger's is opened before it is known to be a file."""

    def context(self, dockerfile, name="context"):
        directory = self.dir / name
        directory.mkdir(exist_ok=True)
        (directory / "Dockerfile").write_text(dockerfile)
        return directory

    def refused(self, *words, says):
        """By itself: who opens a FIFO or reads a device waits for ever, and longer than the test."""
        self.fails(*words, says=says)

    def test_an_ignore_file_that_is_a_fifo(self):
        context = self.context("FROM base\nCOPY . /c\n")
        os.mkfifo(context / ".dockerignore")
        self.refused("build", context, says='".dockerignore" is a FIFO, not a regular file')

    def test_a_dockerfile_of_the_context_that_is_a_fifo_or_a_link_to_a_device(self):
        context = self.context("")
        (context / "Dockerfile").unlink()
        os.mkfifo(context / "Dockerfile")
        self.refused("build", context, says="is a FIFO, not a regular file")
        self.refused("build", "-f", context / "Dockerfile", context, says="is a FIFO, not a regular file")
        (context / "Dockerfile").unlink()
        os.mknod(context / "zero", 0o20666, os.makedev(1, 5))
        (context / "Dockerfile").symlink_to("zero")
        self.refused("build", context, says="is a character device, not a regular file")

    def test_the_users_own_pipe_is_read(self):
        context = self.context("junk")
        (context / "f").write_text("here")
        script = f'exec {KEG} --root {self.store} build -q -t piped -f <(printf "FROM base\\nCOPY f /f\\n") {context}'
        self.assertEqual(run("bash", "-c", script, check=False).stderr, "")
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "piped", "cat", "/f").stdout, "here")

    def test_a_passwd_of_an_image_that_is_no_file(self):
        context = self.context("FROM base\nRUN rm /etc/passwd; mkfifo /etc/passwd\n")
        self.keg("build", "-q", "-t", "evil", context)
        self.refused("run", "--rm", "--network", "none", "evil", "true", says='"etc/passwd" is a FIFO, not a regular file')
        self.refused("unpack", "evil", self.dir / "bundle", says='"etc/passwd" is a FIFO, not a regular file')

    def test_a_group_without_end(self):
        context = self.context("FROM base\nRUN dd if=/dev/zero of=/etc/group bs=1M count=9 2>/dev/null\n")
        self.keg("build", "-q", "-t", "evil", context)
        self.refused("run", "--rm", "--network", "none", "evil", "true", says="etc/group")

    def test_a_mark_of_dockers_that_is_a_fifo_is_not_opened(self):
        context = self.context("FROM base\nRUN mkfifo /.dockerenv\n")
        self.keg("build", "-q", "-t", "evil", context)
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "evil", "echo", "runs").stdout, "runs\n")

    @needs("strace")
    def test_a_container_that_swaps_its_passwd_for_a_device_while_exec_reads_it(self):
        self.keg("run", "-d", "--name", "swapper", "--network", "none", "base", "sh", "-c",
                 "echo u:x:5:5::/: > /etc/passwd; mknod /etc/node c 1 5; touch /ready; sleep 1000")
        wait_until(lambda: self.keg("exec", "swapper", "test", "-e", "/ready", check=False).returncode == 0, "the program")
        # What it looked at is what it opens: the name may mean a device by then.
        trace = self.dir / "trace"
        run("strace", "-f", "-yy", "-o", trace, "-e", "trace=openat2,openat,open", KEG, "--root", self.store, "exec", "-u", "u", "swapper", "true")
        opened = [line for line in trace.read_text().splitlines() if '"etc/passwd"' in line]
        self.assertTrue(opened)
        for line in opened:
            self.assertIn("O_PATH", line)
        self.keg("exec", "swapper", "mv", "/etc/node", "/etc/passwd")
        self.refused("exec", "-u", "u", "swapper", "true", says='"etc/passwd" is a character device, not a regular file')


@needs_root
class Contexts(StoreCase):
    def test_the_ignore_file_of_a_dockerfile_stands_beside_it(self):
        for where in ("context/docker", "elsewhere"):
            directory, context = self.dir / where, self.dir / "context"
            directory.mkdir(parents=True)
            (context / "secret").write_text("s")
            (context / "kept").write_text("k")
            (context / ".dockerignore").write_text("kept\n")
            (directory / "app.Dockerfile").write_text("FROM base\nCOPY . /c/\n")
            (directory / "app.Dockerfile.dockerignore").write_text("secret\ndocker\n.dockerignore\n")
            self.keg("build", "-q", "-t", "app", "-f", directory / "app.Dockerfile", context)
            self.assertEqual(self.keg("run", "--rm", "--network", "none", "app", "ls", "-A", "/c").stdout, "kept\n")

    def build(self, dockerfile, *options, name="Dockerfile"):
        context = self.dir / "context"
        context.mkdir(exist_ok=True)
        (context / name).write_text(dockerfile)
        return self.keg("build", "-t", "app", "-f", context / name, *options, context).stderr

    def output(self, *words):
        return self.keg("run", "--rm", "--network", "none", "app", *words).stdout

    @needs("strace")
    def test_a_file_that_is_edited_during_the_build_leaves_no_wrong_record(self):
        context = self.dir / "context"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM base\nCOPY --chown=root f /f\n")
        (context / "f").write_text("old")
        # Once the COPY mounts what it looks the name up in, the file is hashed; it is another when it is copied.
        with self.stopped_after("fsopen", "build", "-q", "-t", "first", context) as build:
            (context / "f").write_text("new")
        self.assertEqual(build.communicate(timeout=PATIENCE)[1], "")
        self.assertEqual(self.keg("run", "--rm", "--network", "none", "first", "cat", "/f").stdout, "new")
        (context / "f").write_text("old")
        self.keg("build", "-q", "-t", "app", context)
        self.assertEqual(self.output("cat", "/f"), "old")
        # And what was made has the key of what it is.
        (context / "f").write_text("new")
        self.assertIn("CACHED", self.keg("build", "-t", "app", context).stderr)
        self.assertEqual(self.output("cat", "/f"), "new")

    def test_a_line_that_moves_to_the_next_heredoc_is_another_step(self):
        self.build("FROM base\nCOPY <<A <<B /d/\n1\n2\nA\nB\n")
        self.build("FROM base\nCOPY <<A <<B /d/\n1\nA\n2\nB\n")
        self.assertEqual(self.output("cat", "/d/B"), "2\n")

    def test_a_source_that_is_a_link_is_what_it_leads_to(self):
        context = self.dir / "context"
        (context / "d").mkdir(parents=True)
        (context / "link").symlink_to("real")
        (context / "dirlink").symlink_to("d")
        for text in ("one", "two"):
            (context / "real").write_text(text)
            (context / "d/f").write_text(text)
            self.build("FROM base\nCOPY link /x\nCOPY dirlink /y/\n")
            self.assertEqual(self.output("cat", "/x", "/y/f"), text + text)

    def test_a_copy_from_a_stage_is_of_this_stages_run(self):
        one = "FROM base AS a\nRUN cat /proc/sys/kernel/random/uuid > /x; cp /x /y\nFROM base\nCOPY --from=a /x /x\n"
        self.build(one)
        (self.dir / "context/junk").write_text("FROM scratch\nCOPY junk /q\n")
        self.keg("build", "-q", "-t", "junk", "-f", self.dir / "context/junk", self.dir / "context")
        self.keg("rmi", "junk")   # and what the stage was goes with it
        self.build(one + "COPY --from=a /y /y\n")
        self.assertEqual(self.output("cmp", "/x", "/y"), "")

    def test_directories_on_the_way_belong_to_who_was_named(self):
        context = self.dir / "context"
        (context / "src").mkdir(parents=True)
        (context / "src/f").write_text("1")
        self.build("FROM base\nCOPY --chown=1001:1001 src /app\nCOPY --chown=1001:1001 src/f /p/q/f\nADD --chown=1001 src /r/s/\nCOPY src /t/u\n")
        self.assertEqual(self.output("stat", "-c", "%u:%g", "/app", "/p", "/p/q", "/p/q/f", "/r", "/r/s", "/t", "/t/u").split(), ["1001:1001"] * 6 + ["0:0"] * 2)

    def test_large_owners_are_taken_as_they_are_but_for_the_last(self):
        self.build("FROM base\nCOPY --chown=4294967294:3000000000 Dockerfile /f\n")
        self.assertEqual(self.output("stat", "-c", "%u:%g", "/f"), "4294967294:3000000000\n")
        context = self.dir / "context"
        (context / "Dockerfile").write_text("FROM base\nCOPY --chown=4294967295:0 Dockerfile /f\n")
        self.fails("build", context, says="Dockerfile:2: invalid --chown")

    def test_a_variable_says_no_stage(self):
        context = self.dir / "context"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM base AS first\nFROM base\nARG S=first\nCOPY --from=$S /f /f\n")
        self.fails("build", context, says="Dockerfile:4: variable expansion is not supported for --from")

    def test_a_trigger_copies_from_a_stage_of_who_builds(self):
        self.build("FROM base\nONBUILD COPY --from=build /f /f\n")
        self.keg("tag", "app", "parent")
        self.build("FROM base AS build\nRUN echo hi > /f\nFROM parent\n")
        self.assertEqual(self.output("cat", "/f"), "hi\n")

    def test_triggers_may_be_switched_off(self):
        self.build("FROM base\nONBUILD RUN touch /triggered\n")
        self.keg("tag", "app", "parent")
        said = self.build("FROM parent\nLABEL a=b\n", "--build-arg", "BUILDKIT_DISABLE_ONBUILD=1")
        self.assertNotIn("not consumed", said)
        self.assertNotIn("triggered", self.output("ls", "/"))
