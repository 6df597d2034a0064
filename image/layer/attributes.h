// What the kernel makes of the attributes that a layer gives to a file: those it keeps, in the form
// in which it gives them back, and the permissions that an access list changes. So whoever sets
// them (apply.h) and whoever only writes down that they are set (file_tree.h) have the same result.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "image/layer/tar_stream.h"

struct Attributes {
    std::vector<std::pair<std::string, std::string>> kept;  // sorted by name
    uint32_t permissions = 0;                               // of the entry, 07777
};
// What a container's root directory has for permissions. A layer may have been packed from a
// private directory, which no other engine's containers mind: whoever may not even enter it could
// not run anything there.
constexpr mode_t root_permissions(mode_t mode) { return mode & S_IXOTH ? mode : mode | 0555; }

// Throws SysError where setxattr(2) would fail; `path` is for its words. No attribute is kept that
// would mean something to this host (rules.h), or that this kind of file cannot have.
Attributes attributes_of(const TarEntry& entry, const std::string& path);
