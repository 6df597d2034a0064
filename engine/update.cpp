// The cgroup first, then the settings: what the kernel refuses is not noted, and what is noted is
// had by the next start.
#include "engine/update.h"

#include "base/error.h"
#include "engine/check.h"
#include "engine/config.h"
#include "engine/events.h"
#include "runtime/client.h"

static void update_cgroup(const Containers& containers, const Container& container,
                          const Settings& settings) {
    ConfigInputs inputs;
    add_block_io(settings, inputs);
    spec::Resources resources = make_resources(settings, inputs);
    resources.devices.clear();  // they stay as they are
    const RuntimeClient runtime(volatile_directory(containers.store_root()) + "/runtime",
                                container.settings().runtime);
    context("Cannot update container " + container.id(), [&] {
        runtime.ask({"update", "--resources", "-", container.id()}, spec::write(resources));
    });
}

void update_container(const Containers& containers, const Container& found,
                      const ContainerRequest& request) {
    const auto change = found.begin_change();
    if (!change) throw Error("No such container: ", found.id());
    const Container container = containers.get(found.id());  // as it is under the lock
    Settings settings = container.settings();
    take_limits(request, settings);
    if (!request.restart.empty()) settings.restart = parse_restart(request.restart);
    if (settings.auto_remove && settings.restart.name != "no")
        throw Error("Restart policy cannot be updated because AutoRemove is enabled for the "
                    "container");
    check_settings(settings);
    const std::string status = container.state().status;
    if (status == "running" || status == "paused") update_cgroup(containers, container, settings);
    containers.save_settings(container, settings);
    note_event(containers, container, "update");
}
