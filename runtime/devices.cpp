#include "runtime/devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"
#include "runtime/mounts.h"

namespace {

struct DefaultNode {
    const char* path;
    unsigned major, minor;
};
constexpr DefaultNode default_nodes[] = {
    {"/dev/null", 1, 3}, {"/dev/random", 1, 8},  {"/dev/full", 1, 7},
    {"/dev/tty", 5, 0},  {"/dev/zero", 1, 5},    {"/dev/urandom", 1, 9},
};

struct Link {
    const char* name;
    const char* target;
};
constexpr Link links[] = {
    {"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
};

mode_t type_of(const spec::Device& device) {
    if (device.type == "c" || device.type == "u") return S_IFCHR;
    if (device.type == "b") return S_IFBLK;
    if (device.type == "p") return S_IFIFO;
    throw Error("invalid device type ", quoted(device.type), " of ", quoted(device.path));
}

void bind_node(const Root::Place& place, const spec::Device& device) {
    const UniqueFd host = sys::open(device.path, O_PATH | O_NOFOLLOW);
    const struct stat info = sys::fstat(host.get());
    if ((info.st_mode & S_IFMT) != type_of(device) || info.st_rdev != makedev(unsigned(device.major), unsigned(device.minor)))
        throw Error(quoted(device.path), " of the host is another device");
    const UniqueFd made = make_mount_point(place, 0600);
    attach(clone_tree(host.get()).get(), made.get(), quoted(device.path));
}

void make_node(const Root& root, const spec::Device& device, bool bind, bool tolerant) {
    const Root::Place place = root.make_place(device.path);
    if (bind) return bind_node(place, device);
    const mode_t type = type_of(device);
    const dev_t number = type == S_IFIFO ? 0 : makedev(unsigned(device.major), unsigned(device.minor));
    if (::mknodat(place.parent.get(), place.name.c_str(), type | (device.file_mode.value_or(0666) & 07777), number) < 0) {   // some callers give it the type, too
        if (errno == EPERM) return bind_node(place, device);
        if (errno != EEXIST) throw SysError("mknod ", device.path);
        struct stat info{};
        check(::fstatat(place.parent.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW), "stat ", device.path);
        if (((info.st_mode & S_IFMT) != type || (type != S_IFIFO && info.st_rdev != number)) && !tolerant)
            throw Error(quoted(device.path), " exists and is another file");
        return;
    }
    if (device.uid.value_or(0) || device.gid.value_or(0))
        check(::fchownat(place.parent.get(), place.name.c_str(), device.uid.value_or(0), device.gid.value_or(0),
                         AT_SYMLINK_NOFOLLOW), "chown ", device.path);
}

}  // namespace

namespace {

bool has_the_hosts(const spec::Config& config) {
    return std::ranges::any_of(config.mounts, [](const spec::Mount& mount) {
        return (mount.destination == "/dev" || mount.destination == "/dev/") && is_bind(mount);
    });
}

}  // namespace

std::vector<std::string> device_paths(const spec::Config& config) {
    std::vector<std::string> paths;
    if (has_the_hosts(config)) return paths;
    for (const DefaultNode& node : default_nodes) paths.emplace_back(node.path);
    for (const spec::Device& device : config.linux.devices) paths.push_back(device.path);
    return paths;
}

void make_devices(const Root& root, const spec::Config& config, bool user_namespace) {
    if (has_the_hosts(config)) return;
    const mode_t old = ::umask(0);
    const Defer restore([&] { ::umask(old); });
    const auto has = [&](std::string_view path) {
        return std::ranges::find(config.linux.devices, path, &spec::Device::path) != config.linux.devices.end();
    };
    for (const DefaultNode& node : default_nodes)
        if (!has(node.path))
            make_node(root, {.path = node.path, .type = "c", .major = node.major, .minor = node.minor,
                             .file_mode = 0666, .uid = 0, .gid = 0}, user_namespace, true);
    for (const spec::Device& device : config.linux.devices)
        context(str("error creating device ", quoted(device.path)), [&] { make_node(root, device, user_namespace, false); });

    const UniqueFd dev = root.make_directories("/dev");
    for (const Link& link : links)
        if (::symlinkat(link.target, dev.get(), link.name) < 0 && errno != EEXIST) throw SysError("symlink /dev/", link.name);
    // A node the image brought would be the host's ptmx.
    if (::unlinkat(dev.get(), "ptmx", 0) < 0 && errno != ENOENT) throw SysError("removing /dev/ptmx");
    if (::symlinkat("pts/ptmx", dev.get(), "ptmx") < 0 && errno != EEXIST) throw SysError("symlink /dev/ptmx");
}
