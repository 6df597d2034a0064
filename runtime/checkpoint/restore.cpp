// A container made from images and its bundle. CRIU makes the processes, their namespaces and
// mounts; what it does not make is made here, as at create: the state, the cgroup with its limits,
// the places in the root where the mounts were. Hooks run as with runc: prestart and createRuntime
// when the namespaces are there and empty; createContainer, startContainer and poststart belong to
// a start, which this is not.
//
// CRIU runs in the container's cgroup, and restores into it: a restore that is killed leaves
// nothing that `delete --force` would not find there.
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/limits.h"
#include "runtime/cgroup/v1.h"
#include "runtime/checkpoint/criu_options.h"
#include "runtime/process/namespaces.h"
#include "runtime/process/network.h"
#include "runtime/process/security_labels.h"
#include "runtime/process/terminal.h"
#include "runtime/rootfs/devices.h"
#include "runtime/rootfs/mounts.h"
#include "runtime/rootfs/rootfs.h"
#include "runtime/start/plan.h"
#include "runtime/state/hooks.h"
#include "runtime/state/notify_socket.h"

using namespace criu_field;

namespace {

void make_mount_point(const Root& root_directory, const std::string& inside, bool directory) {
    if (directory)
        root_directory.make_directories(inside);
    else if (!root_directory.open_if_exists(inside, O_PATH))
        ::make_mount_point(root_directory.make_place(inside), 0644);
}

// CRIU mounts where the container had its mounts. The places are in the root or in what is bound
// there; the content of other file systems it restores itself.
void make_mount_points(const Root& root_directory, const std::vector<spec::Mount>& mounts,
                       const std::vector<ExternalMount>& outside) {
    const auto host_of = [&](const spec::Mount& mount) {
        const auto bound = std::ranges::find(outside, mount.destination, &ExternalMount::inside);
        return bound == outside.end() ? "" : bound->host;
    };
    const auto is_directory = [](const std::string& host) {
        return S_ISDIR(sys::fstat(sys::open(host, O_PATH).get()).st_mode);
    };
    for (const spec::Mount& mount : mounts) {
        const spec::Mount* above = nullptr;
        for (const spec::Mount& other : mounts)
            if (is_below(mount.destination, other.destination) &&
                (!above || is_below(other.destination, above->destination)))
                above = &other;
        const std::string host = host_of(mount), host_above = above ? host_of(*above) : "";
        const bool directory = host.empty() || is_directory(host);
        if (!above)
            make_mount_point(root_directory, mount.destination, directory);
        else if (!host_above.empty())
            make_mount_point(Root(host_above), mount.destination.substr(above->destination.size()),
                             directory);
    }
}

// "pipe:[4711]", and nothing else that CRIU would understand.
bool is_pipe(std::string_view target) {
    const std::string_view before = "pipe:[";
    return target.starts_with(before) && target.ends_with(']') &&
           parse_number<uint64_t>(target.substr(before.size(), target.size() - before.size() - 1));
}

// Pipes whose other end was outside are joined to our own standard input, output and error.
void inherit_pipes(criu::Message& message, const Root& images) {
    const auto file = open_regular_if_exists(images, descriptors_file);
    if (!file) return;
    const auto targets = context(descriptors_file, [&] {
        return json::read<std::vector<std::string>>(
            json::parse(sys::read_all(file->get(), 64 << 10)));
    });
    for (int fd = 0; fd < int(std::min<size_t>(targets.size(), 3)); ++fd)
        if (is_pipe(targets[size_t(fd)]))
            message.message(inherit_fd, criu::Message().text(1, targets[size_t(fd)]).number(2, fd));
}

// Whether there is memory that only the server of a lazy checkpoint has: without it CRIU would try
// for ever.
bool lacks_pages(const std::string& images) {
    constexpr unsigned flags = 4;  // of a pagemap_entry, with these values
    constexpr int64_t lazy = 2, present = 4;
    const UniqueFd directory = sys::open(images, O_PATH | O_DIRECTORY);
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(images, missing)) {
        if (!entry.path().filename().string().starts_with("pagemap-")) continue;
        const std::string name = entry.path().filename();
        const std::string image = sys::read_all(open_regular_at(directory.get(), name, name).get());
        // Two magic numbers, then messages, each with its size before it. The first, the head, has
        // no such field.
        uint32_t size = 0;
        for (size_t at = 2 * sizeof size; at + sizeof size <= image.size();
             at += sizeof size + size) {
            std::memcpy(&size, image.data() + at, sizeof size);
            if (size > image.size() - at - sizeof size)
                throw Error(entry.path().string(), " is cut short");
            const criu::Reply page(std::string_view(image).substr(at + sizeof size, size));
            if ((page.number(flags).value_or(0) & (lazy | present)) == lazy) return true;
        }
    }
    return false;
}

