"""Hooks: the order of the six kinds, where each runs, what it is told, what its failure means (runtime.md, config.md)."""
import json
import os

from bench import case, rows, wait_until

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
BEFORE_START = KINDS[:3]


def hook(script, **more):
    """The path must hold in the runtime's mounts and, for startContainer, in the container's: busybox is at both."""
    return {"path": "/bin/busybox", "args": ["sh", "-c", script], **more}


def log(bench):
    path = bench.rootfs / "log"
    return path.read_text().split() if path.exists() else []


def say(bench, word, kind):
    """Appends a word to /log, seen from where hooks of that kind run."""
    where = "/log" if kind == "startContainer" else f"{bench.rootfs}/log"
    return hook(f"echo {word} >> {where}")


def is_over(bench, started):
    """What could not be started may stay as it was created."""
    state = bench.rt("state", bench.id, check=False)
    return state.code != 0 or json.loads(state.out)["status"] in (["stopped"] if started else ["stopped", "created"])


def life(bench, **patch):
    """create, start, wait, delete: where a hook made one of them fail, the rest is tried all the same."""
    bench.bundle("sh", "-c", "echo process >> /log", **patch)
    results = {"create": bench.rt("create", bench.id, check=False)}
    if results["create"].code == 0:
        results["start"] = bench.rt("start", bench.id, check=False)
        wait_until(lambda: is_over(bench, results["start"].code == 0), "the end of the process")
        results["delete"] = bench.rt("delete", bench.id, check=False)
    return results


@case("runtime.md: lifecycle, the order of all hooks and of the process")
def order(bench):
    life(bench, hooks={kind: [say(bench, f"{kind}1", kind), say(bench, f"{kind}2", kind)] for kind in KINDS})
    wanted = [f"{kind}{n}" for kind in KINDS for n in (1, 2)]
    got = log(bench)
    bench.true("process" in got, "the process did not run")
    bench.true(got.index("process") > got.index("startContainer2") if "startContainer2" in got else False, f"the process came before startContainer: {got}")
    bench.equal([word for word in got if word != "process"], wanted)


@case("runtime.md: prestart, createRuntime and createContainer belong to create")
def at_create(bench):
    bench.create("true", hooks={kind: [say(bench, kind, kind)] for kind in KINDS})
    bench.equal(log(bench), list(BEFORE_START))


@case("config.md: startContainer and poststart run before start returns, poststop at delete")
def at_start(bench):
    bench.start(hooks={kind: [say(bench, kind, kind)] for kind in KINDS})
    bench.equal(log(bench), list(KINDS[:5]))
    bench.kill()
    bench.rt("delete", bench.id)
    bench.equal(log(bench), list(KINDS))


WHERE = {"prestart": "runtime", "createRuntime": "runtime", "createContainer": "container", "startContainer": "container",
         "poststart": "runtime", "poststop": "runtime"}


def where(bench, kind, wanted):
    target = "/ns" if kind == "startContainer" else f"{bench.rootfs}/ns"
    # The container's procfs is only mounted in its own root: ask the hook's.
    life(bench, hooks={kind: [hook(f"readlink /proc/self/ns/uts > {target}; readlink /proc/self/ns/net >> {target}")]})
    mine = [os.readlink(f"/proc/self/ns/{ns}") for ns in ("uts", "net")]
    path = bench.rootfs / "ns"
    bench.true(path.exists(), "the hook did not run")
    got = path.read_text().split()
    bench.true(len(got) == 2, f"the hook could not look: {got}")
    for ns, theirs, ours in zip(("uts", "net"), got, mine):
        bench.true((theirs == ours) == (wanted == "runtime"), f"the {ns} namespace of {kind} is not the {wanted}'s")


rows("hooks", [(f"namespace-{kind}", f"config.md: {kind} hooks run in the {whose} namespace", kind, whose) for kind, whose in WHERE.items()], where)


@case("config.md: createContainer runs in the container's mount namespace before its root is entered")
def create_container_mounts(bench):
    life(bench, hooks={"createContainer": [hook(f"[ -d {bench.rootfs} ] && readlink /proc/self/ns/mnt > {bench.rootfs}/seen")]})
    bench.true((bench.rootfs / "seen").exists(), "the hook saw nothing of the host")
    bench.true((bench.rootfs / "seen").read_text().strip() != os.readlink("/proc/self/ns/mnt"), "the mount namespace is the runtime's")


@case("config.md: startContainer runs in the container's root")
def start_container_root(bench):
    life(bench, hooks={"startContainer": [hook("ls -d /log /etc/passwd /proc/1 > /seen 2>&1; true")]})
    bench.true((bench.rootfs / "seen").exists(), "the hook did not run in the container's root")


STATUS = {"prestart": ("creating", "created"), "createRuntime": ("creating", "created"), "createContainer": ("creating", "created"),
          "startContainer": ("created", "creating"), "poststart": ("running",), "poststop": ("stopped",)}


