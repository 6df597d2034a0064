"""What an image's root looks like is what its layers say, whatever else the store has unpacked before."""
import unittest

from archives import layered_archive, tar_of
from keg import StoreCase, needs_root, run


@needs_root
class SharedLayers(StoreCase):
    def base_with(self, **files):
        """The busybox root with more files, as one layer."""
        for name, text in files.items():
            path = self.dir / "busybox" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        run("tar", "-C", self.dir / "busybox", "-cf", self.dir / "layer.tar", ".")
        for name in files:
            (self.dir / "busybox" / name).unlink()
        return (self.dir / "layer.tar").read_bytes()

    def sh(self, image, script):
        return self.keg("run", "--rm", "--network", "none", image, "sh", "-c", script).stdout

    def test_a_whiteout_hides_a_file_that_another_base_of_the_layer_lacked(self):
        without, with_it = self.base_with(other="other"), self.base_with(gone="here", **{"d/old": "old"})
        shared = tar_of({".wh.gone": b"", "d": None, "d/.wh..wh..opq": b"", "d/new": b"new"})
        for first, second in ((without, with_it), (with_it, without)):
            with self.subTest(gone_in_first=first is with_it):
                self.keg("rmi", "-f", "one", "two", check=False)
                self.keg("load", "-i", self.write("one.tar", layered_archive({"one:latest": [first, shared]})))
                self.keg("load", "-i", self.write("two.tar", layered_archive({"two:latest": [second, shared]})))
                for image in ("one", "two"):
                    self.assertEqual(self.sh(image, "ls -d /gone 2>/dev/null; ls /d"), "new\n", image)

    def test_a_directory_that_a_layer_does_not_describe_looks_as_below(self):
        for mode in (0o700, 0o711):
            (self.dir / "busybox/tmp").chmod(mode)
            base = self.base_with(mark=oct(mode))
            self.keg("load", "-i", self.write("a.tar", layered_archive({f"m{mode:o}:latest": [base, tar_of({"tmp/file": b"x"})]})))
        for mode in (0o700, 0o711):
            self.assertEqual(self.sh(f"m{mode:o}", "stat -c %a /tmp; cat /tmp/file"), f"{mode:o}\nx")


if __name__ == "__main__":
    unittest.main()
