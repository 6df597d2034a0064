// Which of an index's images is for a machine.
#pragma once

#include <string>

#include "spec/image.h"

// "linux/arm64/v8"; a missing os is linux, names of other systems ("x86_64", "aarch64") are Go's.
spec::Platform parse_platform(const std::string& text);
// The first entry that is an image for that platform ("" = this machine's), or nullptr.
// Attestations (platform unknown/unknown) are never meant.
const spec::Descriptor* find_platform(const spec::Index& index, const std::string& platform);
