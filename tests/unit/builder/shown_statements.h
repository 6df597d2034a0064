// A Dockerfile's statements in brackets, as the tables of parser tests show them.
#pragma once

#include "base/text.h"
#include "builder/language/arguments.h"
#include "builder/language/dockerfile.h"
#include "builder/language/words.h"

inline std::vector<std::string> arguments(const Statement& statement, char escape) {
    if (statement.is_json) return statement.json;
    static const std::vector<std::string> whole = {"CMD",     "ENTRYPOINT", "RUN",        "USER",
                                                   "WORKDIR", "STOPSIGNAL", "MAINTAINER", "SHELL"};
    if (std::find(whole.begin(), whole.end(), statement.keyword) != whole.end())
        return {statement.rest};
    if (statement.keyword == "ARG") return raw_words(statement.rest, escape);
    return blank_separated(statement.rest);
}

inline std::string shown(const Statement& statement, char escape) {
    std::string out = "(" + lower(statement.keyword);
    if (!statement.flags.empty()) {
        std::vector<std::string> flags;
        for (const auto& [name, value] : statement.flags)
            flags.push_back(quoted("--" + name + (value.empty() ? "" : "=" + value)));
        out += " [" + join(flags, " ") + "]";
    }
    if (statement.keyword == "ONBUILD") {
        const Dockerfile inner = parse_dockerfile(statement.rest, "x");
        return out + " " + shown(inner.statements.at(0), escape) + ")";
    }
    if (statement.keyword == "ENV" || statement.keyword == "LABEL") {
        const NamedValues pairs = named_values(statement, escape);
        for (const auto& [name, value] : pairs.values)
            out += str(" ", quoted(name), " ", quoted(value), pairs.old_form ? " \"\"" : " \"=\"");
        return out + ")";
    }
    if (statement.keyword == "HEALTHCHECK") {
        const HealthArguments words = health_arguments(statement);
        if (!words.type.empty()) out += " " + quoted(words.type);
        for (const std::string& word : words.command) out += " " + quoted(word);
        return out + ")";
    }
    for (const std::string& word : arguments(statement, escape)) out += " " + quoted(word);
    return out + ")";
}

inline std::string shown(const Dockerfile& file) {
    std::string out;
    for (const Statement& statement : file.statements) out += shown(statement, file.escape) + "\n";
    return out;
}
