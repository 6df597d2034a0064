// What is hard: any other process may change the store between two of our calls, the collector too.
// So what is looked for is first written into the lease and then looked for; what could only be
// known by reading (an image's layers) is written down after that, and then the manifest is asked
// for once more: if it is still there, so is the rest. A blob's bytes are on the disk before its
// name is. Of a new store oci-layout is written last: without it a directory is half-made or
// somebody else's, and only names that are ours tell which.
#include "image/store.h"

#include <stdlib.h>
#include <sys/file.h>
#include <sys/utsname.h>

#include <algorithm>
#include <set>
#include <unordered_set>

#include "base/directory.h"
#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "image/names.h"
#include "image/platform.h"
#include "image/seals.h"
#include "image/snapshots.h"

namespace {

constexpr std::string_view layout_version = R"({"imageLayoutVersion":"1.0.0"})";
constexpr const char* directories[] = {
    "", "/blobs", "/blobs/sha256", "/layers", "/layers/sha256", "/tmp", "/cache", "/leases"};
// What a store may hold before its oci-layout is written, which comes last: ours, the engine's, and
// a file system's.
constexpr std::string_view known_names[] = {"blobs",      "cache",      "containers", "index.json",
                                            "index.lock", "layers",     "leases",     "lock",
                                            "lost+found", "mounts",     "networks",   "notes",
                                            "partial",    "quarantine", "tmp",        "volumes"};

// "--root /srv" must not make a store of somebody's directory, nor close it to him. What another
// process has made a store meanwhile is one.
void refuse_foreign_files(const std::string& root) {
    const std::vector<std::string> names = names_in_if_exists(root);
    if (std::ranges::find(names, "oci-layout") != names.end()) return;
    for (const std::string& name : names)
        if (!name.starts_with('.') && std::ranges::find(known_names, name) == std::end(known_names))
            throw Error(root, " is no store, and holds other files (", quoted(name),
                        "): a store is made in a new or an empty directory");
}

// A file with a set-user-ID bit, or a secret, in an image, a volume or a container is nothing for
// the host's users.
void close_to_others(const std::string& root) {
    struct stat info{};
    if (::stat(root.c_str(), &info) < 0) throw SysError("stat ", root);
    if ((info.st_mode & 077) == 0) return;
    attempt(root + " is open to other users", [&] {
        for (const char* name : directories)
            if (::chmod((root + name).c_str(), 0700) < 0 && errno != ENOENT)
                throw SysError("chmod ", root, name);
        for (const char* name : {"/index.json", "/oci-layout"})
            if (::chmod((root + name).c_str(), 0600) < 0 && errno != ENOENT)
                throw SysError("chmod ", root, name);
    });
}

// What takes the place of a sealed blob is sealed as well: an index that lies over it asks for it.
void seal_blob(const std::string& path) {
    attempt("guarding a blob", [&] { enable_verity(path); });
}

}  // namespace

std::vector<Digest> Image::diff_ids() const {
    std::vector<Digest> ids;
    for (const std::string& id : config.rootfs.diff_ids) ids.emplace_back(id);
    return ids;
}

BlobWriter::BlobWriter(const Store& store, Claimed file, std::string_view algorithm, bool for_later)
    : store_(&store), path_(std::move(file.path)), fd_(std::move(file.lock)), hasher_(algorithm),
      for_later_(for_later) {
    sys::make_directories(str(store.root(), "/blobs/", algorithm), 0700);
}

BlobWriter::BlobWriter(BlobWriter&& other) noexcept
    : store_(other.store_), path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)),
      hasher_(std::move(other.hasher_)), digest_(std::move(other.digest_)), size_(other.size_),
      begun_(other.begun_), for_later_(other.for_later_), stays_(other.stays_) {}

BlobWriter::~BlobWriter() {
    if (!path_.empty() && !stays_) ::unlink(path_.c_str());
}

void BlobWriter::write(std::string_view data) {
    const bool stayed = std::exchange(stays_, false);  // a full disk has no room for a part
    context(path_, [&] { sys::write_all(fd_.get(), data); });
    stays_ = stayed;
    hasher_.update(data);
    size_ += int64_t(data.size());
    begin_to_sync();
}

