// Removing a tree that a stranger made, some of which may not go: what cannot be removed does not
// stop the rest. Each name is removed without a look at what it is; only what the kernel calls a
// directory that is not empty is entered. So a mount is not: it is busy first of all.
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/tree_walk.h"

namespace {

constexpr int most_times = 8;  // somebody else fills a directory as fast as we empty it

[[noreturn]] void fail(const TreePlace& at, int code) {
    throw SysError(code, "remove " + at.shown());
}

// False: it is a directory that is not empty.
bool try_remove(const TreePlace& at) {
    if (::unlinkat(at.parent, at.name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM) fail(at, errno);
    if (::unlinkat(at.parent, at.name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno == ENOTEMPTY || errno == EEXIST) return false;
    fail(at, errno == ENOTDIR ? EPERM : errno);
}

// A directory that is emptied while it is read may have hidden entries: it is entered again.
bool is_still_full(const TreePlace& directory) {
    if (try_remove(directory)) return false;
    if (directory.times == most_times) fail(directory, ENOTEMPTY);
    return true;
}

}  // namespace

void sys::remove_tree(const std::string& path) {
    if (try_remove({AT_FDCWD, path.c_str()})) return;
    walk_tree(AT_FDCWD, path,
              {.meet = [](const TreePlace& at) { return !try_remove(at); },
               .leave = is_still_full,
               .goes_on = true});
}
