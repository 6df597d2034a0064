#include "cli/commands.h"
#include "cli/containers.h"
#include "engine/lifecycle.h"

namespace {

constexpr Option kill_options[] = {
    {"signal,s", "SIGNAL", "what to send", "KILL"},
};

int kill(const Arguments& globals, const Arguments& args) {
    const int signal = parse_signal(args.get("signal"));
    const Containers containers(store_root(globals));
    return for_each_container(containers, args.words(), true,
                              [&](const Container& c) { kill_container(containers, c, signal); });
}

}  // namespace

constinit const Command kill_command = {
    .name = "kill",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "send a signal to running containers",
    .options = kill_options,
    .least = 1,
    .interspersed = true,
    .run = kill,
};
