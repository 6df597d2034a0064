// The labels of Linux security modules that the next exec of this process takes. What was written
// is read back: only the kernel answers with the label itself, so no file that merely takes it
// (CVE-2019-16884) leaves a process without.
#pragma once

#include <string>

#include "runtime/process/procfs.h"

// By the parent: a container's own /sys does not show whether the host has the modules. profile and
// label may be "". Throws Error if the module that one is for is not there, or if SELinux's policy
// does not know the label or does not let us start a process with it. Writes the label as the
// kernel itself writes it: aliases resolved, categories sorted.
void require_label_modules(const std::string& apparmor_profile, std::string& selinux_label);
// For who cannot just try: throws Error if the kernel's list can be seen and is without the
// profile, or one of a stack.
void require_profile(const std::string& apparmor_profile);
void set_exec_labels(const Procfs& procfs, const std::string& apparmor_profile,
                     const std::string& selinux_label);
bool apparmor_enabled();
bool selinux_enabled();

// Pure: whether the kernel's answer, "docker-default (enforce)\n" say, means that profile.
bool is_profile(std::string_view answer, std::string_view profile);
