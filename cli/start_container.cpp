#include "cli/start_container.h"

#include "base/error.h"

std::optional<Monitored> start_container(const Containers& containers, const Container& container,
                                         const MonitorOptions& how) {
    auto change = container.begin_change();  // who is starting it just now has done so, then
    if (!change) throw Error("No such container: ", container.id());
    const std::string status = container.state().status;
    if (status == "paused") throw Error("cannot start a paused container, try unpause instead");
    if (status == "running" || status == "restarting") return {};
    auto lock =
        container.lock();  // that of a container which ended a moment ago is about to be free
    if (!lock) throw Error("No such container: ", container.id());
    // Its monitor may have been killed, or the machine switched off: what was written then is no
    // proof.
    const State before = container.last_state();
    if (is_alive(before.pid, before.pid_started)) return {};
    clean_up_after_monitor(containers, container, how.runtime);
    return start_monitored(containers, container, {std::move(*lock), std::move(*change)}, how);
}
