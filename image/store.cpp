#include "image/store.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/utsname.h>

#include <algorithm>
#include <set>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"
#include "image/platform.h"
#include "image/snapshots.h"

namespace {

constexpr std::string_view layout_version = R"({"imageLayoutVersion":"1.0.0"})";
constexpr const char* name_key = "org.opencontainers.image.ref.name";

std::vector<std::string> entries(const std::string& directory) {
    std::vector<std::string> names;
    DIR* dir = ::opendir(directory.c_str());
    if (!dir) return names;
    while (const dirent* entry = ::readdir(dir)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    ::closedir(dir);
    return names;
}

// Something in ROOT/tmp and its lock. Whoever finds an unlocked entry may remove it, even between our
// making and our locking it: then we make another.
struct Claimed {
    std::string path;
    UniqueFd lock;
};
Claimed claim(const std::string& root, const std::string& purpose, bool directory) {
    const std::string pattern = str(root, "/tmp/", purpose, "-XXXXXX");
    for (;;) {
        std::string path = pattern;
        UniqueFd fd;
        if (directory) {
            if (!::mkdtemp(path.data())) throw SysError("make a directory in ", root, "/tmp");
            auto opened = sys::try_open(path, O_RDONLY | O_DIRECTORY);
            if (!opened) continue;
            fd = std::move(*opened);
        } else {
            fd.reset(::mkostemp(path.data(), O_CLOEXEC));
            if (!fd) throw SysError("make a file in ", root, "/tmp");
        }
        sys::flock(fd.get(), LOCK_EX);
        struct stat info{};
        if (::fstat(fd.get(), &info) == 0 && info.st_nlink > 0 && sys::exists(path)) return {path, std::move(fd)};
    }
}

// Mounts of a process that died stay: without them the tree can be removed.
void unmount_below(const std::string& path) {
    std::vector<std::string> targets;
    for (const std::string& line : split(read_file("/proc/self/mounts"), '\n')) {
        const auto fields = split(line, ' ');
        if (fields.size() > 1 && (fields[1] == path || fields[1].starts_with(path + "/"))) targets.push_back(fields[1]);
    }
    for (auto target = targets.rbegin(); target != targets.rend(); ++target) ::umount2(target->c_str(), MNT_DETACH);
}

void remove_work(const std::string& path) {
    try {
        sys::remove_tree(path);
    } catch (const SysError& e) {
        if (e.code() != EBUSY) throw;
        unmount_below(path);
        sys::remove_tree(path);
    }
}

class Names {  // index.json under its lock
public:
    explicit Names(const std::string& root) : path_(root + "/index.json"), lock_(root + "/index.lock") {
        index_ = read(root);
    }
    static spec::Index read(const std::string& root) {
        const auto text = read_file_if_exists(root + "/index.json");
        if (!text) return {.media_type = std::string(spec::media::index)};
        return context(root + "/index.json", [&] { return spec::read_index(*text); });
    }
    std::vector<spec::Descriptor>& entries() { return index_.manifests; }
    void save() { replace_file(path_, spec::write(index_) + "\n"); }
    // Whoever wrote it held this lock and is dead.
    static void remove_torn(const std::string& root) {
        const Names names(root);
        for (const std::string& name : ::entries(root))
            if (name.starts_with(".index.json.")) ::unlink(str(root, "/", name).c_str());
    }

private:
    std::string path_;
    FileLock lock_;
    spec::Index index_;
};

std::string name_of(const spec::Descriptor& descriptor) {
    const auto at = descriptor.annotations.find(name_key);
    return at == descriptor.annotations.end() ? "" : at->second;
}

std::optional<Reference> reference_of(const spec::Descriptor& descriptor) {
    const std::string name = name_of(descriptor);
    if (name.empty()) return {};
    try {
        return parse_reference(name);
    } catch (const Error&) {  // another tool may name as it likes
        return {};
    }
}

}  // namespace

std::vector<Digest> Image::diff_ids() const {
    std::vector<Digest> ids;
    for (const std::string& id : config.rootfs.diff_ids) ids.emplace_back(id);
    return ids;
}

WorkDir::~WorkDir() {
    if (!lock_) return;  // moved from
    attempt("removing " + path_, [&] { remove_work(path_); });
}

BlobWriter::BlobWriter(const Store& store) : store_(&store) {
    Claimed claimed = claim(store.root(), "blob", false);
    path_ = claimed.path;
    fd_ = std::move(claimed.lock);
}

BlobWriter::~BlobWriter() {
    if (fd_) ::unlink(path_.c_str());
}

void BlobWriter::write(std::string_view data) {
    context(path_, [&] { sys::write_all(fd_.get(), data); });
    hasher_.update(data);
    size_ += int64_t(data.size());
}

spec::Descriptor BlobWriter::commit(std::string_view media_type, const std::string& expected_digest, int64_t expected_size) {
    if (expected_size >= 0 && expected_size != size_)
        throw Error("blob ", expected_digest, " has ", size_, " bytes instead of ", expected_size);
    if (!expected_digest.empty() && digest().text() != expected_digest)
        throw Error("blob ", expected_digest, " is damaged: its bytes have the digest ", digest().text());
    const std::string final_path = store_->blob_path(digest());
    if (store_->has_blob(digest(), size_)) {
        ::unlink(path_.c_str());
    } else {
        sys::fsync(fd_.get());
        ::fchmod(fd_.get(), 0644);
        sys::rename(path_, final_path);
        sys::fsync_directory(final_path.substr(0, final_path.find_last_of('/')));
    }
    fd_.reset();
    return {.media_type = std::string(media_type), .digest = digest().text(), .size = size_};
}

Store::Store(std::string root) : root_(std::move(root)) {
    while (root_.size() > 1 && root_.back() == '/') root_.pop_back();
    const auto layout = read_file_if_exists(root_ + "/oci-layout", 4096);
    if (!layout) {
        for (const char* name : {"", "/blobs", "/blobs/sha256", "/layers", "/layers/sha256", "/tmp", "/cache"})
            sys::make_directories(root_ + name, *name ? 0755 : 0711);
        ::chmod((root_ + "/layers").c_str(), 0700);
        ::chmod((root_ + "/tmp").c_str(), 0700);
        if (!sys::exists(root_ + "/index.json")) Names(root_).save();
        replace_file(root_ + "/oci-layout", layout_version);
    } else if (!layout->contains("\"1.0.0\"")) {
        throw Error(root_, "/oci-layout: expected imageLayoutVersion 1.0.0");
    }
}

bool Store::has_blob(const Digest& digest, int64_t size) const {
    struct stat info{};
    if (::stat(blob_path(digest).c_str(), &info) < 0 || !S_ISREG(info.st_mode)) return false;
    return size < 0 || info.st_size == size;
}

std::string Store::blob_path(const Digest& digest) const {
    return str(root_, "/blobs/", digest.algorithm(), "/", digest.hex());
}

UniqueFd Store::open_blob(const Digest& digest) const { return sys::open(blob_path(digest), O_RDONLY); }

std::string Store::read_blob(const spec::Descriptor& descriptor, size_t most) const {
    const Digest digest(descriptor.digest);
    std::string data = context("blob " + digest.text(), [&] { return read_file(blob_path(digest), most); });
    Hasher hasher(digest.algorithm());
    hasher.update(data);
    if (hasher.finish() != digest) throw Error("blob ", digest.text(), " is damaged in the store");
    return data;
}

spec::Descriptor Store::put_blob(std::string_view data, std::string_view media_type) const {
    const Digest digest = digest_of(data);
    if (has_blob(digest, int64_t(data.size())))
        return {.media_type = std::string(media_type), .digest = digest.text(), .size = int64_t(data.size())};
    BlobWriter writer = new_blob();
    writer.write(data);
    return writer.commit(media_type);
}

std::vector<NamedImage> Store::images() const {
    std::vector<NamedImage> out;
    const spec::Index index = Names::read(root_);
    for (const spec::Descriptor& descriptor : index.manifests) {
        if (!Digest::is_valid(descriptor.digest)) continue;
        out.push_back({reference_of(descriptor), descriptor});
    }
    return out;
}

std::optional<NamedImage> Store::find(const std::string& wanted) const {
    const std::vector<NamedImage> all = images();
    std::optional<Reference> name;
    try {
        name = parse_reference(wanted);
    } catch (const Error&) {  // an ID is looked for below
    }
    if (name)
        for (const NamedImage& image : all) {
            if (!image.name || image.name->repository() != name->repository()) continue;
            if (name->digest.empty() ? image.name->tag == name->tag : image.descriptor.digest == name->digest) return image;
        }
    const std::string hex = wanted.starts_with("sha256:") ? wanted.substr(7) : wanted;
    if (hex.empty() || hex.size() > 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos) return {};
    std::optional<NamedImage> found;
    std::string found_id;
    for (const NamedImage& image : all) {
        std::vector<std::string> ids = {Digest(image.descriptor.digest).hex()};
        try {
            ids.push_back(load(image.descriptor).id().hex());
        } catch (const Error&) {  // torn: as if it were not there
        }
        for (const std::string& id : ids) {
            if (!id.starts_with(hex)) continue;
            // One image may be there under two manifests, with its layers compressed and plain.
            if (found && found->descriptor.digest != image.descriptor.digest && found_id != id)
                throw Error("multiple images match ", quoted(wanted), ": give more digits of the ID");
            if (!found) found = image, found_id = id;
        }
    }
    return found;
}

NamedImage Store::get(const std::string& name_or_id) const {
    if (auto found = find(name_or_id)) return *found;
    throw Error("No such image: ", name_or_id);
}

Image Store::load(const spec::Descriptor& top, const std::string& platform) const {
    Image image;
    image.descriptor = top;
    // Nested indexes are legal; a chain of them is somebody's joke.
    for (int depth = 0; spec::oci_media_type(image.descriptor.media_type) == spec::media::index; ++depth) {
        if (depth == 4) throw Error("index ", top.digest, " is nested too deep");
        const spec::Index index = context("index " + image.descriptor.digest, [&] { return spec::read_index(read_blob(image.descriptor)); });
        const spec::Descriptor* chosen = find_platform(index, platform);
        if (!chosen) throw Error("image ", top.digest, " is not there for platform ", platform.empty() ? host_platform() : platform);
        image.descriptor = *chosen;
    }
    image.manifest = context("manifest " + image.descriptor.digest, [&] { return spec::read_manifest(read_blob(image.descriptor)); });
    image.config = context("image config " + image.manifest.config.digest,
                           [&] { return spec::read_image_config(read_blob(image.manifest.config)); });
    if (image.config.rootfs.diff_ids.size() != image.manifest.layers.size())
        throw Error("image ", image.descriptor.digest, " has ", image.manifest.layers.size(), " layers, but its config names ",
                    image.config.rootfs.diff_ids.size());
    const Snapshots snapshots(*this);
    const std::vector<Digest> diff_ids = image.diff_ids();
    for (size_t i = 0; i < image.manifest.layers.size(); ++i) {
        const auto unpacked = snapshots.top_size({diff_ids.data(), i + 1});
        image.size += unpacked ? int64_t(*unpacked) : image.manifest.layers[i].size;
    }
    return image;
}

void Store::tag(const spec::Descriptor& manifest, const std::optional<Reference>& name) const {
    Names names(root_);
    auto& all = names.entries();
    const std::string text = name ? name->familiar() : "";
    spec::Descriptor entry = manifest;
    if (text.empty()) entry.annotations.erase(name_key);
    else entry.annotations[name_key] = text;

    // What had the name loses it, and stays as a dangling image if that was its only one.
    std::vector<spec::Descriptor> lost;
    std::erase_if(all, [&](const spec::Descriptor& old) {
        const bool replaced = (!text.empty() && name_of(old) == text) ||
                              (old.digest == manifest.digest && name_of(old).empty());
        if (replaced && old.digest != manifest.digest) lost.push_back(old);
        return replaced;
    });
    for (spec::Descriptor& old : lost) {
        old.annotations.erase(name_key);
        if (std::ranges::none_of(all, [&](auto& other) { return other.digest == old.digest; })) all.insert(all.begin(), old);
    }
    if (text.empty() && std::ranges::any_of(all, [&](auto& other) { return other.digest == manifest.digest; })) {
        names.save();
        return;  // it has a name already
    }
    all.insert(all.begin(), entry);
    names.save();
}

void Store::untag(const Reference& name) const {
    Names names(root_);
    if (std::erase_if(names.entries(), [&](const auto& entry) { return name_of(entry) == name.familiar(); }) == 0)
        throw Error("No such image: ", name.familiar());
    names.save();
}

void Store::remove(const spec::Descriptor& manifest) const {
    Names names(root_);
    std::erase_if(names.entries(), [&](const auto& entry) { return entry.digest == manifest.digest; });
    names.save();
}

namespace {

// What the images and containers need.
struct Needed {
    std::set<std::string> blobs, diff_ids, chain_ids;

