// Signals by their names, for who is told of one in words: a command line, an image.
#pragma once

#include <optional>
#include <string_view>

// What the kernel says: glibc keeps two of the real-time signals for itself.
inline constexpr int first_realtime_signal = 34, last_realtime_signal = 64;

// "KILL", "SIGKILL", "sigkill", "RTMIN", "RTMIN+3", "RTMAX-3"; nothing for another word, numbers
// included.
std::optional<int> signal_of_name(std::string_view text);
