// What is hard: stat calls the files of procfs and its like regular, though the kernel makes them
// as they are read. Only the magic number of their file system tells them from stored ones, and
// there is no flag for "made by the kernel": so the list below has to name all of these file
// systems. What was looked at is opened by its name in /proc/self/fd, which leads to that inode and
// to no other, and still without waiting (O_NONBLOCK) or taking a terminal (O_NOCTTY).
#include "base/regular_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/error.h"
#include "base/sys.h"

namespace {

struct Kind {
    mode_t type;
    const char* words;
};
constexpr Kind kinds[] = {
    {S_IFDIR, "a directory"},    {S_IFIFO, "a FIFO"},    {S_IFCHR, "a character device"},
    {S_IFBLK, "a block device"}, {S_IFSOCK, "a socket"}, {S_IFLNK, "a symbolic link"},
};

// File systems whose files are made by the kernel when they are read: some never end, some act.
struct KernelFiles {
    long magic;
    const char* name;
};
constexpr KernelFiles made_by_the_kernel[] = {
    {PROC_SUPER_MAGIC, "proc"},
    {SYSFS_MAGIC, "sysfs"},
    {DEBUGFS_MAGIC, "debugfs"},
    {TRACEFS_MAGIC, "tracefs"},
    {SECURITYFS_MAGIC, "securityfs"},
    {CGROUP_SUPER_MAGIC, "cgroup"},
    {CGROUP2_SUPER_MAGIC, "cgroup"},
    {SELINUX_MAGIC, "selinuxfs"},
    {SMACK_MAGIC, "smackfs"},
    {BPF_FS_MAGIC, "bpf"},
    {NSFS_MAGIC, "nsfs"},
    {PSTOREFS_MAGIC, "pstore"},
    {EFIVARFS_MAGIC, "efivarfs"},
    {BINFMTFS_MAGIC, "binfmt_misc"},
    {0x62656570, "configfs"},
    {0x65735543, "fusectl"},
    {RDTGROUP_SUPER_MAGIC, "resctrl"},
};

constexpr int for_reading = O_RDONLY | O_NONBLOCK | O_NOCTTY;

}  // namespace

void require_regular(int fd, std::string_view shown) {
    const struct stat info = sys::fstat(fd);
    for (const auto& [type, words] : kinds)
        if ((info.st_mode & S_IFMT) == type)
            throw Error(quoted(shown), " is ", words, ", not a regular file");
    struct statfs fs{};
    if (::fstatfs(fd, &fs) < 0) throw SysError("statfs of ", quoted(shown));
    for (const auto& [magic, name] : made_by_the_kernel)
        if (long(fs.f_type) == magic)
            throw Error(quoted(shown), " is a file of the kernel's (", name,
                        "), not a regular file");
}

UniqueFd reopen_regular(int fd, std::string_view shown) {
    require_regular(fd, shown);
    auto opened = sys::try_open(sys::proc_fd(fd), for_reading);
    if (!opened) throw SysError(opened.error(), str("open ", quoted(shown)));
    return std::move(*opened);
}

UniqueFd open_regular(const Root& root, const std::string& inside, int flags) {
    return reopen_regular(root.open(inside, O_PATH | (flags & O_NOFOLLOW)).get(), inside);
}

std::optional<UniqueFd> open_regular_if_exists(const Root& root, const std::string& inside,
                                               int flags) {
    const auto there = root.open_if_exists(inside, O_PATH | (flags & O_NOFOLLOW));
    if (!there) return {};
    return reopen_regular(there->get(), inside);
}

UniqueFd open_regular_at(int directory, const std::string& name, std::string_view shown) {
    UniqueFd there(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!there) throw SysError("open ", quoted(shown));
    return reopen_regular(there.get(), shown);
}
