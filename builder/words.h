// Quoting and $expansion of the words of a statement, by the rules of the Dockerfile reference.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// A variable's value, or nothing if it is not set.
using Lookup = std::function<std::optional<std::string>(const std::string&)>;

// The text as one word: variables expanded, quotes removed. Throws Error for what cannot be parsed
// ("unsupported modifier (^) in substitution").
std::string expand(std::string_view text, char escape, const Lookup& lookup);
// The text as words, separated by blanks outside quotes; expanded as above.
std::vector<std::string> expand_words(std::string_view text, char escape, const Lookup& lookup);
// The text's words as they stand, quotes and escapes kept.
std::vector<std::string> raw_words(std::string_view text, char escape);
