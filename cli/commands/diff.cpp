#include "engine/diff.h"

#include <cstdio>

#include "cli/commands.h"

static int diff(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    for (const auto& [kind, path] : changes_of(containers, containers.get(args[0])))
        std::printf("%c %s\n", kind, visible(path).c_str());
    return 0;
}

constinit const Command diff_command = {
    .name = "diff",
    .synopsis = "CONTAINER",
    .summary = "show which files a container added, changed or deleted",
    .least = 1,
    .most = 1,
    .run = diff,
};
