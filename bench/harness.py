"""What the benchmarks share: a place of their own, bundles, contestants that take turns, ratios.

Everything runs in a private mount namespace without /sys/fs/cgroup/unified (crun refuses hybrid
cgroups), on a file system in memory, and in a network namespace whose bridges and rules die with it.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

PROJECT = pathlib.Path(__file__).resolve().parents[1]
WORK = pathlib.Path("/tmp/keg-bench")
STAGE = "KEG_BENCH_STAGE"

PROGRAMS = {
    "true": "int main(void) { return 0; }\n",
    "idle": "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n",
    # Small, so that what it says of its children is not its own size before the exec.
    "peak": """#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **words) {
    if (count < 2) return 2;
    struct rusage usage;
    int status;
    pid_t pid = vfork();
    if (pid == 0) execv(words[1], words + 1), _exit(127);
    if (wait4(pid, &status, 0, &usage) < 0 || status != 0) return 1;
    printf("%ld\\n", usage.ru_maxrss);
    return 0;
}
""",
}


def directory(typed):
    """For argparse: the path as it is from everywhere, for it is given to programs that are run elsewhere."""
    return pathlib.Path(typed).resolve()


def enter_private_namespaces():
    if os.environ.get(STAGE):
        return
    os.environ[STAGE] = "namespaces"
    os.execvp("unshare", ["unshare", "--mount", "--net", "--propagation", "private", sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])


def call(*argv, **options):
    return subprocess.run([str(a) for a in argv], check=True, stdin=subprocess.DEVNULL, **options)


def prepare(build):
    """A file system of its own with a bundle of `keg-runtime spec` that runs a static `true`."""
    WORK.mkdir(exist_ok=True)
    call("ip", "link", "set", "lo", "up")
    call("mount", "-t", "tmpfs", "keg-bench", WORK)
    if os.path.isdir("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=False)
    root = WORK / "bundle/rootfs"
    for name in ("dev", "proc", "sys", "etc", "bin"):
        (root / name).mkdir(parents=True)
    for name, source in PROGRAMS.items():
        (WORK / f"{name}.c").write_text(source)
        call("gcc", "-O2", "-static", "-o", root / name, WORK / f"{name}.c")
    call("gcc", "-O2", "-static", "-o", WORK / "floor", PROJECT / "bench/floor.c")
    call(build / "runtime/keg-runtime", "spec", "--bundle", WORK / "bundle")
    edit_config(WORK / "bundle", lambda config: None)


def edit_config(bundle, edit):
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/true"]
    config["ociVersion"] = "1.0.2"  # the oldest peer reads it
    edit(config)
    path.write_text(json.dumps(config))


def make_bundle(name, edit):
    """Another bundle over the same root file system, with an edited config."""
    bundle = WORK / name
    bundle.mkdir()
    (bundle / "config.json").write_text((WORK / "bundle/config.json").read_text())

    def absolute(config):
        config["root"]["path"] = str(WORK / "bundle/rootfs")
        edit(config)

    edit_config(bundle, absolute)
    return bundle


def take_time(argv):
    """Milliseconds from the start of the program to its end."""
    began = time.perf_counter()
    # posix_spawn: a fork of this interpreter would be part of what is measured.
    silence = (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[silence])
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter() - began) * 1000
    if status != 0:
        sys.exit(f"{' '.join(argv)} ended with {status}")
    return took


def words(argv, turn):
    return [str(a).replace("{n}", str(turn)) for a in argv]


def compare(title, contestants, base, count, pause):
    """Each contestant is a command, or a list of commands that are timed together; gives the medians."""
    times = {name: [] for name in contestants}
    for turn in range(count + 2):
        for name, commands in contestants.items():
            if isinstance(commands[0], (str, pathlib.Path)):
                commands = [commands]
            time.sleep(pause)
            took = sum(take_time(words(argv, turn)) for argv in commands)
            if turn >= 2:  # the first two warm the caches
                times[name].append(took)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"\n{title}\n  {'':14}{'median ms':>10}{'min ms':>9}   ratio of medians to {base}")
    for name, median in medians.items():
        print(f"  {name:14}{median:10.2f}{min(times[name]):9.2f}   {median / medians[base]:.2f}", flush=True)
    return medians
