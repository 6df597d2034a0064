"""keg build of what is no directory: standard input, a web server's files, git repositories."""
import bz2
import gzip
import lzma
import os
import subprocess
import tarfile
import threading

from archives import sha, tar_of
from keg import KEG, StoreCase, make_busybox_root, needs, needs_root, run
from servers import Repository, WebServer

DOCKERFILE = b"FROM scratch\nCOPY . /\n"


class ContextCase(StoreCase):
    images = False

    def build(self, context, *options, says=None, data=b"", **more):
        """The names in the image that comes of it; or what is said if it fails."""
        result = subprocess.run([KEG, "--root", self.store, "build", "-t", "app", *options, context], input=data, capture_output=True, timeout=300, **more)
        if says is not None:
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(says, result.stderr.decode())
            return None
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return self.names()

    def names(self, image="app"):
        self.keg("create", "--name", "looked-at", image, "x")
        self.keg("export", "-o", self.dir / "root.tar", "looked-at")
        self.keg("rm", "looked-at")
        with tarfile.open(self.dir / "root.tar") as root:
            return sorted(root.getnames())

    def text(self, name):
        with tarfile.open(self.dir / "root.tar") as root:
            return root.extractfile(name).read().decode()

    def members(self):
        with tarfile.open(self.dir / "root.tar") as root:
            return {member.name: member for member in root}

    def dockerfile(self, text):
        """A directory with nothing but it."""
        context = self.dir / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(text)
        return context

    def left_over(self):
        return [path for path in (self.store / "tmp").iterdir()]


@needs_root
class Standard(ContextCase):
    """What comes by standard input."""

    def test_a_tar_is_the_context_whatever_its_compression(self):
        tar = tar_of({"Dockerfile": DOCKERFILE, "sub": None, "sub/f": b"1"})
        for pack in (bytes, gzip.compress, bz2.compress, lzma.compress):
            with self.subTest(pack.__name__):
                self.assertEqual(self.build("-", data=pack(tar)), ["Dockerfile", "sub", "sub/f"])
        self.assertEqual(self.left_over(), [])

    def test_a_dockerfile_alone_has_an_empty_context(self):
        self.assertEqual(self.build("-", data=b"FROM scratch\nWORKDIR /w\nCOPY . /\n"), ["w"])
        self.build("-", data=b"FROM scratch\nCOPY f /\n", says="f\": not found")

    def test_a_dockerfile_of_another_name_is_found_in_the_tar(self):
        tar = tar_of({"Dockerfile": b"FROM scratch\n", "other/File": b"FROM scratch\nCOPY other /o/\n"})
        self.assertEqual(self.build("-", "-f", "other/File", data=tar), ["o", "o/File"])
        self.build("-", "-f", "none", data=tar, says="open none: no such file or directory")

    def test_an_ignore_file_of_a_tar_leaves_nothing_out(self):
        tar = tar_of({"Dockerfile": DOCKERFILE, ".dockerignore": b"f\n", "f": b"1"})
        self.assertEqual(self.build("-", data=tar), [".dockerignore", "Dockerfile", "f"])

    def test_no_entry_of_a_tar_leads_out_of_it(self):
        outside = self.dir / "outside"
        outside.mkdir()
        tar = tar_of({"Dockerfile": DOCKERFILE, "../../up": b"1", "link": str(outside), "link/f": b"2"})
        subprocess.run([KEG, "--root", self.store, "build", "-"], input=tar, capture_output=True, timeout=300)   # which may be refused
        self.assertEqual(list(outside.iterdir()), [])
        self.assertFalse((self.store / "tmp/up").exists() or (self.store / "up").exists())

    def test_a_damaged_archive_is_named(self):
        self.build("-", data=gzip.compress(tar_of({"Dockerfile": DOCKERFILE}))[:-9], says="the context on standard input: ")
        self.build("-", data=gzip.compress(DOCKERFILE), says="the context on standard input: ")
        self.assertEqual(self.left_over(), [])

    def test_standard_input_is_read_for_one_thing(self):
        self.build("-", "-f", "-", data=DOCKERFILE, says="can't use stdin for both build context and dockerfile")


