"""What the integration tests share: where the executables are, a busybox root, stores that go away.

KEG_BUILD names the build directory (tests/run.py sets it). Tests that need root or a peer say so with
the decorators below and are skipped with the reason where it is missing.
"""
import contextlib
import functools
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KEG_BUILD", PROJECT / "build"))
KEG = str(BUILD / "cli/keg")
RUNTIME = str(BUILD / "runtime/keg-runtime")
# keg looks for the runtime beside itself, as it is installed; in a build tree it is elsewhere.
os.environ.setdefault("KEG_RUNTIME", RUNTIME)

# An emulated machine (tests/vm/run without the processor's help) starts a container ten times slower.
EMULATED = "QEMU TCG" in pathlib.Path("/proc/cpuinfo").read_text()
# How thorough those tests are that try the same again and again, in percent of their rounds.
ROUNDS = int(os.environ.get("KEG_TEST_ROUNDS") or (20 if EMULATED else 100))


def rounds(times, least=3):
    """So many of them, with ROUNDS of 100."""
    return max(least, times * ROUNDS // 100)


# What is started in the background ignores what a terminal sends, and so would all that a test starts.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

# How many seconds a test waits for what must happen: another machine can be ten times slower than one's own, and
# busy. What a test awaits comes long before, or never: so the figure decides nothing but when the never is told.
PATIENCE = 120
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def wait_until(condition, what, more=lambda: ""):
    """The condition's value, as soon as it is true. A failure says what was awaited, and what more() says then."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what} {more()}".rstrip())
        time.sleep(0.02)
    return value


needs_root = unittest.skipUnless(os.geteuid() == 0, "needs root")


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"needs {program}")


def run(*argv, check=True, input=None, timeout=PATIENCE, **options):
    """Runs a program to its end; with check a failure shows what it wrote."""
    result = subprocess.run([str(a) for a in argv], capture_output=True, text=True, input=input,
                            timeout=timeout, **({} if input is not None else {"stdin": subprocess.DEVNULL}), **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def processes_of(text):
    """Processes whose command line has that text."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text in (entry / "cmdline").read_text().replace("\0", " "):
                found.append(entry.name)
        except OSError:
            pass
    return found


def waits_for_a_lock(process):
    """Whether it is in flock(2). (/proc/locks hides the locks whose first holder has ended and left them to his children.)"""
    flock = {"x86_64": "73", "aarch64": "32"}[platform.machine()]
    return pathlib.Path(f"/proc/{process.pid}/syscall").read_text().split()[0] == flock


# Both are the same every time, and an emulated machine takes long for a program.
@functools.cache
def applets():
    return run("/bin/busybox", "--list").stdout.split()


@functools.cache
def default_config():
    """What `keg-runtime spec` writes."""
    with tempfile.TemporaryDirectory() as directory:
        run(RUNTIME, "spec", "--bundle", directory)
        return pathlib.Path(directory, "config.json").read_text()


def make_busybox_root(directory):
    """A root file system of a static busybox with its links, passwd and group."""
    root = pathlib.Path(directory)
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "root", "usr/bin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    os.chmod(root / "tmp", 0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in applets():
        if applet != "busybox":
            os.symlink("busybox", root / "bin" / applet)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nstaff:x:50:nobody\nnogroup:x:65534:\n")
    return root


class TempCase(unittest.TestCase):
    """Each test gets a directory of its own: self.dir."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="keg-test-"))
        self.addCleanup(self.remove_dir)

    def remove_dir(self):
        # A test that failed may have left mounts below its directory.
        lines = pathlib.Path("/proc/self/mounts").read_text().splitlines()
        for target in reversed([line.split()[1] for line in lines]):
            if target.startswith(str(self.dir) + "/"):
                subprocess.run(["umount", "-l", target], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)


class Looks:
    """What images look like to whoever calls `self.keg`."""

    def config(self, name):
        return json.loads(self.keg("image", "inspect", name).stdout)[0]

    def layers(self, name):
        return self.config(name)["RootFS"]["Layers"]

    def top_layer(self, name, place=None):
        """The members of its highest layer by their names, in the order of the tar. `place`: where keg may write."""
        saved = (place or self.dir) / "saved.tar"
        self.keg("save", "-o", saved, name)
        with tarfile.open(saved) as archive:
            path = json.load(archive.extractfile("manifest.json"))[0]["Layers"][-1]
            with tarfile.open(fileobj=archive.extractfile(path)) as layer:
                return {member.name: member for member in layer}


class StoreCase(Looks, TempCase):
    """A store of its own with a busybox image called `base`."""

    images = True

    def setUp(self):
        super().setUp()
        self.store = self.dir / "store"
        self.addCleanup(self.remove_containers)
        if self.images:
            make_busybox_root(self.dir / "busybox")
            run("tar", "-C", self.dir / "busybox", "-cf", self.dir / "busybox.tar", ".")
            self.keg("import", self.dir / "busybox.tar", "base")

    def remove_containers(self):
        ids = run(KEG, "--root", self.store, "ps", "-aq", check=False).stdout.split()
        if ids:
            run(KEG, "--root", self.store, "rm", "-f", *ids, check=False)

    def keg(self, *words, check=True, **options):
        return run(KEG, "--root", self.store, *words, check=check, **options)

    def image_id(self, name):
        return self.keg("images", "-q", "--no-trunc", name).stdout.strip()

    def store_of_plain_files(self):
        """Another store, which unpacks its layers."""
        store = self.dir / "plain"
        run(KEG, "--root", store, "images")
        self.keep_plain_files(store)
        return store

    def keep_plain_files(self, store=None):
        """From here on that store unpacks layers, as one does whose kernel cannot mount indexes."""
        kernel = os.uname()
        layers = (store or self.store) / "layers"
        layers.mkdir(parents=True, exist_ok=True)
        (layers / "kernel").write_text(f"{kernel.release} {kernel.version}\nno indexes\n")

    def write(self, name, data):
        (self.dir / name).write_bytes(data)
        return self.dir / name

    @contextlib.contextmanager
    def stopped_after(self, call, *words, of=None):
        """keg, which stands still after its first such system call (on that file), and goes on after the body."""
        trace = self.dir / "trace"
        process = subprocess.Popen(["strace", "-f", "-o", trace, *(["-P", of] if of else []), "-e", f"trace={call}",
                                    "-e", f"inject={call}:signal=SIGSTOP:when=1", KEG, "--root", self.store, *words],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stopped = lambda: trace.exists() and re.search(r"(?m)^(\d+) +--- stopped by SIGSTOP", trace.read_text())
        wait_until(stopped, f"keg {words[0]} to come to {call}", trace.read_text)
        yield process

        def go_on():    # each thread stands still after the first of its own
            while process.poll() is None:
                for thread in set(re.findall(r"(?m)^(\d+) +--- stopped by SIGSTOP", trace.read_text())):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(thread), signal.SIGCONT)
                time.sleep(0.05)
        threading.Thread(target=go_on, daemon=True).start()

    def fails(self, *words, code=None, says=()):
        """The command fails with that exit code and one clear error that has these words."""
        result = self.keg(*words, check=False)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        if code is not None:
            self.assertEqual(result.returncode, code, result.stderr)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, result.stderr)
        return result


class RuntimeCase(TempCase):
    """Bundles for keg-runtime: self.bundle(edit) makes one from `keg-runtime spec` and a busybox root."""

    name = "c"   # of the container that is meant where none is named

    def setUp(self):
        super().setUp()
        self.state = self.dir / "state"
        self.addCleanup(self.remove_all)

    def remove_all(self):
        if self.state.is_dir():
            for name in os.listdir(self.state):
                self.runtime("delete", "--force", name, check=False)

    def runtime(self, *words, check=True, **options):
        return run(RUNTIME, "--root", self.state, *words, check=check, **options)

    def detached(self, *words, **options):
        """A command whose container stays, and keeps its streams: a pipe of ours would end only with it."""
        subprocess.run([RUNTIME, "--root", str(self.state), *map(str, words)], check=True, timeout=PATIENCE, **{**QUIET, **options})

    def status(self, name=None):
        """None: there is no such container."""
        state = self.runtime("state", name or self.name, check=False)
        return json.loads(state.stdout)["status"] if state.returncode == 0 else None

    def wait_for(self, status, name=None):
        wait_until(lambda: self.status(name) == status, f"{name or self.name} to be {status}", lambda: f"(it is {self.status(name)})")

    def bundle(self, *args, edit=None, name="bundle"):
        directory = self.dir / name
        directory.mkdir()
        make_busybox_root(directory / "rootfs")
        config = json.loads(default_config())
        config["process"]["terminal"] = False
        config["root"]["readonly"] = False
        if args:
            config["process"]["args"] = list(args)
        if edit:
            edit(config)
        (directory / "config.json").write_text(json.dumps(config))
        return directory
