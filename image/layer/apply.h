// A layer onto a root file system: the changes of image-spec's layer.md (whiteouts, opaque
// directories, hard links, types that change) applied to a directory or an overlay mount.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "image/layer/entries.h"
#include "image/layer/inflate.h"
#include "image/layer/ownership.h"

// Digests that were asked for.
struct Applied {
    Digest diff_id;      // of the plain tar, its trailing bytes included
    Digest blob;         // of the blob
    uint64_t bytes = 0;  // of the regular files' content
};

struct ApplyOptions {
    bool whiteouts = true;  // names with ".wh." hide what is below
    InflatedLayer::Hashes hashes = {};
    std::optional<std::pair<uid_t, gid_t>> owner = {};  // of everything, whatever the headers say
    Ownership ownership = {};                           // else whose they are that are in these
};

// Applies the layer that `blob_fd` holds (a tar, plain or gzip or zstd or …) to `directory`, a host
// path whose content is untrusted. Owners, modes, times, xattrs and device nodes are set: needs
// root. Throws Error that names the entry; what was applied by then stays (the caller throws it
// away).
Applied apply_layer(int blob_fd, const std::string& directory, const ApplyOptions& options = {});

// The same of entries that come from elsewhere. Gives the bytes of the regular files' content.
uint64_t apply_entries(LayerEntries& entries, const std::string& directory,
                       const ApplyOptions& options = {});
