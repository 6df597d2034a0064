// What is hard here: the upper directory is what a container wrote, so no name in it is followed;
// and the tar must be the same for the same tree: sorted, no names of users, whole seconds,
// extension headers only where a field does not fit.

#include "image/layer/diff.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "base/directory.h"
#include "base/error.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "image/layer/attributes.h"
#include "image/layer/tar_writer.h"

namespace {

// What of it becomes the tar.
class LayerTar {
public:
    explicit LayerTar(const std::function<void(std::string_view)>& sink) : tar_(sink) {}

    void header(const TarEntry& entry) {
        tar_.entry(entry);
        ++result.entries;
    }
    void data(std::string_view bytes) {
        tar_.data(bytes);
        result.bytes += bytes.size();
    }
    void close() { tar_.finish(); }

    Diff result;

private:
    TarWriter tar_;
};

bool is_opaque(int dir) {
    char value[2];
    return ::fgetxattr(dir, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

class Walk {
public:
    Walk(LayerTar& writer, const std::set<std::string>& but, const LayerStyle& style = {},
         bool sets_times = false)
        : writer_(writer), but_(but), style_(style), sets_times_(sets_times) {}

    // Depth first, names sorted by their bytes. One descriptor however deep the tree is: the way up
    // is "..".
    void tree(UniqueFd top, const std::string& path = "") {
        enter(std::move(top), path);
        while (!levels_.empty()) {
            Level& level = levels_.back();
            if (level.next == level.names.size()) {
                leave();
                continue;
            }
            const std::string& name = level.names[level.next++];
            if (but_.contains(below(level.path, name))) continue;
            require_name(name, below(level.path, name));
            item(here_.get(), name, below(level.path, name));
        }
    }
    // The root's own entry, which other layers only have if it looks otherwise than the one below;
    // or that of another directory where a walk begins.
    void root(int top, const std::string& path = ".") {
        const struct stat info = sys::fstat(top);
        writer_.header(describe(info, path + "/", sys::proc_fd(top) + "/."));
    }

    // One file, and nothing below it.
    void entry(int dir, const std::string& name, const std::string& path, const struct stat& info) {
        const std::string via = sys::proc_fd(dir) + "/" + name;
        TarEntry entry = describe(info, S_ISDIR(info.st_mode) ? path + "/" : path, via);
        if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
            const auto [first, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, path);
            if (!is_new) {
                entry.type = TarEntry::Type::hard_link;
                entry.target = first->second, entry.size = 0;
                entry.xattrs.clear();
                return writer_.header(entry);
            }
        }
        if (S_ISLNK(info.st_mode)) {
            std::string target(size_t(info.st_size) + 1, '\0');
            const ssize_t length = ::readlinkat(dir, name.c_str(), target.data(), target.size());
            if (length < 0) throw SysError("readlink ", quoted(path));
            target.resize(size_t(length));
            entry.target = std::move(target);
        }
        writer_.header(entry);
        if (S_ISREG(info.st_mode)) content(dir, name, path, info.st_size);
    }
    void whiteout(const std::string& path) {
        const size_t slash = path.find_last_of('/');
        const size_t at = slash == std::string::npos ? 0 : slash + 1;
        marker(path.substr(0, at) + ".wh." + path.substr(at));
    }
    void opaque(const std::string& path) { marker(below(path, ".wh..wh..opq")); }

private:
    struct Level {
        std::string path;
        dev_t device;
        ino_t inode;
        std::vector<std::string> names;
        size_t next = 0;
    };

    static std::string below(const std::string& directory, const std::string& name) {
        return directory.empty() ? name : directory + "/" + name;
    }

    void enter(UniqueFd directory, const std::string& path) {
        const struct stat info = sys::fstat(directory.get());
        here_ = std::move(directory);
        levels_.push_back({path, info.st_dev, info.st_ino, names_in(here_.get(), quoted(path))});
        if (!path.empty() && is_opaque(here_.get())) opaque(path);
    }
    void leave() {
        levels_.pop_back();
        if (levels_.empty()) return;
        here_ = sys::openat(here_.get(), "..", O_RDONLY | O_DIRECTORY);
        const struct stat info = sys::fstat(here_.get());
        if (info.st_dev != levels_.back().device || info.st_ino != levels_.back().inode)
            throw Error("the directory ", quoted(levels_.back().path),
                        " was moved while it was read");
    }
    void marker(const std::string& path) { writer_.header({.name = path, .target = {}}); }

    // `via` is a path of the host's to it.
    TarEntry describe(const struct stat& info, const std::string& name,
                      const std::string& via) const {
        TarEntry entry{.type = tar_type(info.st_mode),
                       .name = name,
                       .target = {},
                       .mode = info.st_mode & 07777,
                       .modified = {style_.clamp.seconds(info), 0},
                       .xattrs = layer_xattrs(via)};
        std::tie(entry.uid, entry.gid) =
            context(quoted(name), [&] { return style_.ownership.in_layer(info, entry.xattrs); });
        if (S_ISREG(info.st_mode)) entry.size = uint64_t(info.st_size);
        if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode))
            entry.device_major = major(info.st_rdev), entry.device_minor = minor(info.st_rdev);
        return entry;
    }