// CRIU that cannot set a profile waits for ever for the processes it killed.
void check_profile(const std::string& lsm_profile, const spec::Process& process) {
    const std::string_view type = "apparmor:";
    if (lsm_profile.starts_with(type))
        require_profile(lsm_profile.substr(type.size()));
    else if (lsm_profile.empty())
        require_profile(process.apparmor_profile);
}

// Gives the descriptors that CRIU inherits for it: {ours, number in CRIU}.
std::vector<std::pair<int, int>> join_namespaces(criu::Message& message, const Plan& plan) {
    std::vector<std::pair<int, int>> fds;
    for (const spec::Namespace& space : plan.config.linux.namespaces) {
        if (space.path.empty()) continue;
        const JoinedNamespace& joined = joined_namespace(space.type);
        if (joined.key.empty()) {
            message.message(join_namespace,
                            criu::Message().text(1, joined.kind).text(2, space.path));
            continue;
        }
        const auto opened = std::ranges::find(plan.joined, joined.flag, &OpenNamespace::flag);
        fds.emplace_back(opened->fd.get(), 10 + int(fds.size()));
        message.message(inherit_fd,
                        criu::Message().text(1, joined.key).number(2, fds.back().second));
    }
    return fds;
}

// CRIU would mount a link itself.
std::string without_links(const std::string& host) {
    std::error_code missing;  // a name that the images do not have
    const std::filesystem::path there = std::filesystem::canonical(host, missing);
    return missing ? host : there.string();
}

// CRIU opens by path, as the container's root, who may not search our state directory but has to
// reach the root file system. So what we make for it lies there, on a file system that all may
// search; the root file system that this one hides is one level below. It is in this mount
// namespace, which is ours, and goes with it.
struct Lobby {
    Lobby(const std::string& rootfs, uint64_t attributes) : path(rootfs), root(rootfs + "/root") {
        const UniqueFd hidden = clone_tree(sys::open(rootfs, O_PATH | O_DIRECTORY).get(), true);
        place(make_detached("tmpfs", "mode=755", attributes, "tmpfs"), path);
        sys::mkdir(root, 0755);
        place(hidden, root);
    }
    void show(const std::string& directory, const char* name) const {
        sys::mkdir(str(path, "/", name), 0755);
        place(clone_tree(sys::open(directory, O_PATH | O_DIRECTORY).get()), str(path, "/", name));
    }
    static void place(const UniqueFd& tree, const std::string& at) {
        attach(tree.get(), sys::open(at, O_PATH | O_NOFOLLOW).get(), at);
    }
    std::string path, root;
};

// A container with a user namespace has nodes of its own, made outside as at create, in place of
// those that went with the first one.
void give_new_nodes(const Plan& plan, const std::string& place,
                    std::vector<ExternalMount>& outside) {
    const UniqueFd nodes = make_nodes_outside(
        plan.config, {.uids = plan.namespaces.uid_mappings, .gids = plan.namespaces.gid_mappings});
    if (!nodes) return;
    sys::mkdir(place, 0755);
    Lobby::place(nodes, place);
    const std::vector<std::string> paths = device_paths(plan.config);
    for (size_t i = 0; i < paths.size(); ++i) {
        const auto mount = std::ranges::find(outside, paths[i], &ExternalMount::inside);
        if (mount != outside.end() && sys::exists(str(place, "/", i)))
            mount->host = str(place, "/", i);
    }
}

