// A stage being built: the layers so far, the config they will have, and the key that says how it came
// to be (for the cache).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "image/snapshots.h"
#include "image/store.h"

struct Stage {
    std::string name;                        // of "FROM … AS name"; or its number
    std::vector<spec::Descriptor> layers;    // the manifest's, lowest first
    std::vector<Digest> diff_ids;
    spec::ImageConfig config;
    std::map<std::string, std::string> args; // ARG of this stage, with values
    std::string key;                         // digest of all that led here
    bool has_cmd = false;                    // CMD was given in this stage

    std::string env(const std::string& name, bool& found) const;
    void set_env(const std::string& name, const std::string& value);
    void add_history(const std::string& created_by, bool empty_layer, const std::string& created);
    // The next key: this one and what the step is.
    std::string next_key(const std::string& step) const;
};

// What a step made, as the cache keeps it.
struct CachedLayer {
    spec::Descriptor blob;
    Digest diff_id;
    bool empty = false;
    std::string created;
};
// Only what is complete in the store counts; the layer comes over `stack`.
std::optional<CachedLayer> find_cached(const Store& store, const std::string& key, std::vector<Digest> stack);
void remember(const Store& store, const std::string& key, const CachedLayer& layer);
