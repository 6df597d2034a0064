#include "runtime/checkpoint.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "base/root.h"
#include "base/sys.h"
#include "runtime/cgroup/limits.h"
#include "runtime/cgroup/v1.h"
#include "runtime/criu_rpc.h"
#include "runtime/hooks.h"
#include "runtime/namespaces.h"
#include "runtime/plan.h"
#include "runtime/rootfs.h"
#include "runtime/terminal.h"

namespace {

// Fields of criu_opts.
constexpr unsigned images_dir = 1, pid = 2, evasive_devices = 6, log_level = 9, log_file = 10, page_server = 11, notify_scripts = 12, root = 13,
                   parent_images = 14, track_memory = 15, work_dir = 17, cgroup_root = 25, sibling = 26, inherit_fd = 27,
                   cgroups_mode = 34, external = 37, empty_namespaces = 38, freeze_cgroup = 44, status_fd = 49,
                   orphan_pts_master = 50, config_file = 51, lsm_profile = 53, lsm_mount_context = 63;

struct Switch {
    std::string_view name;
    unsigned field;
};
constexpr Switch switches[] = {
    {"leave-running", 3}, {"ext-unix-sk", 4}, {"tcp-established", 5}, {"shell-job", 7}, {"file-locks", 8},
    {"auto-dedup", 16},   {"link-remap", 18}, {"tcp-skip-in-flight", 46}, {"lazy-pages", 48},
};

struct Mode {
    std::string_view name;
    int value;     // of criu_cg_mode
};
constexpr Mode modes[] = {{"ignore", 0}, {"soft", 3}, {"full", 4}, {"strict", 5}};

// The ends of the first three descriptors, for pipes to be joined again at restore.
constexpr const char* descriptors_file = "descriptors.json";

struct Directories {
    UniqueFd images, work;
    std::string log;
};

Directories open_directories(const CriuOptions& options, const char* log) {
    const std::string& work = options.work_path.empty() ? options.image_path : options.work_path;
    Directories opened;
    opened.images = sys::open(options.image_path, O_RDONLY | O_DIRECTORY);
    opened.work = sys::open(work, O_RDONLY | O_DIRECTORY);
    opened.log = std::filesystem::absolute(work + "/" + log).lexically_normal().string();
    return opened;
}

criu::Message base_options(const CriuOptions& options, const Directories& directories, const spec::Annotations& annotations) {
    criu::Message message;
    message.number(images_dir, directories.images.get()).number(work_dir, directories.work.get());
    message.text(log_file, std::filesystem::path(directories.log).filename().string()).number(log_level, 4);
    message.number(notify_scripts, 1).number(orphan_pts_master, 1);
    for (const Switch& one : switches)
        if (std::ranges::find(options.switches, one.name) != options.switches.end()) message.number(one.field, 1);
    const auto* mode = std::ranges::find(modes, options.cgroups_mode, &Mode::name);
    if (mode == std::end(modes)) throw Error("invalid manage-cgroups-mode value ", quoted(options.cgroups_mode));
    message.number(cgroups_mode, mode->value);
    for (const std::string& name : options.empty_namespaces) {
        if (name != "network") throw Error("invalid empty-ns value ", quoted(name), ": only network is known");
        message.number(empty_namespaces, CLONE_NEWNET);
    }
    const auto config = annotations.find("org.criu.config");
    if (config == annotations.end()) message.text(config_file, "/etc/criu/runc.conf");
    else if (!config->second.empty()) message.text(config_file, config->second);
    return message;
}

// CRIU's own words: its errors, the last of them, on one line; then where the rest is.
std::string tail_of_log(const std::string& path) {
    std::vector<std::string> errors;
    for (const std::string& line : split(read_file_if_exists(path).value_or(""), '\n'))
        if (line.contains("Error (")) errors.push_back(line.substr(line.find("Error (")));
    if (errors.size() > 3) errors.erase(errors.begin(), errors.end() - 3);
    return join(errors, "; ");
}

void check_outcome(const criu::Outcome& outcome, const std::string& log) {
    if (outcome.error.empty()) return;
    const std::string tail = tail_of_log(log), &why = tail.empty() ? outcome.words : tail;
    throw Error(outcome.error, why.empty() ? "" : ": ", why, "\nlog file: ", log);
}

// A namespace that was joined: CRIU neither saves nor makes it.
struct ExternalNamespace {
    std::string_view type, kind, key;
    uint64_t flag;
};
constexpr ExternalNamespace external_namespaces[] = {
    {"network", "net", "extRootNetNS", CLONE_NEWNET}, {"pid", "pid", "extRootPidNS", CLONE_NEWPID},
};

void name_namespaces(criu::Message& message, const spec::Config& config) {
    for (const ExternalNamespace& one : external_namespaces)
        for (const spec::Namespace& space : config.linux.namespaces) {
            if (space.type != one.type || space.path.empty()) continue;
            const UniqueFd fd = sys::open(space.path, O_RDONLY);
            message.text(external, str(one.kind, "[", sys::fstat(fd.get()).st_ino, "]:", one.key));
        }
}

// Files are hidden by the host's null device; directories by a file system that is the container's own.
void name_masks(criu::Message& message, const spec::Config& config, int init) {
    const Root inside(str("/proc/", init, "/root"));
    for (const std::string& path : config.linux.masked_paths) {
        const auto there = inside.open_if_exists(path, O_PATH);
        if (there && !S_ISDIR(sys::fstat(there->get()).st_mode)) message.text(external, str("mnt[", path, "]:", path));
    }
}

void save_descriptors(const std::string& images, int init) {
    std::vector<std::string> targets;
    for (int fd = 0; fd < 3; ++fd) {
        std::error_code unreadable;   // closed
        targets.push_back(std::filesystem::read_symlink(str("/proc/", init, "/fd/", fd), unreadable).string());
    }
    write_file(str(images, "/", descriptors_file), json::dump(json::write(targets)), 0600);
}

// Pipes whose other end was outside are joined to our own standard input, output and error.
void inherit_pipes(criu::Message& message, const std::string& images) {
    const auto text = read_file_if_exists(str(images, "/", descriptors_file));
    if (!text) return;
    const auto targets = context(descriptors_file, [&] { return json::read<std::vector<std::string>>(json::parse(*text)); });
    for (int fd = 0; fd < int(std::min<size_t>(targets.size(), 3)); ++fd)
        if (targets[size_t(fd)].starts_with("pipe:"))
            message.message(inherit_fd, criu::Message().text(1, targets[size_t(fd)]).number(2, fd));
}

criu::Message page_server_at(const std::string& where) {
    const size_t colon = where.rfind(':');
    const auto port = colon == std::string::npos ? std::nullopt : parse_number<uint16_t>(where.substr(colon + 1));
    if (!port) throw Error("Use --page-server ADDRESS:PORT to specify page server");
    return criu::Message().text(1, where.substr(0, colon)).number(2, *port);
}

void check_parent(const CriuOptions& options) {
    if (options.parent_path.empty()) return;
    if (options.parent_path.starts_with('/')) throw Error("--parent-path must be relative");
    if (!sys::exists(options.image_path + "/" + options.parent_path))
        throw Error("invalid --parent-path: ", quoted(options.parent_path), " is not in ", options.image_path);
}

bool is_bind(const spec::Mount& mount) {
    return std::ranges::any_of(mount.options, [](const std::string& word) { return word == "bind" || word == "rbind"; });
}

std::string clean(const std::string& path) { return std::filesystem::path("/" + path).lexically_normal().string(); }

bool is_below(const std::string& path, const std::string& directory) {
    return path.size() > directory.size() && path.starts_with(directory.ends_with('/') ? directory : directory + "/");
}

}  // namespace

