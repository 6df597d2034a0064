// The tree that is copied may be a volume which another container changes meanwhile, and as deep as
// that one likes. So an entry is looked at and read through one descriptor, never by its name
// twice: what is a file when it is looked at and a FIFO when it is opened would stop us for ever.
// Nothing is followed, and a level of depth costs a name and an inode number, no descriptor and no
// frame. On the way up ".." is believed only if it is the directory that we came from. What goes
// away meanwhile is as if it had not been there.
#include "runtime/rootfs/copy_up.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/directory.h"
#include "base/error.h"
#include "base/regular_file.h"
#include "base/sys.h"

namespace {

struct Level {
    dev_t device = 0;
    ino_t inode = 0;
    std::vector<std::string> ahead;  // directories in it that are still to be copied
};

class CopyUp {
public:
    CopyUp(int from, int to)
        : from_(sys::openat(from, ".", O_PATH | O_DIRECTORY)),
          to_(sys::openat(to, ".", O_PATH | O_DIRECTORY)) {}
    void run();

private:
    void note_level();
    void copy_entries();
    void copy_entry(const std::string& name);
    void enter(const std::string& name);
    void leave();
    UniqueFd look_at(const std::string& name) const;
    void give_owner(const std::string& name, const struct stat& info) const;

    UniqueFd from_, to_;  // the last of levels_, and its copy
    std::vector<Level> levels_;
};

// Holes stay holes. No more than there was when it was looked at: who appends to it does not keep
// us.
void copy_content(int from, int to, off_t size, const std::string& name) {
    check(::ftruncate(to, size), "copy ", name);
    for (off_t at = 0; at < size;) {
        at = ::lseek(from, at, SEEK_DATA);
        if (at < 0 && errno == ENXIO) return;  // nothing but a hole is left
        const off_t end = at < 0 ? at : std::min(::lseek(from, at, SEEK_HOLE), size);
        if (end < 0 || ::lseek(to, at, SEEK_SET) < 0) throw SysError("copy ", name);
        while (at < end) {
            const ssize_t done =
                ::sendfile(to, from, &at, size_t(std::min(end - at, off_t(1) << 30)));
            if (done < 0) throw SysError("copy ", name);
            if (done == 0) return;  // it was cut meanwhile
        }
    }
}

std::string target_of(int link, const std::string& name) {
    char target[4096];
    const ssize_t length = ::readlinkat(link, "", target, sizeof target);
    if (length < 0 || size_t(length) == sizeof target) throw SysError("readlink ", name);
    return {target, size_t(length)};
}

// Nothing if it is not there any more.
UniqueFd CopyUp::look_at(const std::string& name) const {
    UniqueFd entry(::openat(from_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!entry && errno != ENOENT) throw SysError("open ", name);
    return entry;
}

void CopyUp::give_owner(const std::string& name, const struct stat& info) const {
    check(::fchownat(to_.get(), name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW),
          "chown ", name);
    if (!S_ISLNK(info.st_mode))
        check(::fchmodat(to_.get(), name.c_str(), info.st_mode & 07777, 0), "chmod ", name);
}

void CopyUp::copy_entry(const std::string& name) {
    const UniqueFd entry = look_at(name);
    if (!entry) return;
    const struct stat info = sys::fstat(entry.get());
    if (S_ISDIR(info.st_mode)) return levels_.back().ahead.push_back(name);
    if (S_ISREG(info.st_mode)) {
        const UniqueFd in = reopen_regular(entry.get(), name);
        const UniqueFd out = sys::openat(to_.get(), name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        copy_content(in.get(), out.get(), info.st_size, name);
    } else if (S_ISLNK(info.st_mode)) {
        check(::symlinkat(target_of(entry.get(), name).c_str(), to_.get(), name.c_str()),
              "symlink ", name);
    } else {
        check(::mknodat(to_.get(), name.c_str(), info.st_mode, info.st_rdev), "mknod ", name);
    }
    give_owner(name, info);
}

void CopyUp::note_level() {
    const struct stat info = sys::fstat(from_.get());
    levels_.push_back({.device = info.st_dev, .inode = info.st_ino, .ahead = {}});
}

void CopyUp::copy_entries() {
    for (const std::string& name : names_in(from_.get(), "a directory")) copy_entry(name);
}

void CopyUp::enter(const std::string& name) {
    UniqueFd below = look_at(name);
    if (!below) return;
    const struct stat info = sys::fstat(below.get());
    if (!S_ISDIR(info.st_mode)) return copy_entry(name);  // exchanged meanwhile
    check(::mkdirat(to_.get(), name.c_str(), 0700), "mkdir ", name);
    give_owner(name, info);
    to_ = sys::openat(to_.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    from_ = std::move(below);
    note_level();
    copy_entries();
}

void CopyUp::leave() {
    levels_.pop_back();
    if (levels_.empty()) return;
    from_ = sys::openat(from_.get(), "..", O_PATH | O_DIRECTORY);
    to_ = sys::openat(to_.get(), "..", O_PATH | O_DIRECTORY);
    const struct stat info = sys::fstat(from_.get());
    if (info.st_dev != levels_.back().device || info.st_ino != levels_.back().inode)
        throw SysError(ESTALE, std::string("a directory was moved while it was copied"));
}

void CopyUp::run() {
    note_level();
    copy_entries();
    while (!levels_.empty()) {
        auto& ahead = levels_.back().ahead;
        if (ahead.empty()) {
            leave();
            continue;
        }
        const std::string name = std::move(ahead.back());
        ahead.pop_back();
        enter(name);
    }
}

}  // namespace

void copy_up(int from, int to) { CopyUp(from, to).run(); }
