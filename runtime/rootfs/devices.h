// The device nodes and links that a container finds in /dev. They are its own, made for it: a node
// of the host's has one mode and one owner for all, and root of a container would change them.
// Inside a user namespace nobody may make nodes, so create makes them outside, on a file system of
// their own, and init binds them from there. Only who may not make nodes outside either (an
// ordinary user) has the host's, read-only.
#pragma once

#include <string>
#include <vector>

#include "base/root.h"
#include "runtime/process/namespaces.h"
#include "spec/runtime.h"

// By create, for a container with a user namespace of these maps: all nodes but FIFOs, with their
// mode and owner, on a detached file system; those are missing which we may not make. Nothing if
// /dev is bound from the host.
UniqueFd make_nodes_outside(const spec::Config& config, const IdMaps& maps);
// The default nodes, those of the config, and the links /dev/fd, stdin, stdout, stderr and ptmx;
// nothing if /dev is bound from the host. Throws Error if something else has the name of a device
// of the config.
// outside: what make_nodes_outside gave, if anything; attached here and gone at the end.
void make_devices(const Root& root, const spec::Config& config, const UniqueFd& outside,
                  bool user_namespace);
// The paths of these nodes; the first one's name in what make_nodes_outside gives is "0", the
// second one's "1" …
std::vector<std::string> device_paths(const spec::Config& config);
