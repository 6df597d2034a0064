// One component at a time, each opened with O_PATH | O_NOFOLLOW below the descriptor of its parent.
// The kernel is never asked for "..": the way up is the stack of the descriptors we came by. So
// whatever is moved or linked meanwhile, every descriptor was reached downwards from `dir`. The
// text of a magic link is a path like any other, and leads nowhere.
#include "base/walk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <deque>
#include <vector>

#include "base/error.h"

namespace {

constexpr int most_links = 40;  // as the kernel's

std::expected<UniqueFd, int> open_below(int parent, const std::string& name, uint64_t flags,
                                        uint64_t mode = 0) {
    UniqueFd fd(::openat(parent, name.c_str(), int(flags) | O_CLOEXEC, mode_t(mode)));
    if (!fd) return std::unexpected(errno);
    return fd;
}

uint64_t mount_of(int fd) {
    struct statx info{};
    return ::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) == 0 ? info.stx_mnt_id : 0;
}

class Walk {
public:
    Walk(int dir, const open_how& how) : dir_(dir), how_(how) {}
    std::expected<UniqueFd, int> run(const std::string& path);

private:
    bool resolves(uint64_t flag) const { return (how_.resolve & flag) != 0; }
    int here() const { return levels_.empty() ? dir_ : levels_.back().get(); }
    int queue(const std::string& path);  // before what is still to be walked; 0 or an error
    int step_up();
    int follow(int link);

    int dir_;
    const open_how& how_;
    std::vector<UniqueFd> levels_;  // below dir_
    std::deque<std::string> ahead_;
    int links_ = 0;
};

int Walk::queue(const std::string& path) {
    if (path.empty()) return ENOENT;
    if (path[0] == '/') {
        if (resolves(RESOLVE_BENEATH)) return EXDEV;
        levels_.clear();
    }
    std::vector<std::string> parts = split(path, '/');
    // "a/" is a directory: as "a/.".
    if (parts.back().empty()) parts.back() = ".";
    std::erase(parts, "");
    ahead_.insert(ahead_.begin(), parts.begin(), parts.end());
    return 0;
}

int Walk::step_up() {
    if (!levels_.empty())
        levels_.pop_back();
    else if (resolves(RESOLVE_BENEATH))
        return EXDEV;
    return 0;
}

int Walk::follow(int link) {
    if (resolves(RESOLVE_NO_SYMLINKS) || ++links_ > most_links) return ELOOP;
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(link, "", target, sizeof target);
    if (length < 0) return errno;
    if (length >= PATH_MAX) return ENAMETOOLONG;
    return queue(std::string(target, size_t(length)));
}

std::expected<UniqueFd, int> Walk::run(const std::string& path) {
    if (const int why = queue(path)) return std::unexpected(why);
    while (!ahead_.empty()) {
        const std::string name = ahead_.front();
        ahead_.pop_front();
        if (name == ".") continue;
        if (name == "..") {
            if (const int why = step_up()) return std::unexpected(why);
            continue;
        }
        const bool last = ahead_.empty();
        auto next = open_below(here(), name, O_PATH | O_NOFOLLOW);
        if (!next && next.error() == ENOENT && last && (how_.flags & O_CREAT) != 0)
            return open_below(here(), name, how_.flags | O_NOFOLLOW, how_.mode);
        if (!next) return next;
        struct stat info{};
        if (::fstat(next->get(), &info) < 0) return std::unexpected(errno);
        if (resolves(RESOLVE_NO_XDEV) && mount_of(next->get()) != mount_of(dir_))
            return std::unexpected(EXDEV);
        if (S_ISLNK(info.st_mode) && !(last && (how_.flags & (O_NOFOLLOW | O_EXCL)) != 0)) {
            if (const int why = follow(next->get())) return std::unexpected(why);
        } else if (S_ISDIR(info.st_mode)) {
            levels_.push_back(std::move(*next));
        } else {
            if (!last) return std::unexpected(ENOTDIR);
            return open_below(here(), name, how_.flags | O_NOFOLLOW, how_.mode);
        }
    }
    return open_below(here(), ".", how_.flags & ~uint64_t(O_NOFOLLOW), how_.mode);
}

}  // namespace

std::expected<UniqueFd, int> walk(int dir, const std::string& path, const open_how& how) {
    return Walk(dir, how).run(path);
}
