// What CRIU is told of a container, for a checkpoint as for a restore. It knows processes and what
// they have open; which mounts, namespaces and terminals lead out of the container it must be told:
// it names them in its images, and is given their new ends at restore. The names are runc's, so
// that a container which one of the two has written the other can restore.
#pragma once

#include <sched.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/root.h"
#include "base/unique_fd.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/criu_rpc.h"

// Fields of criu_opts.
namespace criu_field {
constexpr unsigned images_dir = 1, pid = 2, evasive_devices = 6, log_level = 9, log_file = 10,
                   page_server = 11, notify_scripts = 12, root = 13, parent_images = 14,
                   track_memory = 15, work_dir = 17, cgroup_root = 25, sibling = 26,
                   inherit_fd = 27, cgroups_mode = 34, external = 37, empty_namespaces = 38,
                   join_namespace = 39, freeze_cgroup = 44, status_fd = 49, orphan_pts_master = 50,
                   config_file = 51, lsm_profile = 53, lsm_mount_context = 63;
}

// What hides a masked file, and its name in the images. A masked directory is hidden by a file
// system that is the container's own.
constexpr const char* mask_of_files = "masked file";
// The ends of the first three descriptors, for pipes to be joined again at restore.
constexpr const char* descriptors_file = "descriptors.json";

constexpr const char* criu_needs_root = "criu needs the host's root: this will most likely fail";

struct CriuDirectories {
    UniqueFd images, work;
    std::string log;  // path of CRIU's log
};
CriuDirectories open_directories(const CriuOptions& options, const char* log);

// A network namespace that CRIU neither saves nor fills: it is asked for, or there are hooks, which
// filled it with devices whose other ends are outside, and will again.
bool has_empty_network(const CriuOptions& options, const spec::Config& config);
// What both requests have.
criu::Message base_options(const CriuOptions& options, const CriuDirectories& directories,
                           const spec::Config& config);
// Throws Error with the tail of CRIU's log unless all went well.
void check_outcome(const criu::Outcome& outcome, const std::string& log);

// How CRIU takes a namespace that the container joined. One that is external it neither saves nor
// makes; the key is its name in the images. The others it saves, for nothing, and joins by their
// path.
struct JoinedNamespace {
    std::string_view type, kind;
    uint64_t flag;
    std::string_view key = {};
};
// Throws Error for one that CRIU cannot join.
const JoinedNamespace& joined_namespace(std::string_view type);

// The name of the mount at `inside`, a path in the container, and what it stands for: the images'
// name at a checkpoint, the host's path at a restore. CRIU reads it back to the first "]:", so a
// path with that in it, which a link of the image's may have brought, would name another mount and
// another source: it is refused.
std::string name_of_mount(std::string_view inside, std::string_view stands_for);

// Destinations of mounts become absolute, without links: where the mounts are.
void resolve_destinations(std::vector<spec::Mount>& mounts, const Root& root_directory);
bool is_below(const std::string& path, const std::string& directory);

// Pure. A mount that leads out of the container, by where it is inside, which is its name in the
// images, and what it shows of the host.
struct ExternalMount {
    std::string inside, host;
    bool operator==(const ExternalMount&) const = default;
};
std::vector<ExternalMount> plan_external_mounts(const spec::Config& config,
                                                const std::string& bundle,
                                                const CgroupRecord& cgroup,
                                                const std::string& state_directory);
