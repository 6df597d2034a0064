// The kernel's keyrings. A process holds the keys of its session keyring, and a child inherits it:
// without one of its own a container could use whatever the caller of the runtime unlocked.
#pragma once

#include <string>

#include "runtime/process/procfs.h"

// With SELinux: what keys this process makes, and its children, have this label, until they execute
// a program. Does nothing for "".
void label_new_keys(const Procfs& procfs, const std::string& selinux_label);
// A new and empty one, for the container's first process and for any that joins it. It has no name
// of ours (runc's is "_ses.ID"): to ask for a name joins whatever has it in this user namespace and
// may be searched, and another container's root could have put one of his there. So the keys of one
// `exec` are not those of another.
void join_new_session_keyring();
