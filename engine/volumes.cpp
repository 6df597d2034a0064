// What is hard: two containers that start at once fill one volume, and either may be killed at it.
// So a volume is filled under its lock, beside its directory:
//
//     filling.RANDOM    what is just being copied; left by a killed one, it is thrown away
//     filled            a whole copy; whoever finds it goes on from here
//     _data             the volume. It appears by a rename, and is never removed again, empty
//                       or not: a running container may have it mounted
//
// An empty volume that was there before gets the copy entry by entry, as Docker fills it too. All
// of it is below a directory that only root may enter: what a container's root makes there (a
// set-user-ID program) is out of reach for the host's users, and containers come to it by their
// mounts alone.
#include "engine/volumes.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "base/copy_tree.h"
#include "base/directory.h"
#include "base/error.h"
#include "base/sys.h"

namespace {

bool is_empty(const std::string& directory) { return names_in(directory).empty(); }

// Both are tried to be as they should be, also where an older keg has made them.
void make_private(const std::string& directory) {
    sys::make_directories(directory, 0700);
    check(::chmod(directory.c_str(), 0700), "chmod ", directory);
}

void forget_unfinished(const std::string& volume) {
    for (const std::string& name : names_in(volume))
        if (name.starts_with("filling.")) sys::remove_tree(volume + "/" + name);
}

void copy_beside(const UniqueFd& source, const std::string& volume) {
    const std::string filling = volume + "/filling." + random_id().substr(0, 16);
    sys::mkdir(filling, 0755);
    const UniqueFd target = sys::open(filling, O_RDONLY | O_DIRECTORY);
    context("copying the image's content to the volume",
            [&] { copy_tree(source.get(), target.get(), Likeness::full); });
    check(::syncfs(target.get()), "syncing ",
          filling);  // after a power cut it is whole, or not there
    sys::rename(filling, volume + "/filled");
}

// Into a directory that is there: containers may have it mounted.
void move_in(const std::string& filled, const std::string& data) {
    for (const std::string& name : names_in(filled)) {
        const std::string to = data + "/" + name;
        if (::renameat2(AT_FDCWD, (filled + "/" + name).c_str(), AT_FDCWD, to.c_str(),
                        RENAME_NOREPLACE) < 0 &&
            errno != EEXIST)
            throw SysError("filling ", to);
    }
    // What is left is empty, or a container has made something of that name meanwhile.
    const UniqueFd from = sys::open(filled, O_RDONLY | O_DIRECTORY);
    const struct stat info = sys::fstat(from.get());
    check(::chown(data.c_str(), info.st_uid, info.st_gid), "chown ", data);
    check(::chmod(data.c_str(), info.st_mode & 07777), "chmod ", data);
    sys::remove_tree(filled);
}

}  // namespace

std::string prepare_volume(const std::string& store_root, const VolumeMount& mount,
                           const Root& root) {
    const std::string volume = store_root + "/volumes/" + mount.source, data = volume + "/_data",
                      filled = volume + "/filled";
    make_private(store_root + "/volumes");
    make_private(volume);
    const FileLock lock(volume + "/lock");
    forget_unfinished(volume);
    if (!mount.no_copy && mount.subpath.empty() && !sys::exists(filled) &&
        (!sys::exists(data) || is_empty(data)))
        if (const auto source = root.open_if_exists(mount.destination, O_DIRECTORY | O_RDONLY))
            if (!sys::exists(data) || !is_empty(sys::proc_fd(source->get())))
                copy_beside(*source, volume);
    if (!sys::exists(filled)) {
        if (!sys::exists(data)) sys::mkdir(data, 0755);
    } else if (!sys::exists(data)) {
        sys::rename(filled, data);
    } else {
        move_in(filled, data);
    }
    return data;
}

// Whether another container names it; one that cannot be read may.
static bool is_used_by_others(const Containers& containers, const Container& container,
                              const std::string& volume) {
    const auto names_it = [&](const Container& other) {
        const auto& mounts = other.settings().mounts;
        return other.id() != container.id() &&
               std::ranges::find(mounts, volume, &VolumeMount::source) != mounts.end();
    };
    return !containers.damaged().empty() || std::ranges::any_of(containers.list(), names_it);
}

void remove_anonymous_volumes(const Containers& containers, const Container& container) {
    for (const VolumeMount& mount : container.settings().mounts) {
        if (mount.type != "volume" || !mount.anonymous) continue;
        attempt("removing a volume", [&] {
            if (is_used_by_others(containers, container, mount.source)) return;
            sys::remove_tree(containers.store_root() + "/volumes/" + mount.source);
        });
    }
}
