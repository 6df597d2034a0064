// The keys that leave a terminal and let its program go on: "ctrl-p,ctrl-q" unless told otherwise.
#pragma once

#include <optional>
#include <string>
#include <string_view>

inline constexpr const char* default_detach_keys = "ctrl-p,ctrl-q";

class DetachKeys {
public:
    // "a", "ctrl-a", "ctrl-@", "ctrl-\\", … one after the other, with commas; "" is the default.
    // Throws Error in Docker's words.
    explicit DetachKeys(const std::string& typed = default_detach_keys);
    // What of this is for the program: the beginning of the keys is held back until it is known
    // what comes of it. Nothing: they have been typed to the end.
    std::optional<std::string> pass(std::string_view typed);

private:
    std::string keys_;
    size_t matched_ = 0;
};
