// A stage being built: the layers so far, the config they will have, and the key that says how it
// came to be (for the cache).
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "builder/language/words.h"
#include "image/snapshots.h"
#include "image/store.h"

struct Argument {
    std::string name;
    std::optional<std::string> value;
    bool hidden = false;  // by a later ENV of that name
};

// Where names stand in a list that is only added to, or replaced by one of another length: a
// Dockerfile may have as many as it likes, and each is looked for again and again.
class Places {
public:
    static constexpr size_t nowhere = size_t(-1);
    template <class List, class NameOf>
    size_t find(const List& list, const std::string& name, NameOf name_of) {
        if (count_ > list.size()) places_.clear(), count_ = 0;
        for (; count_ < list.size(); ++count_)
            places_.try_emplace(std::string(name_of(list[count_])), count_);
        const auto place = places_.find(name);
        return place == places_.end() ? nowhere : place->second;
    }

private:
    std::unordered_map<std::string, size_t> places_;
    size_t count_ = 0;  // of the list's, those that are in places_
};

struct Stage {
    std::string name;                      // of "FROM … AS name"; or its number
    std::vector<spec::Descriptor> layers;  // the manifest's, lowest first
    std::vector<Digest> diff_ids;
    spec::ImageConfig config;
    std::vector<Argument> args;  // ARG of this stage, in their order
    bool has_cmd = false;        // CMD was given in this stage

    std::string env(const std::string& name, bool& found) const;  // ENV's alone; "" if not found
    void set_env(const std::string& name, const std::string& value);
    void set_arg(const std::string& name, const std::optional<std::string>& value);
    // ARG and ENV: whichever was set last.
    Lookup lookup() const;
    // SHELL's, or /bin/sh -c
    std::vector<std::string> shell() const;
    // What RUN finds in its environment: ENV's, over which an ARG goes that no later ENV hides.
    std::vector<std::string> environment() const;
    // So far, in the store or not.
    Image image() const;
    void add_history(const std::string& created_by, bool empty_layer, const std::string& created);
    // Of a step that would come next: what it finds, which is the content of the layers so far,
    // and what it is, field by field. What a step does not see (a LABEL) is no part of it.
    std::string key_of(const std::vector<std::string>& step) const;

private:
    size_t place_in_env(const std::string& wanted) const;
    const Argument* argument(const std::string& wanted) const;
    mutable Places env_places_, arg_places_;
};

// What a step made, as the cache keeps it.
struct CachedLayer {
    spec::Descriptor blob;
    Digest diff_id;
    bool empty = false;
    std::string created;
};
// The file that is locked by who makes the step of that key.
std::string lock_path(const Store& store, const std::string& key);
// Only what is complete in the store counts; the layer comes over `stack`.
std::optional<CachedLayer> find_cached(const Store& store, const std::string& key,
                                       std::vector<Digest> stack);
// Not durable: after a power cut the step may have to run again.
void remember(const Store& store, const std::string& key, const CachedLayer& layer);
