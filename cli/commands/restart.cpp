#include "cli/commands.h"
#include "cli/containers.h"
#include "cli/start_container.h"
#include "engine/lifecycle.h"

namespace {

constexpr Option restart_options[] = {
    {"signal,s", "SIGNAL", "instead of the container's stop signal"},
    seconds_to_stop("time,t", "before it is killed; -1: never"),
    seconds_to_stop("timeout", "", true),
};

int restart(const Arguments& globals, const Arguments& args) {
    std::optional<int> seconds, signal;
    if (const auto typed = args.has("timeout") ? args.number("timeout") : args.number("time"))
        seconds = int(*typed);
    if (args.has("signal")) signal = parse_signal(args.get("signal"));
    const Containers containers(store_root(globals));
    return for_each_container(containers, args.words(), true, [&](const Container& container) {
        stop_container(containers, container, signal, seconds);
        start_container(containers, container, {.runtime = runtime_program(globals)});
    });
}

}  // namespace

constinit const Command restart_command = {
    .name = "restart",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "stop containers and start them again",
    .options = restart_options,
    .least = 1,
    .interspersed = true,
    .run = restart,
};
