// Who the container's process is: groups, user, capabilities, no_new_privs, in their one right
// order. The bounding set goes while we may still change it, the user with its capabilities kept,
// then the sets themselves. Nothing is inheritable that was not asked for (CVE-2022-29162).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "spec/runtime.h"

struct CapabilityPlan {
    uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
    std::vector<std::string> unknown;  // names nobody knows: a warning
    bool operator==(const CapabilityPlan&) const = default;
};
// Pure. Names with or without "CAP_", any case.
CapabilityPlan plan_capabilities(const spec::Process& process);
void warn_about_unknown(const CapabilityPlan& plan);

// Groups, user and capabilities of the process; the caller is root in its user namespace.
void become(const spec::User& user, const CapabilityPlan& capabilities);
void set_no_new_privileges();
