// On disk a layer is ROOT/layers/sha256/CHAIN-ID/diff, a directory in overlayfs's form (whiteouts
// are character devices 0:0), with CHAIN-ID/size and CHAIN-ID/blobs (the compressed blobs that are
// known to hold this layer's tar). It is made aside in ROOT/tmp: applied on an overlay mount of the
// layers below it, so that the kernel does what is hard (a directory's metadata copied up, hard
// links to lower files, whiteouts), then synced, then renamed: what has its final name is complete.

#include "image/snapshots.h"

#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <algorithm>

#include "base/defer.h"
#include "base/directory.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/sys.h"
#include "image/compare.h"
#include "image/layer/apply.h"
#include "image/layer/diff.h"
#include "image/layer/inflate.h"

namespace {

std::string layer_dir(const Store& store, const Digest& chain_id) {
    return str(store.root(), "/layers/", chain_id.algorithm(), "/", chain_id.hex());
}

// What is below the first layer.
std::string empty_layer(const Store& store) {
    const std::string path = store.root() + "/layers/empty";
    sys::make_directories(path, 0755);
    return path;
}

std::vector<std::string> lower_dirs(const Store& store, Layers layers) {
    std::vector<std::string> dirs;  // overlayfs wants the topmost first
    for (const Digest& chain_id : chain_ids(layers))
        dirs.push_back(layer_dir(store, chain_id) + "/diff");
    std::ranges::reverse(dirs);
    return dirs;
}

// The root directory of an overlay is the upper one's: a new one looks like the one it hides.
void copy_root_attributes(const std::string& from, const std::string& to) {
    struct stat info{};
    if (::stat(from.c_str(), &info) < 0 || !names_in(to).empty()) return;
    if (::chown(to.c_str(), info.st_uid, info.st_gid) < 0) throw SysError("chown ", to);
    ::chmod(to.c_str(), info.st_mode & 07777);
    const timespec times[2] = {info.st_atim, info.st_mtim};
    ::utimensat(AT_FDCWD, to.c_str(), times, 0);
}

void set(int context, const char* key, const std::string& value) {
    if (::fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) < 0)
        throw SysError("overlay ", key, "=", value);
}

constexpr size_t most_layers = 500;  // OVL_MAX_STACK of fs/overlayfs

// The options of an overlay that takes nothing from the xattrs of an image's layers.
constexpr const char* safe_options[][2] = {
    {"redirect_dir", "off"}, {"metacopy", "off"}, {"index", "off"}};

// The new mount API takes any number of layers one by one (Linux 6.5); before it all options must
// fit in one page.
bool try_mount_by_layers(const std::vector<std::string>& lowers, const Snapshot& at,
                         bool volatile_) {
    const UniqueFd context(::fsopen("overlay", FSOPEN_CLOEXEC));
    if (!context) return false;
    if (::fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir+", lowers.front().c_str(), 0) < 0)
        return false;
    for (size_t i = 1; i < lowers.size(); ++i) set(context.get(), "lowerdir+", lowers[i]);
    if (!at.upper.empty()) {
        set(context.get(), "upperdir", at.upper);
        set(context.get(), "workdir", at.work);
        for (const auto& [key, value] : safe_options) set(context.get(), key, value);
        if (volatile_ && ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "volatile", nullptr, 0) < 0)
            throw SysError("overlay volatile");
    }
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
        throw SysError("mount the overlay on ", at.target);
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
        throw Error(lowers.size(),
                    " layers are too many for this kernel's mount options: Linux 6.5 takes more");
    sys::mount("overlay", at.target, "overlay", 0, options);
}

// Once for all files of a layer: much cheaper than fsync for each.
void sync_file_system(const std::string& path) {
    const UniqueFd fd = sys::open(path, O_RDONLY | O_DIRECTORY);
    check(::syncfs(fd.get()), "syncfs");
}

