// What is hard here: the entries are hostile, and so is the tree that earlier ones made. Every
// parent is resolved inside the root by the kernel, every entry is made relative to its parent's
// descriptor and never through a link, and its metadata is set on what was just made. A whiteout
// hides what is below this layer, never what this layer brought, in whatever order the two come: so
// everything that the layer touched is remembered, implied parents included, by where it is: its
// name may have led through links.
//
// Nor may a layer cost more than its size. Its words may repeat ("d/.wh..wh..opq" a thousand times
// over a directory of thousands), so a directory that has been cleared is known by its inode and
// never walked again; a path's components are kept once; depth costs no descriptors.

#include "image/layer/apply.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <climits>
#include <expected>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/root.h"
#include "base/sys.h"
#include "base/tree_walk.h"
#include "image/layer/inflate.h"
#include "image/layer/path_set.h"
#include "image/layer/rules.h"
#include "image/layer/tar_stream.h"

namespace {

std::string below(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
}

using Identity = std::pair<dev_t, ino_t>;
Identity identity_of(int fd) {
    const struct stat info = sys::fstat(fd);
    return {info.st_dev, info.st_ino};
}

// An entry of a directory that was there describes all of it: attributes that it does not have are
// gone.
void drop_other_xattrs(const TarEntry& entry, int directory, const std::string& path) {
    char names[65536];
    const ssize_t length = ::flistxattr(directory, names, sizeof names);
    for (const char* name = names; length > 0 && name < names + length;
         name += std::string_view(name).size() + 1) {
        if (is_foreign_xattr(name) || !is_of_layers(name)) continue;
        if (!entry.xattrs.contains(name) && ::fremovexattr(directory, name) < 0 && errno != ENODATA)
            throw SysError("remove ", name, " of ", quoted(path));
    }
}

class Layer {
public:
    Layer(const std::string& directory, const ApplyOptions& options)
        : root_(directory), options_(options) {}

    void apply(const TarEntry& entry, LayerEntries& content, uint64_t& bytes);
    void finish();  // what must come last: the times of directories

private:
    int parent(const std::string& path);
    UniqueFd make_parent(const std::string& path);
    UniqueFd make_linked(const std::string& level, const std::string& path) const;
    std::expected<UniqueFd, int> look(const std::string& path) const;
    static std::string making(const std::string& path);
    void keep_time(int directory);
    void set_time(int directory) const;
    std::string place_of(int directory, const std::string& path) const;
    void remove(int parent, const std::string& name, const std::string& path);
    void remove_untouched(int parent, const std::string& name, const std::string& path);
    bool begin_to_clear(int parent, const char* name);
    void clear_untouched(int parent, const std::string& name, const std::string& path);
    void make_opaque(const std::string& directory);
    void hide(const std::string& directory, const std::string& name);
    void make(const TarEntry& entry, LayerEntries& content, int dir, const std::string& name,
              const std::string& path, uint64_t& bytes);
    void make_directory(const TarEntry& entry, int dir, const std::string& name,
                        const std::string& path);
    void link_to(int dir, const std::string& name, const std::string& target);
    void make_node(const TarEntry& entry, int dir, const std::string& name,
                   const std::string& path) const;
    void set_xattr(int dir, const std::string& name, const std::string& path, int fd,
                   const std::pair<std::string, std::string>& attribute);
    void set_metadata(const TarEntry& entry, int dir, const std::string& name,
                      const std::string& path, int fd);

