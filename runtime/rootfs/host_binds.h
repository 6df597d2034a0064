// Bind mounts whose trees create makes on the host, detached, for init to attach: those with other
// owners inside than outside (idmap), since only who rules over the file system may map it; and,
// for a container with a user namespace, all, since its root may not reach every source.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "spec/runtime.h"

// all_binds: not only the id-mapped.
bool host_makes(const spec::Mount& mount, bool all_binds);
// Whether this process may copy mounts of the namespace it is in.
bool may_clone_mounts();

// One for each mount that the host makes, in their order. `init` is the process whose user
// namespace is meant by "idmap" without mappings; 0 if the container has none of its own.
// `propagation` is that of the container's mount namespace; 0 if it has none of its own.
std::vector<UniqueFd> make_host_trees(const std::vector<spec::Mount>& mounts,
                                      const std::string& bundle, int init, bool all_binds,
                                      unsigned long propagation);
