// What names and attributes of a layer's entries mean, whatever a layer is made into: plain files
// (apply.h) and an index (file_tree.h) must not differ in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "image/layer/tar_stream.h"

constexpr size_t longest_name = 255;  // of one file, in its directory

// "./a//b/../c/" -> "a/c"; ".." above the root stays at the root. For names in archives.
std::string clean_path(std::string_view name);
// Whether its ".." lead above the root on the way.
bool climbs_out(std::string_view name);

// A clean path's directory and last component: views into it.
struct SplitPath {
    std::string_view directory, name;
};
SplitPath split_parent(std::string_view path);

// By image-spec's layer.md a name may be a mark: that something below the layer is hidden.
struct Mark {
    enum class Kind { none, whiteout, opaque, aufs } kind = Kind::none;  // aufs: to be passed over
    std::string_view hidden = {};  // of a whiteout: what it hides, in the same directory
};
// Throws Error for a whiteout that names no file.
Mark mark_of(std::string_view path);

// Attributes that are never taken from an image: they would mean something to this host or to
// overlayfs.
bool is_foreign_xattr(std::string_view name);
// Those that only layers give to a file. A directory's entry takes away what it does not name of
// these, and leaves others alone: they may be the host's.
bool is_of_layers(std::string_view name);

// Throws Error for numbers that the kernel does not know.
void check_owner(const TarEntry& entry);
void check_device(const TarEntry& entry);
