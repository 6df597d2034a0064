// Whether two builds of one Dockerfile are the same image, and if not, which files differ.
#pragma once

#include <string>
#include <vector>

#include "image/store.h"

// A line for each difference: `RUN date > /d: /d: content`; none if the images are the same. Reads
// the layers that differ. Throws Error for a damaged one.
std::vector<std::string> differences_of(const Store& store, const Image& first,
                                        const Image& second);
