#include "engine/attach_later.h"

#include "cli/commands.h"
#include "engine/detach_keys.h"
#include "engine/events.h"

namespace {

constexpr Option attach_options[] = {
    {"detach-keys", "KEYS", "the keys that leave it", default_detach_keys},
    {"no-stdin", nullptr, "do not attach its input"},
    {"sig-proxy", nullptr, "pass signals to the process (default true)"},
};

int attach(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const Container container = containers.get(args[0]);
    note_event(containers, container, "attach");
    return attach_later(containers, container,
                        {.input = !args.flag("no-stdin"),
                         .pass_signals = !args.has("sig-proxy") || args.flag("sig-proxy"),
                         .detach_keys = args.get("detach-keys")});
}

}  // namespace

constinit const Command attach_command = {
    .name = "attach",
    .synopsis = "CONTAINER",
    .summary = "join the terminal or the streams of a running container",
    .options = attach_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = attach,
};