    void item(int dir, const std::string& name, const std::string& path) {
        struct stat info{};
        if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
            throw SysError("stat ", quoted(path));
        if (S_ISSOCK(info.st_mode)) return;
        if (S_ISCHR(info.st_mode) && info.st_rdev == 0) return whiteout(path);
        entry(dir, name, path, info);
        if (sets_times_) set_time(dir, name, path, info);
        if (S_ISDIR(info.st_mode))
            enter(sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path);
    }

    void set_time(int dir, const std::string& name, const std::string& path,
                  const struct stat& info) const {
        const timespec in_layer{style_.clamp.seconds(info), 0};
        if (sys::same_time(info.st_mtim, in_layer)) return;
        const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, in_layer};
        if (::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0)
            throw SysError("setting the time of ", quoted(path));
    }

    void content(int dir, const std::string& name, const std::string& path, off_t size) {
        // It may be something else by now: what is written may be a container's that runs.
        const UniqueFd file = open_regular_at(dir, name, quoted(path));
        if (!buffer_) buffer_ = std::make_unique<char[]>(block);
        while (size > 0) {
            const ssize_t n =
                ::read(file.get(), buffer_.get(), size_t(std::min<off_t>(size, block)));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) throw SysError("read ", quoted(path));
            if (n == 0) throw Error(quoted(path), " became shorter while it was read");
            writer_.data({buffer_.get(), size_t(n)});
            size -= n;
        }
    }

    static constexpr off_t block = 1 << 20;
    LayerTar& writer_;
    const std::set<std::string>& but_;
    LayerStyle style_;
    bool sets_times_;
    UniqueFd here_;  // the last of levels_
    std::vector<Level> levels_;
    std::unique_ptr<char[]> buffer_;
    std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

static bool looks_as(const std::string& below, int top) {
    struct stat there{};
    if (::stat(below.c_str(), &there) < 0) throw SysError("stat ", below);
    const struct stat here = sys::fstat(top);
    return root_permissions(there.st_mode) == here.st_mode && there.st_uid == here.st_uid &&
           there.st_gid == here.st_gid &&
           layer_xattrs(below + "/.") == layer_xattrs(sys::proc_fd(top) + "/.");
}

bool is_unchanged(const std::string& upper, const std::string& below) {
    const UniqueFd top = sys::open(upper, O_RDONLY | O_DIRECTORY);
    return names_in(top.get(), quoted(upper)).empty() && looks_as(below, top.get());
}

Diff write_layer(const std::string& upper, const std::function<void(std::string_view)>& sink,
                 const LayerOptions& options) {
    LayerTar writer(sink);
    UniqueFd top = sys::open(upper, O_RDONLY | O_DIRECTORY);
    Walk walk(writer, options.but, {.clamp = options.clamp}, options.sets_times);
    if (!options.below.empty() && !looks_as(options.below, top.get())) walk.root(top.get());
    walk.tree(std::move(top));
    writer.close();
    return writer.result;
}

Diff write_layer(const Root& now, const TreeChanges& changes, const LayerStyle& style,
                 const std::function<void(std::string_view)>& sink) {
    LayerTar writer(sink);
    const std::set<std::string> nothing;
    Walk walk(writer, nothing, style);
    for (const auto& [path, change] : changes) {
        if (path.empty()) {
            walk.root(now.fd());
        } else if (change == TreeChange::gone) {
            walk.whiteout(path);
        } else {
            const Root::Place place = now.place(path);
            struct stat info{};
            if (::fstatat(place.parent.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
                throw SysError("stat ", quoted(path));
            walk.entry(place.parent.get(), place.name, path, info);
        }
    }
    writer.close();
    return writer.result;
}

Diff write_layer_of_copy(const std::string& source, const std::string& target, bool opaque,
                         const LayerStyle& style,
                         const std::function<void(std::string_view)>& sink) {
    LayerTar writer(sink);
    const std::set<std::string> nothing;
    Walk walk(writer, nothing, style);
    const struct stat info = sys::lstat(source);
    if (S_ISDIR(info.st_mode)) {
        UniqueFd top = sys::open(source, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        walk.root(top.get(), target.empty() ? "." : target);
        if (opaque) walk.opaque(target);
        walk.tree(std::move(top), target);
    } else {
        if (opaque) throw Error(quoted(source), " is not a directory: it cannot be opaque");
        if (target.empty()) throw Error(quoted(source), " is not a directory: it cannot be /");
        if (S_ISSOCK(info.st_mode) || (S_ISCHR(info.st_mode) && info.st_rdev == 0))
            throw Error(quoted(source), " is a ", S_ISSOCK(info.st_mode) ? "socket" : "device 0:0",
                        ": it cannot be in a layer");
        const size_t slash = source.rfind('/');
        const UniqueFd directory = sys::open(
            slash == std::string::npos ? "." : source.substr(0, slash + 1), O_RDONLY | O_DIRECTORY);
        walk.entry(directory.get(), source.substr(slash + 1), target, info);
    }
    writer.close();
    return writer.result;
}
