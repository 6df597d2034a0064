// Where in a document something stands: "mounts[3]". A document is looked at in many places and is
// wrong in few, so a place only refers to its words, and becomes text when an error says it. It
// must not outlive the words, nor the place that it is in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace json {

class Place {
public:
    constexpr Place(const char* name) : name_(name) {}
    constexpr Place(std::string_view name) : name_(name) {}
    constexpr Place(const std::string& name) : name_(name) {}
    constexpr Place(std::string_view list, size_t index) : name_(list), index_(index) {}
    constexpr Place(const Place& in, std::string_view name) : in_(&in), name_(name) {}
    constexpr Place(const Place& in, std::string_view list, size_t index)
        : in_(&in), name_(list), index_(index) {}

    // For str() and errors. What would hurt a line is escaped.
    friend void append(std::string& out, const Place& place);

private:
    const Place* in_ = nullptr;
    std::string_view name_;  // "" for an element of the list that is read
    std::optional<size_t> index_;
};

void append(std::string& out, const Place& place);

}  // namespace json
