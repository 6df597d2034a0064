// `keg build --check` and `--call`: what a Dockerfile says, without a build.
#pragma once

#include <string>

#include "base/command_line.h"

// "check", or with --call "check", "outline" or "targets"; "" for a build. Throws Error for a
// method that there is not.
std::string build_call(const Arguments& args);
// Gives the exit code: 1 if a check has something to say.
int run_build_call(const std::string& method, const Arguments& globals, const Arguments& args);
