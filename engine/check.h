// Whether a container's options can be at all: asked before anything is made, so that a refused
// `run` leaves no container that keeps its name. What only the start can know (a port that is
// taken, a program that is not there) is not asked.
#pragma once

#include "engine/settings.h"

// Throws Docker's words for the first that cannot be. Looks at the machine: its processors, its
// devices, the sources of mounts.
void check_settings(const Settings& settings);
