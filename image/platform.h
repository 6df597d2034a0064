// Which of an index's images is for a machine.
#pragma once

#include <cstddef>
#include <string>

#include "spec/image.h"

// Of indexes in indexes: more of them are somebody's joke.
constexpr size_t most_nested_indexes = 4;

// What an image's config says that it is for.
spec::Platform platform_of(const spec::ImageConfig& config);
// "linux/arm64/v8"; a missing os is linux, names of other systems ("x86_64", "aarch64") are Go's.
spec::Platform parse_platform(const std::string& text);
// The same, whole: "arm64" is "linux/arm64".
std::string shown_platform(const std::string& typed);
// The first entry that is an image for that platform ("" = this machine's), or nullptr.
// Attestations (platform unknown/unknown) are never meant.
const spec::Descriptor* find_platform(const spec::Index& index, const std::string& platform);
