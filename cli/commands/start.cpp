#include <unistd.h>

#include <cstdio>

#include "cli/commands.h"
#include "cli/containers.h"
#include "engine/monitor.h"

namespace {

constexpr Option options[] = {
    {"attach,a", nullptr, "attach its output, pass signals"},
    {"interactive,i", nullptr, "attach its input"},
};

// The lock of a container that ended a moment ago is about to be free.
std::optional<Monitored> start_one(const Containers& containers, const Container& container, const MonitorOptions& how) {
    if (container.state().status == "running") return {};
    auto lock = container.lock();
    if (!lock) throw Error("No such container: ", container.id());
    if (container.state().status == "running") return {};
    clean_up_after_monitor(containers, container, how.runtime);
    return start_monitored(containers, container, std::move(*lock), how);
}

int start(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const bool attach = args.flag("attach") || args.flag("interactive");
    if (!attach)
        return for_each_container(containers, args.words(), true, [&](const Container& container) {
            start_one(containers, container, {.runtime = runtime_program(globals)});
        });
    if (args.size() > 1) throw Error("you cannot start and attach multiple containers at once");
    const Container container = containers.get(args[0]);
    const bool input = args.flag("interactive") && container.settings().open_stdin;
    auto monitor = start_one(containers, container, {.runtime = runtime_program(globals), .attach = true, .attach_input = input, .raw_terminal = input && container.settings().tty});
    if (!monitor) throw Error("container ", args[0], " is already running");
    return monitor->wait(true);
}

}  // namespace

constinit const Command start_command = {
    .name = "start",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "start stopped containers",
    .options = options,
    .least = 1,
    .interspersed = true,
    .run = start,
};
