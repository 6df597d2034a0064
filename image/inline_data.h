// Small blobs that a descriptor has with it (image-spec, "data").
#pragma once

#include <optional>
#include <string>

#include "spec/image.h"

// The bytes that a descriptor has with it, if they are what it describes; who gets nothing looks
// for them where they should be.
std::optional<std::string> inline_data(const spec::Descriptor& blob);
