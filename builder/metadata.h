// The instructions that change nothing but an image's config.
#pragma once

#include <optional>
#include <string>

#include "builder/language/dockerfile.h"
#include "builder/stage.h"

// Does what the statement says, which check_statements() has passed; gives it as the history shows
// it, or nothing if the instruction is no business of this table.
std::optional<std::string> apply_metadata(Stage& stage, const Statement& statement, char escape);
