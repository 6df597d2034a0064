// CRIU knows a mount by where it is; config.json names it by a path that may go through links of
// the image, or to what is not there yet. So a destination is resolved inside the root as far as
// something exists, and the rest is put behind that. What CRIU could not do, or would take for
// something else (a namespace of a kind it cannot join, a mount with "]:" in its path), is an error
// while the request is made. What CRIU finds wrong stands in its log: the last errors there are the
// words of ours.
#include "runtime/checkpoint/criu_options.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/path.h"
#include "base/sys.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/rootfs/devices.h"
#include "runtime/rootfs/mounts.h"
#include "runtime/state/notify_socket.h"

using namespace criu_field;

namespace {

struct Switch {
    std::string_view name;
    unsigned field;
};
constexpr Switch known_switches[] = {
    {"leave-running", 3}, {"ext-unix-sk", 4},         {"tcp-established", 5},
    {"shell-job", 7},     {"file-locks", 8},          {"auto-dedup", 16},
    {"link-remap", 18},   {"tcp-skip-in-flight", 46}, {"lazy-pages", 48},
};

struct Mode {
    std::string_view name;
    int value;  // of criu_cg_mode
};
constexpr Mode modes[] = {{"ignore", 0}, {"soft", 3}, {"full", 4}, {"strict", 5}};

constexpr JoinedNamespace joined_namespaces[] = {
    {"network", "net", CLONE_NEWNET, "extRootNetNS"},
    {"pid", "pid", CLONE_NEWPID, "extRootPidNS"},
    {"ipc", "ipc", CLONE_NEWIPC},
    {"uts", "uts", CLONE_NEWUTS},
};

// CRIU's own words: its errors, the last of them, on one line.
std::string tail_of_log(const std::string& path) {
    std::vector<std::string> errors;
    for (const std::string& line : split(read_file_if_exists(path).value_or(""), '\n'))
        if (line.contains("Error (")) errors.push_back(line.substr(line.find("Error (")));
    if (errors.size() > 3) errors.erase(errors.begin(), errors.end() - 3);
    return join(errors, "; ");
}

}  // namespace

std::vector<std::string_view> criu_switches() {
    std::vector<std::string_view> names;
    for (const Switch& one : known_switches) names.push_back(one.name);
    return names;
}

bool CriuOptions::has(std::string_view wanted) const {
    return std::ranges::find(switches, wanted) != switches.end();
}

CriuDirectories open_directories(const CriuOptions& options, const char* log) {
    const std::string& work = options.work_path.empty() ? options.image_path : options.work_path;
    sys::make_directories(work, 0700);
    CriuDirectories opened;
    opened.images = sys::open(options.image_path, O_RDONLY | O_DIRECTORY);
    opened.work = sys::open(work, O_RDONLY | O_DIRECTORY);
    opened.log = absolute_path(work + "/" + log);
    return opened;
}

bool has_empty_network(const CriuOptions& options, const spec::Config& config) {
    const auto own = [](const spec::Namespace& space) {
        return space.type == "network" && space.path.empty();
    };
    if (std::ranges::none_of(config.linux.namespaces, own)) return false;
    return !options.empty_namespaces.empty() || !config.hooks.prestart.empty() ||
           !config.hooks.create_runtime.empty();
}

criu::Message base_options(const CriuOptions& options, const CriuDirectories& directories,
                           const spec::Config& config) {
    criu::Message message;
    message.number(images_dir, directories.images.get()).number(work_dir, directories.work.get());
    message.text(log_file, std::filesystem::path(directories.log).filename().string())
        .number(log_level, 4);
    message.number(notify_scripts, 1).number(orphan_pts_master, 1);
    for (const Switch& one : known_switches)
        if (options.has(one.name)) message.number(one.field, 1);
    const auto* mode = std::ranges::find(modes, options.cgroups_mode, &Mode::name);
    if (mode == std::end(modes))
        throw Error("invalid manage-cgroups-mode value ", quoted(options.cgroups_mode));
    message.number(cgroups_mode, mode->value);
    for (const std::string& name : options.empty_namespaces)
        if (name != "network") throw Error("namespace ", quoted(name), " is not supported");
    if (has_empty_network(options, config)) message.number(empty_namespaces, CLONE_NEWNET);
    const auto file = config.annotations.find("org.criu.config");
    if (file == config.annotations.end())
        message.text(config_file, "/etc/criu/runc.conf");
    else if (!file->second.empty())
        message.text(config_file, file->second);
    return message;
}

