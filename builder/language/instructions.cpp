// Every statement of the file is checked against the table before anything is built: a typo in the
// last line shall not cost the build of those before it. A suggestion is worse than none if
// anything would do for it: a word may be two letters off, a short one only one.
#include "builder/language/instructions.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "builder/language/arguments.h"
#include "builder/language/run_mount.h"
#include "builder/language/words.h"

namespace {

// --- arguments

void take_anything(const Statement&, char) {}

void need_one(const Statement& statement, char) {
    if (statement.rest.empty()) throw Error(statement.keyword, " requires at least one argument");
}

void check_arg(const Statement& statement, char escape) {
    need_one(statement, escape);
    named_arguments(statement, escape);
}
void check_pairs(const Statement& statement, char escape) {
    need_one(statement, escape);
    named_values(statement, escape);
}

void check_copy(const Statement& statement, char escape) {
    need_one(statement, escape);
    const std::vector<std::string> paths = path_arguments(statement);
    if (paths.size() < 2)
        throw Error(statement.keyword,
                    " requires at least two arguments, but only one was provided. Destination "
                    "could not be determined");
    if (!statement.is_json && paths.back().starts_with("<<") && !statement.heredocs.empty())
        throw Error(statement.keyword, " cannot accept a heredoc as the final argument");
    const std::string* from = statement.flag("from");
    if (from && from->contains('$'))
        throw Error("variable expansion is not supported for --from, define a new stage with FROM "
                    "using ARG from global scope as a workaround");
}

void check_from(const Statement& statement, char escape) {
    need_one(statement, escape);
    from_arguments(statement);
}

void check_health(const Statement& statement, char escape) {
    need_one(statement, escape);
    health_check(statement);
}

void check_onbuild(const Statement& statement, char escape) {
    need_one(statement, escape);
    trigger_keyword(statement);
}

void check_shell(const Statement& statement, char escape) {
    need_one(statement, escape);
    if (!statement.is_json) throw Error("SHELL requires the arguments to be in JSON form");
    if (statement.json.empty()) throw Error("SHELL requires at least one argument");
}

void check_volume(const Statement& statement, char escape) {
    need_one(statement, escape);
    for (const std::string& path : path_arguments(statement))
        if (trim(path).empty()) throw Error("VOLUME specified can not be an empty string");
}

void check_run(const Statement& statement, char) {
    constexpr std::string_view networks[] = {"default", "none", "host"},
                               securities[] = {"sandbox", "insecure"};
    const auto is_in = [](std::string_view word, auto& list) {
        return std::ranges::find(list, word) != std::end(list);
    };
    for (const auto& [flag, value] : statement.flags) {
        if (flag == "mount") check_run_mount(value);
        if (flag == "network" && !is_in(value, networks))
            throw Error("invalid network mode ", quoted(value));
        if (flag == "security" && !is_in(value, securities))
            throw Error("security ", quoted(value), " is not valid");
    }
}

constexpr InstructionRule rules[] = {
    {"ADD", "chown chmod link? exclude* unpack? keep-git-dir? checksum", "", check_copy},
    {"ARG", "", "", check_arg},
    {"CMD", "", "", take_anything},
    {"COPY", "from chown chmod link? parents? exclude*", "", check_copy},
    {"ENTRYPOINT", "", "", take_anything},
    {"ENV", "", "", check_pairs},
    {"EXPOSE", "", "", need_one},
    {"FROM", "platform", "", check_from},
    {"HEALTHCHECK", "interval timeout start-period start-interval retries", "", check_health},
    {"LABEL", "", "", check_pairs},
    {"MAINTAINER", "", "", need_one},
    {"ONBUILD", "", "", check_onbuild},
    {"RUN", "network mount* security", "device*", check_run},
    {"SHELL", "", "", check_shell},
    {"STOPSIGNAL", "", "", need_one},
    {"USER", "", "", need_one},
    {"VOLUME", "", "", check_volume},
    {"WORKDIR", "", "", need_one},
};

// --- flags

struct FlagRule {
    std::string_view name;
    bool is_switch = false, is_list = false;
};

std::vector<FlagRule> flags_of(std::string_view text) {
    std::vector<FlagRule> out;
    while (!text.empty()) {
        const size_t end = text.find(' ');
        FlagRule flag{.name = text.substr(0, end)};
        flag.is_switch = flag.name.ends_with('?'), flag.is_list = flag.name.ends_with('*');
        if (flag.is_switch || flag.is_list) flag.name.remove_suffix(1);
        out.push_back(flag);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
    return out;
}

[[noreturn]] void unknown_flag(const Statement& statement, const std::string& flag,
                               const std::vector<FlagRule>& known) {
    std::vector<std::string_view> names;
    for (const FlagRule& each : known) names.push_back(each.name);
    const std::string_view meant = nearest(flag, names);
    throw Error("unknown flag: --", flag, " for ", statement.keyword,
                meant.empty() ? "" : str(" (did you mean --", meant, "?)"));
}

void check_flag_value(const Statement& statement, const FlagRule& rule, const std::string& value) {
    const bool is_bare =
        std::ranges::find(statement.bare_flags, rule.name) != statement.bare_flags.end();
    if (!rule.is_switch) {
        if (is_bare) throw Error("missing a value on flag: --", rule.name);
        return;
    }
    if (is_bare) return;
    if (value.empty()) throw Error("missing a value on flag: --", rule.name);
    if (lower(value) != "true" && lower(value) != "false")
        throw Error("expecting boolean value for flag ", rule.name, ", not: ", value);
}

void check_flags(const Statement& statement, const InstructionRule& rule) {
    const std::vector<FlagRule> known = flags_of(rule.flags), later = flags_of(rule.later);
    std::vector<std::string_view> seen;
    for (const auto& [flag, value] : statement.flags) {
        const auto found = std::ranges::find(known, flag, &FlagRule::name);
        if (std::ranges::find(later, flag, &FlagRule::name) != later.end())
            throw Error(statement.keyword, " --", flag, " is not supported yet");
        if (found == known.end()) unknown_flag(statement, flag, known);
        if (!found->is_list && std::ranges::find(seen, flag) != seen.end())
            throw Error("duplicate flag specified: --", flag);
        seen.push_back(flag);
        check_flag_value(statement, *found, value);
    }
}

// --- statements

constexpr size_t longest_guessed = 100;  // a typing mistake in more than that is no guess

void check_statement(const Statement& statement, char escape) {
    const auto rule = std::ranges::find(rules, statement.keyword, &InstructionRule::keyword);
    if (rule == std::end(rules)) {
        std::vector<std::string_view> known;
        for (const InstructionRule& each : rules) known.push_back(each.keyword);
        const std::string_view meant = nearest(statement.keyword, known);
        throw Error("unknown instruction: ", statement.keyword,
                    meant.empty() ? "" : str(" (did you mean ", meant, "?)"));
    }
    check_flags(statement, *rule);
    rule->check(statement, escape);
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

}  // namespace

std::span<const InstructionRule> instruction_rules() { return rules; }

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
    std::string_view best;
    if (word.size() > longest_guessed) return best;
    size_t least = std::min<size_t>(3, word.size() / 2 + 1);
    for (const std::string_view candidate : known) {
        if (candidate.size() > word.size() + least) continue;
        if (const size_t d = distance(word, candidate); d < least) least = d, best = candidate;
    }
    return best;
}

void check_statements(const Dockerfile& file, const std::string& name) {
    for (const Statement& statement : file.statements)
        context(str(name, ":", statement.line), [&] { check_statement(statement, file.escape); });
}
