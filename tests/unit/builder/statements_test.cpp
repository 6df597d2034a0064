// Dockerfiles as statements: each case of the data file shows what the parser makes of a text.
#include "base/error.h"
#include "base/file.h"
#include "builder/language/dockerfile.h"
#include "tests/unit/builder/shown_statements.h"
#include "tests/unit/catch.h"

TEST_CASE("a Dockerfile's text becomes statements as BuildKit reads it") {
    const std::string data = read_file(std::string(TEST_DATA) + "/builder/statements.txt");
    size_t cases = 0;
    for (size_t at = data.find("=== "); at != std::string::npos; ++cases) {
        const size_t end = data.find("\n=== ", at), name_end = data.find('\n', at),
                     bar = data.find("\n---\n", at);
        const std::string name = data.substr(at + 4, name_end - at - 4);
        const std::string text = data.substr(name_end + 1, bar - name_end),
                          want = data.substr(bar + 5,
                                             end == std::string::npos ? end : end + 1 - bar - 5);
        at = end == std::string::npos ? end : end + 1;
        CAPTURE(name);
        CHECK(shown(parse_dockerfile(text, "Dockerfile")) == want);
    }
    CHECK(cases > 10);
}

TEST_CASE("what cannot be read names its line") {
    const struct {
        const char *text, *says;
    } cases[] = {
        {"", "cannot be empty"},
        {"# only\n\n  # comments\n", "cannot be empty"},
        {"FROM a\nCMD [ \"echo\", [ \"nested\" ] ]\n",
         "Dockerfile:2: only string type is allowed in JSON format arrays"},
        {"FROM a\nRUN [1]\n", "Dockerfile:2: only string"},
        {"# escape=\\\n# escape=`\nFROM a\n",
         "Dockerfile:2: only one escape parser directive can be used"},
        {"# escape=x\nFROM a\n", "Dockerfile:1: invalid ESCAPE"},
        {"FROM a\n\nRUN <<EOF\nx\n", "Dockerfile:3: unterminated heredoc \"EOF\""},
    };
    for (const auto& [text, says] : cases) {
        CAPTURE(text);
        CHECK_THROWS_WITH(parse_dockerfile(text, "Dockerfile"), ContainsSubstring(says));
    }
    CHECK_THROWS_WITH(parse_dockerfile("FROM " + std::string(70000, 'a'), "Dockerfile"),
                      ContainsSubstring("greater than max allowed size"));
    const Dockerfile file = parse_dockerfile("ENV PATH\n", "Dockerfile");
    CHECK_THROWS_WITH(named_values(file.statements[0], '\\'),
                      ContainsSubstring("must have two arguments"));
}

TEST_CASE("a byte order mark and carriage returns are no part of the text") {
    const Dockerfile file = parse_dockerfile("\xef\xbb\xbf"
                                             "FROM a\r\nRUN one \\\r\n two\r\n",
                                             "Dockerfile");
    REQUIRE(file.statements.size() == 2);
    CHECK(file.statements[0].rest == "a");
    CHECK(file.statements[1].rest == "one  two");
}

TEST_CASE("heredocs are found where words are, and quoting any part of the mark keeps the text as "
          "it is") {
    const auto heredocs = [](const std::string& text) {
        return parse_dockerfile(text, "Dockerfile").statements.at(0).heredocs;
    };
    CHECK(heredocs("RUN cat <<<word\n").empty());
    CHECK(heredocs("RUN echo \"<<EOF\"\n").empty());
    CHECK(heredocs("RUN [\"cat\", \"<<EOF\"]\n").empty());
    const auto three = heredocs("RUN 3<<A cat <<'B' <<-\"C\"D\na\nA\n$b\nB\n\t\tcd\n\tCD\n");
    REQUIRE(three.size() == 3);
    CHECK((three[0].name == "A" && three[0].content == "a\n" && three[0].expand));
    CHECK((three[1].name == "B" && three[1].content == "$b\n" && !three[1].expand));
    CHECK((three[2].name == "CD" && three[2].content == "cd\n" && !three[2].expand));
    CHECK(heredocs("ONBUILD COPY <<F /f\nx\nF\n").size() == 1);
}

TEST_CASE("a heredoc keeps the ends of its lines, all else loses them") {
    const Dockerfile file =
        parse_dockerfile("RUN <<-EOF\r\n\ta\r\n\tEOF\r\nCMD b \\\r\n c\r\n", "Dockerfile");
    REQUIRE(file.statements.size() == 2);
    CHECK(file.statements[0].heredocs.at(0).content == "a\r\n");
    CHECK(file.statements[1].rest == "b  c");
}

TEST_CASE("a statement knows where it stands, and the comment right above it") {
    const Dockerfile file = parse_dockerfile("# check=error=true\n"
                                             "# base is what all need\n"
                                             "From a\n"
                                             "# not about RUN\n"
                                             "\n"
                                             "RUN <<A \\\n"
                                             "\n"
                                             "<<B\n"
                                             "A\n"
                                             "B\n",
                                             "Dockerfile");
    REQUIRE(file.statements.size() == 2);
    const Statement &from = file.statements[0], &run = file.statements[1];
    CHECK(file.check == "error=true");
    CHECK(from.comments == std::vector<std::string>{"check=error=true", "base is what all need"});
    CHECK((from.written == "From" && from.keyword == "FROM"));
    CHECK((from.line == 3 && from.last_line == 3 && from.empty_line == 0));
    CHECK(run.comments.empty());
    CHECK((run.line == 6 && run.last_line == 10 && run.empty_line == 8));
}

TEST_CASE("a script's first line leaves the escape as it is") {
    CHECK(parse_dockerfile("#!/x\n# escape=`\nFROM a\n", "Dockerfile").escape == '\\');
    CHECK(parse_dockerfile("#!/x\n# check=skip=all\nFROM a\n", "Dockerfile").check == "skip=all");
}
