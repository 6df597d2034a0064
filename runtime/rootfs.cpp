#include "runtime/rootfs.h"

#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/mounts.h"

namespace {

struct Mounted {
    std::string root, point, type;
};

// As mountinfo writes a path, and back.
std::string shown(const std::string& path) {
    std::string text;
    for (const char c : path) text += c == ' ' ? "\\040" : c == '\t' ? "\\011" : c == '\n' ? "\\012" : c == '\\' ? "\\134" : std::string(1, c);
    return text;
}
std::string meant(std::string_view text) {
    std::string path;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 3 >= text.size()) path += text[i];
        else path += char((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0'), i += 3;
    }
    return path;
}

// All that is mounted here; the points are written as mountinfo writes them.
std::vector<Mounted> mounts_here() {
    std::vector<Mounted> found;
    for (const std::string& line : split(read_file("/proc/self/mountinfo"), '\n')) {
        const std::vector<std::string> fields = split(line, ' ');
        const auto dash = std::ranges::find(fields, "-");
        if (fields.size() > 4 && fields.end() - dash > 1) found.push_back({fields[3], fields[4], dash[1]});
    }
    return found;
}

// The mount that holds the path: pivot_root refuses a new root whose parent is shared.
std::string mount_point_of(const std::string& path) {
    std::string best = "/";
    for (const Mounted& mounted : mounts_here()) {
        const std::string point = meant(mounted.point);
        const bool above = path == point || path.starts_with(point == "/" ? point : point + "/");
        if (above && point.size() > best.size()) best = point;
    }
    return best;
}

// After a chroot the host's mounts are still in the namespace. A user namespace in there may mount a procfs
// or sysfs without any masks as long as one is, and with it reach what is masked: so none stays whole.
void cover_kernels_file_systems(const std::string& root) {
    for (const Mounted& mounted : mounts_here()) {
        const std::string point = meant(mounted.point);
        if (mounted.root != "/" || (mounted.type != "proc" && mounted.type != "sysfs") || (point + "/").starts_with(root + "/")) continue;
        // What went with a mount above it is not there any more.
        if (::mount("", point.c_str(), nullptr, MS_SLAVE | MS_REC, nullptr) < 0 && errno == ENOENT) continue;
        if (::umount2(point.c_str(), MNT_DETACH) < 0) sys::mount("tmpfs", point, "tmpfs", MS_RDONLY);
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
    // Else the mount that holds it may be shared still, and cannot be the parent of a root that is pivoted to.
    if ((propagation & MS_SHARED) != 0 || (propagation & MS_REC) == 0)
        sys::mount("none", mount_point_of(host_path), nullptr, (propagation & MS_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE);
    sys::mount(host_path, host_path, "bind", MS_BIND | MS_REC);
    // What somebody mounts later below the root file system, for another container or to copy into it, stays
    // outside, unless the config asks for it.
    if (!wanted) sys::mount("none", host_path, nullptr, MS_PRIVATE | MS_REC);
    return Root(host_path);
}

Root open_root_on_host(const std::string& host_path) {
    sys::mount(host_path, host_path, "bind", MS_BIND | MS_REC);
    sys::mount("none", host_path, nullptr, MS_PRIVATE | MS_REC);
    return Root(host_path);
}

void mask(const Root& root, const std::vector<std::string>& paths) {
    if (paths.empty()) return;
    const UniqueFd null = sys::open("/dev/null", O_PATH | O_NOFOLLOW);
    const struct stat info = sys::fstat(null.get());
    if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3)) throw Error("/dev/null is not the null device");

    UniqueFd empty;  // one empty file system; once it is attached, the others are clones of it
    std::set<std::string_view> covered;
    for (const std::string& path : paths) {
        if (!covered.insert(path).second) continue;
        const auto target = root.open_if_exists(path, O_PATH);
        if (!target) continue;
        UniqueFd cover;
        if (!S_ISDIR(sys::fstat(target->get()).st_mode)) cover = clone_tree(null.get());
        else if (empty) cover = clone_tree(empty.get());
        else cover = make_detached("tmpfs", "mode=755,nr_blocks=1,nr_inodes=1", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
        attach(cover.get(), target->get(), quoted(path));
        if (!empty && S_ISDIR(sys::fstat(cover.get()).st_mode)) empty = std::move(cover);
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
    // With "." for both, the old root lies on top of the new one, and no directory is needed for it.
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

int mounts_at(const std::string& host_path) {
    return int(std::ranges::count(mounts_here(), shown(host_path), &Mounted::point));
}

void unmount_down_to(const std::string& host_path, int before) {
    for (int there = mounts_at(host_path); there > before; --there)
        check(::umount2(host_path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW), "unmounting ", host_path);
}
