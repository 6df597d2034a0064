// What is hard here: the language is a shell's in small, but its rules are its own. An escape
// inside double quotes stays where it escapes nothing; patterns know * and ? only, and neither
// crosses a line end; a word in braces is expanded itself, and its escapes stay where it is a
// pattern.
#include "builder/language/words.h"

#include <algorithm>
#include <ranges>
#include <span>
#include <utility>

#include "base/defer.h"
#include "base/error.h"
#include "base/text.h"

namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Bytes of other scripts' letters are letters.
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}

// --- patterns

// A pattern's characters: a literal one, or any one (?), or any number of them (*).
struct Piece {
    char literal = 0;
    enum { exact, any, many } kind = exact;
};

std::vector<Piece> parse_pattern(std::string_view text) {
    std::vector<Piece> out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '*')
            out.push_back({.kind = Piece::many});
        else if (text[i] == '?')
            out.push_back({.kind = Piece::any});
        else if (text[i] != '\\')
            out.push_back({.literal = text[i]});
        else if (++i < text.size() && std::string_view("*?\\}/").contains(text[i]))
            out.push_back({.literal = text[i]});
        else
            throw Error("invalid escape in the pattern ", quoted(text));
    }
    return out;
}

size_t character_length(std::string_view text) {  // in UTF-8
    size_t length = 1;
    while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80)
        ++length;
    return length;
}

constexpr size_t nowhere = std::string_view::npos;
constexpr size_t longest_pattern = 4096,
                 longest_word = 128 << 10;  // bytes; the kernel passes no longer word on

// For each place of `text` where the pattern matches from there on: the last end it can have, or
// the first one. All places at once, the pattern from its end: so the work is one step for each
// place and piece.
std::vector<size_t> match_ends(std::span<const Piece> pattern, std::string_view text,
                               bool longest) {
    if (pattern.size() > longest_pattern)
        throw Error("a pattern of more than ", longest_pattern, " characters");
    std::vector<size_t> ends(text.size() + 1), rest;
    for (size_t i = 0; i <= text.size(); ++i) ends[i] = i;
    const auto better = [longest](size_t a, size_t b) {
        if (a == nowhere || b == nowhere) return a == nowhere ? b : a;
        return longest ? std::max(a, b) : std::min(a, b);
    };
    for (const Piece& piece : pattern | std::views::reverse) {
        rest.swap(ends);
        ends.assign(text.size() + 1, nowhere);
        for (size_t i = text.size() + 1; i-- > 0;) {
            const bool goes_on =
                i < text.size() &&
                (piece.kind == Piece::exact ? text[i] == piece.literal : text[i] != '\n');
            if (piece.kind == Piece::many)
                ends[i] = better(rest[i], goes_on ? ends[i + 1] : nowhere);
            else if (!goes_on)
                continue;
            else
                ends[i] =
                    rest[i + (piece.kind == Piece::any ? character_length(text.substr(i)) : 1)];
        }
    }
    return ends;
}

// How much of the beginning goes.
size_t matched(std::span<const Piece> pattern, std::string_view text, bool longest) {
    const size_t end = match_ends(pattern, text, longest)[0];
    return end == nowhere ? 0 : end;
}

std::string without_prefix(const std::string& value, std::string_view pattern, bool longest) {
    return value.substr(matched(parse_pattern(pattern), value, longest));
}

std::string without_suffix(const std::string& value, std::string_view text, bool longest) {
    std::vector<Piece> pattern = parse_pattern(text);
    std::ranges::reverse(pattern);
    const std::string reversed(value.rbegin(), value.rend());
    return value.substr(0, value.size() - matched(pattern, reversed, longest));
}

std::string replaced(const std::string& value, std::string_view text, const std::string& by,
                     bool all) {
    const std::vector<size_t> ends = match_ends(parse_pattern(text), value, true);
    std::string out;
    for (size_t at = 0; at <= value.size();) {
        const size_t end = ends[at];
        if (end != nowhere) {
            out += by;
            if (out.size() > longest_word)
                throw Error("a word of more than ", longest_word, " bytes");
            if (!all) return out + value.substr(end);
            if (end > at) {
                at = end;
                continue;
            }
        }
        if (at < value.size()) out += value[at];
        ++at;
    }
    return out;
}

