// What commands do to containers that have a monitor: signal, wait, remove.
#pragma once

#include "engine/container.h"

// Throws `container x is not running` if it is not.
void kill_container(const Containers& containers, const Container& container, int signal);
// Its stop signal, then KILL after `timeout` seconds (-1: never); returns when all is cleaned up.
// Nothing if it does not run. `signal` and `timeout` override the container's own.
void stop_container(const Containers& containers, const Container& container,
                    std::optional<int> signal, std::optional<int> timeout);
void pause_container(const Containers& containers, const Container& container);
void resume_container(const Containers& containers, const Container& container);
// Blocks until it has ended; gives its exit code.
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
