// The text leaves out what a reader may conclude: a number is an int32, or a double if it has a
// dot; an array has the type of its first element, an empty one none. Whatever cannot be concluded
// is an error with the words that are wrong, and never a guess: elements of two types, [] without
// its type, a number beyond its type's range. The text is an annotation's, so its nesting has an
// end.
#include "runtime/cgroup/variant_text.h"

#include <charconv>

#include "base/error.h"

namespace {

// Words before a number, and what becomes of it. Without one it is an int32, or a double if it has
// a dot.
struct NumberType {
    std::string_view word, signature;
};
constexpr NumberType number_types[] = {
    {"byte", "y"},   {"int16", "n"}, {"uint16", "q"}, {"int32", "i"},
    {"uint32", "u"}, {"int64", "x"}, {"uint64", "t"}, {"double", "d"},
};

class Parser {
public:
    explicit Parser(std::string_view text) : rest_(text) {}

    dbus::Value whole() {
        dbus::Value found = value(0);
        skip_blanks();
        if (!rest_.empty()) throw Error("unexpected ", quoted(rest_));
        return found;
    }

private:
    dbus::Value value(int depth) {
        if (depth > 16) throw Error("nested too deeply");
        skip_blanks();
        if (rest_.empty()) throw Error("unexpected end");
        if (rest_[0] == '\'' || rest_[0] == '"') return dbus::text(string());
        if (take('[')) return array(depth, "");
        if (take('(')) return dbus::structure(list(')', depth));
        if (take('@')) {
            const std::string type = word();
            skip_blanks();
            if (!type.starts_with('a') || !take('['))
                throw Error("a type is only known before an array: ", quoted(type));
            return array(depth, type);
        }
        const std::string first = word();
        if (first == "true" || first == "false") return dbus::boolean(first == "true");
        for (const NumberType& type : number_types)
            if (type.word == first) return skip_blanks(), number(word(), type.signature);
        return number(first, first.find('.') == std::string::npos ? "i" : "d");
    }

    dbus::Value array(int depth, const std::string& type) {
        std::vector<dbus::Value> elements = list(']', depth);
        if (elements.empty() && type.empty()) throw Error("an empty array needs its type: @as []");
        const std::string signature = type.empty() ? elements[0].signature : type.substr(1);
        for (const dbus::Value& element : elements)
            if (element.signature != signature)
                throw Error("an array of values of more than one type");
        return dbus::array(signature, std::move(elements));
    }

    std::vector<dbus::Value> list(char end, int depth) {
        std::vector<dbus::Value> elements;
        for (skip_blanks(); !take(end); skip_blanks()) {
            if (!elements.empty() && !take(',')) throw Error("a comma or ", end, " was expected");
            elements.push_back(value(depth + 1));
        }
        return elements;
    }

    static dbus::Value number(const std::string& digits, std::string_view signature) {
        const auto of = [&](auto found) {
            if (!found) throw Error("invalid number: ", quoted(digits));
            return *found;
        };
        const bool hexadecimal = digits.starts_with("0x");
        const std::string_view bare = std::string_view(digits).substr(hexadecimal ? 2 : 0);
        const auto as = [&](auto type) {
            return of(parse_number<decltype(type)>(bare, hexadecimal ? 16 : 10));
        };
        switch (signature[0]) {
            case 'y': return {"y", uint64_t(as(uint8_t{}))};
            case 'n': return {"n", int64_t(as(int16_t{}))};
            case 'q': return {"q", uint64_t(as(uint16_t{}))};
            case 'i': return {"i", int64_t(as(int32_t{}))};
            case 'u': return {"u", uint64_t(as(uint32_t{}))};
            case 'x': return {"x", int64_t(as(int64_t{}))};
            case 't': return {"t", uint64_t(as(uint64_t{}))};
            default: {
                double found{};
                const auto [end, error] =
                    std::from_chars(digits.data(), digits.data() + digits.size(), found);
                if (error != std::errc{} || end != digits.data() + digits.size())
                    throw Error("invalid number: ", quoted(digits));
                return {"d", found};
            }
        }
    }

    std::string string() {
        const char end = rest_[0];
        std::string found;
        for (size_t at = 1; at < rest_.size(); ++at) {
            if (rest_[at] == end) return rest_.remove_prefix(at + 1), found;
            if (rest_[at] == '\\' && at + 1 < rest_.size()) ++at;
            found += rest_[at];
        }
        throw Error("a text without end");
    }

    std::string word() {
        const std::string found(rest_.substr(0, rest_.find_first_of(" \t,[]()'\"")));
        if (found.empty()) throw Error("unexpected ", quoted(rest_));
        rest_.remove_prefix(found.size());
        return found;
    }

    bool take(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void skip_blanks() {
        while (rest_.starts_with(' ') || rest_.starts_with('\t')) rest_.remove_prefix(1);
    }

    std::string_view rest_;
};

}  // namespace

dbus::Value parse_variant(std::string_view text) { return Parser(text).whole(); }
