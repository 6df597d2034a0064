// The network of a build's RUNs: a namespace on the store's bridge, with an address and
// masquerading, and no way to the host's own. Made for the first RUN that needs it, kept for the
// others.
#pragma once

#include <optional>
#include <string>

#include "base/process.h"
#include "container/network.h"

class BuildNetwork {
public:
    explicit BuildNetwork(std::string store_root) : store_root_(std::move(store_root)) {}
    // A path that this process and its children can open while this object lives. Needs a process
    // without threads.
    std::string path();

private:
    void make();

    std::string store_root_;
    std::optional<Endpoint> endpoint_;
    UniqueFd namespace_;
};
