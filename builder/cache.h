// What steps made, by keys of what they were: so that nothing is made twice, by this build or
// another.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/snapshots.h"
#include "image/store.h"

// Of a step on layers with these diff IDs: what it finds, which is their content, and what it is,
// field by field. What a step does not see (a LABEL) is no part of it.
Digest step_key(Layers below, const std::vector<std::string>& fields);

struct CachedLayer {
    spec::Descriptor blob;
    Digest diff_id;
};

class BuildCache {
public:
    explicit BuildCache(const Store& store) : store_(store) {}
    // Only what is complete in the store counts.
    std::optional<CachedLayer> find(const Digest& key) const;
    // Not durable: after a power cut the step may have to run again. The blob must be.
    void remember(const Digest& key, const CachedLayer& layer, Layers below) const;
    // A digest of what is in the files of those layers, which the key names.
    std::optional<Digest> find_digest(const Digest& key) const;
    void remember_digest(const Digest& key, const Digest& digest, Layers layers) const;
    // Who has it makes the step; the others wait, and find it made.
    FileLock lock(const Digest& key) const;
    std::optional<FileLock> try_lock(const Digest& key) const;

private:
    std::string path_of(const Digest& key) const;
    std::string lock_path(const Digest& key) const;
    const Store& store_;
};
