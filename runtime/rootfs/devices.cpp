// Only what is mounted in this namespace can be cloned. So the file system with create's nodes is
// mounted for a moment, over the root, whose descriptor we hold. mknod's error says what comes
// next: EPERM leads to the host's node, EEXIST to a look at what is there, which for a node that
// the config names must be that very device. A ptmx that the image brought goes in any case: it
// would be the host's.
#include "runtime/rootfs/devices.h"

#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "base/defer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "runtime/rootfs/mounts.h"

namespace {

struct DefaultNode {
    const char* path;
    unsigned major, minor;
};
constexpr DefaultNode default_nodes[] = {
    {"/dev/null", 1, 3}, {"/dev/random", 1, 8}, {"/dev/full", 1, 7},
    {"/dev/tty", 5, 0},  {"/dev/zero", 1, 5},   {"/dev/urandom", 1, 9},
};

struct Link {
    const char* name;
    const char* target;
};
constexpr Link links[] = {
    {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
};

mode_t type_of(const spec::Device& device) {
    if (device.type == "c" || device.type == "u") return S_IFCHR;
    if (device.type == "b") return S_IFBLK;
    if (device.type == "p") return S_IFIFO;
    throw Error("invalid device type ", quoted(device.type), " of ", quoted(device.path));
}

mode_t permissions_of(const spec::Device& device) {
    return device.file_mode.value_or(0666) & 07777;
}  // some callers give the type, too

dev_t device_number(const spec::Device& device) {
    return device.type == "p" ? 0 : makedev(unsigned(device.major), unsigned(device.minor));
}

// The container's nodes in their order: those that every container has, unless the config has its
// own, and the config's.
struct Node {
    spec::Device device;
    bool standard = false;
};
std::vector<Node> nodes_of(const spec::Config& config) {
    std::vector<Node> nodes;
    for (const DefaultNode& node : default_nodes)
        if (std::ranges::find(config.linux.devices, node.path, &spec::Device::path) ==
            config.linux.devices.end())
            nodes.push_back({{.path = node.path,
                              .type = "c",
                              .major = node.major,
                              .minor = node.minor,
                              .file_mode = 0666,
                              .uid = 0,
                              .gid = 0},
                             true});
    for (const spec::Device& device : config.linux.devices) nodes.push_back({device});
    return nodes;
}

template <class Step>
void for_each_node(const spec::Config& config, Step&& step) {
    const mode_t old = ::umask(0);
    const Defer restore([&] { ::umask(old); });
    const std::vector<Node> nodes = nodes_of(config);
    for (size_t i = 0; i < nodes.size(); ++i)
        context(str("error creating device ", quoted(nodes[i].device.path)),
                [&] { step(nodes[i], std::to_string(i)); });
}

void bind_node(const Root::Place& place, const UniqueFd& node, const spec::Device& device) {
    const UniqueFd made = make_mount_point(place, 0600);
    attach(node.get(), made.get(), quoted(device.path));
}

// The last resort, of who may make no nodes. What the host has is not the container's to change:
// the mount is read-only, which leaves the device as it is and keeps mode, owner and times from who
// is root inside.
void bind_hosts(const Root::Place& place, const spec::Device& device) {
    const UniqueFd host = sys::open(device.path, O_PATH | O_NOFOLLOW);
    const struct stat info = sys::fstat(host.get());
    if ((info.st_mode & S_IFMT) != type_of(device) || info.st_rdev != device_number(device))
        throw Error(quoted(device.path), " of the host is another device");
    const UniqueFd node = clone_tree(host.get());
    set_mount_attributes(node.get(), false, MOUNT_ATTR_RDONLY, 0);
    bind_node(place, node, device);
}

void check_node_there(const Root::Place& place, const Node& node) {
    if (node.standard) return;
    struct stat info{};
    check(::fstatat(place.parent.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW), "stat ",
          node.device.path);
    const mode_t type = type_of(node.device);
    if ((info.st_mode & S_IFMT) != type ||
        (type != S_IFIFO && info.st_rdev != device_number(node.device)))
        throw Error(quoted(node.device.path), " exists and is another file");
}

void make_node(const Root::Place& place, const Node& node) {
    const spec::Device& device = node.device;
    if (::mknodat(place.parent.get(), place.name.c_str(), type_of(device) | permissions_of(device),
                  device_number(device)) < 0) {
        if (errno == EPERM) return bind_hosts(place, device);
        if (errno != EEXIST) throw SysError("mknod ", device.path);
        return check_node_there(place, node);
    }
    if (device.uid.value_or(0) || device.gid.value_or(0))
        check(::fchownat(place.parent.get(), place.name.c_str(), device.uid.value_or(0),
                         device.gid.value_or(0), AT_SYMLINK_NOFOLLOW),
              "chown ", device.path);
}

bool has_the_hosts(const spec::Config& config) {
    return std::ranges::any_of(config.mounts, [](const spec::Mount& mount) {
        return (mount.destination == "/dev" || mount.destination == "/dev/") && is_bind(mount);
    });
}

}  // namespace

std::vector<std::string> device_paths(const spec::Config& config) {
    std::vector<std::string> paths;
    if (has_the_hosts(config)) return paths;
    for (const Node& node : nodes_of(config)) paths.push_back(node.device.path);
    return paths;
}

UniqueFd make_nodes_outside(const spec::Config& config, const IdMaps& maps) {
    if (has_the_hosts(config)) return {};
    UniqueFd place = make_detached("tmpfs", "mode=755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    for_each_node(config, [&](const Node& node, const std::string& name) {
        const spec::Device& device = node.device;
        const mode_t type = type_of(device);
        if (type == S_IFIFO) return;  // anybody may make it where it belongs
        if (::mknodat(place.get(), name.c_str(), type | permissions_of(device),
                      device_number(device)) < 0) {
            if (errno == EPERM) return;
            throw SysError("mknod ", device.path);
        }
        const auto uid = host_id(maps.uids, device.uid.value_or(0)),
                   gid = host_id(maps.gids, device.gid.value_or(0));
        if (!node.standard && ((device.uid && !uid) || (device.gid && !gid)))
            log_warning(
                str("the owner of ", quoted(device.path), " has no number in the user namespace"));
        check(::fchownat(place.get(), name.c_str(), uid.value_or(0), gid.value_or(0),
                         AT_SYMLINK_NOFOLLOW),
              "chown ", device.path);
    });
    return place;
}

