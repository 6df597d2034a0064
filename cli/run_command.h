// For a command that is several others.
#pragma once

#include <string>
#include <vector>

#include "base/command_line.h"

// As if it had been typed, for the same store. Gives its exit code.
int run_command_line(const Arguments& globals, std::vector<std::string> words);
