// What a command needs while it works: who looks something up, or makes it, to name it later, holds
// a lease, in which it writes what it has found. The collector removes nothing that a lease of a
// living process names, so nobody waits for a long build, and a build for nobody.
//
// The order is what makes it safe. A lease is written to under the store's lock, shared, and *then*
// the thing is looked for; the collector reads the leases, the containers and the names, in this
// order, and removes, all under the same lock, exclusive. So what was found after it had been
// written down stays; and whoever ends a lease has written its container or its name before.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>

#include "image/work.h"

class LeaseFile {
public:
    explicit LeaseFile(const std::string& store_root);
    ~LeaseFile();
    void hold(std::span<const std::string> words);

private:
    std::string root_;
    Claimed claimed_;
    std::mutex mutex_;
    std::set<std::string> held_;
};

using Lease = std::shared_ptr<LeaseFile>;

// What the living hold; the leases of the dead are removed. Needs the store's lock, exclusive.
// Throws Error if one cannot be read.
std::set<std::string> leased(const std::string& store_root);
