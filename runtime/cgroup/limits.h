// Limits of a container, from config.json and `update` into the files of its cgroup.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/knobs.h"

// Where a controller of v1 works, or nothing if it has no hierarchy there; with v2 always the one.
std::optional<std::string> directory_of(const CgroupRecord& record, std::string_view controller);
// The directory below the v2 mount beside v1's, where a controller may be that v1 does not have.
std::optional<std::string> directory_beside_v1(const CgroupRecord& record);

// What is to be written, devices not included. Reads nothing of the container's.
std::vector<Write> plan_limits(const CgroupRecord& record, const spec::Resources& resources);

// For a new cgroup: all of them, and the device rules.
void write_limits(const CgroupRecord& record, const CgroupRequest& request);
// For one that is in use: if one is refused those before it get their old values back. What was
// written is told, and what takes it back.
struct LimitChange {
    std::vector<Write> made, undo;
};
LimitChange update_limits(const CgroupRecord& record, const spec::Resources& resources);
// The same files once more.
void rewrite_limits(const CgroupRecord& record, const std::vector<Write>& writes);
// The former ones, as far as they can be had.
void take_back(const CgroupRecord& record, const std::vector<Write>& undo);
