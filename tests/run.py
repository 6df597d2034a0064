#!/usr/bin/env python3
"""Runs the unit tests, the layering check and the integration tests; the last line counts them."""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree as xml

TESTS = pathlib.Path(__file__).resolve().parent
passed = failed = skipped = 0


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


def run_layering():
    global passed, failed
    result = subprocess.run([sys.executable, TESTS / "layering.py"], capture_output=True, text=True)
    print(f"layering: {'ok' if result.returncode == 0 else result.stdout + result.stderr}")
    if result.returncode == 0:
        passed += 1
    else:
        failed += 1


def run_integration(names):
    global passed, failed, skipped
    sys.path.insert(0, str(TESTS / "integration"))
    suite = unittest.TestSuite()
    for path in sorted((TESTS / "integration").glob("test_*.py")):
        if not names or path.stem in names or path.stem.removeprefix("test_") in names:
            suite.addTests(unittest.defaultTestLoader.loadTestsFromName(path.stem))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    failed += bad
    skipped += len(result.skipped)
    passed += result.testsRun - bad - len(result.skipped)
    for test, reason in result.skipped:
        print(f"skipped: {test}: {reason}")


def run_callers():
    """Real engines with the runtime below them; needs root, says itself what it cannot do."""
    global passed, failed, skipped
    environment = dict(os.environ, RT=os.path.join(os.environ["KEG_BUILD"], "runtime/keg-runtime"))
    result = subprocess.run([TESTS.parent / "conformance/callers/run"], stdout=subprocess.PIPE, text=True, env=environment)
    print(result.stdout)
    counts = re.search(r"(\d+) ok, (\d+) bad, (\d+) known failures, (\d+) skipped$", result.stdout.rstrip())
    ok, bad, known, left_out = map(int, counts.groups()) if counts else (0, 1, 0, 0)
    passed += ok
    failed += bad
    skipped += known + left_out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=str(TESTS.parent / "build"))
    parser.add_argument("--sanitized", help="a build with sanitizers whose unit tests run too")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    os.environ["KEG_BUILD"] = os.path.abspath(options.build)
    if not options.names:
        run_layering()
        run_catch("unit tests", os.path.join(options.build, "tests/unit-tests"))
        if options.sanitized:
            run_catch("unit tests with sanitizers", os.path.join(options.sanitized, "tests/unit-tests"))
    run_integration(options.names)
    if not options.names and os.geteuid() == 0:
        run_callers()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
