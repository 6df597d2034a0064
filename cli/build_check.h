// `keg build --check`: says what may be wrong with a Dockerfile, and builds nothing.
#pragma once

#include <string>

#include "base/command_line.h"

// Gives the exit code: 1 if there is something to say.
int run_build_check(const std::string& store_root, const Arguments& args);
