// Building and taking apart text: GCC 12 has no <format>.
#pragma once

#include <cctype>
#include <charconv>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

// For those that write JSON: one tab for each level.
inline constexpr int indent_tabs = -2;

// Mostly text and whole numbers, for which a stream with its locale would cost more than the rest.
template <class Part>
void append(std::string& out, const Part& part) {
    if constexpr (std::is_convertible_v<const Part&, std::string_view>) {
        out += std::string_view(part);
    } else if constexpr (std::is_same_v<Part, char>) {
        out += part;
    } else if constexpr (std::is_integral_v<Part>) {
        static_assert(sizeof(Part) > 1 || std::is_same_v<Part, bool>, "a character or a number?");
        out += std::to_string(part);
    } else {
        std::ostringstream shown;
        shown << part;
        out += std::move(shown).str();
    }
}

// The parts, as an ostream would print them, in one string.
template <class... Parts>
std::string str(const Parts&... parts) {
    std::string out;
    (append(out, parts), ...);
    return out;
}

// What of a text would move a terminal's cursor, change its colours or hide what stands beside it
// is escaped as in Go: "\n", "\x1b", "\u009b". For words of strangers that a person is shown.
// `kept`: such characters that stay, if they are ASCII.
std::string visible(std::string_view text, std::string_view kept = {});

// Like Go's %q: the same in double quotes. For names in errors.
std::string quoted(std::string_view text);

// Without these, argument-dependent lookup would prefer std::quoted for a std::string.
inline std::string quoted(const std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(const char* text) { return quoted(std::string_view(text)); }

// Every piece between separators; "" gives one empty piece, as in Go and Python.
inline std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> pieces;
    for (size_t start = 0;;) {
        const size_t end = text.find(separator, start);
        pieces.emplace_back(text.substr(start, end - start));
        if (end == std::string_view::npos) return pieces;
        start = end + 1;
    }
}

inline std::string join(const std::vector<std::string>& pieces, std::string_view separator) {
    std::string out;
    for (size_t i = 0; i < pieces.size(); ++i) {
        if (i) out += separator;
        out += pieces[i];
    }
    return out;
}

// Without the white space (C locale) at both ends.
inline std::string_view trim(std::string_view text) {
    constexpr std::string_view blank = " \t\r\n\v\f";
    const size_t first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

// ASCII only: what a locale would do to a protocol's words is never wanted.
inline std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    return text;
}

inline std::string upper(std::string text) {
    for (char& c : text)
        if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
    return text;
}

// The whole text as a number of that type, or nothing: no blanks, no sign for unsigned types, no
// trailing letters, no wrap-around. `base` 0 is not supported.
template <class Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

// The same, if it is between the two or one of them: what a person may type where only some numbers
// make sense.
template <class Number>
std::optional<Number> parse_number_between(std::string_view text, Number least, Number most) {
    const auto value = parse_number<Number>(text);
    if (!value || *value < least || *value > most) return {};
    return value;
}
