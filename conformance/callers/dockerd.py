"""dockerd with keg-runtime beside its own runtime, by the docker command line."""
import image
import machine
from check import can_checkpoint, check, daemon, documented, eventually, limits, sh, wait_for, write

KEEPS = "docker(/buildkit)?|/run/docker/netns/default"
BIG = "sh -c 'head -c 60000000 /dev/zero | tail > /dev/null'"


def main(users):
    write("/etc/docker/daemon.json", documented("callers.md", "/etc/docker/daemon.json"))
    sh("ln -sf keg-runtime /usr/local/bin/runc")  # for BuildKit; checkpoint is experimental
    driver = f"--exec-opt native.cgroupdriver={machine.cgroup_manager}"
    daemon(f"env PATH=/usr/local/bin:/usr/sbin:/usr/bin dockerd --experimental {driver} {users}", "/var/log/dockerd.log", "docker version")
    check("the runtime is known", "docker info", "Runtimes:.* keg", "Default Runtime: keg")
    check("who makes cgroups", "docker info -f '{{.CgroupDriver}} {{.CgroupVersion}}'", f"^{machine.cgroup_manager} {2 if machine.is_unified() else 1}\n$")
    check("load", f"docker load -i {image.archive('/tmp/busybox.tar')}", "busybox:latest")
    if users:
        remapped()
    foreground(users)
    exit_codes()
    detached()
    security()
    volumes_and_networks()
    builds()
    checkpoint()
    check("rm -f of all", "docker rm -f $(docker ps -aq)")
    check("the runtime forgot everything", "find /run/docker/runtime-runc -mindepth 2", "^$")


def remapped():
    """Every container in a user namespace: dockerd makes the user dockremap and gives it ids."""
    check("a container's root is nobody", "docker run --rm busybox cat /proc/self/uid_map", "^ +0 +[1-9][0-9]+ +65536\n$")
    check("a container's files are its root's", "docker run --rm busybox stat -c %u:%g /etc/passwd /dev/null /proc/self", "^0:0\n(65534:65534|0:0)\n")
    check("the host's files are nobody's", "docker run --rm -v /etc:/host busybox sh -c 'stat -c %u /host/passwd; touch /host/x 2>&1'",
          "^65534\n.*Permission denied", exit=1)


def foreground(users):
    check("run --rm: output and exit status", "docker run --rm busybox sh -c 'echo out; echo err >&2; exit 5'", "out", "err", exit=5)
    check("run: standard input", "echo word | docker run --rm -i busybox cat", "^word\n$")
    check("run -it", "docker run --rm -it busybox sh -c 'tty; echo $TERM'", "/dev/pts/0.*xterm", tty=True)
    check("run: environment, user, directory, host name",
          "docker run --rm -e A=b -u 33:44 -w /tmp -h box busybox sh -c 'echo $A; id; pwd; hostname'", "^b\nuid=33.*gid=44.*\n/tmp\nbox\n$")
    check("run --init", "docker run --rm --init busybox ps", "1 root +/sbin/docker-init -- ps")
    check("run: tmpfs, read-only", "docker run --rm --read-only --tmpfs /t:size=64k busybox sh -c 'exec 2>&1; touch /t/x && df -k /t; touch /x'",
          " 64 .*/x: Read-only file system", exit=1)
    check("run: ulimit, sysctl, shm size", "docker run --rm --ulimit nofile=100:200 --sysctl net.ipv4.ip_forward=0 --shm-size 1m busybox"
          " sh -c 'ulimit -n; cat /proc/sys/net/ipv4/ip_forward; df -k /dev/shm'", "^100\n0\n.* 1024 ")
    check("run: device", "docker run --rm --device /dev/net/tun busybox ls -l /dev/net/tun", "10, 200")
    if not users:  # who may neither have the host's namespaces nor a device under another name
        check("run: device under another name", "docker run --rm --device /dev/null:/dev/nothing busybox"
              " sh -c 'echo x > /dev/nothing; ls -l /dev/nothing'", "1, +3")
        check("run --pid=host --ipc=host --uts=host --network=host",
              "docker run --rm --pid=host --ipc=host --uts=host --network=host busybox sh -c 'ps | grep -c dockerd'", "[1-9]")


def exit_codes():
    check("125: what docker refuses", "docker run --rm --no-such-flag busybox true", "unknown flag", exit=125)
    check("125: a bad image", "docker run --rm --pull never nosuch true", "[Uu]nable to find image|No such image", exit=125)
    # What a newer docker takes for 126, this one does not know; runc's words came with Go 1.20.
    check("125 or 126: a directory", "docker run --rm busybox /tmp; [ $? = 125 -o $? = 126 ]", "permission denied|is a directory")
    check("126: not executable", "docker run --rm busybox /etc/passwd", "permission denied", exit=126)
    check("127: not in PATH", "docker run --rm busybox nonexistent", r'exec: \\?"nonexistent\\?": executable file not found in \$PATH', exit=127)
    check("127: no such file", "docker run --rm busybox /nonexistent", "no such file or directory", exit=127)
    check("125: a directory onto a file", "docker run --rm -v /tmp:/etc/passwd busybox true",
          "not a directory.*Are you trying to mount a directory onto a file", exit=125)
    check("137: out of memory", f"docker run --name big -m 16m busybox {BIG}", exit=137)
    check("out of memory is told", "docker inspect -f '{{.State.OOMKilled}}' big; sleep 1; docker events --since 5m --until 0s --filter container=big --filter event=oom; docker rm big", "^true\n.* container oom ")
    check("143: SIGTERM", "docker run --rm --init busybox sh -c 'kill $$'", exit=143)


