"""containerd's CRI plugin, called as the kubelet calls it (cri/main.go): a pod from JSON with two containers.

The configuration of containerd and the RuntimeClass's handler are those of docs/kubernetes.md."""
import base64
import json
import re
import shlex

import check
import image
import machine
from check import documented, sh, tell, wait_for, write

KEEPS = "k8s.io|pods|/run/netns"
# What the kubelet makes of its cgroupDriver.
PARENT = "/pods.slice" if machine.uses_systemd() else "/pods"
LOGS = "/var/log/pods/test"
POD = {
    "metadata": {"name": "pod", "uid": "u1", "namespace": "test", "attempt": 1},
    "hostname": "pod",
    "log_directory": LOGS,
    "dns_config": {"servers": ["192.0.2.1"]},
    "port_mappings": [{"container_port": 80, "host_port": 8080}],
    "linux": {"cgroup_parent": PARENT, "sysctls": {"net.ipv4.ip_unprivileged_port_start": "10"},
              "security_context": {"namespace_options": {"pid": "CONTAINER"}}},
}
SERVER = {
    "metadata": {"name": "server"},
    "image": {"image": image.BUSYBOX},
    "command": ["sh", "-c", "echo serving; echo aside >&2; exec httpd -f -p 80 -h /var/www"],
    "envs": [{"key": "A", "value": base64.b64encode(b"b").decode()}],
    "working_dir": "/tmp",
    "mounts": [{"host_path": "/etc", "container_path": "/host", "readonly": True}],
    "log_path": "server.log",
    "linux": {
        "resources": {"memory_limit_in_bytes": 64 << 20, "cpu_period": 100000, "cpu_quota": 50000, "cpu_shares": 512},
        "security_context": {
            "namespace_options": {"pid": "CONTAINER"}, "run_as_user": {"value": 33}, "supplemental_groups": [44], "no_new_privs": True, "readonly_rootfs": True,
            "capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["NET_BIND_SERVICE"]},
            "seccomp": {"profile_type": "RuntimeDefault"},
            "masked_paths": ["/proc/kcore"], "readonly_paths": ["/proc/sys"]}},
}
CLIENT = {
    "metadata": {"name": "client"},
    "image": {"image": image.BUSYBOX},
    "command": ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"],
    "log_path": "client.log",
    "linux": {"security_context": {"namespace_options": {"pid": "POD"}}},
}


def main(version):
    start_containerd(version)
    pod = need("pod_sandbox_id", "pod sandbox from JSON", "RunPodSandbox", config=POD, runtime_handler="keg")
    status = need("status", "pod: ready, with an address", "PodSandboxStatus", says='"state": *"SANDBOX_READY".*"runtime_handler": *"keg"', pod_sandbox_id=pod)
    address = status["network"]["ip"]
    server, client = (create(pod, config) for config in (SERVER, CLIENT))
    ask("two containers run", "ListContainers", "CONTAINER_RUNNING.*CONTAINER_RUNNING", filter={"pod_sandbox_id": pod})
    execs(server, client)
    network(address)
    logs(server)
    resources(server)
    stop(pod, server, client)
    failures()
    host_namespaces()
    check.check("the runtime forgot everything", "find /run/containerd/runc -mindepth 2", "^$")


def start_containerd(version):
    config = documented("kubernetes.md", "/etc/containerd/config.toml", heading=f"### containerd {version}")
    write("/etc/containerd/config.toml", without_systemd(config))
    write("/etc/cni/net.d/10-pods.conflist", documented("kubernetes.md", "/etc/cni/net.d/10-pods.conflist"))
    sh("mkdir -p /opt/cni && ln -s /usr/lib/cni /opt/cni/bin; sysctl -qw net.ipv4.ip_forward=1; rm -f /etc/cni/net.d/87-*")
    check.daemon("containerd", "/var/log/containerd.log", "ctr version")
    pause = re.search(r"registry\.k8s\.io/pause:[\w.]+", sh("containerd config dump")[1])[0]
    for name, command in (pause, ["sleep", "1000000"]), (image.BUSYBOX, ["sh"]):
        check.check(f"image {name}", f"ctr -n k8s.io image import {image.archive('/tmp/image.tar', name, command)}")
        wait_for(f"cri ImageStatus {shlex.quote(json.dumps({'image': {'image': name}}))} | grep -q repo_tags")
    ask("the plugin is ready", "Status", '"RuntimeReady", *"status": *true.*"NetworkReady", *"status": *true')


