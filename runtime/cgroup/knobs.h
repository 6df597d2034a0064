// Limits as data: what config.json asks for becomes a list of values and the files they go into.
// The tables are in v1.cpp and v2.cpp; making the list is pure, writing it is in limits.cpp.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "spec/runtime.h"

// What it means that a kernel has no such file.
enum class Missing {
    error,  // the setting cannot be had
    skip,   // it does without
    next,   // a later row of the same setting has the file of other kernels
};

// One line into one file of one controller.
struct Write {
    std::string controller, setting, file, value;  // "memory", "memory.limit", "memory.max", "1024"
    Missing missing = Missing::error;
};

// One row per file, in the order they must be written: a setting, and the lines that it means (none
// if it is not asked for). A row without a file is for what this version of cgroups cannot do.
using Lines = std::vector<std::string>;
struct Knob {
    std::string_view controller, setting, file;
    Lines (*lines)(const spec::Resources&);
    Missing missing = Missing::error;
};

// Of which controllers a table's rows are wanted.
using Chosen = std::function<bool(std::string_view controller)>;

// Throws Error for what the table has no file for.
std::vector<Write> plan_writes(std::span<const Knob> knobs, const spec::Resources& resources,
                               const Chosen& chosen);

// The write that makes a file again what it says now (some say more than what they were told).
Write inverse(const Write& write, std::string_view content);

// What both versions write in the same way.
Lines throttle(const std::vector<spec::ThrottleDevice>& devices, std::string_view before_rate);
Lines rdma(const spec::Resources& resources);
// Files are named after the page size. The reservation limit, if the kernel has it, must come
// first.
std::vector<Write> hugetlb(const spec::Resources& resources, std::string_view reserved_file,
                           std::string_view file);

// Zero and nothing mean the same for most of Go's numbers: leave it as it is.
template <class Number>
Lines unless_zero(const std::optional<Number>& value) {
    if (!value || *value == 0) return {};
    return {std::to_string(*value)};
}
template <class Number>
Lines if_given(const std::optional<Number>& value) {
    if (!value) return {};
    return {std::to_string(*value)};
}
inline Lines if_given(const std::string& text) {
    if (text.empty()) return {};
    return {text};
}
