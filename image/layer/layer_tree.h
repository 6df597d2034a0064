// What the topmost of a stack of layers has changed, as a tree of its own in overlayfs's form:
// devices 0:0 where something is gone, an attribute where a directory took another's place. That is
// what an EROFS image is written of (erofs_writer.h) that shall be this layer.
//
// It is taken from the files, and not from the layer's words: so a directory that the layer implies
// looks as it does below, and a link that led a name elsewhere is not there any more.
#pragma once

#include "image/layer/file_tree.h"

// `after` is `before` with one layer more: what is unchanged has the same ids in both. A file of
// below that has got another name is there once more, since links do not leave an image.
FileTree layer_tree(const FileTree& before, const FileTree& after);
