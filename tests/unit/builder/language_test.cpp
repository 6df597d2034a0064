#include <map>

#include "base/error.h"
#include "builder/context.h"
#include "builder/dockerfile.h"
#include "builder/instructions.h"
#include "builder/words.h"
#include "tests/unit/catch.h"

TEST_CASE("variables are expanded by the reference's rules") {
    const std::map<std::string, std::string> variables = {{"a", "x"}, {"empty", ""}, {"path", "dir/file.tar.gz"}};
    const Lookup lookup = [&](const std::string& name) -> std::optional<std::string> {
        const auto at = variables.find(name);
        if (at == variables.end()) return {};
        return at->second;
    };
    const struct { const char *text, *want; } cases[] = {
        {"$a", "x"}, {"${a}b", "xb"}, {"'$a'", "$a"}, {"\"$a\"", "x"}, {"\\$a", "$a"}, {"$", "$"}, {"$none", ""},
        {"${none:-else}", "else"}, {"${empty:-else}", "else"}, {"${empty-else}", ""}, {"${a:+set}", "set"}, {"${none+set}", ""},
        {"${none:-$a}", "x"}, {"${path#*/}", "file.tar.gz"}, {"${path%.*}", "dir/file.tar"}, {"${path%%.*}", "dir/file"},
        {"${path/file/thing}", "dir/thing.tar.gz"}, {"${path//r/R}", "diR/file.taR.gz"},
    };
    for (const auto& [text, want] : cases) {
        CAPTURE(text);
        CHECK(expand(text, '\\', lookup) == want);
    }
    for (const char* wrong : {"${a", "${a^b}", "'x", "\"x", "${}"}) {
        CAPTURE(wrong);
        CHECK_THROWS_AS(expand(wrong, '\\', lookup), Error);
    }
    CHECK_THROWS_WITH(expand("${none:?is needed}", '\\', lookup), "none: is needed");
}

TEST_CASE("words end at blanks outside quotes") {
    CHECK(raw_words(R"(a "b c" d\ e 'f g')", '\\') == std::vector<std::string>{"a", "\"b c\"", "d\\ e", "'f g'"});
}

TEST_CASE("lines are joined, comments inside them dropped") {
    const Dockerfile file = parse_dockerfile("# note\nFROM a\nRUN one \\\n  # not part\n\n  two\nCMD [\"x\", \"y\"]\n", "Dockerfile");
    REQUIRE(file.statements.size() == 3);
    CHECK(file.statements[1].rest == "one   two");
    CHECK(file.statements[1].line == 3);
    CHECK(file.statements[2].json == std::vector<std::string>{"x", "y"});
}

TEST_CASE("flags stand between the instruction and its words") {
    const Dockerfile file = parse_dockerfile("COPY --from=build --chown=a:b x y\n", "Dockerfile");
    REQUIRE(file.statements[0].flag("from"));
    CHECK(*file.statements[0].flag("from") == "build");
    CHECK(file.statements[0].rest == "x y");
}

TEST_CASE("an escape directive changes the character that continues lines") {
    const Dockerfile file = parse_dockerfile("# escape=`\nFROM a\nRUN one `\n two\n", "Dockerfile");
    CHECK(file.statements[1].rest == "one  two");
}

TEST_CASE("heredocs belong to their instruction") {
    const Dockerfile file = parse_dockerfile("RUN <<EOF\nfirst\nEOF\nCOPY <<-\"A\" <<B /x/\n\tone\n\tA\ntwo\nB\n", "Dockerfile");
    REQUIRE(file.statements.size() == 2);
    CHECK(file.statements[0].heredocs[0].content == "first\n");
    CHECK(file.statements[1].heredocs[0].content == "one\n");
    CHECK_FALSE(file.statements[1].heredocs[0].expand);
    CHECK(file.statements[1].heredocs[1].content == "two\n");
}

TEST_CASE("a mistyped word is named with its line and what was meant") {
    const struct { const char *text, *says; } cases[] = {
        {"FROM a\nRUM x\n", "Dockerfile:2: unknown instruction: RUM (did you mean RUN?)"},
        {"FROM a\nCOPY --form=b x y\n", "Dockerfile:2: unknown flag: --form for COPY (did you mean from?)"},
        {"FROM a\nENV\n", "Dockerfile:2: ENV requires at least one argument"},
    };
    for (const auto& [text, says] : cases) {
        CAPTURE(text);
        CHECK_THROWS_WITH(check_statements(parse_dockerfile(text, "Dockerfile"), "Dockerfile"), says);
    }
}

TEST_CASE("patterns match as Go's filepath.Match, and ** any directories") {
    const struct { const char *pattern, *path; bool want; } cases[] = {
        {"*.go", "a.go", true}, {"*.go", "d/a.go", false}, {"**/*.go", "d/e/a.go", true}, {"**/*.go", "a.go", true},
        {"a?c", "abc", true}, {"a?c", "a/c", false}, {"[a-c]x", "bx", true}, {"[^a-c]x", "bx", false}, {"a\\*", "a*", true},
        {"d/**", "d/e/f", true}, {"a*b", "ab", true}, {"", "", true},
    };
    for (const auto& [pattern, path, want] : cases) {
        CAPTURE(pattern, path);
        CHECK(match_path(pattern, path) == want);
    }
}

TEST_CASE("the last rule of .dockerignore that matches decides") {
    const IgnoreRules rules("# comment\n*.md\n!README.md\n/tmp/\n**/cache\n");
    CHECK(rules.ignores("a.md"));
    CHECK_FALSE(rules.ignores("README.md"));
    CHECK(rules.ignores("tmp/x/y"));
    CHECK(rules.ignores("deep/down/cache/f"));
    CHECK_FALSE(rules.ignores("src/main.c"));
}
