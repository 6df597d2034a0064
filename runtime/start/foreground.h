// The runtime as the container's parent in the foreground: signals go on to the container, the
// terminal's bytes go both ways, and its end is ours.
#pragma once

#include "base/process.h"
#include "runtime/state/notify_socket.h"

class Foreground {
public:
    // From here on no signal ends us before the container heard of it. active: false does nothing.
    explicit Foreground(bool active);
    // Until the child has ended and its last output is taken; who takes none holds up nothing but
    // that, and then SIGHUP, SIGINT, SIGQUIT or SIGTERM end the waiting for him. console: the
    // terminal's master, or an empty descriptor; notify: what the container's readiness goes to.
    ExitStatus wait(Child& child, UniqueFd console, NotifySocket* notify = nullptr);

private:
    UniqueFd signals_;
};
