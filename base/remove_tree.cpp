// Removing a tree that a stranger made: as deep as he likes (rename(2) makes trees deeper than any
// path), with as many entries, some of which may not go. So the depth costs a name and an inode
// number a level in memory, never a descriptor or a frame; what cannot be removed does not stop the
// rest; each directory is read once. The way up is "..", which is believed only if it is the
// directory that we came from: whoever moves directories meanwhile leads us nowhere.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "base/error.h"
#include "base/sys.h"

namespace {

struct Level {
    std::string name;  // in the level above
    dev_t device = 0;
    ino_t inode = 0;
    int tries = 1;  // how often it has been entered
    std::vector<std::pair<std::string, int>> ahead =
        {};               // directories to be entered, and how often they were
    unsigned failed = 0;  // entries in it that stay
};

constexpr int most_tries = 8;  // somebody else fills a directory as fast as we empty it

class Removal {
public:
    explicit Removal(const std::string& path) : path_(path) {}
    void run();

private:
    enum class Gone { yes, not_empty, no };
    Gone try_remove(int parent, const char* name);
    bool enter(int parent, const std::string& name, int tries);
    void read_here();
    bool leave();
    void note_failure(const char* doing, int code, const std::string& name);
    std::string shown(const std::string& name) const;

    const std::string& path_;
    UniqueFd here_;  // the last of levels_
    std::vector<Level> levels_;
    unsigned failures_ = 0;
    int code_ = 0;  // of the first one
    std::string doing_;
};

std::string Removal::shown(const std::string& name) const {
    std::string whole = path_;
    for (size_t i = 1; i < levels_.size(); ++i) {
        // A path of thousands of levels helps nobody.
        if (whole.size() > 200) return whole + "/.../" + name;
        whole += "/" + levels_[i].name;
    }
    return levels_.empty() ? whole : whole + "/" + name;
}

void Removal::note_failure(const char* doing, int code, const std::string& name) {
    if (failures_++ == 0) code_ = code, doing_ = str(doing, " ", shown(name));
    if (!levels_.empty()) ++levels_.back().failed;
}

Removal::Gone Removal::try_remove(int parent, const char* name) {
    if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return Gone::yes;
    if (errno != EISDIR && errno != EPERM) {
        note_failure("remove", errno, name);
        return Gone::no;
    }
    if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return Gone::yes;
    if (errno == ENOTEMPTY || errno == EEXIST) return Gone::not_empty;
    note_failure("remove", errno == ENOTDIR ? EPERM : errno, name);
    return Gone::no;
}

bool Removal::enter(int parent, const std::string& name, int tries) {
    UniqueFd directory(
        ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat info{};
    if (!directory || ::fstat(directory.get(), &info) < 0) {
        if (errno != ENOENT) note_failure("open", errno, name);
        return false;
    }
    here_ = std::move(directory);
    levels_.push_back({.name = name, .device = info.st_dev, .inode = info.st_ino, .tries = tries});
    read_here();
    return true;
}

// What is no directory goes at once. Read by the kernel's own call: a stream would want a
// descriptor more.
void Removal::read_here() {
    alignas(dirent64) char block[32768];
    for (ssize_t size; (size = ::getdents64(here_.get(), block, sizeof block)) != 0;) {
        if (size < 0) return note_failure("read", errno, "");
        for (ssize_t at = 0; at < size;) {
            const auto* entry = reinterpret_cast<const dirent64*>(block + at);
            at += entry->d_reclen;
            const std::string_view name = entry->d_name;
            if (name == "." || name == "..") continue;
            if (try_remove(here_.get(), entry->d_name) == Gone::not_empty)
                levels_.back().ahead.emplace_back(name, 0);
        }
    }
}

// Up one level, and takes away what was just emptied. False if the level above is not where it was.
bool Removal::leave() {
    const Level left = std::move(levels_.back());
    levels_.pop_back();
    if (levels_.empty()) return true;  // the top's own parent is the caller's
    UniqueFd above(::openat(here_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat info{};
    if (!above || ::fstat(above.get(), &info) < 0 || info.st_dev != levels_.back().device ||
        info.st_ino != levels_.back().inode) {
        note_failure("remove", ESTALE, left.name);
        return false;
    }
    here_ = std::move(above);
    if (left.failed != 0) {
        ++levels_.back().failed;  // told already
        return true;
    }
    if (try_remove(here_.get(), left.name.c_str()) != Gone::not_empty) return true;
    // A directory that is emptied while it is read may have hidden entries: it is entered again.
    if (left.tries < most_tries)
        levels_.back().ahead.emplace_back(left.name, left.tries);
    else
        note_failure("remove", ENOTEMPTY, left.name);
    return true;
}

void Removal::run() {
    Gone top = try_remove(AT_FDCWD, path_.c_str());
    for (int tried = 1; top == Gone::not_empty && failures_ == 0; ++tried) {
        if (tried > most_tries) throw SysError(ENOTEMPTY, "remove " + path_);
        if (!enter(AT_FDCWD, path_, tried)) break;
        while (!levels_.empty()) {
            auto& ahead = levels_.back().ahead;
            if (ahead.empty()) {
                if (!leave()) break;
                continue;
            }
            const auto [name, tries] = std::move(ahead.back());
            ahead.pop_back();
            enter(here_.get(), name, tries + 1);
        }
        levels_.clear();
        if (failures_ == 0) top = try_remove(AT_FDCWD, path_.c_str());
    }
    if (failures_ > 1) doing_ += str(" (and ", failures_ - 1, " more)");
    if (failures_ != 0) throw SysError(code_, doing_);
}

}  // namespace

void sys::remove_tree(const std::string& path) { Removal(path).run(); }
