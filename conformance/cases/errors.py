"""The words of errors and the exit codes: callers look for them (containerd, Docker, podman, CRI-O read runc's)."""
import json
import os

from bench import case, rows


def created(bench):
    bench.create("sleep", "1000")


def running(bench):
    bench.start()


def paused(bench):
    bench.start()
    bench.rt("pause", bench.id)


def stopped(bench):
    bench.start("true")
    bench.wait_for("stopped")


def nothing(bench):
    bench.bundle()


# name, what must be there, the command ("ID" is the container's), the words, the exit code or None for any but 0
WORDS = [
    ("create-twice", running, ["create", "ID"], "container with given ID already exists", 1),
    ("create-bad-id", nothing, ["create", "a/b"], "invalid container ID format", 1),
    ("create-id-of-dots", nothing, ["create", ".."], "invalid container ID format", 1),
    ("create-empty-id", nothing, ["create", ""], "container id cannot be empty", 1),
    ("create-bundle-missing", nothing, ["create", "--bundle", "/no/where", "ID"], "chdir /no/where: no such file or directory", 1),
    ("list-root-missing", nothing, ["list"], "no such file or directory", 1),
    ("help-behind-the-id", nothing, ["state", "ID", "--help"], "", 0),
    ("flag-value", nothing, ["run", "--preserve-fds", "x", "ID"], 'invalid value "x" for flag -preserve-fds: parse error', 1),
    ("flag-syntax", nothing, ["run", "---keep", "ID"], "bad flag syntax: ---keep", 1),
    ("flag-name", nothing, ["delete", "-f=maybe", "ID"], 'invalid boolean value "maybe" for -f: parse error', 1),
    ("flag-behind-the-id", nothing, ["kill", "ID", "-9"], "container does not exist", 1),
    ("state-unknown", nothing, ["state", "ID"], "container does not exist", 1),
    ("start-unknown", nothing, ["start", "ID"], "container does not exist", 1),
    ("kill-unknown", nothing, ["kill", "ID", "9"], "container does not exist", 1),
    ("delete-unknown", nothing, ["delete", "ID"], "container does not exist", 1),
    ("exec-unknown", nothing, ["exec", "ID", "true"], "container does not exist", 255),
    ("pause-unknown", nothing, ["pause", "ID"], "container does not exist", 1),
    ("start-running", running, ["start", "ID"], "cannot start an already running container", 1),
    ("start-stopped", stopped, ["start", "ID"], "cannot start a container that has stopped", 1),
    ("start-paused", paused, ["start", "ID"], "cannot start a container in the paused state", 1),
    ("kill-stopped", stopped, ["kill", "ID", "9"], "container not running", 1),
    ("kill-unknown-signal", running, ["kill", "ID", "SIGNONSENSE"], "unknown signal", 1),
    ("exec-stopped", stopped, ["exec", "ID", "true"], "cannot exec in a stopped container", 255),
    ("exec-paused", paused, ["exec", "ID", "true"], "cannot exec in a paused container (use --ignore-paused to override)", 255),
    ("delete-running", running, ["delete", "ID"], "that is not stopped: running", 1),
    ("delete-paused", paused, ["delete", "ID"], "that is not stopped: paused", 1),
    ("pause-paused", paused, ["pause", "ID"], "container not running", 1),
    ("resume-running", running, ["resume", "ID"], "container not paused", 1),
    ("update-stopped", stopped, ["update", "--pids-limit", "5", "ID"], "container not running", 1),
    ("exec-not-found", running, ["exec", "ID", "nowhere"], 'exec: "nowhere": executable file not found in $PATH', 255),
    ("exec-no-such-file", running, ["exec", "ID", "/no/where"], "no such file or directory", 255),
    ("exec-not-executable", running, ["exec", "ID", "/etc/passwd"], "permission denied", 255),
    ("exec-directory", running, ["exec", "ID", "/etc"], "is a directory", 255),
    ("exec-cwd-missing", running, ["exec", "--cwd", "/not/there", "ID", "true"], "chdir to cwd", 255),
    ("exec-bad-user", running, ["exec", "--user", "me:you", "ID", "true"], "", None),
    ("exec-terminal-detached", running, ["exec", "--detach", "--tty", "ID", "true"], "cannot allocate tty if runc will detach without setting console socket", 255),
]


def words(bench, prepare, command, text, code):
    prepare(bench)
    done = bench.rt(*(bench.id if word == "ID" else word for word in command), check=False)
    bench.true(done.code == code if code is not None else done.code != 0, f"exit {done.code} instead of {code}: {done.err.strip()[-200:]}")
    said = done.err.replace('\\"', '"')
    bench.true(text in said, f"{said.strip()[-200:]!r} has not the words {text!r}")


rows("errors", [(name, "runc: the words that callers look for", *rest) for name, *rest in WORDS], words)

