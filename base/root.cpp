// What is hard is `mkdir -p` in a hostile tree. The kernel resolves a path inside the root, but
// makes nothing that is missing on the way, so we walk level by level, and each may be a link, a
// link to something that is still to be made, or "..". A real directory is entered from the one
// above it, through no link, so that a path costs its length. Everything else is resolved anew from
// the root; a dangling link has its target made, inside the tree, and a chain of them ends with
// ELOOP as the kernel's do. A level that somebody else makes meanwhile is taken.
#include "base/root.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/sys.h"

namespace {

open_how how(int flags, unsigned mode = 0) {
    open_how wanted{};
    wanted.flags = unsigned(flags);
    // The kernel refuses a mode where nothing can be created.
    wanted.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
    wanted.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return wanted;
}

// Splits "a/b/c/" into "a/b" and "c".
std::pair<std::string, std::string> split_last(std::string inside) {
    while (!inside.empty() && inside.back() == '/') inside.pop_back();
    const size_t slash = inside.find_last_of('/');
    std::string name = slash == std::string::npos ? inside : inside.substr(slash + 1);
    if (name.empty() || name == "." || name == "..")
        throw Error(quoted(inside), " does not name a file");
    return {slash == std::string::npos ? "." : inside.substr(0, slash + 1), name};
}

}  // namespace

Root::Root(const std::string& host_path) : dir_(sys::open(host_path, O_PATH | O_DIRECTORY)) {}

UniqueFd Root::open(const std::string& inside, int flags, mode_t mode) const {
    auto fd = sys::try_openat2(dir_.get(), inside.empty() ? "." : inside, how(flags, mode));
    if (!fd) throw SysError(fd.error(), str("open ", quoted(inside), " in the container"));
    return std::move(*fd);
}

std::optional<UniqueFd> Root::open_if_exists(const std::string& inside, int flags) const {
    auto fd = sys::try_openat2(dir_.get(), inside.empty() ? "." : inside, how(flags));
    if (fd) return std::move(*fd);
    if (fd.error() == ENOENT || fd.error() == ENOTDIR) return {};
    throw SysError(fd.error(), str("open ", quoted(inside), " in the container"));
}

UniqueFd Root::make_directories(const std::string& inside, unsigned mode) const {
    const std::string whole = inside.empty() ? "." : inside;
    auto there = sys::try_openat2(dir_.get(), whole, how(O_PATH | O_DIRECTORY));
    if (there) return std::move(*there);
    if (there.error() != ENOENT)
        throw SysError(there.error(), str("mkdir ", quoted(inside), " in the container"));

    // Level by level, and mkdirat acts on a descriptor of its real parent. A real directory is
    // stepped into from there, so that a deep path costs its length; ".." and links are resolved
    // anew from the root, where they keep their meaning inside the tree (of links the kernel
    // follows no more than forty).
    const open_how one_step{.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW,
                            .mode = 0,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    std::string prefix;
    UniqueFd current = open(".", O_PATH | O_DIRECTORY);
    for (const std::string& part : split(whole, '/')) {
        if (part.empty() || part == ".") continue;
        prefix += "/" + part;
        if (part != "..") {
            auto step = sys::try_openat2(current.get(), part, one_step);
            if (!step && step.error() == ENOENT &&
                ::mkdirat(current.get(), part.c_str(), mode) == 0)
                step = sys::try_openat2(current.get(), part, one_step);
            if (step) {
                current = std::move(*step);
                continue;
            }
        }
        auto next = sys::try_openat2(dir_.get(), prefix, how(O_PATH | O_DIRECTORY));
        if (!next && next.error() == ENOENT && part != "..") {
            if (::mkdirat(current.get(), part.c_str(), mode) < 0 && errno != EEXIST)
                throw SysError("mkdir ", quoted(prefix), " in the container");
            next = sys::try_openat2(dir_.get(), prefix, how(O_PATH | O_DIRECTORY));
        }
        // EEXIST and still not there: a dangling link, which is followed inside the tree.
        if (!next && next.error() == ENOENT) {
            char target[4096];
            const ssize_t length = ::readlinkat(current.get(), part.c_str(), target, sizeof target);
            if (length > 0 && size_t(length) < sizeof target && prefix.size() < 4096) {
                const std::string link(target, size_t(length));
                const std::string above = prefix.substr(0, prefix.size() - part.size());
                const std::string resolved = link[0] == '/' ? link : above + link;
                // One level of depth per link: a chain of dangling links ends at ELOOP.
                static thread_local int depth = 0;
                struct Depth {
                    Depth() { ++depth; }
                    ~Depth() { --depth; }
                } count;
                if (depth > 40)
                    throw SysError(ELOOP, str("mkdir ", quoted(inside), " in the container"));
                make_directories(resolved, mode);
                next = sys::try_openat2(dir_.get(), prefix, how(O_PATH | O_DIRECTORY));
            }
        }
        if (!next) throw SysError(next.error(), str("mkdir ", quoted(prefix), " in the container"));
        current = std::move(*next);
    }
    return current;
}

Root::Place Root::make_place(const std::string& inside, unsigned directory_mode) const {
    auto [directory, name] = split_last(inside);
    return {make_directories(directory, directory_mode), name};
}

Root::Place Root::place(const std::string& inside) const {
    auto [directory, name] = split_last(inside);
    return {open(directory, O_PATH | O_DIRECTORY), name};
}