std::vector<std::string_view> criu_switches() {
    std::vector<std::string_view> names;
    for (const Switch& one : switches) names.push_back(one.name);
    return names;
}

std::vector<ExternalMount> plan_external_mounts(const spec::Config& config, const std::string& bundle, const CgroupRecord& cgroup) {
    const auto& spaces = config.linux.namespaces;
    const bool own_cgroups = std::ranges::find(spaces, "cgroup", &spec::Namespace::type) != spaces.end();
    std::vector<ExternalMount> found;
    for (const spec::Mount& mount : config.mounts) {
        const std::string inside = clean(mount.destination);
        if (is_bind(mount)) found.push_back({inside, mount.source.starts_with('/') ? mount.source : bundle + "/" + mount.source});
        if (!mount.type.starts_with("cgroup") || own_cgroups) continue;
        // Without a namespace of its own the container's groups are bound from the host's hierarchies.
        for (const std::string& directory : cgroup.directories) {
            const std::string hierarchy = directory.substr(0, directory.find('/', std::string_view("/sys/fs/cgroup/").size()));
            found.push_back({cgroup.v2 ? inside : inside + "/" + std::filesystem::path(hierarchy).filename().string(), directory});
        }
    }
    return found;
}

void checkpoint(const Container& container, const CriuOptions& options) {
    const Status status = container.status();
    if (status != Status::running && status != Status::paused)
        throw Error("Container cannot be checkpointed in ", status_name(status), " state");
    sys::make_directories(options.image_path, 0755);
    if (!options.work_path.empty()) sys::make_directories(options.work_path, 0755);
    check_parent(options);
    const spec::Config config = container.config();
    const Record& record = container.record();
    const Directories directories = open_directories(options, "dump.log");

    criu::Message message = base_options(options, directories, record.annotations);
    message.number(pid, record.pid).text(root, record.rootfs);
    if (const auto freezer = directory_of(record.cgroup, "freezer")) message.text(freeze_cgroup, *freezer);
    if (!options.page_server.empty()) message.message(page_server, page_server_at(options.page_server));
    if (!options.parent_path.empty()) message.text(parent_images, options.parent_path);
    if (options.pre_dump) message.number(track_memory, 1);
    if (options.status_fd >= 0) message.number(status_fd, options.status_fd);
    name_namespaces(message, config);
    if (!options.pre_dump) {
        for (const ExternalMount& mount : plan_external_mounts(config, record.bundle, record.cgroup))
            message.text(external, str("mnt[", mount.inside, "]:", mount.inside));
        name_masks(message, config, record.pid);
        save_descriptors(options.image_path, record.pid);
    }
    criu::Session session({});
    check_outcome(session.perform(options.pre_dump ? criu::Request::pre_dump : criu::Request::dump, message, [](const criu::Notice&) {}),
                  directories.log);
}

