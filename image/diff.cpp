// What is hard here: the upper directory is what a container wrote, so no name in it is followed;
// and the tar must be the same for the same tree: sorted, no names of users, whole seconds,
// extension headers only where a field does not fit.

#include "image/diff.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "base/directory.h"
#include "base/error.h"
#include "base/sys.h"

namespace {

using Sink = std::function<void(std::string_view)>;

class Writer {
public:
    explicit Writer(const Sink& sink) : sink_(sink), archive_(archive_write_new()) {
        ::setlocale(LC_CTYPE, "C.UTF-8");  // names stay the bytes they are
        archive_write_set_format_pax_restricted(archive_);
        archive_write_set_options(archive_, "pax:xattrheader=SCHILY");
        archive_write_set_bytes_per_block(archive_, 0);
        archive_write_set_bytes_in_last_block(archive_, 1);
        if (archive_write_open(archive_, this, nullptr, pass, nullptr) != ARCHIVE_OK) fail();
    }
    ~Writer() { archive_write_free(archive_); }

    void header(archive_entry* entry) {
        if (archive_write_header(archive_, entry) < ARCHIVE_WARN) fail();
        ++result.entries;
    }
    void data(std::string_view bytes) {
        if (archive_write_data(archive_, bytes.data(), bytes.size()) != la_ssize_t(bytes.size()))
            fail();
        result.bytes += bytes.size();
    }
    void close() {
        if (archive_write_close(archive_) != ARCHIVE_OK) fail();
    }

    Diff result;

private:
    static la_ssize_t pass(archive*, void* self, const void* data, size_t size) {
        auto* writer = static_cast<Writer*>(self);
        try {
            writer->sink_({static_cast<const char*>(data), size});
            return la_ssize_t(size);
        } catch (...) {  // libarchive is C: kept until we are back
            writer->error_ = std::current_exception();
            return -1;
        }
    }
    [[noreturn]] void fail() {
        if (error_) std::rethrow_exception(error_);
        const char* why = archive_error_string(archive_);
        throw Error("writing a layer: ", why ? why : "unknown");
    }

