// Ten times the input takes at most twelve times the time: what every parser of a stranger's bytes owes. Hard to
// ask of a busy machine: time is the thread's own on the processor, the least of several rounds (others can
// only add to it), over inputs that take long enough to be more than the clock's noise; and what is far from
// linear is found in time, since a round that takes too long is not repeated.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "base/text.h"

namespace linear {

inline double seconds_of_this_thread() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

template <class Input, class Use>
double least_time(const Input& input, Use& use, int rounds) {
    double least = 1e9;
    for (int round = 0; round < rounds && (round == 0 || least < 3); ++round) {
        const double start = seconds_of_this_thread();
        use(input);
        least = std::min(least, seconds_of_this_thread() - start);
    }
    return least;
}

// "" if using make(10 n) takes at most 12 times as long as using make(n), for an n whose use takes some
// milliseconds; else what was measured.
template <class Make, class Use>
std::string problem(size_t n, Make make, Use use) {
    constexpr double long_enough = 0.004;
    std::string measured;
    for (int attempt = 0; attempt < 4; ++attempt) {
        auto input = make(n);
        double once = least_time(input, use, 7);
        while (once < long_enough && n < size_t(1) << 24) {
            n *= 2;
            input = make(n);
            once = least_time(input, use, 7);
        }
        const double ten_times = least_time(make(10 * n), use, 4);
        if (ten_times <= 12 * once) return "";
        measured = str(n, " take ", once * 1e3, " ms, ", 10 * n, " take ", ten_times * 1e3, " ms");
    }
    return measured;
}

// The same piece n times, with its number where it has a "#".
inline std::string repeated(std::string_view piece, size_t n) {
    std::string out;
    for (size_t i = 0; i < n; ++i)
        for (const char c : piece) c == '#' ? out += std::to_string(i) : out += c;
    return out;
}

}  // namespace linear