// The disk begins with what is there while more comes, so that in the end there is little to wait
// for.
void BlobWriter::begin_to_sync() {
    constexpr int64_t piece = int64_t(32) << 20;
    Background& disk = store_->memory_->disk;
    if (!for_later_ || size_ - begun_ < piece || !disk.is_idle()) return;
    begun_ = size_;
    const auto file = std::make_shared<UniqueFd>(
        check(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0), "open ", path_, " again"));
    disk.add([file, path = path_] { check(::fdatasync(file->get()), "fdatasync ", path); });
}

// What is in the file already counts as written.
void BlobWriter::take_up() {
    std::vector<char> buffer(size_t(1) << 20);
    for (ssize_t got; (got = ::read(fd_.get(), buffer.data(), buffer.size())) != 0;) {
        if (got < 0 && errno == EINTR) continue;
        check(got, "read ", path_);
        hasher_.update({buffer.data(), size_t(got)});
        size_ += got;
    }
    stays_ = true;
}

void BlobWriter::restart() {
    check(::ftruncate(fd_.get(), 0), "truncate ", path_);
    check(::lseek(fd_.get(), 0, SEEK_SET), "seek in ", path_);
    hasher_.restart();
    digest_ = {};
    size_ = begun_ = 0;
}

UniqueFd BlobWriter::open() const { return sys::open(path_, O_RDONLY); }

void BlobWriter::set_aside() {
    digest();
    fd_.reset();
}

void BlobWriter::expect(const std::string& expected, int64_t size) {
    stays_ = false;
    if (size >= 0 && size != size_)
        throw Error("blob ", expected, " has ", size_, " bytes instead of ", size);
    if (!expected.empty() && digest().text() != expected)
        throw Error("blob ", expected, " is damaged: its bytes have the digest ", digest().text());
}

spec::Descriptor BlobWriter::commit_later(std::string_view media_type,
                                          const std::string& expected_digest,
                                          int64_t expected_size) {
    expect(expected_digest, expected_size);
    store_->hold({&digest(), 1}, {});
    set_aside();
    store_->memory_->disk.add(
        [path = path_] { context(path, [&] { sys::fsync(sys::open(path, O_RDONLY).get()); }); });
    {
        const std::lock_guard one_thread(store_->memory_->mutex);
        store_->memory_->unsettled[digest()] = std::exchange(path_, {});
    }
    store_->note_intact(digest());
    return {.media_type = std::string(media_type), .digest = digest().text(), .size = size_};
}

spec::Descriptor BlobWriter::commit(std::string_view media_type, const std::string& expected_digest,
                                    int64_t expected_size) {
    expect(expected_digest, expected_size);
    const std::string final_path = store_->blob_path(digest());
    store_->hold({&digest(), 1}, {});
    // First the bytes, then the name, then the directory that has it: after a power cut a name
    // means these bytes.
    if (!fd_) fd_ = sys::open(path_, O_RDONLY);
    context(path_, [&] { sys::fsync(fd_.get()); });
    const bool was_sealed = has_verity(final_path);
    sys::rename(path_, final_path);
    path_.clear();
    fd_.reset();
    if (was_sealed) seal_blob(final_path);
    sys::fsync_directory(final_path.substr(0, final_path.find_last_of('/')));
    store_->note_intact(digest());
    return {.media_type = std::string(media_type), .digest = digest().text(), .size = size_};
}

Store::Store(std::string root) : root_(std::move(root)) {
    while (root_.size() > 1 && root_.back() == '/') root_.pop_back();
    const auto layout = read_file_if_exists(root_ + "/oci-layout", 4096);
    if (layout && !layout->contains("\"1.0.0\""))
        throw Error(root_, "/oci-layout: expected imageLayoutVersion 1.0.0");
    if (!layout) {
        refuse_foreign_files(root_);
        for (const char* name : directories) sys::make_directories(root_ + name, 0700);
        Names::make_if_new(root_);
        replace_file(root_ + "/oci-layout", layout_version, 0600);
    }
    close_to_others(root_);
}

bool Store::has_blob(const Digest& digest, int64_t size) const {
    hold({&digest, 1}, {});
    struct stat info{};
    if (::stat(place_of(digest).c_str(), &info) < 0 || !S_ISREG(info.st_mode)) return false;
    return size < 0 || info.st_size == size;
}