void check_outcome(const criu::Outcome& outcome, const std::string& log) {
    if (outcome.error.empty()) return;
    const std::string tail = tail_of_log(log), &why = tail.empty() ? outcome.words : tail;
    throw Error(outcome.error, why.empty() ? "" : ": ", why, "\nlog file: ", log);
}

const JoinedNamespace& joined_namespace(std::string_view type) {
    const auto* found = std::ranges::find(joined_namespaces, type, &JoinedNamespace::type);
    if (found == std::end(joined_namespaces))
        throw Error("criu cannot restore a container into a ", type,
                    " namespace that is there already");
    return *found;
}

namespace {

// "/var/run/x" is "/run/x" where that is a link: CRIU knows mounts by where they are.
std::string resolve(const Root& root_directory, const std::string& destination) {
    const std::string whole = std::filesystem::path("/" + destination).lexically_normal().string();
    for (std::string above = whole; above.size() > 1;
         above.resize(std::max(above.rfind('/'), size_t(1)))) {
        const auto there = root_directory.open_if_exists(above, O_PATH);
        if (!there) continue;
        const std::string found = path_inside(root_directory, there->get());
        return found + (found == "/" && above.size() < whole.size() ? whole.substr(above.size() + 1)
                                                                    : whole.substr(above.size()));
    }
    return whole;
}

}  // namespace

std::string name_of_mount(std::string_view inside, std::string_view stands_for) {
    if (str(inside, "]:").find("]:") != inside.size())
        throw Error("criu cannot name a mount at ", quoted(inside), ", which has \"]:\" in it");
    return str("mnt[", inside, "]:", stands_for);
}

void resolve_destinations(std::vector<spec::Mount>& mounts, const Root& root_directory) {
    for (spec::Mount& mount : mounts)
        mount.destination = resolve(root_directory, mount.destination);
}

bool is_below(const std::string& path, const std::string& directory) {
    return path.size() > directory.size() &&
           path.starts_with(directory.ends_with('/') ? directory : directory + "/");
}

std::vector<ExternalMount> plan_external_mounts(const spec::Config& config,
                                                const std::string& bundle,
                                                const CgroupRecord& cgroup,
                                                const std::string& state_directory) {
    const auto& spaces = config.linux.namespaces;
    const bool own_cgroups =
        std::ranges::find(spaces, "cgroup", &spec::Namespace::type) != spaces.end();
    std::vector<ExternalMount> found;
    const auto add = [&](const std::string& inside, const std::string& host) {
        found.push_back({inside, host});
    };
    for (const spec::Mount& mount : config.mounts) {
        const std::string& inside = mount.destination;
        if (is_bind(mount))
            add(inside, mount.source.starts_with('/') ? mount.source : bundle + "/" + mount.source);
        if (!mount.type.starts_with("cgroup") || own_cgroups) continue;
        // Without a namespace of its own the container's groups are bound from the host's
        // hierarchies.
        for (const std::string& directory : cgroup.directories)
            add(cgroup.v2 ? inside : inside + "/" + place_of_group(directory).hierarchy, directory);
    }
    // Who may not make nodes has the host's bound, and a service manager's container has a socket;
    // if it has not, their names mean nothing to CRIU.
    for (const std::string& device : device_paths(config)) add(device, device);
    add(notify_directory_inside, state_directory + "/notify");
    return found;
}
