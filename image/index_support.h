// Can the layers of a store be mounted as an index over their tars?
#pragma once

#include "image/store.h"

// Tried once for a kernel and noted in the store: the kernel must know EROFS over files (Linux
// 6.12) in blocks of less than a page, mount it from the store's file system, say so when a tar is
// too short, and put an overlay over it.
bool can_mount_indexes(const Store& store);
