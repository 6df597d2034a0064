// The rules of the Dockerfile reference ("Build checks"): their names, what a Dockerfile says of
// them, and how what they find is shown. What finds it is lint.cpp's.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct LintRule {
    std::string_view name;         // "StageNameCasing"
    std::string_view description;  // what is asked of a file
    std::string_view page;         // of docs.docker.com/go/dockerfile/rule/; "" if it has none
    bool experimental = false;     // only if it is asked for
};
std::span<const LintRule> lint_rules();
// Must be there.
const LintRule& lint_rule(std::string_view name);

struct LintWarning {
    const LintRule* rule;
    std::string detail;
    int line = 0, last_line = 0;  // of the text, from 1
};

// What `# check=skip=A,B;error=true` asks for, or the build argument BUILDKIT_DOCKERFILE_CHECK.
// Throws Error for an option that there is not.
class LintOptions {
public:
    LintOptions() = default;
    explicit LintOptions(std::string_view text);
    bool wants(const LintRule& rule) const;
    bool is_error() const { return error_; }  // a warning makes the build fail

private:
    std::set<std::string> skipped_, experimental_;
    bool skips_all_ = false, all_experimental_ = false, error_ = false;
};

// Each with its lines of the file, as `build --check` shows them.
std::string lint_report(const std::vector<LintWarning>& warnings, std::string_view text,
                        std::string_view file_name);
// For the end of a build: "2 warnings found (use --check to see where): …"; "" if there are none.
std::string lint_summary(const std::vector<LintWarning>& warnings);
// "lint violation found for rules: A, B"
std::string lint_error(const std::vector<LintWarning>& warnings);

// Some lines of a file with those around them, marked as BuildKit does.
std::string excerpt(std::string_view text, std::string_view file_name, int first, int last);
