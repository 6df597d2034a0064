// What steps of builds made, by keys of what they were: so that nothing is made twice. It has a
// life of its own: what it names stays in the store, whatever becomes of images, until nobody has
// used it for long, or it is too much.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "image/snapshots.h"
#include "image/store.h"

struct CachedLayer {
    spec::Descriptor blob;
    Digest diff_id;
};

class BuildCache {
public:
    explicit BuildCache(const Store& store) : store_(store) {}
    // Only what is complete in the store counts. It is used now.
    std::optional<CachedLayer> find(const Digest& key) const;
    // Not durable: after a power cut the step may have to run again. The blob must be.
    // `kind` is for who lists it: a step, or a layer that several steps may have made.
    void remember(const Digest& key, const CachedLayer& layer, Layers below,
                  std::string_view kind = "step") const;
    // A digest of what is in the files of those layers, which the key names.
    std::optional<Digest> find_digest(const Digest& key) const;
    void remember_digest(const Digest& key, const Digest& digest, Layers layers) const;
    // Who has it makes the step; the others wait, and find it made.
    FileLock lock(const Digest& key) const;

private:
    std::string path_of(const Digest& key) const;
    const Store& store_;
};

// One of what is remembered.
struct CacheRecord {
    std::string path;           // its file
    std::string key;            // hex digits
    int64_t used = 0;           // seconds since 1970
    std::string blob;           // a digest; "" if it names no layer
    std::string kind;           // as it was remembered
    uint64_t bytes = 0;         // of the blob
    std::vector<Digest> stack;  // the layer and those below it, lowest first
};
// Of the store at `root`, those used last first; what is none is left out.
std::vector<CacheRecord> cache_records(const std::string& root);

// The directories of RUN --mount=type=cache, in `root`/mounts.
struct CacheMount {
    std::string path, id;
    int64_t used = 0;
};
std::vector<CacheMount> cache_mounts(const std::string& root);
// Unless a build has it. Gives the bytes that it took.
uint64_t remove_cache_mount(const CacheMount& mount);

// What is known of the files of contexts (builder/steps/file_digests.h), all of it.
void forget_files(const std::string& root);

// Of the records those that may stay: used within that time, the last ones first, whose blobs
// together are no more than so many bytes.
struct CacheLimits {
    std::chrono::seconds age = std::chrono::days(30);
    uint64_t bytes = uint64_t(20) << 30;
};
// How many of them, from the first.
size_t within_limits(const std::vector<CacheRecord>& records, const CacheLimits& limits);
