// The words are BuildKit's, to the letter: people search for them, and tools read them. What is a
// stranger's in them (a name, a line of the file) is shown so that it does not move the cursor.
#include "builder/language/lint_rules.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/text.h"

namespace {

constexpr std::string_view pages = "https://docs.docker.com/go/dockerfile/rule/";

constexpr LintRule all_rules[] = {
    {"ConsistentInstructionCasing",
     "All commands within the Dockerfile should use the same casing (either upper or lower)",
     "consistent-instruction-casing"},
    {"CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore",
     "copy-ignored-file"},
    {"DuplicateStageName", "Stage names should be unique", "duplicate-stage-name"},
    {"ExposeInvalidFormat",
     "IP address and host-port mapping should not be used in EXPOSE instruction. This will become "
     "an error in a future release",
     "expose-invalid-format"},
    {"ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase",
     "expose-proto-casing"},
    {"FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword",
     "from-as-casing"},
    {"FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value",
     "from-platform-flag-const-disallowed"},
    {"InvalidBaseImagePlatform", "Base image platform does not match expected target platform", ""},
    {"InvalidDefaultArgInFrom",
     "Default value for global ARG results in an empty or invalid base image name",
     "invalid-default-arg-in-from"},
    {"InvalidDefinitionDescription",
     "Comment for build stage or argument should follow the format: `# <arg/stage name> "
     "<description>`. If this is not intended to be a description comment, add an empty line or "
     "comment between the instruction and the comment.",
     "invalid-definition-description", true},
    {"JSONArgsRecommended",
     "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS "
     "signals",
     "json-args-recommended"},
    {"LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used",
     "legacy-key-value-format"},
    {"MaintainerDeprecated",
     "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
     "maintainer-deprecated"},
    {"MultipleInstructionsDisallowed",
     "Multiple instructions of the same type should not be used in the same stage",
     "multiple-instructions-disallowed"},
    {"NoEmptyContinuation", "Empty continuation lines will become errors in a future release",
     "no-empty-continuation"},
    {"RedundantTargetPlatform",
     "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
     "behavior",
     "redundant-target-platform"},
    {"ReservedStageName", "Reserved words should not be used as stage names",
     "reserved-stage-name"},
    {"SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands",
     "secrets-used-in-arg-or-env"},
    {"StageNameCasing", "Stage names should be lowercase", "stage-name-casing"},
    {"UndefinedArgInFrom", "FROM command must use declared ARGs", "undefined-arg-in-from"},
    {"UndefinedVar", "Variables should be defined before their use", "undefined-var"},
    {"WorkdirRelativePath",
     "Relative workdir without an absolute workdir declared within the build can have unexpected "
     "results if the base image changes",
     "workdir-relative-path"},
};

bool parse_switch(std::string_view text) {  // as Go's ParseBool
    for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
        if (text == yes) return true;
    for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
        if (text == no) return false;
    throw Error("failed to parse check option ", quoted(text), ": expected true or false");
}

}  // namespace

std::span<const LintRule> lint_rules() { return all_rules; }

const LintRule& lint_rule(std::string_view name) {
    return *std::ranges::find(all_rules, name, &LintRule::name);
}

LintOptions::LintOptions(std::string_view text) {
    text = trim(text);
    if (text.empty()) return;
    for (const std::string& part : split(text, ';')) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos) throw Error("invalid check option ", quoted(part));
        const std::string_view key = trim(std::string_view(part).substr(0, equals)),
                               value = trim(std::string_view(part).substr(equals + 1));
        std::set<std::string> names;
        for (const std::string& name : split(value, ',')) names.emplace(trim(name));
        if (key == "skip")
            skips_all_ = value == "all", skipped_ = std::move(names);
        else if (key == "experimental")
            all_experimental_ = value == "all", experimental_ = std::move(names);
        else if (key == "error")
            error_ = parse_switch(value);
        else
            throw Error("invalid check option ", quoted(key));
    }
}

bool LintOptions::wants(const LintRule& rule) const {
    const std::string name(rule.name);
    if (rule.experimental) return all_experimental_ || experimental_.contains(name);
    return !skips_all_ && !skipped_.contains(name);
}

std::string lint_report(const std::vector<LintWarning>& warnings, std::string_view text,
                        std::string_view file_name) {
    std::string out;
    for (const LintWarning& warning : warnings) {
        out += str("\nWARNING: ", warning.rule->name);
        if (!warning.rule->page.empty()) out += str(" - ", pages, warning.rule->page, "/");
        out += str("\n", visible(warning.detail), "\n");
        out += excerpt(text, file_name, warning.line, warning.last_line);
    }
    return out;
}

std::string lint_summary(const std::vector<LintWarning>& warnings) {
    if (warnings.empty()) return {};
    std::string out = str(warnings.size(), warnings.size() == 1 ? " warning" : " warnings",
                          " found (use --check to see where):\n");
    for (const LintWarning& warning : warnings)
        out += str(" - ", warning.rule->name, ": ", visible(warning.detail), " (line ",
                   warning.line, ")\n");
    return out;
}

std::string lint_error(const std::vector<LintWarning>& warnings) {
    std::set<std::string> names;
    for (const LintWarning& warning : warnings) names.emplace(warning.rule->name);
    return "lint violation found for rules: " +
           join(std::vector<std::string>(names.begin(), names.end()), ", ");
}

std::string excerpt(std::string_view text, std::string_view file_name, int first, int last) {
    const std::vector<std::string> lines = split(text, '\n');
    const int count = int(lines.size());
    if (first < 1 || first > count) return {};
    last = std::clamp(last, first, count);
    int begin = first, end = last;
    // A single line is shown with more around it. One that would be before the first one goes to
    // the other side.
    for (int more = first == last ? 4 : 2; more > 0; --more) {
        if (begin > 1) --begin, --more;
        if (end < count) ++end, --more;
    }
    constexpr std::string_view edge = "--------------------\n";
    std::string out = str(visible(file_name), ":", first, "\n", edge);
    for (int i = begin; i <= end; ++i) {
        const std::string number = std::to_string(i);
        std::string_view line = lines[size_t(i) - 1];
        if (line.ends_with('\r')) line.remove_suffix(1);
        const bool is_meant = i >= first && i <= last;
        const std::string_view mark = is_meant ? " >>>" : line.empty() ? "" : "    ";
        out += str(" ", std::string(number.size() < 3 ? 3 - number.size() : 0, ' '), number, " |",
                   mark, line.empty() ? "" : " ", visible(line, "\t"), "\n");
    }
    return out + std::string(edge);
}