bool Store::is_intact(const spec::Descriptor& descriptor) const {
    const Digest digest(descriptor.digest);
    if (!has_blob(digest, descriptor.size)) return false;
    const UniqueFd file = open_blob(digest);
    Hasher hasher(digest.algorithm());
    std::vector<char> buffer(size_t(1) << 20);
    for (;;) {
        const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        // A disk that gives some of it no more: then it is replaced like one with wrong bytes.
        if (got < 0 && errno == EIO) return false;
        if (got < 0) throw SysError("read blob ", digest.text());
        if (got == 0) {
            if (hasher.finish() != digest) return false;
            note_intact(digest);
            return true;
        }
        hasher.update({buffer.data(), size_t(got)});
    }
}

bool Store::was_intact(const Digest& digest) const {
    const std::lock_guard one_thread(memory_->mutex);
    return memory_->intact.contains(digest);
}

void Store::note_intact(const Digest& digest) const {
    const std::lock_guard one_thread(memory_->mutex);
    memory_->intact.insert(digest);
}

std::string Store::place_of(const Digest& digest) const {
    const std::lock_guard one_thread(memory_->mutex);
    const auto found = memory_->unsettled.find(digest);
    return found == memory_->unsettled.end() ? blob_path(digest) : found->second;
}

// First the bytes, then the names, then the directories that have them.
void Store::settle() const {
    const std::lock_guard one_thread(memory_->mutex);
    std::set<std::string> directories_of;
    memory_->disk.wait();
    for (const auto& [digest, path] : memory_->unsettled) {
        if (has_verity(blob_path(digest))) seal_blob(path);
        sys::rename(path, blob_path(digest));
        directories_of.insert(str(root_, "/blobs/", digest.algorithm()));
    }
    memory_->unsettled.clear();
    memory_->work.reset();
    for (const std::string& directory : directories_of) sys::fsync_directory(directory);
}

std::string Store::blob_path(const Digest& digest) const {
    return str(root_, "/blobs/", digest.algorithm(), "/", digest.hex());
}

UniqueFd Store::open_blob(const Digest& digest) const {
    const std::string path = place_of(digest);
    auto file = sys::try_open(path, O_RDONLY);
    if (!file && file.error() == ENOENT)
        throw SysError(ENOENT, "blob ", digest.text(),
                       " is not in the store (pull or load its image again)");
    if (!file) throw SysError(file.error(), "open ", path);
    return std::move(*file);
}

std::string Store::read_blob(const spec::Descriptor& descriptor, size_t most) const {
    const Digest digest(descriptor.digest);
    std::string data =
        context("blob " + digest.text(), [&] { return read_file(place_of(digest), most); });
    Hasher hasher(digest.algorithm());
    hasher.update(data);
    if (hasher.finish() != digest) throw Error("blob ", digest.text(), " is damaged in the store");
    return data;
}

BlobWriter Store::new_blob(std::string_view algorithm) const {
    return {*this, claim(root_ + "/tmp", "blob", Claim::file), algorithm, false};
}

std::optional<BlobWriter> Store::resume_blob(const spec::Descriptor& blob) const {
    const Digest digest(blob.digest);
    sys::make_directories(root_ + "/partial", 0700);
    const std::string path = str(root_, "/partial/", digest.dashed());
    const FileLock lock(path);
    if (is_intact(blob)) {  // somebody was faster
        ::unlink(path.c_str());
        return {};
    }
    UniqueFd file(check(::fcntl(lock.fd(), F_DUPFD_CLOEXEC, 0), "open ", path, " again"));
    std::optional<BlobWriter> writer =
        BlobWriter(*this, {path, std::move(file)}, digest.algorithm(), false);
    writer->take_up();
    if (writer->size() > blob.size) writer->restart();
    return writer;
}

BlobWriter Store::new_blob(const WorkDir& in, std::string_view algorithm) const {
    return {*this, claim(in.path(), "blob", Claim::file), algorithm, true};
}

