// What this kernel can do with the layers of a store. Each answer is tried for once and noted in
// the store, for this kernel.
#pragma once

#include "image/store.h"

// Can they be mounted as an index over their tars? The kernel must know EROFS over files (Linux
// 6.12) in blocks of less than a page, mount it from the store's file system, say so when a tar is
// too short, and put an overlay over it.
bool can_mount_indexes(const Store& store);

// Has the store's file system fs-verity (seals.h)?
bool can_seal(const Store& store);
