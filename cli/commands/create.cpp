#include <cstdio>

#include "cli/commands.h"
#include "cli/run_options.h"

static int create(const Arguments& globals, const Arguments& args) {
    failure_exit_code = 125;
    const Containers containers(store_root(globals));
    containers.collect();
    std::printf("%s\n", make_container(globals, args, containers).container.id().c_str());
    return 0;
}

constinit const Command create_command = {
    .name = "create",
    .synopsis = "IMAGE [COMMAND] [ARG...]",
    .summary = "create a container without starting it",
    .options = create_options,
    .least = 1,
    .run = create,
};
