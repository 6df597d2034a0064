// Go adds up as many numbers with units as there are, with fractions; a sum that 64 bits of
// nanoseconds do not hold is refused rather than wrapped.
#include "base/duration.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
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

std::string human_duration(int64_t seconds) {
    const int64_t minutes = seconds / 60;
    const auto hours = int64_t(double(seconds) / 3600 + 0.5);
    if (seconds < 1) return "Less than a second";
    if (seconds == 1) return "1 second";
    if (seconds < 60) return str(seconds, " seconds");
    if (minutes == 1) return "About a minute";
    if (minutes < 60) return str(minutes, " minutes");
    if (hours == 1) return "About an hour";
    if (hours < 48) return str(hours, " hours");
    if (hours < 24 * 7 * 2) return str(hours / 24, " days");
    if (hours < 24 * 30 * 2) return str(hours / 24 / 7, " weeks");
    if (hours < 24 * 365 * 2) return str(hours / 24 / 30, " months");
    return str(seconds / 3600 / 24 / 365, " years");
}
