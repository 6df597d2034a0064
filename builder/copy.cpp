// What is hard: the source is a tree that is edited while it is read, or that a stranger made.
// Nothing is opened before it is known to be a regular file, by the descriptor that is then read
// (base/regular_file.h); nothing is looked up twice; and the cache's key is made of the bytes that
// were written.
#include "builder/copy.h"

#include <sys/sendfile.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/directory.h"
#include "base/error.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "image/layer/apply.h"
#include "image/layer/rules.h"

namespace {

std::string below(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "/" + name;
}

std::string base_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

std::string parent_of(const std::string& path) {
    const size_t slash = path.find_last_of('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

struct stat stat_in(const Root& root, const std::string& path) {
    if (path.empty()) return sys::fstat(root.fd());
    const Root::Place place = root.place(path);
    struct stat info{};
    if (::fstatat(place.parent.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
        throw SysError("stat ", quoted(path));
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
    return std::ranges::all_of(names_in(dir.get(), "a directory"), [&](const std::string& name) {
        return is_left_out(root, below(path, name), ignore);
    });
}

void find_matches(const Root& root, const std::string& pattern, const std::string& path,
                  const IgnoreRules& ignore, std::vector<std::string>& out) {
    const auto depth = std::ranges::count(pattern, '/');
    const UniqueFd dir = root.open(path, O_PATH | O_DIRECTORY);
    for (const std::string& name : names_in(dir.get(), "a directory")) {
        const std::string child = below(path, name);
        if (match_path(pattern, child)) {
            if (!is_left_out(root, child, ignore)) out.push_back(child);
        } else if (std::ranges::count(child, '/') < depth &&
                   S_ISDIR(stat_in(root, child).st_mode)) {
            find_matches(root, pattern, child, ignore, out);
        }
    }
}

// A thing of the source, looked at but not opened: what is read is this, whatever its name means by
// then.
struct Entry {
    UniqueFd fd;  // O_PATH
    struct stat info{};
    explicit Entry(UniqueFd opened) : fd(std::move(opened)), info(sys::fstat(fd.get())) {}
};

std::string read_link(const Entry& link, const std::string& path) {
    char target[4096];
    const ssize_t length = ::readlinkat(link.fd.get(), "", target, sizeof target);
    if (length < 0) throw SysError("readlink ", quoted(path));
    return {target, size_t(length)};
}

// Whether it begins as a tar or a compressed file does: what ADD unpacks.
bool is_archive(int file) {
    char start[265] = {};
    const ssize_t n = ::pread(file, start, sizeof start, 0);
    const std::string_view magic(start, n > 0 ? size_t(n) : 0);
    return magic.starts_with("\x1f\x8b") || magic.starts_with("BZh") ||
           magic.starts_with(std::string_view("\xfd"
                                              "7zXZ\0",
                                              6)) ||
           magic.starts_with("\x28\xb5\x2f\xfd") ||
           (magic.size() > 262 && magic.substr(257, 5) == "ustar");
}

// Every missing level of the way, with that owner if one was asked for.
UniqueFd make_directories(const CopyJob& job, const std::string& path) {
    if (!job.chown || !job.owner) return job.to.make_directories(path);
    std::string level;
    for (const std::string& part : split(path, '/')) {
        level = below(level, part);
        if (part.empty() || job.to.open_if_exists(level, O_PATH)) continue;
        const UniqueFd made = job.to.make_directories(level);
        check(::fchownat(made.get(), "", job.owner->uid, job.owner->gid, AT_EMPTY_PATH), "chown ",
              level);
    }
    return job.to.make_directories(path);
}

// Goes through the sources, to hash what they hold or to copy it or both, always in the same order:
// so the hash of what was written can be held against the one that was looked up.
class Walk {
public:
    Walk(const Root& from, const IgnoreRules& ignore, bool extract, bool hash, const CopyJob* copy)
        : from_(from), ignore_(ignore), extract_(extract), hash_(hash), copy_(copy) {}

    void sources(const std::vector<std::string>& sources, const std::string& destination) {
        const std::string target = clean_path(destination);
        const bool into_directory = destination.ends_with('/') || sources.size() > 1 ||
                                    (copy_ && is_directory(copy_->to, target));
        for (const std::string& path : sources) {
            note(path);
            const Entry source(from_.open(
                path, O_PATH));  // a link is followed, inside, as if the file itself were there
            if (S_ISDIR(source.info.st_mode)) {  // its contents, not itself
                note("contents");
                contents(source.fd.get(), path,
                         copy_ ? make_directories(*copy_, target).get() : -1);
                continue;
            }
            const UniqueFd archive = extract_ && S_ISREG(source.info.st_mode)
                                         ? reopen_regular(source.fd.get(), path)
                                         : UniqueFd();
            if (archive && is_archive(archive.get())) {
                unpack(archive.get(), path, target);
                continue;
            }
            if (!copy_) {
                item(source, path, -1, {});
                continue;
            }
            const std::string place = into_directory ? below(target, base_name(path)) : target;
            make_directories(*copy_, parent_of(place));
            const Root::Place to = copy_->to.make_place(place);
            item(source, path, to.parent.get(), to.name);
        }
    }

    std::optional<Digest> finish() {
        return hash_ ? std::optional(hasher_.finish()) : std::nullopt;
    }

private:
    void note(std::string_view field) {
        if (hash_) hasher_.field(field);
    }

    // One file or tree, as `name` in the directory `to`; path is where it is in the source.
    void item(const Entry& from, const std::string& path, int to, const std::string& name) {
        const mode_t type = from.info.st_mode & S_IFMT;
        note(path), note(str(from.info.st_mode)),
            note(str(type == S_IFCHR || type == S_IFBLK ? from.info.st_rdev : 0));
        if (type == S_IFDIR) {
            UniqueFd target;
            if (copy_) target = make_directory(to, name);
            contents(from.fd.get(), path, target.get());
            note("end");
        } else if (type == S_IFREG) {
            return regular(from, path, to, name);
        } else if (type == S_IFLNK) {
            const std::string text = read_link(from, path);
            note(text);
            if (copy_)
                make_room(to, name),
                    check(::symlinkat(text.c_str(), to, name.c_str()), "create ", quoted(name));
        } else if (type == S_IFSOCK) {
            return;
        } else if (copy_) {
            make_room(to, name), check(::mknodat(to, name.c_str(), type, from.info.st_rdev),
                                       "create ", quoted(name));
        }
        if (copy_) metadata(to, name, from.info);
    }

    void regular(const Entry& from, const std::string& path, int to, const std::string& name) {
        const UniqueFd source = reopen_regular(from.fd.get(), path);
        UniqueFd target;
        if (copy_) target = make_file(to, name);
        data(source.get(), path, target.get());
        char value[4096];
        const ssize_t size = ::fgetxattr(source.get(), "security.capability", value, sizeof value);
        note({value, size > 0 ? size_t(size) : 0});
        if (!copy_) return;
        metadata(to, name, from.info);
        // The kernel takes them away when the owner changes: they come last.
        if (size > 0) ::fsetxattr(target.get(), "security.capability", value, size_t(size), 0);
    }

    void contents(int from, const std::string& path, int to) {
        for (const std::string& name : names_in(from, "a directory")) {
            const std::string child = below(path, name);
            if (is_left_out(from_, child, ignore_)) continue;
            item(Entry(sys::openat(from, name, O_PATH | O_NOFOLLOW)), child, to, name);
        }
    }

    // The file's bytes: hashed as they are written.
    void data(int from, const std::string& path, int to) {
        if (hash_) {
            Hasher content;
            if (!buffer_) buffer_ = std::make_unique<char[]>(block);
            for (ssize_t n; (n = ::read(from, buffer_.get(), block)) != 0;) {
                if (n < 0 && errno == EINTR) continue;
                if (n < 0) throw SysError("read ", quoted(path));
                const std::string_view piece(buffer_.get(), size_t(n));
                content.update(piece);
                if (to >= 0) sys::write_all(to, piece);
            }
            note(content.finish().text());
        } else {
            for (ssize_t n; (n = ::sendfile(to, from, nullptr, size_t(1) << 30)) != 0;)
                if (n < 0 && errno != EINTR) throw SysError("copy ", quoted(path));
        }
    }

    // What is unpacked is a copy that nobody changes, and that was hashed.
    void unpack(int archive, const std::string& path, const std::string& target) {
        note("archive");
        if (!copy_) return data(archive, path, -1);
        std::string name = copy_->scratch + "/archive-XXXXXX";
        const UniqueFd own(check(::mkostemp(name.data(), O_CLOEXEC), "creating ", quoted(name)));
        ::unlink(name.c_str());
        data(archive, path, own.get());
        check(::lseek(own.get(), 0, SEEK_SET), "seek");
        const UniqueFd to = make_directories(*copy_, target);
        ApplyOptions as{.whiteouts = false};  // a tar like any other
        if (copy_->owner && copy_->chown) as.owner = {copy_->owner->uid, copy_->owner->gid};
        apply_layer(own.get(), sys::proc_fd(to.get()), as);
    }

    static UniqueFd make_directory(int parent, const std::string& name) {
        if (::mkdirat(parent, name.c_str(), 0755) < 0 && errno != EEXIST)
            throw SysError("mkdir ", quoted(name));
        return sys::openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    }
    static void make_room(int parent, const std::string& name) {
        struct stat old{};
        if (::fstatat(parent, name.c_str(), &old, AT_SYMLINK_NOFOLLOW) < 0) return;
        if (S_ISDIR(old.st_mode))
            throw Error("cannot copy a file over the directory ", quoted(name));
        if (::unlinkat(parent, name.c_str(), 0) < 0) throw SysError("remove ", quoted(name));
    }
    static UniqueFd make_file(int parent, const std::string& name) {
        make_room(parent, name);
        return sys::openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    }

    void metadata(int dir, const std::string& name, const struct stat& info) {
        const CopyOwner owner = copy_->owner.value_or(CopyOwner{info.st_uid, info.st_gid});
        if (::fchownat(dir, name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
            throw SysError("chown ", quoted(name));
        if (!S_ISLNK(info.st_mode) &&
            ::fchmodat(dir, name.c_str(), copy_->mode.value_or(info.st_mode & 07777), 0) < 0)
            throw SysError("chmod ", quoted(name));
        const timespec times[2] = {info.st_mtim, info.st_mtim};
        ::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
    }

    static constexpr size_t block = size_t(1) << 18;
    const Root& from_;
    const IgnoreRules& ignore_;
    bool extract_, hash_;
    const CopyJob* copy_;  // nothing: only hashed
    Hasher hasher_;
    std::unique_ptr<char[]> buffer_;
};

}  // namespace

std::vector<std::string> match_sources(const Root& root, const std::string& source,
                                       const IgnoreRules& ignore) {
    const std::string path = clean_path(source);
    std::vector<std::string> found;
    if (path.find_first_of("*?[") != std::string::npos) {
        find_matches(root, path, "", ignore, found);
        return found;
    }
    if (!path.empty() &&
        (!root.open_if_exists(path, O_PATH | O_NOFOLLOW) || is_left_out(root, path, ignore)))
        throw Error(quoted("/" + path), ": not found");
    return {path};
}

Digest hash_sources(const Root& from, const IgnoreRules& ignore, bool extract,
                    const std::vector<std::string>& sources) {
    Walk walk(from, ignore, extract, true, nullptr);
    walk.sources(sources, "/");
    return *walk.finish();
}

std::optional<Digest> copy_sources(const CopyJob& job, const std::vector<std::string>& sources,
                                   const std::string& destination) {
    Walk walk(job.from, job.ignore, job.extract, job.hash, &job);
    walk.sources(sources, destination);
    return walk.finish();
}
