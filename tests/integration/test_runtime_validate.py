"""keg-runtime validate, and features: what a caller asks before it makes a container."""
import json
import os
import unittest

from keg import RUNTIME, RuntimeCase, run


class Validate(RuntimeCase):
    def test_a_valid_bundle_is_said_to_be_valid(self):
        bundle = self.bundle("true")
        self.assertEqual(run(RUNTIME, "validate", bundle).stdout, f"{bundle} is a valid bundle\n")
        self.assertEqual(run(RUNTIME, "validate", cwd=bundle).stdout, f"{bundle} is a valid bundle\n")
        report = json.loads(run(RUNTIME, "validate", "--format", "json", bundle).stdout)
        self.assertEqual(report, {"bundle": str(bundle), "valid": True, "violations": []})

    def test_everything_that_is_wrong_is_said_with_its_rule(self):
        def edit(config):
            config["process"]["cwd"] = "x"
            config["process"]["user"]["uid"] = -1
            config["root"]["path"] = "nowhere"
            config["linux"]["namespaces"] += [{"type": "pid"}, {"type": "user", "path": "/proc/self/ns/net"}]
            config["hooks"] = {"createRuntime": [{"path": "/no/such"}], "poststop": [{"path": "x", "timeout": 0}]}
        bundle = self.bundle("true", edit=edit)
        result = run(RUNTIME, "validate", bundle, check=False)
        self.assertEqual((result.returncode, result.stderr), (1, ""))
        for text in ('Cwd must be an absolute path, but is "x"\n    config.md#process: ', "process.user.uid: is out of range: -1",
                     'malformed spec file: duplicated ns "pid"\n    config-linux.md#namespaces: ', f'root.path: "{bundle}/nowhere" is not a directory',
                     'namespace path "/proc/self/ns/net" is not a user namespace', 'hooks.createRuntime: "/no/such" does not exist',
                     "hooks.poststop[0].path: must be an absolute path", "hooks.poststop[0].timeout: must be greater than zero"):
            self.assertIn(text, result.stdout)
        report = json.loads(run(RUNTIME, "validate", "-f", "json", bundle, check=False).stdout)
        self.assertEqual((report["valid"], len(report["violations"])), (False, 8))
        self.assertEqual(set(report["violations"][0]), {"message", "document", "section", "rule"})

    def test_what_create_refuses_on_this_machine_is_said_in_its_words(self):
        def memory_above(config):
            config["linux"]["resources"] = {"cpu": {"shares": 1}, "memory": {"swap": 1 << 30}}   # the first is v1's, the second v2's
        for name, edit, says in (("process", lambda c: c.pop("process"), "process property must not be empty"),
                                 ("limits", memory_above, "the minimum allowed cpu-shares is 2|unable to set swap limit without memory limit"),
                                 ("closid", lambda c: c["linux"].update(intelRdt={}), "no resctrl file system is mounted|is a valid bundle"),
                                 ("profile", lambda c: c["process"].update(apparmorProfile="x"), "apparmor not supported|is a valid bundle")):
            bundle = self.bundle("true", edit=edit, name=name)
            result = self.runtime("validate", bundle, check=False)
            self.assertRegex(result.stdout, says)
            if result.returncode:
                self.assertIn("\n    runtime.md#create: ", result.stdout)
                self.assertIn(result.stdout.splitlines()[0], self.runtime("create", "-b", bundle, "c", check=False).stderr.replace("\\", ""))
            self.assertFalse(self.state.exists() and os.listdir(self.state))

    def test_a_text_ends_where_it_ends(self):
        """Not at a NUL byte in it, as for the kernel: it would be checked as one name and used as another."""
        for edit, place in ((lambda c: c["process"].update(args=["true\0x"]), "process.args[0]"),
                            (lambda c: c["process"].update(env=["A=b\0c"]), "process.env[0]"),
                            (lambda c: c["mounts"][0].update(destination="/proc\0"), "mounts[0].destination"),
                            (lambda c: c["linux"].update(sysctl={"net.\0x": "1"}), "linux.sysctl")):
            bundle = self.bundle("true", edit=edit, name=place.replace(" ", ""))
            for words in (("validate", bundle), ("create", "-b", bundle, "c")):
                result = self.runtime(*words, check=False)
                self.assertEqual(result.returncode, 1)
                self.assertIn(place + ": contains a NUL byte", result.stdout + result.stderr)

    def test_a_bundle_without_a_config(self):
        result = run(RUNTIME, "validate", self.dir, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("JSON specification file config.json not found\n    bundle.md#", result.stdout)
        (self.dir / "config.json").write_text("{")
        self.assertIn("is not JSON", run(RUNTIME, "validate", self.dir, check=False).stdout)


class Features(RuntimeCase):
    def test_features_are_those_of_the_tables(self):
        result = run(RUNTIME, "features")
        self.assertEqual(result.stderr, "")
        self.assertTrue(result.stdout.startswith('{\n    "ociVersionMin": "1.0.0",\n    "ociVersionMax": "1.3.0",\n    "hooks": ['))
        features = json.loads(result.stdout)
        linux = features["linux"]
        self.assertEqual(features["hooks"], ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
        for option in ("rro", "ridmap", "idmap", "nosymfollow", "tmpcopyup", "lazytime"):
            self.assertIn(option, features["mountOptions"])
        self.assertEqual(features["mountOptions"], sorted(features["mountOptions"]))
        self.assertEqual(sorted(linux["namespaces"]), ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"])
        seccomp = linux["seccomp"]
        self.assertEqual((len(seccomp["actions"]), len(seccomp["operators"]), len(seccomp["archs"]), len(seccomp["knownFlags"])), (9, 7, 23, 4))
        self.assertIn("SECCOMP_FILTER_FLAG_LOG", seccomp["supportedFlags"])
        self.assertEqual((len(linux["memoryPolicy"]["modes"]), len(linux["memoryPolicy"]["flags"])), (7, 3))
        self.assertTrue(linux["mountExtensions"]["idmap"]["enabled"])
        self.assertEqual(features["potentiallyUnsafeConfigAnnotations"], ["bundle", "org.systemd.property.", "org.criu.config"])
        self.assertIn("io.github.seccomp.libseccomp.version", features["annotations"])

    def test_features_need_no_rights_and_no_directory(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become somebody else")
        os.chmod(self.dir, 0o755)
        copy = self.dir / "keg-runtime"
        run("cp", RUNTIME, copy)
        result = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "--root", "/no/such", "features", env={})
        self.assertEqual(result.stderr, "")
        json.loads(result.stdout)


if __name__ == "__main__":
    unittest.main()
