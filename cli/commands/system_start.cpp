// Without a daemon somebody has to do this when the machine has started: keg.service does.
#include "cli/commands.h"
#include "cli/containers.h"
#include "cli/start_container.h"

namespace {

bool policy_wants(const Container& container) {
    const RestartPolicy& policy = container.settings().restart;
    const State state = container.state();
    if (state.status != "exited") return false;
    if (policy.name == "on-failure")
        return state.exit_code != 0 && !container.is_asked_to_stop() &&
               (!policy.most || state.restart_count < policy.most);
    return policy.name == "always" ||
           (policy.name == "unless-stopped" && !container.is_asked_to_stop());
}

int system_start(const Arguments& globals, const Arguments&) {
    const Containers containers(store_root(globals));
    std::vector<std::string> ids;
    for (const Container& container : containers.list())
        if (policy_wants(container)) ids.push_back(container.id());
    return for_each_container(containers, ids, true, [&](const Container& container) {
        start_container(containers, container, {.runtime = runtime_program(globals)});
    });
}

}  // namespace

extern const Command system_start_command;
constinit const Command system_start_command = {
    .name = "system start",
    .synopsis = "",
    .summary = "start what its restart policy wants to run, as after a boot",
    .most = 0,
    .run = system_start,
};
