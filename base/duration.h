// Durations: as Go writes and reads them ("1m30s", "1.5h", "100ms", "0"), and as Docker tells
// people.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Nothing for what is none, or is longer than 64 bits of nanoseconds hold (292 years).
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);
// Docker's words: "About a minute", "5 weeks". What is coarse is cut, only hours are rounded.
std::string human_duration(int64_t seconds);
