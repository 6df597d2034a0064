// What is hard is that a failed call may mean "again" or "not here". EINTR is tried again, and so
// is openat2's EAGAIN, which says that something was renamed while the kernel walked. Its EPERM may
// be the file's, or that of a seccomp filter which does not know the call: opening "/" tells which,
// and where there is no openat2, walk.h does its work. A file of proc or of a cgroup has size 0 and
// content all the same: a size is a hint for the buffer, and the end is where read says so.
#include "base/sys.h"

#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/walk.h"

namespace sys {

UniqueFd open(const std::string& path, int flags, mode_t mode) {
    int fd;
    do fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) throw SysError("open ", path);
    return UniqueFd(fd);
}

UniqueFd openat(int dir, const std::string& path, int flags, mode_t mode) {
    int fd;
    do fd = ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) throw SysError("open ", path);
    return UniqueFd(fd);
}

void close_from(int first, std::vector<int> but) {
    std::ranges::sort(but);
    for (const int kept : but) {
        if (kept < first) continue;
        if (kept > first)
            check(::syscall(SYS_close_range, unsigned(first), unsigned(kept - 1), 0),
                  "close_range");
        first = kept + 1;
    }
    check(::syscall(SYS_close_range, unsigned(first), ~0U, 0), "close_range");
}

std::expected<UniqueFd, int> try_open(const std::string& path, int flags, mode_t mode) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd < 0) return std::unexpected(errno);
    return UniqueFd(fd);
}

// Not in kernels before 5.6, and not behind a seccomp filter that does not know it: those say
// EPERM.
static bool openat2_is_there() {
    static const bool answer = [] {
        open_how how{};
        how.flags = O_PATH | O_CLOEXEC;
        const int before = errno;
        const UniqueFd fd(int(::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)));
        errno = before;
        return bool(fd);
    }();
    return answer;
}

std::expected<UniqueFd, int> try_openat2(int dir, const std::string& path, const open_how& wanted) {
    open_how how = wanted;
    how.flags |= O_CLOEXEC;
    // EAGAIN: something in the tree was renamed while the kernel walked it (openat2(2)).
    for (int tries = 0;; ++tries) {
        const long fd = ::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof how);
        if (fd >= 0) return UniqueFd(int(fd));
        if ((errno == ENOSYS || errno == EPERM) && !openat2_is_there()) return walk(dir, path, how);
        if (errno != EINTR && (errno != EAGAIN || tries >= 128)) return std::unexpected(errno);
    }
}

void write_all(int fd, std::string_view data) {
    while (!data.empty()) {
        const ssize_t n = ::write(fd, data.data(), data.size());
        if (n < 0 && errno == EINTR) continue;
        check(n, "write");
        data.remove_prefix(size_t(n));
    }
}

std::expected<std::string, int> try_read_all(int fd, size_t most) {
    std::string out;
    struct stat info{};
    size_t step = 2048;  // a file of proc or of a cgroup says that it is empty, and is small
    if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
        step = size_t(info.st_size) < most ? size_t(info.st_size) + 1 : most + 1;
    for (size_t room = step;;) {
        const size_t used = out.size();
        ssize_t n = 0;
        // Into memory that nobody has filled with zeros before.
        out.resize_and_overwrite(used + room, [&](char* data, size_t size) {
            n = ::read(fd, data + used, size - used);
            return used + size_t(std::max<ssize_t>(n, 0));
        });
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return std::unexpected(errno);
        if (out.size() > most) throw Error("more than ", most, " bytes");
        if (n == 0) return out;
        room -= size_t(n);
        if (room == 0) room = step = std::min<size_t>(step * 8, 1 << 20);
    }
}

std::string read_all(int fd, size_t most) {
    auto all = try_read_all(fd, most);
    if (!all) throw SysError(all.error(), "read");
    return std::move(*all);
}

struct stat fstat(int fd) {
    struct stat info{};
    check(::fstat(fd, &info), "fstat");
    return info;
}

struct stat lstat(const std::string& path) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) < 0) throw SysError("lstat ", path);
    return info;
}

bool exists(const std::string& path) {
    struct stat info{};
    return ::lstat(path.c_str(), &info) == 0;
}

void mkdir(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) < 0) throw SysError("mkdir ", path);
}

void make_directories(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) == 0) return;
    if (errno == ENOENT) {
        const size_t slash = path.find_last_of('/');
        if (slash == std::string::npos || slash == 0) throw SysError(ENOENT, "mkdir " + path);
        make_directories(path.substr(0, slash), mode);
        if (::mkdir(path.c_str(), mode) == 0) return;
    }
    struct stat info{};
    const int why = errno;
    if (why == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return;
    throw SysError(why, "mkdir " + path);
}

void rename(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) < 0) throw SysError("rename ", from, " to ", to);
}

void unlink(const std::string& path) {
    if (::unlink(path.c_str()) < 0) throw SysError("remove ", path);
}

void fsync(int fd) { check(::fsync(fd), "fsync"); }

void fsync_directory(const std::string& path) {
    const UniqueFd dir = sys::open(path, O_RDONLY | O_DIRECTORY);
    if (::fsync(dir.get()) < 0) throw SysError("fsync ", path);
}

void flock(int fd, int operation) {
    int result;
    do result = ::flock(fd, operation);
    while (result < 0 && errno == EINTR);
    check(result, "lock");
}

void mount(const std::string& source, const std::string& target, const char* type,
           unsigned long flags, const std::string& data) {
    if (::mount(source.c_str(), target.c_str(), type, flags,
                data.empty() ? nullptr : data.c_str()) < 0)
        throw SysError("mount ", source, " on ", target);
}

void umount(const std::string& target, int flags) {
    if (::umount2(target.c_str(), flags) < 0) throw SysError("unmount ", target);
}

UniqueFd pidfd_open(pid_t pid, const char* doing) {
    return UniqueFd(int(check(::syscall(SYS_pidfd_open, pid, 0), doing)));
}

UniqueFd pidfd_open_if_exists(pid_t pid) {
    return UniqueFd(int(::syscall(SYS_pidfd_open, pid, 0)));
}

std::string proc_fd(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

Pipe pipe() {
    int ends[2];
    check(::pipe2(ends, O_CLOEXEC), "pipe");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

SocketPair socketpair(int type) {
    int ends[2];
    check(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void send_with_fds(int socket, std::string_view data, std::span<const int> fds) {
    iovec part{const_cast<char*>(data.data()), data.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
    if (fds.size() > 16) throw Error("too many descriptors in one message");
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    ssize_t sent;
    do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    check(sent, "sendmsg");
}

}  // namespace sys
