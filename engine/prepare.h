// What a container's directory holds before the runtime is called: the files that are mounted over
// the image's, and config.json.
#pragma once

#include <vector>

#include "base/unique_fd.h"
#include "engine/container.h"

struct Prepared {
    // Of other containers, named by config.json: to be open until the runtime has joined them.
    std::vector<UniqueFd> namespaces;
};
// Its root file system is mounted, its places in networks are known.
Prepared prepare_bundle(const Containers& containers, const Container& container,
                        const std::vector<NetworkState>& places);