BlobWriter Store::new_blob_for_later(std::string_view algorithm) const {
    const std::lock_guard one_thread(memory_->mutex);
    if (!memory_->work) memory_->work.emplace(work_dir("blobs"));
    return new_blob(*memory_->work, algorithm);
}

spec::Descriptor Store::put_blob(std::string_view data, std::string_view media_type,
                                 std::string_view algorithm) const {
    const spec::Descriptor there{.media_type = std::string(media_type),
                                 .digest = digest_of(data, algorithm).text(),
                                 .size = int64_t(data.size())};
    if (is_intact(there)) return there;
    BlobWriter writer = new_blob(algorithm);
    writer.write(data);
    return writer.commit(media_type);
}

static NamedImage named_image(const NameTable::Entry& entry) {
    return {reference_of(entry.name), entry.descriptor()};
}

std::vector<NamedImage> Store::images() const {
    std::vector<NamedImage> out;
    const NameTable names = Names::read(root_);
    for (const NameTable::Entry& entry : names.entries())
        if (Digest::is_valid(entry.digest)) out.push_back(named_image(entry));
    return out;
}

std::vector<NamedImage> Store::manifests() const {
    std::vector<NamedImage> out;
    std::unordered_set<std::string_view> seen;
    const NameTable names = Names::read(root_);
    for (const NameTable::Entry& entry : names.entries())
        if (Digest::is_valid(entry.digest) && seen.insert(entry.digest).second)
            out.push_back(named_image(entry));
    return out;
}

std::vector<Reference> Store::names_of(const spec::Descriptor& manifest) const {
    std::vector<Reference> out;
    const NameTable names = Names::read(root_);
    for (const NameTable::Entry& entry : names.entries())
        if (entry.digest == manifest.digest)
            if (auto name = reference_of(entry.name)) out.push_back(std::move(*name));
    return out;
}

std::optional<NamedImage> Store::find(const std::string& wanted) const {
    if (const auto name = reference_of(wanted)) {
        const NameTable names = Names::read(root_);
        if (const NameTable::Entry* const found = names.find(*name)) return named_image(*found);
    }
    const bool has_algorithm = std::ranges::any_of(
        Digest::algorithms(), [&](auto known) { return wanted.starts_with(str(known, ":")); });
    const std::string hex = has_algorithm ? wanted.substr(wanted.find(':') + 1) : wanted;
    if (hex.empty() || hex.find_first_not_of("0123456789abcdef") != std::string::npos) return {};
    std::optional<NamedImage> found;
    std::string found_id;
    std::vector<std::string> unreadable;
    for (const NamedImage& image : manifests()) {
        std::vector<std::string> ids = {Digest(image.descriptor.digest).hex()};
        if (const auto read = try_load(image.descriptor))
            ids.push_back(read->id().hex());
        else
            unreadable.push_back(str("image ", image.shown(), ": ", read.error().what()));
        for (const std::string& id : ids) {
            if (!id.starts_with(hex)) continue;
            // One image may be there under two manifests, with its layers compressed and plain.
            if (found && found->descriptor.digest != image.descriptor.digest && found_id != id)
                throw Error("multiple images match ", quoted(wanted),
                            ": give more digits of the ID");
            if (!found) found = image, found_id = id;
        }
    }
    // The one that was asked for may be one of these.
    if (!found)
        for (const std::string& why : unreadable) log_warning(why);
    return found;
}

NamedImage Store::get(const std::string& name_or_id) const {
    if (auto found = find(name_or_id)) return *found;
    throw Error("No such image: ", name_or_id);
}

// What was read before it was written down may have been collected in between: the manifest would
// be gone, too.
static void hold_image(const Store& store, const Image& image) {
    std::vector<Digest> blobs{Digest(image.manifest.config.digest)};
    for (const spec::Descriptor& layer : image.manifest.layers)
        if (Digest::is_valid(layer.digest)) blobs.emplace_back(layer.digest);
    const std::vector<Digest> diff_ids = image.diff_ids();  // of the plain tars
    blobs.insert(blobs.end(), diff_ids.begin(), diff_ids.end());
    store.hold(blobs, chain_ids(diff_ids));
    if (!store.has_blob(Digest(image.descriptor.digest)))
        throw Error("No such image: ", image.descriptor.digest);
}