@needs_root
class Web(ContextCase):
    def setUp(self):
        super().setUp()
        self.web = WebServer(self.dir / "repositories")
        self.addCleanup(self.web.stop)

    def test_a_tarball_and_a_dockerfile_are_told_apart_by_what_they_hold(self):
        self.web.pages["/x.txt"] = (200, {}, gzip.compress(tar_of({"Dockerfile": DOCKERFILE, "f": b"1"})))
        self.web.pages["/x.tar"] = (200, {}, b"FROM scratch\nWORKDIR /w\n")
        self.assertEqual(self.build(self.web.url + "/x.txt"), ["Dockerfile", "f"])
        self.assertEqual(self.build(self.web.url + "/x.tar"), ["w"])
        self.assertEqual(self.left_over(), [])

    def test_a_redirect_is_followed_and_a_status_is_named(self):
        self.web.pages["/x"] = (302, {"Location": "/y"}, b"")
        self.web.pages["/y"] = (200, {}, b"FROM scratch\nWORKDIR /w\n")
        self.assertEqual(self.build(self.web.url + "/x"), ["w"])
        self.build(self.web.url + "/none?token=secret", says=f"invalid response status 404 of {self.web.url}/none\n")

    def test_what_is_nothing_of_the_kind_is_refused_first(self):
        for typed in ("nowhere", "ftp://host/x", "file:///etc", "git@", "/etc/passwd"):
            with self.subTest(typed):
                self.build(typed, says="unable to prepare context: path")
        self.assertFalse((self.store / "tmp").exists())


    def test_a_file_is_added_with_its_time_and_for_its_owner_alone(self):
        self.web.pages["/d/a.txt"] = (200, {"Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}, b"1")
        self.web.pages["/d/b%20c"] = (200, {"Last-Modified": "yesterday"}, b"2")
        self.assertEqual(self.build(self.dockerfile(f"FROM scratch\nADD {self.web.url}/d/a.txt /in/\nADD --chmod=755 --chown=3:4 {self.web.url}/d/a.txt /as\n"
                                                    f"ADD {self.web.url}/d/a.txt {self.web.url}/d/b%20c?x=/y /two/\n"),
                                    env=os.environ | {"SOURCE_DATE_EPOCH": "2000000000"}),
                         ["as", "in", "in/a.txt", "two", "two/a.txt", "two/b c"])
        self.assertEqual(self.text("two/b c"), "2")
        about = {name: (oct(member.mode), member.uid, member.gid) for name, member in self.members().items() if member.isfile()}
        self.assertEqual(about["in/a.txt"], ("0o600", 0, 0))
        self.assertEqual(about["as"], ("0o755", 3, 4))
        self.assertEqual(self.members()["in/a.txt"].mtime, 784111777)
        self.assertEqual(self.left_over(), [])

    def test_an_added_file_is_made_again_only_if_it_is_another(self):
        context = self.dockerfile(f"FROM scratch\nADD {self.web.url}/a /\n")
        build = lambda: self.keg("build", "-t", "app", context).stderr.count("CACHED")
        self.web.pages["/a"] = (200, {"Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}, b"1")
        self.assertEqual((build(), build()), (0, 1))
        self.web.pages["/a"] = (200, {}, b"1")
        self.assertEqual(build(), 1)
        self.web.pages["/a"] = (200, {}, b"2")
        self.assertEqual(build(), 0)

    def test_an_added_archive_is_unpacked_only_if_that_is_said(self):
        self.web.pages["/x.tgz"] = (200, {}, gzip.compress(tar_of({"d": None, "d/f": b"1"})))
        for flag, names in (("", ["x.tgz"]), ("--unpack ", ["d", "d/f"]), ("--unpack=false ", ["x.tgz"])):
            with self.subTest(flag):
                self.assertEqual(self.build(self.dockerfile(f"FROM scratch\nADD {flag}{self.web.url}/x.tgz /\n")), names)

    def test_an_added_file_is_what_its_checksum_says(self):
        self.web.pages["/a"] = (200, {}, b"1")
        good, bad = "sha256:" + sha(b"1"), "sha256:" + "0" * 64
        add = lambda checksum, *sources: self.dockerfile(f"FROM scratch\nADD --checksum={checksum} {' '.join(sources)} /\n")
        url = self.web.url + "/a"
        self.assertEqual(self.build(add(good, url)), ["a"])
        self.build(add(bad, url), says=f"digest mismatch of {url}: expected {bad}, got {good}")
        self.web.asked.clear()
        for words, says in ((("md5:" + "0" * 32, url), "invalid checksum"), (("sha512:" + "0" * 128, url), "unsupported checksum algorithm"), ((good, url, url), "multiple sources"),
                            ((good, "Dockerfile"), "checksum requires HTTP(S) or Git sources")):
            self.build(add(*words), says=says)
        self.assertEqual(self.web.asked, [])

    def test_what_cannot_be_added_names_its_line(self):
        self.build(self.dockerfile(f"FROM scratch\nADD {self.web.url}/none /\n"), says=f"Dockerfile:2: invalid response status 404 of {self.web.url}/none")
        self.build(self.dockerfile("FROM scratch\nADD http://127.0.0.1:1/x /\n"), says="Dockerfile:2: ")
        self.build(self.dockerfile(f"FROM scratch\nADD Dockerfile {self.web.url}/a /\n"), says="at once is not supported")
        self.build(self.dockerfile(f"FROM scratch\nADD --keep-git-dir {self.web.url}/a /\n"), says="is none")

    def test_a_server_that_does_not_go_on_is_given_up(self):
        ended = threading.Event()
        self.addCleanup(ended.set)

        def stand_still(request):
            request.send_response(200)
            request.send_header("Content-Length", "100")
            request.end_headers()
            request.wfile.write(b"1")
            ended.wait()

        self.web.pages["/slow"] = stand_still
        self.build(self.dockerfile(f"FROM scratch\nADD {self.web.url}/slow /\n"), env=os.environ | {"KEG_REGISTRY_TIMEOUT": "1s"}, says=f'Dockerfile:2: Get "{self.web.url}/slow": ')
        self.assertEqual(self.left_over(), [])

    def test_a_file_that_is_cut_off_is_no_file(self):
        def cut_off(request):
            request.send_response(200)
            request.send_header("Content-Length", "100")
            request.end_headers()
            request.wfile.write(b"1")
            request.close_connection = True

        self.web.pages["/cut"] = cut_off
        self.build(self.dockerfile(f"FROM scratch\nADD {self.web.url}/cut /\n"), says="Dockerfile:2: ")

    def test_a_stage_that_nobody_needs_fetches_nothing(self):
        self.assertEqual(self.build(self.dockerfile(f"FROM scratch AS a\nADD {self.web.url}/none /\nFROM scratch\nWORKDIR /w\n")), ["w"])
        self.assertEqual(self.web.asked, [])


@needs_root
class Named(ContextCase):
    """--build-context."""

    def setUp(self):
        super().setUp()
        self.other = self.dir / "other"
        self.other.mkdir()
        (self.other / "f").write_text("1")
        (self.other / "ignored").write_text("1")
        (self.other / ".dockerignore").write_text("ignored\n.dockerignore\n")

    def image(self, name, **files):
        self.keg("import", self.write("image.tar", tar_of({path: text.encode() for path, text in files.items()})), name)

    def test_a_directory_is_copied_from_by_its_name(self):
        context = self.dockerfile("FROM scratch\nCOPY --from=more . /\n")
        self.assertEqual(self.build(context, "--build-context", f"more={self.other}"), ["f"])
        (self.other / "f").write_text("2")
        self.build(context, "--build-context", f"more={self.other}")
        self.assertEqual(self.text("f"), "2")
        self.build(self.dockerfile("FROM more\n"), "--build-context", f"more={self.other}", says="Dockerfile:1: FROM of the context more")

    def test_it_takes_the_place_of_a_stage_and_of_an_image(self):
        context = self.dockerfile("FROM scratch AS made\nCOPY Dockerfile /\nFROM scratch\nCOPY --from=made / /\nCOPY --from=docker.io/library/alpine:latest / /a/\n")
        self.assertEqual(self.build(context, "--build-context", f"made={self.other}", "--build-context", f"alpine={self.other}"), ["a", "a/f", "f"])

    def test_an_image_stands_for_another(self):
        self.image("own:1", hello="1")
        for text in ("FROM nowhere.example/base\n", "FROM scratch\nCOPY --from=nowhere.example/base / /\n"):
            self.assertEqual(self.build(self.dockerfile(text), "--build-context", "nowhere.example/base=docker-image://own:1"), ["hello"])

    def test_a_layouts_image_stands_for_another_and_gets_no_name(self):
        self.image("own:1", hello="1")
        self.image("own:2", bye="1")
        for tag in "12":
            self.keg("copy", "-q", f"store:own:{tag}", f"oci:{self.dir}/layout:{tag}")
        second = next(line.split()[1] for line in self.keg("images", "--digests", "--format", "{{.Tag}} {{.Digest}}").stdout.splitlines() if line.startswith("2"))
        self.keg("rmi", "own:1", "own:2")
        context = self.dockerfile("FROM base\nLABEL a=b\n")
        layout = f"base=oci-layout://{self.dir}/layout"
        copied = run("sh", "-c", f"grep -o 'sha256:[0-9a-f]*' {self.dir}/layout/index.json").stdout.split()[1]
        self.assertNotEqual(second, "")
        self.assertEqual(self.build(context, "--build-context", layout + ":1"), ["hello"])
        self.assertEqual(self.build(context, "--build-context", layout + ":2"), ["bye"])
        self.assertEqual(self.build(context, "--build-context", f"{layout}@{copied}"), ["bye"])
        self.build(context, "--build-context", layout, says="has more than one image")
        self.build(context, "--build-context", layout + ":3", says='has no image "3"')
        self.assertEqual([name for name in self.keg("images", "--format", "{{.Repository}}").stdout.split() if name == "base"], [])

    def test_a_mount_reads_it(self):
        make_busybox_root(self.dir / "busybox")
        run("tar", "-C", self.dir / "busybox", "-cf", self.dir / "busybox.tar", ".")
        self.keg("import", self.dir / "busybox.tar", "base")
        context = self.dockerfile("FROM base\nRUN --mount=from=more,target=/m ls -a /m > /seen\n")
        self.build(context, "--network", "none", "--build-context", f"more={self.other}")
        self.assertEqual(self.text("seen").split(), [".", "..", "f"])

    def test_one_that_nobody_reads_is_not_fetched(self):
        self.assertEqual(self.build(self.dockerfile("FROM scratch\nWORKDIR /w\n"), "--build-context", "more=http://127.0.0.1:1/x"), ["w"])
        self.build(self.dockerfile("FROM scratch\nCOPY --from=more / /\n"), "--build-context", "more=http://127.0.0.1:1/x", says="context more: ")
        for typed in ("more", "more=", "more=/nowhere", "=x", "more=oci-layout:///nowhere"):
            self.build(self.dockerfile("FROM scratch\n"), "--build-context", typed, says="context")


@needs_root
@needs("git")
class Git(ContextCase):
    def setUp(self):
        super().setUp()
        (self.dir / "repositories").mkdir()
        self.web = WebServer(self.dir / "repositories")
        self.addCleanup(self.web.stop)
        self.repository = Repository(self.dir / "repositories/x.git")
        self.first = self.repository.commit({"Dockerfile": DOCKERFILE.decode(), "f": "1", "sub/Dockerfile": DOCKERFILE.decode(), "sub/g": "2"})
        self.repository.tag("v1")
        self.url = self.web.url + "/x.git"

    def test_a_repository_is_the_context_without_its_git_directory(self):
        self.assertEqual(self.build(self.url), ["Dockerfile", "f", "sub", "sub/Dockerfile", "sub/g"])
        self.assertEqual(self.left_over(), [])

    def test_a_ref_is_a_branch_a_tag_or_a_commit(self):
        second = self.repository.commit({"f": "2"}, branch="next")
        self.repository.tag("noted", annotated=True)
        third = self.repository.commit({"f": "3"})
        for ref, wanted in (("", "3"), ("#", "3"), ("#main", "3"), ("#next", "2"), ("#v1", "1"), ("#noted", "2"), ("#" + second, "2"), ("#" + self.first, "1"),
                            ("#" + self.first[:8], "1"), ("#refs/heads/next", "2"), ("?branch=next", "2"), ("?tag=v1", "1"), (f"?ref=main&checksum={third[:6]}", "3")):
            with self.subTest(ref):
                self.build(self.url + ref)
                self.assertEqual(self.text("f"), wanted)
        self.build(f"{self.url}?ref=main&commit={self.first}", says=f"expected checksum to match {self.first}, got {third}")
        self.build(self.url + "#none", says="does not contain ref none")

    def test_a_subdirectory_is_all_there_is(self):
        for form in ("#:sub", "#main:sub/", "#v1:../sub", "?subdir=sub", "?ref=main&subdir=/sub"):
            with self.subTest(form):
                self.assertEqual(self.build(self.url + form), ["Dockerfile", "g"])
        self.build(self.url + "#:f", says='subdirectory "f" is not a directory')
        self.build(self.url + "#:none", says='subdirectory "none" is not a directory')

    def test_no_link_leads_out_of_a_repository(self):
        (self.dir / "outside").mkdir()
        (self.dir / "outside/Dockerfile").write_text("FROM scratch\n")
        self.repository.commit({"out": (str(self.dir / "outside"),), "up": ("../../../../../../../../etc",), "in": ("sub",)})
        self.build(self.url + "#:out", says='subdirectory "out" is not a directory')
        self.build(self.url + "#:up", says='subdirectory "up" is not a directory')
        self.assertEqual(self.build(self.url + "#:in"), ["Dockerfile", "g"])

    def test_words_of_a_url_are_no_options(self):
        for typed in ("#--upload-pack=touch x", "#-x", "#a b", "?ref=a..b", "#refs/heads/*"):
            with self.subTest(typed):
                self.build(self.url + typed, says="invalid git ref")
        self.build(self.url + "?refs=main", says='unexpected query "refs"')
        self.build(self.url + "?ref=main#next", says="conflicting git refs")
        self.build("ssh://-oProxyCommand=x/y.git", says="invalid git repository")

    def test_neither_environment_nor_configuration_nor_hooks_have_a_say(self):
        hooks = self.dir / "hooks"
        hooks.mkdir()
        (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {self.dir}/hooked\n")
        (hooks / "post-checkout").chmod(0o755)
        config = self.write("config", f"[core]\nhooksPath = {hooks}\n[url \"{self.web.url}/none.git\"]\ninsteadOf = {self.url}\n".encode())
        surroundings = os.environ | {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": str(config), "GIT_DIR": "/nonexistent", "GIT_WORK_TREE": "/",
                                     "GIT_TEMPLATE_DIR": str(self.dir), "HOME": str(self.dir), "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": str(hooks)}
        self.write(".gitconfig", config.read_bytes())
        self.assertEqual(len(self.build(self.url, env=surroundings)), 5)
        self.assertFalse((self.dir / "hooked").exists())

    def test_submodules_come_by_http_and_not_from_this_machine(self):
        inner = Repository(self.dir / "repositories/inner.git")
        commit = inner.commit({"deep": "1"})
        for url, comes in ((f"{self.web.url}/inner.git", True), (str(inner.path), False), (f"file://{inner.path}", False)):
            with self.subTest(url):
                self.repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},module")
                self.repository.tree.joinpath("module").mkdir(exist_ok=True)
                self.repository.tree.joinpath(".gitmodules").write_text(f'[submodule "module"]\npath = module\nurl = {url}\n')
                self.repository.git("add", ".gitmodules")
                self.repository.git("commit", "-q", "-m", "x", "--allow-empty")
                self.repository.git("push", "-q", "-f", self.repository.path, "HEAD:main")
                if comes:
                    self.assertEqual([name for name in self.build(self.url) if "module" in name], [".gitmodules", "module", "module/deep"])
                    self.assertNotIn("module/deep", self.build(self.url + "?submodules=false"))
                else:
                    self.build(self.url, says="not allowed")

    def test_the_git_directory_stays_if_that_is_asked_for(self):
        names = self.build(self.url.replace("//", "//me:secret@") + "?keep-git-dir=1")
        self.assertNotIn(b"secret", (self.dir / "root.tar").read_bytes())
        self.assertIn(".git/HEAD", names)
        self.assertNotIn(".git/hooks", names)

    def test_a_repository_is_added(self):
        for words, names in ((f"{self.url} /", ["Dockerfile", "f", "sub", "sub/Dockerfile", "sub/g"]), (f"{self.url}#v1:sub /in", ["in", "in/Dockerfile", "in/g"]),
                             (f"--checksum={self.first[:5]} {self.url}#:sub /in/", ["in", "in/Dockerfile", "in/g"])):
            with self.subTest(words):
                self.assertEqual(self.build(self.dockerfile(f"FROM scratch\nADD {words}\n")), names)
        about = self.members()["in/g"]
        self.assertEqual((oct(about.mode), about.uid), ("0o644", 0))
        self.assertIn(".git/HEAD", self.build(self.dockerfile(f"FROM scratch\nADD --keep-git-dir {self.url} /\n")))
        context = self.dockerfile(f"FROM scratch\nADD {self.url} /\n")
        self.keg("build", context)
        self.assertEqual(self.keg("build", context).stderr.count("CACHED"), 1)
        self.build(self.dockerfile(f"FROM scratch\nADD --checksum=00000 {self.url} /\n"), says=f"Dockerfile:2: expected checksum to match 00000, got {self.first}")
        self.build(self.dockerfile(f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {self.url} /\n"), says="Dockerfile:2: invalid checksum")

    def test_a_repository_that_cannot_be_had_is_named_without_its_password(self):
        self.build(f"http://me:secret@{self.web.url[7:]}/none.git", says=f"git repository {self.web.url}/none.git: ")
        self.build("http://127.0.0.1:1/none.git", says="git repository http://127.0.0.1:1/none.git: ")
