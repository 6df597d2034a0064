// What is hard here: the entries are hostile, and so is the tree that earlier ones made. Every parent is
// resolved inside the root by the kernel, every entry is made relative to its parent's descriptor and
// never through a link, and its metadata is set on what was just made. A whiteout hides what is below
// this layer, never what this layer brought, in whatever order the two come: so everything that the
// layer touched is remembered, implied parents included.

#include "image/apply.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <dirent.h>
#include <algorithm>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/root.h"
#include "base/sys.h"
#include "image/archive_reader.h"
#include "image/read_ahead.h"

namespace {

constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_marker = ".wh..wh..opq";
constexpr std::string_view aufs_prefix = ".wh..wh.";   // of AUFS's own files, which old images still hold
constexpr unsigned largest_major = 0xfff, largest_minor = 0xfffff;   // of the kernel's device numbers

bool is_aufs_own(const std::string& path) {
    if (path.find(aufs_prefix) == std::string::npos) return false;
    const auto parts = split(path, '/');
    return std::ranges::any_of(parts, [](const std::string& part) { return part.starts_with(aufs_prefix) && part != opaque_marker; });
}

// Never taken from an image: they would mean something to this host or to overlayfs.
bool is_foreign_xattr(std::string_view name) {
    return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") ||
           name == "security.selinux" || name == "system.nfs4_acl";
}

std::pair<std::string, std::string> split_parent(const std::string& path) {
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

class Layer {
public:
    Layer(const std::string& directory, const ApplyOptions& options) : root_(directory), options_(options) {}

    void apply(archive_entry* entry, ArchiveReader& reader, uint64_t& bytes);
    void finish();  // what must come last: the times of directories

private:
    struct DirectoryTime {
        std::string path;
        timespec when;
    };

    int parent(const std::string& path);
    void touch(std::string path);
    void remove(int parent, const std::string& name, const std::string& path, bool only_untouched);
    void whiteout(const std::string& directory, const std::string& name);
    void make(archive_entry* entry, ArchiveReader& reader, int dir, const std::string& name, const std::string& path, uint64_t& bytes);
    void make_directory(int dir, const std::string& name, const std::string& path);
    void link_to(int dir, const std::string& name, const std::string& target);
    void set_metadata(archive_entry* entry, int dir, const std::string& name, const std::string& path, int fd);

    Root root_;
    const ApplyOptions& options_;
    std::unordered_set<std::string> touched_;
    std::vector<DirectoryTime> times_;
    std::string parent_path_;      // the last parent, open: entries come directory by directory
    UniqueFd parent_fd_;
    bool parent_stale_ = false;    // a directory or a link was removed: perhaps on the way to that one
    bool warned_ = false;          // that the file system takes no xattrs
};

void Layer::touch(std::string path) {
    for (; !path.empty() && touched_.insert(path).second; path = split_parent(path).first) {
    }
}

int Layer::parent(const std::string& path) {
    if (parent_fd_ && !parent_stale_ && parent_path_ == path) return parent_fd_.get();
    parent_stale_ = false;
    try {
        parent_fd_ = root_.make_directories(path, 0755);
    } catch (const SysError& e) {
        if (e.code() != ENOTDIR) throw;
        // Something that is not a directory where this layer needs one: the layer wins.
        std::string level;
        for (const std::string& part : split(path, '/')) {
            const std::string above = level;
            level += level.empty() ? part : "/" + part;
            const UniqueFd there = root_.open(above, O_PATH | O_DIRECTORY);
            struct stat info{};
            if (::fstatat(there.get(), part.c_str(), &info, 0) == 0 && !S_ISDIR(info.st_mode)) {
                remove(there.get(), part, level, false);
                break;
            }
        }
        parent_fd_ = root_.make_directories(path, 0755);
    }
    parent_path_ = path;
    return parent_fd_.get();
}

// Removes a file or tree; only_untouched leaves what this layer brought.
void Layer::remove(int dir, const std::string& name, const std::string& path, bool only_untouched) {
    struct stat info{};
    if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT) return;
        throw SysError("stat ", quoted(path));
    }
    const bool keep = only_untouched && touched_.contains(path);
    if (!S_ISDIR(info.st_mode)) {
        if (keep) return;
        if (::unlinkat(dir, name.c_str(), 0) < 0) throw SysError("remove ", quoted(path));
        if (S_ISLNK(info.st_mode)) parent_stale_ = true;
        return;
    }
    const UniqueFd self = sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    DIR* listing = ::fdopendir(::fcntl(self.get(), F_DUPFD_CLOEXEC, 3));
    if (!listing) throw SysError("open ", quoted(path));
    std::vector<std::string> children;
    while (const dirent* child = ::readdir(listing))
        if (const std::string_view c = child->d_name; c != "." && c != "..") children.emplace_back(c);
    ::closedir(listing);
    for (const std::string& child : children)
        remove(self.get(), child, path.empty() ? child : path + "/" + child, only_untouched);
    if (!keep && ::unlinkat(dir, name.c_str(), AT_REMOVEDIR) < 0) throw SysError("remove ", quoted(path));
    if (!keep) parent_stale_ = true;  // the caller may still stand on it
}

