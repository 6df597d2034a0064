// A mount may be there after a kill, or half of them, or none: taking back looks at what is there,
// and what is no mount is passed over. The directories go last, when nothing is mounted on them.
#include "engine/host_mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/root.h"
#include "base/sys.h"

static std::string make_place_for(const Container& container, const std::string& name) {
    const std::string place = container.file("mounts") + "/" + name;
    sys::make_directories(place, 0700);
    return place;
}

std::string shared_memory_of(const Container& container) {
    return container.file("mounts") + "/shm";
}

std::string mount_shared_memory(const Container& container) {
    const std::string place = make_place_for(container, "shm"),
                      options = str("mode=1777,size=", container.settings().shm_size);
    check(::mount("shm", place.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()),
          "mounting ", place);
    return place;
}

std::string mount_part(const Container& container, size_t number, const std::string& tree,
                       const std::string& subpath) {
    const auto part = Root(tree).open_if_exists(subpath, O_PATH);
    if (!part) throw Error("cannot access path ", tree, "/", subpath, ": ", errno_text(ENOENT));
    std::string place = make_place_for(container, str(number));
    if (!S_ISDIR(sys::fstat(part->get()).st_mode)) {
        place += "/file";
        sys::open(place, O_WRONLY | O_CREAT, 0600);
    }
    check(::mount(sys::proc_fd(part->get()).c_str(), place.c_str(), nullptr, MS_BIND | MS_REC,
                  nullptr),
          "mounting ", place);
    return place;
}

void unmount_all(const Container& container) {
    const std::string all = container.file("mounts");
    if (!sys::exists(all)) return;
    for (const std::string& name : names_in(all))
        for (const std::string& place : {all + "/" + name + "/file", all + "/" + name})
            if (::umount2(place.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL &&
                errno != ENOENT && errno != ENOTDIR)
                throw SysError("unmounting ", place);
    sys::remove_tree(all);
}
