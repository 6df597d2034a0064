// What the checks of a Dockerfile know at a place of it: the variables that there are, and what was
// found so far.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "builder/language/dockerfile.h"
#include "builder/language/lint_rules.h"
#include "builder/language/words.h"
#include "spec/image.h"

using LintVariables = std::map<std::string, std::string>;

// Those whose value is the given one; who asks is noted in one of the two, if there.
Lookup lookup_in(const LintVariables& variables, std::set<std::string>* set,
                 std::set<std::string>* unset);

// A word with its variables replaced, and which of these there are. A word that cannot be expanded
// stays as it is.
struct LintWord {
    std::string text;
    std::set<std::string> set, unset;
};
LintWord expand_for_lint(std::string_view word, char escape, const LintVariables& variables);

// The name that may have been meant; "" if none is near, or there are too many to ask all.
std::string nearest_name(const std::string& word, const std::set<std::string>& names);
std::string nearest_name(const std::string& word, const LintVariables& variables);
std::set<std::string> names_of(const LintVariables& variables);

// Nothing for what is none: a build says so.
std::optional<spec::Platform> platform_if_any(const std::string& text);

// A stage as far as it was read. Past a limit, variables are not kept, and so not known.
struct LintScope {
    LintVariables variables;
    std::set<std::string> declared;  // ARGs, with a value or not
    bool knows_base = true;          // or it may have more variables
    bool has_shell = false, has_workdir = false;
    std::map<std::string, const Statement*> last;  // CMD, ENTRYPOINT, HEALTHCHECK

    void set(const std::string& name, const std::string& value);
};
constexpr size_t most_lint_stages = 1000;  // whose scopes are kept, for those that are made of them

class LintFindings {
public:
    explicit LintFindings(LintOptions options) : options_(std::move(options)) {}

    void warn(const Statement& statement, std::string_view rule, const std::string& detail) {
        warn_at(statement.line, statement.last_line, rule, detail);
    }
    void warn_at(int line, int last_line, std::string_view rule, const std::string& detail);
    bool is_error() const { return options_.is_error() && !warnings_.empty(); }
    std::vector<LintWarning> by_line() &&;

private:
    LintOptions options_;
    std::set<std::tuple<int, std::string_view, std::string>> told_;
    std::vector<LintWarning> warnings_;
};