void Layer::whiteout(const std::string& directory, const std::string& name) {
    if (name == opaque_marker) {
        // Everything in the directory that is not from this layer. What is there may be a link to another
        // directory, whose files are none of this one's.
        auto there = root_.open_if_exists(directory, O_PATH | O_NOFOLLOW);
        if (!there || !S_ISDIR(sys::fstat(there->get()).st_mode)) return;
        const UniqueFd self = sys::openat(there->get(), ".", O_RDONLY | O_DIRECTORY);
        DIR* listing = ::fdopendir(::fcntl(self.get(), F_DUPFD_CLOEXEC, 3));
        if (!listing) throw SysError("open ", quoted(directory));
        std::vector<std::string> children;
        while (const dirent* child = ::readdir(listing))
            if (const std::string_view c = child->d_name; c != "." && c != "..") children.emplace_back(c);
        ::closedir(listing);
        for (const std::string& child : children)
            remove(self.get(), child, directory.empty() ? child : directory + "/" + child, true);
        touch(directory);
        return;
    }
    const std::string hidden = name.substr(whiteout_prefix.size());
    if (hidden.empty() || hidden == "." || hidden == "..") throw Error("whiteout ", quoted(name), " names no file");
    auto there = root_.open_if_exists(directory, O_PATH | O_DIRECTORY);
    if (!there) return;  // hides nothing
    remove(there->get(), hidden, directory.empty() ? hidden : directory + "/" + hidden, true);
}

void Layer::make_directory(int dir, const std::string& name, const std::string& path) {
    if (::mkdirat(dir, name.c_str(), 0700) == 0) return;
    struct stat info{};
    if (errno != EEXIST || ::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) throw SysError("mkdir ", quoted(path));
    if (S_ISDIR(info.st_mode)) return;
    remove(dir, name, path, false);
    if (::mkdirat(dir, name.c_str(), 0700) < 0) throw SysError("mkdir ", quoted(path));
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

void Layer::make(archive_entry* entry, ArchiveReader& reader, int dir, const std::string& name, const std::string& path, uint64_t& bytes) {
    if (const char* target = archive_entry_hardlink(entry)) {
        struct stat before{}, wanted{};
        // "a" linked to "a" would remove what it links to.
        const std::string clean = clean_path(target);
        if (clean == path) return;
        const Root::Place place = root_.place(clean);
        if (::fstatat(place.parent.get(), place.name.c_str(), &wanted, AT_SYMLINK_NOFOLLOW) == 0 &&
            ::fstatat(dir, name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0 && before.st_ino == wanted.st_ino && before.st_dev == wanted.st_dev)
            return;
        remove(dir, name, path, false);
        return link_to(dir, name, target);
    }
    const mode_t type = archive_entry_filetype(entry);
    if (type == AE_IFDIR) {
        make_directory(dir, name, path);
        return set_metadata(entry, dir, name, path, -1);
    }
    remove(dir, name, path, false);
    if (type == AE_IFREG) {
        const int fd = ::openat(dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) throw SysError("create ", quoted(path));
        const UniqueFd file(fd);
        for (std::string_view data; !(data = reader.read()).empty(); bytes += data.size()) sys::write_all(fd, data);
        return set_metadata(entry, dir, name, path, fd);
    }
    if (type == AE_IFLNK) {
        const char* target = archive_entry_symlink(entry);
        if (!target || !*target) throw Error("symbolic link without a target");
        if (::symlinkat(target, dir, name.c_str()) < 0) throw SysError("create ", quoted(path));
    } else if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFIFO) {
        const auto major = archive_entry_rdevmajor(entry), minor = archive_entry_rdevminor(entry);
        if (type != AE_IFIFO && (major > largest_major || minor > largest_minor)) throw Error("device number ", major, ":", minor, " is out of range");
        const dev_t device = type == AE_IFIFO ? 0 : makedev(unsigned(major), unsigned(minor));
        // Character device 0:0 is overlayfs's own whiteout.
        if (type == AE_IFCHR && device == 0) throw Error("a character device 0:0 cannot be part of a layer");
        if (::mknodat(dir, name.c_str(), type | 0600, device) < 0) throw SysError("create ", quoted(path));
    } else {
        throw Error("entry has a type that layers cannot hold");
    }
    set_metadata(entry, dir, name, path, -1);
}

void Layer::set_metadata(archive_entry* entry, int dir, const std::string& name, const std::string& path, int fd) {
    const mode_t type = archive_entry_filetype(entry);
    UniqueFd own;
    std::string via;
    if (type == AE_IFDIR) own = sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), fd = own.get();
    const auto uid = uid_t(archive_entry_uid(entry)), gid = gid_t(archive_entry_gid(entry));
    if (archive_entry_uid(entry) < 0 || archive_entry_uid(entry) > 0xfffffffe || archive_entry_gid(entry) < 0 || archive_entry_gid(entry) > 0xfffffffe)
        throw Error("owner ", archive_entry_uid(entry), ":", archive_entry_gid(entry), " is out of range");
    const auto [owner, group] = options_.owner.value_or(std::pair(uid, gid));
    if (::fchownat(dir, name.c_str(), owner, group, AT_SYMLINK_NOFOLLOW) < 0) throw SysError("chown ", quoted(path));
    const mode_t mode = archive_entry_perm(entry);
    if (type != AE_IFLNK) {
        // The entry was made by us just now, in a directory nobody else writes to: it is no link.
        if ((fd >= 0 ? ::fchmod(fd, mode) : ::fchmodat(dir, name.c_str(), mode, 0)) < 0) throw SysError("chmod ", quoted(path));
    }
    const char* key = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &key, &value, &size) == ARCHIVE_OK) {
        if (is_foreign_xattr(key)) continue;
        int result;
        if (fd >= 0) {
            result = ::fsetxattr(fd, key, value, size, 0);
        } else {
            // No call sets an xattr relative to a directory: through the parent's descriptor.
            via = sys::proc_fd(dir) + "/" + name;
            result = ::lsetxattr(via.c_str(), key, value, size, 0);
        }
        if (result == 0 || errno == EPERM) continue;  // links and devices take no user.*
        if (errno != ENOTSUP) throw SysError("set ", key, " of ", quoted(path));
        if (!std::exchange(warned_, true)) log_warning(str("the file system does not take ", key, " of ", quoted(path), ": such attributes are left out"));
    }
    const timespec modified{archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    if (type == AE_IFDIR) {
        times_.push_back({path, modified});
        return;
    }
    const timespec times[2] = {archive_entry_atime_is_set(entry) ? timespec{archive_entry_atime(entry), archive_entry_atime_nsec(entry)} : modified, modified};
    ::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
}

