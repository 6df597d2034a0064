"""A machine of its own for one caller: what it installs, starts and leaves shows nowhere outside.

Engines write to /etc, /run and /var/lib, load firewall rules, make cgroups and leave processes that
belong to nobody. So each runs in its own mount, pid, network, ipc and cgroup namespaces, on private
copies of the directories it writes to, in cgroups made for it. The copies allow what an operator does
on a real machine: the default sockets, the default folders, the documented configuration files as they
are, and the runtime in /usr/local/bin/keg-runtime, whichever runtime it is.

The pid namespace ends everything however the run ends; what was still there when the caller had stopped
its daemons (a process, a mount, a cgroup that is not a mere parent) is a failure of the caller or of the
runtime, and is reported before it goes.

On cgroup v1 and hybrid machines every hierarchy gets a directory, and a cgroup namespace makes that the
root. On v2 the root of the namespace may not hold processes and hand out controllers at once: the directory
is made at the top, where controllers are to be had, and the processes in it move on.
"""
import errno
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback

PATIENCE = 120  # seconds, for what needs a moment: on a slow and busy machine as well
CGROUPS = pathlib.Path("/sys/fs/cgroup")
RUNTIME = "/usr/local/bin/keg-runtime"
WRITTEN = ("/etc", "/home", "/opt", "/root", "/tmp", "/usr/local/bin", "/var")
EMPTY = ("/run", "/dev/shm", "/var/tmp", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker")


# What the engines shall let make their cgroups: cgroupfs or systemd.
cgroup_manager = "cgroupfs"


def uses_systemd():
    return cgroup_manager == "systemd"


def is_unified():
    return (CGROUPS / "cgroup.controllers").exists()


def hierarchies():
    """(mount point, mount options, our path in it) of each hierarchy."""
    for line in open("/proc/self/cgroup"):
        _, controllers, path = line.strip().split(":", 2)
        if controllers:
            point = CGROUPS / controllers.removeprefix("name=")
            options = ("-t", "cgroup", "-o", ("none," if "=" in controllers else "") + controllers)
        else:
            point = CGROUPS if is_unified() else CGROUPS / "unified"
            options = ("-t", "cgroup2")
        if point.is_dir():
            yield point, options, path


class Cgroups:
    """A cgroup in every hierarchy, for the time of a `with`; without a name there are none, and no machine."""

    def __init__(self, name):
        if not name:
            self.directories = []
        elif is_unified():
            self.directories = [CGROUPS / name]
        else:
            self.directories = [point / path.lstrip("/") / name for point, _, path in hierarchies()]

    def __enter__(self):
        if self.directories and is_unified():
            hand_out_controllers(CGROUPS)
        for directory in self.directories:
            directory.mkdir()
            for setting in ("cpuset.cpus", "cpuset.mems"):  # v1: empty means that nothing may run there
                if (directory / setting).exists() and not is_unified():
                    (directory / setting).write_text((directory.parent / setting).read_text())
        return self

    def enter(self):
        for directory in self.directories:
            (directory / "cgroup.procs").write_text(str(os.getpid()))

    def release(self, process):
        """On v2: takes the starter of the machine's first process out, when that has been born inside."""
        mine = next(path for point, _, path in hierarchies() if point == CGROUPS)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None and not children.read_text():
            time.sleep(0.01)
        (CGROUPS / mine.lstrip("/") / "cgroup.procs").write_text(str(process.pid))

    def left(self, kept):
        """Cgroups below ours, but for those which the caller keeps."""
        found = {str(below.relative_to(directory)) for directory in self.directories
                 for below in directory.rglob("*") if below.is_dir()}
        return sorted(path for path in found if path != "init" and not re.fullmatch(kept, path))

    def __exit__(self, *_):
        for directory in self.directories:
            for cgroup in [*sorted(filter(pathlib.Path.is_dir, directory.rglob("*")), reverse=True), directory]:
                waited(lambda: succeeds(cgroup.rmdir))  # the kernel lets go of the dead a moment later


def waited(condition):
    """Whether it becomes true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def succeeds(work):
    try:
        work()
    except OSError:
        return False
    return True


def hides(path):
    """The directory whose private copy does not show the path, because it is on another file system."""
    above = (directory for directory in WRITTEN if path.is_relative_to(directory))
    return next((directory for directory in above if os.stat(directory).st_dev != path.stat().st_dev), None)


def start(command, cgroups):
    """The command as the first process of the machine."""
    if cgroups.directories:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--ipc", "--uts", "--cgroup", *command]
    process = subprocess.Popen(command, preexec_fn=cgroups.enter, stdout=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
    if cgroups.directories and is_unified():
        cgroups.release(process)
    return process


def hand_out_controllers(directory):
    def hand_out(controller):
        try:
            (directory / "cgroup.subtree_control").write_text("+" + controller)
        except OSError as error:
            # Busy until the last process is out. Some the kernel keeps to itself, such as cpu beside real-time processes.
            return error.errno != errno.EBUSY
        return True
    for controller in (directory / "cgroup.controllers").read_text().split():
        waited(lambda: hand_out(controller))


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def set_up(runtime, trace):
    """Inside: private directories, cgroups, loopback, and the runtime in its place."""
    os.chdir("/")
    mount("--make-rshared", "/")  # as systemd has it
    store = pathlib.Path("/mnt")
    mount("-t", "tmpfs", "tmpfs", str(store))
    for directory in WRITTEN:
        upper, work = (store / (directory.replace("/", "_") + kind) for kind in (".upper", ".work"))
        upper.mkdir()
        work.mkdir()
        shutil.copystat(directory, upper)
        mount("-t", "overlay", "-o", f"lowerdir={directory},upperdir={upper},workdir={work}", "overlay", directory)
    for directory in EMPTY:
        os.makedirs(directory, exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=" + ("1777" if directory in ("/dev/shm", "/var/tmp") else "755"), "tmpfs", directory)
    set_up_cgroups()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    install(runtime, trace)


def set_up_cgroups():
    mounts = list(hierarchies())
    mount("-t", "sysfs", "sysfs", "/sys")  # of the new network namespace
    if mounts[0][0] == CGROUPS:
        mount(*mounts[0][1], "cgroup2", str(CGROUPS))
        (CGROUPS / "init").mkdir()
        (CGROUPS / "init/cgroup.procs").write_text(str(os.getpid()))
        return hand_out_controllers(CGROUPS)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(CGROUPS))
    for point, options, _ in mounts:
        point.mkdir()
        mount(*options, "cgroup", str(point))


def install(runtime, trace):
    target = pathlib.Path(RUNTIME)
    target.unlink(missing_ok=True)
    if trace:  # a script around it, which writes down what the caller asked for
        real = pathlib.Path("/run/runtime")
        real.write_bytes(runtime)
        real.chmod(0o755)
        runtime = f'#!/bin/sh\n{{ echo "$(cat /proc/$PPID/comm): $*"; }} >> {trace}\nexec {real} "$@"\n'.encode()
    target.write_bytes(runtime)
    target.chmod(0o755)


def processes():
    """What runs beside the first process and the one that asks."""
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        if int(entry.name) in (1, os.getpid()):
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words:
            yield words.strip()


def mounts():
    return {line.split()[4] for line in open("/proc/self/mountinfo")}


def be_init(work, kept):
    """Runs work() in a child while this process, the first of its namespace, buries the orphans. What the
    child leaves behind is yielded; nothing of it survives this process."""
    before = mounts()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except Exception:
            traceback.print_exc(file=sys.stdout)
        finally:
            sys.stdout.flush()
            os._exit(status)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    while True:
        pid, status = os.wait()
        if pid == child:
            break
    if status != 0:
        yield f"the script ended with {os.waitstatus_to_exitcode(status)}"

    def all_are_gone():
        while bury():
            pass
        return not list(processes())
    waited(all_are_gone)
    yield from (f"process {words}" for words in processes())
    yield from (f"mount {point}" for point in sorted(mounts() - before) if not re.fullmatch(kept, point))


def use_as_it_is(work, kept):
    """Runs work() on the machine itself; what was not there before is yielded."""
    before = remains()
    work()
    left = lambda: [thing for thing in sorted(remains() - before) if not re.fullmatch(f"{kept}|{SYSTEMDS}", thing)]
    if not waited(lambda: not left()):  # systemd tidies up in its own time
        yield from left()


# What comes by a user's login, and what systemd starts when it is asked something.
SYSTEMDS = (r"process (/lib/systemd/\S+|/usr/bin/dbus-daemon|\(sd-pam\)).*|/run/user/\d+|unit session-\w+\.scope"
            r"|[\w-]+\.slice(/(init\.scope|session-\w+\.scope|[^/]+\.(slice|service|socket|mount)))*")


def remains():
    """Processes, mounts, cgroups, and the scopes that systemd remembers."""
    listed = subprocess.run(["systemctl", "list-units", "--all", "--type=scope", "--plain", "--no-legend"], capture_output=True, text=True, check=True).stdout
    units = {"unit " + line.split()[0] for line in listed.splitlines()}
    cgroups = {str(path.relative_to(CGROUPS)) for path in CGROUPS.rglob("*") if path.is_dir()}
    return {f"process {words}" for words in processes()} | mounts() | cgroups | units


def bury():
    try:
        return os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return 0
