#!/usr/bin/env python3
"""Runs the unit tests, the layering check and the integration tests; the last line counts them."""
import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree as xml

TESTS = pathlib.Path(__file__).resolve().parent
CORPUS = next((path for path in (parent / "shared/corpus/builder" for parent in TESTS.parents) if path.is_dir()), None)
passed = failed = skipped = 0
broken = []          # what failed, to be said once more at the end
TEST_LIMIT = 1200    # seconds: a test that takes longer fails, and the rest go on
PART_LIMIT = 2400    # the same for all of a name, in a machine of its own
BUILD_IN_VM = "/opt/build"
COUNTED = r"(\d+) passed, (\d+) failed, (\d+) skipped"
# What the longest files take, about, on two processors.
SECONDS = {"kill": 60, "run": 60, "runtime_spec": 60, "registry": 60, "start": 50, "publish": 40, "security": 40, "engine": 40, "hostile": 35,
           "crash": 30, "trust": 45, "dockerfiles": 25, "build_run": 25, "properties": 25, "life": 25, "conformance": 20,
           "builder_conformance": 25}

# What is tested once more in a machine of its own (tests/vm/run), with systemd and cgroup v2: as root and as
# the ordinary user in there, and with SELinux. An emulated machine is slow, so every run has the first list,
# --vm the second.
IN_VM = {"root": ["runtime.Life", "cgroup.Limits", "systemd", "labels", "checkpoint"],
         "user": ["systemd.Systemd.test_container_is_a_scope_that_systemd_knows",
                  "systemd.Systemd.test_limits_are_systemds_and_the_kernels"]}
IN_VM_ALL = {"root": ["runtime", "cgroup", "systemd", "security", "hostile", "labels", "kill", "rootless", "checkpoint"],
             "user": ["systemd", "kill.Systemd", "rootless.Delegated"],
             "selinux": ["labels"]}
# The engines of conformance/callers in there: who makes the cgroups, and which of them run so (none named: all).
CALLERS_IN_VM = {"systemd": [], "cgroupfs": ["ctr", "cri-2", "dockerd", "podman"]}


def run_catch(label, binary):
    """Catch2's own report is XML, so that a crash cannot be taken for a pass."""
    global passed, failed
    started = time.monotonic()
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
    result = subprocess.run([binary, "-r", "junit"], capture_output=True, text=True, env=environment)
    try:
        cases = xml.fromstring(result.stdout).findall(".//testcase")
    except xml.ParseError:
        cases = []
    names = {}
    for case in cases:  # sections of one test case are one test
        name = case.get("classname", "") + case.get("name", "").split("/")[0]
        bad = case.find("failure") is not None or case.find("error") is not None
        names[name] = names.get(name, False) or bad
    bad = [name for name, broken in names.items() if broken]
    if not names or (result.returncode != 0 and not bad):
        bad.append(f"{label} ended with {result.returncode}")
    passed += len(names) - sum(names.values())
    failed += len(bad)
    print(f"{label}: {len(names)} tests, {len(bad)} failed, {time.monotonic() - started:.1f} s")
    if bad:
        print(result.stdout[-6000:], result.stderr[-6000:], sep="\n")
        broken.extend(f"{label}: {name}" for name in bad)


def run_layering():
    global passed, failed
    result = subprocess.run([sys.executable, TESTS / "layering.py"], capture_output=True, text=True)
    print(f"layering: {'ok' if result.returncode == 0 else result.stdout + result.stderr}")
    if result.returncode == 0:
        passed += 1
    else:
        failed += 1
        broken.append("layering")


class TooLong(Exception):
    """No OSError, which a test may expect."""


