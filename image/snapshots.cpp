// On disk, for each layer of a stack, ROOT/layers/sha256/CHAIN-ID has
//
//   index, diff/   one of them, both, or none: then an index further up says what the layer says
//   size           bytes of its regular files
//   blobs          the compressed blobs that are known to hold its tar
//   seals          what the index and its tars had of fs-verity when it was made (seals.h)
//
// A layer is a tar or an EROFS image. Which of the two its plain bytes are, they say themselves,
// and no bytes are both: so a ChainID is of one tree. (In what follows, a layer's tar is either.)
// An image must be whole before its entries can be had, a tar's come while it is inflated.
//
// ROOT/layers/kernel and verity say what this kernel can do (index_support.h).
//
// A diff (whiteouts are character devices 0:0) is made aside in ROOT/tmp: applied on an overlay
// mount of the layers below it, so that the kernel does what is hard (a directory's metadata copied
// up, hard links to lower files, whiteouts). An index is made of the headers of the layers' tars as
// these are inflated, on top of the index of the layers below if there is one.

#include "image/snapshots.h"

#include <sys/mount.h>
#include <sys/xattr.h>

#include <algorithm>
#include <ranges>

#include "base/directory.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/sys.h"
#include "image/compare.h"
#include "image/index_support.h"
#include "image/layer/apply.h"
#include "image/layer/attributes.h"
#include "image/layer/erofs_layer.h"
#include "image/layer/erofs_reader.h"
#include "image/layer/erofs_writer.h"
#include "image/layer/inflate.h"
#include "image/layer/tar_file.h"

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

// Those that layers give. What the new one has besides is of the directory that it was made in.
void copy_attributes(const std::string& from, const std::string& to) {
    const auto wanted = layer_xattrs(from + "/.");
    for (const auto& [name, value] : layer_xattrs(to))
        if (!wanted.contains(name) && ::lremovexattr(to.c_str(), name.c_str()) < 0)
            throw SysError("remove ", name, " of ", to);
    for (const auto& [name, value] : wanted)
        if (::lsetxattr(to.c_str(), name.c_str(), value.data(), value.size(), 0) < 0 &&
            errno != EPERM && errno != ENOTSUP)
            throw SysError("set ", name, " of ", to);
}

// The root directory of an overlay is the upper one's: a new one looks like the one it hides.
void copy_root_attributes(const std::string& from, const std::string& to) {
    struct stat info{};
    if (::stat(from.c_str(), &info) < 0 || !names_in(to).empty()) return;
    if (::chown(to.c_str(), info.st_uid, info.st_gid) < 0) throw SysError("chown ", to);
    ::chmod(to.c_str(), root_permissions(info.st_mode & 07777));
    copy_attributes(from, to);
    const timespec times[2] = {info.st_atim, info.st_mtim};
    ::utimensat(AT_FDCWD, to.c_str(), times, 0);
}

constexpr size_t written_at_once = size_t(256) << 10;
constexpr size_t most_layers = 500;   // OVL_MAX_STACK of fs/overlayfs
constexpr size_t layers_at_once = 3;  // that are inflated, each by two threads

// Once for all files of a layer: much cheaper than fsync for each.
void sync_file_system(const std::string& path) {
    const UniqueFd fd = sys::open(path, O_RDONLY | O_DIRECTORY);
    check(::syncfs(fd.get()), "syncfs");
}

// What a layer says is known by its size, which is written before its form.
void note_size(const Store& store, const Digest& chain_id, uint64_t bytes) {
    const std::string directory = layer_dir(store, chain_id);
    sys::make_directories(directory, 0700);
    replace_file(directory + "/size", std::to_string(bytes), 0600);
}