// What hid files hides them again, read-only already where CRIU finds it: a new node, nobody's but
// this container's.
std::string give_mask(const Lobby& lobby) {
    sys::mkdir(lobby.path + "/dev", 0755);
    const std::string null = lobby.path + "/dev/null", mask = lobby.path + "/mask";
    check(::mknod(null.c_str(), S_IFCHR | 0666, makedev(1, 3)), "mknod ", null);
    check(::chmod(null.c_str(), 0666), "chmod ", null);
    sys::open(mask, O_CREAT | O_EXCL | O_RDONLY, 0600);
    Lobby::place(make_file_mask(Root(lobby.path)), mask);
    return mask;
}

void move_into(const Cgroup& cgroup, int process) {
    for (const std::string& directory : cgroup.record().directories)
        write_file(directory + "/cgroup.procs", std::to_string(process));
}

// Where the images' groups are now, below the mounts of their hierarchies.
void name_cgroups(criu::Message& message, const CgroupRecord& record) {
    if (record.v2 && !record.directories.empty())
        message.message(cgroup_root,
                        criu::Message().text(2, place_of_group(record.directories[0]).path));
    if (record.v2) return;
    for (const v1::Hierarchy& hierarchy : v1::parse_hierarchies(read_file("/proc/self/cgroup")))
        if (const auto directory = directory_of(record, hierarchy.name))
            message.message(
                cgroup_root,
                criu::Message().text(1, hierarchy.name).text(2, place_of_group(*directory).path));
}

// In a container's user namespace CRIU reads the images first as our root and then as the
// container's, who have no right in common but everybody's. So they are shown in a directory that
// all may search and nobody else reaches, since this mount namespace is ours. The earlier images,
// "parent", lie in another such directory.
UniqueFd readable_inside(const UniqueFd& images, const UniqueFd& place) {
    const UniqueFd shown = make_detached("tmpfs", "mode=755",
                                         MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    attach(shown.get(), place.get(), "the images");
    for (const auto& entry :
         std::filesystem::directory_iterator(str("/proc/self/fd/", images.get()))) {
        const std::string name = entry.path().filename();
        if (entry.symlink_status().type() == std::filesystem::file_type::regular) {
            const UniqueFd file = sys::openat(shown.get(), name, O_CREAT | O_EXCL | O_RDONLY, 0600);
            attach(clone_tree(sys::openat(images.get(), name, O_PATH | O_NOFOLLOW).get()).get(),
                   file.get(), name);
        } else if (name == "parent") {
            check(::mkdirat(shown.get(), name.c_str(), 0755), "mkdir ", name);
            readable_inside(sys::openat(images.get(), name, O_RDONLY | O_DIRECTORY),
                            sys::openat(shown.get(), name, O_PATH | O_DIRECTORY));
        }
    }
    return sys::openat(shown.get(), ".", O_RDONLY | O_DIRECTORY);
}

}  // namespace

