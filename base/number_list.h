// "0-3,7": CPUs and memory nodes, as the kernel, systemd and people list them. The numbers of a
// list come from configs and may be anything ("0-4294967295"), so it is kept as ranges, and there
// is a largest number.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

struct NumberRange {
    unsigned first, last;  // both belong to it
    bool operator==(const NumberRange&) const = default;
};
// More than any kernel has: Linux stops at 8192 CPUs and 1024 nodes.
constexpr unsigned largest_in_list = 65535;

// In order, apart from each other; "" has none. Nothing if the text is no such list, or has a
// number above the largest.
std::optional<std::vector<NumberRange>> parse_number_list(std::string_view text);
// How many numbers are in it.
uint64_t count_numbers(const std::vector<NumberRange>& list);
std::vector<unsigned> numbers_in(const std::vector<NumberRange>& list);
// One bit for each number, the first in the lowest; as long as it must be.
std::vector<unsigned long> bit_mask(const std::vector<NumberRange>& list);