// WORK (which holds diff/) becomes the layer, complete.
void publish(const Store& store, const Digest& chain_id, const std::string& work, uint64_t bytes) {
    write_file(work + "/size", std::to_string(bytes), 0600);
    sync_file_system(work);
    const std::string final_path = layer_dir(store, chain_id);
    sys::make_directories(str(store.root(), "/layers/", chain_id.algorithm()), 0700);
    if (::rename(work.c_str(), final_path.c_str()) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        throw SysError("rename ", work, " to ", final_path);
    sys::fsync_directory(str(store.root(), "/layers/", chain_id.algorithm()));
}

// Of a plain tar the two digests are one.
bool is_plain(const spec::Descriptor& layer, const Digest& diff_id) {
    return layer.digest == diff_id.text();
}

void expect_digests(const spec::Descriptor& layer, const Digest& diff_id, const Digest& blob,
                    const Digest& tar) {
    if (!is_plain(layer, diff_id) && blob.text() != layer.digest)
        throw Error("the blob is damaged in the store: its bytes have the digest ", blob.text());
    if (tar != diff_id)
        throw Error("its content has the diff ID ", tar.text(), ", but the image's config says ",
                    diff_id.text());
}

Applied apply_verified(const Store& store, const spec::Descriptor& layer, const Digest& diff_id,
                       const std::string& directory) {
    return context("layer " + layer.digest, [&] {
        const UniqueFd blob = store.open_blob(Digest(layer.digest));
        const Applied applied =
            apply_layer(blob.get(), directory, {.hash_blob = !is_plain(layer, diff_id)});
        expect_digests(layer, diff_id, applied.blob, applied.diff_id);
        return applied;
    });
}

// Is it known that this blob holds the tar of the unpacked layer at `directory`?
bool is_known(const spec::Descriptor& layer, const Digest& diff_id, const std::string& directory) {
    if (is_plain(layer, diff_id)) return true;
    const auto known = read_file_if_exists(directory + "/blobs");
    return known && known->contains(layer.digest + "\n");
}

void note_known(const spec::Descriptor& layer, const Digest& diff_id,
                const std::string& directory) {
    if (!is_plain(layer, diff_id))
        replace_file(directory + "/blobs",
                     read_file_if_exists(directory + "/blobs").value_or("") + layer.digest + "\n",
                     0600);
}

// The layer is unpacked, but was from another blob: this one must hold the same.
void check_blob(const Store& store, const spec::Descriptor& layer, const Digest& diff_id) {
    context("layer " + layer.digest, [&] {
        const UniqueFd blob = store.open_blob(Digest(layer.digest));
        InflatedLayer inflated(blob.get(), InflatedLayer::Hash::tar_and_blob);
        while (!inflated.read().empty()) {
        }
        expect_digests(layer, diff_id, inflated.blob_digest(), inflated.diff_id());
    });
}

}  // namespace

std::vector<Digest> chain_ids(Layers diff_ids) {
    std::vector<Digest> ids;
    for (const Digest& diff_id : diff_ids)
        ids.push_back(ids.empty() ? diff_id : digest_of(ids.back().text() + " " + diff_id.text()));
    return ids;
}

bool Snapshots::has_top(Layers layers) const { return has(chain_ids(layers).back()); }

bool Snapshots::has(const Digest& chain_id) const {
    store_.hold({}, {&chain_id, 1});
    return sys::exists(layer_dir(store_, chain_id) + "/size");
}

std::optional<uint64_t> Snapshots::top_size(Layers layers) const {
    return size(chain_ids(layers).back());
}

std::optional<uint64_t> Snapshots::size(const Digest& chain_id) const {
    const auto text = read_file_if_exists(layer_dir(store_, chain_id) + "/size", 64);
    return text ? parse_number<uint64_t>(*text) : std::nullopt;
}