Image Store::load(const spec::Descriptor& top, const std::string& platform) const {
    Image image;
    image.descriptor = top;
    // Nested indexes are legal; a chain of them is somebody's joke.
    for (size_t depth = 0; spec::is_index(image.descriptor.media_type); ++depth) {
        if (depth == most_nested_indexes) throw Error("index ", top.digest, " is nested too deep");
        const spec::Index index = context("index " + image.descriptor.digest, [&] {
            return spec::read_index(read_blob(image.descriptor));
        });
        const spec::Descriptor* chosen = find_platform(index, platform);
        if (!chosen)
            throw Error("image ", top.digest, " is not there for platform ",
                        platform.empty() ? host_platform() : platform);
        image.descriptor = *chosen;
    }
    image.manifest = context("manifest " + image.descriptor.digest,
                             [&] { return spec::read_manifest(read_blob(image.descriptor)); });
    image.config = context("image config " + image.manifest.config.digest, [&] {
        return spec::read_image_config(read_blob(image.manifest.config));
    });
    if (image.config.rootfs.diff_ids.size() != image.manifest.layers.size())
        throw Error("image ", image.descriptor.digest, " has ", image.manifest.layers.size(),
                    " layers, but its config names ", image.config.rootfs.diff_ids.size());
    hold_image(*this, image);
    const Snapshots snapshots(*this);
    const std::vector<Digest> all = image.diff_ids(), ids = chain_ids(all);
    for (size_t i = 0; i < image.manifest.layers.size(); ++i) {
        if (is_empty_layer(all[i])) continue;
        const auto unpacked = snapshots.size(ids[i]);
        image.size += unpacked ? int64_t(*unpacked) : image.manifest.layers[i].size;
    }
    return image;
}

std::expected<Image, Error> Store::try_load(const spec::Descriptor& descriptor) const try {
    return load(descriptor);
} catch (const Error& e) {
    return std::unexpected(e);
}

void Store::tag(const spec::Descriptor& manifest, const std::optional<Reference>& name) const {
    const Naming one{manifest, name};
    tag({&one, 1});
}

void Store::tag(std::span<const Naming> namings) const {
    settle();
    for (const auto& [manifest, name] : namings)
        if (!has_blob(Digest(manifest.digest)))
            throw Error("No such image: ", name ? name->familiar() : manifest.digest);
    Names(root_).give(namings);
}

void Store::untag(const Reference& name) const {
    if (!Names(root_).take(name)) throw Error("No such image: ", name.familiar());
}

void Store::remove(const spec::Descriptor& manifest) const { Names(root_).remove(manifest.digest); }

Lease Store::use() const {
    const std::lock_guard one_thread(memory_->mutex);
    Lease lease = memory_->lease.lock();  // of a caller's caller
    if (!lease) memory_->lease = lease = std::make_shared<LeaseFile>(root_);
    return lease;
}

void Store::hold(std::span<const Digest> blobs, std::span<const Digest> chain_ids) const {
    const Lease lease = [&] {
        const std::lock_guard one_thread(memory_->mutex);
        return memory_->lease.lock();
    }();
    if (!lease) return;
    std::vector<std::string> words;
    for (const Digest& digest : blobs) words.push_back(digest.text());
    for (const Digest& id : chain_ids) words.push_back("layer " + id.text());
    lease->hold(words);
}

WorkDir Store::work_dir(const std::string& purpose) const {
    collect_dead_work();
    return WorkDir(claim(root_ + "/tmp", purpose, Claim::directory));
}

void Store::collect_dead_work() const { collect_dead(root_ + "/tmp", remove_work); }

std::string host_architecture() {
    utsname name{};
    ::uname(&name);
    return parse_platform(str("linux/", name.machine)).architecture;
}

std::string host_platform() { return "linux/" + host_architecture(); }

std::string default_store_root() {
    if (const char* root = ::getenv("KEG_ROOT"); root && *root) return root;
    if (::geteuid() == 0) return "/var/lib/keg";
    if (const char* data = ::getenv("XDG_DATA_HOME"); data && *data == '/')
        return str(data, "/keg");
    const char* home = ::getenv("HOME");
    return str(home ? home : "", "/.local/share/keg");
}
