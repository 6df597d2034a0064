// Dockerfiles as statements: each case of the data file shows what the parser makes of a text.
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "builder/language/dockerfile.h"
#include "builder/language/words.h"
#include "builder/metadata.h"
#include "tests/unit/catch.h"

namespace {

std::string in_quotes(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (c == '\n')
            out += "\\n";
        else
            out += c;
    }
    return out + "\"";
}

std::vector<std::string> arguments(const Statement& statement, char escape) {
    if (statement.is_json) return statement.json;
    static const std::vector<std::string> whole = {"CMD",     "ENTRYPOINT", "RUN",        "USER",
                                                   "WORKDIR", "STOPSIGNAL", "MAINTAINER", "SHELL"};
    if (std::find(whole.begin(), whole.end(), statement.keyword) != whole.end())
        return {statement.rest};
    if (statement.keyword == "ARG") return raw_words(statement.rest, escape);
    return blank_separated(statement.rest);
}

std::string shown(const Statement& statement, char escape) {
    std::string out = "(" + lower(statement.keyword);
    if (!statement.flags.empty()) {
        std::vector<std::string> flags;
        for (const auto& [name, value] : statement.flags)
            flags.push_back(in_quotes("--" + name + (value.empty() ? "" : "=" + value)));
        out += " [" + join(flags, " ") + "]";
    }
    if (statement.keyword == "ONBUILD") {
        const Dockerfile inner = parse_dockerfile(statement.rest, "x");
        return out + " " + shown(inner.statements.at(0), escape) + ")";
    }
    if (statement.keyword == "ENV" || statement.keyword == "LABEL") {
        const NameValues pairs = name_values(statement, escape);
        for (const auto& [name, value] : pairs.values)
            out += str(" ", in_quotes(name), " ", in_quotes(value),
                       pairs.old_form ? " \"\"" : " \"=\"");
        return out + ")";
    }
    if (statement.keyword == "HEALTHCHECK") {
        const HealthWords words = health_words(statement);
        if (!words.type.empty()) out += " " + in_quotes(words.type);
        for (const std::string& word : words.command) out += " " + in_quotes(word);
        return out + ")";
    }
    for (const std::string& word : arguments(statement, escape)) out += " " + in_quotes(word);
    return out + ")";
}

}  // namespace

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
        const Dockerfile file = parse_dockerfile(text, "Dockerfile");
        std::string got;
        for (const Statement& statement : file.statements)
            got += shown(statement, file.escape) + "\n";
        CHECK(got == want);
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
    CHECK_THROWS_WITH(name_values(file.statements[0], '\\'),
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
