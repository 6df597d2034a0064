// The language: which instructions there are and which flags each takes. Parser checks and error
// texts are made from this table.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "builder/language/dockerfile.h"

struct InstructionRule {
    std::string_view keyword;
    // What it takes, separated by blanks: "link?" is a switch, "mount*" may be there several times.
    std::string_view flags;
    std::string_view later;  // flags of the language that keg does not do yet: refused by name
    // Throws Error for arguments that cannot be its own, whatever its variables are.
    void (*check)(const Statement&, char escape);
};
std::span<const InstructionRule> instruction_rules();

// Throws Error "NAME:LINE: unknown instruction: RUM (did you mean RUN?)", and so on, for the first
// statement that is none of the language.
void check_statements(const Dockerfile& file, const std::string& name);

// The known word that somebody who typed `word` may have meant; "" if none is near.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);
