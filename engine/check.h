// Whether a container's options can be at all: asked before anything is made, so that a refused
// `run` leaves no container that keeps its name. What only the start can know (a port that is
// taken, a program that is not there) is not asked.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/settings.h"

// Throws Docker's words for the first that cannot be. Looks at the machine: its processors, its
// devices, the sources of mounts.
void check_settings(const Settings& settings);
// "0-3,7" as ranges, as they stand; nothing if it is no such list, or has a number above 1048576.
std::optional<std::vector<std::pair<int, int>>> parse_number_set(std::string_view text);
