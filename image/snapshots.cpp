// On disk a layer is ROOT/layers/sha256/CHAIN-ID/diff, a directory in overlayfs's form (whiteouts are
// character devices 0:0), and CHAIN-ID/size. It is made aside in ROOT/tmp: applied on an overlay mount of the layers
// below it, so that the kernel does what is hard (a directory's metadata copied up, hard links to lower
// files, whiteouts), then synced, then renamed: what has its final name is complete.

#include "image/snapshots.h"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <algorithm>

#include "base/defer.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/sys.h"
#include "image/apply.h"
#include "image/diff.h"

namespace {

std::string layer_dir(const Store& store, const Digest& chain_id) {
    return str(store.root(), "/layers/", chain_id.algorithm(), "/", chain_id.hex());
}

std::vector<std::string> lower_dirs(const Store& store, Layers layers) {
    std::vector<std::string> dirs;  // overlayfs wants the topmost first
    for (const Digest& chain_id : chain_ids(layers)) dirs.push_back(layer_dir(store, chain_id) + "/diff");
    std::ranges::reverse(dirs);
    return dirs;
}

bool is_empty_directory(const std::string& path) {
    DIR* dir = ::opendir(path.c_str());
    if (!dir) return false;
    int count = 0;
    while (::readdir(dir)) ++count;
    ::closedir(dir);
    return count <= 2;
}

// The root directory of an overlay is the upper one's: a new one looks like the one it hides.
void copy_root_attributes(const std::string& from, const std::string& to) {
    struct stat info{};
    if (::stat(from.c_str(), &info) < 0 || !is_empty_directory(to)) return;
    if (::chown(to.c_str(), info.st_uid, info.st_gid) < 0) throw SysError("chown ", to);
    ::chmod(to.c_str(), info.st_mode & 07777);
    const timespec times[2] = {info.st_atim, info.st_mtim};
    ::utimensat(AT_FDCWD, to.c_str(), times, 0);
}

void set(int context, const char* key, const std::string& value) {
    if (::fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) < 0) throw SysError("overlay ", key, "=", value);
}

// The options of an overlay that takes nothing from the xattrs of an image's layers.
constexpr const char* safe_options[][2] = {{"redirect_dir", "off"}, {"metacopy", "off"}, {"index", "off"}};

