// What the commands about containers share.
#pragma once

#include <functional>

#include "base/command_line.h"
#include "engine/container.h"

// Does it for each container that was named, prints the name as typed, and goes on after an error,
// which is printed; gives 1 if there was one.
int for_each_container(const Containers& containers, const std::vector<std::string>& names, bool print_names,
                       const std::function<void(const Container&)>& action);