void Layer::apply(archive_entry* entry, ArchiveReader& reader, uint64_t& bytes) {
    const char* raw = archive_entry_pathname(entry);
    if (!raw || !*raw) throw Error("entry without a name");
    const std::string path = clean_path(raw);
    context(quoted(path.empty() ? "/" : path), [&] {
        if (path.empty()) {  // the root itself
            if (archive_entry_filetype(entry) != AE_IFDIR) throw Error("the root must be a directory");
            return set_metadata(entry, root_.fd(), ".", "", -1);
        }
        if (options_.whiteouts && is_aufs_own(path)) return;
        auto [directory, name] = split_parent(path);
        if (options_.whiteouts && name.starts_with(whiteout_prefix)) return whiteout(directory, name);
        const int dir = parent(directory);
        make(entry, reader, dir, name, path, bytes);
        touch(path);
    });
}

void Layer::finish() {
    for (auto at = times_.rbegin(); at != times_.rend(); ++at) {
        const auto dir = root_.open_if_exists(at->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        const timespec times[2] = {at->when, at->when};
        if (dir) ::futimens(dir->get(), times);
    }
}

}  // namespace

std::string clean_path(std::string_view name) {
    std::vector<std::string> parts;
    for (const std::string& part : split(name, '/')) {
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            if (!parts.empty()) parts.pop_back();
        } else {
            if (part.size() > 255) throw Error("name of more than 255 bytes: ", quoted(part.substr(0, 40)), "…");
            parts.push_back(part);
        }
    }
    return join(parts, "/");
}

Applied apply_layer(int blob_fd, const std::string& directory, const ApplyOptions& options) {
    Hasher hasher;
    ArchiveReader plain(blob_fd, ArchiveReader::Kind::raw);
    const bool any = plain.next() != nullptr;
    auto bytes_of_tar = [&]() -> std::string_view {
        const std::string_view data = any ? plain.read() : std::string_view{};
        hasher.update(data);
        return data;
    };
    Applied result;
    if (any) {
        ReadAhead ahead(bytes_of_tar);
        ArchiveReader tar([&] { return ahead.next(); }, ArchiveReader::Kind::tar);
        Layer layer(directory, options);
        while (archive_entry* entry = tar.next()) layer.apply(entry, tar, result.bytes);
        layer.finish();
        // Bytes behind the end of the archive count for the diff ID.
        while (!ahead.next().empty()) {
        }
    }
    result.diff_id = hasher.finish();
    return result;
}
