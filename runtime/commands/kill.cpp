#include "base/steps.h"
#include "runtime/commands/commands.h"
#include "runtime/process/signals.h"
#include "runtime/state/container.h"

static constexpr Option kill_options[] = {
    {"all,a", nullptr, "(obsolete) send the signal to all processes of the container", "", true},
    {"regex,r", nullptr,
     "the id is a regular expression: signal every container whose id it matches"},
};

static int kill(const Arguments& globals, const Arguments& args) {
    const std::vector<Container> containers =
        Container::named(state_root(globals), args[0], args.flag("regex"));
    const int signal = parse_signal(args.size() > 1 && !args[1].empty() ? args[1] : "SIGTERM");
    if (!args.flag("regex")) return containers.at(0).signal(signal, args.flag("all")), 0;
    Steps all;
    for (const Container& container : containers)
        all.step(str("container ", container.id()),
                 [&] { container.signal(signal, args.flag("all")); });
    all.finish();
    return 0;
}

constinit const Command kill_command = {
    .name = "kill",
    .synopsis = "<container-id> [signal]",
    .summary = "send a signal (default: SIGTERM) to the container's init process",
    .options = kill_options,
    .least = 1,
    .most = 2,
    .interspersed = true,
    .run = kill,
};
