// An image from one place to another, with all that belongs to it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "image/documents.h"
#include "image/layer/encoder.h"
#include "image/transport/transport.h"

struct CopyOptions {
    bool all = false;                        // of an index all images, not the one for a platform
    Documents::Wanted wanted = {};           // with `all`: of what it names, that; none: everything
    std::string platform;                    // "linux/arm64"; "" = this machine's
    std::optional<Compression> compression;  // of layers; none: as they are, or as the place wants
    bool same_digests = false;               // or not at all
    // Is asked with the documents from the uppermost index down to the manifest (of all of an
    // index: with that alone) before any blob comes, and throws to refuse the image.
    std::function<void(const std::vector<spec::Descriptor>& chain)> accept = {};
    std::string moved = "Copied";  // what is said of a blob that has come
};

// Gives the descriptor of what is there now. Every document and blob is compared with the digest,
// the size and the media type of what names it; blobs come before the manifests that name them, the
// top document and its name last. Digests stay what they are, unless the options or the place ask
// for other layers. Throws Error.
spec::Descriptor copy_image(ImageSource& from, ImageSink& to, const CopyOptions& options = {});
