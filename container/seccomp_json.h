// seccomp.json, as it was when keg was built.
#pragma once

#include <string_view>

extern const std::string_view seccomp_json;
