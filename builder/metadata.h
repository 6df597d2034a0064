// The instructions that change nothing but an image's config.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "builder/language/dockerfile.h"
#include "builder/language/words.h"
#include "builder/stage.h"

// ENV's and LABEL's arguments, not expanded: "NAME=VALUE …", or, in the old form, one "NAME VALUE".
struct NameValues {
    std::vector<std::pair<std::string, std::string>> values;
    bool old_form = false;
};
NameValues name_values(const Statement& statement, char escape);

// HEALTHCHECK's: "CMD" and a command, which is one word in the shell form; or "NONE".
struct HealthWords {
    std::string type;
    std::vector<std::string> command;
    bool is_json = false;
};
HealthWords health_words(const Statement& statement);

// Throws Error in BuildKit's words for an instruction that cannot wait for another build (FROM,
// ONBUILD, …).
void check_trigger(const std::string& keyword);

// Does what the statement says; gives it as the history shows it, or nothing if the instruction is
// no business of this table.
std::optional<std::string> apply_metadata(Stage& stage, const Statement& statement, char escape);
