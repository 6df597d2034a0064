#include "builder/words.h"

#include <fnmatch.h>

#include "base/error.h"

namespace {

class Expander {
public:
    Expander(std::string_view text, char escape, const Lookup& lookup) : text_(text), escape_(escape), lookup_(lookup) {}

    std::string word(std::string_view stop = {}) {
        std::string out;
        while (at_ < text_.size() && stop.find(text_[at_]) == std::string_view::npos) {
            const char c = text_[at_];
            if (c == '\'') out += single_quoted();
            else if (c == '"') out += double_quoted();
            else if (c == '$') out += variable();
            else if (c == escape_) {
                if (++at_ < text_.size()) out += text_[at_++];
            } else {
                out += c;
                ++at_;
            }
        }
        return out;
    }

private:
    std::string single_quoted() {
        const size_t end = text_.find('\'', at_ + 1);
        if (end == std::string_view::npos) throw Error("unexpected end of statement while looking for matching single-quote");
        const std::string out(text_.substr(at_ + 1, end - at_ - 1));
        at_ = end + 1;
        return out;
    }

    std::string double_quoted() {
        std::string out;
        for (++at_; at_ < text_.size();) {
            const char c = text_[at_];
            if (c == '"') {
                ++at_;
                return out;
            }
            if (c == '$') {
                out += variable();
                continue;
            }
            ++at_;
            if (c == escape_ && at_ < text_.size()) {
                const char next = text_[at_++];
                if (next != '"' && next != '$' && next != escape_) out += c;
                out += next;
            } else {
                out += c;
            }
        }
        throw Error("unexpected end of statement while looking for matching double-quote");
    }

    std::string name() {
        size_t end = at_;
        if (end < text_.size() && (std::isdigit(static_cast<unsigned char>(text_[end])) || std::string_view("@*#").find(text_[end]) != std::string_view::npos)) ++end;
        else
            while (end < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[end])) || text_[end] == '_')) ++end;
        const std::string out(text_.substr(at_, end - at_));
        at_ = end;
        return out;
    }

    std::string variable() {
        ++at_;  // the $
        if (at_ >= text_.size()) return "$";
        if (text_[at_] != '{') {
            const std::string key = name();
            return key.empty() ? "$" : lookup_(key).value_or("");
        }
        ++at_;
        const std::string key = name();
        if (key.empty()) throw Error("syntax error: missing name in ${}");
        if (at_ >= text_.size()) throw Error("syntax error: missing '}'");
        const auto value = lookup_(key);
        char op = text_[at_++];
        if (op == '}') return value.value_or("");
        const bool colon = op == ':';
        if (colon) {
            if (at_ >= text_.size()) throw Error("syntax error: missing '}'");
            op = text_[at_++];
        }
        const bool twice = !colon && (op == '#' || op == '%' || op == '/') && at_ < text_.size() && text_[at_] == op;
        if (twice) ++at_;
        std::string argument = word(op == '/' ? "/}" : "}"), replacement;
        if (op == '/' && at_ < text_.size() && text_[at_] == '/') ++at_, replacement = word("}");
        if (at_ >= text_.size() || text_[at_] != '}') throw Error("syntax error: missing '}'");
        ++at_;
        const bool set = value && (!colon || !value->empty());
        switch (op) {
            case '-': return set ? *value : argument;
            case '+': return set ? argument : "";
            case '?':
                if (!set) throw Error(key, ": ", argument.empty() ? "parameter not set" : argument);
                return *value;
            case '#': if (!colon) return without_prefix(value.value_or(""), argument, twice); break;
            case '%': if (!colon) return without_suffix(value.value_or(""), argument, twice); break;
            case '/': if (!colon) return replaced(value.value_or(""), argument, replacement, twice); break;
            default: break;
        }
        throw Error("unsupported modifier (", std::string(1, op), ") in substitution");
    }

    static bool matches(const std::string& pattern, const std::string& text) { return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0; }

    static std::string without_prefix(const std::string& value, const std::string& pattern, bool longest) {
        for (size_t i = 0; i <= value.size(); ++i) {
            const size_t length = longest ? value.size() - i : i;
            if (matches(pattern, value.substr(0, length))) return value.substr(length);
        }
        return value;
    }
    static std::string without_suffix(const std::string& value, const std::string& pattern, bool longest) {
        for (size_t i = 0; i <= value.size(); ++i) {
            const size_t start = longest ? i : value.size() - i;
            if (matches(pattern, value.substr(start))) return value.substr(0, start);
        }
        return value;
    }
    static std::string replaced(const std::string& value, const std::string& pattern, const std::string& by, bool all) {
        std::string out;
        for (size_t at = 0; at < value.size();) {
            size_t length = value.size() - at;
            while (length > 0 && !matches(pattern, value.substr(at, length))) --length;
            if (length == 0) {
                out += value[at++];
                continue;
            }
            out += by;
            at += length;
            if (!all) return out + value.substr(at);
        }
        return out;
    }

    std::string_view text_;
    char escape_;
    const Lookup& lookup_;
    size_t at_ = 0;
};

}  // namespace

std::string expand(std::string_view text, char escape, const Lookup& lookup) { return Expander(text, escape, lookup).word(); }

std::vector<std::string> raw_words(std::string_view text, char escape) {
    std::vector<std::string> words;
    std::string word;
    bool open = false;
    char quote = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (!quote && (c == ' ' || c == '\t' || c == '\n')) {
            if (open) words.push_back(std::exchange(word, {}));
            open = false;
            continue;
        }
        open = true;
        word += c;
        if (quote) {
            if (c == quote) quote = 0;
            else if (c == escape && quote == '"' && i + 1 < text.size()) word += text[++i];
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == escape && i + 1 < text.size()) {
            word += text[++i];
        }
    }
    if (open) words.push_back(word);
    return words;
}

std::vector<std::string> expand_words(std::string_view text, char escape, const Lookup& lookup) {
    std::vector<std::string> words;
    for (const std::string& word : raw_words(text, escape)) {
        std::string value = expand(word, escape, lookup);
        // A variable that is nothing leaves no word, "" does.
        if (!value.empty() || word.find_first_of("\"'") != std::string::npos) words.push_back(std::move(value));
    }
    return words;
}
