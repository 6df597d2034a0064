"""podman, as root with netavark or CNI and as an ordinary user, with keg-runtime as its runtime; and pods."""
import os
import stat
import subprocess

import image
import machine
from check import become, can_checkpoint, check, documented, limits, wait_for, write

# On a hybrid machine podman 4.3 does not remove the cgroup of a pod, libpod_parent/ID; containers are in libpod-ID.
KEEPS = "libpod_parent(/conmon|/[0-9a-f]{64})?|/run/netns|/dev/(net/tun|fuse)"


def main(network):
    settings(network)
    config = "/etc/containers/containers.conf.d/keg.conf"
    write(config, documented("callers.md", config))
    if network == "rootless":
        become_rootless()
    load()
    foreground()
    exit_codes()
    ports()
    detached()
    if network != "rootless" or is_delegated():
        cgroups()
    if network == "rootless":
        check("keep-id", "podman run --rm --userns keep-id busybox id -un", "^keg-user\n$")
    else:
        check("private user namespace", "podman run --rm --uidmap 0:100000:1000 busybox cat /proc/self/uid_map", "^ +0 +100000 +1000\n$")
        checkpoint()
    pods(network)
    builds()
    check("rm of all", "podman rm -fa -t 0 && podman system migrate")  # which ends the process that keeps a user's namespaces
    check("the runtime forgot everything", "find /run/{runc,keg} ${XDG_RUNTIME_DIR:-/none}/{runc,keg} -mindepth 1 2>/dev/null; true", "^$")


def is_delegated():
    """Whether an ordinary user has cgroups: on v2, and by the user's systemd."""
    return machine.is_unified() and machine.uses_systemd()


def settings(network):
    """What this machine needs, whatever the runtime."""
    hard = os.sysconf("SC_OPEN_MAX")
    write("/etc/containers/containers.conf.d/machine.conf", f"""
[containers]
# podman asks for more than the limits of the one who starts it, which takes CAP_SYS_RESOURCE.
default_ulimits = ["nofile=1024:{hard}", "nproc=10000:10000"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "{machine.cgroup_manager}"
events_logger = "file"
[network]
network_backend = "{'cni' if network == 'cni' else 'netavark'}"
""")


def load():
    check("the runtime is ours", "podman info --format '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}'", "keg /usr/local/bin/keg-runtime")
    check("load", f"podman load -q -i {image.archive('/tmp/busybox.tar')}", "busybox:latest")


def foreground():
    check("run --rm: output and exit status", "podman run --rm busybox sh -c 'echo out; echo err >&2; exit 6'", "out", "err", exit=6)
    check("run: standard input", "echo word | podman run --rm -i busybox cat", "^word\n$")
    check("run -it", "podman run --rm -it busybox sh -c 'tty; echo $TERM'", "/dev/pts/0.*xterm", tty=True)
    check("run: environment, user, directory, host name",
          "podman run --rm -e A=b -u 33:44 -w /tmp -h box busybox sh -c 'echo $A; id; pwd; hostname'", "^b\nuid=33.*gid=44.*\n/tmp\nbox\n$")
    check("run: read-only, tmpfs, capabilities, umask", "podman run --rm --network none --read-only --tmpfs /t --cap-drop all --umask 0077 busybox"
          " sh -c 'exec 2>&1; grep CapBnd /proc/self/status; umask; touch /t/x && touch /x'", "CapBnd:\t0+\n0077\n.*/x: Read-only", exit=1)
    check("run: volumes", "podman run --rm -v data:/data -v /etc:/host:ro busybox sh -c 'echo kept > /data/x; touch /host/x';"
          " podman run --rm -v data:/data busybox cat /data/x", "/host/x: Read-only.*kept")
    check("run: seccomp", "podman run --rm busybox grep Seccomp: /proc/self/status", "\t2")
    check("run: --init", "podman run --rm --init --init-path /usr/bin/tini-static busybox ps", "1 root .*-init")


def exit_codes():
    check("125: a bad flag", "podman run --rm --no-such-flag busybox true", "unknown flag", exit=125)
    check("126: a directory", "podman run --rm busybox /tmp", "permission denied|is a directory", exit=126)
    check("126: not executable", "podman run --rm busybox /etc/passwd", "permission denied", exit=126)
    check("127: not in PATH", "podman run --rm busybox nonexistent", r"executable file .*nonexistent.* not found in \$PATH|nonexistent.*executable file not found in \$PATH", exit=127)
    check("127: no such file", "podman run --rm busybox /nonexistent", "no such file or directory", exit=127)
    check("137: killed", "podman run --rm --init --init-path /usr/bin/tini-static busybox sh -c 'kill -9 $$'", exit=137)


def ports():
    check("run -d -p", "podman run -d --name web -p 127.0.0.1:8080:80 busybox httpd -f -p 80 -h /var/www", "^[0-9a-f]{64}\n$")
    wait_for("curl -sf http://127.0.0.1:8080/")
    check("a published port", "curl -sS -m 20 http://127.0.0.1:8080/", "^hello from the container\n$")