namespace {

// CRIU mounts where the container had its mounts: what is not on another mount must be in the root.
void make_mount_points(const Root& root_directory, const Plan& plan, const std::vector<ExternalMount>& binds) {
    const auto& mounts = plan.config.mounts;
    for (const spec::Mount& mount : mounts) {
        const std::string inside = clean(mount.destination);
        if (std::ranges::any_of(mounts, [&](const spec::Mount& other) { return is_below(inside, clean(other.destination)); })) continue;
        const auto bound = std::ranges::find(binds, inside, &ExternalMount::inside);
        if (bound == binds.end() || S_ISDIR(sys::fstat(sys::open(bound->host, O_PATH).get()).st_mode)) {
            root_directory.make_directories(inside);
        } else if (!root_directory.open_if_exists(inside, O_PATH)) {
            const Root::Place place = root_directory.make_place(inside);
            sys::openat(place.parent.get(), place.name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDONLY, 0644);
        }
    }
}

// The processes are restored below CRIU's own groups.
void move_into(const Cgroup& cgroup, int process) {
    for (const std::string& directory : cgroup.record().directories) write_file(directory + "/cgroup.procs", std::to_string(process));
}

void name_cgroups(criu::Message& message, const CgroupRecord& record) {
    if (record.v2) return;
    for (const v1::Hierarchy& hierarchy : v1::parse_hierarchies(read_file("/proc/self/cgroup")))
        if (const auto directory = directory_of(record, hierarchy.name))
            message.message(cgroup_root, criu::Message().text(1, hierarchy.name).text(2, record.path));
}

}  // namespace

