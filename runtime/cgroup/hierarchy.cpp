// A line of mountinfo does not name its hierarchy: the controllers stand among the file system's
// other options ("rw,cpu,cpuacct"), so names are compared as sets of words. A hierarchy may be
// mounted several times, as a whole or in part, and one mount may cover another: the last line of a
// place is what is seen there, and the mount of a whole is preferred. Mounts that are asked for
// again and again are remembered.
#include "runtime/cgroup/hierarchy.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/mount_table.h"

namespace {

constexpr std::string_view usual = "/sys/fs/cgroup";

struct Mounted {
    std::string root, at,
        name;  // name as above, perhaps with the file system's options among the controllers
};

std::vector<Mounted> parse(std::string_view mountinfo) {
    std::vector<Mounted> found;
    for (MountEntry& entry : parse_mount_table(mountinfo)) {
        if (!entry.type.starts_with("cgroup")) continue;
        std::string name = "unified";
        if (entry.type == "cgroup") {
            name = entry.options;
            for (const std::string& option : split(entry.options, ','))
                if (option.starts_with("name=")) name = option.substr(5);
        }
        found.push_back({std::move(entry.root), std::move(entry.point), std::move(name)});
    }
    return found;
}

bool has_all(const std::string& of, std::string_view wanted) {
    const std::vector<std::string> has = split(of, ',');
    return std::ranges::all_of(split(wanted, ','), [&](const std::string& one) {
        return std::ranges::find(has, one) != has.end();
    });
}

bool is_below(const std::string& directory, std::string_view mount) {
    return directory.starts_with(mount) &&
           (directory.size() == mount.size() || directory[mount.size()] == '/');
}

// What file system it is; 0 if it is not there.
long type_at(const std::string& path) {
    struct statfs fs{};
    return ::statfs(path.c_str(), &fs) == 0 ? long(fs.f_type) : 0;
}

std::optional<std::string> look_for_sole_v2() {
    const long type = type_at(std::string(usual));
    if (type == CGROUP2_SUPER_MAGIC) return std::string(usual);
    if (type == TMPFS_MAGIC) return {};  // with v1 below it
    std::optional<std::string> found;
    for (const Mounted& one : parse(read_file("/proc/self/mountinfo"))) {
        if (one.name != "unified") return {};
        if (!found || one.root == "/") found = one.at;
    }
    return found;
}

std::optional<std::string> look_for(const std::string& name) {
    if (const auto v2 = sole_v2_mount()) return name == "unified" ? v2 : std::nullopt;
    const std::string expected = str(usual, "/", name);
    if (type_at(expected) == (name == "unified" ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC))
        return expected;
    return find_hierarchy(read_file("/proc/self/mountinfo"), name);
}

}  // namespace

std::optional<std::string> sole_v2_mount() {
    static const std::optional<std::string> answer = look_for_sole_v2();
    return answer;
}

std::optional<std::string> hierarchy_mount(const std::string& name) {
    static std::map<std::string, std::optional<std::string>> known;
    const auto before = known.find(name);
    return before != known.end() ? before->second
                                 : known.emplace(name, look_for(name)).first->second;
}

GroupPlace place_of_group(const std::string& directory) {
    if (!directory.starts_with(str(usual, "/")))
        return find_group(read_file("/proc/self/mountinfo"), directory);
    if (sole_v2_mount() == usual)
        return {std::string(usual), "unified", directory.substr(usual.size())};
    const size_t end = std::min(directory.find('/', usual.size() + 1), directory.size());
    std::string mount = directory.substr(0, end), name = mount.substr(usual.size() + 1);
    return {std::move(mount), std::move(name), directory.substr(end)};
}

std::optional<std::string> find_hierarchy(std::string_view mountinfo, std::string_view name) {
    std::optional<std::string> found;
    bool whole = false;
    for (const Mounted& one : parse(mountinfo)) {
        if (!has_all(one.name, name) || (whole && one.root != "/")) continue;
        found = one.at, whole = one.root == "/";
    }
    return found;
}

GroupPlace find_group(std::string_view mountinfo, const std::string& directory) {
    GroupPlace found;
    for (const Mounted& one : parse(mountinfo))
        if (is_below(directory, one.at) && one.at.size() >= found.mount.size())
            found = {one.at, one.name, directory.substr(one.at.size())};
    return found;
}
