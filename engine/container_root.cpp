// What is hard is that the container may run, or begin to: an overlay whose upper directory is
// mounted must not be mounted a second time. So nobody starts it meanwhile, and of one that runs
// its own mount is read, if it can be seen from here.
#include "engine/container_root.h"

#include <sys/stat.h>

#include "base/error.h"
#include "image/snapshots.h"

static dev_t device_of(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0) throw SysError("stat ", path);
    return info.st_dev;
}

void with_root_of(const Containers& containers, const Container& container,
                  const std::function<void(const std::string& rootfs)>& use) {
    const auto nobody_changes_it = container.begin_change();
    if (!nobody_changes_it) throw Error("No such container: ", container.id());
    const std::string status = container.state().status;
    // While it runs its root is mounted, and may not be mounted a second time.
    if (status == "running" || status == "paused") {
        const std::string rootfs = container.file("rootfs");
        if (device_of(rootfs) == device_of(container.directory()))
            throw Error("container ", quoted(container.settings().name),
                        " runs, but its root is not mounted here: it was started in another mount "
                        "namespace");
        return use(rootfs);
    }
    const Store store(containers.store_root());
    const WorkDir work = store.work_dir("root");
    const Mounted root(Snapshots(store), {.layers = layers_of(container.settings()),
                                          .upper = container.file("upper"),
                                          .work = container.file("work"),
                                          .target = work.path() + "/rootfs"});
    use(root.path());
}
