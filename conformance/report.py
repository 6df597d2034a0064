"""What a run of the suites says: results, what was expected of them, a table for people, JSON for tools."""
import dataclasses
import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Result:
    suite: str
    name: str
    result: str        # pass, fail, skip
    reason: str = ""
    seconds: float = 0.0
    verdict: str = ""  # for keg-runtime: as expected, skipped, known failure, unexpected pass or failure


@dataclasses.dataclass
class Known:
    name: str
    needs: str
    runc: str
    crun: str
    reason: str


def capability(number):
    status = pathlib.Path("/proc/self/status").read_text()
    bounding = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd"))
    return bool(int(bounding, 16) >> number & 1)


def v1(file):
    """Whether a v1 hierarchy has this file in groups below its root."""
    kind = file.split(".")[0]
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    hierarchy = next((pathlib.Path(m[1]) for m in mounts if m[2] == "cgroup" and kind in m[3].split(",")), None)
    if not hierarchy:
        return False
    probe = hierarchy / "conformance-probe"
    probe.mkdir(exist_ok=True)
    try:
        return (probe / file).exists()
    finally:
        probe.rmdir()


def succeeds(*command):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


# What a machine must have for a known failure to be none: the second column of known_failures.txt.
FACTS = {
    "-": lambda: False,      # the program itself, on every machine
    "luck": lambda: False,   # a race: neither result is unexpected
    "CAP_SYS_RESOURCE": lambda: capability(24),
    "SELinux": lambda: pathlib.Path("/sys/fs/selinux/enforce").exists(),
    "AppArmor": lambda: pathlib.Path("/sys/kernel/security/apparmor/profiles").exists(),
    "CRIU": lambda: succeeds("criu", "check"),
    "dummy devices": lambda: succeeds("unshare", "-n", "ip", "link", "add", "dummy0", "type", "dummy"),
    "v1 blkio.leaf_weight": lambda: v1("blkio.leaf_weight"),
    "v1 hugetlb": lambda: v1("hugetlb.2MB.limit_in_bytes"),
    "v1 net_cls": lambda: v1("net_cls.classid"),
}


def known_failures(suite):
    """{name: Known}, without those that this machine has no excuse for."""
    path = HERE / suite / "known_failures.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [Known(*(column.strip() for column in line.split("|", 4)))
            for line in lines if line and not line.startswith("#")]
    return {row.name: row for row in rows if not FACTS[row.needs]()}


def judge(results, known):
    for r in results:
        expected = known.get(r.name)
        if r.result == "pass":
            r.verdict = "unexpected pass" if expected and expected.needs != "luck" else "as expected"
        elif r.result == "skip":
            r.verdict = "skipped"
        else:
            r.verdict = "known failure" if expected else "unexpected failure"
            if expected:
                r.reason = f"{expected.reason} [runc {expected.runc}, crun {expected.crun}]"


def unexpected(results):
    return [r for r in results if r.verdict.startswith("unexpected")]


def count(results):
    words = ("pass", "fail", "skip")
    return {word: sum(r.result == word for r in results) for word in words}


def line(r):
    mark = {"unexpected failure": "FAIL", "unexpected pass": "PASSES NOW", "known failure": "known"}.get(r.verdict, r.result)
    reason = "it is in known_failures.txt" if r.verdict == "unexpected pass" else r.reason
    return f"  {r.name:<44} {mark:<10} {r.seconds:5.1f} s  {reason}".rstrip()


def verdicts(results):
    """What tests/run.py adds up."""
    n = lambda *words: sum(r.verdict in words for r in results)
    return (f"{n('as expected')} as expected, {n('unexpected pass', 'unexpected failure')} unexpected, "
            f"{n('known failure')} known failures, {n('skipped')} skipped")


def totals(suite, results):
    n = count(results)
    return f"{suite}: {n['pass']} of {len(results)} pass, {n['fail']} fail, {n['skip']} skipped"


def write_json(path, runtime, version, results):
    suites = {}
    for r in results:
        suites.setdefault(r.suite, []).append(r)
    document = {"runtime": runtime, "version": version, "suites": {
        name: {"totals": count(rs), "results": [{k: v for k, v in dataclasses.asdict(r).items() if k != "suite"} for r in rs]}
        for name, rs in suites.items()}}
    pathlib.Path(path).write_text(json.dumps(document, indent=2) + "\n")
