// An overlayfs upper directory, or what of a tree has changed -> a layer: image-spec's layer.md,
// entries sorted by their bytes, so that the same tree gives the same tar.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "image/layer/difference.h"
#include "image/layer/ownership.h"

struct Diff {
    uint64_t entries = 0;  // in the tar
    uint64_t bytes = 0;    // of the regular files' content
};

// Of what is read: which times and owners its entries have.
struct LayerStyle {
    Clamp clamp = {};
    Ownership ownership = {};
};

struct LayerOptions {
    // The root of what the upper directory lies over. Only its looks count: if the two differ in
    // mode, owner or attributes, the layer has an entry for the root.
    std::string below = {};
    // Paths without a slash before them, which are no part of the layer, and what is below them.
    std::set<std::string> but = {};
    Clamp clamp = {};
    // The upper directory's files get the times that the layer gives them.
    bool sets_times = false;
};

// Writes the tar to `sink`, piece by piece. Whiteouts and opaque marks of overlayfs become those of
// layers; sockets are left out. Throws an Error naming the file, also for one whose name a layer
// cannot hold (".wh.x").
Diff write_layer(const std::string& upper, const std::function<void(std::string_view)>& sink,
                 const LayerOptions& options = {});

// Would that layer be empty? Looks at nothing but the two roots.
bool is_unchanged(const std::string& upper, const std::string& below);

// The same of the changes that compare_trees() found in `now`.
Diff write_layer(const Root& now, const TreeChanges& changes, const LayerStyle& style,
                 const std::function<void(std::string_view)>& sink);

// The same of a file or a directory of the host's, which is to be at `target`, a clean path
// (rules.h); opaque: nothing that was in that directory is seen any more.
Diff write_layer_of_copy(const std::string& source, const std::string& target, bool opaque,
                         const LayerStyle& style,
                         const std::function<void(std::string_view)>& sink);
