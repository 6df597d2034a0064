// Images with what they are for each platform, as `docker images --tree` shows it.
#pragma once

#include <string>
#include <vector>

#include "image/store.h"

void print_image_tree(const Store& store, const std::vector<NamedImage>& images);
