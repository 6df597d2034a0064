#include "base/error.h"
#include "runtime/commands/commands.h"
#include "runtime/state/container.h"
#include "runtime/state/notify_socket.h"

static void check_created(Status status) {
    if (rule_of(status).start) return;
    switch (status) {
        case Status::stopped: throw Error("cannot start a container that has stopped");
        case Status::running: throw Error("cannot start an already running container");
        default: throw Error("cannot start a container in the ", status_name(status), " state");
    }
}

static int start(const Arguments& globals, const Arguments& args) {
    Container container = Container::load(state_root(globals), args[0]);
    check_created(
        container.status());  // a create that is not done has the lock: it is not waited for
    if (!container.lock()) throw Error("container does not exist");
    check_created(container.status());
    start_and_notify(container);
    return 0;
}

constinit const Command start_command = {
    .name = "start",
    .synopsis = "<container-id>",
    .summary = "executes the user defined process in a created container",
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = start,
};
