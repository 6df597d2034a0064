// One of our own is made by the mount calls that need no place (fsopen, fsmount), with processes
// alone unless sysctls are to be written too. A file is opened below the one directory and must be
// of its file system; a text that was taken in part is an error. reopen() is the one way that goes
// through a magic link, and it leads where the caller's descriptor already is.
#include "runtime/process/procfs.h"

#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

namespace {

UniqueFd make_private(Procfs::Content content) {
    const UniqueFd fs(int(::syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC)));
    if (!fs) return {};
    if (content == Procfs::Content::processes &&
        ::syscall(SYS_fsconfig, fs.get(), FSCONFIG_SET_STRING, "subset", "pid", 0) < 0)
        return {};
    if (::syscall(SYS_fsconfig, fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return {};
    return UniqueFd(int(::syscall(SYS_fsmount, fs.get(), FSMOUNT_CLOEXEC,
                                  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)));
}

}  // namespace

Procfs Procfs::of_host() {
    UniqueFd proc = sys::open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW);
    struct statfs fs{};
    check(::fstatfs(proc.get(), &fs), "statfs /proc");
    if (fs.f_type != PROC_SUPER_MAGIC) throw Error("/proc is not a procfs");
    return Procfs(std::move(proc));
}

Procfs Procfs::of_our_own(Content content) {
    UniqueFd made = make_private(content);
    return made ? Procfs(std::move(made)) : of_host();
}

UniqueFd Procfs::open(const std::string& path, int flags) const {
    open_how how{};
    how.flags = unsigned(flags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    auto fd = sys::try_openat2(directory_.get(), path, how);
    if (!fd) throw SysError(fd.error(), "open /proc/" + path);
    return std::move(*fd);
}

void Procfs::write(const std::string& path, std::string_view text) const {
    const UniqueFd file = open(path, O_WRONLY);
    // At once, as these files want it; nothing at all is an answer too (attr/keycreate).
    ssize_t done;
    do done = ::write(file.get(), text.data(), text.size());
    while (done < 0 && errno == EINTR);
    if (done < 0) throw SysError("write /proc/", path);
    if (size_t(done) != text.size())
        throw Error("write /proc/", path, ": only ", done, " of ", text.size(), " bytes");
}

UniqueFd Procfs::reopen(int fd, int flags, std::string_view shown) const {
    const UniqueFd own = open("self/fd", O_PATH | O_DIRECTORY);
    UniqueFd opened(::openat(own.get(), std::to_string(fd).c_str(), flags | O_NOCTTY | O_CLOEXEC));
    if (!opened) throw SysError("open ", quoted(shown));
    return opened;
}
