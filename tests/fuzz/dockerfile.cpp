// Dockerfiles: the parser, the table of instructions, the words of each statement.
#include "builder/language/dockerfile.h"

#include "base/file.h"
#include "builder/language/instructions.h"
#include "builder/language/words.h"
#include "builder/metadata.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/builder/whole_dockerfile.h"

void take(std::string_view input) {
    const Dockerfile file = parse_dockerfile(input, "Dockerfile");
    is_taken([&] { check_statements(file, "Dockerfile"); });
    Stage stage;
    for (const Statement& statement : file.statements)
        is_taken([&] {
            expand_words(statement.rest, file.escape, stage.lookup());
            for (const Heredoc& heredoc : statement.heredocs)
                expand_heredoc(heredoc.content, stage.lookup());
            apply_metadata(stage, statement, file.escape);
        });
}

std::vector<std::string> seeds() {
    std::vector<std::string> all{whole_dockerfile};
    // The cases of the parser's test, which stand apart by such lines.
    const std::string cases = read_file(str(TEST_DATA, "/builder/statements.txt"));
    for (size_t at = 0; at < cases.size();) {
        const size_t begin = cases.find('\n', at) + 1, end = cases.find("\n---\n", begin);
        if (end == std::string::npos) break;
        all.push_back(cases.substr(begin, end + 1 - begin));
        at = cases.find("\n=== ", end);
        if (at != std::string::npos) ++at;
    }
    return all;
}
