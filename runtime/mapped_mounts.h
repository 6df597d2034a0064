// Bind mounts whose files have other owners inside than outside (idmap). Only who rules over the file
// system may map it, and root of a container's user namespace does not: create makes these trees on the
// host, where they are detached, and init attaches them.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "spec/runtime.h"

bool is_mapped(const spec::Mount& mount);

// One for each mapped mount, in their order. `init` is the process whose user namespace is meant by "idmap"
// without mappings; 0 if the container has none of its own.
std::vector<UniqueFd> make_mapped_trees(const std::vector<spec::Mount>& mounts, const std::string& bundle, int init);