    Root root_;
    const ApplyOptions& options_;
    PathSet touched_;  // what this layer brought, and the directories above it
    std::set<Identity>
        cleared_;  // directories in which nothing is left of what is below this layer, at any depth
    std::map<Identity, timespec> times_;  // of directories: as entries say, or as they were
    PathSet timed_;                       // where these are
    std::string parent_path_;   // the last parent, open: entries come directory by directory
    std::string parent_place_;  // its place_of()
    UniqueFd parent_fd_;
    bool parent_stale_ =
        false;             // a directory or a link was removed: perhaps on the way to that one
    bool warned_ = false;  // that the file system takes no xattrs
};

int Layer::parent(const std::string& path) {
    if (parent_fd_ && !parent_stale_ && parent_path_ == path) return parent_fd_.get();
    parent_stale_ = false;
    try {
        parent_fd_ = make_parent(path);
    } catch (const SysError& e) {
        if (e.code() != ENOTDIR) throw;
        // Something that is not a directory where this layer needs one: the layer wins.
        std::string level;
        for (const std::string& part : split(path, '/')) {
            const std::string above = std::exchange(level, below(level, part));
            const auto there = root_.open_if_exists(level, O_PATH);
            if (!there || S_ISDIR(sys::fstat(there->get()).st_mode)) continue;
            const UniqueFd holder = root_.open(above, O_PATH | O_DIRECTORY);
            keep_time(holder.get());
            remove(holder.get(), part, level);
            break;
        }
        parent_fd_ = make_parent(path);
    }
    parent_path_ = path;
    parent_place_ = place_of(parent_fd_.get(), path);
    timed_.insert(parent_place_);
    return parent_fd_.get();
}

// A directory that this layer needs and does not describe is of 1970; one of below looks as before.
// Level by level from the last real one, so that a deep path costs its length.
UniqueFd Layer::make_parent(const std::string& path) {
    auto there = look(path);
    if (there) {
        keep_time(there->get());
        return std::move(*there);
    }
    if (there.error() != ENOENT) throw SysError(there.error(), making(path));
    const open_how one_step{.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW};
    UniqueFd here = sys::openat(root_.fd(), ".", O_PATH | O_DIRECTORY);
    std::string level;
    for (const std::string& part : split(path, '/')) {
        if (!level.empty()) level += '/';
        level += part;
        if (auto next = sys::try_openat2(here.get(), part, one_step)) {
            here = std::move(*next);
            continue;
        }
        keep_time(here.get());
        bool is_new = ::mkdirat(here.get(), part.c_str(), 0755) == 0;
        if (is_new) {
            here = sys::openat(here.get(), part, one_step.flags);
        } else {  // a link, perhaps to what is still to be made
            is_new = !look(level);
            here = make_linked(level, path);
        }
        if (is_new) times_.insert_or_assign(identity_of(here.get()), timespec{});
    }
    return here;
}

UniqueFd Layer::make_linked(const std::string& level, const std::string& path) const try {
    return root_.make_directories(level, 0755);
} catch (const SysError& e) {  // the words are for the whole path
    throw SysError(e.code(), making(path));
}

std::expected<UniqueFd, int> Layer::look(const std::string& path) const {
    return sys::try_openat2(
        root_.fd(), path.empty() ? "." : path,
        {.flags = O_PATH | O_DIRECTORY, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS});
}

std::string Layer::making(const std::string& path) {
    return str("mkdir ", quoted(path), " in the container");
}

void Layer::keep_time(int directory) {
    const struct stat info = sys::fstat(directory);
    times_.try_emplace({info.st_dev, info.st_ino}, info.st_mtim);
}

// The directory's path without the links that `path` may have led through: a whiteout may name the
// same directory by another path.
std::string Layer::place_of(int directory, const std::string& path) const {
    std::array<char, PATH_MAX> top, place;
    const ssize_t top_size = ::readlink(sys::proc_fd(root_.fd()).c_str(), top.data(), top.size()),
                  size = ::readlink(sys::proc_fd(directory).c_str(), place.data(), place.size());
    if (top_size < 0 || size < top_size) return path;  // too long for the kernel to say
    std::string_view inside(place.data(), size_t(size));
    inside.remove_prefix(size_t(top_size));
    if (inside.starts_with('/')) inside.remove_prefix(1);
    return std::string(inside);
}

void Layer::remove(int dir, const std::string& name, const std::string& path) {
    struct stat info{};
    if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT) return;
        throw SysError("stat ", quoted(path));
    }
    // The caller may still stand on it, or have come through it.
    if (S_ISDIR(info.st_mode) || S_ISLNK(info.st_mode)) parent_stale_ = true;
    if (!S_ISDIR(info.st_mode)) {
        if (::unlinkat(dir, name.c_str(), 0) < 0) throw SysError("remove ", quoted(path));
        return;
    }
    try {
        sys::remove_tree(sys::proc_fd(dir) + "/" + name);
    } catch (const SysError& e) {  // it would show our descriptor
        throw SysError(e.code(), "remove " + quoted(path));
    }
}

