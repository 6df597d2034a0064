"""containerd, driven by ctr: the shim io.containerd.runc.v2 with our runtime."""
import image
import machine
from check import can_checkpoint, check, daemon, eventually, limits, sh, write

KEEPS = "default"
BUSYBOX = image.BUSYBOX
RUNTIME = "--runtime io.containerd.runc.v2 --runc-binary /usr/local/bin/keg-runtime"


def runtime(name):
    """The options of a container: systemd needs to be told a slice and a name."""
    return RUNTIME + (f" --runc-systemd-cgroup --cgroup system.slice:ctr:{name}" if machine.uses_systemd() else "")


def main():
    write("/etc/containerd/config.toml", 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    daemon("containerd", "/var/log/containerd.log", "ctr version")
    check("import", f"ctr image import {image.archive('/tmp/busybox.tar')} && ctr image ls -q", BUSYBOX)
    daemon("ctr events", "/tmp/events", "true")
    foreground()
    detached()
    checkpoint()
    check("events", "cat /tmp/events", "/tasks/create.*/tasks/start.*/tasks/exit.*/tasks/exec-started.*/tasks/paused.*/tasks/resumed")
    check("the runtime forgot everything", "find /run/containerd/runc -mindepth 2", "^$")


def foreground():
    run = f"ctr run --rm {runtime('c1')}"
    cgroup = "system.slice/ctr-c1.scope" if machine.uses_systemd() else "default/c1"
    check("run: output and exit status", f"{run} {BUSYBOX} c1 sh -c 'echo hello; exit 7'", "(?m)^hello$", exit=7)
    # The shim closes its console when the program ends, and may not have read the last words.
    check("run: a terminal", f"{run} -t {BUSYBOX} c1 sh -c 'tty; stty size; sleep 0.5'", "/dev/pts/0", tty=True)
    check("run: environment, working directory", f"{run} --env A=b --cwd /tmp {BUSYBOX} c1 sh -c 'echo $A; pwd'", "(?m)^b\n/tmp$")
    check("run: read-only root, a bind mount", f"{run} --read-only --mount type=bind,src=/etc,dst=/mnt,options=rbind:ro {BUSYBOX} c1"
          " sh -c 'exec 2>&1; touch /x; touch /mnt/x; ls /mnt/passwd'", "/x: Read-only.*/mnt/x: Read-only.*/mnt/passwd")
    check("run: seccomp, capabilities", f"{run} --seccomp --cap-drop CAP_CHOWN {BUSYBOX} c1"
          " sh -c 'grep Seccomp: /proc/self/status; chown 1 /tmp 2>&1'", r"Seccomp:\s+2\n.*Operation not permitted", exit=1)
    check("run: limits", f"ctr run -d {runtime('c1')} --memory-limit 33554432 --cpus 0.5 {BUSYBOX} c1 sleep 100 && cat {limits(cgroup)};"
          " ctr task rm -f c1; ctr container rm c1", r"(?m)^33554432\n50000\b")
    check("run: killed by its memory limit", f"{run} --memory-limit 16777216 {BUSYBOX} c1 sh -c 'head -c 60000000 /dev/zero | tail'", exit=137)
    check("run: the host's network", f"[ $({run} --net-host {BUSYBOX} c1 readlink /proc/self/ns/net) = $(readlink /proc/self/ns/net) ]")
    check("run: no such command", f"{run} {BUSYBOX} c1 /nonexistent", "/nonexistent.*no such file or directory", exit=1)
    check("run: no such command in PATH", f"{run} {BUSYBOX} c1 nonexistent", r'exec: "nonexistent": executable file not found in \$PATH', exit=1)
    check("run: not executable", f"{run} {BUSYBOX} c1 /etc/passwd", "permission denied", exit=1)


def detached():
    check("run -d", f"ctr run -d {runtime('c2')} {BUSYBOX} c2 sleep 1000 && ctr task ls", "c2 +[0-9]+ +RUNNING")
    check("exec: output and exit status", "ctr task exec --exec-id e c2 sh -c 'echo in; exit 3'", "(?m)^in$", exit=3)
    check("exec: a terminal", "ctr task exec -t --exec-id e c2 sh -c 'tty; sleep 0.5'", "/dev/pts/[0-9]", tty=True)
    check("exec: user, working directory", "ctr task exec --exec-id e --user 33:44 --cwd /tmp c2 sh -c 'id; pwd'", "uid=33.*/tmp")
    check("exec: no such command", "ctr task exec --exec-id e c2 nonexistent", r"executable file not found in \$PATH", exit=1)
    check("exec: a short command many times", "for i in $(seq 20); do ctr task exec --exec-id e$i c2 true || exit; done")
    check("pause", "ctr task pause c2 && ctr task ls", "PAUSED")
    check("resume", "ctr task resume c2 && ctr task ls", "RUNNING")
    check("metrics", "ctr task metrics c2", "pids")
    check("ps", "ctr task ps c2", r"PID.*\n[0-9]+")
    check("kill TERM is ignored by a first process", "ctr task kill -s TERM c2 && sleep 0.3 && ctr task ls", "RUNNING")
    check("kill", "ctr task kill -s KILL c2")
    eventually("the task stops", "ctr task ls | grep STOPPED")
    check("kill of a stopped one", "ctr task kill -s KILL c2", "not found", exit=1)
    check("delete: the exit code", "ctr task rm c2", "137")
    check("nothing is listed", "(ctr container rm c2 && ctr task ls -q && ctr container ls -q) 2>/dev/null", "^$")


def checkpoint():
    if not can_checkpoint():
        return
    count = "i=0; while :; do i=$((i+1)); echo $i > /tmp/out; sleep 0.1; done"
    image = "docker.io/library/checkpoint:1"
    check("checkpoint", f"ctr run -d {runtime('k1')} {BUSYBOX} k1 sh -c '{count}'; sleep 1; ctr container checkpoint --task --image --rw k1 {image}")
    sh("ctr task kill -s KILL k1; sleep 0.5; ctr task rm k1; ctr container rm k1")
    check("restore", f"ctr container restore --live --rw k1 {image}; sleep 1; ctr task exec --exec-id e k1 sh -c '[ $(cat /tmp/out) -gt 12 ]'")
    sh("ctr task kill -s KILL k1; sleep 0.5; ctr task rm k1; ctr container rm k1")
