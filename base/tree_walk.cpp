// The way up is the hard one. It is "..", which is believed only if it is the directory that we
// came from; else somebody has moved or removed one that we are in. Then the walk goes down again
// from the top, by the names that it has kept, as far as they lead to the directories that it was
// in; the first that is not there any more is left in place of all that we were in below it.
//
// A directory is read to its end before another is entered, so what is removed below does not
// change what is read. Read by the kernel's own call: a stream would want a descriptor more.
#include "base/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <exception>
#include <utility>

#include "base/error.h"
#include "base/sys.h"

namespace {

struct Level {
    dev_t device = 0;
    ino_t inode = 0;
    int times = 0;                                        // it was entered
    bool failed = false;                                  // something in it
    std::vector<std::pair<std::string, int>> ahead = {};  // to be entered, and how often they were
};

class TreeWalk {
public:
    TreeWalk(int parent, const TreeVisitor& visitor) : parent_(parent), visitor_(visitor) {}
    void run(const std::string& top);

private:
    int here() const { return here_ ? here_.get() : parent_; }
    TreePlace place(const std::string& name, const UniqueFd& self = {}, int times = 0) const {
        return {here(), name.c_str(), DT_DIR, &names_, self.get(), times};
    }
    template <class Step>
    void step(Step&& step);
    void enter(const std::string& name, int times);
    template <class Each>
    void each_name_here(Each&& each) const;
    void read_here();
    void meet(const char* name, unsigned char type);
    void leave();
    bool climb(const UniqueFd& below);
    size_t go_down_again();