// Removes a file or tree but for what this layer brought.
void Layer::remove_untouched(int dir, const std::string& name, const std::string& path) {
    touched_.contains(path) ? clear_untouched(dir, name, path) : remove(dir, name, path);
}

// Whether it is a directory that was not cleared yet: it is from here on.
bool Layer::begin_to_clear(int parent, const char* name) {
    struct stat info{};
    return ::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode) &&
           cleared_.insert({info.st_dev, info.st_ino}).second;
}

// What is in the directory and not from this layer goes. Only directories that the layer touched
// are entered: all that is in another one goes with it.
void Layer::clear_untouched(int parent, const std::string& name, const std::string& top) {
    if (!begin_to_clear(parent, name.c_str())) return;
    const auto path_of = [&](const TreePlace& place) {
        const std::string in_top = place.path();
        return top.empty() && !in_top.empty() ? in_top.substr(1) : top + in_top;
    };
    const auto meet = [&](const TreePlace& place) {
        const std::string path = path_of(place);
        if (touched_.contains(path)) return begin_to_clear(place.parent, place.name);
        remove(place.parent, place.name, path);
        return false;
    };
    const auto enter = [&](const TreePlace& place) {
        keep_time(place.self);
        timed_.insert(path_of(place));
    };
    walk_tree(parent, name, {.meet = meet, .enter = enter, .reads_first = true});
}

// Everything in the directory that is not from this layer goes. What is there may be a link to
// another directory, whose files are none of this one's.
void Layer::make_opaque(const std::string& directory) {
    auto there = root_.open_if_exists(directory, O_PATH | O_NOFOLLOW);
    if (!there || !S_ISDIR(sys::fstat(there->get()).st_mode)) return;
    const std::string place = place_of(there->get(), directory);
    clear_untouched(there->get(), ".", place);
    touched_.insert(place);
}

void Layer::hide(const std::string& directory, const std::string& name) {
    auto there = root_.open_if_exists(directory, O_PATH | O_DIRECTORY);
    if (!there) return;
    const std::string place = place_of(there->get(), directory);
    keep_time(there->get());
    timed_.insert(place);
    remove_untouched(there->get(), name, below(place, name));
}

