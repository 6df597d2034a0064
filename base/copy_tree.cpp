// What is hard: the tree is as deep as its maker liked, so a level costs a name in memory, and
// neither a descriptor nor a frame; the way up is "..", which is true since nobody else moves what
// is copied. Nothing is opened by a path, only regular files are opened at all, and in this order:
// chown takes away set-user-ID bits and capabilities, so the owner comes first, and what is put
// into a directory changes its times, so a directory's attributes come when it is full.
#include "base/copy_tree.h"
#include "base/directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/regular_file.h"
#include "base/sys.h"

namespace {

UniqueFd open_directory(int parent, const char* name) {
    return UniqueFd(check(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                          "open ", quoted(name)));
}

class Copy {
public:
    Copy(int from, int to)
        : top_(to), from_(open_directory(from, ".")), to_(open_directory(to, ".")) {}
    void run();
    std::string shown(const std::string& name) const { return "/" + path(name); }
    const std::string& current() const { return current_; }

private:
    struct Level {
        std::string name;                      // in the level above
        std::vector<std::string> directories;  // to be entered
    };

    void read_here();
    void copy_entry(const std::string& name);
    void make_entry(const struct stat& info, const std::string& name);
    bool link_entry(const struct stat& info, const std::string& name);
    void copy_data(const struct stat& info, const std::string& name);
    void copy_attributes(const struct stat& info, const std::string& name);
    std::string path(const std::string& name) const;

    int top_;
    UniqueFd from_, to_;  // where we are
    std::vector<Level> levels_;
    std::map<std::pair<dev_t, ino_t>, std::string>
        linked_;           // files with more names -> the first one copied
    std::string current_;  // for errors
};

std::string Copy::path(const std::string& name) const {
    std::string whole;
    for (size_t i = 1; i < levels_.size(); ++i) whole += levels_[i].name + "/";
    return whole + name;
}

struct stat look(int directory, const std::string& name) {
    struct stat info{};
    check(::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW), "stat");
    return info;
}

void Copy::run() {
    levels_.push_back({});
    read_here();
    for (;;) {
        auto& ahead = levels_.back().directories;
        if (!ahead.empty()) {
            Level below{.name = std::move(ahead.back()), .directories = {}};
            ahead.pop_back();
            current_ = shown(below.name);
            check(::mkdirat(to_.get(), below.name.c_str(), 0700), "mkdir");
            from_ = open_directory(from_.get(), below.name.c_str());
            to_ = open_directory(to_.get(), below.name.c_str());
            levels_.push_back(std::move(below));
            read_here();
            continue;
        }
        current_ = shown("");
        copy_attributes(sys::fstat(from_.get()), ".");
        levels_.pop_back();
        if (levels_.empty()) return;
        from_ = open_directory(from_.get(), "..");
        to_ = open_directory(to_.get(), "..");
    }
}

void Copy::read_here() {
    for (const std::string& name : names_in(from_.get(), "a directory")) copy_entry(name);
}

void Copy::copy_entry(const std::string& name) {
    current_ = shown(name);
    const struct stat info = look(from_.get(), name);
    if (S_ISDIR(info.st_mode)) return levels_.back().directories.push_back(name);
    if (link_entry(info, name)) return;
    make_entry(info, name);
    copy_attributes(info, name);
}

// Another name of what is there already. One whose first name is too deep for a path becomes a file
// of its own.
bool Copy::link_entry(const struct stat& info, const std::string& name) {
    if (info.st_nlink < 2) return false;
    const auto [first, is_new] = linked_.emplace(std::pair(info.st_dev, info.st_ino), path(name));
    if (is_new) return false;
    if (::linkat(top_, first->second.c_str(), to_.get(), name.c_str(), 0) == 0) return true;
    if (errno != ENAMETOOLONG && errno != EMLINK) throw SysError("link to ", quoted(first->second));
    return false;
}

