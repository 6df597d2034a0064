// What is hard: each of these instructions has a grammar of its own, older than the others' and
// kept for the files that use it: "ENV NAME rest of the line", "HEALTHCHECK CMD" with a second form
// inside, "ARG a b=c". Whether a word has quotes is decided when it is expanded, not here.
#include "builder/language/arguments.h"

#include <algorithm>

#include "base/duration.h"
#include "base/error.h"
#include "base/text.h"
#include "builder/language/words.h"

namespace {

// The first word, and what follows the blanks behind it.
std::pair<std::string, std::string> first_word(const std::string& text) {
    const size_t end = std::min(text.find_first_of(" \t"), text.size());
    return {text.substr(0, end), std::string(trim(std::string_view(text).substr(end)))};
}

void check_name(const Statement& statement, std::string_view name) {
    if (name.empty()) throw Error(statement.keyword, " names can not be blank");
}

int64_t interval_of(const std::string& flag, const std::string& text) {
    constexpr int64_t millisecond = 1'000'000;
    if (text.empty()) return 0;
    const auto duration = parse_duration(text);
    if (!duration) throw Error("invalid --", flag, ": invalid duration ", quoted(text));
    if (duration->count() != 0 && duration->count() < millisecond)
        throw Error("invalid --", flag, ": interval ", quoted(text), " must be 0 or at least 1ms");
    return duration->count();
}

int retries_of(const std::string& text) {
    if (text.empty()) return 0;
    const auto number = parse_number<int>(text);
    if (!number || *number < 0) throw Error("--retries must be at least 0, but is ", quoted(text));
    return *number;
}

constexpr struct {
    std::string_view flag;
    int64_t spec::HealthCheck::* member;
} health_intervals[] = {
    {"interval", &spec::HealthCheck::interval},
    {"timeout", &spec::HealthCheck::timeout},
    {"start-period", &spec::HealthCheck::start_period},
    {"start-interval", &spec::HealthCheck::start_interval},
};

// "build", "go1.22-base": what the name of a stage may be.
bool is_stage_name(std::string_view name) {
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    const auto is_other = [](char c) {
        return (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    };
    return !name.empty() && is_letter(name[0]) &&
           std::ranges::all_of(name, [&](char c) { return is_letter(c) || is_other(c); });
}

}  // namespace

NamedValues named_values(const Statement& statement, char escape) {
    NamedValues out;
    const std::vector<std::string> words = raw_words(statement.rest, escape);
    if (!words.empty() && !words[0].contains('=')) {
        const auto [name, value] = first_word(statement.rest);
        if (name.size() == statement.rest.size())
            throw Error(statement.keyword, " must have two arguments");
        out.old_form = true;
        out.values.emplace_back(name, value);
        return out;
    }
    for (const std::string& word : words) {
        const size_t equals = word.find('=');
        if (equals == std::string::npos)
            throw Error("syntax error - can't find = in ", quoted(word),
                        ". Must be of the form: name=value");
        out.values.emplace_back(word.substr(0, equals), word.substr(equals + 1));
        check_name(statement, out.values.back().first);
    }
    return out;
}

std::vector<NamedArgument> named_arguments(const Statement& statement, char escape) {
    std::vector<NamedArgument> out;
    for (const std::string& word : raw_words(statement.rest, escape)) {
        const size_t equals = word.find('=');
        NamedArgument& argument = out.emplace_back();
        argument.name = word.substr(0, equals);
        if (equals != std::string::npos) argument.value = word.substr(equals + 1);
        check_name(statement, argument.name);
    }
    return out;
}

HealthArguments health_arguments(const Statement& statement) {
    const auto [type, rest] = first_word(statement.rest);
    HealthArguments out{.type = upper(type), .command = {}};
    if (auto words = json_words(rest))
        out.command = std::move(*words), out.is_json = true;
    else if (!rest.empty())
        out.command = {rest};
    return out;
}

spec::HealthCheck health_check(const Statement& statement) {
    const HealthArguments words = health_arguments(statement);
    spec::HealthCheck check;
    if (words.type == "NONE") {
        if (!words.command.empty()) throw Error("HEALTHCHECK NONE takes no arguments");
        check.test = {"NONE"};
        return check;
    }
    if (words.type != "CMD")
        throw Error("unknown type ", quoted(words.type), " in HEALTHCHECK (try CMD)");
    if (words.command.empty()) throw Error("missing command after HEALTHCHECK CMD");
    check.test = words.command;
    check.test.insert(check.test.begin(), words.is_json ? "CMD" : "CMD-SHELL");
    for (const auto& [flag, member] : health_intervals)
        if (const std::string* value = statement.flag(flag))
            check.*member = interval_of(std::string(flag), *value);
    if (const std::string* value = statement.flag("retries")) check.retries = retries_of(*value);
    return check;
}

FromArguments from_arguments(const Statement& statement) {
    const std::vector<std::string> words = blank_separated(statement.rest);
    const bool is_named = words.size() == 3 && lower(words[1]) == "as";
    if (words.size() != 1 && !is_named) throw Error("FROM requires either one or three arguments");
    FromArguments out{.base = words[0], .as = {}, .stage = {}};
    if (!is_named) return out;
    out.as = words[1], out.stage = words[2];
    if (!is_stage_name(lower(out.stage)))
        throw Error("invalid name for build stage: ", quoted(out.stage),
                    ", name can't start with a number or contain symbols");
    return out;
}

std::vector<std::string> path_arguments(const Statement& statement) {
    return statement.is_json ? statement.json : blank_separated(statement.rest);
}

void check_trigger(const std::string& keyword) {
    if (keyword == "ONBUILD") throw Error("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (keyword == "FROM" || keyword == "MAINTAINER")
        throw Error(keyword, " isn't allowed as an ONBUILD trigger");
}

std::string trigger_keyword(const Statement& statement) {
    const std::string keyword = upper(first_word(statement.rest).first);
    check_trigger(keyword);
    return keyword;
}
