// Dockerfiles: the parser, the table of instructions, the words of each statement.
#include "builder/dockerfile.h"

#include "base/file.h"
#include "builder/instructions.h"
#include "builder/metadata.h"
#include "builder/words.h"
#include "tests/fuzz/fuzz.h"

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
    std::vector<std::string> all{R"(# syntax=docker/dockerfile:1
# escape=`
ARG base=alpine
FROM ${base:-alpine} AS build
ENV PATH=/bin:$PATH name="a b" other=c\ d
ENV old form of it
LABEL a=b "c d"='e f'
COPY --from=0 --chown=1:2 ["a b", "c"] /to/
ADD --checksum=sha256:00 http://x/y .
RUN --mount=type=bind,target=/x echo "$name" `
    && true   # comment
RUN <<EOF cat > /file
$name ${other#c}
EOF
HEALTHCHECK --interval=5m --retries=3 CMD ["curl", "x"]
EXPOSE 80/tcp 8000-8010
VOLUME /a /b
STOPSIGNAL SIGRTMIN+3
ONBUILD RUN true
SHELL ["/bin/sh", "-c"]
USER me:staff
WORKDIR /a/../b
CMD ["a", "b"]
ENTRYPOINT exec x
)"};
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
