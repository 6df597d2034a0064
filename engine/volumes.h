// Volumes: directories that outlive containers, ROOT/volumes/NAME/_data.
#pragma once

#include <string>

#include "base/root.h"
#include "engine/container.h"

// The directory of the volume that `mount` names; one that is new or empty first gets what `root`,
// the container's root file system, has at the mount's destination (unless mount.no_copy), wholly
// and once, whoever else wants it.
std::string prepare_volume(const std::string& store_root, const VolumeMount& mount,
                           const Root& root);
// Those that nobody but this container knows.
void remove_anonymous_volumes(const Containers& containers, const Container& container);
