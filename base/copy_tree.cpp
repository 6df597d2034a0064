// What is hard: the tree may be a volume which somebody changes meanwhile. So an entry is looked at
// and read through one descriptor, never by its name twice: what is a file when it is looked at and
// a FIFO when it is opened would stop us for ever. Only regular files are opened at all. And the
// order counts: chown takes away set-user-ID bits and capabilities, so the owner comes first; what
// is put into a directory changes its times and inherits its access lists, so a directory's
// attributes come when it is full.
#include "base/copy_tree.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>

#include "base/error.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "base/tree_walk.h"

namespace {

class Copy {
public:
    Copy(int to, Likeness likeness)
        : top_(to), to_(sys::openat(to, ".", O_PATH | O_DIRECTORY)), likeness_(likeness) {}
    bool meet(const TreePlace& at);
    void enter(const TreePlace& at);
    bool leave(const TreePlace& at);

private:
    bool link_to_first(const struct stat& info, const TreePlace& at);
    void make(int entry, const struct stat& info, const char* name);
    void copy_content(int from, int to, off_t size);
    bool copy_range(int from, int to, off_t at, off_t end);
    void give_attributes(int source, const struct stat& info, const char* name);

    int top_;
    UniqueFd to_;  // the copy of where the walk is
    Likeness likeness_;
    bool by_range_ = true;  // the kernel copies between these two itself, perhaps by sharing
    std::map<std::pair<dev_t, ino_t>, std::string>
        linked_;  // files with more names -> the first one copied
};

bool Copy::meet(const TreePlace& at) {
    const UniqueFd entry(::openat(at.parent, at.name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!entry && errno == ENOENT) return false;
    check(entry.get(), "open");
    const struct stat info = sys::fstat(entry.get());
    if (S_ISDIR(info.st_mode)) return true;
    if (likeness_ == Likeness::full && link_to_first(info, at)) return false;
    make(entry.get(), info, at.name);
    give_attributes(entry.get(), info, at.name);
    return false;
}

void Copy::enter(const TreePlace& at) {
    if (at.is_top()) return;
    check(::mkdirat(to_.get(), at.name, 0700), "mkdir");
    to_ = sys::openat(to_.get(), at.name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

bool Copy::leave(const TreePlace& at) {
    if (!at.is_top()) to_ = sys::openat(to_.get(), "..", O_PATH | O_DIRECTORY);
    if (!at.is_top() || likeness_ == Likeness::full)
        give_attributes(at.self, sys::fstat(at.self), at.name);
    return false;
}

// Another name of what is there already. One whose first name is too deep for a path becomes a file
// of its own.
bool Copy::link_to_first(const struct stat& info, const TreePlace& at) {
    if (info.st_nlink < 2) return false;
    const auto [first, is_new] =
        linked_.emplace(std::pair(info.st_dev, info.st_ino), "." + at.path());
    if (is_new) return false;
    if (::linkat(top_, first->second.c_str(), to_.get(), at.name, 0) == 0) return true;
    if (errno != ENAMETOOLONG && errno != EMLINK) throw SysError("link to ", quoted(first->second));
    return false;
}

std::string target_of(int link) {
    char target[4096];
    const ssize_t length = ::readlinkat(link, "", target, sizeof target);
    if (length < 0 || size_t(length) == sizeof target) throw SysError("readlink");
    return {target, size_t(length)};
}

void Copy::make(int entry, const struct stat& info, const char* name) {
    if (S_ISREG(info.st_mode)) {
        const UniqueFd in = reopen_regular(entry, name);
        const UniqueFd out = sys::openat(to_.get(), name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        copy_content(in.get(), out.get(), info.st_size);
    } else if (S_ISLNK(info.st_mode)) {
        check(::symlinkat(target_of(entry).c_str(), to_.get(), name), "symlink");
    } else {
        check(::mknodat(to_.get(), name, (info.st_mode & S_IFMT) | 0600, info.st_rdev), "mknod");
    }
}

// Holes stay holes. No more than there was when it was looked at: who appends to it does not keep
// us.
void Copy::copy_content(int from, int to, off_t size) {
    check(::ftruncate(to, size), "truncate");
    for (off_t at = 0, end; at < size; at = end) {
        at = ::lseek(from, at, SEEK_DATA);
        if (at < 0 && errno == ENXIO) return;  // nothing but a hole is left
        end = at < 0 ? at : std::min(::lseek(from, at, SEEK_HOLE), size);
        if (end < 0 || ::lseek(to, at, SEEK_SET) < 0) throw SysError("seek");
        if (!copy_range(from, to, at, end)) return;  // it was cut meanwhile
    }
}

bool Copy::copy_range(int from, int to, off_t at, off_t end) {
    while (at < end) {
        const size_t most = size_t(std::min(end - at, off_t(1) << 30));
        const ssize_t done = by_range_ ? ::copy_file_range(from, &at, to, nullptr, most, 0)
                                       : ::sendfile(to, from, &at, most);
        if (done == 0) return false;
        if (done > 0 || errno == EINTR) continue;
        if (!by_range_ ||
            (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS))
            throw SysError("copy");
        by_range_ = false;
    }
    return true;
}

// By its descriptor in /proc, so that one way serves every kind of file.
void copy_extended(int source, const std::string& target) {
    const std::string from = sys::proc_fd(source);
    char names[65536], value[65536];
    const ssize_t length = ::listxattr(from.c_str(), names, sizeof names);
    if (length < 0 && errno != ENOTSUP) throw SysError("listxattr");
    for (const char* name = names; name < names + length;
         name += std::string_view(name).size() + 1) {
        const ssize_t size =
            check(::getxattr(from.c_str(), name, value, sizeof value), "getxattr ", name);
        check(::lsetxattr(target.c_str(), name, value, size_t(size), 0), "setxattr ", name);
    }
}

void Copy::give_attributes(int source, const struct stat& info, const char* name) {
    check(::fchownat(to_.get(), name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW), "chown");
    if (!S_ISLNK(info.st_mode))
        check(::fchmodat(to_.get(), name, info.st_mode & 07777, 0), "chmod");
    if (likeness_ == Likeness::plain) return;
    copy_extended(source, sys::proc_fd(to_.get()) + "/" + name);
    const timespec times[] = {info.st_atim, info.st_mtim};
    check(::utimensat(to_.get(), name, times, AT_SYMLINK_NOFOLLOW), "utimens");
}

}  // namespace

void copy_tree(int from, int to, Likeness likeness) {
    Copy copy(to, likeness);
    const auto named = [&copy](auto step) {
        return [&copy, step](const TreePlace& at) {
            try {
                return (copy.*step)(at);
            } catch (Error& e) {
                e.prefix(str("copying ", quoted(at.shown())));
                throw;
            }
        };
    };
    walk_tree(from, ".",
              {.meet = named(&Copy::meet),
               .enter = named(&Copy::enter),
               .leave = named(&Copy::leave),
               .reads_first = true});
}
