// Stops all processes of a cgroup and lets them go on.
#pragma once

#include "runtime/cgroup/cgroup.h"

bool is_frozen(const CgroupRecord& record);
// Returns when nothing in it runs any more; if that cannot be had it runs as before, and this
// throws.
void freeze(const CgroupRecord& record);
void thaw(const CgroupRecord& record);
// And all groups below it, whoever froze them.
void thaw_tree(const CgroupRecord& record);
