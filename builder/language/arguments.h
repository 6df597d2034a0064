// The arguments of those instructions whose words have a form of their own. Nothing is expanded
// here: what comes out stands as it was written. Each throws Error, in BuildKit's words, for what
// cannot be its instruction's.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "builder/language/dockerfile.h"
#include "spec/image.h"

// ENV's and LABEL's "NAME=VALUE …"; or, in the old form, one "NAME VALUE", the rest of the line.
struct NamedValues {
    std::vector<std::pair<std::string, std::string>> values;
    bool old_form = false;
};
NamedValues named_values(const Statement& statement, char escape);

// ARG's: a name, and its default if it has one.
struct NamedArgument {
    std::string name;
    std::optional<std::string> value;
};
std::vector<NamedArgument> named_arguments(const Statement& statement, char escape);

// HEALTHCHECK's: "CMD" and a command, which is one word in the shell form; or "NONE".
struct HealthArguments {
    std::string type;  // upper case
    std::vector<std::string> command;
    bool is_json = false;
};
HealthArguments health_arguments(const Statement& statement);
// What an image says of it, with the flags' intervals.
spec::HealthCheck health_check(const Statement& statement);

// FROM's: "BASE [AS NAME]".
struct FromArguments {
    std::string base;
    std::string as;     // the keyword, as it stands there
    std::string stage;  // as it stands there; stages are known by the lower case
};
FromArguments from_arguments(const Statement& statement);

// What ADD's, COPY's and VOLUME's words are, in either form.
std::vector<std::string> path_arguments(const Statement& statement);

// Throws Error for an instruction that cannot wait for another build (FROM, ONBUILD, …).
void check_trigger(const std::string& keyword);
// Of ONBUILD: the instruction that waits, upper case.
std::string trigger_keyword(const Statement& statement);
