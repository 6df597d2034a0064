// What is hard: a start leaves traces in the container's own files. For each mount the runtime
// makes what it mounts on, with the directories above; keg puts /.dockerenv and /etc/mtab there;
// and overlayfs copies up whatever directory that happens in. None of that is the container's
// doing, and it must not be in its image, where a next start finds it for a file of the image's.
//
// The traces are known by what they are now: an empty directory or file where something is mounted,
// that the image has not. What the container has put there since makes it the container's.
#include "engine/traces.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "spec/runtime.h"

namespace {

std::string parent_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

// Where that path leads in the tree, without links and without a slash before it; nothing if it
// leads nowhere.
std::optional<std::string> place_in(const Root& root, const std::string& inside) {
    const auto found = root.open_if_exists(inside, O_PATH);
    if (!found) return {};
    const auto name_of = [](int fd) {
        char text[PATH_MAX];
        const ssize_t n =
            check(::readlink(sys::proc_fd(fd).c_str(), text, sizeof text), "readlink");
        return std::string(text, size_t(n));
    };
    const std::string top = name_of(root.fd()) + "/", place = name_of(found->get());
    return place.starts_with(top) ? std::optional(place.substr(top.size())) : std::nullopt;
}

struct Traces {
    const Root& upper;  // what the container wrote
    const Root& below;  // its image
    std::set<std::string> found = {};

    void note_mount(const std::string& place);
    void note_file(const std::string& place, mode_t type);
    void note_directories_above(std::string place);

private:
    std::optional<UniqueFd> in_upper_alone(const std::string& place) const;
    bool holds_more(int directory, const std::string& place) const;
    bool is_as_below(int directory, const std::string& place) const;
};

std::optional<UniqueFd> Traces::in_upper_alone(const std::string& place) const {
    if (below.open_if_exists(place, O_PATH | O_NOFOLLOW)) return {};
    return upper.open_if_exists(place, O_PATH | O_NOFOLLOW);
}

// An empty file or directory.
void Traces::note_mount(const std::string& place) {
    const auto there = in_upper_alone(place);
    if (!there) return;
    const struct stat info = sys::fstat(there->get());
    const bool is_empty = S_ISDIR(info.st_mode) ? !holds_more(there->get(), place)
                                                : S_ISREG(info.st_mode) && info.st_size == 0;
    if (is_empty) found.insert(place);
}

void Traces::note_file(const std::string& place, mode_t type) {
    const auto there = in_upper_alone(place);
    if (there && (sys::fstat(there->get()).st_mode & S_IFMT) == type) found.insert(place);
}

// Those that are there only for what was found in them.
void Traces::note_directories_above(std::string place) {
    while (!(place = parent_of(place)).empty()) {
        const auto there = upper.open_if_exists(place, O_PATH | O_NOFOLLOW | O_DIRECTORY);
        if (!there || holds_more(there->get(), place)) return;
        if (below.open_if_exists(place, O_PATH | O_NOFOLLOW) && !is_as_below(there->get(), place))
            return;
        found.insert(place);
    }
}

bool Traces::holds_more(int directory, const std::string& place) const {
    return std::ranges::any_of(names_in(directory, place), [&](const std::string& name) {
        return !found.contains(place + "/" + name);
    });
}

bool Traces::is_as_below(int directory, const std::string& place) const {
    const auto same = below.open_if_exists(place, O_PATH | O_NOFOLLOW | O_DIRECTORY);
    if (!same) return false;
    char value;
    const bool is_opaque = ::getxattr(sys::proc_fd(directory).c_str(), "trusted.overlay.opaque",
                                      &value, sizeof value) == 1;
    const struct stat now = sys::fstat(directory), before = sys::fstat(same->get());
    return !is_opaque && now.st_mode == before.st_mode && now.st_uid == before.st_uid &&
           now.st_gid == before.st_gid;
}

}  // namespace

std::set<std::string> traces_of_starts(const Container& container, const Root& merged,
                                       const Root& upper, const Root& below) {
    const auto config = read_file_if_exists(container.file("config.json"));
    if (!config) return {};  // it was never started
    Traces traces{.upper = upper, .below = below};
    std::vector<std::string> places;
    for (const spec::Mount& mount : spec::read_config(*config).mounts)
        if (auto place = place_in(merged, mount.destination)) places.push_back(std::move(*place));
    // The deeper first: one mount may be in another.
    std::ranges::sort(places, std::greater());
    for (const std::string& place : places) traces.note_mount(place);
    traces.note_file(".dockerenv", S_IFREG);
    traces.note_file("etc/mtab", S_IFLNK);
    places.push_back("etc/mtab");
    std::ranges::sort(places, std::greater());
    for (const std::string& place : places) traces.note_directories_above(place);
    return traces.found;
}
