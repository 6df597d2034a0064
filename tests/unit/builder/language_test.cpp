// Proves the Dockerfile's language: words, statements, patterns. It is defined by what BuildKit
// does in its corners, so many cases are from its tests, as tables in tests/data/builder.
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "builder/language/dockerfile.h"
#include "builder/language/ignore.h"
#include "builder/language/instructions.h"
#include "builder/language/words.h"
#include "tests/unit/catch.h"

static json::Value table(const std::string& name) {
    return json::parse(read_file(std::string(TEST_DATA) + "/builder/" + name));
}

TEST_CASE("variables are expanded by the reference's rules") {
    const std::map<std::string, std::string> variables = {
        {"a", "x"}, {"empty", ""}, {"path", "dir/file.tar.gz"}};
    const Lookup lookup = [&](const std::string& name) -> std::optional<std::string> {
        const auto at = variables.find(name);
        if (at == variables.end()) return {};
        return at->second;
    };
    const struct {
        const char *text, *want;
    } cases[] = {
        {"$a", "x"},
        {"${a}b", "xb"},
        {"'$a'", "$a"},
        {"\"$a\"", "x"},
        {"\\$a", "$a"},
        {"$", "$"},
        {"$none", ""},
        {"${none:-else}", "else"},
        {"${empty:-else}", "else"},
        {"${empty-else}", ""},
        {"${a:+set}", "set"},
        {"${none+set}", ""},
        {"${none:-$a}", "x"},
        {"${path#*/}", "file.tar.gz"},
        {"${path%.*}", "dir/file.tar"},
        {"${path%%.*}", "dir/file"},
        {"${path/file/thing}", "dir/thing.tar.gz"},
        {"${path//r/R}", "diR/file.taR.gz"},
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

TEST_CASE("words are expanded as BuildKit expands them") {
    const std::map<std::string, std::string> usual = {
        {"PWD", "/home"}, {"SHELL", "bash"}, {"KOREAN", "한국어"}, {"NULL", ""}};
    for (const json::Value& row : table("expansion.json")) {
        auto variables = usual;
        if (const auto own = row.find("variables"); own != row.end())
            variables = json::read<std::map<std::string, std::string>>(*own);
        const Lookup lookup = [&](const std::string& name) -> std::optional<std::string> {
            const auto at = variables.find(name);
            if (at == variables.end()) return {};
            return at->second;
        };
        const std::string text = row["text"];
        CAPTURE(text);
        if (row["want"].is_null())
            CHECK_THROWS_AS(expand(text, '\\', lookup), Error);
        else
            CHECK(expand(text, '\\', lookup) == row["want"].get<std::string>());
    }
}

TEST_CASE("an unquoted variable may be several words") {
    const Lookup lookup = [](const std::string& name) -> std::optional<std::string> {
        if (name == "hi") return "hi";
        if (name == "space") return "abc  def";
        if (name == "leading") return "  ab c";
        if (name == "trailing") return "ab c   ";
        return {};
    };
    using Words = std::vector<std::string>;
    const struct {
        const char* text;
        Words want;
    } cases[] = {
        {"hello", {"hello"}},
        {"hello${none}bye", {"hellobye"}},
        {"hello${hi}bye", {"hellohibye"}},
        {"hello${space}bye", {"helloabc", "defbye"}},
        {"hello\"${space}\"bye", {"helloabc  defbye"}},
        {"hello \"${space}\"bye", {"hello", "abc  defbye"}},
        {"hello${leading}def", {"hello", "ab", "cdef"}},
        {"hello\"${leading}\" def", {"hello  ab c", "def"}},
        {"hello${leading}", {"hello", "ab", "c"}},
        {"hello${trailing}", {"helloab", "c"}},
        {"hello${trailing}d", {"helloab", "c", "d"}},
        {"hello\"${trailing}\"d", {"helloab c   d"}},
        {"hel\"lo${trailing}\"", {"helloab c   "}},
        {"hello\" there  \"", {"hello there  "}},
        {"hello there     ", {"hello", "there"}},
        {"hello\\ there", {"hello there"}},
        {"hello\\\" there", {"hello\"", "there"}},
        {"hello'$there'", {"hello$there"}},
        {"a \"\" b", {"a", "", "b"}},
    };
    for (const auto& [text, want] : cases) {
        CAPTURE(text);
        CHECK(expand_words(text, '\\', lookup) == want);
    }
    CHECK_THROWS_AS(expand_words("hello\" there", '\\', lookup), Error);
}

TEST_CASE("in a heredoc quotes are characters") {
    const Lookup lookup = [](const std::string&) { return std::optional<std::string>("x"); };
    CHECK(expand_heredoc("'$a' \"${a}\" \\$a", lookup) == "'x' \"x\" $a");
}

TEST_CASE("words end at blanks outside quotes") {
    CHECK(raw_words(R"(a "b c" d\ e 'f g')", '\\') ==
          std::vector<std::string>{"a", "\"b c\"", "d\\ e", "'f g'"});
}

TEST_CASE("lines are joined, comments inside them dropped") {
    const Dockerfile file = parse_dockerfile(
        "# note\nFROM a\nRUN one \\\n  # not part\n\n  two\nCMD [\"x\", \"y\"]\n", "Dockerfile");
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
    const Dockerfile file = parse_dockerfile(
        "RUN <<EOF\nfirst\nEOF\nCOPY <<-\"A\" <<B /x/\n\tone\n\tA\ntwo\nB\n", "Dockerfile");
    REQUIRE(file.statements.size() == 2);
    CHECK(file.statements[0].heredocs[0].content == "first\n");
    CHECK(file.statements[1].heredocs[0].content == "one\n");
    CHECK_FALSE(file.statements[1].heredocs[0].expand);
    CHECK(file.statements[1].heredocs[1].content == "two\n");
}

TEST_CASE("a mistyped word is named with its line and what was meant") {
    const struct {
        const char *text, *says;
    } cases[] = {
        {"FROM a\nRUM x\n", "Dockerfile:2: unknown instruction: RUM (did you mean RUN?)"},
        {"FROM a\nCOPY --form=b x y\n",
         "Dockerfile:2: unknown flag: --form for COPY (did you mean --from?)"},
        {"FROM a\nENV\n", "Dockerfile:2: ENV requires at least one argument"},
    };
    for (const auto& [text, says] : cases) {
        CAPTURE(text);
        CHECK_THROWS_WITH(check_statements(parse_dockerfile(text, "Dockerfile"), "Dockerfile"),
                          says);
    }
}

TEST_CASE("patterns match as Go's filepath.Match") {
    for (const json::Value& row : table("patterns.json")) {
        const std::string pattern = row["pattern"], name = row["name"];
        CAPTURE(pattern, name);
        if (row["match"].is_null())
            CHECK_THROWS_AS(match_path(pattern, name), Error);
        else
            CHECK(match_path(pattern, name) == row["match"].get<bool>());
    }
}

TEST_CASE(".dockerignore's patterns match as BuildKit's") {
    for (const json::Value& row : table("ignore.json")) {
        std::string text;
        for (const auto& pattern : row["patterns"]) text += pattern.get<std::string>() + "\n";
        const std::string path = row["path"];
        CAPTURE(text, path);
        CHECK(IgnoreRules(text).ignores(path) == row["match"].get<bool>());
    }
    CHECK_THROWS_WITH(IgnoreRules("a\n!\n"), ContainsSubstring("illegal exclusion pattern"));
    CHECK_THROWS_WITH(IgnoreRules("[a\n"), ContainsSubstring("\"[a\""));
}

TEST_CASE("the last rule of .dockerignore that matches decides") {
    const IgnoreRules rules("# comment\n*.md\n!README.md\n/tmp/\n**/cache\n");
    CHECK(rules.ignores("a.md"));
    CHECK_FALSE(rules.ignores("README.md"));
    CHECK(rules.ignores("tmp/x/y"));
    CHECK(rules.ignores("deep/down/cache/f"));
    CHECK_FALSE(rules.ignores("src/main.c"));
}
