#include <cstdio>

#include "cli/commands.h"
#include "cli/containers.h"
#include "engine/lifecycle.h"

static int wait(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    return for_each_container(containers, args.words(), false,
                              [&](const Container& c) { std::printf("%d\n", wait_container(c)); });
}

constinit const Command wait_command = {
    .name = "wait",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "wait until containers stop, print their exit codes",
    .least = 1,
    .run = wait,
};
