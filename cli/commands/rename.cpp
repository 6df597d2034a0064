#include "cli/commands.h"
#include "engine/container.h"

static int rename(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    containers.rename(containers.get(args[0]), args[1]);
    return 0;
}

constinit const Command rename_command = {
    .name = "rename",
    .synopsis = "CONTAINER NEW_NAME",
    .summary = "rename a container",
    .least = 2,
    .most = 2,
    .run = rename,
};
