// An overlayfs upper directory -> a layer: image-spec's layer.md, entries sorted by their bytes, so
// that the same tree gives the same tar.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

struct Diff {
    uint64_t entries = 0;  // in the tar
    uint64_t bytes = 0;    // of the regular files' content
};

// Writes the tar to `sink`, piece by piece. Whiteouts and opaque marks of overlayfs become those of
// layers; sockets are left out. Of `below`, the root of what the upper directory lies over, only
// the looks count: if the two differ in mode or owner, the layer has an entry for the root. Throws
// an Error naming the file, also for one whose name a layer cannot hold (".wh.x").
Diff write_layer(const std::string& upper, const std::function<void(std::string_view)>& sink,
                 const std::string& below = {});
