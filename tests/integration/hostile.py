"""What the security tests share: an image or a process that means no good, and a file outside that it wants."""
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess

from keg import RUNTIME, RuntimeCase, needs_root, run

libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def swapping(one, other):
    """A process that exchanges two names as fast as it can: a volume that changes while it is mounted."""
    AT_FDCWD, RENAME_EXCHANGE = -100, 2
    names = os.fsencode(one), os.fsencode(other)
    pid = os.fork()
    if pid == 0:
        while True:
            libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def without(config, *destinations):
    config["mounts"] = [m for m in config["mounts"] if m["destination"] not in destinations]


def without_dev(config):
    """No file system of its own on /dev: the image's is used."""
    without(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")


def with_python(config):
    """The host's python inside, for what a shell cannot do."""
    for source in ("/usr", "/lib", "/lib64"):
        if os.path.isdir(source):
            config["mounts"].append({"destination": source, "type": "bind", "source": source, "options": ["rbind", "ro"]})


def in_private_mounts(script):
    return run("unshare", "-m", "sh", "-ec", script, check=False)


@needs_root
class Hostile(RuntimeCase):
    def setUp(self):
        super().setUp()
        self.outside = self.dir / "outside"
        self.outside.mkdir()
        (self.outside / "secret").write_text("secret")

    def outside_is_untouched(self):
        self.assertEqual(os.listdir(self.outside), ["secret"])
        self.assertEqual((self.outside / "secret").read_text(), "secret")

    def up(self, target):
        """A link's text that leads there both from "/" and from below, if nobody holds it."""
        return "../" * 20 + str(target).lstrip("/")

    def sh(self, script, edit=None, prepare=lambda rootfs: None, name="bundle", check=True):
        bundle = self.bundle("sh", "-c", script, edit=edit, name=name)
        prepare(bundle / "rootfs")
        return self.runtime("run", "-b", bundle, "c", check=check)

    def refused(self, says, edit=None, prepare=lambda rootfs: None, name="bundle"):
        result = self.sh("echo it runs", edit, prepare, name, check=False)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        self.assertIn(says, result.stderr.replace('\\"', '"'))

    @contextlib.contextmanager
    def sleeping(self, edit=None, prepare=lambda rootfs: None, runtime=RUNTIME):
        bundle = self.bundle("sleep", "1000", edit=edit, name="sleeping")
        prepare(bundle / "rootfs")
        with open(self.dir / "said", "w+") as said:   # a file: the container keeps its descriptors
            result = subprocess.run([runtime, "--root", str(self.state), "run", "-d", "-b", str(bundle), "s"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        self.assertEqual(result.returncode, 0, (self.dir / "said").read_text())
        yield bundle
        self.runtime("delete", "--force", "s")

    def link(self, name, target):
        """Puts a link in the image where a file or directory was."""
        def prepare(rootfs):
            path = rootfs / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
        return prepare
