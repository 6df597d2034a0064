// What a container has changed of its image's files: `docker diff`.
#pragma once

#include <string>
#include <vector>

#include "engine/container.h"

struct FileChange {
    char kind = 'C';   // A added, C changed, D deleted
    std::string path;  // "/etc/passwd"
};
// Sorted by path. What a start makes to mount on is no change. Throws Error for one that has gone.
std::vector<FileChange> changes_of(const Containers& containers, const Container& container);
