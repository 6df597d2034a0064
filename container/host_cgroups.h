// The host's cgroups, as far as keg looks at them itself: to make and limit them is the runtime's.
#pragma once

#include <string>

bool host_has_cgroup_v2();  // and nothing but it
// Whether the kernel has killed a process of a group for want of memory. `group` is its path as
// config.json says it.
bool was_out_of_memory(const std::string& group);
