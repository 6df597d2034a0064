// Of a container that runs, its own root is used, as its processes see it: with volumes, tmpfs and
// what is read-only there. Of one that does not, a volume is not mounted, and a path that begins
// with its place is looked up in the volume's own tree. Links are resolved below whichever of them
// it is.
#include "engine/copy_files.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/root.h"
#include "base/sys.h"
#include "engine/container_root.h"
#include "engine/volumes.h"
#include "image/layer/apply.h"
#include "image/layer/diff.h"

// Of a stopped container the volumes are not mounted: a path in one leads to the volume's own tree.
ContainerFiles::Tree ContainerFiles::tree_of(const std::string& path) const {
    Tree tree{.root = root_, .inside = path, .read_only = container_->settings().read_only};
    if (runs_) return {.root = root_, .inside = path};  // the kernel knows what is read-only
    size_t longest = 0;
    for (const VolumeMount& mount : container_->settings().mounts) {
        const std::string& at = mount.destination;
        const bool in_it = path == at || path.starts_with(at + "/");
        if (!in_it || at.size() < longest) continue;
        longest = at.size();
        tree.root = mount.type == "volume"
                        ? prepare_volume(containers_->store_root(), mount, Root(root_))
                        : mount.source;
        if (!mount.subpath.empty()) tree.root = root_;  // it is not looked for before the start
        tree.inside = path.substr(at.size()), tree.read_only = mount.read_only;
    }
    return tree;
}

PlaceKind ContainerFiles::look(const std::string& path) const {
    const Tree tree = tree_of(path);
    const auto found = Root(tree.root).open_if_exists(tree.inside, O_PATH);
    if (!found) return PlaceKind::nothing;
    return S_ISDIR(sys::fstat(found->get()).st_mode) ? PlaceKind::directory : PlaceKind::file;
}

// The path without links that it leads to, for who is told to follow them.
static std::string resolved(const Root& root, const std::string& inside) {
    const UniqueFd found = root.open(inside, O_PATH);
    const auto name_of = [](int fd) {
        char text[PATH_MAX];
        const ssize_t n =
            check(::readlink(sys::proc_fd(fd).c_str(), text, sizeof text), "readlink");
        return std::string(text, size_t(n));
    };
    const std::string top = name_of(root.fd()), place = name_of(found.get());
    if (!place.starts_with(top)) return inside;  // it is mounted there, or has gone
    return place.substr(top.size());
}

void ContainerFiles::read(const std::string& path, const std::string& name, bool follow,
                          const std::function<void(std::string_view)>& sink) const try {
    const Tree tree = tree_of(path);
    const Root root(tree.root);
    const std::string inside = follow ? resolved(root, tree.inside) : tree.inside;
    if (name.empty() || inside.find_first_not_of('/') == std::string::npos) {
        const UniqueFd directory = root.open(inside, O_RDONLY | O_DIRECTORY);
        write_layer_of_copy(sys::proc_fd(directory.get()) + "/.", name, false, {}, sink);
        return;
    }
    const Root::Place place = root.place(inside);
    write_layer_of_copy(sys::proc_fd(place.parent.get()) + "/" + place.name, name, false, {}, sink);
} catch (const SysError& e) {
    if (e.code() != ENOENT) throw;
    throw Error("Could not find the file ", path, " in container ", container_->settings().name);
}

void ContainerFiles::write(const std::string& directory, int tar, bool keep_owners) const {
    const Tree tree = tree_of(directory);
    if (tree.read_only)
        throw Error("container rootfs is marked read-only, or the volume is: ", directory);
    const UniqueFd to = Root(tree.root).open(tree.inside, O_RDONLY | O_DIRECTORY);
    ApplyOptions options{.whiteouts = false};
    if (!keep_owners) options.owner = {0, 0};
    check(::lseek(tar, 0, SEEK_SET), "reading the archive");
    apply_layer(tar, sys::proc_fd(to.get()), options);
}

void with_files_of(const Containers& containers, const Container& container,
                   const std::function<void(const ContainerFiles&)>& use) {
    with_root_of(containers, container, [&](const std::string& rootfs) {
        ContainerFiles files;
        files.containers_ = &containers, files.container_ = &container, files.root_ = rootfs;
        const State state = container.state();
        UniqueFd seen;  // its own root, with all that is mounted there
        if (state.status == "running" || state.status == "paused") {
            seen = sys::open(str("/proc/", state.pid, "/root"), O_PATH | O_DIRECTORY);
            if (!is_alive(state.pid, state.pid_started))
                throw Error("container ", container.id(), " is not running");
            files.runs_ = true, files.root_ = sys::proc_fd(seen.get());
        }
        use(files);
    });
}
