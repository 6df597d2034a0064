// The order is what makes a replacement safe: the bytes, their fsync, the rename, the fsync of the
// directory. A rename alone may be on the disk before the bytes are, and after a power cut the name
// would mean an empty file. What is read may go away meanwhile: a file of a cgroup then says
// ENODEV, one of an ended process ESRCH, and both are as good as not there.
#include "base/file.h"

#include <sys/file.h>
#include <sys/random.h>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"

std::string read_file(const std::string& path, size_t most) {
    const UniqueFd fd = sys::open(path, O_RDONLY);
    return context(path, [&] { return sys::read_all(fd.get(), most); });
}

std::optional<std::string> read_file_if_exists(const std::string& path, size_t most) {
    auto fd = sys::try_open(path, O_RDONLY);
    if (!fd && (fd.error() == ENOENT || fd.error() == ENOTDIR)) return {};
    if (!fd) throw SysError(fd.error(), "open " + path);
    auto text = context(path, [&] { return sys::try_read_all(fd->get(), most); });
    if (text) return std::move(*text);
    // Of a cgroup that was removed meanwhile, or a process that ended.
    if (text.error() == ENODEV || text.error() == ESRCH) return {};
    throw SysError(text.error(), str(path, ": read"));
}

void write_file(const std::string& path, std::string_view data, mode_t mode) {
    const UniqueFd fd = sys::open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    context(path, [&] { sys::write_all(fd.get(), data); });
}

std::string name_aside(const std::string& path) {
    uint64_t number = 0;
    check(::getrandom(&number, sizeof number, 0), "getrandom");
    const size_t name = path.find_last_of('/') + 1;  // npos + 1 is 0
    return str(path.substr(0, name), ".", path.substr(name), ".", number);
}

void replace_file(const std::string& path, std::string_view data, mode_t mode,
                  Durability durability) {
    const size_t name = path.find_last_of('/') + 1;
    const std::string directory = name == 0 ? "." : path.substr(0, name), aside = name_aside(path);
    UniqueFd fd = sys::open(aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    Defer undo([&] { ::unlink(aside.c_str()); });
    context(path, [&] {
        sys::write_all(fd.get(), data);
        if (durability == Durability::fsync) sys::fsync(fd.get());
    });
    fd.reset();
    sys::rename(aside, path);
    undo.keep();
    if (durability == Durability::fsync) sys::fsync_directory(directory);
}

// A lock on a file that was removed while it was waited for keeps nobody out.
static bool has_name(int fd, const std::string& path) {
    const struct stat held = sys::fstat(fd);
    struct stat named{};
    return ::stat(path.c_str(), &named) == 0 && named.st_dev == held.st_dev &&
           named.st_ino == held.st_ino;
}

FileLock::FileLock(const std::string& path, bool shared) {
    do {
        fd_ = sys::open(path, O_RDWR | O_CREAT, 0600);
        context(path, [&] { sys::flock(fd_.get(), shared ? LOCK_SH : LOCK_EX); });
    } while (!has_name(fd_.get(), path));
}

std::optional<FileLock> FileLock::try_lock(const std::string& path) {
    for (;;) {
        UniqueFd fd = sys::open(path, O_RDWR | O_CREAT, 0600);
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
            if (errno == EWOULDBLOCK) return {};
            throw SysError("lock ", path);
        }
        if (has_name(fd.get(), path)) return FileLock(std::move(fd));
    }
}
