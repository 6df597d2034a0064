// Ten times the input takes at most twelve times the work: what every parser of a stranger's bytes
// owes. Where work is counted (work.h: the build with sanitizers) that is exact, and the same on
// every machine. In every other build the time is looked at, too, for the kernel's part in it; with
// a bound that no busy neighbour and no cache reaches, since what is not linear takes a hundred
// times as long.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/text.h"
#include "tests/unit/work.h"

namespace linear {

// What one use of the input costs: in basic blocks, or in nanoseconds of this thread on the
// processor, the least of five uses.
template <class Input, class Use>
double cost(const Input& input, Use& use) {
    if constexpr (work_is_counted) {
        const std::uint64_t before = work_of_this_thread();
        use(input);
        return double(work_of_this_thread() - before);
    }
    const auto now = [] {
        timespec time{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return double(time.tv_sec) * 1e9 + double(time.tv_nsec);
    };
    double least = 1e18;
    for (int round = 0; round < 5; ++round) {
        const double start = now();
        use(input);
        least = std::min(least, now() - start);
    }
    return least;
}

// "" if using make(10 n) costs at most 12 times what using make(n) does, for an n from the given
// one on whose cost is more than what every use pays; else what was found.
template <class Make, class Use>
std::string problem(size_t n, Make make, Use use) {
    constexpr double enough = work_is_counted ? 50'000 : 1'000'000,
                     most = work_is_counted ? 12 : 40;
    use(make(n));  // what is made once and kept is no part of it
    double once = cost(make(n), use);
    while (once < enough && n < size_t(1) << 20) once = cost(make(n *= 2), use);
    const double growth = cost(make(10 * n), use) / once;
    if (growth <= most) return "";
    return str("ten times ", n, " cost ", growth, " times what ", n, " do");
}

// The same piece n times, with its number where it has a "#".
inline std::string repeated(std::string_view piece, size_t n) {
    std::string out;
    for (size_t i = 0; i < n; ++i)
        for (const char c : piece) c == '#' ? out += std::to_string(i) : out += c;
    return out;
}

}  // namespace linear
