// Every statement of the file is checked against the table before anything is built: a typo in the
// last line shall not cost the build of those before it. A suggestion is worse than none if
// anything would do for it: a word may be two letters off, a short one only one.
#include "builder/language/instructions.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace {

constexpr InstructionRule rules[] = {
    {"ADD", "chown chmod link exclude unpack keep-git-dir checksum", ""},
    {"ARG", "", ""},
    {"CMD", "", "", false},
    {"COPY", "from chown chmod link parents exclude", ""},
    {"ENTRYPOINT", "", "", false},
    {"ENV", "", ""},
    {"EXPOSE", "", ""},
    {"FROM", "platform", ""},
    {"HEALTHCHECK", "interval timeout start-period start-interval retries", ""},
    {"LABEL", "", ""},
    {"MAINTAINER", "", ""},
    {"ONBUILD", "", ""},
    {"RUN", "network mount security", "device", false},
    {"SHELL", "", ""},
    {"STOPSIGNAL", "", ""},
    {"USER", "", ""},
    {"VOLUME", "", ""},
    {"WORKDIR", "", ""},
};

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> out;
    while (!text.empty()) {
        const size_t end = text.find(' ');
        if (end != 0) out.push_back(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
    return out;
}

size_t distance(std::string_view a, std::string_view b) {  // Levenshtein's
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t above = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

void check_statement(const Statement& statement) {
    const auto rule = std::ranges::find(rules, statement.keyword, &InstructionRule::keyword);
    if (rule == std::end(rules)) {
        std::vector<std::string_view> known;
        for (const InstructionRule& each : rules) known.push_back(each.keyword);
        const std::string_view meant = nearest(statement.keyword, known);
        throw Error("unknown instruction: ", statement.keyword,
                    meant.empty() ? "" : str(" (did you mean ", meant, "?)"));
    }
    const std::vector<std::string_view> known = words_of(rule->flags),
                                        later = words_of(rule->later);
    for (const auto& [flag, value] : statement.flags) {
        if (std::ranges::find(known, flag) != known.end()) continue;
        if (std::ranges::find(later, flag) != later.end())
            throw Error(statement.keyword, " --", flag, " is not supported yet");
        const std::string_view meant = nearest(flag, known);
        throw Error("unknown flag: --", flag, " for ", statement.keyword,
                    meant.empty() ? "" : str(" (did you mean --", meant, "?)"));
    }
    if (rule->needs_arguments && statement.rest.empty())
        throw Error(statement.keyword, " requires at least one argument");
}

}  // namespace

std::span<const InstructionRule> instruction_rules() { return rules; }

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
    std::string_view best;
    size_t least = std::min<size_t>(3, word.size() / 2 + 1);
    for (const std::string_view candidate : known)
        if (const size_t d = distance(word, candidate); d < least) least = d, best = candidate;
    return best;
}

void check_statements(const Dockerfile& file, const std::string& name) {
    for (const Statement& statement : file.statements)
        context(str(name, ":", statement.line), [&] { check_statement(statement); });
}
