"""What keg says when a command gets what it cannot use: one line that begins with "keg: " (or Docker's usage, which
points to --help), names the thing as it was typed, and is in words; the exit code is Docker's; and nothing
half-made stays. A table: every command with every kind of bad input that it can get.
"""
import os
import re
import socket
import unittest

import keg

# What no person should read: a library's own words, numbers of descriptors.
NOT_WORDS = re.compile(r"filesystem error|map::at|basic_string|bad_alloc|std::|terminate|/proc/self/fd|\bopen \d+\b|\[json\.|vector::", re.I)
USAGE = re.compile(r"(\nUsage: +keg [^\n]*)?\n(See 'keg [^\n]* --help'|Run 'keg --help' for usage)\n\Z")


@keg.needs_root
class Words(keg.StoreCase):
    """{junk} and so on below are names in self.dir."""

    def setUp(self):
        super().setUp()
        (self.dir / "junk.tar").write_bytes(b"no archive at all\n" * 1000)
        (self.dir / "cut.tar").write_bytes((self.dir / "busybox.tar").read_bytes()[:5000])
        (self.dir / "empty.tar").write_bytes(b"")
        (self.dir / "a-directory").mkdir()
        (self.dir / "a-file").write_text("text\n")
        (self.dir / "bad.env").write_text("GOOD=1\nbad name=2\n")
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(self.dir / "a-socket"))
        (self.dir / "Good").write_text("FROM base\n")
        (self.dir / "Broken").write_text("FROM base\nFLY away\n")
        self.keg("create", "--network", "none", "--name", "made", "base", "true")

    def check(self, words, code, says):
        words = [word.replace("{dir}", str(self.dir)) for word in words]
        says = says.replace("{dir}", str(self.dir))
        before = self.what_there_is()
        result = self.keg(*words, check=False, input="")
        said = USAGE.sub("\n", result.stderr)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertRegex(said, r"\Akeg: [^\n]+\n\Z")
        self.assertIn(says, said)
        self.assertIsNone(NOT_WORDS.search(said), said)
        self.assertTrue(not said.endswith(".\n") or "Conflict" in said, said)   # Docker's sentence
        self.assertEqual(self.what_there_is(), before)

    def what_there_is(self):
        # What is hidden is just being removed.
        containers = sorted(name for name in os.listdir(self.store / "containers") if not name.startswith("."))
        return (containers, self.keg("images", "-aq", "--no-trunc").stdout, sorted(os.listdir(self.dir)),
                sorted(os.listdir(self.store / "volumes")) if (self.store / "volumes").exists() else [])

    def check_table(self, table):
        for words, code, says in table:
            with self.subTest(words=words):
                self.check(words.split() if isinstance(words, str) else words, code, says)

    def test_commands_and_options_that_are_not_there(self):
        commands = ("build commit create exec export inspect kill logs pause port ps rename restart rm run start stop unpause wait "
                    "add-layer config convert copy history images import insert load login logout pull push repack rmi save tag unpack validate").split()
        self.check_table([(f"{command} --no-such-flag", 125, "--no-such-flag") for command in commands])
        self.check_table([("fly", 1, "keg fly"), ("image fly", 1, "image"), ("--no-such-flag ps", 125, "--no-such-flag")])

    def test_words_that_are_missing_or_too_many(self):
        self.check_table([(command, 125 if command == "run" else 1, f'"keg {command}" requires')
                          for command in ("build", "exec", "export", "inspect", "kill", "logs", "pause", "port", "rename", "restart", "rm", "run", "start",
                                          "stop", "unpause", "wait", "history", "import", "pull", "push", "rmi", "save", "tag", "unpack")])
        self.check_table([("ps extra", 1, "requires"), ("load extra", 1, "requires"), ("rename made b c", 1, "requires"), ("tag a b c", 1, "requires")])

    def test_names_that_nobody_has(self):
        containers = ["exec nosuch true", "export nosuch", "kill nosuch", "logs nosuch", "pause nosuch", "port nosuch", "rename nosuch other", "restart nosuch",
                      "rm nosuch", "start nosuch", "stop nosuch", "unpause nosuch", "wait nosuch"]
        self.check_table([(words, 1, "No such container: nosuch") for words in containers])
        self.check_table([("start -a nosuch", 1, "No such container: nosuch"),
                          ("inspect nosuch", 1, "No such object: nosuch"), ("inspect --type container nosuch", 1, "No such container: nosuch"),
                          ("inspect --type image nosuch", 1, "No such image: nosuch"), ("image inspect nosuch", 1, "No such image: nosuch"),
                          ("rmi nosuch", 1, "No such image: nosuch"), ("tag nosuch other", 1, "No such image: nosuch"),
                          ("history nosuch", 1, "No such image: nosuch"), ("save nosuch -o {dir}/x.tar", 1, "nosuch"),
                          ("unpack nosuch {dir}/bundle", 1, "No such image: nosuch"),
                          ("run --pull never nosuch", 125, "No such image: nosuch"), ("create --pull never nosuch", 125, "No such image: nosuch"),
                          ("run --network container:nosuch base true", 125, "No such container: nosuch"),
                          ("run --rm --network none -u nosuch base true", 125, "unable to find user nosuch")])

    def test_names_that_cannot_be(self):
        for bad in ("-x", "a b", "x/y", "..", "é"):
            self.check_table([(["create", "--name=" + bad, "base", "true"], 125, f"Invalid container name ({bad})"),
                              (["rename", "--", "made", bad], 1, f"Invalid container name ({bad})")])
        self.check_table([("tag base UPPER", 1, "UPPER"), ("tag base a::b", 1, "a::b"), ("pull UPPER", 1, "UPPER"), ("import {dir}/busybox.tar UPPER", 1, "UPPER"),
                          ("build -t UPPER -f {dir}/Good {dir}", 1, "UPPER"), ("run UPPER", 125, "UPPER"), ("rmi UPPER", 1, "UPPER"),
                          ("rename made made", 1, "same name"), ("create --name made base true", 125, 'The container name "/made" is already in use')])

    def test_archives_that_are_none(self):
        self.check_table([("load -i {dir}/nosuch.tar", 1, "{dir}/nosuch.tar"), ("load -i {dir}/junk.tar", 1, "junk.tar"), ("load -i {dir}/cut.tar", 1, "cut.tar"),
                          ("load -i {dir}/empty.tar", 1, "empty.tar"), ("load -i {dir}/a-directory", 1, "a-directory"),
                          ("load -i {dir}/a-socket", 1, "a-socket"), ("load -i {dir}/a-file/below", 1, "a-file/below"),
                          ("import {dir}/nosuch.tar", 1, "{dir}/nosuch.tar"), ("import {dir}/junk.tar", 1, "junk.tar"),
                          ("import {dir}/a-directory", 1, "a-directory"), ("import {dir}/busybox.tar x -c FLY", 1, "FLY")])

    def test_places_that_cannot_be_written(self):
        self.check_table([("save base -o {dir}/a-directory", 1, "a-directory"), ("save base -o {dir}/nosuch/x.tar", 1, "nosuch/x.tar"),
                          ("save base -o {dir}/a-file/x.tar", 1, "a-file/x.tar"), ("save base -f zip -o {dir}/x", 1, '"zip"'),
                          ("unpack base {dir}/a-file", 1, "a-file"), ("unpack base {dir}/a-file/below", 1, "a-file/below"),
                          ("run --cidfile {dir}/a-file base true", 125, "{dir}/a-file"),
                          ("create --cidfile {dir}/nosuch/cid --network none base true", 125, "{dir}/nosuch/cid")])

    def test_files_that_cannot_be_read(self):
        self.check_table([("run --env-file {dir}/nosuch base true", 125, "{dir}/nosuch"), ("run --env-file {dir}/a-directory base true", 125, "{dir}/a-directory"),
                          ("run --env-file {dir}/bad.env base true", 125, "bad.env"), ("run --label-file {dir}/nosuch base true", 125, "{dir}/nosuch"),
                          ("exec --env-file {dir}/nosuch made true", 1, ""),
                          ("build {dir}/nosuch", 1, "{dir}/nosuch"), ("build {dir}/a-file", 1, "{dir}/a-file"),
                          ("build -f {dir}/nosuch {dir}", 1, "{dir}/nosuch"), ("build -f {dir}/a-directory {dir}", 1, "{dir}/a-directory"),
                          ("build -f {dir}/Broken {dir}", 1, "FLY")])

    def test_numbers_that_are_none_or_too_large(self):
        numbers = [("stop -t {} made", "time"), ("restart -t {} made", "time"), ("ps -n {}", "last"), ("run --pids-limit {} base true", "pids-limit"),
                   ("run --oom-score-adj {} base true", "oom-score-adj"), ("run --stop-timeout {} base true", "stop-timeout"), ("run -c {} base true", "cpu-shares")]
        for bad in ("many", "1.5", "99999999999999999999", "9223372036854775807", "-9223372036854775808", "5x", "0x"):
            self.check_table([(words.replace("{}", bad).replace("-c ", "-c=") if bad[0] == "-" else words.replace("{}", bad), 125, f'"{bad}"') for words, _ in numbers])
        for bad in ("much", "-5m", "1e3", "99999999999999999999g", "5q"):
            self.check_table([(f"run {option}={bad} base true", 125, bad) for option in ("--memory", "--shm-size", "--memory-reservation", "--memory-swap")])
        self.check_table([("run --cpus many base true", 125, "many"), ("run --cpus -1 base true", 125, "-1"), ("run --cpus 1.0000000001 base true", 125, "1.0000000001"),
                          ("run --cpus 9999 base true", 125, "range of CPUs"), ("run --ulimit nofile=many base true", 125, "nofile=many"),
                          ("run --ulimit nofile=9:5 base true", 125, "9 > 5"), ("run --ulimit bogus=1 base true", 125, "bogus"),
                          ("run -p 99999:80 base true", 125, "99999"), ("run -p many:80 base true", 125, "many"), ("run --expose 0-99999 base true", 125, "99999"),
                          ("logs -n many made", 1, "many"), ("logs --since soon made", 1, '"soon"'), ("logs --since 99999999999999999999 made", 1, "99999999999999999999"),
                          ("kill -s 65 made", 1, "65"), ("kill -s FLY made", 1, "FLY"), ("run --stop-signal FLY base true", 125, "FLY"),
                          ("stop -s 0 made", 1, "0")])

    def test_words_of_options_that_mean_nothing(self):
        self.check_table([("run --network nosuch base true", 125, "nosuch"), ("run --ipc nosuch base true", 125, "nosuch"),
                          ("run --pull sometimes base true", 125, "sometimes"), ("run --platform moon/dust base true", 125, "moon"),
                          ("run -w relative base true", 125, "relative"), ("run -v :/x base true", 125, ":/x"), ("run -v /a:/ base true", 125, "/a:/"),
                          ("run -v x:/y:fly base true", 125, "fly"), ("run --mount type=fly,dst=/x base true", 125, "fly"),
                          ("run --mount dst base true", 125, "dst"), ("run --sysctl kernel.core_pattern=x base true", 125, "kernel.core_pattern"),
                          ("run -e =x base true", 125, "=x"), ("run --tty=maybe base true", 125, "maybe"),
                          ("ps --filter fly=1", 1, "fly"), ("ps --filter fly", 1, "fly"), ("ps --format {{.Fly}", 1, ""), ("inspect -f {{.Fly made", 1, ""),
                          ("images --filter fly=1", 1, "fly"), ("inspect --type fly made", 1, "fly"), ("build --network fly {dir}", 1, "fly"),
                          ("build --progress fly {dir}", 1, "fly"), ("build --platform moon/dust {dir}", 1, "moon")])

    def test_containers_that_are_not_in_the_state_for_it(self):
        self.check_table([("kill made", 1, "is not running"), ("exec made true", 1, "is not running"), ("pause made", 1, "is not running"),
                          ("unpause made", 1, "is not paused"), ("run -it base sh", 125, "the input device is not a TTY"), ("port made 80", 1, "80/tcp")])

    def test_programs_that_cannot_be_run(self):
        table = [("run --rm --network none base nosuch", 127, '"nosuch"'), ("run --rm --network none base /etc", 126, '"/etc"'),
                 ("run --rm --network none base /etc/passwd", 126, '"/etc/passwd"')]
        self.check_table(table)

    def test_stores_that_are_none(self):
        for root in ("{dir}/a-file", "{dir}/a-file/below", "/proc/nosuch"):
            root = root.replace("{dir}", str(self.dir))
            for words in (["ps"], ["images"], ["run", "base", "true"], ["load", "-i", str(self.dir / "junk.tar")]):
                with self.subTest(root=root, words=words):
                    result = keg.run(keg.KEG, "--root", root, *words, check=False)
                    self.assertIn(result.returncode, (1, 125))
                    self.assertRegex(result.stderr, r"\Akeg: [^\n]+\n\Z")
                    self.assertIn(root, result.stderr)
                    self.assertIsNone(NOT_WORDS.search(result.stderr), result.stderr)


if __name__ == "__main__":
    unittest.main()
