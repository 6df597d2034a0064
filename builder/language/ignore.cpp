// Two languages that look the same: COPY's patterns are Go's filepath.Match, .dockerignore's know
// "**" as well, in which "**name" is the end of any path. In both "?" and a class take a whole
// character of UTF-8. What is hard: the patterns are a stranger's, and a few stars can fail in more
// ways than can be tried, so what failed at a place of pattern and path is not tried there again.
// And a malformed pattern is an error even where the path has ended before: so .dockerignore's are
// run against an empty path when they are read.
#include "builder/language/ignore.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "image/layer/rules.h"

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

// A pattern against one path. Each star may stand for much or little, and a few of them for more
// combinations than can be tried: so what was tried at a place of both and failed is not tried
// there again.
class Matching {
public:
    Matching(std::string_view pattern, std::string_view path, bool any_depth)
        : pattern_(pattern), path_(path), any_depth_(any_depth) {
        if (pattern.size() > longest) throw Error("is longer than ", longest, " characters");
    }
    bool run() { return from(pattern_, path_); }

private:
    static constexpr size_t longest = 4096;  // as a path

    bool from(std::string_view pattern, std::string_view path);
    bool failed_before(std::string_view pattern, std::string_view path);
    bool any_depth(std::string_view pattern, std::string_view path);
    bool any_part(std::string_view pattern, std::string_view path);

    std::string_view pattern_, path_;
    const bool any_depth_;
    std::vector<bool> tried_;  // by the lengths of what was left of both
};

bool Matching::failed_before(std::string_view pattern, std::string_view path) {
    if (tried_.empty()) tried_.resize((pattern_.size() + 1) * (path_.size() + 1));
    auto tried = tried_[pattern.size() * (path_.size() + 1) + path.size()];
    if (tried) return true;
    tried = true;
    return false;
}

// "**" stands for any number of whole directories, at the end for everything.
bool Matching::any_depth(std::string_view pattern, std::string_view path) {
    std::string_view rest = pattern.substr(2);
    if (rest.starts_with('/')) rest.remove_prefix(1);
    if (rest.empty() || from(rest, path)) return true;
    for (size_t i = 0; i < path.size(); ++i) {
        if (path[i] != '/') continue;
        const std::string_view below = path.substr(i + 1);
        if (failed_before(pattern, below)) return false;
        if (from(rest, below)) return true;
    }
    return false;
}

// "*" stands for any part of a name.
bool Matching::any_part(std::string_view pattern, std::string_view path) {
    for (;;) {
        if (from(pattern.substr(1), path)) return true;
        if (path.empty() || path[0] == '/') return false;
        path.remove_prefix(1);
        if (failed_before(pattern, path)) return false;
    }
}

bool Matching::from(std::string_view pattern, std::string_view path) {
    while (!pattern.empty()) {
        if (pattern[0] == '*' && failed_before(pattern, path)) return false;
        if (any_depth_ && pattern.starts_with("**")) return any_depth(pattern, path);
        if (pattern[0] == '*') return any_part(pattern, path);
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
            from(pattern.substr(1), path);  // what is wrong with the rest is said all the same
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

bool match(std::string_view pattern, std::string_view path, bool any_depth) {
    return Matching(pattern, path, any_depth).run();
}

// .dockerignore's own: "**" right before a name is the end of any name.
bool match_rule(std::string_view pattern, std::string_view path) {
    if (pattern.starts_with("**") && pattern.size() > 2 && pattern[2] != '/' &&
        pattern.find_first_of("*?[\\", 2) == std::string_view::npos)
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
        for (size_t slash = path.find('/'); !matched && slash != std::string::npos;
             slash = path.find('/', slash + 1))
            matched = match_rule(rule.pattern, std::string_view(path).substr(0, slash));
        if (matched) ignored = !rule.keep;
    }
    return ignored;
}

bool IgnoreRules::ignores_all() const {
    return std::ranges::any_of(rules_, [](const Rule& rule) {
        return !rule.keep &&
               (rule.pattern == "*" || rule.pattern == "**" || rule.pattern == "**/*");
    });
}
