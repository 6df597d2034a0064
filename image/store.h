// The local store: an OCI image layout (oci-layout, index.json, blobs/) plus what keg keeps beside
// it (unpacked layers, containers, cache). Many processes work on it at once, and any of them may
// be killed at any point: a blob is written aside, fsynced and renamed; index.json is replaced
// under a lock; what a dead process left is collected by whoever comes next.
//
// To look has three answers: there, not there, cannot tell. What cannot be read is neither taken
// for absent nor removed, and does not hide what lies beside it.
//
//   ROOT/oci-layout, index.json, blobs/sha256/…   the image layout; names are annotations (names.h)
//   ROOT/layers/sha256/HEX/…                      what is mounted of layers (snapshots.h)
//   ROOT/containers/…, networks/…                 the engine's
//   ROOT/cache/…                                  the builder's
//   ROOT/tmp/…                                    work in progress (work.h)
//   ROOT/partial/ALGORITHM-HEX                    what has come of a blob (resume_blob)
//   ROOT/notes, signatures/ALGORITHM-HEX          of a blob (blob_notes.h, trust/kept.h)
//   ROOT/leases/…, lock                           what commands need while they work (lease.h)
//   ROOT/quarantine/…                             what `keg system check --repair` took away
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/background.h"
#include "base/error.h"
#include "base/file.h"
#include "base/unique_fd.h"
#include "image/digest.h"
#include "image/lease.h"
#include "image/names.h"
#include "image/reference.h"
#include "image/work.h"
#include "spec/image.h"

// An image that was read and checked: every document it consists of.
struct Image {
    spec::Descriptor descriptor;  // of the manifest
    spec::Manifest manifest;
    spec::ImageConfig config;
    Digest id() const { return Digest(manifest.config.digest); }  // Docker's image ID
    std::vector<Digest> diff_ids() const;
    int64_t size = 0;  // of the unpacked content as Docker's images shows it, if known
};

struct NamedImage {
    std::optional<Reference> name;  // none: dangling
    spec::Descriptor descriptor;
    std::string shown() const { return name ? name->familiar() : descriptor.digest; }
};

// What containers need of the store: of each the layers, as diff IDs, lowest first.
struct ContainerLayers {
    std::vector<std::vector<Digest>> stacks;
    bool complete = true;  // false: there are containers that cannot be read
};

class Store;

// A blob being written. Nothing of it is seen before commit().
class BlobWriter {
public:
    BlobWriter(BlobWriter&& other) noexcept;
    ~BlobWriter();
    void write(std::string_view data);
    int64_t size() const { return size_; }
    // Of what was written. Nothing can be written after it.
    const Digest& digest() {
        if (digest_.empty()) digest_ = hasher_.finish();
        return digest_;
    }
    // Closes the file until commit(): who writes many blobs at once has not as many descriptors.
    // Only for a blob in a work directory, whose lock keeps it.
    void set_aside();
    // To read what was written, from its beginning.
    UniqueFd open() const;
    // As if nothing had been written.
    void restart();
    // Makes it durable and visible, in place of what has that digest already: these bytes are known
    // to be right. If `expected` (or the size) is given and differs, throws Error and nothing
    // stays.
    spec::Descriptor commit(std::string_view media_type, const std::string& expected_digest = {},
                            int64_t expected_size = -1);
    // The same, but durable and seen by others from Store::settle() on: the disk has time for it
    // while other blobs are written. Only for one in a work directory, which must live until then.
    spec::Descriptor commit_later(std::string_view media_type,
                                  const std::string& expected_digest = {},
                                  int64_t expected_size = -1);

private:
    friend class Store;
    BlobWriter(const Store& store, Claimed file, std::string_view algorithm, bool for_later);
    void begin_to_sync();
    void take_up();
    void expect(const std::string& digest, int64_t size);
    const Store* store_;
    std::string path_;
    UniqueFd fd_;
    Hasher hasher_;
    Digest digest_;
    int64_t size_ = 0, begun_ = 0;  // and how much of it the disk has been told of
    bool for_later_;
    bool stays_ = false;  // without a commit, too, for who goes on with it
};

class Store {
public:
    // Opens, or makes, the store at that host path, for its owner alone: an existing one that is
    // open to others is closed. Throws if it is another layout version, or a directory with other
    // files.
    explicit Store(std::string root);
    const std::string& root() const { return root_; }

