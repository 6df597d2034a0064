// An EROFS index read back into the tree that it was written from, so that another layer can be put
// on top without reading the lower tars; and judged on the way. It may come from a stranger, and a
// kernel that mounts it believes it: so nothing in it is believed here. What can be reached from
// the root is looked at, each byte at most once: places, kinds, names and their order, circles,
// counts of links, attributes, and that all contents lie within their tars.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "image/layer/file_tree.h"

// Of an index that is not compressed, with blocks of 512 to 4096 bytes, and whose contents lie in
// its devices, which become tars(). Throws Error that says what is wrong, and where ("EROFS index:
// inode 36: …").
FileTree read_erofs(std::span<const std::byte> index);

namespace erofs {

// Gives bytes of an image from anywhere within its size.
using ReadAt = std::function<void(uint64_t at, std::span<char> to)>;

// Of a file's content: where in the file, how much, and where in the image.
struct Piece {
    uint64_t offset, size, at;
};

struct LayerTree {
    FileTree tree;  // of one tar, the image
    // Of files whose pieces are not one behind the other, which are at TarEntry::nowhere.
    std::unordered_map<FileTree::Id, std::vector<Piece>> scattered;
};

}  // namespace erofs

// Of an image that is a layer by itself: the contents lie in it. What overlayfs reads in such a
// tree is left in it, devices 0:0 and attributes of its own. Beside what an index must not have, it
// must not have devices, and is no larger than: 2,000,000 files and as many attributes, 4,000,000
// chunks, 256 MiB of all that is not contents, and these no more than eight times the image, whose
// pieces files may share.
erofs::LayerTree read_erofs_layer(uint64_t size, const erofs::ReadAt& read);
