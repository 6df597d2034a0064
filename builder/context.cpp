#include "builder/context.h"

#include "base/error.h"
#include "base/text.h"
#include "image/apply.h"

namespace {

// The character at the beginning of `text`, of one byte if it is not UTF-8; removes it.
char32_t take(std::string_view& text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : byte(0) >= 0xc0 ? 2 : 1;
    char32_t out = length == 1 ? byte(0) : byte(0) & (0x7f >> length);
    if (length > text.size()) length = 1, out = byte(0);
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) {
            length = 1, out = byte(0);
            break;
        }
        out = out << 6 | (byte(i) & 0x3f);
    }
    text.remove_prefix(length);
    return out;
}

[[noreturn]] void bad_pattern() { throw Error("syntax error in pattern"); }

// One end of a range in a class.
char32_t class_character(std::string_view& pattern) {
    if (pattern.empty() || pattern[0] == '-' || pattern[0] == ']') bad_pattern();
    if (pattern[0] == '\\') pattern.remove_prefix(1);
    if (pattern.empty()) bad_pattern();
    return take(pattern);
}

// Whether the class that begins the pattern, "[a-z]" or "[^a-z]", has that character; removes it.
bool match_class(std::string_view& pattern, char32_t c) {
    pattern.remove_prefix(1);
    const bool negated = pattern.starts_with('^');
    pattern.remove_prefix(negated);
    bool found = false;
    do {
        const char32_t low = class_character(pattern);
        char32_t high = low;
        if (pattern.starts_with('-')) {
            pattern.remove_prefix(1);
            high = class_character(pattern);
        }
        found = found || (low <= c && c <= high);
        if (pattern.empty()) bad_pattern();
    } while (pattern[0] != ']');
    pattern.remove_prefix(1);
    return found != negated;
}

bool match(std::string_view pattern, std::string_view path, bool any_depth);

// "**" stands for any number of whole directories, at the end for everything.
bool match_any_depth(std::string_view rest, std::string_view path) {
    if (rest.starts_with('/')) rest.remove_prefix(1);
    if (rest.empty() || match(rest, path, true)) return true;
    for (size_t i = 0; i < path.size(); ++i)
        if (path[i] == '/' && match(rest, path.substr(i + 1), true)) return true;
    return false;
}

bool match(std::string_view pattern, std::string_view path, bool any_depth) {
    while (!pattern.empty()) {
        if (any_depth && pattern.starts_with("**")) return match_any_depth(pattern.substr(2), path);
        if (pattern[0] == '*') {
            for (size_t i = 0;; ++i) {
                if (match(pattern.substr(1), path.substr(i), any_depth)) return true;
                if (i >= path.size() || path[i] == '/') return false;
            }
        }
        if (pattern[0] == '[') {
            std::string_view rest = path;
            const char32_t c = rest.empty() ? '/' : take(rest);
            if (!match_class(pattern, c) || c == '/') return false;
            path = rest;
            continue;
        }
        const bool any = pattern[0] == '?';
        if (pattern[0] == '\\') pattern.remove_prefix(1);
        if (pattern.empty()) bad_pattern();
        if (path.empty()) {
            match(pattern.substr(1), path, any_depth);   // what is wrong with the rest is said all the same
            return false;
        }
        if (any) {
            pattern.remove_prefix(1);
            if (take(path) == '/') return false;
        } else {
            if (pattern[0] != path[0]) return false;
            pattern.remove_prefix(1);
            path.remove_prefix(1);
        }
    }
    return path.empty();
}

// .dockerignore's own: "**" right before a name is the end of any name.
bool match_rule(std::string_view pattern, std::string_view path) {
    if (pattern.starts_with("**") && pattern.size() > 2 && pattern[2] != '/' && pattern.find_first_of("*?[\\", 2) == std::string_view::npos)
        return path.ends_with(pattern.substr(2));
    return match(pattern, path, true);
}

}  // namespace

bool match_path(std::string_view pattern, std::string_view path) {
    return context("pattern " + quoted(pattern), [&] { return match(pattern, path, false); });
}

IgnoreRules::IgnoreRules(std::string_view text) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    for (const std::string& raw : split(text, '\n')) {
        if (raw.starts_with('#')) continue;
        std::string_view line = trim(raw);
        const bool keep = line.starts_with('!');
        if (keep) line = trim(line.substr(1));
        if (keep && line.empty()) throw Error("illegal exclusion pattern: \"!\"");
        const std::string pattern = clean_path(line);
        if (pattern.empty()) continue;
        context("pattern " + quoted(line), [&] { match(pattern, "", true); });
        rules_.push_back({pattern, keep});
        exceptions_ = exceptions_ || keep;
    }
}

bool IgnoreRules::ignores(const std::string& path) const {
    bool ignored = false;
    for (const Rule& rule : rules_) {
        if (rule.keep != ignored) continue;  // could change nothing
        // A pattern that matches a directory matches all below it.
        bool matched = match_rule(rule.pattern, path);
        for (size_t slash = path.find('/'); !matched && slash != std::string::npos; slash = path.find('/', slash + 1))
            matched = match_rule(rule.pattern, std::string_view(path).substr(0, slash));
        if (matched) ignored = !rule.keep;
    }
    return ignored;
}
