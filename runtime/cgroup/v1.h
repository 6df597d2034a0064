// cgroup v1: many hierarchies, each with some controllers, mounted side by side.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/cgroup/knobs.h"

namespace v1 {

// Where /proc/self/cgroup says that hierarchies are: the directory's name below the mount
// ("cpu,cpuacct", "systemd", "unified" for a v2 one beside them), and the group we are in. Pure.
struct Hierarchy {
    std::string name, own;
    bool named = false;  // it has a name instead of controllers
};
std::vector<Hierarchy> parse_hierarchies(std::string_view proc_self_cgroup);

// Every level that is missing; a new one must be told its CPUs before anybody can enter it.
void make_group(const std::string& mount, const std::string& hierarchy, const std::string& path);

std::vector<Write> plan(const spec::Resources& resources);

}  // namespace v1