// The new mount API takes any number of layers one by one (Linux 6.5); before it all options must fit
// in one page.
bool try_mount_by_layers(const std::vector<std::string>& lowers, const Snapshot& at, bool volatile_) {
    const UniqueFd context(::fsopen("overlay", FSOPEN_CLOEXEC));
    if (!context) return false;
    if (::fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir+", lowers.front().c_str(), 0) < 0) return false;
    for (size_t i = 1; i < lowers.size(); ++i) set(context.get(), "lowerdir+", lowers[i]);
    if (!at.upper.empty()) {
        set(context.get(), "upperdir", at.upper);
        set(context.get(), "workdir", at.work);
        for (const auto& [key, value] : safe_options) set(context.get(), key, value);
        if (volatile_ && ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "volatile", nullptr, 0) < 0) throw SysError("overlay volatile");
    }
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) throw SysError("mount the overlay on ", at.target);
    const UniqueFd mounted(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    if (!mounted) throw SysError("mount the overlay on ", at.target);
    if (::move_mount(mounted.get(), "", AT_FDCWD, at.target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
        throw SysError("mount the overlay on ", at.target);
    return true;
}

void mount_overlay(const std::vector<std::string>& lowers, const Snapshot& at, bool volatile_) {
    if (try_mount_by_layers(lowers, at, volatile_)) return;
    std::string options = "lowerdir=" + join(lowers, ":");
    if (!at.upper.empty()) {
        options += str(",upperdir=", at.upper, ",workdir=", at.work);
        for (const auto& [key, value] : safe_options) options += str(",", key, "=", value);
        if (volatile_) options += ",volatile";
    }
    if (options.size() >= 4096)
        throw Error(lowers.size(), " layers are too many for this kernel's mount options: Linux 6.5 takes more");
    sys::mount("overlay", at.target, "overlay", 0, options);
}

// Once for all files of a layer: much cheaper than fsync for each.
void sync_file_system(const std::string& path) {
    const UniqueFd fd = sys::open(path, O_RDONLY | O_DIRECTORY);
    check(::syncfs(fd.get()), "syncfs");
}

// WORK (which holds diff/) becomes the layer, complete.
void publish(const Store& store, const Digest& chain_id, const std::string& work, uint64_t bytes) {
    write_file(work + "/size", std::to_string(bytes));
    ::chmod(work.c_str(), 0755);
    sync_file_system(work);
    const std::string final_path = layer_dir(store, chain_id);
    sys::make_directories(str(store.root(), "/layers/", chain_id.algorithm()), 0755);
    if (::rename(work.c_str(), final_path.c_str()) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        throw SysError("rename ", work, " to ", final_path);
    sys::fsync_directory(str(store.root(), "/layers/", chain_id.algorithm()));
}

Applied apply_verified(const Store& store, const spec::Descriptor& layer, const Digest& diff_id, const std::string& directory) {
    return context("layer " + layer.digest, [&] {
        const UniqueFd blob = store.open_blob(Digest(layer.digest));
        const Applied applied = apply_layer(blob.get(), directory);
        if (applied.diff_id != diff_id)
            throw Error("its content has the diff ID ", applied.diff_id.text(), ", but the image's config says ", diff_id.text());
        return applied;
    });
}

}  // namespace

std::vector<Digest> chain_ids(Layers diff_ids) {
    std::vector<Digest> ids;
    for (const Digest& diff_id : diff_ids)
        ids.push_back(ids.empty() ? diff_id : digest_of(ids.back().text() + " " + diff_id.text()));
    return ids;
}

bool Snapshots::has_top(Layers layers) const { return sys::exists(layer_dir(store_, chain_ids(layers).back()) + "/size"); }

std::optional<uint64_t> Snapshots::top_size(Layers layers) const {
    const auto text = read_file_if_exists(layer_dir(store_, chain_ids(layers).back()) + "/size", 64);
    return text ? parse_number<uint64_t>(*text) : std::nullopt;
}

void Snapshots::unpack(const Image& image) const {
    const std::vector<Digest> all = image.diff_ids();
    for (size_t i = 0; i < all.size(); ++i) {
        const Layers stack(all.data(), i + 1);
        if (has_top(stack)) continue;
        // Who comes second waits here, and then finds it done.
        sys::make_directories(store_.root() + "/layers/locks", 0700);
        const FileLock alone(str(store_.root(), "/layers/locks/", chain_ids(stack).back().hex()));
        if (has_top(stack)) continue;
        Progress progress("unpacking " + Digest(image.manifest.layers[i].digest).short_hex());
        const Applied applied = unpack_top(image.manifest.layers[i], stack);
        progress.add(applied.bytes);
        progress.finish();
    }
}

Applied Snapshots::unpack_top(const spec::Descriptor& blob, Layers layers) const {
    WorkDir work = store_.work_dir("layer");
    const std::string diff = work.path() + "/diff";
    sys::mkdir(diff, 0755);
    ::chmod(diff.c_str(), 0755);  // whatever the umask was
    Applied applied;
    if (layers.size() == 1) {
        applied = apply_verified(store_, blob, layers.back(), diff);
    } else {
        const Snapshot at{.layers = {layers.begin(), layers.end() - 1}, .upper = diff,
                          .work = work.path() + "/work", .target = work.path() + "/merged"};
        mount(at, true);
        const Defer unmounted([&] { attempt("unmounting a layer", [&] { unmount(at.target); }); });
        applied = apply_verified(store_, blob, layers.back(), at.target);
    }
    for (const char* name : {"/work", "/merged"}) sys::remove_tree(work.path() + name);
    publish(store_, chain_ids(layers).back(), work.path(), applied.bytes);
    return applied;
}

void Snapshots::mount(const Snapshot& snapshot, bool volatile_) const {
    sys::make_directories(snapshot.target, 0755);
    std::vector<std::string> lowers = lower_dirs(store_, snapshot.layers);
    std::string nothing;  // overlayfs needs a lower directory
    if (lowers.empty()) {
        nothing = store_.root() + "/layers/empty";
        sys::make_directories(nothing, 0755);
        lowers.push_back(nothing);
    }
    if (!snapshot.upper.empty()) {
        sys::make_directories(snapshot.upper, 0755);
        sys::make_directories(snapshot.work, 0755);
        copy_root_attributes(lowers.front(), snapshot.upper);
    } else if (lowers.size() == 1) {
        lowers.push_back(store_.root() + "/layers/empty");  // read-only overlays need two
        sys::make_directories(lowers.back(), 0755);
    }
    mount_overlay(lowers, snapshot, volatile_);
}

void Snapshots::unmount(const std::string& target) { sys::umount(target, MNT_DETACH | UMOUNT_NOFOLLOW); }

Snapshots::NewLayer Snapshots::commit(const std::string& upper, Layers below) const {
    NewLayer layer;
    BlobWriter blob = store_.new_blob();
    const Diff diff = write_layer(upper, [&](std::string_view data) { blob.write(data); });
    layer.blob = blob.commit(spec::media::layer);
    layer.diff_id = Digest(layer.blob.digest);  // of a plain tar the two are one
    layer.empty = diff.entries == 0;
    std::vector<Digest> stack(below.begin(), below.end());
    stack.push_back(layer.diff_id);
    if (has_top(stack)) return layer;
    WorkDir work = store_.work_dir("layer");
    sys::rename(upper, work.path() + "/diff");
    publish(store_, chain_ids(stack).back(), work.path(), diff.bytes);
    return layer;
}

void Snapshots::flatten(const Image& image, const std::string& directory) const {
    const std::vector<Digest> all = image.diff_ids();
    for (size_t i = 0; i < all.size(); ++i) apply_verified(store_, image.manifest.layers[i], all[i], directory);
}