    void add(Layers layers) {
        for (const Digest& id : layers) diff_ids.insert(id.text());
        for (const Digest& id : ::chain_ids(layers)) chain_ids.insert(id.text());
    }
};

// Every digest that a document and what it points at need. A missing or torn one ends there.
void reach(const Store& store, const spec::Descriptor& descriptor, Needed& needed) {
    if (!Digest::is_valid(descriptor.digest) || !needed.blobs.insert(descriptor.digest).second) return;
    const std::string_view type = spec::oci_media_type(descriptor.media_type);
    try {
        if (type == spec::media::index) {
            for (const auto& child : spec::read_index(store.read_blob(descriptor)).manifests) reach(store, child, needed);
        } else if (type == spec::media::manifest) {
            const spec::Manifest manifest = spec::read_manifest(store.read_blob(descriptor));
            needed.blobs.insert(manifest.config.digest);
            for (const auto& layer : manifest.layers) needed.blobs.insert(layer.digest);
            std::vector<Digest> layers;
            for (const auto& id : spec::read_image_config(store.read_blob(manifest.config)).rootfs.diff_ids) layers.emplace_back(id);
            needed.add(layers);
        }
    } catch (const Error&) {
    }
}

uint64_t disk_usage(const std::string& path) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) < 0) return 0;
    uint64_t bytes = uint64_t(info.st_blocks) * 512;
    if (S_ISDIR(info.st_mode))
        for (const std::string& name : entries(path)) bytes += disk_usage(path + "/" + name);
    return bytes;
}

}  // namespace