void Copy::make_entry(const struct stat& info, const std::string& name) {
    if (S_ISREG(info.st_mode)) return copy_data(info, name);
    if (!S_ISLNK(info.st_mode)) {
        check(::mknodat(to_.get(), name.c_str(), (info.st_mode & S_IFMT) | 0600, info.st_rdev),
              "mknod");
        return;
    }
    std::string target(size_t(info.st_size) + 1, '\0');
    target.resize(size_t(
        check(::readlinkat(from_.get(), name.c_str(), target.data(), target.size()), "readlink")));
    check(::symlinkat(target.c_str(), to_.get(), name.c_str()), "symlink");
}

// From one hole to the next. False: the kernel cannot copy between these two itself.
bool copy_range(int from, int to, off_t at, off_t end) {
    while (at < end) {
        off_t out = at;
        const ssize_t n = ::copy_file_range(from, &at, to, &out, size_t(end - at), 0);
        if (n == 0) return true;  // it has become shorter
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS))
            return false;
        check(n, "copy");
    }
    return true;
}

void copy_range_by_hand(int from, int to, off_t at, off_t end) {
    char buffer[65536];
    check(::lseek(to, at, SEEK_SET), "seek");
    while (at < end) {
        const ssize_t n =
            ::pread(from, buffer, std::min<size_t>(sizeof buffer, size_t(end - at)), at);
        if (n < 0 && errno == EINTR) continue;
        if (check(n, "read") == 0) return;
        sys::write_all(to, std::string_view(buffer, size_t(n)));
        at += n;
    }
}

void Copy::copy_data(const struct stat& info, const std::string& name) {
    const UniqueFd in = open_regular_at(from_.get(), name, name);
    const UniqueFd out(check(::openat(to_.get(), name.c_str(),
                                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600),
                             "create"));
    for (off_t at = 0; at < info.st_size;) {
        const off_t data = ::lseek(in.get(), at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;  // nothing but a hole is left
        const off_t start = data < 0 ? at : data,
                    hole = data < 0 ? -1 : ::lseek(in.get(), data, SEEK_HOLE);
        const off_t end = hole < 0 ? info.st_size : hole;
        if (!copy_range(in.get(), out.get(), start, end))
            copy_range_by_hand(in.get(), out.get(), start, end);
        at = end;
    }
    check(::ftruncate(out.get(), info.st_size), "truncate");
}

void Copy::copy_attributes(const struct stat& info, const std::string& name) {
    check(::fchownat(to_.get(), name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW),
          "chown");
    if (!S_ISLNK(info.st_mode))
        check(::fchmodat(to_.get(), name.c_str(), info.st_mode & 07777, 0), "chmod");
    // By the directory's descriptor, so that one way serves every kind of file.
    const std::string source = sys::proc_fd(from_.get()) + "/" + name,
                      target = sys::proc_fd(to_.get()) + "/" + name;
    std::string names(65536, '\0'), value(65536, '\0');
    const ssize_t length = ::llistxattr(source.c_str(), names.data(), names.size());
    if (length < 0 && errno != ENOTSUP) throw SysError("listxattr");
    names.resize(size_t(std::max<ssize_t>(length, 0)));
    for (const std::string& attribute : split(names, '\0')) {
        if (attribute.empty()) continue;
        const ssize_t size =
            check(::lgetxattr(source.c_str(), attribute.c_str(), value.data(), value.size()),
                  "getxattr ", attribute);
        check(::lsetxattr(target.c_str(), attribute.c_str(), value.data(), size_t(size), 0),
              "setxattr ", attribute);
    }
    const timespec times[] = {info.st_atim, info.st_mtim};
    check(::utimensat(to_.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW), "utimens");
}

}  // namespace

void copy_tree(int from, int to) {
    Copy copy(from, to);
    try {
        copy.run();
    } catch (Error& e) {
        e.prefix(str("copying ", quoted(copy.current())));
        throw;
    }
}
