// Sizes as people write them.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/text.h"

// "64m", "1.5GiB": binary multiples, whatever the case; nothing if it is anything else.
inline std::optional<int64_t> parse_size(std::string_view text) {
    static constexpr struct {
        const char* name;
        int shift;
    } units[] = {{"", 0},     {"b", 0},   {"k", 10},   {"kb", 10}, {"kib", 10},
                 {"m", 20},   {"mb", 20}, {"mib", 20}, {"g", 30},  {"gb", 30},
                 {"gib", 30}, {"t", 40},  {"tb", 40},  {"tib", 40}};
    const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    const std::string unit = lower(std::string(trim(text.substr(digits))));
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + digits, value, std::chars_format::fixed);
    if (error != std::errc{} || end != text.data() + digits) return {};
    for (const auto& [name, shift] : units)
        if (unit == name && value < 9e18 / double(int64_t(1) << shift))
            return int64_t(value * double(int64_t(1) << shift));
    return {};
}
