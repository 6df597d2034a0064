// The device nodes and links that a container finds in /dev. A user namespace may not make nodes:
// there the host's are bound.
#pragma once

#include <string>
#include <vector>

#include "base/root.h"
#include "spec/runtime.h"

// The default nodes, those of the config, and the links /dev/fd, stdin, stdout, stderr and ptmx;
// nothing if /dev is bound from the host. Throws Error if something else has a device's name.
void make_devices(const Root& root, const spec::Config& config, bool user_namespace);
// The paths of these nodes.
std::vector<std::string> device_paths(const spec::Config& config);
