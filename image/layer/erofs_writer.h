// A tree of layers as an EROFS index: a file of inodes, names and attributes that a kernel mounts
// over the layers' plain tars, in which the contents stay where they are. Mounted with the tars as
// devices in the tree's order (each filled up to 512 bytes: a file's last block is read whole), it
// is the tree's files; the same tree with the same tags is the same bytes, inode numbers included.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "image/layer/file_tree.h"

// Writes it to `fd` from its position on, which must be a new file's. Gives its size; or, and then
// nothing was written, what of the tree an index cannot say, with the file's name: such a tree is
// for plain files (apply.h).
std::expected<uint64_t, std::string> write_erofs(const FileTree& tree, int fd);

// Gives bytes of one of a tree's tars.
using ReadTar = std::function<void(uint32_t tar, uint64_t at, std::span<char> to)>;

// The tree as an image that stands alone, contents included, to `sink`: a layer of the type
// application/vnd.erofs.layer.v1. The same tree and bytes are the same image. Throws Error, and
// then nothing was written, for what an image cannot say.
void write_erofs_image(const FileTree& tree, const ReadTar& read,
                       const std::function<void(std::string_view)>& sink);
