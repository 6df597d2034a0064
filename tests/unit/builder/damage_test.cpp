// Dockerfiles and what stands in them, damaged.
#include "base/file.h"
#include "builder/language/dockerfile.h"
#include "builder/language/instructions.h"
#include "builder/language/words.h"
#include "builder/metadata.h"
#include "tests/unit/builder/whole_dockerfile.h"
#include "tests/unit/damage.h"

namespace {

constexpr std::string_view words[] = {"\n",
                                      "\\\n",
                                      "`\n",
                                      "# escape=`\n",
                                      "FROM x\n",
                                      "RUN <<EOF\n",
                                      "EOF\n",
                                      "<<-'a b'\n",
                                      "ONBUILD ",
                                      "COPY --from=a ",
                                      "ENV a=b c",
                                      "LABEL \"",
                                      "HEALTHCHECK --interval=1h CMD ",
                                      "[\"a\", ",
                                      "'",
                                      "\"",
                                      "\\",
                                      "$",
                                      "${",
                                      "${a:-${b}}",
                                      "${a//x/y}",
                                      "${a%%*}",
                                      "\0",
                                      "\r\n",
                                      "\xef\xbb\xbf",
                                      "=",
                                      "--",
                                      "STOPSIGNAL 99",
                                      "EXPOSE 1-65535/udp ",
                                      "USER :",
                                      "ARG "};

}  // namespace

TEST_CASE("damaged Dockerfiles are read or refused") {
    const std::string many = read_file(str(TEST_DATA, "/builder/statements.txt"));
    each_damaged(
        1000,
        [&](Damage& damage) {
            return damage.text(damage.below(4) ? whole_dockerfile
                                               : many.substr(damage.below(many.size()), 2000),
                               words);
        },
        [](const std::string& text) {
            const Dockerfile file = parse_dockerfile(text, "Dockerfile");
            error_of([&] { check_statements(file, "Dockerfile"); });
            Stage stage;
            for (const Statement& statement : file.statements)
                error_of([&] {
                    expand_words(statement.rest, file.escape, stage.lookup());
                    for (const Heredoc& heredoc : statement.heredocs)
                        expand_heredoc(heredoc.content, stage.lookup());
                    apply_metadata(stage, statement, file.escape);
                });
        });
}

TEST_CASE("damaged words are expanded or refused") {
    const Lookup lookup = [](const std::string& name) -> std::optional<std::string> {
        return name == "a" ? std::optional(std::string("x/y.z")) : std::nullopt;
    };
    each_damaged(
        1000,
        [&](Damage& damage) {
            return damage.text(
                "pre${a:-\"$b\"}'q'\\$c ${a%%.*}${a##*/}${a/x/y}${a//[a-z]/\\/}${a:+set} ${b:?no}",
                words);
        },
        [&](const std::string& text) {
            error_of([&] { expand(text, '\\', lookup); });
            error_of([&] { expand_words(text, '`', lookup); });
            error_of([&] { expand_heredoc(text, lookup); });
            raw_words(text, '\\');
        });
}
