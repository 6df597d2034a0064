"""Where the store's file system has fs-verity, what a container is mounted of cannot change any more without being seen:
nobody writes to it, a byte that changes on the disk is an error to who reads it, another file in its place is not mounted. Debian's
kernels know both fs-verity and indexes from 7.3 on: tests/vm/run --suite trixie-backports."""
import tarfile

from archives import FakeRegistry, layered_archive, registry_image, sha, tar_of
from keg import needs, needs_root, run
from test_store import StoreOf

CONTENT = b"what the disk will lose " * 1000
LAYER = tar_of({"file": CONTENT})


@needs_root
@needs("mkfs.ext4")
class Seals(StoreOf):
    images = False

    def setUp(self):
        super().setUp()
        self.disk = self.dir / "disk"
        with open(self.disk, "wb") as disk:
            disk.truncate(96 << 20)
        run("mkfs.ext4", "-q", "-b", "4096", "-O", "verity", self.disk)
        self.store.mkdir()
        self.mount()
        answers, _ = registry_image("app", "v1", [LAYER])
        registry = FakeRegistry(answers)
        self.addCleanup(registry.stop)
        self.image = registry.host + "/app:v1"
        self.keg("pull", "-q", self.image)
        self.index, self.tar = next(self.store.glob("layers/sha256/*/index"), None), self.blob(sha(LAYER))
        if not self.index or not (self.store / "layers/verity").read_text().endswith("\nverity\n"):
            self.skipTest("this kernel has no fs-verity, or unpacks layers")
        self.keg("create", "--name", "made", self.image)

    def mount(self):
        run("mount", "-o", "loop", self.disk, self.store)

    def content(self, container):
        self.keg("export", "-o", self.dir / "root.tar", container)
        with tarfile.open(self.dir / "root.tar") as tar:
            return tar.extractfile("file").read()

    def is_sealed(self):
        for path in (self.index, self.tar):
            with self.assertRaises(PermissionError):
                open(path, "r+b")

    def lose_seal(self, path):
        """The same bytes, in another file."""
        copy = path.with_name("copy")
        copy.write_bytes(path.read_bytes())
        copy.rename(path)

    def test_nobody_can_write_to_what_is_mounted(self):
        self.is_sealed()
        self.assertEqual(self.content("made"), CONTENT)
        self.keg("system", "check")

    def test_what_has_lost_its_seal_is_not_mounted_but_made_again(self):
        for path in (self.tar, self.index):
            self.lose_seal(path)
            self.fails("export", "-o", "/dev/null", "made", says=["has lost its fs-verity", "keg system check --repair"])
            self.assertIn("has lost its fs-verity", self.keg("system", "check", check=False).stdout)
            self.keg("create", self.image)
            self.is_sealed()
            self.assertEqual(self.content("made"), CONTENT)
            self.lose_seal(path)
            self.keg("system", "check", "--repair", check=False)
            self.is_sealed()
            self.keg("system", "check")

    def test_what_is_another_file_is_not_mounted(self):
        self.tar.unlink()
        self.tar.write_bytes(LAYER.replace(b"disk", b"host"))
        self.fails("export", "-o", "/dev/null", "made", says="has lost its fs-verity")
        self.keg("create", self.image)
        self.assertEqual(self.content("made"), CONTENT)

    def test_a_tar_that_is_stored_again_is_sealed_again(self):
        before = self.tar.stat().st_ino
        self.keg("load", "-q", "-i", self.write("archive", layered_archive({"again:latest": [LAYER]})))
        self.assertNotEqual(self.tar.stat().st_ino, before)
        self.is_sealed()
        self.assertEqual(self.content("made"), CONTENT)

    def test_a_byte_that_changes_on_the_disk_is_an_error_and_is_mended(self):
        run("umount", self.store)
        data = bytearray(self.disk.read_bytes())
        at = data.find(CONTENT)
        self.assertGreater(at, 0)
        data[at + 5000] ^= 1
        self.disk.write_bytes(data)
        self.mount()
        self.fails("export", "-o", "/dev/null", "made", says="input/output error")
        report = self.keg("system", "check", "--repair", check=False).stdout
        self.assertIn("unpacked anew", report)
        self.is_sealed()
        self.assertEqual(self.content("made"), CONTENT)
        self.keg("system", "check")


@needs_root
class WithoutVerity(StoreOf):
    """A store that came from a file system with fs-verity to one without."""

    def test_what_was_sealed_is_not_mounted_until_it_is_made_again(self):
        [note] = [index.with_name("seals") for index in self.store.glob("layers/sha256/*/index")] or [None]
        if not note or note.exists():
            self.skipTest("layers are unpacked here, or sealed")
        for heal in (("create", "base", "true"), ("system", "check", "--repair")):
            self.keg("create", "--name", heal[0], "base", "true")
            note.write_text("index 1:AAAA\n")
            self.fails("export", "-o", "/dev/null", heal[0], says=["has lost its fs-verity", "keg system check --repair"])
            self.assertIn("has lost its fs-verity", self.keg("system", "check", check=False).stdout)
            self.keg(*heal, check=False)
            self.assertFalse(note.exists())
            self.keg("export", "-o", "/dev/null", heal[0])
            self.keg("system", "check")
