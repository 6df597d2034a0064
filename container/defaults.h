// What every container of keg gets unless it is told otherwise, of `run` and of RUN alike: Docker's
// defaults, each in one place.
#pragma once

#include <string>
#include <vector>

#include "spec/runtime.h"

constexpr int64_t default_shm_size = 64 << 20;  // bytes

// Docker's mounts, in its order; with `writable_kernel` /sys and the cgroups are not read-only.
std::vector<spec::Mount> default_mounts(bool writable_kernel = false,
                                        int64_t shm_size = default_shm_size);
// Nothing but null, zero, random, urandom, tty and console.
std::vector<spec::DeviceRule> default_device_rules();
// The kernel's files that a container must not see, or not change: sets masked_paths and
// readonly_paths.
void hide_kernel_files(spec::Linux& linux);
// In a network namespace of its own: ports below 1024 and ping for everybody.
void open_ports_and_ping(spec::Linux& linux);
// Who is not root has them in reserve only, for programs with the set-user-ID bit.
spec::Capabilities rights(const std::vector<std::string>& capabilities, uint32_t uid);

std::vector<std::string> own_capabilities();  // this process's bounding set
