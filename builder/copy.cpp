#include "builder/copy.h"

#include <dirent.h>
#include <sys/sendfile.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/sys.h"
#include "image/apply.h"

namespace {

std::vector<std::string> children(int dir) {
    std::vector<std::string> names;
    const UniqueFd self = sys::openat(dir, ".", O_RDONLY | O_DIRECTORY);
    DIR* listing = ::fdopendir(::fcntl(self.get(), F_DUPFD_CLOEXEC, 3));
    if (!listing) throw SysError("open a directory");
    while (const dirent* entry = ::readdir(listing))
        if (const std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
    ::closedir(listing);
    std::ranges::sort(names);
    return names;
}

std::string below(const std::string& path, const std::string& name) { return path.empty() ? name : path + "/" + name; }

std::string base_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

struct stat stat_in(const Root& root, const std::string& path) {
    if (path.empty()) return sys::fstat(root.fd());
    const Root::Place place = root.place(path);
    struct stat info{};
    if (::fstatat(place.parent.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) throw SysError("stat ", quoted(path));
    return info;
}

bool is_directory(const Root& root, const std::string& path) {
    const auto fd = root.open_if_exists(path, O_PATH);
    return fd && S_ISDIR(sys::fstat(fd->get()).st_mode);
}

// Ignored, and nothing below it is brought back.
bool is_left_out(const Root& root, const std::string& path, const IgnoreRules& ignore) {
    if (!ignore.ignores(path)) return false;
    if (!ignore.has_exceptions() || !S_ISDIR(stat_in(root, path).st_mode)) return true;
    const UniqueFd dir = root.open(path, O_PATH | O_DIRECTORY);
    return std::ranges::all_of(children(dir.get()), [&](const std::string& name) { return is_left_out(root, below(path, name), ignore); });
}

void find_matches(const Root& root, const std::string& pattern, const std::string& path, const IgnoreRules& ignore, std::vector<std::string>& out) {
    const auto depth = std::ranges::count(pattern, '/');
    const UniqueFd dir = root.open(path, O_PATH | O_DIRECTORY);
    for (const std::string& name : children(dir.get())) {
        const std::string child = below(path, name);
        if (match_path(pattern, child)) {
            if (!is_left_out(root, child, ignore)) out.push_back(child);
        } else if (std::ranges::count(child, '/') < depth && S_ISDIR(stat_in(root, child).st_mode)) {
            find_matches(root, pattern, child, ignore, out);
        }
    }
}

std::string read_link(int dir, const std::string& name) {
    char target[4096];
    const ssize_t length = ::readlinkat(dir, name.c_str(), target, sizeof target);
    if (length < 0) throw SysError("readlink ", quoted(name));
    return {target, size_t(length)};
}

class Copier {
public:
    explicit Copier(const CopyJob& job) : job_(job) {}

    // One file or tree as `name` in the directory `to`; path is where it is in the source.
    void item(int from, const std::string& from_name, const std::string& path, int to, const std::string& name) {
        struct stat info{};
        if (::fstatat(from, from_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) throw SysError("stat ", quoted(path));
        if (S_ISDIR(info.st_mode)) {
            if (::mkdirat(to, name.c_str(), 0755) < 0 && errno != EEXIST) throw SysError("mkdir ", quoted(name));
            const UniqueFd source = sys::openat(from, from_name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
            const UniqueFd target = sys::openat(to, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
            contents(source.get(), path, target.get());
            return metadata(to, name, info);
        }
        struct stat old{};
        if (::fstatat(to, name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0) {
            if (S_ISDIR(old.st_mode)) throw Error("cannot copy a file over the directory ", quoted(name));
            if (::unlinkat(to, name.c_str(), 0) < 0) throw SysError("remove ", quoted(name));
        }
        if (S_ISREG(info.st_mode)) file(from, from_name, path, to, name);
        else if (S_ISLNK(info.st_mode)) {
            if (::symlinkat(read_link(from, from_name).c_str(), to, name.c_str()) < 0) throw SysError("create ", quoted(name));
        } else if (S_ISSOCK(info.st_mode)) {
            return;
        } else if (::mknodat(to, name.c_str(), info.st_mode & S_IFMT, info.st_rdev) < 0) {
            throw SysError("create ", quoted(name));
        }
        metadata(to, name, info);
    }

    void contents(int from, const std::string& path, int to) {
        for (const std::string& name : children(from)) {
            const std::string child = below(path, name);
            if (is_left_out(job_.from, child, job_.ignore)) continue;
            item(from, name, child, to, name);
        }
    }

private:
    void file(int from, const std::string& from_name, const std::string& path, int to, const std::string& name) {
        const UniqueFd source = sys::openat(from, from_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        const UniqueFd target = sys::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        for (;;) {
            const ssize_t n = ::sendfile(target.get(), source.get(), nullptr, size_t(1) << 30);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) throw SysError("copy ", quoted(path));
            if (n == 0) break;
        }
        char value[4096];
        const ssize_t size = ::fgetxattr(source.get(), "security.capability", value, sizeof value);
        if (size > 0) ::fsetxattr(target.get(), "security.capability", value, size_t(size), 0);
    }

    void metadata(int dir, const std::string& name, const struct stat& info) {
        const CopyOwner owner = job_.owner.value_or(CopyOwner{info.st_uid, info.st_gid});
        if (::fchownat(dir, name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0) throw SysError("chown ", quoted(name));
        if (!S_ISLNK(info.st_mode) && ::fchmodat(dir, name.c_str(), job_.mode.value_or(info.st_mode & 07777), 0) < 0) throw SysError("chmod ", quoted(name));
        const timespec times[2] = {info.st_mtim, info.st_mtim};
        ::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
    }

    const CopyJob& job_;
};

// Whether the file begins as a tar or a compressed one does: what ADD unpacks.
bool is_archive(const Root& root, const std::string& path) {
    const UniqueFd file = root.open(path, O_RDONLY | O_NONBLOCK);
    if (!S_ISREG(sys::fstat(file.get()).st_mode)) return false;
    char start[265] = {};
    const ssize_t n = ::read(file.get(), start, sizeof start);
    const std::string_view magic(start, n > 0 ? size_t(n) : 0);
    return magic.starts_with("\x1f\x8b") || magic.starts_with("BZh") || magic.starts_with(std::string_view("\xfd" "7zXZ\0", 6)) ||
           magic.starts_with("\x28\xb5\x2f\xfd") || (magic.size() > 262 && magic.substr(257, 5) == "ustar");
}

}  // namespace

std::vector<std::string> match_sources(const Root& root, const std::string& source, const IgnoreRules& ignore) {
    const std::string path = clean_path(source);
    std::vector<std::string> found;
    if (path.find_first_of("*?[") != std::string::npos) {
        find_matches(root, path, "", ignore, found);
        return found;
    }
    if (!path.empty() && (!root.open_if_exists(path, O_PATH | O_NOFOLLOW) || is_left_out(root, path, ignore)))
        throw Error(quoted("/" + path), ": not found");
    return {path};
}

void hash_tree(Hasher& hasher, const Root& root, const std::string& path, const IgnoreRules& ignore) {
    const struct stat info = stat_in(root, path);
    hasher.update(str(path, '\0', info.st_mode, '\0'));
    if (S_ISREG(info.st_mode)) {
        const UniqueFd file = root.open(path, O_RDONLY | O_NOFOLLOW);
        hasher.update(str(info.st_size, '\0'));
        std::string buffer(1 << 18, '\0');
        for (ssize_t n; (n = check(::read(file.get(), buffer.data(), buffer.size()), "read")) > 0;) hasher.update({buffer.data(), size_t(n)});
    } else if (S_ISLNK(info.st_mode)) {
        const Root::Place place = root.place(path);
        hasher.update(read_link(place.parent.get(), place.name));
    } else if (S_ISDIR(info.st_mode)) {
        const UniqueFd dir = root.open(path, O_PATH | O_DIRECTORY);
        for (const std::string& name : children(dir.get())) {
            const std::string child = below(path, name);
            if (!is_left_out(root, child, ignore)) hash_tree(hasher, root, child, ignore);
        }
    }
}

void copy_sources(const CopyJob& job, const std::vector<std::string>& sources, const std::string& destination) {
    const bool into_directory = destination.ends_with('/') || sources.size() > 1 || is_directory(job.to, clean_path(destination));
    const std::string target = clean_path(destination);
    Copier copier(job);
    for (const std::string& source : sources) {
        struct stat info = stat_in(job.from, source);
        const bool directory = S_ISDIR(info.st_mode) || (S_ISLNK(info.st_mode) && is_directory(job.from, source));
        if (directory) {  // its contents, not itself
            const UniqueFd from = job.from.open(source, O_PATH | O_DIRECTORY);
            const UniqueFd to = job.to.make_directories(target);
            copier.contents(from.get(), source, to.get());
        } else if (job.extract && is_archive(job.from, source)) {
            const UniqueFd archive = job.from.open(source, O_RDONLY);
            const UniqueFd to = job.to.make_directories(target);
            ApplyOptions as{.whiteouts = false};   // a tar like any other
            if (job.owner && job.chown) as.owner = {job.owner->uid, job.owner->gid};
            apply_layer(archive.get(), sys::proc_fd(to.get()), as);
        } else {
            const std::string final_path = into_directory ? below(target, base_name(source)) : target;
            const Root::Place place = job.to.make_place(final_path);
            // A link in the context is followed inside it, as if the file itself were there.
            const Root::Place from = job.from.place(source);
            if (S_ISLNK(info.st_mode)) {
                const UniqueFd real = job.from.open(source, O_PATH);
                char resolved[4096];
                const ssize_t length = ::readlink(sys::proc_fd(real.get()).c_str(), resolved, sizeof resolved);
                if (length <= 0) throw SysError("resolve ", quoted(source));
                const UniqueFd parent = sys::open(std::string(resolved, size_t(length)).substr(0, std::string_view(resolved, size_t(length)).find_last_of('/') + 1), O_PATH | O_DIRECTORY);
                copier.item(parent.get(), base_name(std::string(resolved, size_t(length))), source, place.parent.get(), place.name);
            } else {
                copier.item(from.parent.get(), from.name, source, place.parent.get(), place.name);
            }
        }
    }
}
