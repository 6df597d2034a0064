// Where the hierarchies of cgroups are mounted. Everywhere at /sys/fs/cgroup/NAME, or v2 alone at
// /sys/fs/cgroup itself, but for machines that were set up by hand, chroots and containers: so
// those places are looked at first, and /proc/self/mountinfo, which may have thousands of lines,
// only if they are not what they should be.
//
// A hierarchy's name is that of /proc/self/cgroup: its controllers ("cpu,cpuacct"), the name of one
// without controllers ("systemd"), or "unified" for cgroup v2.
#pragma once

#include <optional>
#include <string>
#include <string_view>

// The directory where it is mounted; nothing if it is mounted nowhere.
std::optional<std::string> hierarchy_mount(const std::string& name);

// Where v2 is mounted, if it is all there is; nothing if there is v1, perhaps with a v2 beside it.
std::optional<std::string> sole_v2_mount();

// A group's directory, taken apart.
struct GroupPlace {
    std::string mount, hierarchy;  // both "" if it is in none that is mounted
    std::string path;              // below the mount: "/name"
};
GroupPlace place_of_group(const std::string& directory);

// The same, looked for in what /proc/self/mountinfo says; pure. A mount that shows all of the
// hierarchy is preferred.
std::optional<std::string> find_hierarchy(std::string_view mountinfo, std::string_view name);
GroupPlace find_group(std::string_view mountinfo, const std::string& directory);
