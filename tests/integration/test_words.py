"""What keg-runtime says of each command's wrong words: the thing as it was typed, on one line, with exit code 1.

One table. A word that is wrong comes in several kinds: no number, a number with letters behind it, one that is
too large or below the least, a name that nobody has, a path that leads nowhere. No answer has the number of a
descriptor for a name, or a library's words.
"""
import os
import re
import subprocess
import unittest

from keg import RUNTIME, RuntimeCase, needs_root, run

HUGE = "99999999999999999999"
NO_NUMBERS = ("x", "3x", HUGE)

# The words, with the one that is wrong marked by braces. $B is a bundle, $C a container that runs, $D a directory.
TABLE = [
    *(f"--{option} {{{word}}} list" for option, word in (("log", "/no/such/log"), ("log-format", "xml"), ("log-level", "loud"), ("rootless", "perhaps"),
                                                         ("cgroup-manager", "nobody"))),
    *(f"{command} -b $B --preserve-fds={{{word}}} new" for command in ("create", "run") for word in (*NO_NUMBERS, "-1", "4294967296", "1048577")),
    *(f"{command} -b $B {{{word}}}" for command in ("create", "run") for word in ("a/b", "..", "a b")),
    *(f"{command} -b {{/no/such/bundle}} new" for command in ("create", "run")),
    *(f"{command} -b $B --config {{/no/such/config}} new" for command in ("create", "run")),
    *(f"{command} {{a/b}}" for command in ("state", "start", "delete", "pause", "resume", "kill", "ps", "events", "update", "checkpoint")),
    *(f"exec --user={{{word}}} $C true" for word in (*NO_NUMBERS, "-1", "4294967295", "4294967296", "root")),
    *(f"exec --user=1:{{{word}}} $C true" for word in (*NO_NUMBERS, "-1", "4294967295")),
    *(f"exec --additional-gids={{{word}}} $C true" for word in (*NO_NUMBERS, "-1", "4294967295")),
    *(f"exec --preserve-fds={{{word}}} $C true" for word in (*NO_NUMBERS, "-1", "2147483648")),
    *(f"exec {option}={{{word}}} $C true" for option, word in (("--env", "NOTHING"), ("--cwd", "relative"), ("--process", "/no/such/process"), ("--cwd", "/no/such/directory"))),
    "exec $C {/no/such/program}", "exec $C {no-such-program}",
    *(f"kill $C {{{word}}}" for word in ("SIGNOTHING", "65", "-1", "9x", HUGE, "RTMIN+99")),
    *(f"{command} --format {{xml}}{rest}" for command, rest in (("list", ""), ("ps", " $C"), ("validate", " $B"))),
    *(f"events --interval {{{word}}} $C" for word in ("x", "5", "5q")),
    *(f"update --{option}={{{word}}} $C" for option in ("cpu-period", "cpu-quota", "cpu-share", "pids-limit", "blkio-weight", "cpu-idle") for word in NO_NUMBERS),
    *(f"update --{option}={{{word}}} $C" for option in ("memory", "memory-swap", "memory-reservation") for word in ("x", "3x", "-7")),
    "update --blkio-weight={65536} $C", "update --cpu-period={-1} $C", "update --resources {/no/such/resources} $C",
    *(f"checkpoint --image-path $D/images --status-fd={{{word}}} $C" for word in (*NO_NUMBERS, "2147483648", "-2")),
    "checkpoint --image-path $D/images --manage-cgroups-mode {perhaps} $C",
    *(f"checkpoint --image-path $D/images --page-server {{{where}}} $C" for where in ("nowhere", "here:99999", "here:x")),
    "restore --image-path {/no/such/images} -b $B new",
    "spec -b {/no/such/bundle}",
]
ENVIRONMENT = [(name, value) for name in ("LISTEN_FDS", "LISTEN_PID") for value in (*NO_NUMBERS, "-1")]
# A descriptor for a name, C++'s and libraries' own words.
OURS = re.compile(r"\b(open|read|write|stat|statfs) \d+:|filesystem error|map::at|basic_string|vector::|std::|terminate called|json\.exception|regex_error|bad_|\bfd/\d+")


@needs_root
class Words(RuntimeCase):
    def setUp(self):
        super().setUp()
        self.ready = self.bundle("true", name="ready")
        sleeping = self.bundle("sleep", "1000", name="sleeping")
        subprocess.run([RUNTIME, "--root", self.state, "create", "-b", sleeping, "c"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        self.runtime("start", "c")

    def says(self, result, typed, words):
        self.assertIn(result.returncode, (1, 255) if "exec" in words else (1,), result.stderr)   # of exec: 255 behind its options
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        said = result.stderr.replace("\\\\", "\\").replace('\\"', '"')
        self.assertIn(typed, said)
        self.assertNotRegex(said, OURS)

    def test_each_wrong_word_is_named_on_one_line(self):
        named = {"$B": str(self.ready), "$C": "c", "$D": str(self.dir)}
        for row in TABLE:
            with self.subTest(row):
                typed = re.search(r"\{(.*)\}", row)[1]
                # A blank within the braces is the word's.
                words = [word.replace("\0", typed) for word in row.replace("{" + typed + "}", "\0").split()]
                words = [re.sub(r"\$[BCD]", lambda m: named[m[0]], word) for word in words]
                self.says(self.runtime(*words, check=False), typed, words)
        self.assertEqual(os.listdir(self.state), ["c"])

    def test_so_is_each_wrong_word_of_the_environment(self):
        for name, value in ENVIRONMENT:
            with self.subTest(name, value=value):
                env = {**os.environ, "LISTEN_FDS": "1", name: value}
                if name == "LISTEN_FDS":
                    env.pop("LISTEN_PID", None)
                result = run(RUNTIME, "--root", self.state, "run", "-b", self.ready, "new", env=env, check=False)
                self.says(result, value, "run")
                self.assertIn(name, result.stderr)

    def test_a_directory_that_is_gone_is_said_to_be(self):
        (self.dir / "gone").mkdir()
        for words in (["--root", "state", "list"], ["create", "-b", "bundle", "new"], ["validate", "bundle"]):
            with self.subTest(words):
                script = 'cd "$0" && rmdir "$0" && exec "$@"'
                (self.dir / "gone").mkdir(exist_ok=True)
                result = run("sh", "-c", script, self.dir / "gone", RUNTIME, *words, check=False)
                self.says(result, words[-1] if words[-1] != "list" and words[-1] != "new" else words[words.index("bundle") if "bundle" in words else 1], words)

    def test_a_directory_of_the_container_that_is_gone_is_no_breakout(self):
        self.runtime("exec", "c", "mkdir", "/gone")
        here = self.runtime("exec", "--cwd", "/gone", "c", "sh", "-c", "rmdir /gone; readlink /proc/self/cwd").stdout
        self.assertIn("gone", here)
        result = self.runtime("exec", "--cwd", "/gone", "c", "true", check=False)
        self.says(result, "/gone", "exec")
        self.assertNotIn("breakout", result.stderr)

    def test_booleans_are_gos_everywhere(self):
        for word in ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False", "auto"):
            self.runtime(f"--rootless={word}", "list")
        for word in ("yes", "TrUe", "", "2", " 1"):
            self.says(self.runtime(f"--rootless={word}", "list", check=False), word, "list")


if __name__ == "__main__":
    unittest.main()
