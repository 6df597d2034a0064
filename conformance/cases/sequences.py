"""What each caller sends, word by word and in its order: containerd, Docker, BuildKit, Buildah, conmon, podman, CRI-O.

conformance/callers runs the real ones. Here is what they have in common with every runtime: the command
lines, what they read back, and what they rely on without saying so.
"""
import json
import os
import re
import signal
import socket
import subprocess
import time

from bench import MB, TIMEOUT, Failed, case, wait_until


def gone(bench):
    bench.true(bench.rt("state", bench.id, check=False).code != 0, "the container is still there")
    bench.true(not os.path.exists(bench.root / bench.id), "delete leaves the container's directory")


@case("containerd: create, start, exec, ps, update, pause, kill, delete as go-runc sends them")
def containerd(bench):
    log = bench.dir / "log.json"
    glob = ("--log", str(log), "--log-format", "json")
    bench.bundle("sleep", "1000")
    bench.rt("create", "--bundle", bench.dir, "--pid-file", bench.dir / "init.pid", bench.id, globals=glob)
    pid = int((bench.dir / "init.pid").read_text())
    bench.rt("start", bench.id, globals=glob)
    bench.equal(json.loads(bench.rt("state", bench.id, globals=glob).out)["pid"], pid)
    process = bench.dir / "runc-process1"
    process.write_text(json.dumps({"user": {"uid": 0, "gid": 0}, "args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/"}))
    bench.rt("exec", "--process", process, "--detach", "--pid-file", bench.dir / "exec.pid", bench.id, globals=glob)
    second = int((bench.dir / "exec.pid").read_text())
    bench.equal(sorted(json.loads(bench.rt("ps", "--format", "json", bench.id, globals=glob).out)), sorted([pid, second]))
    bench.rt("update", "--resources=-", bench.id, globals=glob, input=json.dumps({"pids": {"limit": 100}}))
    bench.rt("pause", bench.id, globals=glob)
    bench.rt("resume", bench.id, globals=glob)
    bench.rt("kill", bench.id, "15", globals=glob)
    bench.rt("kill", "--all", bench.id, "9", globals=glob)
    bench.wait_for("stopped")
    bench.rt("kill", "--all", bench.id, "9", globals=glob, check=False)
    bench.rt("delete", bench.id, globals=glob)
    bench.equal(log.read_text(), "", "the log of what went well")
    gone(bench)


@case("containerd: the last error record of the log is the reason; its time is RFC 3339")
def containerd_error(bench):
    log = bench.dir / "log.json"
    bench.bundle("/no/where")
    bench.rt("create", "--bundle", bench.dir, bench.id, globals=("--log", str(log), "--log-format", "json"), check=False)
    records = [json.loads(line) for line in log.read_text().splitlines()]
    errors = [r for r in records if r["level"] == "error"]
    bench.true(errors, "there is none")
    bench.matches(errors[-1]["msg"], "no such file or directory")  # Docker makes exit code 127 of it
    gone(bench)


@case("containerd: its shim reads these words and takes them for `not found`")
def containerd_not_found(bench):
    bench.start("true")
    bench.wait_for("stopped")
    bench.matches(bench.rt("kill", bench.id, "9", check=False).err.lower(), "container not running|no such process|process already finished")
    bench.rt("delete", bench.id)
    bench.matches(bench.rt("delete", bench.id, check=False).err, "does not exist")


@case("containerd: init becomes the child of the shim, which is a subreaper and dies by no signal of the runtime's end")
def containerd_reaper(bench):
    bench.bundle("sh", "-c", "sleep 0.3; exit 5")
    script = (f"import ctypes, os, subprocess\nctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
              f"run = lambda *a: subprocess.run([{bench.runtime!r}, '--root', {str(bench.root)!r}, *a], check=True, cwd={str(bench.dir)!r}, "
              f"stdin=subprocess.DEVNULL, preexec_fn=lambda: ctypes.CDLL(None).prctl(1, 9, 0, 0, 0))\n"
              f"run('create', '--pid-file', 'pid', {bench.id!r})\nrun('start', {bench.id!r})\n"
              f"print(os.waitstatus_to_exitcode(os.waitpid(int(open({str(bench.dir / 'pid')!r}).read()), 0)[1]))\n"
              f"try:\n print(os.waitpid(-1, os.WNOHANG))\nexcept ChildProcessError:\n print('no other child')\n")
    done = subprocess.run(["python3", "-c", script], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    bench.equal(done.stdout.splitlines(), ["5", "no other child"], done.stderr.strip()[-200:])


@case("Docker: a plain container as dockerd configures it")
def docker(bench):
    masked = ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]
    namespaces = [{"type": kind} for kind in ("mount", "network", "uts", "pid", "ipc", "cgroup", "time")]
    out = bench.sh("readlink /proc/self/ns/time; echo $HOSTNAME; cat /proc/sys/net/ipv4/ip_unprivileged_port_start", patch={
        "ociVersion": "1.2.0", "linux.namespaces": namespaces, "process.env": ["PATH=/bin", "HOSTNAME=0123456789ab"],
        "linux.maskedPaths": masked, "linux.readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        "linux.sysctl": {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"},
        "linux.cgroupsPath": f"/docker/{bench.id}", "process.oomScoreAdj": 0,
        "linux.resources": {"devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"}],
                            "memory": {}, "cpu": {"shares": 0}, "pids": {}, "blockIO": {}}})
    time_namespace, host, port = out.split()
    bench.true(time_namespace != os.readlink("/proc/self/ns/time"), "the time namespace is the host's")
    bench.equal((host, port), ("0123456789ab", "0"))


