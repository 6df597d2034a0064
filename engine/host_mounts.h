// What is mounted on the host for a container while it runs, besides its root: in its directory
// `mounts`, one directory each, so that whoever cleans up finds them all.
#pragma once

#include <string>

#include "engine/container.h"

// A tmpfs for /dev/shm that other containers may mount, too; gives its place.
std::string mount_shared_memory(const Container& container);
// Where it is, whether it is mounted or not.
std::string shared_memory_of(const Container& container);
// The part `subpath` of a tree that belongs to somebody else, by the descriptor that was looked at:
// no link leads out of it, now or later. Gives its place. Throws Docker's words if it is not there.
std::string mount_part(const Container& container, size_t number, const std::string& tree,
                       const std::string& subpath);
// Takes back all of them; none need be there.
void unmount_all(const Container& container);