void make_devices(const Root& root, const spec::Config& config, const UniqueFd& outside,
                  bool user_namespace) {
    if (has_the_hosts(config)) return;
    // Mounted for a moment, as only a mount of this namespace can be cloned; over the root, whose
    // descriptor we have.
    if (outside) attach(outside.get(), root.fd(), "the root file system");
    for_each_node(config, [&](const Node& node, const std::string& name) {
        const Root::Place place = root.make_place(node.device.path);
        if (!user_namespace || node.device.type == "p") return make_node(place, node);
        const UniqueFd made(
            outside ? ::openat(outside.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1);
        if (made)
            bind_node(place, clone_tree(made.get()), node.device);
        else
            bind_hosts(place, node.device);
    });
    if (outside) sys::umount(sys::proc_fd(outside.get()), MNT_DETACH);

    const UniqueFd dev = root.make_directories("/dev");
    for (const Link& link : links)
        if (::symlinkat(link.target, dev.get(), link.name) < 0 && errno != EEXIST)
            throw SysError("symlink /dev/", link.name);
    // A node the image brought would be the host's ptmx.
    if (::unlinkat(dev.get(), "ptmx", 0) < 0 && errno != ENOENT)
        throw SysError("removing /dev/ptmx");
    if (::symlinkat("pts/ptmx", dev.get(), "ptmx") < 0 && errno != EEXIST)
        throw SysError("symlink /dev/ptmx");
}
