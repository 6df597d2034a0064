// An image as `docker inspect` shows it.
#pragma once

#include <string>

#include "image/store.h"

// One JSON object, indented by 4 blanks per level; of an image for several platforms, that one's
// (get_variant). Throws Error if the image cannot be read.
std::string image_inspect_json(const Store& store, const NamedImage& image,
                               const std::string& platform = {});
