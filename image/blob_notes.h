// What is remembered of a blob so that less moves the next time: in which registries' repositories
// it is, and what became of a plain tar when it was compressed. Nothing depends on it: what is lost
// is found out again, and what is wrong costs a question. It goes with the blob, or with what names
// one that is elsewhere (Store::gc).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/store.h"

class BlobNotes {
public:
    // Of a blob of the store; what is in registries is that blob, or one that was made of it.
    BlobNotes(const Store& store, const Digest& blob);

    // Repositories of that registry which have `digest`, the last one that was noted first.
    std::vector<std::string> repositories(const std::string& registry, const Digest& digest) const;
    bool is_somewhere(const Digest& digest) const;
    void add_repository(const std::string& registry, const std::string& repository,
                        const Digest& digest);

    // What it is when compressed so ("gzip-2"): its digest and size.
    std::optional<spec::Descriptor> compressed(const std::string& how) const;
    void add_compressed(const std::string& how, const spec::Descriptor& result);

private:
    void save() const;
    std::string path_;
    json::Value notes_;
};
