// pivot_root refuses a root whose parent mount is shared, and what is shared tells the host of each
// change: so the mount namespace is cut off first, then the mount that holds the root, then the
// root becomes a mount of its own; and the old root is a slave before it is detached. A detached
// mount cannot be cloned, so the first mask of each kind is attached, and the others are clones of
// it. A root that is only moved to leaves the host's mounts below it: each whole procfs or sysfs
// among them is covered, as with one in sight a user namespace may mount another without any masks.
#include "runtime/rootfs/rootfs.h"

#include <linux/mount.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/mount_table.h"
#include "base/sys.h"
#include "runtime/rootfs/mounts.h"

namespace {

// The mount that holds the path: pivot_root refuses a new root whose parent is shared.
std::string mount_point_of(const std::string& path) {
    std::string best = "/";
    for (const auto& [root, point, type, options] : mount_table()) {
        const bool above = path == point || path.starts_with(point == "/" ? point : point + "/");
        if (above && point.size() > best.size()) best = point;
    }
    return best;
}

// After a chroot the host's mounts are still in the namespace. A user namespace in there may mount
// a procfs or sysfs without any masks as long as one is, and with it reach what is masked: so none
// stays whole.
void cover_kernels_file_systems(const std::string& root) {
    for (const auto& [shown, point, type, options] : mount_table()) {
        const bool whole = shown == "/" && (type == "proc" || type == "sysfs");
        if (!whole || (point + "/").starts_with(root + "/")) continue;
        // What went with a mount above it is not there any more.
        if (::mount("", point.c_str(), nullptr, MS_SLAVE | MS_REC, nullptr) < 0 && errno == ENOENT)
            continue;
        if (::umount2(point.c_str(), MNT_DETACH) < 0)
            sys::mount("tmpfs", point, "tmpfs", MS_RDONLY);
    }
}

}  // namespace

unsigned long namespace_propagation(unsigned long wanted) {
    // What cannot be bound cannot be made a mount of its own: that waits for finish_root.
    if ((wanted & MS_UNBINDABLE) != 0) return MS_PRIVATE | MS_REC;
    return wanted ? wanted : MS_SLAVE | MS_REC;
}

Root open_root(const std::string& host_path, unsigned long wanted) {
    const unsigned long propagation = namespace_propagation(wanted);
    sys::mount("none", "/", nullptr, propagation);
    // Else the mount that holds it may be shared still, and cannot be the parent of a root that is
    // pivoted to.
    if ((propagation & MS_SHARED) != 0 || (propagation & MS_REC) == 0)
        sys::mount("none", mount_point_of(host_path), nullptr,
                   (propagation & MS_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE);
    sys::mount(host_path, host_path, "bind", MS_BIND | MS_REC);
    // What somebody mounts later below the root file system, for another container or to copy into
    // it, stays outside, unless the config asks for it.
    if (!wanted) sys::mount("none", host_path, nullptr, MS_PRIVATE | MS_REC);
    return Root(host_path);
}

namespace {

bool is_null_device(int fd) {
    const struct stat info = sys::fstat(fd);
    return S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
}

}  // namespace

// The container's own node; the host's where it has none. Either way nobody changes the node itself
// through what covers a file: mode, owner and times of the host's are the whole machine's.
UniqueFd make_file_mask(const Root& root) {
    std::optional<UniqueFd> null = root.open_if_exists("/dev/null", O_PATH | O_NOFOLLOW);
    if (!null || !is_null_device(null->get())) null = sys::open("/dev/null", O_PATH | O_NOFOLLOW);
    if (!is_null_device(null->get())) throw Error("/dev/null is not the null device");
    UniqueFd mask = clone_tree(null->get());
    set_mount_attributes(mask.get(), false, MOUNT_ATTR_RDONLY, 0);
    return mask;
}

void mask(const Root& root, const std::vector<std::string>& paths) {
    UniqueFd file;   // clones of one that is attached, as below: a detached mount cannot be cloned
    UniqueFd empty;  // one empty file system; once it is attached, the others are clones of it
    std::set<std::string_view> covered;
    for (const std::string& path : paths) {
        if (!covered.insert(path).second) continue;
        const auto target = root.open_if_exists(path, O_PATH);
        if (!target) continue;
        UniqueFd cover;
        const bool is_directory = S_ISDIR(sys::fstat(target->get()).st_mode);
        UniqueFd& first = is_directory ? empty : file;
        if (first)
            cover = clone_tree(first.get());
        else if (is_directory)
            cover = make_detached("tmpfs", "mode=755,nr_blocks=1,nr_inodes=1",
                                  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                      MOUNT_ATTR_NOEXEC);
        else
            cover = make_file_mask(root);
        attach(cover.get(), target->get(), quoted(path));
        if (!first) first = std::move(cover);
    }
}

void make_read_only(const Root& root, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        const auto target = root.open_if_exists(path, O_PATH);
        if (!target) continue;
        const UniqueFd tree = clone_tree(target->get(), true);
        set_mount_attributes(tree.get(), true, MOUNT_ATTR_RDONLY, 0);
        attach(tree.get(), target->get(), quoted(path));
    }
}

