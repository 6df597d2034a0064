// What libFuzzer (scripts/fuzz) gives to those that read what strangers write. Each file here but
// driver.cpp is such a reader, and becomes a program of its own, which has these two.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

// Takes any bytes, or refuses them by an Error. All else is a finding: another exception, a
// sanitizer's report, too much time or memory, something that is expected and is not so.
void take(std::string_view input);
// What a run begins with: inputs that are right, a bit of everything.
std::vector<std::string> seeds();

inline void expect(bool holds, const std::string& what) {
    if (holds) return;
    std::fprintf(stderr, "not so: %s\n", what.c_str());
    std::abort();
}

// Where an Error is one answer of two.
template <class Step>
bool is_taken(Step&& step) try {
    step();
    return true;
} catch (const Error& e) {
    expect(*e.what() != '\0', "an error has words");
    return false;
}
