"""Bundles as nobody should write them: a container, or one error; never a crash, a wait without end, or anything left."""
import copy
import json
import os
import pathlib
import random
import subprocess
import unittest

from keg import PATIENCE, RUNTIME, RuntimeCase, needs_root

VALUES = (None, True, False, "", "..", "x", "/proc", "/proc/self", "/dev/null", "rbind", "tmpfs", "CAP_SYS_ADMIN", "0-3", -1, 0, 1, 7, 4096, 2**31, 2**32, 2**63, 2**64, 0.5, [], {}, ["x"], [None])


def places(value, path=()):
    """The path of every value below."""
    yield path
    for key, member in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(member, (*path, key))


def damaged(config, seed):
    """The config with one to three of its values changed, gone, or doubled, and what was done."""
    choice = random.Random(seed)
    config, done = copy.deepcopy(config), []
    for _ in range(choice.randint(1, 3)):
        *above, key = choice.choice([path for path in places(config) if path and path[0] != "root" and "cgroupsPath" not in path])
        holder = config
        for step in above:
            holder = holder[step]
        how = choice.randrange(4)
        done.append((*above, key, how))
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(holder, list):
            holder.append(holder[key])
        else:
            holder[key] = choice.choice(VALUES)
    return config, done


@needs_root
class Damage(RuntimeCase):
    def test_a_damaged_bundle_is_a_container_or_one_error(self):
        def everything(config):
            config["linux"].update(cgroupsPath=f"/keg-test-damage-{os.getpid()}", maskedPaths=["/proc/kcore"], readonlyPaths=["/proc/sys"],
                                   devices=[{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}],
                                   sysctl={"kernel.shmmax": "65536"}, rootfsPropagation="slave",
                                   seccomp={"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]})
            config["linux"]["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 50})
            config["process"].update(rlimits=[{"type": "RLIMIT_NOFILE", "hard": 64, "soft": 64}], oomScoreAdj=100, user={"uid": 5, "gid": 6, "additionalGids": [7]})
            config["hooks"] = {name: [{"path": "/bin/true", "timeout": 5}] for name in ("createRuntime", "poststop")}
        bundle = self.bundle("true", edit=everything)
        original = json.loads((bundle / "config.json").read_text())
        self.state.mkdir()
        outcomes = {0: 0, 1: 0}
        for seed in range(80):
            config, done = damaged(original, seed)
            (bundle / "config.json").write_text(json.dumps(config))
            with self.subTest(seed=seed, done=done):
                # In mounts of its own: a config may have none, and then they are the caller's.
                with open(self.dir / "stderr", "w+") as stderr:
                    code = subprocess.run(["unshare", "--mount", "--propagation", "private", RUNTIME, "--root", self.state, "create", "-b", bundle, "c"], timeout=PATIENCE,
                                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr).returncode
                    stderr.seek(0)
                    errors = [line for line in stderr if "level=warning" not in line]
                outcomes[code] += 1
                self.assertEqual(len(errors), code, errors)
                if code == 0:
                    self.assertEqual(json.loads(self.runtime("state", "c").stdout)["status"], "created")
                    self.runtime("delete", "--force", "c")
                else:
                    self.assertRegex(errors[0], 'level=error msg="keg-runtime create failed: .')
                self.assertEqual(os.listdir(self.state), [])
                self.assertEqual([str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/keg-test-damage-{os.getpid()}")], [])
        self.assertTrue(all(count > 10 for count in outcomes.values()), outcomes)

    def test_a_damaged_state_is_told_or_one_error_that_names_its_file(self):
        self.runtime("run", "--keep", "-b", self.bundle("true"), "c")
        file = self.state / "c/state.json"
        original = json.loads(file.read_text())
        outcomes = {0: 0, 1: 0}
        for seed in range(80):
            state, done = damaged(original, seed)
            text = json.dumps(state)
            file.write_text(text if seed % 2 else text[:random.Random(seed).randrange(len(text))])
            with self.subTest(seed=seed, done=done):
                self.runtime("list")
                result = self.runtime("state", "c", check=False)
                outcomes[result.returncode] += 1
                if result.returncode:
                    self.assertRegex(result.stderr, rf'\A[^\n]*level=error msg="{file}: [^\n]+\n\Z')
        self.assertTrue(all(outcomes.values()), outcomes)
        file.write_text(json.dumps(original))


if __name__ == "__main__":
    unittest.main()
