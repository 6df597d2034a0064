#!/usr/bin/env python3
"""Includes obey the direction base <- spec <- runtime, image <- container <- builder, engine <- cli, and within the
runtime that of its rooms. builder and engine reach the runtime only by its command line: runtime/client.h is all
they may include of it."""
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
# Which rooms of the runtime a room may look into, beside itself.
ROOMS = {
    "process": set(),
    "seccomp": {"process"},
    "cgroup": {"process"},
    "rootfs": {"process", "cgroup"},
    "state": {"process", "cgroup", "rootfs"},
    "start": {"process", "seccomp", "cgroup", "rootfs", "state"},
    "checkpoint": {"process", "cgroup", "rootfs", "state", "start"},
    "commands": {"process", "seccomp", "cgroup", "rootfs", "state", "start", "checkpoint"},
}
# And the one room of image/ that knows nothing of images but names, blobs, subjects and the store they lie in.
REGISTRY_MAY_INCLUDE = {"digest.h", "reference.h", "store.h", "inline_data.h", "subject.h"}


def room_may_include(path, included):
    """Whether a file of the runtime's may; what lies beside the rooms may include all."""
    room, other = path.relative_to(ROOT).parts[1], included.split("/")[0]
    return room not in ROOMS or other == room or other in ROOMS[room]


wrong = []
if missing := {path.name for path in (ROOT / "runtime").iterdir() if path.is_dir()} ^ set(ROOMS):
    wrong.append(f"tests/layering.py: the rooms of runtime/ and those known here differ: {', '.join(sorted(missing))}")
for folder, allowed in MAY_INCLUDE.items():
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'#include "([a-z]+)/(.*)"', line)
            if not match:
                continue
            if match[1] == folder == "runtime" and not room_may_include(path, match[2]):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: runtime/{path.parent.name} may not include {match[0][10:-1]}")
            if path.is_relative_to(ROOT / "image/registry") and match[1] == "image":
                if not match[2].startswith("registry/") and match[2] not in REGISTRY_MAY_INCLUDE:
                    wrong.append(f"{path.relative_to(ROOT)}:{number}: image/registry may not include image/{match[2]}")
            if match[1] in allowed:
                continue
            if f"{match[1]}/{match[2]}" == "runtime/client.h" and folder in ("builder", "engine", "cli"):
                continue
            wrong.append(f"{path.relative_to(ROOT)}:{number}: {folder} may not include {match[1]}/{match[2]}")
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
