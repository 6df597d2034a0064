// The manager that needs nobody: it makes the directories itself.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/limits.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"

namespace {

// "/name": from the hierarchy's root if it was absolute; else what `own` says comes before it.
std::string clean_path(const CgroupRequest& request) {
    const std::string& wanted = request.cgroups_path.empty() ? request.id : request.cgroups_path;
    const std::vector<std::string> parts = split(wanted, '/');
    if (std::ranges::find(parts, "..") != parts.end())
        throw Error("cgroupsPath must not contain \"..\": ", quoted(wanted));
    std::string path = std::filesystem::path("/" + wanted).lexically_normal().string();
    while (path.starts_with("//")) path.erase(0, 1);
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    if (path == "/") throw Error("cgroupsPath must not be the root: ", quoted(wanted));
    return path;
}

// A relative path stays below what its caller is limited to. In v2 that is the group above the
// caller's own, which has processes and so can have no groups with controllers.
std::string place_below(const v1::Hierarchy& hierarchy, const std::string& root, bool is_v2) {
    std::string own = hierarchy.own;
    if (is_v2) own = own.substr(0, own.rfind('/'));
    while (own.ends_with('/')) own.pop_back();
    // Not there: the mount shows only a part of the hierarchy, and we are in it.
    return !own.empty() && own.starts_with('/') && !own.starts_with("/..") &&
                   sys::exists(root + own)
               ? own
               : "";
}

CgroupRecord plan(const CgroupRequest& request) {
    CgroupRecord record;
    record.path = clean_path(request);
    record.v2 = v2::is_everything();
    const bool absolute = request.cgroups_path.starts_with('/');
    if (record.v2 && absolute) {
        record.directories = {sole_v2_mount().value_or("") + record.path};
        return record;
    }
    for (const v1::Hierarchy& hierarchy : v1::parse_hierarchies(read_file("/proc/self/cgroup"))) {
        const bool is_v2 = hierarchy.name == "unified";
        if (record.v2 && !is_v2) continue;
        const auto root = hierarchy_mount(hierarchy.name);
        if (!root) continue;  // known to the kernel, mounted nowhere
        record.directories.push_back(
            *root + (absolute ? "" : place_below(hierarchy, *root, is_v2)) + record.path);
    }
    return record;
}

void make_directory(const CgroupRecord& record, const std::string& directory,
                    const v2::Needed& needed) {
    const GroupPlace place = place_of_group(directory);
    if (v2::holds(record, directory))
        v2::make_group(place.mount, place.path, needed);
    else
        v1::make_group(place.mount, place.hierarchy, place.path);
}

bool can_be_made(const std::string& directory) {
    if (sys::exists(directory)) return ::access(directory.c_str(), W_OK) == 0;
    const size_t slash = directory.rfind('/');
    return slash != 0 && can_be_made(directory.substr(0, slash));
}

void make_directories(const CgroupRecord& record, const CgroupRequest& request, bool of_v2) {
    v2::Needed needed;
    context("unable to apply cgroup configuration", [&] {
        for (const Write& write : plan_limits(record, request.resources))
            if (write.controller != "cgroup" &&
                (record.v2 || !directory_of(record, write.controller)))
                needed.emplace(write.controller, write.setting);
        for (const std::string& directory : record.directories)
            if (v2::holds(record, directory) == of_v2) make_directory(record, directory, needed);
    });
}

void set_limits(const CgroupRecord& record, const CgroupRequest& request) {
    context("error setting cgroup config for procHooks process",
            [&] { write_limits(record, request); });
}

// An ordinary user does without the hierarchies that he may not write to, if no limit needs them.
void leave_out_forbidden(CgroupRecord& record, const CgroupRequest& request) {
    const bool limited = !plan_limits(record, request.resources).empty();
    if ((limited && ::geteuid() == 0) || !request.is_rootless()) return;
    std::erase_if(record.directories,
                  [](const std::string& directory) { return !can_be_made(directory); });
    if (limited && record.directories.empty())
        throw Error(
            "rootless needs no limits + no cgrouppath when no permission is granted for cgroups");
}

// v2's directory, which the clone needs.
void make(CgroupRecord& record, const CgroupRequest& request) {
    leave_out_forbidden(record, request);
    // Where no hierarchy is mounted every limit is one that cannot be set, and says so.
    if (record.directories.empty()) return set_limits(record, request);
    make_directories(record, request, true);
    if (!record.v2) return;
    if (request.owner) v2::give_to(record.directories[0], *request.owner);
    set_limits(record, request);
}

// v1's, one in each hierarchy.
void adopt(CgroupRecord& record, const CgroupRequest& request, int) {
    if (record.v2 || record.directories.empty()) return;
    make_directories(record, request, false);
    set_limits(record, request);
}

}  // namespace

constinit const CgroupManager cgroupfs_manager = {
    .name = "cgroupfs", .plan = plan, .make = make, .adopt = adopt};