    int parent_;  // where the top is
    const TreeVisitor& visitor_;
    UniqueFd here_;                   // the last of names_
    std::vector<std::string> names_;  // from the top to where we are
    std::vector<Level> levels_;       // that of the top's parent, then theirs
    std::exception_ptr first_;        // of the errors
    unsigned errors_ = 0;
};

// Removed by somebody, or exchanged for something else; a cgroup that is gone says ENODEV.
bool is_gone(int code) { return code == ENOENT || code == ENODEV || code == ENOTDIR; }

UniqueFd open_directory(int parent, const char* name) {
    return UniqueFd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

bool is_at(const UniqueFd& directory, const Level& level) {
    struct stat info{};
    return directory && ::fstat(directory.get(), &info) == 0 && info.st_dev == level.device &&
           info.st_ino == level.inode;
}

void TreeWalk::run(const std::string& top) {
    levels_.push_back({.ahead = {{top, 0}}});
    for (;;) {
        auto& ahead = levels_.back().ahead;
        if (!ahead.empty()) {
            const auto [name, times] = std::move(ahead.back());
            ahead.pop_back();
            step([&] { enter(name, times + 1); });
        } else if (!names_.empty()) {
            step([&] { leave(); });
        } else {
            break;
        }
    }
    try {
        if (first_) std::rethrow_exception(first_);
    } catch (Error& e) {
        if (errors_ > 1) e.suffix(str(" (and ", errors_ - 1, " more)"));
        throw;
    }
}

template <class Step>
void TreeWalk::step(Step&& step) try {
    step();
} catch (const Error&) {
    if (!visitor_.goes_on) throw;
    if (errors_++ == 0) first_ = std::current_exception();
    levels_.back().failed = true;
}

void TreeWalk::enter(const std::string& name, int times) {
    UniqueFd directory = open_directory(here(), name.c_str());
    if (!directory && is_gone(errno)) return;
    if (!directory) throw SysError{errno, "open " + place(name).shown()};
    const struct stat info = sys::fstat(directory.get());
    if (visitor_.enter) visitor_.enter(place(name, directory, times));
    here_ = std::move(directory);
    names_.push_back(name);
    levels_.push_back({.device = info.st_dev, .inode = info.st_ino, .times = times});
    read_here();
}

template <class Each>
void TreeWalk::each_name_here(Each&& each) const {
    alignas(dirent64) char block[32768];
    for (ssize_t size; (size = ::getdents64(here(), block, sizeof block)) != 0;) {
        if (size < 0 && is_gone(errno)) return;
        if (size < 0) throw SysError{errno, "read " + place(".").shown()};
        for (ssize_t at = 0; at < size;) {
            const auto* entry = reinterpret_cast<const dirent64*>(block + at);
            at += entry->d_reclen;
            if (const std::string_view name = entry->d_name; name != "." && name != "..")
                each(entry->d_name, entry->d_type);
        }
    }
}

void TreeWalk::read_here() {
    std::vector<std::pair<std::string, unsigned char>> found;
    each_name_here([&](const char* name, unsigned char type) {
        if (visitor_.reads_first)
            found.emplace_back(name, type);
        else
            meet(name, type);
    });
    for (const auto& [name, type] : found) meet(name.c_str(), type);
}

void TreeWalk::meet(const char* name, unsigned char type) {
    step([&] {
        if (visitor_.meet({here(), name, type, &names_}))
            levels_.back().ahead.emplace_back(name, 0);
    });
}

void TreeWalk::leave() {
    UniqueFd self = std::move(here_);
    size_t depth = names_.size() - 1;  // of what is left
    if (!climb(self)) {
        if (!visitor_.goes_on)
            throw Error("the directory ", quoted(place(".").shown()), " was moved meanwhile");
        if (const size_t leads = go_down_again(); leads < depth) depth = leads, self.reset();
    }
    const std::string name = std::move(names_[depth]);
    const Level left = std::move(levels_[depth + 1]);
    names_.resize(depth), levels_.resize(depth + 1);
    if (left.failed)
        levels_.back().failed = true;
    else if (visitor_.leave && visitor_.leave(place(name, self, left.times)))
        levels_.back().ahead.emplace_back(name, left.times);
}

// To the directory above, if that is where it was.
bool TreeWalk::climb(const UniqueFd& below) {
    if (names_.size() == 1) return true;  // to the top's parent
    UniqueFd above = open_directory(below.get(), "..");
    if (!is_at(above, levels_.end()[-2])) return false;
    here_ = std::move(above);
    return true;
}

// From the top's parent, towards the directory above; says how far it came.
size_t TreeWalk::go_down_again() {
    for (size_t depth = 0; depth + 1 < names_.size(); ++depth) {
        UniqueFd next = open_directory(here(), names_[depth].c_str());
        if (!is_at(next, levels_[depth + 1])) return depth;
        here_ = std::move(next);
    }
    return names_.size() - 1;
}

// What is below the top; a path of thousands of levels helps nobody.
std::string path_below_top(const TreePlace& place, size_t most) {
    std::string path;
    if (place.is_top()) return path;
    for (size_t i = 1; i < place.above->size() && path.size() <= most; ++i)
        path += "/" + (*place.above)[i];
    return path + (path.size() > most ? "/.../" : "/") + place.name;
}

}  // namespace

std::string TreePlace::path() const { return path_below_top(*this, std::string::npos); }

std::string TreePlace::shown() const {
    return (is_top() ? name : above->front()) + path_below_top(*this, 200);
}

void walk_tree(int parent, const std::string& top, const TreeVisitor& visitor) {
    TreeWalk(parent, visitor).run(top);
}

uint64_t disk_usage(const std::string& path) {
    uint64_t bytes = 0;
    // Says whether it is a directory.
    const auto add = [&](int parent, const char* name) {
        struct stat info{};
        if (::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0) return false;
        bytes += uint64_t(info.st_blocks) * 512;
        return S_ISDIR(info.st_mode);
    };
    const auto meet = [&](const TreePlace& place) { return add(place.parent, place.name); };
    if (add(AT_FDCWD, path.c_str())) walk_tree(AT_FDCWD, path, {.meet = meet});
    return bytes;
}
