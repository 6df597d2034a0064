#include "base/error.h"
#include "runtime/commands/commands.h"
#include "runtime/container.h"

static constexpr Option options[] = {
    {"force,f", nullptr, "forcibly deletes the container if it is still running (uses SIGKILL)"},
};

static int remove(const Arguments& globals, const Arguments& args) {
    const bool force = args.flag("force");
    const auto container = Container::load_if_exists(state_root(globals), args[0]);
    if (!container && force) return 0;
    if (!container) throw Error("container does not exist");
    const Status status = container->status();
    if (!force && status != Status::stopped && status != Status::created)
        throw Error("cannot delete container ", args[0], " that is not stopped: ", status_name(status));
    container->destroy();
    return 0;
}

constinit const Command delete_command = {
    .name = "delete",
    .synopsis = "<container-id>",
    .summary = "delete any resources held by the container often used with detached container",
    .options = options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = remove,
};