    // --- blobs
    // Is a blob of that size there? What its bytes are is found out when it is read.
    bool has_blob(const Digest& digest, int64_t size = -1) const;
    // Reads all of it to say whether its bytes are right.
    bool is_intact(const spec::Descriptor& descriptor) const;
    // Has this process seen, as it wrote or read them all, that its bytes are right?
    bool was_intact(const Digest& digest) const;
    std::string blob_path(const Digest& digest) const;
    UniqueFd open_blob(const Digest& digest) const;  // throws if it is not there
    std::string read_blob(const spec::Descriptor& descriptor,
                          size_t most = size_t(8) << 20) const;  // verified
    BlobWriter new_blob(std::string_view algorithm = "sha256") const;
    // What comes from afar: what an earlier command has got of it is there already, and what is got
    // of it now stays for the next one, unless it turns out to be wrong. Waits for whoever is
    // getting it; nothing, if they have got it.
    std::optional<BlobWriter> resume_blob(const spec::Descriptor& blob) const;
    // For commit_later(): in that directory, or in one of the store's own.
    BlobWriter new_blob(const WorkDir& in, std::string_view algorithm = "sha256") const;
    BlobWriter new_blob_for_later(std::string_view algorithm = "sha256") const;
    // What was to be committed later is, all of it; nobody may be writing such a blob. Names are
    // only written after it.
    void settle() const;
    // A damaged one is replaced.
    spec::Descriptor put_blob(std::string_view data, std::string_view media_type,
                              std::string_view algorithm = "sha256") const;

    // --- images
    // All of them, as they are written down: for who looks at many and needs little of each.
    NameTable names() const { return Names::read(root_); }
    std::vector<NamedImage> images() const;  // newest first, dangling ones included
    // The same, but each manifest once, whatever names it has.
    std::vector<NamedImage> manifests() const;
    std::vector<Reference> names_of(const spec::Descriptor& manifest) const;
    // By name, image ID, unique prefix of the ID or manifest digest. Images that cannot be read
    // while an ID is looked for are warned of.
    std::optional<NamedImage> find(const std::string& name_or_id) const;
    NamedImage get(const std::string& name_or_id) const;  // throws "No such image: X"
    // The image for this machine's platform (or `platform`, "linux/arm64"): an index is followed.
    Image load(const spec::Descriptor& descriptor, const std::string& platform = {}) const;
    std::expected<Image, Error>
    try_load(const spec::Descriptor& descriptor) const;  // or why it cannot be read
    // The name now means that manifest; what had it before becomes dangling (kept in the index).
    void tag(const spec::Descriptor& manifest, const std::optional<Reference>& name) const;
    // Many at once, as if one after the other. Throws "No such image" for a manifest that is not
    // there.
    void tag(std::span<const Naming> namings) const;
    // Removes the name (the last one of an image removes the image; gc() frees its blobs).
    void untag(const Reference& name) const;
    void remove(const spec::Descriptor& manifest) const;  // the image under all its names

    // --- what is kept
    //
    // While the lease lives, what this object was asked for and had, and what it made, is not
    // collected (lease.h).
    Lease use() const;
    // Layers, by their ChainIDs, for the lease; and blobs. Without a lease nothing happens.
    void hold(std::span<const Digest> blobs, std::span<const Digest> chain_ids) const;
    // For a look and a change that belong together, and take no time: meanwhile nothing is
    // collected.
    FileLock keep_all() const { return FileLock(root_ + "/lock", true); }
    // Frees blobs, layers and cache that no image, no container and no command at work needs; gives
    // bytes. `containers` is asked when nothing can change any more. What cannot be read is warned
    // of, and what it may need stays.
    uint64_t gc(const std::function<ContainerLayers()>& containers) const;
    // The same, with other limits than usual of what the build cache keeps.
    uint64_t gc(const std::function<ContainerLayers()>& containers,
                const struct CacheLimits& limits) const;

    // What the images' blobs and layers take of the disk, each counted once; and what of it neither
    // a container needs nor an image whose ID is in `used`.
    struct DiskUse {
        uint64_t bytes = 0, reclaimable = 0;
        struct OfImage {
            std::vector<Reference> names;
            std::string created;
            uint64_t shared = 0, unique = 0;  // bytes that others need, too, and its own
        };
        std::map<std::string, OfImage> images;  // by ID; those that can be read
        // Of the build cache: what it remembers, and the bytes that nobody else needs.
        size_t cache_records = 0;
        uint64_t cache_bytes = 0;
    };
    DiskUse disk_use(const ContainerLayers& containers, const std::set<std::string>& used) const;

    WorkDir work_dir(const std::string& purpose) const;  // ROOT/tmp/PURPOSE-XXXXXX
    void collect_dead_work() const;

private:
    struct Memory {
        std::mutex mutex;
        std::weak_ptr<LeaseFile> lease;
        std::set<Digest> intact;
        std::map<Digest, std::string> unsettled;  // where they are until settle()
        std::optional<WorkDir> work;              // for these
        Background disk;                          // which has them on it by then
    };
    std::string place_of(const Digest& digest) const;
    friend class BlobWriter;
    void note_intact(const Digest& digest) const;

    std::string root_;
    std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
};

// "amd64", as Go calls this machine; and "linux/amd64".
std::string host_architecture();
std::string host_platform();
// The default store: KEG_ROOT, else /var/lib/keg, else (not root) $XDG_DATA_HOME/keg.
std::string default_store_root();
