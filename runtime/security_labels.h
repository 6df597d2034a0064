// The labels of Linux security modules that the next exec of this process takes. They are written
// through a /proc of which it was made sure that it is one (CVE-2019-16884, CVE-2025-52881).
#pragma once

#include <string>

#include "base/unique_fd.h"

// The host's /proc, opened before the container's root is entered. Throws Error if it is none.
UniqueFd open_procfs();
// By the parent: a container's own /sys does not show whether the host has the modules. profile and label
// may be "". Throws Error if the module that one is for is not there.
void require_label_modules(const std::string& apparmor_profile, const std::string& selinux_label);
void set_exec_labels(int procfs, const std::string& apparmor_profile, const std::string& selinux_label);
bool apparmor_enabled();
bool selinux_enabled();
