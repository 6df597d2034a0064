// The local store: an OCI image layout (oci-layout, index.json, blobs/) plus what keg keeps beside it
// (unpacked layers, containers, cache). Many processes work on it at once, and any of them may be
// killed at any point: a blob is written aside, fsynced and renamed; index.json is replaced under a
// lock; what a dead process left under tmp/ is collected by whoever comes next; a reader takes a
// missing or torn object as absent.
//
//   ROOT/oci-layout, index.json, blobs/sha256/…   the image layout; names are ref.name annotations
//   ROOT/layers/sha256/HEX/…                      unpacked layers (snapshots.h)
//   ROOT/containers/…, networks/…                 the engine's
//   ROOT/cache/…                                  the builder's
//   ROOT/tmp/…                                    work in progress; each entry flock-ed by its owner
//   ROOT/lock                                     shared by whoever adds, exclusive for gc
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/unique_fd.h"
#include "image/digest.h"
#include "image/reference.h"
#include "spec/image.h"

// An image that was read and checked: every document it consists of.
struct Image {
    spec::Descriptor descriptor;      // of the manifest
    spec::Manifest manifest;
    spec::ImageConfig config;
    Digest id() const { return Digest(manifest.config.digest); }   // Docker's image ID
    std::vector<Digest> diff_ids() const;
    int64_t size = 0;                 // of the unpacked content as Docker's images shows it, if known
};

struct NamedImage {
    std::optional<Reference> name;    // none: dangling
    spec::Descriptor descriptor;
};

// A directory in ROOT/tmp that is removed with the object, and by others once its owner is dead.
class WorkDir {
public:
    WorkDir(WorkDir&&) noexcept = default;
    ~WorkDir();
    const std::string& path() const { return path_; }

private:
    friend class Store;
    WorkDir(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
    std::string path_;
    UniqueFd lock_;
};

class Store;

// A blob being written. Nothing of it is seen before commit().
class BlobWriter {
public:
    BlobWriter(BlobWriter&&) noexcept = default;
    ~BlobWriter();
    void write(std::string_view data);
    int64_t size() const { return size_; }
    // Of what was written. Nothing can be written after it.
    const Digest& digest() {
        if (digest_.empty()) digest_ = hasher_.finish();
        return digest_;
    }
    // Makes it durable and visible. If `expected` (or the size) is given and differs, throws Error
    // and nothing stays.
    spec::Descriptor commit(std::string_view media_type, const std::string& expected_digest = {}, int64_t expected_size = -1);

private:
    friend class Store;
    explicit BlobWriter(const Store& store);
    const Store* store_;
    std::string path_;
    UniqueFd fd_;
    Hasher hasher_;
    Digest digest_;
    int64_t size_ = 0;
};

class Store {
public:
    // Opens, or makes, the store at that host path. Throws if it is another layout version.
    explicit Store(std::string root);
    const std::string& root() const { return root_; }

    // --- blobs
    bool has_blob(const Digest& digest, int64_t size = -1) const;
    std::string blob_path(const Digest& digest) const;
    UniqueFd open_blob(const Digest& digest) const;                       // throws if it is not there
    std::string read_blob(const spec::Descriptor& descriptor, size_t most = size_t(8) << 20) const;  // verified
    BlobWriter new_blob() const { return BlobWriter(*this); }
    spec::Descriptor put_blob(std::string_view data, std::string_view media_type) const;

    // --- images
    std::vector<NamedImage> images() const;              // newest first, dangling ones included
    // By name, image ID, unique prefix of the ID or manifest digest.
    std::optional<NamedImage> find(const std::string& name_or_id) const;
    NamedImage get(const std::string& name_or_id) const; // throws "No such image: X"
    // The image for this machine's platform (or `platform`, "linux/arm64"): an index is followed.
    Image load(const spec::Descriptor& descriptor, const std::string& platform = {}) const;
    // The name now means that manifest; what had it before becomes dangling (kept in the index).
    void tag(const spec::Descriptor& manifest, const std::optional<Reference>& name) const;
    // Removes the name (the last one of an image removes the image; gc() frees its blobs).
    void untag(const Reference& name) const;
    void remove(const spec::Descriptor& manifest) const;  // the image under all its names

    // While it lives, gc() waits: whoever adds blobs and names them later holds one.
    FileLock use() const { return FileLock(root_ + "/lock", true); }
    // Frees blobs, layers and cache that no image and no container (`also_used`: the layers of
    // each, as diff IDs) needs; gives bytes.
    uint64_t gc(const std::vector<std::vector<Digest>>& also_used = {}) const;

    WorkDir work_dir(const std::string& purpose) const;   // ROOT/tmp/PURPOSE-XXXXXX
    void collect_dead_work() const;

private:
    std::string root_;
};

// "amd64", as Go calls this machine; and "linux/amd64".
std::string host_architecture();
std::string host_platform();
// The default store: KEG_ROOT, else /var/lib/keg, else (not root) $XDG_DATA_HOME/keg.
std::string default_store_root();
