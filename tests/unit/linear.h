// Ten times the input takes at most twelve times the time: what every parser of a stranger's bytes owes. Hard to
// ask of a busy machine: time is the thread's own on the processor, the least of several rounds (others can
// only add to it), over inputs that take more than the clock's noise. And ten times the memory is more than
// ten times as slow where it is more than the caches hold: what puts as many names into a table takes that
// much longer too, and is what it is held against. What is not linear takes a hundred times as long.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

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

// How many times as long it takes here to keep ten times n names in a table.
inline double growth_of_memory(size_t n) {
    const auto names = [](size_t count) {
        std::vector<std::string> all;
        for (size_t i = 0; i < count; ++i) all.push_back(str("the name of number ", i));
        return all;
    };
    auto keep = [](const std::vector<std::string>& all) {
        std::unordered_map<std::string, std::string> table;
        for (const std::string& name : all) table.try_emplace(name, name);
    };
    return least_time(names(10 * n), keep, 2) / least_time(names(n), keep, 3);
}

// "" if using make(10 n) takes at most 12 times as long as using make(n), for an n whose use takes some
// milliseconds; else what was measured.
template <class Make, class Use>
std::string problem(size_t n, Make make, Use use) {
#ifdef __SANITIZE_ADDRESS__
    use(make(n));   // a sanitizer's own time is not the parser's
    return "";
#endif
    constexpr double long_enough = 0.003;
    std::string measured;
    for (int attempt = 0; attempt < 3; ++attempt) {
        auto input = make(n);
        double once = least_time(input, use, 4);
        while (once < long_enough && n < size_t(1) << 24) {
            n *= 2;
            input = make(n);
            once = least_time(input, use, 4);
        }
        const double growth = least_time(make(10 * n), use, 2) / once;
        if (growth <= 12 || growth <= 1.3 * growth_of_memory(n)) return "";
        measured = str("ten times ", n, " take ", growth, " times as long as the ", once * 1e3, " ms of ", n);
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