def without_systemd(config):
    """The documented text, on a machine that may have neither systemd nor the right to lower an oom_score_adj."""
    if not machine.uses_systemd():
        config = config.replace("SystemdCgroup = true", "SystemdCgroup = false")
    return re.sub(r"""(?m)^(\[plugins\.["']io\.containerd\.(grpc\.v1\.cri|cri\.v1\.runtime)["']\])$""", r"\1\n  restrict_oom_score_adj = true", config)


def ask(name, method, says="", fails=False, **request):
    """Makes a request, checks what its answer says, and gives the answer."""
    status, said = sh(f"cri {method} {shlex.quote(json.dumps(request))}")
    wrong = []
    if (status != 0) != fails:
        wrong.append("succeeds" if fails else "fails")
    if not re.search(says, said, re.S):
        wrong.append(f"does not say {says!r}")
    tell(name, wrong, f"{method} {json.dumps(request)}\n{said[-2000:]}")
    return json.loads(said) if status == 0 else {}


def need(key, name, method, **request):
    """The part of an answer without which nothing can follow."""
    answer = ask(name, method, **request)
    if key not in answer:
        raise SystemExit(1)
    return answer[key]


def create(pod, config, pod_config=POD):
    name = config["metadata"]["name"]
    container = need("container_id", f"create {name}", "CreateContainer", pod_sandbox_id=pod, config=config, sandbox_config=pod_config)
    ask(f"start {name}", "StartContainer", container_id=container)
    return container


def execute(name, container, command, says, code=0):
    """ExecSync: its answer has the output as base64."""
    answer = ask(name, "ExecSync", container_id=container, cmd=["sh", "-c", command], timeout=20)
    output = "".join(base64.b64decode(answer.get(which, "")).decode() for which in ("stdout", "stderr"))
    wrong = [] if re.search(says, output, re.S) else [f"does not say {says!r}"]
    if answer.get("exit_code") != code:
        wrong.append(f"exit code {answer.get('exit_code')} instead of {code}")
    tell(name + ": its answer", wrong, f"{command}\n{output}")
    return output


def execs(server, client):
    execute("exec: output and exit code", server, "echo out; echo err >&2; exit 4", "out\nerr\n", code=4)
    execute("exec: environment, directory, user, host name", server, "echo $A; pwd; id; hostname", "^b\n/tmp\nuid=33.*44.*\npod\n$")
    execute("exec: capabilities, no_new_privs, seccomp", server, "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status",
            "CapBnd:\t0+400\nNoNewPrivs:\t1\nSeccomp:\t2\n")
    execute("exec: read-only root, mount, sysctl", server, "touch /x; touch /host/x; cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
            "10\n.*/x: Read-only.*/host/x: Read-only")
    execute("exec: processes of a shared pid namespace", client, "ps", "sleep 1000000")
    ask("exec: no such command", "ExecSync", r"executable file not found in \$PATH", fails=True, container_id=server, cmd=["nonexistent"])
    ask("exec: a command that takes too long", "ExecSync", "DeadlineExceeded|timeout|deadline", fails=True, container_id=client, cmd=["sleep", "10"], timeout=1)


def network(address):
    wait_for(f"curl -sf http://{address}/")
    check.check("the pod's address", f"curl -sS -m 20 http://{address}/", "hello")
    check.check("the pod's host port", "curl -sS -m 20 http://127.0.0.1:8080/", "hello")


def logs(server):
    check.check("log", f"cat {LOGS}/server.log", "stdout F serving\n", "stderr F aside\n")
    sh(f"mv {LOGS}/server.log {LOGS}/server.log.1")
    ask("a log is opened again", "ReopenContainerLog", container_id=server)
    check.check("the new log", f"ls {LOGS}", "server.log\n.*server.log.1\n")


