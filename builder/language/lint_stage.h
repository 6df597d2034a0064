// The checks of the statements inside a stage.
#pragma once

#include "builder/language/lint.h"
#include "builder/language/lint_scope.h"

// What holds for all stages of a file.
struct LintStages {
    char escape = '\\';
    const LintFacts& facts;
    const LintVariables& globals;  // the ARGs before the first FROM, and the predefined ones
};

// Says to `findings` what may be wrong with the statement, and to `scope` what it changes.
void lint_statement(const Statement& statement, const LintStages& stages, LintScope& scope,
                    LintFindings& findings);