class Timed(unittest.TextTestResult):
    """Ends a test that hangs, and knows how long each class took, and each test."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.seconds = {}
        signal.signal(signal.SIGALRM, self.give_up)

    def give_up(self, *_):
        raise TooLong(f"not done after {TEST_LIMIT} s")

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        signal.alarm(TEST_LIMIT)

    def stopTest(self, test):
        signal.alarm(0)
        self.seconds[test.id()] = time.monotonic() - self.began
        super().stopTest(test)

    def print_slowest(self):
        classes = {}
        for name, seconds in self.seconds.items():
            owner = name.rpartition(".")[0]
            classes[owner] = classes.get(owner, 0) + seconds
        for what, table in ("classes", classes), ("tests", self.seconds):
            slow = sorted(table.items(), key=lambda item: -item[1])[:10]
            print(f"the slowest {what}:", ", ".join(f"{name.removeprefix('test_')} {seconds:.0f} s" for name, seconds in slow))


def wanted_tests(names):
    """Those of the names, which may be FILE, FILE.Class or FILE.Class.test: all without one."""
    files = [path.stem for path in sorted((TESTS / "integration").glob("test_*.py"))]
    wanted = ["test_" + name.removeprefix("test_") for name in names] or files
    for name in wanted:
        if name.split(".")[0] not in files:
            sys.exit(f"tests/run.py: there is no tests/integration/{name.split('.')[0]}.py")
    return wanted


def run_here(names):
    """In this process, with the cgroups, networks and /run of this machine: for who has it alone."""
    global passed, failed, skipped
    sys.path.insert(0, str(TESTS / "integration"))
    wanted = wanted_tests(names)
    from keg import ROUNDS
    if ROUNDS != 100:
        print(f"tests that repeat something make {ROUNDS} % of their rounds (KEG_TEST_ROUNDS)")
    suite = unittest.defaultTestLoader.loadTestsFromNames(wanted)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Timed).run(suite)
    result.print_slowest()
    bad = result.failures + result.errors + [(test, "") for test in result.unexpectedSuccesses]
    broken.extend(str(test) for test, _ in bad)
    failed += len(bad)
    skipped += len(result.skipped)
    passed += result.testsRun - len(bad) - len(result.skipped)
    for test, reason in result.skipped:
        print(f"skipped: {test}: {reason}")


def run_integration(names):
    """Each file in a sandbox of its own, as many at once as there are processors: what a test sees, leaves and counts
    are its own cgroups, mounts, processes, networks and /run, whoever else is on the machine. Who is not root has
    nothing that could collide."""
    if os.geteuid() != 0:
        return run_here(names)
    if any(name.startswith("test_builder_conformance") for name in wanted_tests(names)) and CORPUS:
        # Of Debian's packages, which a sandbox does not reach.
        subprocess.run([TESTS.parent / "conformance/builder/bases", TESTS.parent / "build/bases"], check=True)
    # The longest first, so that no processor waits for the last one.
    wanted = sorted(wanted_tests(names), key=lambda name: -SECONDS.get(name.removeprefix("test_"), 1))
    sandbox = [sys.executable, TESTS.parent / "conformance/sandbox.py", "--network"]
    inside = ["env", "TMPDIR=/tmp", sys.executable, "-u", __file__, "--build", os.environ["KEG_BUILD"], "--here"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for lines in pool.map(lambda name: output_of([*sandbox, *inside, name]), wanted):
            count(lines)


def output_of(command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return result.stdout.splitlines()


def count(lines):
    """Prints what a run of this program said, adds up what it counted."""
    global passed, failed, skipped
    print("\n".join(lines[:-1]), flush=True)
    counts = re.fullmatch(COUNTED, lines[-1] if lines else "")
    if not counts:
        print(*lines[-1:], "did not come to its end", sep="\n")
        broken.append("a part did not come to its end: " + (lines[0] if lines else "it said nothing"))
    ok, bad, left_out = map(int, counts.groups()) if counts else (0, 1, 0)
    passed, failed, skipped = passed + ok, failed + bad, skipped + left_out
    broken.extend(line.removeprefix("failed: ") for line in lines if line.startswith("failed: "))


def run_conformance():
    """The OCI's validation programs, our own cases and real engines; what keg-runtime is known to fail counts as skipped."""
    count_conformance([sys.executable, TESTS.parent / "conformance/run.py", "--build", os.environ["KEG_BUILD"]])


def count_conformance(command):
    global passed, failed, skipped
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        if re.search(" (FAIL|PASSES NOW) ", line):
            broken.append("conformance: " + line.strip())
    process.wait()
    counts = re.fullmatch(r"(\d+) as expected, (\d+) unexpected, (\d+) known failures, (\d+) skipped\n", line)
    ok, bad, known, left_out = map(int, counts.groups()) if counts else (0, 1, 0, 0)
    passed += ok
    failed += bad
    skipped += known + left_out


def can_run_vm():
    global skipped
    if os.geteuid() == 0 and os.uname().machine == "x86_64":
        return True
    print("skipped: the tests in a machine of their own: they need root, and a processor for Debian's amd64")
    skipped += 1
    return False


def copied(*files):
    """A line of shell for a machine: these of the build onto its own disk, where a start takes a quarter of the time."""
    build = os.path.relpath(os.environ["KEG_BUILD"], TESTS.parent)
    return f"mkdir -p {BUILD_IN_VM}; (cd {build} && cp -r --parents {' '.join(files)} {BUILD_IN_VM})\n"


