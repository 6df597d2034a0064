#include "builder/context.h"

#include "base/error.h"
#include "base/text.h"
#include "image/apply.h"

namespace {

// One character class "[a-z]" or "[^a-z]" at pattern[at]; moves `at` behind it.
bool match_class(std::string_view pattern, size_t& at, char c) {
    size_t i = at + 1;
    const bool negated = i < pattern.size() && pattern[i] == '^';
    i += negated;
    bool found = false;
    for (bool first = true; i < pattern.size() && (pattern[i] != ']' || first); first = false) {
        char low = pattern[i++];
        if (low == '\\' && i < pattern.size()) low = pattern[i++];
        char high = low;
        if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
            high = pattern[i + 1];
            i += 2;
        }
        found = found || (low <= c && c <= high);
    }
    if (i >= pattern.size()) throw Error("syntax error in pattern ", quoted(pattern));
    at = i + 1;
    return found != negated;
}

bool match(std::string_view pattern, std::string_view path) {
    while (!pattern.empty()) {
        if (pattern.starts_with("**")) {
            std::string_view rest = pattern.substr(2);
            if (rest.starts_with('/')) {  // any number of whole directories
                rest.remove_prefix(1);
                if (match(rest, path)) return true;
                for (size_t i = 0; i < path.size(); ++i)
                    if (path[i] == '/' && match(rest, path.substr(i + 1))) return true;
                return false;
            }
            for (size_t i = 0; i <= path.size(); ++i)
                if (match(rest, path.substr(i))) return true;
            return false;
        }
        if (pattern[0] == '*') {
            for (size_t i = 0;; ++i) {
                if (match(pattern.substr(1), path.substr(i))) return true;
                if (i >= path.size() || path[i] == '/') return false;
            }
        }
        if (path.empty()) return false;
        if (pattern[0] == '[') {
            size_t at = 0;
            if (path[0] == '/' || !match_class(pattern, at, path[0])) return false;
            pattern.remove_prefix(at);
        } else {
            const bool any = pattern[0] == '?';
            if (pattern[0] == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
            if (any ? path[0] == '/' : pattern[0] != path[0]) return false;
            pattern.remove_prefix(1);
        }
        path.remove_prefix(1);
    }
    return path.empty();
}

}  // namespace

bool match_path(std::string_view pattern, std::string_view path) { return match(pattern, path); }

IgnoreRules::IgnoreRules(std::string_view text) {
    for (const std::string& raw : split(text, '\n')) {
        if (raw.starts_with('#')) continue;
        std::string_view line = trim(raw);
        const bool keep = line.starts_with('!');
        if (keep) line = trim(line.substr(1));
        const std::string pattern = clean_path(line);
        if (pattern.empty()) continue;
        rules_.push_back({pattern, keep});
        exceptions_ = exceptions_ || keep;
    }
}

bool IgnoreRules::ignores(const std::string& path) const {
    bool ignored = false;
    for (const Rule& rule : rules_) {
        if (rule.keep != ignored) continue;  // could change nothing
        // A pattern that matches a directory matches all below it.
        bool matched = match(rule.pattern, path);
        for (size_t slash = path.find('/'); !matched && slash != std::string::npos; slash = path.find('/', slash + 1))
            matched = match(rule.pattern, path.substr(0, slash));
        if (matched) ignored = !rule.keep;
    }
    return ignored;
}
