// What starts leave in a container's own files, and how it is known from what the container did.
#pragma once

#include <set>
#include <string>

#include "base/root.h"
#include "engine/container.h"

// Paths without a slash before them. `merged` is its root file system as it is mounted, `upper`
// what the container wrote, `below` its image.
std::set<std::string> traces_of_starts(const Container& container, const Root& merged,
                                       const Root& upper, const Root& below);
