"""A strict reader of TAP, the protocol in which OCI runtime-tools' programs tell their results.

Strict, because a program that crashed, was cut off or checked less than usual must not look like one
that passed: every section needs its plan, the plan its number of checks, the checks their order.
"""
import dataclasses
import re

CHECK = re.compile(r"(not )?ok (\d+)(?: - | # SKIP | # TODO )?(.*)")
PLAN = re.compile(r"1\.\.(\d+)$")


@dataclasses.dataclass
class Report:
    checks: int = 0
    failed: list = dataclasses.field(default_factory=list)       # what the failed checks say
    skipped: list = dataclasses.field(default_factory=list)
    diagnostics: list = dataclasses.field(default_factory=list)  # comments and YAML blocks
    problems: list = dataclasses.field(default_factory=list)     # what is wrong with the output itself


class Reader:
    def __init__(self, noise):
        self.report, self.noise = Report(), noise
        self.plan, self.number, self.open = None, 0, False
        self.block = None

    def begin(self):
        self.end()
        self.plan, self.number, self.open = None, 0, True

    def end(self):
        """A section ends where the next begins (some programs print two reports) and with the output."""
        if self.block is not None:
            self.problem("a YAML block has no end")
        if self.open and self.plan is None:
            self.problem("the plan is missing: the program was cut off")
        elif self.open and self.plan != self.number:
            self.problem(f"{self.plan} checks were planned, {self.number} were made")

    def problem(self, text):
        self.report.problems.append(text)

    def check(self, bad, number, line, text):
        self.report.checks += 1
        self.number += 1
        if number != self.number:
            self.problem(f"check {number} comes where {self.number} was due")
        if bad:
            self.report.failed.append(text)
        elif " # SKIP " in line:
            self.report.skipped.append(text)

    def line(self, line):
        if self.block is not None:
            if line == "  ...":
                self.report.diagnostics.append("\n".join(self.block))
                self.block = None
            else:
                self.block.append(line)
        elif line == "TAP version 13":
            self.begin()
        elif not self.open:
            self.problem(f"output before the header: {line}")
        elif match := PLAN.match(line):
            if self.plan is not None:
                self.problem("two plans")
            self.plan = int(match[1])
        elif match := CHECK.match(line):
            self.check(bool(match[1]), int(match[2]), line, match[3])
        elif line == "  ---":
            self.block = []
        elif line.startswith("# "):
            self.report.diagnostics.append(line[2:])
        # A check's description may go on in a line that names the spec.
        elif line not in self.noise and not line.startswith("Refer to: "):
            self.problem(f"not TAP: {line}")


def read(text, noise=()):
    reader = Reader(noise)
    for line in text.splitlines():
        reader.line(line)
    reader.end()
    if not reader.open:
        reader.problem("no output")
    return reader.report
