#pragma once
#include <concepts>
#include <string>

#ifdef CATCH_V3
#include <catch2/catch_all.hpp>
using Catch::Matchers::ContainsSubstring;
#else
#include <catch2/catch.hpp>
inline auto ContainsSubstring(const std::string& text) { return Catch::Matchers::Contains(text); }
#endif

#include "base/error.h"

// What a step says when it fails, "" if it does not.
std::string error_of(std::invocable auto&& step) try {
    step();
    return "";
} catch (const Error& e) {
    return e.what();
}
