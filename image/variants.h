// What an image of the store is for each platform, and what of it is here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "image/store.h"

// An image that is for one platform.
struct Variant {
    spec::Descriptor manifest;
    std::optional<spec::Platform> platform;
    std::string id;        // Docker's image ID; "" if its config is not here
    bool is_here = false;  // all of it
    uint64_t content = 0;  // bytes of blobs that it names, and
    uint64_t disk = 0;     // with what is made of them here: plain tars, indexes, directories
};
struct Variants {
    std::vector<Variant>
        all;  // in the index's order; without attestations, which are for no machine
    uint64_t content = 0, disk = 0;  // of all together, what several have counted once
};
// Throws Error for an index that cannot be read, or is nested too deep.
Variants list_variants(const Store& store, const spec::Descriptor& top);
// The one for that platform, as a person typed it, whose config is here at least.
std::optional<Variant> find_variant(const Store& store, const spec::Descriptor& top,
                                    const std::string& platform);
// What names it: its manifest, or what the image is named by if no platform was asked for, and this
// machine's is here; if it is not, the first that is. Throws Docker's words if there is none.
spec::Descriptor get_variant(const Store& store, const NamedImage& image,
                             const std::string& platform);
// The manifest goes from here, though the index still names it; what it alone needs is the
// collector's. Throws Error for one that has a name of its own, or that a command at work needs.
void remove_variant(const Store& store, const spec::Descriptor& manifest);
// "linux/arm64/v8".
std::string platform_text(const spec::Platform& platform);
