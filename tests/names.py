#!/usr/bin/env python3
"""With COMPILE_AT_ONCE several files are one to the compiler, and what each keeps for itself (unnamed namespaces, static)
is seen by the others. Two functions of one name are then two overloads, and a call may quietly become the other one's:
so no two files of one group may have a name in common. The groups are CMake's own: tests/names.py BUILD-DIRECTORY"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEFINITIONS = [re.compile(pattern) for pattern in (
    r"[A-Za-z_][^=;(]*?[ *&>](\w+)\(",                                      # a function
    r"(?:struct|class|enum(?: class)?|union|using) (\w+)",                  # a type
    r"(?:constexpr|const|static|inline|thread_local)\b[^=;({]*[ *&](\w+)(?:\[\w*\])* *[={;]")]  # a constant


def private_names(path):
    """Of what begins a line within the file's unnamed namespace, or as static, as clang-format lays it out."""
    inside = False
    for line in path.read_text().splitlines():
        if line == "namespace {":
            inside = True
        elif line.startswith("}  // namespace"):
            inside = False
        elif inside or line.startswith("static "):
            for definition in DEFINITIONS:
                if match := definition.match(line):
                    yield match[1]
                    break


groups = list(pathlib.Path(sys.argv[1]).rglob("Unity/unity_*.cxx"))
if not groups:
    sys.exit(f"tests/names.py: {sys.argv[1]} has no group of files: it was not configured with COMPILE_AT_ONCE")
wrong = set()
for group in groups:
    owners = {}
    for file in re.findall(r'#include "(.*)"', group.read_text()):
        path = pathlib.Path(file)
        for name in private_names(path):
            first = owners.setdefault(name, path)
            if first != path:
                wrong.add(f"{path.relative_to(ROOT)}: {name} is a name of {first.relative_to(ROOT)}, too, which is compiled with it")
print("\n".join(sorted(wrong)), end="\n" if wrong else "")
sys.exit(1 if wrong else 0)
