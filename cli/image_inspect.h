// An image as `docker inspect` shows it.
#pragma once

#include <string>

#include "image/store.h"

// One JSON object (indented as an element of Docker's array, by 4 blanks per level) about that
// image.
std::string image_inspect_json(const Store& store, const NamedImage& image);
