// An EROFS index read back into the tree that it was written from, so that another layer can be put
// on top without reading the lower tars; and judged on the way. It may come from a stranger, and a
// kernel that mounts it believes it: so nothing in it is believed here. What can be reached from
// the root is looked at, each byte at most once: places, kinds, names and their order, circles,
// counts of links, attributes, and that all contents lie within their tars.
#pragma once

#include <cstddef>
#include <span>

#include "image/layer/file_tree.h"

// Of an index that is not compressed, with blocks of 512 to 4096 bytes, and whose contents lie in
// its devices, which become tars(). Throws Error that says what is wrong, and where ("EROFS index:
// inode 36: …").
FileTree read_erofs(std::span<const std::byte> index);
