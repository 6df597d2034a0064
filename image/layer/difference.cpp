// What is hard are hard links: they are no file's own looks, but a relation among names, and a
// layer that names one of them must name all, or it makes another file of it. So names that are one
// file here and were not there, or the other way round, are changed, all of them, even if nothing
// else of them is.
//
// The tree belongs to a container that was root in it. Directories to come are kept in a list, each
// is opened from the top without links; a level costs neither a descriptor nor a frame.
#include "image/layer/difference.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "base/directory.h"
#include "base/error.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "image/layer/rules.h"

namespace {

using FileId = std::pair<dev_t, ino_t>;

FileId id_of(const struct stat& info) { return {info.st_dev, info.st_ino}; }

std::string path_below(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
}

// A directory in one of the two trees; nothing: that tree has none there.
struct Side {
    std::optional<UniqueFd> directory = {};
    std::vector<std::string> names = {};

    Side() = default;
    Side(const Root& root, const std::string& path) {
        directory = root.open_if_exists(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (directory) names = names_in(directory->get(), quoted("/" + path));
    }
    // Of what a layer can have.
    std::optional<struct stat> look(const std::string& name) const {
        struct stat info{};
        if (!directory || ::fstatat(directory->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
            return {};
        const bool is_mark = S_ISCHR(info.st_mode) && info.st_rdev == 0;
        return S_ISSOCK(info.st_mode) || is_mark ? std::nullopt : std::optional(info);
    }
    std::string through_proc(const std::string& name) const {
        return sys::proc_fd(directory->get()) + "/" + name;
    }
};

std::string link_target(const Side& side, const std::string& name, const std::string& path) {
    char text[4096];
    const ssize_t n = ::readlinkat(side.directory->get(), name.c_str(), text, sizeof text);
    return {text, size_t(check(n, "readlink ", quoted(path)))};
}

class Comparison {
public:
    Comparison(const Root& now, const Root& before, const Clamp& clamp)
        : now_(now), before_(before), clamp_(clamp) {}

    TreeChanges run() {
        root();
        while (!ahead_.empty()) {
            const Ahead next = std::move(ahead_.back());
            ahead_.pop_back();
            directory(next);
        }
        links();
        return std::move(changes_);
    }

private:
    struct Ahead {
        std::string path;
        bool was_directory;
    };
    struct Linked {
        std::string path;
        FileId now;
        std::optional<FileId> before;
    };

    // Its time is nobody's word: whoever made the tree has made it.
    void root() {
        const struct stat now = sys::fstat(now_.fd()), before = sys::fstat(before_.fd());
        if (now.st_mode != before.st_mode || now.st_uid != before.st_uid ||
            now.st_gid != before.st_gid ||
            layer_xattrs(sys::proc_fd(now_.fd()) + "/.") !=
                layer_xattrs(sys::proc_fd(before_.fd()) + "/."))
            changes_[""] = TreeChange::present;
        ahead_.push_back({"", true});
    }

    void directory(const Ahead& here) {
        const Side now(now_, here.path);
        if (!now.directory) throw Error(quoted("/" + here.path), " was moved while it was read");
        const Side before = here.was_directory ? Side(before_, here.path) : Side();
        for (const std::string& name : before.names)
            if (before.look(name) && !now.look(name))
                changes_[path_below(here.path, name)] = TreeChange::gone;
        for (const std::string& name : now.names)
            if (const auto info = now.look(name))
                file(now, before, name, path_below(here.path, name), *info);
    }

    void file(const Side& now, const Side& before, const std::string& name, const std::string& path,
              const struct stat& info) {
        require_name(name, "/" + path);
        const auto was = before.look(name);
        if (!was || !looks_same(now, before, name, path, info, *was))
            changes_[path] = TreeChange::present;
        if (S_ISDIR(info.st_mode))
            ahead_.push_back({path, was && S_ISDIR(was->st_mode)});
        else if (info.st_nlink > 1 || (was && was->st_nlink > 1))
            linked_.push_back({path, id_of(info), was ? std::optional(id_of(*was)) : std::nullopt});
    }

    bool looks_same(const Side& now, const Side& before, const std::string& name,
                    const std::string& path, const struct stat& is, const struct stat& was) {
        if (is.st_mode != was.st_mode || is.st_uid != was.st_uid || is.st_gid != was.st_gid ||
            clamp_.seconds(is) != clamp_.seconds(was))
            return false;
        if ((S_ISCHR(is.st_mode) || S_ISBLK(is.st_mode)) && is.st_rdev != was.st_rdev) return false;
        if (S_ISLNK(is.st_mode) && link_target(now, name, path) != link_target(before, name, path))
            return false;
        if (S_ISREG(is.st_mode) && is.st_size != was.st_size) return false;
        return layer_xattrs(now.through_proc(name)) == layer_xattrs(before.through_proc(name)) &&
               (!S_ISREG(is.st_mode) || has_same_content(now, before, name, path));
    }

    bool has_same_content(const Side& now, const Side& before, const std::string& name,
                          const std::string& path) {
        const std::string shown = quoted("/" + path);
        const UniqueFd one = open_regular_at(now.directory->get(), name, shown),
                       other = open_regular_at(before.directory->get(), name, shown);
        for (;;) {
            const size_t n = fill(one.get(), left_.get(), shown),
                         m = fill(other.get(), right_.get(), shown);
            if (n != m || !std::equal(left_.get(), left_.get() + n, right_.get())) return false;
            if (n < block) return true;
        }
    }

    static size_t fill(int file, char* buffer, const std::string& shown) {
        size_t got = 0;
        while (got < block) {
            const ssize_t n = ::read(file, buffer + got, block - got);
            if (n < 0 && errno == EINTR) continue;
            if (check(n, "read ", shown) == 0) break;
            got += size_t(n);
        }
        return got;
    }

    void links() {
        std::map<FileId, std::set<std::optional<FileId>>> was;
        std::map<FileId, std::set<FileId>> became;
        for (const Linked& each : linked_) {
            was[each.now].insert(each.before);
            if (each.before) became[*each.before].insert(each.now);
        }
        for (const Linked& each : linked_)
            if (was[each.now].size() > 1 || (each.before && became[*each.before].size() > 1))
                parted_.insert(each.now);
        // A file has one content and one look under all its names.
        for (const Linked& each : linked_)
            if (changes_.contains(each.path)) parted_.insert(each.now);
        for (const Linked& each : linked_)
            if (parted_.contains(each.now)) changes_[each.path] = TreeChange::present;
    }

    static constexpr size_t block = size_t(1) << 18;
    const Root &now_, &before_;
    Clamp clamp_;
    TreeChanges changes_;
    std::vector<Ahead> ahead_;
    std::vector<Linked> linked_;  // names of files that have, or had, more than one
    std::set<FileId> parted_;     // of these, those that are to be in the layer
    std::unique_ptr<char[]> left_ = std::make_unique<char[]>(block),
                            right_ = std::make_unique<char[]>(block);
};

}  // namespace

bool TreeOrder::operator()(std::string_view a, std::string_view b) const {
    const auto [left, right] = std::ranges::mismatch(a, b);
    if (left == a.end() || right == b.end()) return left == a.end() && right != b.end();
    const auto rank = [](char c) { return c == '/' ? 0 : int(static_cast<unsigned char>(c)) + 1; };
    return rank(*left) < rank(*right);
}

TreeChanges compare_trees(const Root& now, const Root& before, const Clamp& clamp) {
    return Comparison(now, before, clamp).run();
}

void require_name(std::string_view name, const std::string& path) {
    if (name.starts_with(".wh."))
        throw Error(quoted(path), ": a name that begins with .wh. cannot be in a layer");
}

std::map<std::string, std::string> layer_xattrs(const std::string& host_path) {
    std::map<std::string, std::string> xattrs;
    char names[65536];
    const ssize_t length = ::llistxattr(host_path.c_str(), names, sizeof names);
    for (const char* name = names; length > 0 && name < names + length;
         name += std::string_view(name).size() + 1) {
        if (is_foreign_xattr(name) || !is_of_layers(name)) continue;
        char value[65536];
        const ssize_t size = ::lgetxattr(host_path.c_str(), name, value, sizeof value);
        if (size >= 0) xattrs[name] = std::string(value, size_t(size));
    }
    return xattrs;
}
