// `keg attach`: the terminal of a container that runs already, by its monitor's socket.
#pragma once

#include <string>

#include "engine/container.h"

struct AttachOptions {
    bool input = true, pass_signals = true;
    std::string detach_keys;  // "" are the default
};
// Until the container ends, or the user leaves. Gives its exit code for a shell; 0 if the user
// left. Throws for a container that does not run, or whose monitor does not answer.
int attach_later(const Containers& containers, const Container& container,
                 const AttachOptions& options);