void pivot_into(const Root& root) {
    const UniqueFd old = sys::open("/", O_PATH | O_DIRECTORY);
    check(::fchdir(root.fd()), "fchdir to the root file system");
    // With "." for both, the old root lies on top of the new one, and no directory is needed for
    // it.
    check(::syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(::fchdir(old.get()), "fchdir to the old root");
    // The detach must not travel to the host through a shared mount.
    check(::mount("", ".", "", MS_SLAVE | MS_REC, nullptr), "making the old root a slave");
    check(::umount2(".", MNT_DETACH), "unmounting the old root");
    check(::chdir("/"), "chdir to /");
}

void move_into(const Root& root, const std::string& host_path) {
    cover_kernels_file_systems(host_path);
    check(::fchdir(root.fd()), "fchdir to the root file system");
    check(::mount(".", "/", nullptr, MS_MOVE, nullptr), "moving the root file system to /");
    check(::chroot("."), "chroot");
    check(::chdir("/"), "chdir to /");
}

void change_root(const Root& root) {
    check(::fchdir(root.fd()), "fchdir to the root file system");
    check(::chroot("."), "chroot");
    check(::chdir("/"), "chdir to /");
}

void finish_root(bool readonly, unsigned long propagation) {
    if (propagation) sys::mount("", "/", nullptr, propagation);
    if (!readonly) return;
    const UniqueFd root = sys::open("/", O_PATH | O_DIRECTORY);
    set_mount_attributes(root.get(), false, MOUNT_ATTR_RDONLY, 0);
}

namespace {

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

// Never given again since Linux 6.8; before, another mount may get it when this one is gone.
uint64_t mount_id(int fd) {
    struct statx info{};
    check(::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID | STATX_MNT_ID_UNIQUE, &info),
          "statx of a mount");
    return info.stx_mnt_id;
}

}  // namespace

HostRoot make_host_root(const std::string& host_path) {
    HostRoot root{.tree = clone_tree(sys::open(host_path, O_PATH | O_DIRECTORY).get(), true)};
    set_mount_attributes(root.tree.get(), true, 0, 0, MS_PRIVATE);
    root.id = mount_id(root.tree.get());
    return root;
}

UniqueFd lock_host_mounts(const std::string& state_root) {
    UniqueFd lock = sys::open(state_root, O_RDONLY | O_DIRECTORY);
    sys::flock(lock.get(), LOCK_EX);
    return lock;
}

bool unmount_if_on_top(const std::string& host_path, uint64_t id) {
    const auto top = sys::try_open(host_path, O_PATH | O_NOFOLLOW);
    if (!top || mount_id(top->get()) != id) return false;
    check(::umount2(host_path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW), "unmounting ", host_path);
    return true;
}
