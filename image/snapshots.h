// A stack of layers as a root file system. This file and its .cpp alone know what layers look like
// on disk, which depends on what the kernel can:
//
//   an index   of a whole stack, mounted over the layers' plain tars, which are blobs of the store:
//              nothing is unpacked, and what is used is what the DiffIDs name
//   a diff     a layer's changes as plain files, a directory in overlayfs's form, over the layers
//              below it: of what an index cannot say, and of what a build has made
//
// Both are kept under image-spec's ChainID, which names a layer and all below it. A root is the
// nearest index below its top, and the diffs above that. An index or a diff gets its name by rename
// when it is whole and on the disk: it is complete or is not there.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "image/layer/apply.h"
#include "image/layer/diff.h"
#include "image/layer/file_tree.h"
#include "image/overlay.h"
#include "image/seals.h"
#include "image/store.h"

using Layers = std::span<const Digest>;  // diff IDs, lowest first

// A layer with no entry, as keg writes it: what a step that changes nothing makes. On disk there is
// nothing of it but the blob, and no mount has it.
bool is_empty_layer(const Digest& diff_id);

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
    // New layers are written in that directory, which must live as long as this: whoever clears it
    // clears what a killed process has written of one.
    void work_in(const WorkDir& directory) { work_ = &directory; }

    // Makes the image ready to be mounted, verifying digest and diff ID of each layer's blob; of
    // one that is ready, too, unless it is known already that this blob holds it. Tars that are
    // missing (Trust::stored) or not what they should be (Trust::nothing, which reads all of them)
    // are made anew. Throws for more layers than an overlay takes. Where this process may not
    // mount, it is only verified.
    enum class Trust { stored, nothing };
    void unpack(const Image& image, Trust trust = Trust::stored) const;
    // The part of it that can be done before the layers below are there: the layer's plain bytes,
    // verified, become a blob under its DiffID, from Store::settle() on, if an index needs them.
    // Several threads may do so at once, each for a layer of its own.
    void keep_tar(const spec::Descriptor& layer, const Digest& diff_id,
                  const Digest& chain_id) const;
    // Puts the image's layer of that number onto the tree of those below it. Its plain bytes, which
    // are verified, are a blob under its DiffID from Store::settle() on.
    void add_to(FileTree& tree, const Image& image, size_t layer) const;
    // What the image's layers make together, in memory; what else is needed for it (plain tars) is
    // kept.
    FileTree tree(const Image& image) const;
    // Of a layer, by its ChainID: is there an index or a diff, and how many bytes has its content?
    bool has(const Digest& chain_id) const;
    std::optional<uint64_t> size(const Digest& chain_id) const;
    // Of the topmost of these layers.
    std::optional<uint64_t> top_size(Layers layers) const;
    // Is there, from the top down, a diff of each layer, until an index says the rest? If not:
    // the ChainID of the first that lacks.
    bool can_mount(Layers layers) const;
    std::optional<Digest> missing(Layers layers) const;

    // Mounts the stack on snapshot.target (made if missing), writable in `upper` if there is one.
    // volatile_: overlayfs need not sync at unmount (the content is thrown away or synced by us).
    void mount(const Snapshot& snapshot, bool volatile_) const;
    static void unmount(const std::string& target);

    // A new layer from what was written to `upper` (an overlayfs upper directory): the tar goes to
    // the store as a blob, and the directory itself becomes the layer's diff (it is moved). Gives
    // the blob's descriptor and its DiffID. `upper` must not be mounted. Nothing changed: an empty
    // layer.
    struct NewLayer {
        spec::Descriptor blob;
        Digest diff_id;
        bool empty = false;  // the layer holds no entry at all
        uint64_t bytes = 0;  // of its files
    };
    // No file's time is later than the clamp's, in the layer and in the directory.
    NewLayer commit(const std::string& upper, Layers below, const Clamp& clamp = {}) const;
    NewLayer empty() const;
    // The same of a directory that stays, and may be mounted; without the paths in `but`.
    NewLayer copy(const std::string& upper, Layers below, const std::set<std::string>& but) const;
    // The same of what `write` gives to its sink (diff.h).
    using LayerSink = std::function<void(std::string_view)>;
    NewLayer new_layer(const std::function<Diff(const LayerSink&)>& write) const;

    // Copies the merged view of the stack to an ordinary directory (for a stand-alone bundle): the
    // hard cases of flattening (whiteouts, opaque, links) are the same code that unpacks layers.
    void flatten(const Image& image, const std::string& directory,
                 const Ownership& ownership = {}) const;

    // What index and diff of the topmost layer lack, have too much or otherwise than the blobs say,
    // of which they are made once more to find out; "": nothing. Throws if a blob is not what it
    // should be.
    std::string difference(const spec::Descriptor& blob, Layers layers) const;

private:
    void verify(const Image& image, std::span<const Digest> ids) const;
    bool has_index(const Digest& chain_id) const;
    bool is_ready(const Image& image, std::span<const Digest> ids, Trust trust) const;
    bool has_tar(const Digest& diff_id, Trust trust) const;
    size_t indexed(std::span<const Digest> ids) const;
    std::string broken_seal(Layers layers) const;
    size_t begin_tree(const Image& image, std::span<const Digest> ids, size_t first, FileTree& tree,
                      Seals& seals) const;
    Seals seal(const std::string& index, Layers layers, Seals below) const;
    void mend(const Image& image, std::span<const Digest> ids, Trust trust) const;
    void keep_tars(const Image& image, std::span<const Digest> ids, size_t first) const;
    bool make_index(const Image& image, std::span<const Digest> ids, size_t first) const;
    void make_diffs(const Image& image, std::span<const Digest> ids) const;
    void make_diff(const spec::Descriptor& blob, Layers layers) const;
    Applied apply_top(const spec::Descriptor& blob, Layers layers, const std::string& work) const;
    std::string difference_of_diff(const spec::Descriptor& blob, Layers layers) const;
    std::string difference_of_index(Layers layers) const;
    std::vector<Lower> lowers(Layers layers) const;

    const Store& store_;
    const WorkDir* work_ = nullptr;
};

// A stack that is mounted for as long as this lives.
class Mounted {
public:
    Mounted(const Snapshots& snapshots, const Snapshot& snapshot, bool volatile_ = false);
    Mounted(const Mounted&) = delete;
    Mounted& operator=(const Mounted&) = delete;
    ~Mounted();
    const std::string& path() const { return target_; }

private:
    std::string target_;
};
