// Seccomp profiles in Docker's form, in which a rule can depend on the container's capabilities,
// the machine's architecture and the kernel; and the profile that a container gets unless told
// otherwise.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "spec/runtime.h"

// What decides which rules of a profile count.
struct SeccompSubject {
    std::vector<std::string> capabilities;  // the container's: "CAP_SYS_ADMIN", …
    std::string machine;                    // uname -m
    std::string kernel;                     // uname -r
};
SeccompSubject seccomp_subject(std::vector<std::string> capabilities);  // on this machine

// The rules of the profile `text` that hold for `subject`. Throws Error with the place in the
// document; the caller adds its name.
spec::Seccomp read_seccomp_profile(std::string_view text, const SeccompSubject& subject);

// The default profile for a container with these capabilities on this machine: what is harmless
// without a capability is allowed, what one guards is allowed with it, all else fails with EPERM.
spec::Seccomp default_seccomp_profile(const std::vector<std::string>& capabilities);
