"""Public Dockerfiles and what BuildKit makes of them: config, history and files must be the same. The
corpus lies beside the checkout; without it there is nothing to compare with."""
import hashlib
import json
import os
import pathlib
import re
import stat
import unittest

from keg import PROJECT, StoreCase, needs_root, run

CORPUS = next((path for path in (parent / "shared/corpus/builder" for parent in PROJECT.parents) if path.is_dir()), None)
# What differs by intent, or comes from base images that are not the ones of the record.
DIFFERS = {
    "conformance": {"037": "its own record differs between two runs", "138": "a tar whose first entry has no name is refused",
                    "140": "an added file replaces a directory"},
}


def entry(path):
    info = path.lstat()
    kinds = [(stat.S_ISDIR, "d"), (stat.S_ISLNK, "l"), (stat.S_ISREG, "f"), (stat.S_ISCHR, "c"), (stat.S_ISBLK, "b"), (stat.S_ISFIFO, "p")]
    out = {"t": next(kind for test, kind in kinds if test(info.st_mode)), "u": info.st_uid, "g": info.st_gid}
    if out["t"] != "l":
        out["m"] = oct(stat.S_IMODE(info.st_mode))
    if out["t"] == "l":
        out["l"] = os.readlink(path)
    if out["t"] == "f":
        out["h"] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return out


@needs_root
@unittest.skipUnless(CORPUS, "the corpus of Dockerfiles is not beside the checkout")
class Conformance(StoreCase):
    images = False

    def setUp(self):
        super().setUp()
        run("tar", "-C", self.dir, "-xpzf", CORPUS / "conformance.tar.gz")
        root = self.dir / "base"
        for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev", "usr/local", "var", "home", "lib"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        run("cp", "/bin/busybox", root / "bin/busybox")
        for applet in run("/bin/busybox", "--list").stdout.split():
            if applet != "busybox":
                os.symlink("/bin/busybox", root / "bin" / applet)
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\ndocker:x:1000:1000::/:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\ndaemon:x:1:\n")
        (root / "etc/os-release").write_text("ID=base\n")
        run("tar", "-C", root, "-cf", self.dir / "base.tar", ".")
        self.keg("import", "-c", 'CMD ["/bin/sh"]', self.dir / "base.tar", "base")
        self.of_base = {path.relative_to(root) for path in root.rglob("*")}
        self.hashes_of_base = {entry(path).get("h") for path in root.rglob("*")}

    def build(self, case, about):
        dockerfile = case / "ctx" / about["df"]
        text = dockerfile.read_text(errors="replace")
        for name in about["images"] + re.findall(r"(?im)^\s*from\s+(\S+)", text) + re.findall(r"--from=(\S+)", text):
            if "$" not in name and name != "scratch" and not name.isdigit():
                self.keg("tag", "base", name, check=False)
        args = [word for name, value in re.findall(r'"([^"]*)": "([^"]*)"', about["buildArgs"] or "") for word in ("--build-arg", f"{name}={value}")]
        return self.keg("build", "--no-cache", "-t", "case", "-f", dockerfile, *args, case / "ctx", check=False)

    def differences(self, expect):
        shown = json.loads(self.keg("image", "inspect", "case").stdout)[0]
        config = json.loads((self.store / "blobs/sha256" / shown["Id"][7:]).read_text())
        want, got = expect["config"] or {}, config.get("config") or {}
        out = [f"{key}: {want.get(key)} {got.get(key)}" for key in {*want, *got} if (want.get(key) or None) != (got.get(key) or None)]
        want = [line for line in expect["history"] if not line[0].startswith("mkoci")]
        got = [[line.get("created_by", ""), line.get("empty_layer", False)] for line in config.get("history", []) if line.get("comment") != "Imported from -"]
        out += [f"history: {a} {b}" for a, b in zip(want, got) if a != b] + ([] if len(want) == len(got) else ["history"])
        bundle = self.dir / "bundle"
        run("rm", "-rf", bundle)
        self.keg("unpack", "case", bundle)
        for name, wanted in expect["tree"].items():
            path = bundle / "rootfs" / name.lstrip("/")
            found = entry(path) if os.path.lexists(path) else {}
            if found.get("h") in self.hashes_of_base:   # a copy of what the base image has: another base
                found["h"] = wanted.get("h")
            out += [f"{name}: {key}: {wanted[key]} {found.get(key)}" for key in ("t", "m", "u", "g", "h", "l") if key in wanted and not (key == "m" and wanted["t"] == "l") and wanted[key] != found.get(key)]
        here = {path.relative_to(bundle / "rootfs") for path in (bundle / "rootfs").rglob("*")}
        return out + [f"{path}: is too much" for path in here - self.of_base - {pathlib.Path(name.lstrip("/")) for name in expect["tree"]}]

    def test_conformance(self):
        compared = 0
        for case in sorted((self.dir / "conformance").iterdir()):
            about, expect = (json.loads((case / name).read_text()) for name in ("case.json", "expect.json"))
            if about["skip"] or expect.get("base") == "base-cdev" or not about["df"] or case.name[:3] in DIFFERS["conformance"]:
                continue
            with self.subTest(case.name):
                result = self.build(case, about)
                if "not supported yet" in result.stderr:
                    continue
                compared += 1
                if "error" in expect:
                    self.assertNotEqual(result.returncode, 0)
                else:
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertEqual(self.differences(expect), [])
        self.assertGreater(compared, 120)


if __name__ == "__main__":
    unittest.main()
