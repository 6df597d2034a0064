"""What the commands print and hand over: state, list, ps, files, sockets, descriptors, exec's options."""
import array
import json
import os
import re
import socket
import subprocess
import threading
import time

from bench import TIMEOUT, case


def listen(path):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.settimeout(TIMEOUT)
    server.bind(str(path))
    server.listen(1)
    return server


def receive(server, box):
    """One connection, one message: its text and its descriptors."""
    connection, _ = server.accept()
    with connection:
        text, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(64))
        fds = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        box.append((text, list(fds)))


class Receiver:
    """A socket that waits for one message while the runtime runs."""

    def __init__(self, path):
        self.box, self.server = [], listen(path)
        self.thread = threading.Thread(target=receive, args=(self.server, self.box), daemon=True)
        self.thread.start()

    def message(self, bench):
        self.thread.join(TIMEOUT)
        self.server.close()
        bench.true(self.box, "nothing came to the socket")
        return self.box[0]


@case("runtime.md: state has every member of the spec")
def state(bench):
    bench.create("sleep", "1000", annotations={"com.example.a": "b"})
    text = bench.rt("state", bench.id).out
    found = json.loads(text)
    bench.matches(found["ociVersion"], r"^1\.\d+\.\d+")
    bench.equal(found["id"], bench.id)
    bench.equal(found["status"], "created")
    bench.equal(found["bundle"], str(bench.dir))
    bench.equal(found["annotations"], {"com.example.a": "b"})
    bench.true(os.path.isdir(f"/proc/{found['pid']}"), "the pid is no process")
    bench.equal(found["rootfs"], str(bench.rootfs), "rootfs")
    bench.matches(found["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


@case("runtime.md: the states of a life")
def states(bench):
    bench.create("sleep", "1000")
    bench.equal(bench.state()["status"], "created")
    bench.rt("start", bench.id)
    bench.equal(bench.state()["status"], "running")
    bench.rt("pause", bench.id)
    bench.equal(bench.state()["status"], "paused")
    bench.rt("resume", bench.id)
    bench.equal(bench.state()["status"], "running")
    bench.equal(bench.kill()["status"], "stopped")
    bench.equal(bench.state().get("pid", 0), 0, "pid of a stopped container")
    bench.rt("delete", bench.id)


@case("runc: list as JSON is an array of states with an owner")
def list_json(bench):
    bench.create("sleep", "1000")
    found = json.loads(bench.rt("list", "--format", "json").out)
    bench.equal([(c["id"], c["status"], c["owner"]) for c in found], [(bench.id, "created", "root")])


@case("runc: list as a table")
def list_table(bench):
    bench.create("sleep", "1000")
    lines = bench.rt("list").out.splitlines()
    bench.equal(lines[0].split()[-3:], ["BUNDLE", "CREATED", "OWNER"])
    bench.equal(lines[1].split()[0], bench.id)
    bench.equal(lines[1].split()[2], "created")


@case("runc: list -q is the names")
def list_quiet(bench):
    bench.create("sleep", "1000")
    bench.equal(bench.rt("list", "-q").out, f"{bench.id}\n")


@case("runc: list without containers is no error")
def list_empty(bench):
    bench.bundle()
    bench.root.mkdir()
    bench.true(json.loads(bench.rt("list", "--format", "json").out or "null") in (None, []), "something is listed")


@case("runc: ps as JSON is the pids")
def ps_json(bench):
    pid = bench.start()["pid"]
    bench.equal(json.loads(bench.rt("ps", "--format", "json", bench.id).out), [pid])


@case("runc: ps as a table is what ps says of the container's processes")
def ps_table(bench):
    pid = bench.start()["pid"]
    lines = bench.rt("ps", bench.id).out.splitlines()
    bench.equal(len(lines), 2, "lines")
    bench.true("PID" in lines[0].split(), "there is no PID column")
    bench.equal(lines[1].split()[lines[0].split().index("PID")], str(pid))


@case("runc: ps takes ps's options")
def ps_options(bench):
    pid = bench.start()["pid"]
    bench.equal(bench.rt("ps", bench.id, "-o", "pid,comm").out.split(), ["PID", "COMMAND", str(pid), "sleep"])


@case("runc: the pid file has the pid and no newline, when create returns")
def pid_file(bench):
    bench.create("sleep", "1000", options=("--pid-file", str(bench.dir / "pid")))
    bench.equal((bench.dir / "pid").read_text(), str(bench.state()["pid"]))


@case("runc: a failed create writes no pid file")
def pid_file_of_failure(bench):
    bench.bundle("nowhere")
    bench.rt("create", "--pid-file", bench.dir / "pid", bench.id, check=False)
    bench.true(not (bench.dir / "pid").exists(), "it is there")


@case("runc: exec writes a pid file")
def pid_file_of_exec(bench):
    bench.start()
    bench.exec("sleep", "1000", options=("--detach", "--pid-file", str(bench.dir / "exec-pid")))
    pid = int((bench.dir / "exec-pid").read_text())
    bench.equal(os.readlink(f"/proc/{pid}/ns/pid"), os.readlink(f"/proc/{bench.state()['pid']}/ns/pid"))


@case("runc: the console socket gets the terminal's master and its name; consoleSize is its size")
def console_socket(bench):
    receiver = Receiver(bench.dir / "console")
    bench.create("sh", "-c", "stty size; tty; sleep 1000", options=("--console-socket", str(bench.dir / "console")),
                 patch={"process.terminal": True, "process.consoleSize": {"height": 25, "width": 91}})
    name, fds = receiver.message(bench)
    bench.equal(len(fds), 1, "descriptors")
    bench.true(len(name) > 0, "the message is empty")
    bench.rt("start", bench.id)
    said = b""
    while said.count(b"\n") < 2:
        said += os.read(fds[0], 4096)
    os.close(fds[0])
    bench.equal(said.split()[:2], [b"25", b"91"])
    bench.matches(said.decode(), r"/dev/(pts/\d+|console)")


@case("runc: exec with a terminal gives it to the console socket")
def console_socket_of_exec(bench):
    bench.start()
    receiver = Receiver(bench.dir / "console")
    process = {"terminal": True, "args": ["sh", "-c", "test -t 0 && echo a-terminal; sleep 1"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
               "consoleSize": {"height": 10, "width": 20}}
    (bench.dir / "process.json").write_text(json.dumps(process))
    bench.rt("exec", "--process", bench.dir / "process.json", "--console-socket", bench.dir / "console", "--detach", "--pid-file",
             bench.dir / "pid", bench.id)
    _, fds = receiver.message(bench)
    bench.matches(os.read(fds[0], 4096).decode(), "a-terminal")
    os.close(fds[0])


@case("runc: the pidfd socket gets a pidfd")
def pidfd_socket(bench):
    receiver = Receiver(bench.dir / "pidfd")
    bench.create("sleep", "1000", options=("--pidfd-socket", str(bench.dir / "pidfd")))
    _, fds = receiver.message(bench)
    found = re.search(r"^Pid:\s+(\d+)$", open(f"/proc/self/fdinfo/{fds[0]}").read(), re.MULTILINE)
    bench.equal(int(found[1]), bench.state()["pid"])
    os.close(fds[0])


@case("runc: a seccomp listener gets the descriptor and the container's state")
def seccomp_listener(bench):
    receiver = Receiver(bench.dir / "agent")
    bench.create("sleep", "1000", patch={"linux.seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(bench.dir / "agent"), "listenerMetadata": "my data",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}})
    text, fds = receiver.message(bench)
    told = json.loads(text)
    bench.equal((told["fds"], told["metadata"], told["state"]["id"], len(fds)), (["seccompFd"], "my data", bench.id, 1))
    bench.equal(told["pid"], bench.state()["pid"])
    os.close(fds[0])


def run_with_descriptors(bench, before, *options):
    """`run` by a shell that has opened some files first."""
    words = " ".join(map(str, (bench.runtime, "--root", bench.root, "run", *options, "--bundle", bench.dir, bench.id)))
    return subprocess.run(["sh", "-c", f"{before} exec {words}"], capture_output=True, text=True, timeout=TIMEOUT, check=False).stdout


@case("runc: --preserve-fds gives descriptors to the process, others are closed")
def preserve_fds(bench):
    bench.bundle("sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; head -c5 <&3")
    out = run_with_descriptors(bench, "exec 3< /etc/passwd 4< /etc/group;", "--preserve-fds", 1)
    bench.equal(out.split(), ["0", "1", "2", "3", "4", "root:"])  # 4 is the directory that ls reads


@case("runc: LISTEN_FDS passes sockets on and tells the container")
def listen_fds(bench):
    bench.bundle("sh", "-c", "echo $LISTEN_FDS-$LISTEN_PID; head -c5 <&3")
    out = run_with_descriptors(bench, "exec 3< /etc/passwd; LISTEN_FDS=1 LISTEN_PID=$$")
    bench.equal(out.split(), ["1-1", "root:"])


@case("runc: no other descriptor reaches the process (CVE-2024-21626)")
def no_leaks(bench):
    bench.equal(bench.sh("ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3")
    bench.start()
    bench.equal(bench.exec("ls", "/proc/self/fd").out.split(), ["0", "1", "2", "3"])


@case("runc: standard input, output and error are the caller's")
def stdio(bench):
    bench.bundle("sh", "-c", "cat; echo error >&2")
    done = subprocess.run([bench.runtime, "--root", bench.root, "run", "--bundle", bench.dir, bench.id], input="through\n",
                          capture_output=True, text=True, timeout=TIMEOUT, check=False)
    bench.equal((done.stdout, done.stderr, done.returncode), ("through\n", "error\n", 0))


@case("runc: the first line of --version")
def version(bench):
    bench.bundle()
    done = bench.rt("--version")
    bench.matches(done.out, r"^\S+ version \S+\n")
    bench.matches(done.out, r"(?m)^spec: 1\.\d+\.\d+")
    bench.equal(done.err, "", "stderr")


@case("features.md: features says what is supported, on stdout and without noise")
def features(bench):
    bench.bundle()
    done = bench.rt("features")
    found = json.loads(done.out)
    bench.equal(done.err, "", "stderr")
    bench.true(found["ociVersionMin"] and found["ociVersionMax"], "the versions are missing")
    bench.equal(sorted(found["hooks"]), sorted(["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]))
    bench.true({"rro", "ro", "bind", "rbind", "nosuid", "tmpcopyup"} <= set(found["mountOptions"]), "a mount option is missing")
    linux = found["linux"]
    bench.true({"user", "cgroup", "time", "network"} <= set(linux["namespaces"]), "a namespace is missing")
    bench.true("CAP_SYS_ADMIN" in linux["capabilities"], "the capabilities are missing")
    bench.true(linux["cgroup"]["v1"] and linux["cgroup"]["v2"], "cgroups")
    bench.true(linux["seccomp"]["enabled"] and "SCMP_ACT_NOTIFY" in linux["seccomp"]["actions"], "seccomp")
    bench.true(linux["mountExtensions"]["idmap"]["enabled"], "id-mapped mounts")


@case("features.md: the mount options that are said are known")
def features_mount_options(bench):
    bench.bundle()
    options = set(json.loads(bench.rt("features").out)["mountOptions"])
    wanted = {"async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion", "lazytime", "loud", "noatime", "nodev",
              "nodiratime", "noexec", "noiversion", "nolazytime", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private", "rbind",
              "relatime", "remount", "ro", "rprivate", "rshared", "rslave", "runbindable", "rw", "shared", "silent", "slave", "strictatime",
              "suid", "symfollow", "sync", "unbindable", "rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec", "rnodiratime",
              "rdiratime", "rrelatime", "rnorelatime", "rnoatime", "ratime", "rstrictatime", "rnostrictatime", "rnosymfollow", "rsymfollow"}
    bench.equal(sorted(wanted - options), [], "missing")


@case("runc: spec writes a config that runs, and does not write over one")
def spec(bench):
    bench.bundle()
    (bench.dir / "config.json").unlink()
    bench.rt("spec", "--bundle", bench.dir)
    config = json.loads((bench.dir / "config.json").read_text())
    bench.true(bench.rt("spec", "--bundle", bench.dir, check=False).code != 0, "it was written over")
    config["process"].update(terminal=False, args=["echo", "ran"])
    (bench.dir / "config.json").write_text(json.dumps(config))
    bench.equal(bench.rt("run", bench.id).out, "ran\n")


@case("runc: spec --rootless makes a user namespace")
def spec_rootless(bench):
    bench.bundle()
    (bench.dir / "config.json").unlink()
    bench.rt("spec", "--rootless", "--bundle", bench.dir)
    config = json.loads((bench.dir / "config.json").read_text())
    bench.true("user" in [n["type"] for n in config["linux"]["namespaces"]], "there is none")
    bench.true(config["linux"]["uidMappings"], "there are no mappings")


@case("podman: checkpoint --help succeeds, if checkpoints are there")
def checkpoint_help(bench):
    bench.bundle()
    bench.equal(bench.rt("checkpoint", "--help", check=False).code, 0)


# --- exec's options

@case("runc: exec is in every namespace and in the cgroups of the container")
def exec_place(bench):
    pid = bench.start()["pid"]
    for kind in ("pid", "net", "ipc", "uts", "mnt", "cgroup", "user"):
        bench.equal(bench.exec("readlink", f"/proc/self/ns/{kind}").out.strip(), os.readlink(f"/proc/{pid}/ns/{kind}"))
    bench.equal(bench.exec("cat", "/proc/self/cgroup").out, bench.exec("cat", "/proc/1/cgroup").out)


@case("runc: exec takes directory, variables, user and groups")
def exec_options(bench):
    bench.start()
    out = bench.exec("sh", "-c", "pwd; id -u; id -g; echo $A$B; grep Groups /proc/self/status",
                     options=("--cwd", "/tmp", "--env", "A=1", "--env", "B=2", "--user", "7:8",
                             "--additional-gids", "9", "--additional-gids", "10")).out
    bench.equal(out.split(), ["/tmp", "7", "8", "12", "Groups:", "9", "10"])


@case("runc: exec's process has the environment and directory of the config")
def exec_defaults(bench):
    bench.start(patch={"process.env": ["PATH=/bin", "FROM=config"], "process.cwd": "/tmp", "process.user": {"uid": 5, "gid": 6}})
    bench.equal(bench.exec("sh", "-c", "pwd; echo $FROM; id -u").out.split(), ["/tmp", "config", "5"])


@case("runc: exec --process takes a process of the spec")
def exec_process(bench):
    bench.start()
    (bench.dir / "process.json").write_text(json.dumps({"args": ["sh", "-c", "pwd; echo $X; id -u; ulimit -n; grep -c 'NoNewPrivs.*1' /proc/self/status"],
        "cwd": "/tmp", "env": ["PATH=/bin", "X=y"], "user": {"uid": 3, "gid": 4}, "noNewPrivileges": True,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 77}]}))
    bench.equal(bench.rt("exec", "--process", bench.dir / "process.json", bench.id).out.split(), ["/tmp", "y", "3", "77", "1"])


@case("runc: exec --cap adds to bounding, effective and permitted, never to inheritable (CVE-2022-29162)")
def exec_cap(bench):
    bench.start(patch={"process.capabilities": {"bounding": ["CAP_KILL"]}})
    out = bench.exec("grep", "Cap", "/proc/self/status", options=("--cap", "CAP_NET_RAW")).out
    sets = dict(re.findall(r"Cap(\w+):\t(\w+)", out))
    raw = 1 << 13
    bench.true(all(int(sets[s], 16) & raw for s in ("Bnd", "Eff", "Prm")), f"it is not there: {sets}")
    bench.true(not int(sets["Inh"], 16), f"something is inheritable: {sets}")


@case("runc: exec --no-new-privs")
def exec_no_new_privs(bench):
    bench.start()
    bench.equal(bench.exec("grep", "NoNewPrivs", "/proc/self/status", options=("--no-new-privs",)).out.split()[1], "1")


@case("runc: exec --detach returns at once, the process goes on")
def exec_detach(bench):
    bench.start()
    bench.exec("sh", "-c", "sleep 0.3; echo done > /said", options=("--detach",))
    bench.wait_for_file("/said")


@case("runc: words after the container's name are the program's")
def exec_words(bench):
    bench.start()
    bench.equal(bench.exec("echo", "-n", "--detach", "-t").out, "--detach -t")


@case("runc: exec into a paused container waits with --ignore-paused")
def exec_ignore_paused(bench):
    bench.start()
    bench.rt("pause", bench.id)
    waiting = subprocess.Popen([bench.runtime, "--root", bench.root, "exec", "--ignore-paused", bench.id, "sh", "-c", "echo done > /said"])
    try:
        time.sleep(0.2)
        bench.true(waiting.poll() is None, "it did not wait")
        bench.rt("resume", bench.id)
        bench.equal(waiting.wait(TIMEOUT), 0)
        bench.true((bench.rootfs / "said").exists(), "it did not run after the resume")
    finally:
        waiting.kill()
        waiting.wait()


@case("runc: run --detach leaves the container, run --keep its state")
def run_keep(bench):
    bench.bundle("true")
    bench.rt("run", "--keep", bench.id)
    bench.equal(bench.state()["status"], "stopped")
    bench.rt("delete", bench.id)
    bench.rt("run", bench.id)
    bench.true(bench.rt("state", bench.id, check=False).code != 0, "run without --keep leaves it")
    bench.bundle("sleep", "1000")
    bench.rt("run", "--detach", "--pid-file", bench.dir / "pid", bench.id)
    bench.equal(bench.state()["pid"], int((bench.dir / "pid").read_text()))


@case("runc: kill takes names, names without SIG, and numbers")
def kill_names(bench):
    for word in ("SIGUSR1", "usr1", "10"):
        bench.start("sh", "-c", "trap 'echo > /got; exit 0' USR1; echo > /ready; while :; do sleep 0.05; done")
        bench.wait_for_file("/ready")
        bench.rt("kill", bench.id, word)
        bench.wait_for("stopped")
        bench.true((bench.rootfs / "got").exists(), f"{word} did not come")
        bench.rt("delete", bench.id)
        (bench.rootfs / "got").unlink(), (bench.rootfs / "ready").unlink()


@case("runc: the default state of --root is made, with nothing for others in it")
def root_directory(bench):
    bench.create("sleep", "1000")
    bench.true(os.path.isdir(bench.root / bench.id), "the container has no directory")
    bench.equal(os.stat(bench.root).st_mode & 0o066, 0, "others can read it")
    bench.rt("delete", "--force", bench.id)
    bench.true(not os.path.exists(bench.root / bench.id), "delete leaves its directory")


@case("sd_notify(3): NOTIFY_SOCKET reaches the container, start waits for READY=1")
def notify_socket(bench):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.settimeout(TIMEOUT)
    server.bind(str(bench.dir / "notify"))
    bench.bundle("sh", "-c", "test -S $NOTIFY_SOCKET && echo $NOTIFY_SOCKET > /said; sleep 1000")
    environment = {"NOTIFY_SOCKET": str(bench.dir / "notify")}
    bench.rt("create", bench.id, env=environment)
    starting = subprocess.Popen([bench.runtime, "--root", bench.root, "start", bench.id], env={"PATH": os.environ["PATH"], **environment})
    try:
        bench.wait_for_file("/said")    # it has the socket
    finally:
        starting.kill()
        starting.wait()
        server.close()
