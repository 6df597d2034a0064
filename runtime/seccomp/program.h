// From decisions to a BPF program. What a filter does with a system call depends on the
// architecture it comes from, its number, and sometimes its arguments; the kernel runs the program
// at each call of each process of the container, and checks and translates it at each start. So it
// is a binary search over ranges of numbers with the same answer: nine comparisons, a few hundred
// instructions. (libseccomp makes such trees too, but takes 25 milliseconds for Docker's default
// profile.)
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "runtime/seccomp/arguments.h"

enum class Compare { not_equal, less, less_equal, equal, greater_equal, greater, masked_equal };

struct Condition {
    unsigned argument = 0;
    Compare compare{};
    uint64_t value = 0, second = 0;  // masked_equal: (argument & value) == (second & value)
};
// Whether a condition on an argument of which the call reads that many bits is about the others,
// too: it has bits there (a negative int's, all ones, are the int's own), or says the same of every
// argument that has none there (above 0xffffffff). Such a one is taken at its word; any other looks
// at what the call reads.
bool asks_for_upper_bits(const Condition& condition, unsigned bits);
// What becomes of a call if all conditions hold.
struct Decision {
    std::vector<Condition> conditions;
    uint32_t action = 0;  // SECCOMP_RET_…
};
// The answers of one kernel interface, for calls with `token` in seccomp_data.arch.
struct CallTable {
    uint32_t token = 0;      // AUDIT_ARCH_…
    uint32_t otherwise = 0;  // for calls that no decision fits
    // A number may come several times: a rule without conditions holds whatever the others say (the
    // first such), otherwise it is the first that fits.
    struct Call {
        uint32_t number;
        bool wide;                 // arguments have 64 bits
        ArgumentBits bits;         // of which the call reads that many
        const Decision* decision;  // borrowed
        bool settles = false;      // its rule has no conditions, though the decision may have one
        uint32_t order = 0;        // among those of its number
    };
    std::vector<Call> calls;
    // Ranges with an answer of their own where there is no call of the table: [first, last].
    struct Range {
        uint32_t first, last, action;
    };
    std::vector<Range> ranges;
};

// Calls of an architecture without a table get `foreign`. Throws Error if the kernel would not take
// it.
std::vector<sock_filter> assemble(const std::vector<CallTable>& tables, uint32_t foreign);
