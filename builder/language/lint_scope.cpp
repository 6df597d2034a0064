// What is hard: a file of many stages with many variables each shall not fill the memory, nor a
// name that was mistyped be held against a hundred thousand others.
#include "builder/language/lint_scope.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "builder/language/instructions.h"
#include "image/platform.h"

namespace {

constexpr size_t most_variables = 1000;  // that are kept of a stage
constexpr size_t most_compared = 100;    // with a name that may have been mistyped
constexpr size_t longest_value = 1024;   // of them, in bytes

}  // namespace

Lookup lookup_in(const LintVariables& variables, std::set<std::string>* set,
                 std::set<std::string>* unset) {
    return [&variables, set, unset](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        const bool is_set = found != variables.end();
        if (std::set<std::string>* note = is_set ? set : unset) note->insert(name);
        if (!is_set) return {};
        return found->second;
    };
}

LintWord expand_for_lint(std::string_view word, char escape, const LintVariables& variables) {
    LintWord out{.text = std::string(word), .set = {}, .unset = {}};
    try {
        out.text = expand(word, escape, lookup_in(variables, &out.set, &out.unset));
    } catch (const Error&) {  // told by the build
    }
    return out;
}

std::string nearest_name(const std::string& word, const std::set<std::string>& names) {
    if (names.size() > most_compared) return {};
    const std::vector<std::string_view> known(names.begin(), names.end());
    return std::string(nearest(word, known));
}

std::string nearest_name(const std::string& word, const LintVariables& variables) {
    if (variables.size() > most_compared) return {};
    return nearest_name(word, names_of(variables));
}

std::set<std::string> names_of(const LintVariables& variables) {
    std::set<std::string> out;
    for (const auto& [name, value] : variables) out.insert(name);
    return out;
}

std::optional<spec::Platform> platform_if_any(const std::string& text) {
    try {
        return parse_platform(text);
    } catch (const Error&) {  // told by the build
        return {};
    }
}

void LintScope::set(const std::string& name, const std::string& value) {
    if (variables.size() < most_variables || variables.contains(name))
        variables[name] = value.substr(0, longest_value);
    else
        knows_base = false;
}

void LintFindings::warn_at(int line, int last_line, std::string_view rule_name,
                           const std::string& detail) {
    const LintRule& rule = lint_rule(rule_name);
    if (options_.wants(rule) && told_.emplace(line, rule.name, detail).second)
        warnings_.push_back({&rule, detail, line, last_line});
}

std::vector<LintWarning> LintFindings::by_line() && {
    std::ranges::stable_sort(warnings_, {}, &LintWarning::line);
    return std::move(warnings_);
}