@case("Docker: libnetwork's prestart hook finds the network namespace through the pid on its input")
def docker_network_hook(bench):
    hook = {"path": "/bin/busybox", "args": ["sh", "-c", f"cat > {bench.dir}/told; pid=$(sed 's/.*\"pid\":[ ]*\\([0-9]*\\).*/\\1/' {bench.dir}/told | tr -d '\\n'); "
                                                         f"ls -l /proc/$pid/ns/net > {bench.dir}/net"]}
    bench.create("sleep", "1000", hooks={"prestart": [hook]})
    bench.matches((bench.dir / "net").read_text(), r"net:\[\d+\]")


@case("BuildKit: run --keep in the foreground, then delete")
def buildkit(bench):
    log = bench.dir / "runc-log.json"
    bench.bundle("sh", "-c", "echo built > /result; exit 3")
    glob = ("--log", str(log), "--log-format", "json")
    bench.equal(bench.rt("run", "--bundle", bench.dir, "--keep", bench.id, globals=glob, check=False).code, 3)
    bench.equal((bench.rootfs / "result").read_text(), "built\n")
    bench.rt("delete", bench.id, globals=glob)
    bench.equal(log.read_text(), "")
    gone(bench)


@case("BuildKit: a signal to the runtime in the foreground reaches the process")
def buildkit_signal(bench):
    bench.bundle("sh", "-c", "trap 'exit 9' TERM; echo > /ready; while :; do sleep 0.05; done")
    running = subprocess.Popen([bench.runtime, "--root", bench.root, "run", "--bundle", bench.dir, bench.id], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: (bench.rootfs / "ready").exists() or running.poll() is not None, "the process")
        running.send_signal(signal.SIGTERM)
        bench.equal(running.wait(TIMEOUT), 9)
    finally:
        running.kill()
        running.wait()


@case("Buildah: create, start, state in a loop, delete")
def buildah(bench):
    bench.bundle("sh", "-c", "sleep 0.2; exit 0")
    bench.rt("create", "--bundle", bench.dir, "--pid-file", bench.dir / "pid", bench.id)
    bench.rt("start", bench.id)
    seen = set()

    def stopped():
        seen.add(bench.state()["status"])
        return "stopped" in seen
    wait_until(stopped, "the end of the process")
    bench.true(seen <= {"creating", "created", "running", "stopped"}, f"the states were {seen}")
    bench.rt("delete", bench.id)
    gone(bench)


