// A tree of files, as its layers.
#pragma once

#include <vector>

#include "image/store.h"

struct Stack {
    std::vector<spec::Descriptor> layers;  // lowest first
    std::vector<Digest> diff_ids;

    Stack() = default;
    explicit Stack(const Image& image)
        : layers(image.manifest.layers), diff_ids(image.diff_ids()) {}
    Image image() const;  // of that tree, with no more than that
};
