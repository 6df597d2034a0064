"""What a caller's script is written with: a check is a command line as a user types it, what it must say,
and its exit status. One line is printed for each."""
import os
import pathlib
import pwd
import re
import shlex
import signal
import subprocess
import time

import machine

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
daemons = []
user = []  # words before every command line: who runs it


def sh(command, timeout=180, tty=False):  # emulated machines are slow
    """(exit status, what it said) of a line of shell; tty=True gives it a terminal."""
    words = user + (["script", "-qec", command, "/dev/null"] if tty else ["bash", "-c", command])
    # Nobody types, but the terminal stays open: podman may leave a container at once whose input has ended.
    typed, keyboard = os.pipe()
    process = subprocess.Popen(words, stdin=typed if tty else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=timeout)
        return process.returncode, said.decode(errors="replace").replace("\r", "")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return 124, f"did not end in {timeout} s"  # and what it left running may hold the pipe for ever
    finally:
        os.close(typed)
        os.close(keyboard)


def become(name):
    """From now on the commands are those of an ordinary user, whom this makes; each comes by a login of its
    own where there is a systemd that has sessions, and a service manager of the user's."""
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", name], check=True)
    if os.path.isdir("/run/systemd/system"):
        subprocess.run(["loginctl", "enable-linger", name], check=True)
        user[:] = ["runuser", "-l", "-c", 'exec "$@"', "--", name, "sh"]
        return
    account = pwd.getpwnam(name)
    directory = f"/run/user/{account.pw_uid}"
    os.makedirs(directory, 0o700)
    os.chown(directory, account.pw_uid, account.pw_gid)
    os.chdir(account.pw_dir)
    user[:] = ["runuser", "-u", name, "--", "env", f"HOME={account.pw_dir}", f"XDG_RUNTIME_DIR={directory}"]


def check(name, command, *says, exit=0, tty=False):
    """Each of `says` is a regular expression that is found in what the command printed."""
    status, said = sh(command, tty=tty)
    wrong = [f"does not say {pattern!r}" for pattern in says if not re.search(pattern, said, re.S)]
    if status != exit:
        wrong.append(f"exit status {status} instead of {exit}")
    tell(name, wrong, f"{command}\n{said[-2000:]}")


def tell(name, wrong, detail=""):
    if not wrong:
        print(f"ok   {name}", flush=True)
        return
    print(f"BAD  {name}: {'; '.join(wrong)}", flush=True)
    print(re.sub("(?m)^", "     | ", detail.rstrip()), flush=True)


def skip(name, reason):
    print(f"skip {name}: {reason}", flush=True)


def wait_for(command):
    """Until the command succeeds."""
    end = time.monotonic() + machine.PATIENCE
    while sh(command, timeout=machine.PATIENCE)[0] != 0:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def eventually(name, command):
    """A check of what needs a moment: the command succeeds before long."""
    tell(name, [] if wait_for(command) else ["did not come about"], command)


def can_checkpoint():
    status, said = sh("criu check")
    if status != 0:
        skip("checkpoint and restore", "criu check: " + (said.strip().splitlines() or [f"exit status {status}"])[-1])
    return status == 0


def daemon(command, log, ready):
    """Starts a daemon, which stop_daemons() ends; it is ready when the second command succeeds."""
    with open(log, "wb") as output:
        daemons.append(subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True))
    if not wait_for(ready):
        tell(f"start {command}", ["is not ready"], pathlib.Path(log).read_text(errors="replace")[-3000:])
        raise SystemExit(1)


def stop_daemons():
    for process in reversed(daemons):
        process.terminate()
        try:
            process.wait(timeout=machine.PATIENCE)
        except subprocess.TimeoutExpired:
            tell(f"stop {process.args[0]}", ["did not end on SIGTERM"])
            process.kill()


def limits(cgroup=""):
    """The files with the limits of memory, cpu and processes of a cgroup, inside or outside of a container."""
    if machine.is_unified():
        return " ".join(f"/sys/fs/cgroup/{cgroup}/{file}" for file in ("memory.max", "cpu.max", "pids.max"))
    files = ("memory", "memory.limit_in_bytes"), ("cpu", "cpu.cfs_quota_us"), ("pids", "pids.max")
    return " ".join(f"/sys/fs/cgroup/{controller}/{cgroup}/{file}" for controller, file in files)


def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def documented(page, path, heading=""):
    """The text of the file `path` in the page: the block of code whose first line is `# path`, without that line."""
    text = (DOCS / page).read_text()
    return re.search(rf"(?ms)^```\w*\n# {re.escape(path)}\n(.*?)^```", text[text.index(heading):])[1]