@case("conmon: the runtime's output is the container's, and holds nothing else; a failure leaves no pid file")
def conmon(bench):
    bench.bundle("sh", "-c", "echo out; echo err >&2")
    bench.rt("create", "--bundle", bench.dir, "--pid-file", bench.dir / "pidfile", bench.id)
    out, err = bench.dir / "out", bench.dir / "err"
    os.link(out, bench.dir / "kept-out"), os.link(err, bench.dir / "kept-err")
    out.unlink(), err.unlink()
    bench.rt("start", bench.id)
    bench.wait_for("stopped")
    bench.equal(((bench.dir / "kept-out").read_text(), (bench.dir / "kept-err").read_text()), ("out\n", "err\n"))
    (bench.dir / "p.json").write_text(json.dumps({"args": ["nowhere"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}))
    done = bench.rt("exec", "--pid-file", bench.dir / "exec.pid", "--process", bench.dir / "p.json", "--detach", bench.id, check=False)
    bench.true(done.code != 0 and not (bench.dir / "exec.pid").exists(), "a failed exec has a pid file")


@case("conmon: /proc/PID/cgroup leads to where memory.events or memory.oom_control is")
def conmon_memory(bench):
    pid = bench.start(patch={"linux.resources": {"memory": {"limit": 64 * MB}}})["pid"]
    for line in open(f"/proc/{pid}/cgroup"):
        _, controllers, path = line.strip().split(":", 2)
        for where in (f"/sys/fs/cgroup{path}/memory.events", f"/sys/fs/cgroup/memory{path}/memory.oom_control"):
            if (controllers in ("", "memory")) and os.path.exists(where):
                return
    raise Failed("there is no such file")


@case("podman: --log has one JSON object and no more after a failure")
def podman_log(bench):
    log = bench.dir / "oci-log"
    bench.bundle("/etc/passwd")
    bench.rt("create", "--bundle", bench.dir, bench.id, globals=("--log-format=json", f"--log={log}"), check=False)
    bench.matches(json.loads(log.read_text())["msg"], "(?i)permission denied")  # podman makes exit code 126 of it


@case("podman: kill and delete with nearly no environment")
def podman(bench):
    bench.start()
    few = {"XDG_RUNTIME_DIR": str(bench.dir)}
    bench.rt("kill", bench.id, "9", env=few)
    bench.wait_for("stopped")
    bench.rt("delete", "--force", bench.id, env=few)
    gone(bench)


@case("CRI-O: the state root is given, signals have names, update comes on standard input")
def crio(bench):
    few = {"XDG_RUNTIME_DIR": str(bench.dir), "CRI_O_EXTERNAL": "1"}
    bench.bundle("sleep", "1000")
    bench.rt("create", "--bundle", bench.dir, "--pid-file", bench.dir / "pidfile", bench.id, env=few)
    bench.rt("start", bench.id, env=few)
    found = json.loads(bench.rt("state", bench.id, env=few).out)
    bench.true(re.match(r"\d{4}-", found["created"]), "created is no time")
    bench.rt("update", "--resources", "-", bench.id, env=few, input=json.dumps({"memory": {"limit": 128 * MB}}))
    (bench.dir / "p.json").write_text(json.dumps({"args": ["echo", "synchronously"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}))
    bench.equal(bench.rt("exec", "--process", bench.dir / "p.json", bench.id, env=few).out, "synchronously\n")
    bench.rt("kill", bench.id, "KILL", env=few)
    bench.wait_for("stopped")
    bench.rt("kill", "-a", bench.id, "9", env=few, check=False)
    bench.rt("delete", "--force", bench.id, env=few)
    gone(bench)


@case("CRI-O: a pod's containers join the namespaces of its first one")
def pod(bench):
    first = bench.start()["pid"]
    second = f"{bench.id}-second"
    joined = [{"type": kind, "path": f"/proc/{first}/ns/{name}"} for kind, name in (("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"))]
    bench.bundle("sleep", "1000", hostname=None, patch={"linux.namespaces": joined + [{"type": "mount"}]})
    bench.rt("run", "--detach", second)
    bench.equal(bench.rt("exec", second, "readlink", "/proc/1/ns/pid").out, bench.exec("readlink", "/proc/self/ns/pid").out)
    bench.matches(bench.exec("ps").out, r"sleep(.|\n)*sleep")
    bench.rt("kill", second, "KILL")
    bench.wait_for("stopped", second)
    bench.rt("delete", second)
    bench.equal(bench.state()["status"], "running", "the first container")


@case("runc#4757: a runtime that is killed in the middle of create leaves what delete --force removes")
def killed_create(bench):
    for delay in (0.002, 0.005, 0.01, 0.02, 0.04):
        bench.bundle("sleep", "1000")
        creating = subprocess.Popen([bench.runtime, "--root", bench.root, "create", "--bundle", bench.dir, bench.id], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        creating.kill()
        creating.wait()
        bench.rt("delete", "--force", bench.id)
        gone(bench)
    bench.create("sleep", "1000")


@case("containerd: a descriptor of the caller's is held by nobody after run --detach")
def socket_is_closed(bench):
    inside, outside = socket.socketpair()
    bench.bundle("sleep", "1000")
    subprocess.run([bench.runtime, "--root", bench.root, "run", "--detach", "--bundle", bench.dir, bench.id], pass_fds=[inside.fileno()], check=True,
                   timeout=TIMEOUT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    inside.close()
    outside.settimeout(TIMEOUT)
    bench.equal(outside.recv(1), b"")  # the end of the file: nobody has the other side any more
    outside.close()
