// Keys of steps: what the cache (image/build_cache.h) knows them by.
#pragma once

#include <string>
#include <vector>

#include "image/snapshots.h"

// Of a step on layers with these diff IDs: what it finds, which is their content, and what it is,
// field by field. What a step does not see (a LABEL) is no part of it.
Digest step_key(Layers below, const std::vector<std::string>& fields);