def run_callers_in_vm():
    """Engines with their documented settings on cgroup v2; what Go builds is built here."""
    if not can_run_vm():
        return
    subprocess.run([TESTS.parent / "conformance/callers/run", "--build"], check=True)
    for manager, callers in CALLERS_IN_VM.items():
        words = [word for caller in callers for word in ("--caller", caller)]
        judge = ["python3", "-u", "conformance/run.py", "--build", BUILD_IN_VM, "--suite", "callers", "--here", manager, *words]
        count_conformance([TESTS / "vm/run", "--engines", "--memory", "3072", "--timeout", "5400", "--env", f"KEG_BUILD={BUILD_IN_VM}", "--",
                           "sh", "-c", copied("runtime/keg-runtime", "conformance/callers") + f"exec {' '.join(judge)}"])


def run_in_vms(selection):
    """The tests of these names, inside; another kernel command line is another machine."""
    if not can_run_vm():
        return
    parts = {who: [f"{who}: {name}" for name in names] for who, names in selection.items()}
    for rest, options in ((parts.get("root", []) + parts.get("user", []), []),
                          (parts.get("selinux", []), ["--append", "security=selinux selinux=1 enforcing=0"])):
        while rest:
            rest = run_in_vm(rest, options)


def run_in_vm(parts, options):
    """Adds up what these count, each in a process of its own. One that hangs is ended; if one takes the machine
    along, those that had no turn are left to the next machine: they are what is returned."""
    global passed, failed, skipped
    script = copied("runtime/keg-runtime", "cli/keg")
    for part in parts:
        who, name = part.split(": ")
        become = "as-user " if who == "user" else ""
        script += f"echo '== {part}'; {become}env KEG_TEST_ROUNDS={os.environ.get('KEG_TEST_ROUNDS', '')} " \
                  f"timeout -k 60 {PART_LIMIT} python3 -u tests/run.py --build {BUILD_IN_VM} --here {name}\n"
    machine = subprocess.Popen([TESTS / "vm/run", *options, "--", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    watch = threading.Timer(PART_LIMIT, machine.terminate)
    watch.start()
    begun, counts = 0, {}
    for line in machine.stdout:
        print(line, end="", flush=True)
        if line == f"== {parts[min(begun, len(parts) - 1)]}\n":
            begun += 1
            watch.cancel()
            watch = threading.Timer(PART_LIMIT + 120, machine.terminate)
            watch.start()
        elif counted := re.fullmatch(COUNTED, line.rstrip("\n")):
            counts[parts[begun - 1]] = map(int, counted.groups())
    watch.cancel()
    machine.wait()
    done = begun or len(parts)    # without a machine there is nothing to be hoped for from the next
    for part in parts[:done]:
        ok, bad, left_out = counts.get(part, (0, 1, 0))
        passed, failed, skipped = passed + ok, failed + bad, skipped + left_out
        if part not in counts:
            print(f"{part} did not come to its end")
            broken.append(f"{part} did not come to its end")
    return parts[done:]


@contextlib.contextmanager
def beside(build):
    """What a machine of its own tests is tested meanwhile: an emulated one keeps one processor busy, and the tests here,
    which wait a lot, the other. Its output is printed and counted at the end."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([sys.executable, "-u", __file__, "--build", build, "--vm-short"],
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            process.wait()
        output.seek(0)
        count(output.read().splitlines())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=str(TESTS.parent / "build"))
    parser.add_argument("--sanitized", help="a build with sanitizers whose unit tests run too")
    parser.add_argument("--vm", action="store_true", help="only in a machine of its own; without names what matters there")
    parser.add_argument("--vm-short", action="store_true", help="of these what every run tests")
    parser.add_argument("--here", action="store_true", help="without a sandbox, for who has the machine alone")
    parser.add_argument("names", nargs="*", help="FILE, FILE.Class or FILE.Class.test of tests/integration/test_FILE.py; "
                        "with --vm, user:… is its ordinary user's, selinux:… one's with SELinux, and callers stands for the engines of conformance/callers")
    options = parser.parse_args()
    os.environ["KEG_BUILD"] = os.path.abspath(options.build)
    if options.vm:
        wanted = {"root": [], "user": [], "selinux": []}
        for name in options.names:
            who, _, rest = name.rpartition(":")
            if name != "callers":
                wanted[who or "root"].append(rest)
        run_in_vms(wanted if options.names else IN_VM_ALL)
        if "callers" in options.names or not options.names:
            run_callers_in_vm()
    elif options.vm_short:
        run_in_vms(IN_VM)
    elif options.here:
        run_here(options.names)
    elif options.names:
        run_integration(options.names)
    else:
        run_layering()
        run_catch("unit tests", os.path.join(options.build, "tests/unit-tests"))
        if options.sanitized:
            run_catch("unit tests with sanitizers", os.path.join(options.sanitized, "tests/unit-tests"))
        with beside(options.build):
            run_integration([])
            if os.geteuid() == 0:
                run_conformance()
    for what in broken:
        print(f"failed: {what}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
