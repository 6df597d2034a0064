// From the store to a registry.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "image/layer/encoder.h"
#include "image/store.h"

struct PushOptions {
    std::string platform = {};  // of an index, that image alone; "": all of the index
    // How layers go that are kept as plain tars. Nothing: by gzip, but for an image that has come
    // from a registry with plain layers, which keeps its digest.
    std::optional<Compression> compression = {};
    // All that an index names goes, or nothing does: never the one image that is here instead.
    bool whole = false;
};

// The tag, and what it means in the registry from now on.
struct Pushed {
    std::string tag;
    spec::Descriptor manifest;
    std::string note;  // what the user should know of it, or ""
};

// Images of one repository, by their tags, one after the other; each is given as soon as it is
// there. Only what the registry has not is sent, and what names a blob after the blob. Throws
// Docker's words for what may not be pushed.
void push(const Store& store, const Reference& repository, const std::vector<std::string>& tags,
          const PushOptions& options, const std::function<void(const Pushed&)>& done);
