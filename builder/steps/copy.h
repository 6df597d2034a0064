// Picked files -> a layer: where each comes over what lies below, and the tar. No file is made.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "builder/language/mode.h"
#include "builder/steps/pick.h"
#include "image/layer/diff.h"
#include "image/layer/file_tree.h"

struct CopyLooks {
    struct Owner {
        uint32_t uid = 0, gid = 0;
    };
    std::optional<Owner> owner;    // nothing: as in the source
    bool owns_parents = false;     // that owner was asked for: directories on the way get it, too
    std::optional<FileMode> mode;  // --chmod
    int64_t latest = 0;            // no time is later
};

using LayerSink = std::function<void(std::string_view)>;

// Where each file comes in the tree that the layer comes onto, `below`; all of them must live as
// long as this.
class PlacedCopy {
public:
    // Throws Error in BuildKit's words for what cannot be put there ("cannot copy to non-directory:
    // /etc/passwd").
    PlacedCopy(std::vector<Pick>& picks, const CopyFiles& copy, const CopyLooks& looks,
               FileTree& below);
    PlacedCopy(PlacedCopy&&) noexcept;
    ~PlacedCopy();

    // What the layer takes from the tree below: of two with the same files, the same looks and the
    // same of this, the layers are the same.
    std::vector<std::string> taken_from_below() const;
    // Writes the layer; files that are read are hashed again, and their picks say what was written.
    Diff write(const SourceTree& tree, const LayerSink& sink);

private:
    std::unique_ptr<class CopyLayer> layer_;
};

// Of WORKDIR: the same for directories that lack on the way.
Diff write_directories(const std::string& path, const CopyLooks& looks, FileTree& below,
                       const LayerSink& sink);

// The clean path, without links, that a path in the tree leads to, as far as there is anything.
std::string follow_links(FileTree& tree, const std::string& path);