// --- words

struct Mode {
    char escape = '\\';
    bool quotes = true;  // quotes group
};

class Expander {
public:
    Expander(std::string_view text, Mode mode, const Lookup& lookup)
        : text_(text), mode_(mode), lookup_(lookup) {}

    std::string all() { return until('\0', false); }

    std::vector<std::string> words() {
        splits_ = true;
        until('\0', false);
        end_word();
        return std::move(words_);
    }

private:
    bool at_end() const { return at_ >= text_.size(); }

    // Up to that character, which is passed ('\0': to the end). Patterns keep their escapes.
    std::string until(char stop, bool keep_escapes) {
        if (depth_ == deepest) throw Error("variables are nested more than ", deepest, " deep");
        const bool top = depth_++ == 0;
        const Defer back([this] { --depth_; });
        std::string out;
        while (!at_end()) {
            const char c = text_[at_];
            if (stop && c == stop) {
                ++at_;
                return out;
            }
            if (mode_.quotes && c == '\'')
                add(out, single_quoted(), top, true);
            else if (mode_.quotes && c == '"')
                add(out, double_quoted(), top, true);
            else if (c == '$')
                add_variable(out, top);
            else if (c == mode_.escape) {
                ++at_;
                if (keep_escapes) out += c;
                if (!at_end()) add(out, {&text_[at_++], 1}, top, true);
            } else {
                ++at_;
                if (top && splits_ && is_blank(c))
                    end_word();
                else
                    add(out, {&c, 1}, top, true);
            }
        }
        if (stop)
            throw Error(stop == '/' ? "syntax error: missing '/' in ${"
                                    : "syntax error: missing '}'");
        return out;
    }

    // To the text that is being read, and, if that is the whole, to the word that is.
    void add(std::string& out, std::string_view text, bool top, bool is_word) {
        out += text;
        check_length(out);
        if (!top || !splits_) return;
        word_ += text;
        open_ = open_ || is_word;
    }
    // A few lines of "ENV a=$a$a" would fill the memory.
    void check_length(const std::string& word) const {
        if (word.size() > longest_word + text_.size())
            throw Error("a word of more than ", longest_word, " bytes");
    }
    void add_variable(std::string& out, bool top) {
        const std::string value = variable();
        if (!top || !splits_) {
            out += value;
            check_length(out);
            return;
        }
        for (const char c : value) {
            if (is_blank(c))
                end_word();
            else
                add(out, {&c, 1}, top, true);
        }
    }
    void end_word() {
        if (open_) words_.push_back(std::exchange(word_, {}));
        open_ = false;
    }

    std::string single_quoted() {
        const size_t end = text_.find('\'', at_ + 1);
        if (end == std::string_view::npos)
            throw Error("unexpected end of statement while looking for matching single-quote");
        const std::string out(text_.substr(at_ + 1, end - at_ - 1));
        at_ = end + 1;
        return out;
    }

    std::string double_quoted() {
        std::string out;
        for (++at_; !at_end();) {
            const char c = text_[at_];
            if (c == '"') {
                ++at_;
                return out;
            }
            if (c == '$') {
                out += variable();
                check_length(out);
                continue;
            }
            ++at_;
            if (c != mode_.escape) {
                out += c;
                continue;
            }
            if (at_end()) break;
            const char next = text_[at_];
            if (next != '"' && next != '$' && next != mode_.escape)
                out += c;
            else
                out += next, ++at_;
        }
        throw Error("unexpected end of statement while looking for matching double-quote");
    }