uint64_t Store::gc(const std::vector<std::vector<Digest>>& also_used) const {
    const FileLock alone(root_ + "/lock");
    collect_dead_work();
    Needed needed;
    for (const auto& layers : also_used) needed.add(layers);
    for (const NamedImage& image : images()) reach(*this, image.descriptor, needed);

    uint64_t freed = 0;
    auto drop = [&](const std::string& path) {
        const uint64_t size = disk_usage(path);
        attempt("removing " + path, [&] {
            sys::remove_tree(path);
            freed += size;
        });
    };
    for (const std::string& algorithm : entries(root_ + "/blobs"))
        for (const std::string& hex : entries(root_ + "/blobs/" + algorithm))
            if (!needed.blobs.contains(algorithm + ":" + hex)) drop(str(root_, "/blobs/", algorithm, "/", hex));
    Names::remove_torn(root_);
    for (const std::string& hex : entries(root_ + "/layers/sha256"))
        if (!needed.chain_ids.contains("sha256:" + hex)) drop(root_ + "/layers/sha256/" + hex);
    // A cache entry that names a blob or a layer which is gone says nothing any more.
    for (const std::string& name : entries(root_ + "/cache")) {
        const std::string path = root_ + "/cache/" + name;
        if (name.starts_with('.')) {  // of a build that was killed while it wrote it
            drop(path);
            continue;
        }
        const auto text = read_file_if_exists(path);
        for (size_t at = 0; text && (at = text->find("\"sha256:", at)) != std::string::npos; ++at) {
            const std::string digest = text->substr(at + 1, 71);
            if (needed.blobs.contains(digest) || needed.diff_ids.contains(digest)) continue;
            drop(path);
            break;
        }
    }
    return freed;
}

WorkDir Store::work_dir(const std::string& purpose) const {
    collect_dead_work();
    Claimed claimed = claim(root_, purpose, true);
    return WorkDir(claimed.path, std::move(claimed.lock));
}

void Store::collect_dead_work() const {
    for (const std::string& name : entries(root_ + "/tmp")) {
        const std::string path = root_ + "/tmp/" + name;
        auto fd = sys::try_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        if (!fd || ::flock(fd->get(), LOCK_EX | LOCK_NB) < 0) continue;  // gone, or somebody's
        attempt("removing " + path, [&] { remove_work(path); });
    }
}

std::string host_architecture() {
    utsname name{};
    ::uname(&name);
    return parse_platform(str("linux/", name.machine)).architecture;
}

std::string host_platform() { return "linux/" + host_architecture(); }

std::string default_store_root() {
    if (const char* root = ::getenv("KEG_ROOT"); root && *root) return root;
    if (::geteuid() == 0) return "/var/lib/keg";
    if (const char* data = ::getenv("XDG_DATA_HOME"); data && *data == '/') return str(data, "/keg");
    const char* home = ::getenv("HOME");
    return str(home ? home : "", "/.local/share/keg");
}
