#!/usr/bin/env python3
"""Includes obey the direction base <- spec <- runtime, image <- container <- builder, engine <- cli. builder and
engine reach the runtime only by its command line: runtime/client.h is all they may include of it."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
MAY_INCLUDE = {
    "base": {"base"},
    "spec": {"base", "spec"},
    "runtime": {"base", "spec", "runtime"},
    "image": {"base", "spec", "image"},
    "container": {"base", "spec", "image", "container"},
    "builder": {"base", "spec", "image", "container", "builder"},
    "engine": {"base", "spec", "image", "container", "engine"},
    "cli": {"base", "spec", "image", "container", "builder", "engine", "cli"},
}

wrong = []
for folder, allowed in MAY_INCLUDE.items():
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'#include "([a-z]+)/(.*)"', line)
            if not match or match[1] in allowed:
                continue
            if f"{match[1]}/{match[2]}" == "runtime/client.h" and folder in ("builder", "engine", "cli"):
                continue
            wrong.append(f"{path.relative_to(ROOT)}:{number}: {folder} may not include {match[1]}/{match[2]}")
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
