// Without -a each container is for itself: a failure does not stop the others, and one that runs
// already is as good as started. With -a there is one only, whose exit code is ours, and one that
// runs already is an error.
#include "cli/commands.h"
#include "cli/containers.h"
#include "cli/start_container.h"
#include "engine/detach_keys.h"

namespace {

constexpr Option start_options[] = {
    {"attach,a", nullptr, "attach its output, pass signals"},
    {"detach-keys", "KEYS", "the keys that leave a terminal", default_detach_keys},
    {"interactive,i", nullptr, "attach its input"},
};

int start(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const bool attach = args.flag("attach") || args.flag("interactive");
    if (!attach)
        return for_each_container(containers, args.words(), true, [&](const Container& container) {
            start_container(containers, container, {.runtime = runtime_program(globals)});
        });
    if (args.size() > 1) throw Error("you cannot start and attach multiple containers at once");
    const Container container = containers.get(args[0]);
    const bool input = args.flag("interactive") && container.settings().open_stdin;
    auto monitor = start_container(containers, container,
                                   {.runtime = runtime_program(globals),
                                    .attach = true,
                                    .attach_input = input,
                                    .raw_terminal = input && container.settings().tty,
                                    .detach_keys = args.get("detach-keys")});
    if (!monitor) throw Error("container ", args[0], " is already running");
    return monitor->wait(true);
}

}  // namespace

constinit const Command start_command = {
    .name = "start",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "start stopped containers",
    .options = start_options,
    .least = 1,
    .interspersed = true,
    .run = start,
};
