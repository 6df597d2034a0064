// One that cannot be removed keeps no other: it is warned of. What a container has written is
// measured before it goes; nobody can say it afterwards.
#include <algorithm>
#include <cstdio>

#include "base/duration.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/tree_walk.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/format.h"
#include "engine/lifecycle.h"
#include "engine/logs.h"

namespace {

constexpr Option container_prune_options[] = {
    {"filter", "KEY=VALUE", "only those: label, until"},
    {"force,f", nullptr, "do not ask"},
};

bool may_be_pruned(const Container& container, const Filters& filters) {
    const auto holds = [&](const std::string& key, const std::string& value) {
        if (key == "until") return parse_rfc3339(container.settings().created) < parse_when(value);
        return has_label(container.settings().labels, value);
    };
    return std::ranges::all_of(filters, [&](const auto& filter) {
        return std::ranges::all_of(
            filter.second, [&](const std::string& value) { return holds(filter.first, value); });
    });
}

int container_prune(const Arguments& globals, const Arguments& args) {
    static constexpr const char* known[] = {"label", "until"};
    const Filters filters = parse_filters(args.all("filter"), known);
    if (!args.flag("force") && !is_confirmed("all stopped containers")) return 0;
    const Containers containers(store_root(globals));
    uint64_t freed = 0;
    bool said = false;
    for (const Container& container : containers.list()) {
        const std::string status = container.state().status;
        if ((status != "exited" && status != "created") || !may_be_pruned(container, filters))
            continue;
        attempt(str("removing container ", container.id()), [&] {
            const uint64_t bytes = disk_usage(container.file("upper"));
            remove_container(containers, container, {});
            if (!std::exchange(said, true)) std::printf("Deleted Containers:\n");
            std::printf("%s\n", container.id().c_str());
            freed += bytes;
        });
    }
    containers.collect();
    std::printf("%sTotal reclaimed space: %s\n", said ? "\n" : "", human_size(freed).c_str());
    return 0;
}

}  // namespace

constinit const Command container_prune_command = {
    .name = "container prune",
    .synopsis = "",
    .summary = "remove all stopped containers",
    .options = container_prune_options,
    .most = 0,
    .interspersed = true,
    .run = container_prune,
};
