// What is hard: the program that runs in between is a stranger. It may rename a directory, or put a
// link where one was: a path that led to a file we made leads elsewhere afterwards, out to the host
// if it is followed there. So the directories of the upper layer are held by descriptors from
// before, and what is taken back is a name in one of them that has still the inode we made.
//
// And what was made leaves a trace: overlayfs copies a directory up to write in it, and its time is
// another. A directory that nobody has touched since gets its times back; if it is in the upper
// layer for our sake only, it goes.
#include "builder/steps/mount_places.h"

#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/sys.h"
#include "builder/steps/paths.h"

namespace {

struct stat stat_at(int directory, const std::string& name) {
    struct stat info{};
    if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return {};
    return info;
}

void set_times(int directory, const struct stat& to) {
    const timespec times[2] = {to.st_atim, to.st_mtim};
    check(::futimens(directory, times), "putting a directory's times back");
}

}  // namespace

MountPlaces::MountPlaces(const std::string& rootfs, const std::string& upper)
    : root_(rootfs), upper_(upper) {}

std::string MountPlaces::make(const std::string& inside, Kind kind) {
    const auto place = [&](const std::string& path, bool is_last) -> std::optional<std::string> {
        const auto there = root_.open_if_exists(path, O_PATH | O_NOFOLLOW);
        if (!there) {
            const std::string parent = parent_path(path);
            make_one(parent.empty() ? "" : "/" + parent, path.substr(path.rfind('/') + 1),
                     is_last ? kind : Kind::directory);
            return {};
        }
        if (!S_ISLNK(sys::fstat(there->get()).st_mode)) return {};
        return link_target(there->get(), path);
    };
    return "/" + follow_path(inside, place);
}

void MountPlaces::make_one(const std::string& parent, const std::string& name, Kind kind) {
    const size_t directory = enter(parent);
    const UniqueFd merged = root_.open(parent.empty() ? "/" : parent, O_RDONLY | O_DIRECTORY);
    if (kind == Kind::directory)
        check(::mkdirat(merged.get(), name.c_str(), 0755), "making ", parent, "/", name);
    else
        sys::openat(merged.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
    // From here the directory and all above it are in the upper layer.
    for (Directory& each : directories_)
        if (!each.upper) each.upper = upper_.open(each.path, O_RDONLY | O_DIRECTORY);
    made_.push_back({.directory = directory,
                     .name = name,
                     .inode = stat_at(directories_[directory].upper.get(), name).st_ino,
                     .kind = kind});
}

// Looks at a directory before it is changed.
size_t MountPlaces::enter(const std::string& path) {
    const auto known = std::ranges::find(directories_, path, &Directory::path);
    if (known != directories_.end()) return size_t(known - directories_.begin());
    Directory directory;
    directory.path = path;
    if (!path.empty()) {
        directory.name = path.substr(path.rfind('/') + 1);
        directory.parent = enter(path.substr(0, path.rfind('/')));
    }
    directory.before = sys::fstat(root_.open(path.empty() ? "/" : path, O_PATH).get());
    directory.was_in_upper = path.empty() || upper_.open_if_exists(path, O_PATH).has_value();
    if (path.empty()) directory.upper = upper_.open("/", O_RDONLY | O_DIRECTORY);
    directories_.push_back(std::move(directory));
    return directories_.size() - 1;
}

void MountPlaces::note() {
    for (Directory& directory : directories_) directory.noted = sys::fstat(directory.upper.get());
}

void MountPlaces::take_back() {
    // As the RUN has left them: ctime tells of any change, mtime of one of the entries.
    std::vector<struct stat> left;
    for (const Directory& directory : directories_)
        left.push_back(sys::fstat(directory.upper.get()));

    std::ranges::reverse(made_);  // deepest first
    for (const Made& made : made_) {
        const int directory = directories_[made.directory].upper.get();
        const struct stat info = stat_at(directory, made.name);
        if (info.st_ino != made.inode) continue;  // another one by now
        const bool is_empty_file =
            made.kind == Kind::file && S_ISREG(info.st_mode) && info.st_size == 0;
        // ENOTEMPTY: something was put there.
        if (is_empty_file || S_ISDIR(info.st_mode))
            ::unlinkat(directory, made.name.c_str(), is_empty_file ? 0 : AT_REMOVEDIR);
    }
    for (size_t i = directories_.size(); i-- > 0;) {
        const Directory& directory = directories_[i];
        if (!sys::same_time(left[i].st_ctim, directory.noted.st_ctim)) {
            set_times(directory.upper.get(),
                      sys::same_time(left[i].st_mtim, directory.noted.st_mtim) ? directory.before
                                                                               : left[i]);
            continue;
        }
        set_times(directory.upper.get(), directory.before);
        const int parent = directories_[directory.parent].upper.get();
        if (!directory.was_in_upper && stat_at(parent, directory.name).st_ino == left[i].st_ino)
            ::unlinkat(parent, directory.name.c_str(), AT_REMOVEDIR);
    }
}