Created restore(const CreateOptions& options, const CriuOptions& criu_options) {
    const Bundle bundle = load_bundle(options.bundle, options.config);
    Plan plan = make_plan(options, bundle, gather_facts(options, bundle));
    warn_about_unknown(plan.capabilities);
    check_terminal(options, *plan.config.process);
    if (is_rootless()) log_warning(criu_needs_root);
    check_profile(criu_options.lsm_profile, *plan.config.process);
    if (!criu_options.has("lazy-pages") && lacks_pages(criu_options.image_path))
        throw Error(criu_options.image_path, " has not all of the memory: the rest comes from the "
                                             "checkpoint by `criu lazy-pages`, with --lazy-pages");

    // The root must be a mount; only we and CRIU shall see it. CRIU mounts in its directories too,
    // so they are opened in this namespace.
    check(::unshare(CLONE_NEWNS), "unshare of the mount namespace");
    open_root(plan.rootfs, 0);
    // As the container's own nodes are mounted, that hid files at first: a user namespace may not
    // change it.
    const Lobby lobby(plan.rootfs,
                      MOUNT_ATTR_NOSUID |
                          (plan.user_namespace() ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_STRICTATIME));
    const Root root_directory(lobby.root);
    CriuDirectories directories = open_directories(criu_options, "restore.log");
    if (plan.namespaces.makes(CLONE_NEWUSER))
        directories.images = readable_inside(directories.images, directories.images);

    // Each of these undoes itself if a later step throws; keep() at the end makes it stay.
    StateDir dir = StateDir::create(options.state_root, options.id);
    Record record = intended(plan, bundle);
    dir.save(record);
    dir.save_config(bundle.text);
    make_notify_directory(dir.path());
    lobby.show(dir.path() + "/notify", "notify");
    Cgroup cgroup = Cgroup::create(record.cgroup, plan.cgroup);

    resolve_destinations(plan.config.mounts, root_directory);
    std::vector<ExternalMount> outside =
        plan_external_mounts(plan.config, bundle.path, record.cgroup, lobby.path);
    for (ExternalMount& mount : outside)
        if (is_below(mount.host, plan.rootfs))
            mount.host = lobby.root + mount.host.substr(plan.rootfs.size());
    if (plan.user_namespace()) give_new_nodes(plan, lobby.path + "/devices", outside);
    make_mount_points(root_directory, plan.config.mounts, outside);
    // CRIU takes the root as it finds it.
    if (plan.config.root->readonly)
        set_mount_attributes(root_directory.fd(), false, MOUNT_ATTR_RDONLY, 0);

    criu::Message message = base_options(criu_options, directories, plan.config);
    message.text(root, lobby.root).number(sibling, 1).number(evasive_devices, 1);
    for (const ExternalMount& mount : outside)
        message.text(external, name_of_mount(mount.inside, without_links(mount.host)));
    const std::string mask = give_mask(lobby);
    message.text(external, name_of_mount(mask_of_files, mask));
    // That is what runc calls it; with a user namespace it is also the name of a node.
    if (!plan.user_namespace()) message.text(external, name_of_mount("/dev/null", mask));
    if (!criu_options.lsm_profile.empty()) message.text(lsm_profile, criu_options.lsm_profile);
    if (!criu_options.lsm_mount_context.empty())
        message.text(lsm_mount_context, criu_options.lsm_mount_context);
    inherit_pipes(message, Root(criu_options.image_path));

    criu::Session session(join_namespaces(message, plan));
    cgroup.adopt(plan.cgroup, session.pid());
    record.cgroup = cgroup.record();
    move_into(cgroup, session.pid());
    std::optional<IntelRdt> rdt = enter_intel_rdt(plan.intel_rdt, plan.resctrl, session.pid());
    name_cgroups(message, record.cgroup);
    dir.save(record);

    UniqueFd console;
    const criu::Outcome outcome =
        session.perform(criu::Request::restore, message, [&](const criu::Notice& notice) {
            if (notice.script == "setup-namespaces") {
                if (has_empty_network(criu_options, plan.config)) raise_loopback_of(notice.pid);
                run_hooks("prestart", plan.config.hooks.prestart,
                          state_for_hooks(record, notice.pid, Status::created));
                run_hooks("createRuntime", plan.config.hooks.create_runtime,
                          state_for_hooks(record, notice.pid, Status::creating));
            } else if (notice.script == "orphan-pts-master" && notice.fd) {
                if (options.console_socket.empty())
                    console = UniqueFd(check(::fcntl(notice.fd.get(), F_DUPFD_CLOEXEC, 3), "dup"));
                else
                    send_descriptor(options.console_socket, "/dev/pts", notice.fd.get());
            }
        });
    check_outcome(outcome, directories.log);
    if (console) suit_callers_terminal(console.get());

    Child init(outcome.pid);
    record.pid = init.pid();
    record.start_time = start_time_of(init.pid()).value_or(0);
    dir.save(record);
    write_pid_file(options.pid_file, init.pid());
    if (rdt) rdt->keep();
    cgroup.keep(), init.release();
    return {Container::made(std::move(dir), std::move(record)), std::move(console)};
}
