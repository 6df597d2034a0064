#include "cli/commands.h"
#include "cli/containers.h"
#include "engine/lifecycle.h"

namespace {

constexpr Option stop_options[] = {
    {"signal,s", "SIGNAL", "instead of the container's stop signal"},
    seconds_to_stop("time,t", "before it is killed; -1: never"),
    seconds_to_stop("timeout", "", true),
};

int stop(const Arguments& globals, const Arguments& args) {
    const auto typed = args.has("timeout") ? args.number("timeout") : args.number("time");
    std::optional<int> seconds, signal;
    if (typed) seconds = int(*typed);
    if (args.has("signal")) signal = parse_signal(args.get("signal"));
    const Containers containers(store_root(globals));
    return for_each_container(containers, args.words(), true, [&](const Container& c) {
        stop_container(containers, c, signal, seconds);
    });
}

}  // namespace

constinit const Command stop_command = {
    .name = "stop",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "stop running containers",
    .options = stop_options,
    .least = 1,
    .interspersed = true,
    .run = stop,
};