    // Digits, or one of the shell's special parameters (never set here), or a name.
    std::string name() {
        const size_t begin = at_;
        if (!at_end() && is_digit(text_[at_]))
            while (!at_end() && is_digit(text_[at_])) ++at_;
        else if (!at_end() && std::string_view("@*#?-$!").contains(text_[at_]))
            ++at_;
        else
            while (!at_end() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
        return std::string(text_.substr(begin, at_ - begin));
    }

    std::string variable() {
        ++at_;  // the $
        if (at_end() || text_[at_] != '{') {
            const std::string key = name();
            return key.empty() ? "$" : lookup_(key).value_or("");
        }
        ++at_;
        if (at_end()) throw Error("syntax error: missing '}'");
        if (std::string_view("{}:").contains(text_[at_]))
            throw Error("syntax error: bad substitution");
        const std::string key = name();
        if (at_end()) throw Error("syntax error: missing '}'");
        const auto value = lookup_(key);
        char modifier = text_[at_++];
        if (modifier == '}') return value.value_or("");
        if (modifier == '/') return replacement(value.value_or(""));
        const bool empty_is_unset = modifier == ':';
        if (empty_is_unset) {
            if (at_end()) throw Error("syntax error: missing '}'");
            modifier = text_[at_++];
        }
        const bool is_pattern = modifier == '#' || modifier == '%';
        if (!std::string_view("-+?#%").contains(modifier) || (empty_is_unset && is_pattern))
            throw Error("unsupported modifier (", empty_is_unset ? ":" : "",
                        std::string(1, modifier), ") in substitution");
        std::string word = until('}', is_pattern);
        const bool set = value && (!empty_is_unset || !value->empty());
        if (modifier == '-') return set ? *value : word;
        if (modifier == '+') return set ? word : "";
        if (modifier == '?') {
            if (set) return *value;
            const char* const usual =
                value ? "is not allowed to be empty" : "is not allowed to be unset";
            throw Error(key, ": ", word.empty() ? usual : word);
        }
        const bool longest = word.starts_with(modifier);
        if (longest) word.erase(0, 1);
        return modifier == '#' ? without_prefix(value.value_or(""), word, longest)
                               : without_suffix(value.value_or(""), word, longest);
    }

    std::string replacement(const std::string& value) {
        const bool all = !at_end() && text_[at_] == '/';
        at_ += all;
        const std::string pattern = until('/', true);
        const std::string by = until('}', true);
        return replaced(value, pattern, by, all);
    }

    std::string_view text_;
    Mode mode_;
    const Lookup& lookup_;
    size_t at_ = 0;
    static constexpr int deepest = 200;
    int depth_ = 0;  // of until(): a call from within it is not about the whole text
    bool splits_ = false, open_ = false;
    std::string word_;
    std::vector<std::string> words_;
};

}  // namespace

std::string expand(std::string_view text, char escape, const Lookup& lookup) {
    return Expander(text, {.escape = escape}, lookup).all();
}

std::string expand_heredoc(std::string_view text, const Lookup& lookup) {
    return Expander(text, {.quotes = false}, lookup).all();
}

std::vector<std::string> expand_words(std::string_view text, char escape, const Lookup& lookup) {
    return Expander(text, {.escape = escape}, lookup).words();
}

std::vector<std::string> raw_words(std::string_view text, char escape) {
    std::vector<std::string> words;
    std::string word;
    bool open = false;
    char quote = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (!quote && is_blank(c)) {
            if (open) words.push_back(std::exchange(word, {}));
            open = false;
            continue;
        }
        if (c == escape && quote != '\'') {
            if (i + 1 == text.size()) break;  // an escape of nothing
            word += c;
            word += text[++i];
            open = true;
            continue;
        }
        open = true;
        word += c;
        if (quote)
            quote = c == quote ? '\0' : quote;
        else if (c == '"' || c == '\'')
            quote = c;
    }
    if (open) words.push_back(word);
    return words;
}

std::vector<std::string> blank_separated(std::string_view text) {
    std::vector<std::string> words;
    for (size_t i = 0; i < text.size();) {
        const size_t begin = i;
        while (i < text.size() && !is_blank(text[i])) ++i;
        if (i > begin) words.emplace_back(text.substr(begin, i - begin));
        while (i < text.size() && is_blank(text[i])) ++i;
    }
    return words;
}
