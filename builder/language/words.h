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
// The same for the body of a heredoc, where quotes are ordinary characters and the escape is "\".
std::string expand_heredoc(std::string_view text, const Lookup& lookup);
// The text as words: expanded as above, separated by blanks outside quotes, also by those that come
// out of a variable outside quotes.
std::vector<std::string> expand_words(std::string_view text, char escape, const Lookup& lookup);
// The text's words as they stand, separated by blanks outside quotes; quotes and escapes kept.
std::vector<std::string> raw_words(std::string_view text, char escape);
// The text's words as they stand, separated by blanks alone.
std::vector<std::string> blank_separated(std::string_view text);
