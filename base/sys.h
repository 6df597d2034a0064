// One wrapper per system call we make: the name without prefix, borrowed descriptors in, UniqueFd
// out, O_CLOEXEC always, SysError on failure. Paths are the host's: a path that a stranger may have
// shaped goes through Root (base/root.h).
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <expected>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace sys {

UniqueFd open(const std::string& path, int flags, mode_t mode = 0);
UniqueFd openat(int dir, const std::string& path, int flags, mode_t mode = 0);
// The error number instead of an exception, where not being there is an answer.
std::expected<UniqueFd, int> try_open(const std::string& path, int flags, mode_t mode = 0);
std::expected<UniqueFd, int> try_openat2(int dir, const std::string& path, const open_how& how);

// Everything is written, or it throws; EINTR and short writes are handled.
void write_all(int fd, std::string_view data);
// Reads until the end or until `most` bytes; throws Error if there are more.
std::string read_all(int fd, size_t most = size_t(1) << 30);
std::expected<std::string, int> try_read_all(int fd, size_t most);

inline bool same_time(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}
struct stat fstat(int fd);
// lstat; throws.
struct stat lstat(const std::string& path);
bool exists(const std::string& path);  // lstat succeeds

void mkdir(const std::string& path, mode_t mode);             // an existing one is an error
void make_directories(const std::string& path, mode_t mode);  // like mkdir -p
void rename(const std::string& from, const std::string& to);
void unlink(const std::string& path);
// A tree and all below it, without following links or leaving it through one, with a fixed number
// of descriptors; what is not there is no error. What cannot be removed (EBUSY: a mount) does not
// stop the rest: the first such error is thrown at the end.
void remove_tree(const std::string& path);
void fsync(int fd);
void fsync_directory(const std::string& path);
void flock(int fd, int operation);  // see flock(2); LOCK_NB's EWOULDBLOCK throws

void mount(const std::string& source, const std::string& target, const char* type,
           unsigned long flags, const std::string& data = {});
void umount(const std::string& target, int flags = 0);

std::string proc_fd(int fd);  // "/proc/self/fd/N"

// A process by a descriptor, which stays its own when the number is given to another.
UniqueFd pidfd_open(pid_t pid, const char* doing = "pidfd_open");
// Nothing if there is none, or if it cannot be had (a filter that does not know the call).
UniqueFd pidfd_open_if_exists(pid_t pid);

// Closes all descriptors from this number on but these.
void close_from(int first, std::vector<int> but);
struct Pipe {
    UniqueFd read, write;
};
Pipe pipe();
// Two connected sockets of AF_UNIX; type is SOCK_STREAM or SOCK_SEQPACKET.
struct SocketPair {
    UniqueFd a, b;
};
SocketPair socketpair(int type);

// One message with at most 16 descriptors (SCM_RIGHTS) on a Unix socket. Whoever does not hear any
// more is an error (EPIPE), no signal.
void send_with_fds(int socket, std::string_view data, std::span<const int> fds);

}  // namespace sys
