#!/usr/bin/env python3
"""Runs the conformance suites against an OCI runtime and reports; see scripts/conformance.

A suite is a directory here with an executable `run`, which gets the runtime's path and writes one JSON
line per result: {"name", "result": "pass"|"fail"|"skip", "reason", "seconds"}.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys

import report

HERE = pathlib.Path(__file__).resolve().parent
SUITES = ("runtime-tools", "cases", "runc", "callers")


def run_suite(suite, arguments):
    """Yields results as they come, so that a person sees them; a suite that breaks is a failure itself."""
    process = subprocess.Popen([HERE / suite / "run", *arguments], stdout=subprocess.PIPE, text=True)
    seen = 0
    for line in process.stdout:
        seen += 1
        yield report.Result(suite, **json.loads(line))
    code = process.wait()
    if code != 0 or seen == 0:
        yield report.Result(suite, "(the suite itself)", "fail", f"ended with {code} after {seen} results")


def version_of(runtime):
    said = subprocess.run([runtime, "--version"], capture_output=True, text=True, check=False).stdout
    return said.splitlines()[0] if said else "unknown"


def main():
    parser = argparse.ArgumentParser(prog="scripts/conformance", description="Judges an OCI runtime.")
    parser.add_argument("--runtime", help="the runtime to judge; without it keg-runtime is judged, against its "
                        "known failures, and anything unexpected makes the exit code 1")
    parser.add_argument("--suite", action="append", choices=SUITES, help="only this one (may be repeated)")
    parser.add_argument("--here", choices=("systemd", "cgroupfs"), help="for a machine that is thrown away afterwards: the "
                        "suite callers uses it as it is, with this manager of cgroups")
    parser.add_argument("--caller", action="append", default=[], help="only this one of the suite callers (may be repeated)")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON, too")
    parser.add_argument("--build", default=str(HERE.parent / "build"), help="keg's build directory")
    options = parser.parse_args()

    runtime = options.runtime or str(pathlib.Path(options.build, "runtime/keg-runtime"))
    runtime = shutil.which(runtime)
    if not runtime:
        parser.error(f"no executable {options.runtime or 'keg-runtime: build it first'}")
    runtime = str(pathlib.Path(runtime).absolute())
    version = version_of(runtime)
    print(f"{runtime} ({version})")
    results = []
    for suite in options.suite or SUITES:
        known = {} if options.runtime else report.known_failures(suite)
        print(f"{suite}:")
        here = ["--here", options.here] if options.here else []
        for result in run_suite(suite, [*here, runtime, *options.caller] if suite == "callers" else [runtime]):
            if not options.runtime:
                report.judge([result], known)
            print(report.line(result), flush=True)
            results.append(result)
    for suite in options.suite or SUITES:
        print(report.totals(suite, [r for r in results if r.suite == suite]))
    if options.json:
        report.write_json(options.json, runtime, version, results)
    bad = report.unexpected(results)
    if bad:
        print("unexpected:", ", ".join(f"{r.suite}/{r.name}" for r in bad))
    if not options.runtime:
        print(report.verdicts(results))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
