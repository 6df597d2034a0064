// A stack of layers as a root file system. This file alone knows what an unpacked layer looks like
// on disk (now: a directory in overlayfs's form; a second form will join: a read-only image over
// the layer's own tar). A layer is unpacked once for all images and containers that have it over
// the same layers, and is published by rename only after syncfs: a directory under layers/ is
// complete or is not there.
//
// What an unpacked layer looks like depends on what is below it: a whiteout is only there if it
// hides something, a parent directory that the layer does not describe keeps its looks, a hard link
// may lead to a lower file. So it is kept under image-spec's ChainID, which names a layer and all
// below it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/layer/apply.h"
#include "image/store.h"

using Layers = std::span<const Digest>;  // diff IDs, lowest first

// The ChainIDs of a stack: one for each layer, of all up to it.
std::vector<Digest> chain_ids(Layers diff_ids);

// A mounted (or mountable) root of a container or of a build step.
struct Snapshot {
    std::vector<Digest> layers;  // lowest first
    std::string upper, work;     // host directories; both empty: read-only
    std::string target;          // where it is mounted
};

class Snapshots {
public:
    explicit Snapshots(const Store& store) : store_(store) {}

    // Unpacks what is not yet unpacked, verifying digest and diff ID of each layer's blob; of one
    // that is unpacked, too, unless it is known already that this blob holds it. Throws for more
    // layers than an overlay takes.
    void unpack(const Image& image) const;
    // Of a layer, by its ChainID: is it unpacked, and how many bytes has its content?
    bool has(const Digest& chain_id) const;
    std::optional<uint64_t> size(const Digest& chain_id) const;
    // The same of the topmost of these layers.
    bool has_top(Layers layers) const;
    std::optional<uint64_t> top_size(Layers layers) const;

    // Mounts the stack on snapshot.target (made if missing), writable in `upper` if there is one.
    // volatile_: overlayfs need not sync at unmount (the content is thrown away or synced by us).
    void mount(const Snapshot& snapshot, bool volatile_) const;
    static void unmount(const std::string& target);

    // A new layer from what was written to `upper` (an overlayfs upper directory): the tar goes to
    // the store as a blob, and the directory itself becomes the unpacked layer (it is moved). Gives
    // the blob's descriptor and its DiffID. `upper` must not be mounted. Nothing changed: an empty
    // layer.
    struct NewLayer {
        spec::Descriptor blob;
        Digest diff_id;
        bool empty = false;  // the layer holds no entry at all
    };
    NewLayer commit(const std::string& upper, Layers below) const;

    // Copies the merged view of the stack to an ordinary directory (for a stand-alone bundle): the
    // hard cases of flattening (whiteouts, opaque, links) are the same code that unpacks layers.
    void flatten(const Image& image, const std::string& directory) const;

    // What the unpacked topmost layer lacks, has too much or otherwise than its blob says, which is
    // unpacked once more to find out; "": nothing. Throws if the blob is not what it should be.
    std::string difference(const spec::Descriptor& blob, Layers layers) const;

private:
    Applied apply_top(const spec::Descriptor& blob, Layers layers, const std::string& work) const;
    Applied unpack_top(const spec::Descriptor& blob, Layers layers) const;

    const Store& store_;
};
