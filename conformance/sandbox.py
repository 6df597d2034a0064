#!/usr/bin/env python3
"""Runs a command in a world of its own: sandbox.py [OPTION...] COMMAND [ARGUMENT...]

    --timeout SECONDS   kill it then
    --cover DIRECTORY   what it changes in there is gone afterwards, as in /dev
    --network           its network has a loopback that is up, and /sys shows that network

A runtime under test leaves things behind: processes, mounts, cgroups, state below /run. Here the
command gets new mount, pid, network, ipc, uts and cgroup namespaces, an empty /run and temporary directory,
a /dev of its own (and what --cover names), and cgroups of its own as the roots of every hierarchy; all of it
goes away when the command ends. So two programs that both use the cgroup "/cgrouptest" can run at the same time.

What is hard about it is the order. The cgroup namespace's root is where the process is when it
unshares, so it joins its new cgroups first. The old cgroup mounts show the host's paths and runtimes
read them from mountinfo, so they are taken down, not hidden, before the hierarchies are mounted again.
On cgroup v2 a group with processes cannot hand out controllers, so the command itself runs in a leaf.
Where v2 stands beside v1 with a controller of its own (hugetlb, mostly), one more level hides it: crun
runs nothing there, and would have nothing to be compared with.
"""
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time

NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000  # NS CGROUP UTS IPC PID NET
MS_MOVE, MS_REC, MS_PRIVATE = 0x2000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
TIMED_OUT = 124  # as timeout(1)

libc = ctypes.CDLL(None, use_errno=True)
covered = ["/dev"]
network = False


def call(function, *arguments):
    if getattr(libc, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, options=None, flags=0):
    call("mount", str(source).encode(), str(target).encode(), kind and kind.encode(), ctypes.c_ulong(flags),
         options and options.encode())


def cgroup_mounts():
    """Every mounted hierarchy: where, and the options that mount it again (None for v2)."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        kind, _, options = after.split(" ", 2)
        where = before.split()[4]
        if kind == "cgroup2":
            found.append((where, None))
        elif kind == "cgroup":
            chosen = [o for o in options.split(",")
                      if o not in ("rw", "ro", "xattr", "clone_children") and not o.startswith("release_agent")]
            if chosen[0].startswith("name="):
                chosen.insert(0, "none")
            found.append((where, ",".join(chosen)))
    return found


def make_cgroups(mounts):
    made = []
    hybrid = any(options for _, options in mounts)
    for where, options in mounts:
        group = pathlib.Path(where, f"sandbox.{os.getpid()}")
        if hybrid and not options:
            group.mkdir()
            group /= "hidden"
        group.mkdir()
        made.append(group)
        for name in ("cpuset.cpus", "cpuset.mems"):  # a v1 cpuset begins empty and takes no process so
            if (group / name).exists() and (group / "cgroup.clone_children").exists():
                (group / name).write_text((group.parent / name).read_text())
    return made


def remove_cgroups(made):
    """Processes that were just killed may hold a group for some milliseconds more."""
    for group in made:
        group = group.parent if group.name == "hidden" else group
        end = time.monotonic() + 120
        while time.monotonic() < end:
            for directory, _, _ in os.walk(group, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    pass
            if not group.exists():
                break
            time.sleep(0.01)
        else:
            print(f"sandbox: cannot remove {group}", file=sys.stderr)


def remount(mounts):
    mount("none", "/", None, flags=MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    for where, _ in reversed(mounts):
        call("umount", where.encode())
    for where, options in mounts:
        mount("cgroup", where, "cgroup" if options else "cgroup2", options)
        if not options:
            controllers = pathlib.Path(where, "cgroup.controllers").read_text().split()
            pathlib.Path(where, "cgroup.subtree_control").write_text(" ".join("+" + name for name in controllers))
    mount("tmpfs", "/run", "tmpfs", "mode=755")
    os.mkdir("/run/tmp", 0o1777)
    os.mkdir("/run/lock")
    os.environ["TMPDIR"] = "/run/tmp"
    for directory in covered:
        cover(directory)
    if network:
        give_network()


def cover(directory):
    """What is changed in there stays here: a runtime may give the null device to its container's user, a suite
    write settings."""
    base = pathlib.Path("/run/.covered" + directory)
    for name in ("upper", "work"):
        (base / name).mkdir(parents=True)
    beneath_its_mounts(directory, "overlay", "overlay", f"lowerdir={directory},upperdir={base}/upper,workdir={base}/work")


def beneath_its_mounts(directory, source, kind, options=None):
    """Mounts there what the mounts below the directory lie on from then on."""
    mounted = [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in mounted if point.startswith(directory + "/")]
    below = [point for point in inside if not any(point.startswith(other + "/") for other in inside)]
    aside = pathlib.Path("/run/.aside" + directory)
    aside.mkdir(parents=True)
    for number, point in enumerate(below):
        if os.path.isdir(point):
            (aside / str(number)).mkdir()
        else:
            (aside / str(number)).touch()
        mount(point, aside / str(number), None, flags=MS_MOVE)
    mount(source, directory, kind, options)
    for number, point in enumerate(below):
        mount(aside / str(number), point, None, flags=MS_MOVE)


def give_network():
    beneath_its_mounts("/sys", "sysfs", "sysfs")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def be_init(argv):
    """The first process of the new pid namespace: runs the command and reaps what is left to it."""
    child = subprocess.Popen(argv)
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def enter(mounts, made, argv):
    for group in made:
        (group / "cgroup.procs").write_text("0")
    call("unshare", NAMESPACES)
    for group, (_, options) in zip(made, mounts):
        if not options:
            (group / "sandbox").mkdir()
            (group / "sandbox/cgroup.procs").write_text("0")
    return wait_for(start(lambda: (remount(mounts), be_init(argv))[1]))


def start(body):
    """A child that dies with its parent and ends with what body returns."""
    pid = os.fork()
    if pid:
        return pid
    try:
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        code = body()
    except BaseException as error:
        print(f"sandbox: {error}", file=sys.stderr)
        code = 125
    sys.stdout.flush()
    os._exit(code)


def wait_for(pid):
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def run(argv, timeout):
    mounts = cgroup_mounts()
    made = make_cgroups(mounts)
    try:
        child = start(lambda: enter(mounts, made, argv))
        expired = []

        def expire(*_):
            expired.append(True)
            os.kill(child, signal.SIGKILL)

        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, expire)
        signal.alarm(timeout)
        code = wait_for(child)
        return TIMED_OUT if expired else code
    finally:
        remove_cgroups(made)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    seconds = 0
    while arguments and arguments[0] in ("--timeout", "--cover", "--network"):
        option = arguments.pop(0)
        if option == "--timeout":
            seconds = int(arguments.pop(0))
        elif option == "--cover":
            covered.append(arguments.pop(0))
        else:
            network = True
    if not arguments:
        sys.exit(__doc__.splitlines()[0])
    sys.exit(run(arguments, seconds))