CREATE = [
    ("not-found", ["nowhere"], {}, 'exec: "nowhere": executable file not found in $PATH'),
    ("no-such-file", ["/no/where"], {}, "no such file or directory"),
    ("not-executable", ["/etc/passwd"], {}, "permission denied"),
    ("directory", ["/etc"], {}, "is a directory"),
    ("tty-without-socket", ["true"], {"process.terminal": True}, "cannot allocate tty if runc will detach without setting console socket"),
    ("mount", ["true"], {"mounts+": [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["size=lots"]}]}, 'error mounting "tmpfs" to rootfs at "/mnt"'),
]


def at_create(bench, args, patch, text):
    done = bench.refused(*args, patch=patch)
    bench.true(text in done.err.replace('\\"', '"'), f"{done.err.strip()[-200:]!r} has not the words {text!r}")


rows("errors", [(f"create-{name}", "runc: what cannot run is refused by create, in these words", *rest) for name, *rest in CREATE], at_create)


@case("runc: there must be a config.json")
def no_config(bench):
    done = bench.rt("create", bench.id, check=False)
    bench.equal(done.code, 1)
    bench.matches(done.err, "JSON specification file config.json not found")


@case("runc: what is no JSON is an error that says where")
def broken_config(bench):
    bench.bundle()
    (bench.dir / "config.json").write_text('{"ociVersion": "1.0.0",')
    bench.equal(bench.rt("create", bench.id, check=False).code, 1)


@case("runc: the number of arguments is checked")
def argument_count(bench):
    for words_ in (["state"], ["create"], ["start"], ["kill"], ["delete"], ["state", "a", "b"]):
        done = bench.rt(*words_, check=False)
        bench.equal(done.code, 1, " ".join(words_))


@case("runc: an unknown command and an unknown flag are errors")
def unknown_words(bench):
    bench.true(bench.rt("explode", check=False).code != 0, "an unknown command succeeded")
    bench.true(bench.rt("state", "--explode", "x", check=False).code != 0, "an unknown flag succeeded")


@case("runc: delete --force of an unknown container succeeds")
def delete_force_unknown(bench):
    bench.equal(bench.rt("delete", "--force", bench.id, check=False).code, 0)


@case("runc: kill --all of a stopped container succeeds")
def kill_all_stopped(bench):
    stopped(bench)
    bench.equal(bench.rt("kill", "--all", bench.id, "9", check=False).code, 0)


@case("runc: delete of a created container kills it")
def delete_created(bench):
    created(bench)
    bench.rt("delete", bench.id)
    bench.true(bench.rt("state", bench.id, check=False).code != 0, "it is still there")


@case("runc: delete --force ends a running and a paused container")
def delete_force(bench):
    for prepare in (running, paused):
        prepare(bench)
        pid = bench.state()["pid"]
        bench.rt("delete", "--force", bench.id)
        bench.true(not os.path.exists(f"/proc/{pid}/ns/mnt") or os.readlink(f"/proc/{pid}/ns/mnt") == "", "the process lives")


@case("runc: run ends with the code of the process")
def run_code(bench):
    bench.equal(bench.run("sh", "-c", "exit 42", check=False).code, 42)


@case("runc: run of what a signal killed ends with 128 and the signal")
def run_signal(bench):
    # The first process of a pid namespace ignores what it does not handle: a child of the shell it is.
    bench.equal(bench.run("sh", "-c", "sh -c 'kill -9 $$'; exit $?", check=False).code, 137)


@case("runc: exec ends with the code of the process")
def exec_code(bench):
    running(bench)
    bench.equal(bench.exec("sh", "-c", "exit 7", check=False).code, 7)
    bench.equal(bench.exec("sh", "-c", "kill -9 $$", check=False).code, 137)


@case("runc: --log has one JSON record for a failure, stderr says it too")
def log_json(bench):
    bench.bundle("nowhere")
    log = bench.dir / "log.json"
    done = bench.rt("create", bench.id, check=False, globals=("--log", str(log), "--log-format", "json"))
    bench.true(done.code != 0, "was accepted")
    lines = log.read_text().splitlines()
    bench.equal(len(lines), 1, "records")
    record = json.loads(lines[0])
    bench.equal(record["level"], "error")
    bench.matches(record["msg"], "executable file not found")
    bench.matches(record["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
    bench.matches(done.err, "executable file not found")


@case("runc: --log is appended to, and stays empty when all is well")
def log_quiet(bench):
    log = bench.dir / "log.json"
    log.write_text("before\n")
    bench.bundle("true")
    bench.rt("run", bench.id, globals=("--log", str(log), "--log-format", "json"))
    bench.equal(log.read_text(), "before\n")


@case("runc: the log as text is logrus's")
def log_text(bench):
    log = bench.dir / "log"
    bench.rt("state", bench.id, check=False, globals=("--log", str(log)))
    bench.matches(log.read_text(), r'^time="[^"]+" level=error msg="container does not exist"\n$')


@case("runc: an unknown log format is an error")
def log_format(bench):
    bench.true(bench.rt("list", check=False, globals=("--log-format", "xml")).code != 0, "xml is accepted")
