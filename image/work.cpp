// What is hard: between making a file and locking it, it looks like a dead owner's, and a collector
// may take it. So after the lock it is checked that the file still has its name; if not, another is
// made. A collector holds the lock for as long as it removes. What cannot be opened or locked may
// be somebody's. A dead process's mounts stay, and make the tree busy: they are taken off, the last
// first.
#include "image/work.h"

#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mount_table.h"
#include "base/sys.h"

// Whoever finds an unlocked entry may remove it, even between our making and our locking it: then
// we make another.
Claimed claim(const std::string& directory, const std::string& purpose, Claim what) {
    const std::string pattern = str(directory, "/", purpose, "-XXXXXX");
    for (;;) {
        std::string path = pattern;
        UniqueFd fd;
        if (what == Claim::directory) {
            if (!::mkdtemp(path.data())) throw SysError("make a directory in ", directory);
            auto opened = sys::try_open(path, O_RDONLY | O_DIRECTORY);
            if (!opened && opened.error() != ENOENT) throw SysError(opened.error(), "open " + path);
            if (!opened) continue;
            fd = std::move(*opened);
        } else {
            fd.reset(::mkostemp(path.data(), O_CLOEXEC));
            if (!fd) throw SysError("make a file in ", directory);
        }
        sys::flock(fd.get(), LOCK_EX);
        if (sys::fstat(fd.get()).st_nlink > 0 && sys::exists(path)) return {path, std::move(fd)};
    }
}

std::vector<std::string> collect_dead(const std::string& directory,
                                      const std::function<void(const std::string& path)>& bury) {
    std::vector<std::string> held;
    for (const std::string& name : names_in_if_exists(directory)) {
        const std::string path = directory + "/" + name;
        const auto fd = sys::try_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        if (!fd && fd.error() == ENOENT) continue;
        // What cannot be opened or locked may be somebody's.
        if (!fd || ::flock(fd->get(), LOCK_EX | LOCK_NB) < 0)
            held.push_back(path);
        else
            attempt("removing " + path, [&] { bury(path); });
    }
    return held;
}

// Mounts of a process that died stay: without them the tree can be removed.
static void unmount_below(const std::string& path) {
    for (const std::string& point : mounts_below(path)) ::umount2(point.c_str(), MNT_DETACH);
}

void remove_work(const std::string& path) {
    try {
        sys::remove_tree(path);
    } catch (const SysError& e) {
        if (e.code() != EBUSY) throw;
        unmount_below(path);
        sys::remove_tree(path);
    }
}

WorkDir::~WorkDir() {
    if (!lock_) return;  // moved from
    attempt("removing " + path_, [&] { remove_work(path_); });
}
