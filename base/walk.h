// openat2(2) by hand, for where it is not: kernels before 5.6, and seccomp filters that are older
// than it (a container engine's around us, mostly).
#pragma once

#include <linux/openat2.h>

#include <expected>
#include <string>

#include "base/unique_fd.h"

// The same answer as openat2's, with RESOLVE_IN_ROOT or RESOLVE_BENEATH and perhaps NO_SYMLINKS,
// NO_XDEV and NO_MAGICLINKS; the error number otherwise.
std::expected<UniqueFd, int> walk(int dir, const std::string& path, const open_how& how);
