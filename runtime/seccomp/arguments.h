// How much of an argument a system call reads. A filter sees whole registers, the kernel takes an
// int out of most: socket(0x100000028) makes a socket of family 40, whatever a filter that compares
// 64 bits thinks of it. So a filter must read what the call reads, or every "not this one" can be
// passed by.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

using ArgumentBits = std::array<uint8_t, 6>;  // 64, 32 or 16: the lowest ones
// On a kernel interface (AUDIT_ARCH_…) with 64-bit registers.
ArgumentBits bits_read(std::string_view call, uint32_t token);
