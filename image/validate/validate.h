// `keg validate`: what is wrong with an image, or a part of one, whoever wrote it. Nothing is
// changed, and all of it is looked at: what ends a reader is a finding here. Throws Error only for
// what cannot be judged at all, because it cannot be read.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "image/store.h"
#include "image/validate/rules.h"

enum class ValidationKind { layout, archive, image, layer, bundle };
inline constexpr std::array<std::string_view, 5> validation_kinds = {"layout", "archive", "image",
                                                                     "layer", "bundle"};

// What a directory is, or the file that is open there (whose offset stays); nothing for neither.
std::optional<ValidationKind> kind_of_directory(const std::string& path);
std::optional<ValidationKind> kind_of_file(int fd);
// All that a descriptor gives, in a file of its own that has no name: for what cannot be read
// twice.
UniqueFd copy_of(int fd);

// An OCI layout, also the store of keg's.
void validate_layout(const std::string& directory, Findings& findings);
// Of docker's or OCI's form or both, compressed or not. `shown` is what findings call it. The file
// is a regular one.
void validate_archive(int fd, const std::string& shown, Findings& findings);
void validate_image(const Store& store, const NamedImage& image, Findings& findings);
// Also from a pipe. What it needs of layers below it is not known.
void validate_layer(int fd, const std::string& shown, Findings& findings);
// config.json, the rootfs that it names, and what `keg unpack` says of its image.
void validate_bundle(const std::string& directory, Findings& findings);
