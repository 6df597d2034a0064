// A create or a start holds the lock for as long as it waits for its container. So --force kills
// first and asks for the lock then: who waited ends by the kill. Without it the lock comes first,
// and what it shows under the lock decides, or a `start` could come in between. With --force a
// container that is not there is no error, and of a damaged one goes what can be found; with
// --regex one that fails keeps no other from going.
#include "base/error.h"
#include "base/steps.h"
#include "runtime/commands/commands.h"
#include "runtime/state/container.h"

static constexpr Option delete_options[] = {
    {"force,f", nullptr, "forcibly deletes the container if it is still running (uses SIGKILL)"},
    {"regex,r", nullptr,
     "the id is a regular expression: delete every container whose id it matches"},
};

static void remove_one(Container& container, bool force) {
    // Killed before the lock is asked for: a create or start that waits for the container ends by
    // that.
    if (force && container.status() != Status::stopped) container.kill_all();
    if (force) {
        if (container.lock_to_remove()) container.destroy();
        return;
    }
    if (!container.lock()) throw Error("container does not exist");
    const Status status = container.status();
    if (!rule_of(status).remove)
        throw Error("cannot delete container ", container.id(),
                    " that is not stopped: ", status_name(status));
    container.destroy();
}

static int remove(const Arguments& globals, const Arguments& args) {
    const bool force = args.flag("force"), regex = args.flag("regex");
    const auto damage = force ? Container::Damage::recover : Container::Damage::refuse;
    const std::string root = state_root(globals);
    if (force && !regex) {
        if (auto container = Container::load_if_exists(root, args[0], damage))
            remove_one(*container, force);
        return 0;
    }
    std::vector<Container> containers = Container::named(root, args[0], regex, damage);
    if (!regex) return remove_one(containers.at(0), force), 0;
    Steps all;
    for (Container& container : containers)
        all.step(str("container ", container.id()), [&] { remove_one(container, force); });
    all.finish();
    return 0;
}

constinit const Command delete_command = {
    .name = "delete",
    .synopsis = "<container-id>",
    .summary = "delete any resources held by the container often used with detached container",
    .options = delete_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = remove,
};
