// The exit code is the container's, so what keg itself fails with has a code of its own (125), and
// that is set before anything can fail. The locks of the new container go to its monitor without
// being free in between, so nobody starts or removes it before it runs.
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/run_options.h"
#include "engine/detach_keys.h"
#include "engine/monitor.h"

static int run(const Arguments& globals, const Arguments& args) {
    failure_exit_code = 125;
    const bool detached = args.flag("detach");
    if (!detached && args.flag("tty") && args.flag("interactive") && !::isatty(0))
        throw Error("the input device is not a TTY");

    (void)DetachKeys(args.get("detach-keys"));  // a mistake in them is told before anything is made
    const Containers containers(store_root(globals));
    containers.collect();
    Containers::Made made = make_container(globals, args, containers);
    const Settings settings = made.container.settings();
    // Without -a all of them; with it those that were named.
    const auto attached = [&](const char* stream) {
        const std::vector<std::string> named = args.all("attach");
        return !detached &&
               (named.empty() || std::ranges::any_of(named, [&](const std::string& one) {
                    return lower(one) == stream;
                }));
    };
    const bool input = attached("stdin") && settings.open_stdin;
    Monitored monitor =
        start_monitored(containers, std::move(made.container), std::move(made.locks),
                        {.runtime = runtime_program(globals),
                         .attach = !detached,
                         .attach_output = attached("stdout"),
                         .attach_errors = attached("stderr"),
                         .attach_input = input,
                         .raw_terminal = input && settings.tty,
                         .detach_keys = args.get("detach-keys")});
    if (!detached) return monitor.wait(!args.has("sig-proxy") || args.flag("sig-proxy"));
    std::printf("%s\n", settings.id.c_str());
    return 0;
}

constinit const Command run_command = {
    .name = "run",
    .synopsis = "IMAGE [COMMAND] [ARG...]",
    .summary = "create a container from an image and run it",
    .options = run_options,
    .least = 1,
    .run = run,
};
