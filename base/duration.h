// Durations as Go writes them: "1m30s", "1.5h", "100ms", "0".
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>

// Nothing for what is none, or is longer than 64 bits of nanoseconds hold (292 years).
inline std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
    static constexpr struct {
        std::string_view name;
        double nanoseconds;
    } units[] = {{"ns", 1},  {"us", 1e3}, {"µs", 1e3},  {"ms", 1e6},
                 {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    if (text == "0") return std::chrono::nanoseconds(0);
    if (text.empty()) return {};
    double total = 0;
    while (!text.empty()) {
        const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
        const size_t end = std::min(text.find_first_of("0123456789.", digits), text.size());
        const auto unit = std::ranges::find_if(
            units, [&](auto& each) { return each.name == text.substr(digits, end - digits); });
        double amount = 0;
        const auto [read, error] =
            std::from_chars(text.data(), text.data() + digits, amount, std::chars_format::fixed);
        if (error != std::errc{} || read != text.data() + digits || unit == std::end(units))
            return {};
        total += amount * unit->nanoseconds;
        text.remove_prefix(end);
    }
    if (total > 9.2e18) return {};
    return std::chrono::nanoseconds(int64_t(negative ? -total : total));
}