    const Sink& sink_;
    archive* archive_;
    std::exception_ptr error_;
};

struct Entry {
    struct Free {
        void operator()(archive_entry* entry) const { archive_entry_free(entry); }
    };
    std::unique_ptr<archive_entry, Free> handle{archive_entry_new()};
    archive_entry* get() const { return handle.get(); }
};

bool is_opaque(int dir) {
    char value[2];
    return ::fgetxattr(dir, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

bool belongs_in_layer(std::string_view xattr) {
    return xattr == "security.capability" || xattr.starts_with("user.") ||
           xattr == "system.posix_acl_access" || xattr == "system.posix_acl_default";
}

void add_xattrs(archive_entry* entry, const std::string& path) {
    char names[65536];
    const ssize_t length = ::llistxattr(path.c_str(), names, sizeof names);
    if (length <= 0) return;  // a file system without xattrs has none
    std::vector<std::string> sorted;
    for (const char* name = names; name < names + length; name += std::string_view(name).size() + 1)
        if (belongs_in_layer(name) && !std::string_view(name).starts_with("user.overlay."))
            sorted.emplace_back(name);
    std::ranges::sort(sorted);
    for (const std::string& name : sorted) {
        char value[65536];
        const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value, sizeof value);
        if (size >= 0) archive_entry_xattr_add_entry(entry, name.c_str(), value, size_t(size));
    }
}

class Walk {
public:
    explicit Walk(Writer& writer) : writer_(writer) {}

    // Depth first, names sorted by their bytes. One descriptor however deep the tree is: the way up
    // is "..".
    void tree(UniqueFd top) {
        enter(std::move(top), "");
        while (!levels_.empty()) {
            Level& level = levels_.back();
            if (level.next == level.names.size()) {
                leave();
                continue;
            }
            const std::string& name = level.names[level.next++];
            if (name.starts_with(".wh."))
                throw Error(quoted(below(level.path, name)),
                            ": a name that begins with .wh. cannot be in a layer");
            item(here_.get(), name, below(level.path, name));
        }
    }
    // The root's own entry, which other layers only have if it looks otherwise than the one below.
    void root(int top) {
        const struct stat info = sys::fstat(top);
        Entry entry;
        describe(entry.get(), info, "./");
        add_xattrs(entry.get(), sys::proc_fd(top));
        writer_.header(entry.get());
    }

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
        if (!path.empty() && is_opaque(here_.get())) marker(path + "/.wh..wh..opq");
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
    void marker(const std::string& path) {
        Entry entry;
        archive_entry_copy_pathname(entry.get(), path.c_str());
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_perm(entry.get(), 0);
        archive_entry_set_size(entry.get(), 0);
        archive_entry_set_mtime(entry.get(), 0, 0);
        writer_.header(entry.get());
    }

    static void describe(archive_entry* entry, const struct stat& info, const std::string& name) {
        archive_entry_copy_pathname(entry, name.c_str());
        archive_entry_set_filetype(entry, info.st_mode & S_IFMT);
        archive_entry_set_perm(entry, info.st_mode & 07777);
        archive_entry_set_uid(entry, info.st_uid);
        archive_entry_set_gid(entry, info.st_gid);
        archive_entry_set_mtime(entry, info.st_mtim.tv_sec, 0);
        archive_entry_set_size(entry, S_ISREG(info.st_mode) ? info.st_size : 0);
    }

    void item(int dir, const std::string& name, const std::string& path) {
        struct stat info{};
        if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
            throw SysError("stat ", quoted(path));
        if (S_ISSOCK(info.st_mode)) return;
        if (S_ISCHR(info.st_mode) && info.st_rdev == 0) {
            const size_t slash = path.find_last_of('/');
            const size_t at = slash == std::string::npos ? 0 : slash + 1;
            return marker(path.substr(0, at) + ".wh." + path.substr(at));
        }
        Entry entry;
        describe(entry.get(), info, S_ISDIR(info.st_mode) ? path + "/" : path);
        if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
            const auto [first, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, path);
            if (!is_new) {
                archive_entry_copy_hardlink(entry.get(), first->second.c_str());
                archive_entry_set_size(entry.get(), 0);
                return writer_.header(entry.get());
            }
        }
        if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode))
            archive_entry_set_rdev(entry.get(), info.st_rdev);
        const std::string via = sys::proc_fd(dir) + "/" + name;
        if (S_ISLNK(info.st_mode)) {
            std::string target(size_t(info.st_size) + 1, '\0');
            const ssize_t length = ::readlinkat(dir, name.c_str(), target.data(), target.size());
            if (length < 0) throw SysError("readlink ", quoted(path));
            target.resize(size_t(length));
            archive_entry_copy_symlink(entry.get(), target.c_str());
        }
        add_xattrs(entry.get(), via);
        writer_.header(entry.get());
        if (S_ISREG(info.st_mode)) content(dir, name, path, info.st_size);
        if (S_ISDIR(info.st_mode))
            enter(sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path);
    }

    void content(int dir, const std::string& name, const std::string& path, off_t size) {
        const UniqueFd file = sys::openat(dir, name, O_RDONLY | O_NOFOLLOW);
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
    Writer& writer_;
    UniqueFd here_;  // the last of levels_
    std::vector<Level> levels_;
    std::unique_ptr<char[]> buffer_;
    std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

static bool looks_as(const std::string& below, const struct stat& top) {
    struct stat info{};
    if (::stat(below.c_str(), &info) < 0) throw SysError("stat ", below);
    return info.st_mode == top.st_mode && info.st_uid == top.st_uid && info.st_gid == top.st_gid;
}

Diff write_layer(const std::string& upper, const std::function<void(std::string_view)>& sink,
                 const std::string& below) {
    Writer writer(sink);
    UniqueFd top = sys::open(upper, O_RDONLY | O_DIRECTORY);
    Walk walk(writer);
    if (!below.empty() && !looks_as(below, sys::fstat(top.get()))) walk.root(top.get());
    walk.tree(std::move(top));
    writer.close();
    return writer.result;
}
