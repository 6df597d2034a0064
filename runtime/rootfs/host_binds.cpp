// The kernel takes a mapping of ids as a user namespace, and one with the ids of a mount may not
// exist: so a child is made that does nothing but be in it until it has been opened. A clone of a
// shared mount is a peer of it: what the container mounted in there would appear on the host, so
// the clone first gets the propagation it would have had if it were made inside. Init takes the
// trees by their order alone, and asks host_makes() which mounts they are for, as is done here.
#include "runtime/rootfs/host_binds.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/process.h"
#include "base/sys.h"
#include "runtime/process/namespaces.h"
#include "runtime/process/procfs.h"
#include "runtime/rootfs/mounts.h"

namespace {

// A process that does nothing but hold a user namespace with these mappings.
UniqueFd user_namespace_with(const spec::Mount& mount) {
    const sys::Pipe alive = sys::pipe();
    const int read_end = alive.read.get(), write_end = alive.write.get();
    Child holder = clone_process(
        {.flags = CLONE_NEWUSER},
        [&] {
            ::close(write_end);
            char byte;
            if (::read(read_end, &byte, 1) < 0) return;
            ::_exit(0);
        },
        [](const std::exception&) {});
    const Procfs procfs = Procfs::of_host();
    procfs.write(str(holder.pid(), "/uid_map"), id_map_text(mount.uid_mappings));
    procfs.write(str(holder.pid(), "/gid_map"), id_map_text(mount.gid_mappings));
    return sys::open(str("/proc/", holder.pid(), "/ns/user"), O_RDONLY);
}

UniqueFd user_namespace_for(const spec::Mount& mount, int init) {
    if (!mount.uid_mappings.empty()) return user_namespace_with(mount);
    if (!init) throw Error("id-mapped mount without mappings and without a user namespace");
    return sys::open(str("/proc/", init, "/ns/user"), O_RDONLY);
}

bool is_mapped(const spec::Mount& mount) {
    const auto asks = [](const std::string& option) {
        return option == "idmap" || option == "ridmap";
    };
    return !mount.uid_mappings.empty() || std::ranges::any_of(mount.options, asks);
}

void map_ids(const UniqueFd& tree, const spec::Mount& mount, bool recursive, int init) {
    const UniqueFd users = user_namespace_for(mount, init);
    mount_attr wanted{};
    wanted.attr_set = MOUNT_ATTR_IDMAP;
    wanted.userns_fd = uint64_t(users.get());
    const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    check(::syscall(SYS_mount_setattr, tree.get(), "", flags, &wanted, sizeof wanted),
          "id-mapping the mount: mount_setattr");
}

UniqueFd make_tree(const spec::Mount& mount, const std::string& bundle, int init,
                   unsigned long propagation) {
    const MountRequest request = plan_mount(mount.options);
    if ((request.flags & MS_BIND) == 0) throw Error("id-mapped mounts must be bind mounts");
    UniqueFd tree = clone_tree(open_source(mount, bundle).get(), (request.flags & MS_REC) != 0);
    if (is_mapped(mount)) map_ids(tree, mount, request.recursive_idmap, init);
    // As if it were made in the container's namespace: what is mounted in there would reach the
    // host through a peer.
    if ((propagation & MS_REC) != 0)
        set_mount_attributes(tree.get(), true, 0, 0, propagation & ~uint64_t(MS_REC));
    return tree;
}

}  // namespace

bool host_makes(const spec::Mount& mount, bool all_binds) {
    return is_mapped(mount) || (all_binds && is_bind(mount));
}

bool may_clone_mounts() {
    return bool(UniqueFd(
        int(::syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC))));
}

std::vector<UniqueFd> make_host_trees(const std::vector<spec::Mount>& mounts,
                                      const std::string& bundle, int init, bool all_binds,
                                      unsigned long propagation) {
    std::vector<UniqueFd> trees;
    for (const spec::Mount& mount : mounts)
        if (host_makes(mount, all_binds))
            trees.push_back(context(mounting(mount),
                                    [&] { return make_tree(mount, bundle, init, propagation); }));
    return trees;
}
