"""The conformance suites' own promise: what does not work is not reported as a pass."""
import json
import sys
import textwrap
import unittest

from keg import KEG, PROJECT, needs_root, run

sys.path.insert(0, str(PROJECT / "conformance"))
import report  # noqa: E402
import tap  # noqa: E402


def read(text):
    return tap.read(textwrap.dedent(text))


class Tap(unittest.TestCase):
    def test_good_report_has_no_problem(self):
        got = read("""\
            TAP version 13
            ok 1 - one
            Refer to: https://example.org
              ---
              {"not": "read"}
              ...
            ok 2 # SKIP two
            # remark
            1..2
            """)
        self.assertEqual((got.checks, got.failed, got.skipped, got.problems), (2, [], ["two"], []))
        self.assertEqual(got.diagnostics, ['  {"not": "read"}', "remark"])

    def test_failed_check_is_told(self):
        self.assertEqual(read("TAP version 13\nnot ok 1 - one\n1..1\n").failed, ["one"])

    def test_whatever_is_missing_is_a_problem(self):
        for what, text in {
            "output": "",
            "header": "ok 1 - one\n1..1\n",
            "plan": "TAP version 13\nok 1 - one\n",
            "check": "TAP version 13\nok 1 - one\n1..2\n",
            "number": "TAP version 13\nok 2 - one\n1..1\n",
            "end of a block": "TAP version 13\nok 1 - one\n  ---\n1..1\n",
            "plan of the second part": "TAP version 13\nok 1 - one\n1..1\nTAP version 13\nok 1 - one\n",
        }.items():
            with self.subTest(what):
                self.assertTrue(read(text).problems)

    def test_words_that_are_no_report_are_a_problem(self):
        self.assertTrue(read("TAP version 13\npanic: oh\n1..0\n").problems)


class Verdict(unittest.TestCase):
    def test_only_what_was_expected_is_quiet(self):
        known = {"old": report.Known("old", "-", "fail", "fail", "why"),
                 "race": report.Known("race", "luck", "fail", "fail", "why")}
        for name, result, verdict in (("new", "pass", "as expected"), ("new", "fail", "unexpected failure"),
                                      ("old", "pass", "unexpected pass"), ("old", "fail", "known failure"),
                                      ("race", "pass", "as expected"), ("race", "fail", "known failure"),
                                      ("new", "skip", "skipped")):
            with self.subTest(f"{name} {result}"):
                judged = report.Result("suite", name, result)
                report.judge([judged], known)
                self.assertEqual(judged.verdict, verdict)

    def test_every_known_failure_has_its_reason_and_is_a_program(self):
        programs = (PROJECT / "conformance/runtime-tools/programs.txt").read_text().split()
        for name, row in report.known_failures("runtime-tools").items():
            self.assertIn(name, programs)
            self.assertTrue(row.reason and row.runc and row.crun, name)


@needs_root
class Suites(unittest.TestCase):
    def test_no_case_passes_for_what_is_no_runtime(self):
        for program in ("/bin/true", "/bin/false"):
            results = [json.loads(line) for line in run(PROJECT / "conformance/cases/run", program, "properties/*", "errors/*").stdout.splitlines()]
            self.assertGreater(len(results), 100)
            self.assertEqual([r["name"] for r in results if r["result"] == "pass"], [], program)

    def images(self, program):
        return [json.loads(line) for line in run(PROJECT / "conformance/image/run", program).stdout.splitlines()]

    def test_what_keg_writes_is_what_the_image_specification_says(self):
        results = self.images(KEG)
        self.assertGreater(len(results), 25)
        self.assertEqual([r for r in results if r["result"] == "fail"], [])

    def test_no_image_passes_for_what_writes_none(self):
        for program in ("/bin/true", "/bin/false"):
            self.assertEqual([r["name"] for r in self.images(program) if r["result"] == "pass"], [], program)

    def test_every_known_failure_of_the_cases_is_a_case(self):
        results = [json.loads(line) for line in run(PROJECT / "conformance/cases/run", "/bin/false").stdout.splitlines()]
        self.assertEqual(set(report.known_failures("cases")) - {r["name"] for r in results}, set())


if __name__ == "__main__":
    unittest.main()