def detached():
    check("logs", "podman run --name talk busybox sh -c 'echo one; echo two >&2'; podman logs talk; podman rm talk", "one.*two")
    check("exec: output and exit status", "podman exec web sh -c 'echo in; exit 3'", "^in\n$", exit=3)
    check("exec -it", "podman exec -it web tty", "/dev/pts/0", tty=True)
    check("exec -d", "podman exec -d web touch /tmp/done && until podman exec web ls /tmp | grep done; do sleep 0.1; done", "done")
    check("exec: user, directory, environment", "podman exec -u 33 -w /tmp -e A=b web sh -c 'id -u; pwd; echo $A'", "^33\n/tmp\nb\n$")
    check("exec: 126", "podman exec web /etc/passwd", "permission denied", exit=126)
    check("exec: 127", "podman exec web nonexistent", r"executable file not found in \$PATH|not found in \$PATH", exit=127)
    check("exec: many at once", "for i in $(seq 10); do podman exec web true & p=\"$p $!\"; done; for i in $p; do wait $i || exit; done")
    check("top", "podman top web", "httpd")
    check("inspect", "podman inspect -f '{{.State.Status}} {{.OCIRuntime}}' web", "^running keg\n$")
    check("healthcheck", "podman run -d --name healthy --health-cmd 'test -e /bin/sh' --health-interval disable busybox sleep 100 && podman healthcheck run healthy")
    check("stop: TERM, then KILL", "podman stop -t 1 web && podman inspect -f '{{.State.ExitCode}}' web", "137")
    check("start, kill, wait", "podman start web && podman kill -s KILL web && podman wait web", "137")
    check("rm", "podman rm web && podman ps -aq --filter name=web", "^[^\n]*\n$")


def cgroups():
    check("limits", f"podman run --rm -m 64m --cpus 0.5 --pids-limit 50 busybox cat {limits()}", r"^67108864\n50000\b.*\n50\n$")
    check("137: out of memory", "podman run --rm -m 16m busybox sh -c 'head -c 60000000 /dev/zero | tail > /dev/null'", exit=137)
    check("run -d", "podman run -d --name work busybox sleep 1000")
    check("stats", "podman stats --no-stream work", "work.*B / ")
    check("update", f"podman update --memory 64m work && podman exec work cat {limits()}", "67108864\n")
    check("pause", "podman pause work && podman ps -a --filter name=work", "[Pp]aused")
    check("exec in a paused one", "podman exec work true", "running containers|paused", exit=255)
    check("unpause", "podman unpause work && podman ps --filter name=work", "Up")
    check("without cgroups", "podman run --rm --cgroups disabled busybox grep -c libpod /proc/self/cgroup", "^0\n", exit=1)
    check("private cgroup namespace", "podman run --rm --cgroupns private busybox sh -c 'grep memory /proc/self/cgroup || cat /proc/self/cgroup'", ":/\n$")


def pods(network):
    # podman 4.3's own pod cgroup refuses every device on cgroup v2 with the cgroupfs manager.
    share = "--share-parent=false" if not machine.uses_systemd() and machine.is_unified() else ""
    check("pod create", f"podman pod create {share} --name pod -p 8082:80")
    check("two containers in a pod", "podman run -d --pod pod --name one busybox httpd -f -p 80 -h /var/www && podman run -d --pod pod --name two busybox sleep 1000")
    wait_for("curl -sf http://127.0.0.1:8082/")
    check("a pod's port", "curl -sS -m 20 http://127.0.0.1:8082/", "hello")
    check("a pod's network is shared", "podman exec two wget -qO- http://127.0.0.1/", "hello")
    if network != "rootless" or is_delegated():
        check("pod pause, unpause", "podman pod pause pod && podman pod unpause pod")
    check("pod stop", "podman pod stop -t 0 pod")
    check("pod rm", "podman pod rm -f -t 0 pod")


def builds():
    write("/tmp/context/Dockerfile", "FROM busybox\nWORKDIR /app\nRUN echo built > out\nUSER 33\nCMD [\"cat\", \"/app/out\"]\n")
    check("build", "podman build -q -t built /tmp/context && podman run --rm built", "built\n$")


def checkpoint():
    if not can_checkpoint():
        return
    count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done"
    check("checkpoint", f"podman run -d --name k busybox sh -c '{count}'; sleep 1; podman container checkpoint k")
    check("restore", "before=$(podman logs k | tail -1); podman container restore k && sleep 2 && [ $(podman logs k | tail -1) -gt $before ]")
    check("checkpoint of a running one into an archive", "podman container checkpoint --leave-running --export /tmp/k.tar.gz k && podman ps", "Up .* k\n")
    check("restore from it under another name", "podman container restore --import /tmp/k.tar.gz --name k2 && podman exec k2 ip address", "127.0.0.1.*eth0")


def become_rootless():
    """An ordinary user with subordinate ids; Debian's podman gives it the network by slirp4netns."""
    for device in ("net/tun", "fuse") if not os.access("/run/udev/control", os.F_OK) else ():  # udev opens them to everybody
        private = "/run/" + device.replace("/", "-")
        os.mknod(private, stat.S_IFCHR, os.stat("/dev/" + device).st_rdev)
        os.chmod(private, 0o666)
        subprocess.run(["mount", "--bind", private, "/dev/" + device], check=True)
    become("keg-user")