void Snapshots::unpack(const Image& image) const {
    const std::vector<Digest> all = image.diff_ids();
    if (all.size() > most_layers)
        throw Error("the image has ", all.size(), " layers, but an overlay takes ", most_layers);
    const std::vector<Digest> ids = chain_ids(all);
    for (size_t i = 0; i < all.size(); ++i) {
        const Layers stack(all.data(), i + 1);
        const spec::Descriptor& blob = image.manifest.layers[i];
        const std::string directory = layer_dir(store_, ids[i]);
        if (has(ids[i]) && is_known(blob, all[i], directory)) continue;
        // Who comes second waits here, and then finds it done.
        sys::make_directories(store_.root() + "/layers/locks", 0700);
        const FileLock alone(str(store_.root(), "/layers/locks/", ids[i].hex()));
        if (has(ids[i])) {
            if (is_known(blob, all[i], directory)) continue;
            check_blob(store_, blob, all[i]);
            note_known(blob, all[i], directory);
            continue;
        }
        Progress progress("unpacking " + Digest(blob.digest).short_hex());
        const Applied applied = unpack_top(blob, stack);
        progress.add(applied.bytes);
        progress.finish();
    }
}

// To WORK/diff, in overlayfs's form.
Applied Snapshots::apply_top(const spec::Descriptor& blob, Layers layers,
                             const std::string& work) const {
    const std::string diff = work + "/diff";
    sys::mkdir(diff, 0755);
    ::chmod(diff.c_str(), 0755);  // whatever the umask was
    if (layers.size() == 1) return apply_verified(store_, blob, layers.back(), diff);
    const Snapshot at{.layers = {layers.begin(), layers.end() - 1},
                      .upper = diff,
                      .work = work + "/work",
                      .target = work + "/merged"};
    mount(at, true);
    Applied applied;
    {
        const Defer unmounted([&] { attempt("unmounting a layer", [&] { unmount(at.target); }); });
        applied = apply_verified(store_, blob, layers.back(), at.target);
    }
    for (const char* name : {"/work", "/merged"}) sys::remove_tree(work + name);
    return applied;
}

Applied Snapshots::unpack_top(const spec::Descriptor& blob, Layers layers) const {
    WorkDir work = store_.work_dir("layer");
    const Applied applied = apply_top(blob, layers, work.path());
    note_known(blob, layers.back(), work.path());
    publish(store_, chain_ids(layers).back(), work.path(), applied.bytes);
    return applied;
}

std::string Snapshots::difference(const spec::Descriptor& blob, Layers layers) const {
    const std::string directory = layer_dir(store_, chain_ids(layers).back());
    if (!size(chain_ids(layers).back()) || !sys::exists(directory + "/diff")) return "is not whole";
    const WorkDir work = store_.work_dir("check");
    apply_top(blob, layers, work.path());
    return first_difference(directory + "/diff", work.path() + "/diff");
}

void Snapshots::mount(const Snapshot& snapshot, bool volatile_) const {
    sys::make_directories(snapshot.target, 0755);
    std::vector<std::string> lowers = lower_dirs(store_, snapshot.layers);
    if (lowers.empty()) lowers.push_back(empty_layer(store_));  // overlayfs needs a lower directory
    if (!snapshot.upper.empty()) {
        sys::make_directories(snapshot.upper, 0755);
        sys::make_directories(snapshot.work, 0755);
        copy_root_attributes(lowers.front(), snapshot.upper);
    } else if (lowers.size() == 1) {
        lowers.push_back(empty_layer(store_));  // read-only overlays need two
    }
    mount_overlay(lowers, snapshot, volatile_);
}

void Snapshots::unmount(const std::string& target) {
    sys::umount(target, MNT_DETACH | UMOUNT_NOFOLLOW);
}

Snapshots::NewLayer Snapshots::commit(const std::string& upper, Layers below) const {
    NewLayer layer;
    BlobWriter blob = store_.new_blob();
    const std::string under =
        below.empty() ? empty_layer(store_) : layer_dir(store_, chain_ids(below).back()) + "/diff";
    const Diff diff = write_layer(upper, [&](std::string_view data) { blob.write(data); }, under);
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
    for (size_t i = 0; i < all.size(); ++i)
        apply_verified(store_, image.manifest.layers[i], all[i], directory);
}
