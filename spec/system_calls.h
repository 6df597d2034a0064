// Which system calls there are. A name is another number on each kernel interface, or none, or has
// two doors: on some interfaces calls of sockets and of System V's ipc go through socketcall and
// ipc or, on newer kernels, are calls of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace spec {

// Whether any interface has a call of that name.
bool is_call(const std::string& name);
// Its number on an interface (AUDIT_ARCH_…, or libseccomp's token for x32), or a negative one: none
// there, or one that goes through socketcall (-100 - n) or ipc (-200 - n), if the interface has it.
int call_number(const std::string& name, uint32_t token);
// The number of such a call by itself, if it has one.
std::optional<uint32_t> direct_number(const std::string& name, uint32_t token);

}  // namespace spec
