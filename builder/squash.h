// --squash: all that a build has made as one layer on its base.
#pragma once

#include "builder/stack.h"
#include "spec/image.h"

// Gives the stack with one layer in the place of those above `base`, and changes the history in
// the config to say so. The layer has no later time than those seconds since 1970.
Stack squashed(const Store& store, const Stack& tree, const Stack& base, int64_t latest,
               spec::ImageConfig& config);
