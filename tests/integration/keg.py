"""What the integration tests share: where the executables are, a busybox root, stores that go away.

KEG_BUILD names the build directory (tests/run.py sets it). Tests that need root or a peer say so with
the decorators below and are skipped with the reason where it is missing.
"""
import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
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


needs_root = unittest.skipUnless(os.geteuid() == 0, "needs root")


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"needs {program}")


def run(*argv, check=True, input=None, timeout=120, **options):
    """Runs a program to its end; with check a failure shows what it wrote."""
    result = subprocess.run([str(a) for a in argv], capture_output=True, text=True, input=input,
                            timeout=timeout, **({} if input is not None else {"stdin": subprocess.DEVNULL}), **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result


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


class StoreCase(TempCase):
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

    def write(self, name, data):
        (self.dir / name).write_bytes(data)
        return self.dir / name

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
