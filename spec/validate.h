// What is wrong with a bundle's config by the words of runtime-spec: each violation with its rule.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "spec/runtime.h"

namespace spec {

struct Violation {
    std::string message;   // "process.cwd: Cwd must be an absolute path": where, and what
    std::string document;  // "config.md"
    std::string section;   // "process", the section's anchor
    std::string rule;      // the spec's words, or the kernel's rule behind them
};
std::vector<Violation> violations(const Config& config);

// A whole document, its types included: what cannot be read is left out, and the rest is checked.
struct Reading {
    Config config;
    std::vector<Violation> violations;
};
Reading read_and_validate(std::string_view text);

// The same of a seccomp profile by itself, whose places begin in it: "syscalls[2].args[0].op: …".
std::vector<std::string> problems_with_words(const Seccomp& profile);
bool is_seccomp_architecture(std::string_view word);  // SCMP_ARCH_…
// Why a rule of a profile cannot be kept, with the place in it; "" if it can: a call that nobody
// knows, and without the rule the filter would be milder.
std::string problem_with_names(const SeccompSyscall& rule, const Seccomp& profile);

}  // namespace spec