void Layer::make_directory(const TarEntry& entry, int dir, const std::string& name,
                           const std::string& path) {
    bool is_new = ::mkdirat(dir, name.c_str(), 0700) == 0;
    if (!is_new) {
        struct stat info{};
        if (errno != EEXIST || ::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
            throw SysError("mkdir ", quoted(path));
        if (!S_ISDIR(info.st_mode)) {
            remove(dir, name, path);
            check(::mkdirat(dir, name.c_str(), 0700), "mkdir ", quoted(path));
            is_new = true;
        }
    }
    const UniqueFd self = sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (is_new)
        cleared_.insert(identity_of(self.get()));  // all that will be in it is of this layer
    else
        drop_other_xattrs(entry, self.get(), path);
    timed_.insert(below(parent_place_, name));
    set_metadata(entry, dir, name, path, self.get());
}

void Layer::link_to(int dir, const std::string& name, const std::string& target) {
    const Root::Place place = root_.place(clean_path(target));
    struct stat info{};
    if (::fstatat(place.parent.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
        throw SysError("hard link to ", quoted(target));
    if (S_ISDIR(info.st_mode)) throw Error("hard link to the directory ", quoted(target));
    // The link itself if the target is one: never through it.
    if (::linkat(place.parent.get(), place.name.c_str(), dir, name.c_str(), 0) < 0)
        throw SysError("hard link to ", quoted(target));
}

// Holes stay holes: a few bytes of a layer may describe a file of any size.
static void write_content(const TarEntry& entry, LayerEntries& content, int fd,
                          const std::string& path, uint64_t& bytes) {
    uint64_t end = 0;
    while (const auto piece = content.read()) {
        if (piece->offset != end && ::lseek(fd, off_t(piece->offset), SEEK_SET) < 0)
            throw SysError("write ", quoted(path));
        sys::write_all(fd, piece->data);
        bytes += piece->data.size();
        end = piece->offset + piece->data.size();
    }
    if (end < entry.size && ::ftruncate(fd, off_t(entry.size)) < 0)
        throw SysError("write ", quoted(path));
}

void Layer::make_node(const TarEntry& entry, int dir, const std::string& name,
                      const std::string& path) const {
    using enum TarEntry::Type;
    check_device(entry);
    if (options_.ownership.rootless && entry.type != fifo) {
        const UniqueFd stand_in = sys::openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
        return;
    }
    const dev_t device = makedev(unsigned(entry.device_major), unsigned(entry.device_minor));
    const mode_t type = entry.type == fifo               ? S_IFIFO
                        : entry.type == character_device ? S_IFCHR
                                                         : S_IFBLK;
    if (::mknodat(dir, name.c_str(), type | 0600, device) < 0)
        throw SysError("create ", quoted(path));
}

void Layer::make(const TarEntry& entry, LayerEntries& content, int dir, const std::string& name,
                 const std::string& path, uint64_t& bytes) {
    using enum TarEntry::Type;
    if (entry.type == hard_link) {
        struct stat before{}, wanted{};
        // "a" linked to "a" would remove what it links to.
        const std::string clean = clean_path(entry.target);
        if (clean == path) return;
        const Root::Place place = root_.place(clean);
        if (::fstatat(place.parent.get(), place.name.c_str(), &wanted, AT_SYMLINK_NOFOLLOW) == 0 &&
            ::fstatat(dir, name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0 &&
            before.st_ino == wanted.st_ino && before.st_dev == wanted.st_dev)
            return;
        remove(dir, name, path);
        return link_to(dir, name, entry.target);
    }
    if (entry.type == directory) return make_directory(entry, dir, name, path);
    remove(dir, name, path);
    if (entry.type == file) {
        const int fd =
            ::openat(dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) throw SysError("create ", quoted(path));
        const UniqueFd made(fd);
        write_content(entry, content, fd, path, bytes);
        return set_metadata(entry, dir, name, path, fd);
    }
    if (entry.type == symlink) {
        if (::symlinkat(entry.target.c_str(), dir, name.c_str()) < 0)
            throw SysError("create ", quoted(path));
    } else {
        make_node(entry, dir, name, path);
    }
    set_metadata(entry, dir, name, path, -1);
}

void Layer::set_xattr(int dir, const std::string& name, const std::string& path, int fd,
                      const std::pair<std::string, std::string>& attribute) {
    const auto& [key, value] = attribute;
    int result;
    if (fd >= 0) {
        result = ::fsetxattr(fd, key.c_str(), value.data(), value.size(), 0);
    } else {
        // No call sets an xattr relative to a directory: through the parent's descriptor.
        const std::string via = sys::proc_fd(dir) + "/" + name;
        result = ::lsetxattr(via.c_str(), key.c_str(), value.data(), value.size(), 0);
    }
    if (result == 0 || errno == EPERM) return;  // links and devices take no user.*
    // An access list may name users that a namespace has not.
    if (options_.ownership.rootless && errno == EINVAL) return;
    if (errno != ENOTSUP) throw SysError("set ", key, " of ", quoted(path));
    if (!std::exchange(warned_, true))
        log_warning(str("the file system does not take ", key, " of ", quoted(path),
                        ": such attributes are left out"));
}

void Layer::set_metadata(const TarEntry& entry, int dir, const std::string& name,
                         const std::string& path, int fd) {
    using enum TarEntry::Type;
    check_owner(entry);
    const std::pair inside(uid_t(entry.uid), gid_t(entry.gid));
    const auto [owner, group] =
        options_.owner ? *options_.owner
                       : context(quoted(path), [&] { return options_.ownership.on_host(inside); });
    if (::fchownat(dir, name.c_str(), owner, group, AT_SYMLINK_NOFOLLOW) < 0)
        throw SysError("chown ", quoted(path));
    const mode_t mode = entry.mode;
    if (entry.type != symlink) {
        // The entry was made by us just now, in a directory nobody else writes to: it is no link.
        if ((fd >= 0 ? ::fchmod(fd, mode) : ::fchmodat(dir, name.c_str(), mode, 0)) < 0)
            throw SysError("chmod ", quoted(path));
    }
    for (const auto& [key, value] : entry.xattrs)
        if (!is_foreign_xattr(key)) set_xattr(dir, name, path, fd, {key, value});
    if (const auto note = options_.ownership.note_of(inside)) set_xattr(dir, name, path, fd, *note);
    if (entry.type == directory) {
        times_.insert_or_assign(identity_of(fd), entry.modified);
        return;
    }
    const timespec times[2] = {entry.accessed.value_or(entry.modified), entry.modified};
    ::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
}

void Layer::apply(const TarEntry& entry, LayerEntries& content, uint64_t& bytes) {
    if (entry.name.empty()) throw Error("entry without a name");
    const std::string path = clean_path(entry.name);
    context(quoted(path.empty() ? "/" : path), [&] {
        if (path.empty()) {  // the root itself
            if (entry.type != TarEntry::Type::directory)
                throw Error("the root must be a directory");
            const UniqueFd self = sys::openat(root_.fd(), ".", O_RDONLY | O_DIRECTORY);
            drop_other_xattrs(entry, self.get(), "/");
            return set_metadata(entry, root_.fd(), ".", "", self.get());
        }
        const std::string directory(split_parent(path).directory), name(split_parent(path).name);
        if (options_.whiteouts) {
            const Mark mark = mark_of(path);
            if (mark.kind == Mark::Kind::aufs) return;
            if (mark.kind == Mark::Kind::opaque) return make_opaque(directory);
            if (mark.kind == Mark::Kind::whiteout) return hide(directory, std::string(mark.hidden));
        }
        const int dir = parent(directory);
        make(entry, content, dir, name, path, bytes);
        touched_.insert(below(parent_place_, name));
    });
}

// Not by walk_tree(), which reads whole directories: a layer may touch a few files of many. The way
// up is "..", which must be where we came from, so that depth costs no descriptors.
void Layer::finish() {
    const std::vector<PathSet::Node> nodes = timed_.nodes();
    std::vector<std::vector<size_t>> ahead(nodes.size());
    for (size_t i = 1; i < nodes.size(); ++i) ahead[nodes[i].above].push_back(i);
    struct Level {
        size_t node;
        Identity identity;
    };
    UniqueFd here = sys::openat(root_.fd(), ".", O_RDONLY | O_DIRECTORY);
    std::vector<Level> levels{{0, identity_of(here.get())}};
    while (true) {
        std::vector<size_t>& left = ahead[levels.back().node];
        if (!left.empty()) {
            const size_t node = left.back();
            left.pop_back();
            auto child = sys::try_openat2(here.get(), std::string(nodes[node].name),
                                          {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW});
            if (!child) continue;  // it was removed
            here = std::move(*child);
            levels.push_back({node, identity_of(here.get())});
            continue;
        }
        set_time(here.get());
        levels.pop_back();
        if (levels.empty()) return;
        here = sys::openat(here.get(), "..", O_RDONLY | O_DIRECTORY);
        if (identity_of(here.get()) != levels.back().identity)
            throw Error("a directory was moved while a layer was applied");
    }
}

void Layer::set_time(int directory) const {
    const struct stat info = sys::fstat(directory);
    const auto at = times_.find({info.st_dev, info.st_ino});
    if (at == times_.end()) return;
    const timespec& wanted = at->second;
    const timespec times[2] = {wanted, wanted};
    if (!sys::same_time(info.st_mtim, wanted)) ::futimens(directory, times);
}

}  // namespace

uint64_t apply_entries(LayerEntries& entries, const std::string& directory,
                       const ApplyOptions& options) {
    uint64_t bytes = 0;
    Layer layer(directory, options);
    while (const TarEntry* entry = entries.next()) layer.apply(*entry, entries, bytes);
    layer.finish();
    return bytes;
}

Applied apply_layer(int blob_fd, const std::string& directory, const ApplyOptions& options) {
    InflatedLayer inflated(blob_fd, options.hashes);
    Applied result;
    read_tar(inflated,
             [&](TarStream& tar) { result.bytes = apply_entries(tar, directory, options); });
    result.diff_id = inflated.diff_id();
    result.blob = inflated.blob_digest();
    return result;
}
