#include <cstdio>

#include "runtime/commands/commands.h"
#include "runtime/state/container.h"

static int state(const Arguments& globals, const Arguments& args) {
    std::fputs(spec::write(Container::load(state_root(globals), args[0]).state()).c_str(), stdout);
    return 0;
}

constinit const Command state_command = {
    .name = "state",
    .synopsis = "<container-id>",
    .summary = "output the state of a container",
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = state,
};