def resources(server):
    stats = need("stats", "stats", "ContainerStats", says='"usage_core_nano_seconds".*"working_set_bytes"', container_id=server)
    cpu, memory = (int(stats[which][key]["value"]) for which, key in (("cpu", "usage_core_nano_seconds"), ("memory", "working_set_bytes")))
    tell("stats: cpu and memory were used", [] if cpu and memory else [f"cpu {cpu}, memory {memory}"])
    ask("update", "UpdateContainerResources", container_id=server, linux={"memory_limit_in_bytes": 96 << 20, "cpu_quota": 20000, "cpu_period": 100000})
    cgroup = f"pods.slice/cri-containerd-{server}.scope" if machine.uses_systemd() else f"pods/{server}"
    check.check("update is in force", f"cat {check.limits(cgroup)}", r"^100663296\n20000\b")


def stop(pod, server, client):
    ask("stop: TERM", "StopContainer", container_id=client, timeout=5)
    ask("the exit code", "ContainerStatus", '"CONTAINER_EXITED".*"exit_code": *3', container_id=client)
    ask("stop: KILL after the time", "StopContainer", container_id=server, timeout=1)
    ask("killed", "ContainerStatus", '"CONTAINER_EXITED".*"exit_code": *137', container_id=server)
    for name, container in ("server", server), ("client", client):
        ask(f"remove {name}", "RemoveContainer", container_id=container)
    remove_pod("the pod", pod)
    ask("nothing is left", "ListPodSandbox", r'"items": *\[\]')


def remove_pod(name, pod):
    ask(f"stop {name}", "StopPodSandbox", pod_sandbox_id=pod)
    ask(f"remove {name}", "RemovePodSandbox", pod_sandbox_id=pod)


def failures():
    plain = {"metadata": {"name": "other", "uid": "u2", "namespace": "test"}, "log_directory": LOGS, "linux": {"cgroup_parent": PARENT}}
    ask("a runtime class that is not there", "RunPodSandbox", "no runtime for", fails=True, config=plain, runtime_handler="other")
    pod = need("pod_sandbox_id", "another pod", "RunPodSandbox", config=plain, runtime_handler="keg")
    bad = {"metadata": {"name": "bad"}, "image": {"image": image.BUSYBOX}, "command": ["nonexistent"]}
    container = need("container_id", "create a container whose command is missing", "CreateContainer", pod_sandbox_id=pod, config=bad, sandbox_config=plain)
    ask("starting it says why not", "StartContainer", r'exec: \\?"nonexistent\\?": executable file not found in \$PATH', fails=True, container_id=container)
    hungry = create(pod, {"metadata": {"name": "hungry"}, "image": {"image": image.BUSYBOX},
                          "command": ["sh", "-c", "sleep 0.5; head -c 60000000 /dev/zero | tail"],
                          "linux": {"resources": {"memory_limit_in_bytes": 16 << 20}}}, plain)
    status = shlex.quote(json.dumps({"container_id": hungry}))
    wait_for(f"cri ContainerStatus {status} | grep -q CONTAINER_EXITED")
    ask("out of memory", "ContainerStatus", '"exit_code": *137.*"reason": *"OOMKilled"', container_id=hungry)
    remove_pod("another pod", pod)


def host_namespaces():
    config = {"metadata": {"name": "host", "uid": "u3", "namespace": "kube-system"}, "log_directory": LOGS,
              "linux": {"cgroup_parent": PARENT, "security_context": {"namespace_options": {"network": "NODE", "pid": "NODE", "ipc": "NODE"}, "privileged": True}}}
    pod = need("pod_sandbox_id", "a pod in the host's namespaces", "RunPodSandbox", config=config, runtime_handler="keg")
    container = create(pod, {"metadata": {"name": "all"}, "image": {"image": image.BUSYBOX}, "command": ["sleep", "1000"],
                             "linux": {"security_context": {"namespace_options": {"network": "NODE", "pid": "NODE", "ipc": "NODE"}}}}, config)
    execute("it sees the host's processes", container, "ps", "containerd")
    remove_pod("the pod in the host's namespaces", pod)