// WORK/FORM ("diff" or "index"), which is on the disk, is the layer's from here on.
void publish(const Store& store, const Digest& chain_id, const std::string& work,
             const std::string& form) {
    const std::string directory = layer_dir(store, chain_id), from = work + "/" + form;
    if (::rename(from.c_str(), (directory + "/" + form).c_str()) < 0 && errno != EEXIST &&
        errno != ENOTEMPTY)
        throw SysError("rename ", from, " to ", directory);
    sys::fsync_directory(directory);
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

InflatedLayer::Hashes hashes_of(const spec::Descriptor& layer, const Digest& diff_id) {
    return {.tar = diff_id.algorithm(),
            .blob = is_plain(layer, diff_id) ? "" : Digest(layer.digest).algorithm()};
}

bool has_intact_tar(const Store& store, const Digest& diff_id) {
    return store.was_intact(diff_id) || store.is_intact({.digest = diff_id.text(), .size = -1});
}

void expect_there(const Store& store, const Digest& diff_id) {
    if (!has_intact_tar(store, diff_id))
        throw Error("its blob is missing or damaged in the store: load or pull the image again");
}

// Others see an empty layer where an image is called a tar.
void expect_kind(const spec::Descriptor& layer, bool is_image) {
    if (is_image == spec::is_erofs_layer(layer.media_type)) return;
    throw Error("it is ", is_image ? "an" : "no", " EROFS image, but its media type is ",
                quoted(layer.media_type));
}

// All of the blob's plain bytes to `take`, verified.
void inflate_to(int blob, const spec::Descriptor& layer, const Digest& diff_id,
                const std::function<void(std::string_view)>& take) {
    InflatedLayer inflated(blob, hashes_of(layer, diff_id));
    read_plain(inflated, take);
    expect_digests(layer, diff_id, inflated.blob_digest(), inflated.diff_id());
    expect_kind(layer, inflated.is_erofs());
}

Applied apply_image(const Store& store, const spec::Descriptor& layer, const Digest& diff_id,
                    const std::string& directory, const ApplyOptions& options) {
    std::optional<WorkDir> work;
    if (is_plain(layer, diff_id)) expect_there(store, diff_id);
    UniqueFd image = store.open_blob(Digest(layer.digest));
    if (!is_plain(layer, diff_id)) {
        work.emplace(store.work_dir("image"));
        const UniqueFd blob = std::move(image);
        image = sys::open(work->path() + "/image", O_RDWR | O_CREAT | O_EXCL, 0600);
        inflate_to(blob.get(), layer, diff_id,
                   [&](std::string_view piece) { sys::write_all(image.get(), piece); });
    }
    ErofsLayer entries(image.get());
    return {.diff_id = diff_id,
            .blob = Digest(layer.digest),
            .bytes = apply_entries(entries, directory, options)};
}

Applied apply_verified(const Store& store, const spec::Descriptor& layer, const Digest& diff_id,
                       const std::string& directory, const Ownership& ownership = {}) {
    return context("layer " + layer.digest, [&] {
        const ApplyOptions options{.hashes = hashes_of(layer, diff_id), .ownership = ownership};
        if (spec::is_erofs_layer(layer.media_type))
            return apply_image(store, layer, diff_id, directory, options);
        const UniqueFd blob = store.open_blob(Digest(layer.digest));
        const Applied applied = apply_layer(blob.get(), directory, options);
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
    if (is_plain(layer, diff_id)) return;
    sys::make_directories(directory, 0700);
    const std::string before = read_file_if_exists(directory + "/blobs").value_or("");
    replace_file(directory + "/blobs", before + layer.digest + "\n", 0600);
}

// The layer is there, but may be from another blob: this one must hold the same.
void expect_known(const Store& store, const spec::Descriptor& layer, const Digest& diff_id,
                  const Digest& chain_id) {
    if (is_known(layer, diff_id, layer_dir(store, chain_id))) return;
    context("layer " + layer.digest, [&] {
        const UniqueFd blob = store.open_blob(Digest(layer.digest));
        inflate_to(blob.get(), layer, diff_id, [](std::string_view) {});
    });
    note_known(layer, diff_id, layer_dir(store, chain_id));
}

// Gives the bytes of the files that it adds, without their holes.
uint64_t add_entries(LayerEntries& entries, FileTree& tree) {
    uint64_t bytes = 0;
    while (const TarEntry* entry = entries.next()) {
        tree.add(*entry);
        if (!entry->segments)
            bytes += entry->size;
        else
            for (const TarEntry::Segment& segment : *entry->segments) bytes += segment.size;
    }
    return bytes;
}

// An index has room for 64 characters to say which tar its device is.
std::string tag_of(const Digest& diff_id) { return diff_id.hex().substr(0, 64); }

// Of a tar that is known to be intact the headers are read.
uint64_t add_tar(int fd, const Digest& diff_id, FileTree& tree) {
    TarFile file(fd);
    tree.begin_layer(tag_of(diff_id));
    uint64_t bytes = 0;
    if (is_erofs(fd)) {
        ErofsLayer image(fd);
        bytes = add_entries(image, tree);
    } else if (file.size() > 0) {
        TarStream tar([&] { return file.read(); },
                      [&](uint64_t count) { return file.skip(count); });
        bytes = add_entries(tar, tree);
    }
    tree.end_layer(file.size());
    return bytes;
}

std::string unpacking(const spec::Descriptor& layer) {
    return "unpacking " + Digest(layer.digest).short_hex();
}

// The plain bytes of a compressed blob become a blob of their own as they pass by.
void inflate_layer(const Store& store, const spec::Descriptor& layer, const Digest& diff_id) {
    const UniqueFd blob = store.open_blob(Digest(layer.digest));
    const bool hash_blob = !store.was_intact(Digest(layer.digest));
    InflatedLayer inflated(blob.get(),
                           {.tar = {}, .blob = hash_blob ? Digest(layer.digest).algorithm() : ""});
    BlobWriter plain = store.new_blob_for_later(diff_id.algorithm());
    Progress progress(unpacking(layer));
    read_plain(inflated, [&](std::string_view piece) {
        plain.write(piece);
        progress.add(piece.size());
    });
    expect_kind(layer, inflated.is_erofs());
    expect_digests(layer, diff_id, hash_blob ? inflated.blob_digest() : Digest(layer.digest),
                   plain.digest());
    plain.commit_later(inflated.is_erofs() ? spec::media::erofs_layer : spec::media::layer);
}

// The layer's plain bytes are a blob under its DiffID, and this one is known to hold them.
void make_plain(const Store& store, const spec::Descriptor& layer, const Digest& diff_id,
                const Digest& chain_id) {
    context("layer " + layer.digest, [&] {
        if (is_plain(layer, diff_id)) return expect_there(store, diff_id);
        if (has_intact_tar(store, diff_id)) return expect_known(store, layer, diff_id, chain_id);
        inflate_layer(store, layer, diff_id);
        note_known(layer, diff_id, layer_dir(store, chain_id));
    });
}

// On top of the tree; gives the bytes of its files.
uint64_t add_layer(const Store& store, const spec::Descriptor& layer, const Digest& diff_id,
                   const Digest& chain_id, FileTree& tree) {
    make_plain(store, layer, diff_id, chain_id);
    return context("layer " + layer.digest, [&] {
        const UniqueFd tar = store.open_blob(diff_id);
        expect_kind(layer, is_erofs(tar.get()));
        return add_tar(tar.get(), diff_id, tree);
    });
}

constexpr size_t any_size = SIZE_MAX;

FileTree read_layer_index(const std::string& path) {
    const std::string index = read_file(path, any_size);
    return context(path, [&] { return read_erofs(std::as_bytes(std::span(index))); });
}

// Gives what of the tree an index cannot say; "": it is written and on the disk.
std::string write_layer_index(const FileTree& tree, const std::string& path) {
    const UniqueFd file = sys::open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (const auto size = write_erofs(tree, file.get()); !size) return size.error();
    sys::fsync(file.get());
    return {};
}

}  // namespace

std::vector<Digest> chain_ids(Layers diff_ids) {
    std::vector<Digest> ids;
    for (const Digest& diff_id : diff_ids)
        ids.push_back(ids.empty() ? diff_id : digest_of(ids.back().text() + " " + diff_id.text()));
    return ids;
}

bool is_empty_layer(const Digest& diff_id) {
    // Of two blocks of zeros.
    return diff_id.text() ==
           "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
}

bool Snapshots::has_index(const Digest& chain_id) const {
    return sys::exists(layer_dir(store_, chain_id) + "/index") && can_mount_indexes(store_);
}

bool Snapshots::has(const Digest& chain_id) const {
    store_.hold({}, {&chain_id, 1});
    return sys::exists(layer_dir(store_, chain_id) + "/diff") || has_index(chain_id);
}

bool Snapshots::can_mount(Layers layers) const { return !missing(layers); }

std::optional<Digest> Snapshots::missing(Layers layers) const {
    const std::vector<Digest> ids = chain_ids(layers);
    for (size_t i = ids.size(); i-- > 0;) {
        store_.hold({}, {&ids[i], 1});
        if (has_index(ids[i])) break;
        if (is_empty_layer(layers[i])) continue;
        if (!sys::exists(layer_dir(store_, ids[i]) + "/diff")) return ids[i];
    }
    return {};
}

std::optional<uint64_t> Snapshots::top_size(Layers layers) const {
    return is_empty_layer(layers.back()) ? 0 : size(chain_ids(layers).back());
}

std::optional<uint64_t> Snapshots::size(const Digest& chain_id) const {
    const auto text = read_file_if_exists(layer_dir(store_, chain_id) + "/size", 64);
    return text ? parse_number<uint64_t>(*text) : std::nullopt;
}

void Snapshots::unpack(const Image& image, Trust trust) const {
    const std::vector<Digest> ids = chain_ids(image.diff_ids());
    if (ids.empty()) return;
    if (ids.size() > most_layers)
        throw Error("the image has ", ids.size(), " layers, but an overlay takes ", most_layers);
    if (!may_mount()) return verify(image, ids);
    if (is_ready(image, ids, trust)) return;
    // Who comes second waits here, and then finds it done.
    sys::make_directories(store_.root() + "/layers/locks", 0700);
    const FileLock alone(str(store_.root(), "/layers/locks/", ids.back().hex()));
    if (is_ready(image, ids, trust)) return;
    if (!missing(image.diff_ids()))
        mend(image, ids, trust);
    else if (!make_index(image, ids, indexed(ids)))
        make_diffs(image, ids);
}

void Snapshots::add_to(FileTree& tree, const Image& image, size_t layer) const {
    const std::vector<Digest> all = image.diff_ids(), ids = chain_ids(all);
    add_layer(store_, image.manifest.layers[layer], all[layer], ids[layer], tree);
}

void Snapshots::verify(const Image& image, std::span<const Digest> ids) const {
    const std::vector<Digest> all = image.diff_ids();
    for (size_t i = 0; i < all.size(); ++i)
        expect_known(store_, image.manifest.layers[i], all[i], ids[i]);
    store_.settle();
}

bool Snapshots::is_ready(const Image& image, std::span<const Digest> ids, Trust trust) const {
    const std::vector<Digest> all = image.diff_ids();
    if (missing(all)) return false;
    const size_t by_index = indexed(ids);
    for (size_t i = 0; i < all.size(); ++i)
        if (!is_known(image.manifest.layers[i], all[i], layer_dir(store_, ids[i])) ||
            (i < by_index && !has_tar(all[i], trust)))
            return false;
    return broken_seal({all.data(), by_index}).empty();
}

// What is wrong with the seals of the topmost layer's index; "": nothing, or it has none.
std::string Snapshots::broken_seal(Layers layers) const {
    if (layers.empty()) return "";
    const Digest chain_id = chain_ids(layers).back();
    const std::string directory = layer_dir(store_, chain_id);
    const Seals seals = Seals::read(directory);
    if (seals.empty() || !has_index(chain_id)) return "";
    std::vector<std::string> files{directory + "/index"};
    for (const Digest& diff_id : layers) files.push_back(store_.blob_path(diff_id));
    for (const std::string& path : files) {
        const auto file = sys::try_open(path, O_RDONLY);
        if (!file && file.error() == ENOENT) continue;  // which is another's to say
        if (!file) return str("has the file ", quoted(path), ": ", errno_text(file.error()));
        if (const std::string fault = seals.fault(path, file->get()); !fault.empty()) return fault;
    }
    return "";
}

// Seals the index and each tar that this process has seen to be right. Those below are.
Seals Snapshots::seal(const std::string& index, Layers layers, Seals below) const {
    if (!can_seal(store_)) return {};
    Seals seals = std::move(below);
    seals.seal(index);
    for (const Digest& diff_id : layers)
        if (store_.was_intact(diff_id)) seals.seal(store_.blob_path(diff_id));
    return seals;
}

bool Snapshots::has_tar(const Digest& diff_id, Trust trust) const {
    return trust == Trust::stored ? store_.has_blob(diff_id) : has_intact_tar(store_, diff_id);
}

// How many of the layers, the lowest first, are used by way of an index.
size_t Snapshots::indexed(std::span<const Digest> ids) const {
    size_t count = ids.size();
    while (count > 0 && !sys::exists(layer_dir(store_, ids[count - 1]) + "/index")) --count;
    return count;
}

void Snapshots::mend(const Image& image, std::span<const Digest> ids, Trust trust) const {
    const std::vector<Digest> all = image.diff_ids();
    const size_t by_index = indexed(ids);
    for (size_t i = 0; i < all.size(); ++i) {
        expect_known(store_, image.manifest.layers[i], all[i], ids[i]);
        if (i >= by_index || has_tar(all[i], trust)) continue;
        FileTree unused;
        add_layer(store_, image.manifest.layers[i], all[i], ids[i], unused);
    }
    store_.settle();
    if (!broken_seal({all.data(), by_index}).empty()) make_index(image, ids.first(by_index), 0);
}

void Snapshots::keep_tar(const spec::Descriptor& layer, const Digest& diff_id,
                         const Digest& chain_id) const {
    if (!may_mount() || !can_mount_indexes(store_)) return;
    make_plain(store_, layer, diff_id, chain_id);
}

// Those of the layers from the first of that number on, several at once.
void Snapshots::keep_tars(const Image& image, std::span<const Digest> ids, size_t first) const {
    const std::vector<Digest> all = image.diff_ids();
    std::set<Digest> seen;
    std::vector<size_t> distinct;
    for (size_t i = first; i < ids.size(); ++i)
        if (seen.insert(all[i]).second) distinct.push_back(i);
    in_parallel(distinct.size(), layers_at_once, [&](size_t each) {
        const size_t i = distinct[each];
        keep_tar(image.manifest.layers[i], all[i], ids[i]);
    });
}

// The tree and the seals of the first so many layers, by their index. Gives how many they are: none
// if that is not what it should be, for the tars say the same.
size_t Snapshots::begin_tree(const Image& image, std::span<const Digest> ids, size_t first,
                             FileTree& tree, Seals& seals) const {
    if (first == 0) return 0;
    try {
        const std::vector<Digest> all = image.diff_ids();
        const std::string below = layer_dir(store_, ids[first - 1]);
        if (const std::string broken = broken_seal({all.data(), first}); !broken.empty())
            throw Error(below, " ", broken);
        tree = read_layer_index(below + "/index");
        seals = Seals::read(below);
        return first;
    } catch (const Error& e) {
        log_warning(e.what());
        return 0;
    }
}

FileTree Snapshots::tree(const Image& image) const {
    const std::vector<Digest> all = image.diff_ids(), ids = chain_ids(all);
    FileTree tree;
    Seals unused;
    for (size_t i = begin_tree(image, ids, indexed(ids), tree, unused); i < ids.size(); ++i)
        add_layer(store_, image.manifest.layers[i], all[i], ids[i], tree);
    return tree;
}

// Of the image's layers that `ids` are of, on top of the index of the first of them if there are
// such. Of each the tar is kept as a blob, which is inflated only if it is not there yet. False if
// the layers must be unpacked.
bool Snapshots::make_index(const Image& image, std::span<const Digest> ids, size_t first) const {
    if (!can_mount_indexes(store_)) return false;
    const std::vector<Digest> all = image.diff_ids();
    FileTree tree;
    Seals seals;
    first = begin_tree(image, ids, first, tree, seals);
    keep_tars(image, ids, first);
    for (size_t i = 0; i < ids.size(); ++i) {
        const spec::Descriptor& blob = image.manifest.layers[i];
        if (i < first) {
            expect_known(store_, blob, all[i], ids[i]);
            continue;
        }
        Progress progress(unpacking(blob));
        const uint64_t bytes = add_layer(store_, blob, all[i], ids[i], tree);
        note_size(store_, ids[i], bytes);
        progress.add(bytes);
        progress.finish();
    }
    const WorkDir work = store_.work_dir("index");
    const auto unsaid = write_layer_index(tree, work.path() + "/index");
    store_.settle();
    if (!unsaid.empty()) {
        log_debug(str("the layers are unpacked: an index cannot say ", unsaid));
        return false;
    }
    seal(work.path() + "/index", {all.data(), ids.size()}, std::move(seals))
        .write(layer_dir(store_, ids.back()));
    publish(store_, ids.back(), work.path(), "index");
    return true;
}

// Where an index or diffs end, diffs go on.
void Snapshots::make_diffs(const Image& image, std::span<const Digest> ids) const {
    const std::vector<Digest> all = image.diff_ids();
    size_t first = all.size();
    while (missing({all.data(), first})) --first;
    for (size_t i = 0; i < all.size(); ++i) {
        const spec::Descriptor& blob = image.manifest.layers[i];
        if (i < first) {
            expect_known(store_, blob, all[i], ids[i]);
            continue;
        }
        std::optional<FileLock> alone;  // the topmost is locked for all of the image
        if (i + 1 < all.size()) alone.emplace(str(store_.root(), "/layers/locks/", ids[i].hex()));
        if (!has(ids[i]) && !is_empty_layer(all[i])) make_diff(blob, {all.data(), i + 1});
    }
}

void Snapshots::make_diff(const spec::Descriptor& blob, Layers layers) const {
    const Digest chain_id = chain_ids(layers).back();
    Progress progress(unpacking(blob));
    const WorkDir work = store_.work_dir("layer");
    const Applied applied = apply_top(blob, layers, work.path());
    note_size(store_, chain_id, applied.bytes);
    note_known(blob, layers.back(), layer_dir(store_, chain_id));
    sync_file_system(work.path());
    publish(store_, chain_id, work.path(), "diff");
    progress.add(applied.bytes);
    progress.finish();
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
    Applied applied;
    {
        const Mounted merged(*this, at, true);
        applied = apply_verified(store_, blob, layers.back(), merged.path());
    }
    for (const char* name : {"/work", "/merged"}) sys::remove_tree(work + name);
    return applied;
}

std::string Snapshots::difference(const spec::Descriptor& blob, Layers layers) const {
    const std::string directory = layer_dir(store_, chain_ids(layers).back());
    std::string wrong;
    try {
        if (sys::exists(directory + "/index")) wrong = difference_of_index(layers);
    } catch (const SysError& e) {  // of a disk, or of fs-verity
        if (e.code() != EIO) throw;
        wrong = str("cannot be read any more: ", e.what());
    }
    if (wrong.empty() && sys::exists(directory + "/diff")) wrong = difference_of_diff(blob, layers);
    return wrong;
}

std::string Snapshots::difference_of_diff(const spec::Descriptor& blob, Layers layers) const {
    const std::string directory = layer_dir(store_, chain_ids(layers).back());
    if (!size(chain_ids(layers).back())) return "is not whole";
    const WorkDir work = store_.work_dir("check");
    apply_top(blob, layers, work.path());
    return first_difference(directory + "/diff", work.path() + "/diff");
}

std::string Snapshots::difference_of_index(Layers layers) const {
    if (std::string broken = broken_seal(layers); !broken.empty()) return broken;
    const std::string index = layer_dir(store_, chain_ids(layers).back()) + "/index";
    FileTree tree;
    for (const Digest& diff_id : layers) {
        if (!store_.has_blob(diff_id)) return "lacks its tar " + diff_id.text();
        add_tar(store_.open_blob(diff_id).get(), diff_id, tree);
    }
    const WorkDir work = store_.work_dir("check");
    if (const auto unsaid = write_layer_index(tree, work.path() + "/index"); !unsaid.empty())
        return "should be unpacked: an index cannot say " + unsaid;
    const bool is_same = read_file(index, any_size) == read_file(work.path() + "/index", any_size);
    return is_same ? "" : "has an index that is not that of its tars";
}

// Topmost first.
std::vector<Lower> Snapshots::lowers(Layers layers) const {
    std::vector<Lower> found;
    const std::vector<Digest> ids = chain_ids(layers);
    for (size_t i = ids.size(); i-- > 0;) {
        const std::string directory = layer_dir(store_, ids[i]);
        if (has_index(ids[i])) {
            std::vector<std::string> tars;
            for (const Digest& diff_id : layers.first(i + 1))
                tars.push_back(store_.blob_path(diff_id));
            const Seals seals = Seals::read(directory);
            found.push_back(mount_index(directory + "/index", tars, [&](auto& path, int fd) {
                if (const std::string fault = seals.fault(path, fd); !fault.empty())
                    throw Error("the layer ", ids[i].text(), " ", fault,
                                ": `keg system check --repair` makes it anew");
            }));
            return found;
        }
        if (is_empty_layer(layers[i])) continue;
        // Who may not mount has only verified it.
        if (!sys::exists(directory + "/diff") && !may_mount())
            throw Error("containers and RUN need root for now: `keg unpack` makes a bundle that ",
                        "keg-runtime runs without");
        if (!sys::exists(directory + "/diff"))
            throw Error("the layer ", ids[i].text(),
                        " is not in the store: `keg system check` says which images need it");
        found.push_back({directory + "/diff"});
    }
    return found;
}

void Snapshots::mount(const Snapshot& snapshot, bool volatile_) const {
    sys::make_directories(snapshot.target, 0755);
    Overlay overlay{.lowers = lowers(snapshot.layers),
                    .upper = snapshot.upper,
                    .work = snapshot.work,
                    .target = snapshot.target,
                    .is_volatile = volatile_};
    // overlayfs needs a lower directory, and two if there is no upper one.
    while (overlay.lowers.size() < (snapshot.upper.empty() ? 2 : 1))
        overlay.lowers.push_back({empty_layer(store_)});
    if (!snapshot.upper.empty()) {
        sys::make_directories(snapshot.upper, 0755);
        sys::make_directories(snapshot.work, 0755);
        copy_root_attributes(overlay.lowers.front().path, snapshot.upper);
    }
    mount_overlay(overlay);
}

void Snapshots::unmount(const std::string& target) {
    sys::umount(target, MNT_DETACH | UMOUNT_NOFOLLOW);
}

Mounted::Mounted(const Snapshots& snapshots, const Snapshot& snapshot, bool volatile_)
    : target_(snapshot.target) {
    snapshots.mount(snapshot, volatile_);
}

Mounted::~Mounted() {
    attempt("unmounting " + target_, [&] { Snapshots::unmount(target_); });
}

Snapshots::NewLayer Snapshots::new_layer(const std::function<Diff(const LayerSink&)>& write) const {
    BlobWriter blob = work_ ? store_.new_blob(*work_) : store_.new_blob();
    // Headers and fillings are small, and so are most files.
    std::string small;
    const auto flush = [&] {
        blob.write(small);
        small.clear();
    };
    const Diff diff = write([&](std::string_view data) {
        if (small.size() + data.size() > written_at_once) flush();
        if (data.size() > written_at_once)
            blob.write(data);
        else
            small += data;
    });
    flush();
    NewLayer layer{.blob = blob.commit(spec::media::layer), .diff_id = {}};
    layer.diff_id = Digest(layer.blob.digest);  // of a plain tar the two are one
    layer.empty = diff.entries == 0, layer.bytes = diff.bytes;
    return layer;
}

Snapshots::NewLayer Snapshots::empty() const {
    const std::string tar(2 * tar_block_size, '\0');
    const Digest digest = digest_of(tar);
    NewLayer layer{.blob = {.media_type = std::string(spec::media::layer),
                            .digest = digest.text(),
                            .size = int64_t(tar.size())},
                   .diff_id = digest,
                   .empty = true};
    if (!store_.has_blob(digest, layer.blob.size)) store_.put_blob(tar, spec::media::layer);
    return layer;
}

Snapshots::NewLayer Snapshots::copy(const std::string& upper, Layers below,
                                    const std::set<std::string>& but) const {
    std::vector<Lower> under = lowers(below);
    if (under.empty()) under.push_back({empty_layer(store_)});
    return new_layer([&](const LayerSink& sink) {
        return write_layer(upper, sink, {.below = under.front().path, .but = but});
    });
}

Snapshots::NewLayer Snapshots::commit(const std::string& upper, Layers below,
                                      const Clamp& clamp) const {
    std::vector<Lower> under = lowers(below);
    if (under.empty()) under.push_back({empty_layer(store_)});
    if (is_unchanged(upper, under.front().path)) return empty();
    const NewLayer layer = new_layer([&](const LayerSink& sink) {
        return write_layer(upper, sink,
                           {.below = under.front().path, .clamp = clamp, .sets_times = true});
    });
    if (layer.empty) return layer;
    std::vector<Digest> stack(below.begin(), below.end());
    stack.push_back(layer.diff_id);
    if (has(chain_ids(stack).back())) return layer;
    const WorkDir work = store_.work_dir("layer");
    sys::rename(upper, work.path() + "/diff");
    sync_file_system(work.path());
    note_size(store_, chain_ids(stack).back(), layer.bytes);
    publish(store_, chain_ids(stack).back(), work.path(), "diff");
    return layer;
}

void Snapshots::flatten(const Image& image, const std::string& directory,
                        const Ownership& ownership) const {
    const std::vector<Digest> all = image.diff_ids();
    for (size_t i = 0; i < all.size(); ++i)
        apply_verified(store_, image.manifest.layers[i], all[i], directory, ownership);
}
