// seccomp=… of --security-opt, of `run`, `create` and `build` alike: a profile's file, the
// profile itself, "unconfined" or "builtin".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spec/runtime.h"

// As it is kept: what a file says now, since what it says later is not what was asked for. Throws
// what is wrong with it, with its name and the place in it.
std::string load_seccomp_option(std::string_view typed);
// The profile of such a kept one, or of "" for the default, for a container with these
// capabilities; none if it is unconfined.
std::optional<spec::Seccomp> seccomp_profile_of(const std::string& kept,
                                                const std::vector<std::string>& capabilities);
