// How a container comes to be: create(), and what init does. See launch.cpp for the drawing.
#pragma once

#include "base/unique_fd.h"
#include "runtime/start/plan.h"
#include "runtime/state/container.h"

struct Created {
    Container container;
    UniqueFd console;  // the terminal's master, if it is ours to relay
};
// Throws whatever goes wrong, then nothing is left of the container.
Created create(const CreateOptions& options);
