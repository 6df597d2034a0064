// A bundle that was edited becomes an image again: the one that it was unpacked from, and on top a
// layer of what is other in its rootfs.
#pragma once

#include <optional>
#include <string>

#include "image/derive.h"
#include "image/store.h"

// BUNDLE/keg.json: from which manifest the rootfs was unpacked, and how. What that tree was like is
// not written down a second time: the image says it.
void note_origin(const std::string& bundle, const Image& image, const Ownership& ownership);
// Of that the manifest. Throws Error for a bundle that has none, or one that cannot be read.
spec::Descriptor origin_of(const std::string& bundle);

struct RepackOptions {
    ChangeWords words;
    bool refresh = false;  // the bundle is the new image's from here on
};

// Nothing changed: an image with an entry more in its history, and the same layers. Without a name
// it is a dangling image. The bundle's config.json is not looked at. Throws Error for a directory
// that is no such bundle, and if its image is not in the store any more. Must not be called while
// something runs in the bundle. The caller has a lease on the store.
Image repack_bundle(const Store& store, const std::string& bundle,
                    const std::optional<Reference>& name, const RepackOptions& options);
