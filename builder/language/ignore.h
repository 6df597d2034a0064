// What of a context may be copied: .dockerignore, and the patterns of COPY.
#pragma once

#include <string>
#include <vector>

#include "base/root.h"

// .dockerignore's patterns; the last that matches decides, "!" brings back. Throws Error for one
// that is not well-formed. Paths are relative to the context and clean (clean_path); a pattern that
// matches a directory matches all below it.
class IgnoreRules {
public:
    IgnoreRules() = default;
    explicit IgnoreRules(std::string_view text);
    bool ignores(const std::string& path) const;
    bool has_exceptions() const { return exceptions_; }
    bool ignores_all() const;  // whether a rule says so of everything: "*", "**"

private:
    struct Rule {
        std::string pattern;
        bool keep;
    };
    std::vector<Rule> rules_;
    bool exceptions_ = false;
};

// Go's filepath.Match: "*" and "?" do not cross a "/", and "**" is no more than "*". Throws Error
// for a pattern that is not well-formed.
bool match_path(std::string_view pattern, std::string_view path);
