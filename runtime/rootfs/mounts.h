// Mounts into a root file system we do not trust. A destination is resolved once, inside the root,
// to a descriptor; what is mounted goes onto that descriptor and never onto a path again, so
// neither a planted link nor a tree that changes meanwhile (CVE-2021-30465) leads out. Binds are
// cloned as detached trees and get their flags before anybody can see them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/root.h"
#include "spec/runtime.h"

// What a mount's options ask for.
struct MountRequest {
    unsigned long flags = 0, cleared = 0;             // MS_…
    std::vector<unsigned long> propagation;           // MS_PRIVATE … perhaps with MS_REC, in order
    uint64_t recursive_set = 0, recursive_clear = 0;  // MOUNT_ATTR_…
    bool copy_up = false;
    bool idmap = false, recursive_idmap = false;
    std::string data;  // the file system's own options
    bool operator==(const MountRequest&) const = default;
};
// Pure: the last word of two that contradict wins, what is not in the table is the file system's.
MountRequest plan_mount(const std::vector<std::string>& options);
bool is_bind(const spec::Mount& mount);  // and no remount of what is there
// The table's words, sorted: what `features` lists.
std::vector<std::string> known_mount_options();
// "rslave" -> MS_SLAVE | MS_REC; 0 for ""; throws Error for another word.
unsigned long propagation_flag(std::string_view word);

struct MountEnvironment {
    std::string bundle;       // relative bind sources start here
    std::string mount_label;  // SELinux: context="…"
    bool user_namespace = false;
    bool cgroup_namespace = false;
    bool host_binds = false;  // all binds come as trees, not only the id-mapped
};
// Mounts one, making its destination if it is missing; `mapped` is its tree if the host had to make
// it. Gives the mount if it has to become read-only when all others are made, for they may lie in
// it.
UniqueFd mount_into(const Root& root, const spec::Mount& mount, const MountEnvironment& environment,
                    UniqueFd mapped = {});
// Each, in order, with runc's words around an error; `mapped` has the trees that the host made.
std::vector<UniqueFd> mount_all(const Root& root, const std::vector<spec::Mount>& mounts,
                                const MountEnvironment& environment,
                                std::vector<UniqueFd> mapped = {});
void make_read_only(const std::vector<UniqueFd>& trees);
std::string mounting(const spec::Mount& mount);  // those words
// Where a descriptor leads, seen from the root: "/proc/sys" for what "/a/../proc/sys" named.
std::string path_inside(const Root& root, int fd);
UniqueFd open_source(const spec::Mount& mount, const std::string& bundle);

// A file to mount on: what is there, whatever it is but a link, or a new empty file. It is not
// opened: it may be a device of the image's.
UniqueFd make_mount_point(const Root::Place& place, mode_t mode);

// Detached trees, for masks, devices and consoles: made, changed, then attached by descriptor.
UniqueFd clone_tree(int fd, bool recursive = false);
void set_mount_attributes(int fd, bool recursive, uint64_t set, uint64_t clear,
                          uint64_t propagation = 0);
void attach(int tree, int target, std::string_view shown);
// A new file system, detached. options: "mode=755,size=64k"; what is in quotes may have commas.
std::vector<std::string> split_options(const std::string& options);  // pure
UniqueFd make_detached(const char* type, const std::string& options, uint64_t attributes,
                       const std::string& source = {});
