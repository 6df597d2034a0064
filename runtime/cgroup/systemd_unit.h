// What systemd is asked for, as data: the name and place of a unit, and its properties. All pure.
//
// systemd must know the limits, or it takes them back the next time it looks after its cgroups (at
// a daemon-reload, for one). It is told what is written into the files (limits.h): one table says
// which file is which property, whatever setting the value came from.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/dbus_wire.h"
#include "runtime/cgroup/knobs.h"

struct UnitPlace {
    std::string slice, unit;
    bool is_slice() const { return unit.ends_with(".slice"); }
};
// From cgroupsPath, "slice:prefix:name"; without it a scope named after the id.
UnitPlace plan_unit(const CgroupRequest& request, bool users_own);
// "a-b.slice" -> "/a.slice/a-b.slice", below the manager's cgroup; throws Error if it is no slice's
// name.
std::string expand_slice(const std::string& slice);
// Where the unit's cgroup will be, below the manager's.
std::string path_of(const UnitPlace& place);

using Properties = std::vector<std::pair<std::string, dbus::Value>>;
// As StartTransientUnit and SetUnitProperties take them: a(sv).
dbus::Value as_argument(const Properties& properties);

// What every container's unit has; the process is moved into it.
Properties unit_properties(const UnitPlace& place, const std::string& id, int pid, bool v2);
// The version of systemd is asked for only if it matters.
Properties limit_properties(const std::vector<Write>& writes, const std::function<int()>& version);
// Those that systemd takes only when it makes a unit.
Properties birth_properties(const std::vector<Write>& writes);
// A list of what is allowed, or no rule at all where such a list cannot say it: then only ours
// hold.
Properties device_properties(const std::vector<spec::DeviceRule>& rules);
// Annotations "org.systemd.property.NAME"; a NAMESec is told in microseconds.
Properties annotation_properties(const spec::Annotations& annotations);
