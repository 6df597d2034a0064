// System call filters: the config's profile compiled to a BPF program by the parent, installed by
// the container's process last of all.
#pragma once

#include <linux/filter.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "spec/runtime.h"

struct Filter {
    std::vector<sock_filter> program;  // compile_filter's; it comes last
    unsigned flags = 0;                // SECCOMP_FILTER_FLAG_…
    bool notify = false;               // a descriptor for an agent comes of it
    bool asks_to_send = false;  // and perhaps not even that may be sent without the agent's leave
    std::string listener_path, listener_metadata;
};
// Throws Error for an unknown action, operator, architecture or flag.
Filter plan_filter(const spec::Seccomp& profile);
// The program is executed behind the filter; and without noNewPrivileges a process has it before it
// is who it is to be. Throws Error for a profile that lets the kernel say "done" (errnoRet 0) of
// what was not.
void check_nothing_feigned(const spec::Seccomp& profile, const spec::Process& process);
// Of a profile that plan_filter took. Its names are looked up and put in order for each
// architecture: some tenths of a millisecond for an engine's profile, for which init need not wait.
std::vector<sock_filter> compile_filter(const spec::Seccomp& profile);
// Pure. Whether the call goes through whatever its arguments are.
bool always_allows(const spec::Seccomp& profile, std::string_view call);
// The words of a profile, sorted: what `features` lists.
std::vector<std::string> seccomp_actions();
std::vector<std::string> seccomp_operators();
std::vector<std::string> seccomp_architectures();
std::vector<std::string> seccomp_flags();
std::vector<std::string> seccomp_flags_of_kernel();  // those that the running kernel knows
// In the process itself; gives the agent's descriptor if the filter has one.
UniqueFd install(const Filter& filter);