Created restore(const CreateOptions& options, const CriuOptions& criu_options) {
    const Bundle bundle = load_bundle(options.bundle, options.config);
    Plan plan = make_plan(options, bundle);
    check_terminal(options, *plan.config.process);

    // The root must be a mount; only we and CRIU shall see it. CRIU mounts in its directories too, so they are
    // opened in this namespace.
    check(::unshare(CLONE_NEWNS), "unshare of the mount namespace");
    const Root root_directory = open_root(plan.rootfs, 0);
    const Directories directories = open_directories(criu_options, "restore.log");

    // Each of these undoes itself if a later step throws; keep() at the end makes it stay.
    StateDir dir = StateDir::create(options.state_root, options.id);
    Record record = intended(plan, bundle);
    dir.save_config(bundle.text);
    dir.save(record);
    Cgroup cgroup = Cgroup::create(record.cgroup, plan.cgroup);

    const std::vector<ExternalMount> binds = plan_external_mounts(plan.config, bundle.path, record.cgroup);
    make_mount_points(root_directory, plan, binds);

    criu::Message message = base_options(criu_options, directories, record.annotations);
    message.text(root, plan.rootfs).number(sibling, 1).number(evasive_devices, 1);
    for (const ExternalMount& mount : binds) message.text(external, str("mnt[", mount.inside, "]:", mount.host));
    for (const std::string& path : plan.config.linux.masked_paths) message.text(external, str("mnt[", path, "]:/dev/null"));
    if (!criu_options.lsm_profile.empty()) message.text(lsm_profile, criu_options.lsm_profile);
    if (!criu_options.lsm_mount_context.empty()) message.text(lsm_mount_context, criu_options.lsm_mount_context);
    inherit_pipes(message, criu_options.image_path);
    std::vector<std::pair<int, int>> fds;
    for (const OpenNamespace& space : plan.joined)
        for (const ExternalNamespace& one : external_namespaces) {
            if (space.flag != one.flag) continue;
            fds.emplace_back(space.fd.get(), 10 + int(fds.size()));
            message.message(inherit_fd, criu::Message().text(1, one.key).number(2, fds.back().second));
        }

    criu::Session session(std::move(fds));
    cgroup.adopt(plan.cgroup, session.pid());
    record.cgroup = cgroup.record();
    move_into(cgroup, session.pid());
    std::optional<IntelRdt> rdt;
    if (plan.intel_rdt) {
        rdt.emplace(IntelRdt::create(*plan.intel_rdt, plan.resctrl));
        join_intel_rdt(rdt->record(), session.pid());
    }
    name_cgroups(message, record.cgroup);
    UniqueFd console;
    const criu::Outcome outcome = session.perform(criu::Request::restore, message, [&](const criu::Notice& notice) {
        if (notice.script == "setup-namespaces") {
            run_hooks("prestart", plan.config.hooks.prestart, state_for_hooks(record, notice.pid, Status::created));
            run_hooks("createRuntime", plan.config.hooks.create_runtime, state_for_hooks(record, notice.pid, Status::creating));
        } else if (notice.script == "orphan-pts-master" && notice.fd) {
            if (options.console_socket.empty()) console = UniqueFd(check(::fcntl(notice.fd.get(), F_DUPFD_CLOEXEC, 3), "dup"));
            else send_descriptor(options.console_socket, "/dev/pts", notice.fd.get());
        }
    });
    check_outcome(outcome, directories.log);

    Child init(outcome.pid);
    record.pid = init.pid();
    record.start_time = start_time_of(init.pid()).value_or(0);
    dir.save(record);
    write_pid_file(options.pid_file, init.pid());
    if (rdt) rdt->keep();
    cgroup.keep(), init.release();
    return {Container::made(std::move(dir), std::move(record)), std::move(console)};
}
