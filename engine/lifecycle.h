// What commands do to containers that have a monitor: signal, wait, remove.
#pragma once

#include "engine/container.h"

// Throws `cannot kill container: x: container ID is not running` if it is not. A paused one goes
// on, or it would not get the signal.
void kill_container(const Containers& containers, const Container& container, int signal);
// Its stop signal (TERM), then KILL after `timeout` seconds (-1: never; 0: at once, without the
// signal); returns when all is cleaned up. Nothing if it does not run. `signal` and `timeout`
// override the container's own, whose default is 10 seconds.
void stop_container(const Containers& containers, const Container& container,
                    std::optional<int> signal, std::optional<int> timeout);
// By the runtime, which freezes the cgroup. Each throws Docker's words (`Container ID is not
// paused`) for one that is in another state.
void pause_container(const Containers& containers, const Container& container);
void resume_container(const Containers& containers, const Container& container);
// Whatever its state says: if the runtime says that it is paused, it goes on. For who comes after
// one that was killed while he paused it or let it go on.
void resume_if_frozen(const Containers& containers, const Container& container);
// Blocks until it has ended and its monitor has cleaned up; gives its exit code, 255 if the monitor
// was killed.
int wait_container(const Container& container);
// A container that should have removed itself (--rm), but its monitor was killed, or the machine
// was switched off: whoever comes across it removes it. False: it is none of those.
bool remove_if_left(const Containers& containers, const Container& container);
struct RemoveOptions {
    bool force = false, volumes = false;
};
// Throws "cannot remove container …: container is running" without force.
void remove_container(const Containers& containers, const Container& container,
                      const RemoveOptions& options);