def told(bench, kind, statuses):
    target = "/state" if kind == "startContainer" else f"{bench.rootfs}/state"
    life(bench, hooks={kind: [hook(f"cat > {target}")]}, annotations={"com.example.key": "value"})
    path = bench.rootfs / "state"
    bench.true(path.exists(), "the hook did not run")
    state = json.loads(path.read_text())
    bench.true(state.get("ociVersion"), "ociVersion is missing")
    bench.equal(state.get("id"), bench.id, "id")
    bench.equal(state.get("bundle"), str(bench.dir), "bundle")
    bench.equal(state.get("annotations"), {"com.example.key": "value"}, "annotations")
    bench.true(state.get("status") in statuses, f"the status is {state.get('status')}")
    if kind != "poststop":
        bench.true(state.get("pid", 0) > 0, "the pid is missing")


rows("hooks", [(f"state-{kind}", f"config.md: the state is on the standard input of {kind} hooks", kind, want) for kind, want in STATUS.items()], told)


def failing(bench, kind):
    """Every kind but poststop: an error, the process does not go on, the next hooks are not run, poststop is."""
    results = life(bench, hooks={kind: [hook("exit 3"), say(bench, "next", kind)], "poststop": [say(bench, "poststop", "poststop")]})
    failed = "create" if kind in BEFORE_START else "start"
    bench.true(failed in results, "create failed, before this hook's turn")
    bench.true(results[failed].code != 0, f"{failed} succeeded")
    bench.true("next" not in log(bench), "the next hook was run")
    if kind != "poststart":
        bench.true("process" not in log(bench), "the process was run")
    state = bench.rt("state", bench.id, check=False)
    if state.code == 0:
        bench.true(json.loads(state.out)["status"] == "stopped", "the container goes on")


rows("hooks", [(f"failing-{kind}", f"runtime.md: a failed {kind} hook MUST be an error and stop the container", kind) for kind in KINDS[:5]], failing)


@case("runtime.md: a failed poststart hook stops the container")
def failing_poststart_stops(bench):
    bench.create("sleep", "1000", hooks={"poststart": [hook("exit 3")]})
    bench.true(bench.rt("start", bench.id, check=False).code != 0, "start succeeded")
    if bench.rt("state", bench.id, check=False).code == 0:
        bench.wait_for("stopped")


@case("runtime.md: the words of a failed startContainer hook reach who typed start")
def failing_start_container_words(bench):
    bench.create("sleep", "1000", hooks={"startContainer": [hook("echo the reason >&2; exit 3")]})
    done = bench.rt("start", bench.id, check=False)
    bench.true(done.code != 0, "start succeeded")
    bench.matches(done.err, "the reason")


@case("runtime.md: a failed poststop hook is a warning, the others go on")
def failing_poststop(bench):
    results = life(bench, hooks={"poststop": [hook("exit 3"), say(bench, "next", "poststop")]})
    bench.equal(results["delete"].code, 0, "exit code of delete")
    bench.equal(log(bench)[-1:], ["next"])
    bench.true(bench.rt("state", bench.id, check=False).code != 0, "the container is still there")


@case("runtime.md: nothing stays of a container that a hook refused")
def failing_leaves_nothing(bench):
    life(bench, hooks={"createRuntime": [hook("exit 3")]})
    bench.true(bench.rt("state", bench.id, check=False).code != 0, "the container has a state")
    bench.rt("create", bench.id, check=False)  # the same name can be used again


def late(bench, kind):
    results = life(bench, hooks={kind: [hook("sleep 86400", timeout=1)]})   # who waits for that is not waited for
    if kind != "poststop":
        bench.true(any(done.code != 0 for done in results.values()), "the time-out is no error")


rows("hooks", [(f"timeout-{kind}", f"config.md: a {kind} hook is stopped after its timeout", kind) for kind in ("createRuntime", "createContainer", "poststart")], late)


@case("config.md: a hook's env is all it has")
def environment(bench):
    life(bench, hooks={"createRuntime": [{"path": "/bin/busybox", "env": ["ONE=1"],
                                          "args": ["sh", "-c", f"cat /proc/$$/environ > {bench.rootfs}/env; true"]}]})
    bench.equal((bench.rootfs / "env").read_text(), "ONE=1\0")


@case("config.md: a hook's args are those of execv, the name too")
def arguments(bench):
    life(bench, hooks={"createRuntime": [{"path": "/bin/busybox", "args": ["sh", "-c", f"echo $0-$1 > {bench.rootfs}/args", "zero", "one"]}]})
    bench.equal((bench.rootfs / "args").read_text(), "zero-one\n")


@case("config.md: a hook's path MUST be absolute")
def path_relative(bench):
    bench.refused("true", hooks={"createRuntime": [{"path": "bin/true"}]})


@case("config.md: a hook's timeout MUST be greater than zero")
def timeout_zero(bench):
    bench.refused("true", hooks={"createRuntime": [hook("true", timeout=0)]})


@case("runtime.md: a hook that does not exist is an error")
def missing(bench):
    bench.refused("true", hooks={"createRuntime": [{"path": "/not/there"}]})


@case("config.md: a hook that reads nothing of its input is fine")
def input_unread(bench):
    for done in life(bench, hooks={kind: [{"path": "/bin/busybox", "args": ["true"]}] for kind in KINDS},
                     annotations={f"key{n}": "x" * 1000 for n in range(200)}).values():
        bench.equal(done.code, 0)
