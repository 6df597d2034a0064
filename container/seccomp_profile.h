// Docker's default seccomp profile: what an ordinary container may ask of the kernel.
#pragma once

#include <string>
#include <vector>

#include "spec/runtime.h"

// The profile for a container with these capabilities ("CAP_SYS_ADMIN", …) on this machine's
// architecture: system calls that are harmless without a capability are allowed, those that are
// guarded by one are allowed with it, everything else fails with EPERM (clone3 with ENOSYS, so that
// libraries fall back to clone, whose flags a filter can see).
spec::Seccomp default_seccomp_profile(const std::vector<std::string>& capabilities);