def detached():
    check("run -d -p", "docker run -d --name web -p 127.0.0.1:8080:80 -p 8081:80 busybox httpd -f -p 80 -h /var/www", "^[0-9a-f]{64}\n$")
    wait_for("curl -sf http://127.0.0.1:8081/")
    check("a published port", "curl -sS -m 20 http://127.0.0.1:8080/ http://127.0.0.1:8081/", "^(hello from the container\n){2}$")
    check("logs", "docker run --name talk busybox sh -c 'echo one; echo two >&2'; docker logs talk; docker rm talk", "one.*two")
    check("exec: output and exit status", "docker exec web sh -c 'echo in; exit 4'", "^in\n$", exit=4)
    check("exec -it", "docker exec -it web tty", "/dev/pts/0", tty=True)
    check("exec -d", "docker exec -d web touch /tmp/done && until docker exec web ls /tmp | grep done; do sleep 0.1; done", "done")
    check("exec: user, directory, environment", "docker exec -u 33 -w /tmp -e A=b web sh -c 'id -u; pwd; echo $A'", "^33\n/tmp\nb\n$")
    check("exec: 126", "docker exec web /etc/passwd", "permission denied", exit=126)
    check("exec: 127", "docker exec web nonexistent", r'exec: "nonexistent": executable file not found in \$PATH', exit=126)  # by dockerd's choice
    check("exec: many at once", "for i in $(seq 10); do docker exec web true & p=\"$p $!\"; done; for i in $p; do wait $i || exit; done")
    check("top", "docker top web", "httpd")
    check("stats", "docker stats --no-stream web", "web.*[KM]iB / ")
    check("update", "docker update --memory 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 web", "web")
    check("update is in force", f"docker exec web cat {limits()}", "^67108864\n50000\\b.*\n50\n$")
    check("update to nonsense", "docker update --memory 1k web", "Minimum memory", exit=1)
    check("pause", "docker pause web && docker ps", r"\(Paused\)")
    check("exec in a paused one", "docker exec web true", "is paused", exit=1)
    check("unpause", "docker unpause web && docker ps --format '{{.Status}}'", "Up [^(]*$")
    check("healthcheck", "docker run -d --name healthy --health-cmd 'test -e /bin/sh' --health-interval 1s busybox sleep 100")
    eventually("the container gets healthy", "docker inspect -f '{{.State.Health.Status}}' healthy | grep -x healthy")
    check("restart", "docker restart -t 0 web && docker exec web true")
    check("stop: TERM, then KILL", "docker stop -t 1 web && docker inspect -f '{{.State.ExitCode}}' web", "137")
    check("start, kill, wait", "docker start web && docker kill -s KILL web && docker wait web", "137")
    check("rm", "docker rm web", "web")


def security():
    check("capabilities, no_new_privs, seccomp", "docker run --rm --cap-drop ALL --cap-add CHOWN --security-opt no-new-privileges busybox"
          " grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status", "CapBnd:\t0+1\nNoNewPrivs:\t1\nSeccomp:\t2\n")
    check("seccomp refuses what Docker's profile refuses", "docker run --rm busybox unshare -U true", "Operation not permitted", exit=1)
    check("and without the profile it does not", "docker run --rm --security-opt seccomp=unconfined busybox unshare -U true")
    check("masked and read-only paths", "docker run --rm busybox sh -c 'exec 2>&1; cat /proc/keys /proc/timer_list | wc -c; echo 1 > /proc/sys/kernel/panic'", "^0\n.*Read-only", exit=1)


def volumes_and_networks():
    check("volumes", "docker run --rm -v data:/data -v /etc:/host:ro busybox sh -c 'echo kept > /data/x; touch /host/x';"
          " docker run --rm -v data:/data busybox cat /data/x", "/host/x: Read-only.*kept")
    check("--volumes-from, propagation", "docker run --name vol -v /var/lib:/v:rshared busybox true; docker run --rm --volumes-from vol busybox ls /v; docker rm vol", "docker")
    check("network create", "docker network create --subnet 10.77.0.0/24 net && docker run -d --name server --network net busybox sleep 100")
    check("names are found", "docker run --rm --network net busybox ping -c1 -w3 server", "1 packets received")
    check("--network container:", "docker run --rm --network container:server --pid container:server busybox ps", "sleep 100")


def builds():
    write("/tmp/context/Dockerfile", "FROM busybox\nARG X=1\nWORKDIR /app\nCOPY file .\nRUN echo $X > out\nUSER 33\nCMD [\"cat\", \"/app/out\"]\n")
    write("/tmp/context/file", "content\n")
    for name, buildkit in ("build: the classic builder", 0), ("build: BuildKit", 1):
        check(name, f"DOCKER_BUILDKIT={buildkit} docker build -q --no-cache -t built{buildkit} /tmp/context && docker run --rm built{buildkit}", "1\n$")
    write("/tmp/failing/Dockerfile", "FROM busybox\nRUN exit 9\n")
    check("build: BuildKit: a failing RUN", "DOCKER_BUILDKIT=1 docker build /tmp/failing", "exit code: 9", exit=1)


def checkpoint():
    if not can_checkpoint():
        return
    count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done"
    check("checkpoint", f"docker run -d --name count --security-opt seccomp=unconfined busybox sh -c '{count}'; sleep 1; docker checkpoint create count c1", "c1")
    check("start from a checkpoint", "sleep 1; before=$(docker logs count | tail -1); docker start --checkpoint c1 count && sleep 2 && [ $(docker logs count | tail -1) -gt $before ]")
    check("its network", "docker exec count sh -c 'ip address; ping -c1 -w3 $(ip route | cut -d\" \" -f3 | head -1)'", "127.0.0.1.*eth0.*1 packets received")
