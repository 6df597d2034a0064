// The kernel's keyrings. A process holds the keys of its session keyring, and a child inherits it: without
// one of its own a container could use whatever the caller of the runtime unlocked.
#pragma once

#include <string>

#include "runtime/procfs.h"

// A new and empty one, for the container's first process and for any that joins it; with SELinux it has the
// label of the process. Nobody finds it by its name, which /proc/keys shows: another container's root could
// otherwise give us one of his. So the keys of one `exec` are not those of another.
void join_new_session_keyring(const std::string& id, const Procfs& procfs, const std::string& selinux_label);
