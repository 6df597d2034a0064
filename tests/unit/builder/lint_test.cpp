// Proves which warnings a Dockerfile gets, in BuildKit's words: each case is a file and what is
// said of it, "RULE: words (line N)".
#include "builder/language/lint.h"

#include "base/error.h"
#include "tests/unit/catch.h"
#include "tests/unit/linear.h"

namespace {

using Lines = std::vector<std::string>;

LintResult linted(const std::string& text, LintFacts facts = {}) {
    facts.platform = "linux/amd64";
    return lint(parse_dockerfile(text, "Dockerfile"), facts);
}

Lines said(const std::string& text, const LintFacts& facts = {}) {
    Lines out;
    for (const LintWarning& warning : linted(text, facts).warnings)
        out.push_back(str(warning.rule->name, ": ", warning.detail, " (line ", warning.line, ")"));
    return out;
}

// One image, with a variable.
LintFacts with_python() {
    LintFacts facts;
    facts.image = [](const std::string& name) -> std::optional<spec::ImageConfig> {
        if (name != "python") return {};
        spec::ImageConfig config;
        config.os = "linux", config.architecture = "amd64";
        config.config.env.emplace_back("PATH=/bin");
        config.config.env.emplace_back("PYTHON_VERSION=3.12");
        return config;
    };
    return facts;
}

}  // namespace

TEST_CASE("a file that follows the rules gets no warning") {
    CHECK(said("# syntax=docker/dockerfile:1\n"
               "ARG VERSION=1\n"
               "FROM --platform=$BUILDPLATFORM debian:$VERSION AS build\n"
               "ARG TARGETARCH\n"
               "ARG plain\n"
               "ENV A=$TARGETARCH B=${A:-x} C=$plain\n"
               "WORKDIR /src\n"
               "WORKDIR sub\n"
               "COPY --chown=$A . .\n"
               "RUN --mount=type=bind,target=/$C echo $anything\n"
               "FROM scratch\n"
               "COPY --from=build /a /a\n"
               "EXPOSE 80/tcp\n"
               "HEALTHCHECK CMD x\n"
               "ENTRYPOINT [\"/a\"]\n"
               "CMD [\"b\"]\n")
              .empty());
}

TEST_CASE("names and keywords are asked to be of one case") {
    const struct {
        const char* text;
        Lines want;
    } cases[] = {
        {"FROM a AS BuilderBase\n",
         {"StageNameCasing: Stage name 'BuilderBase' should be lowercase (line 1)"}},
        {"FROM a as b\n", {"FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)"}},
        {"from a AS b\n", {"FromAsCasing: 'AS' and 'from' keywords' casing do not match (line 1)"}},
        {"FROM a\nEntryPoint [\"x\"]\n",
         {"ConsistentInstructionCasing: Command 'EntryPoint' should match the case of the command "
          "majority (uppercase) (line 2)"}},
        {"FROM a\ncopy x y\ncopy x y\n",
         {"ConsistentInstructionCasing: Command 'FROM' should match the case of the command "
          "majority (lowercase) (line 1)"}},
        {"arg x\nFROM a\n", {}},
    };
    for (const auto& [text, want] : cases) {
        CAPTURE(text);
        CHECK(said(text) == want);
    }
}

TEST_CASE("names of stages are asked to be their own") {
    CHECK(said("FROM a AS b\nFROM c AS B\n") ==
          Lines{"StageNameCasing: Stage name 'B' should be lowercase (line 2)",
                "DuplicateStageName: Duplicate stage name \"b\", stage names should be unique "
                "(line 2)"});
    CHECK(said("FROM a AS scratch\n") ==
          Lines{"ReservedStageName: Stage name should not use the same name as reserved stage "
                "\"scratch\" (line 1)"});
}

TEST_CASE("a base is asked to be known without arguments") {
    CHECK(said("ARG TAG\nFROM busybox:${TAG}\n") ==
          Lines{"InvalidDefaultArgInFrom: Default value for ARG busybox:${TAG} results in empty or "
                "invalid base image name (line 2)"});
    CHECK(said("ARG TAG\nFROM busybox:stable$TAG\n").empty());
    CHECK(said("ARG TAG\nFROM busybox:${TAG:-3}\n").empty());
    CHECK(
        said("ARG VARIANT\nFROM a:1$VARIAN\n") ==
        Lines{"UndefinedArgInFrom: FROM argument 'VARIAN' is not declared (did you mean VARIANT?) "
              "(line 2)"});
    CHECK(said("FROM --platform=$BUILDPLATFROM a\n") ==
          Lines{"UndefinedArgInFrom: FROM argument 'BUILDPLATFROM' is not declared (did you mean "
                "BUILDPLATFORM?) (line 1)"});
}

TEST_CASE("a base is asked to be for any platform") {
    CHECK(
        said("FROM --platform=$TARGETPLATFORM a\n") ==
        Lines{"RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is "
              "redundant as this is the default behavior (line 1)"});
    CHECK(
        said("FROM --platform=linux/arm64 a\n") ==
        Lines{"FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "
              "\"linux/arm64\" (line 1)"});
    CHECK(said("FROM --platform=linux/arm64 a AS build-arm64\n").empty());
    CHECK(said("FROM --platform=linux/amd64 python AS x\n", with_python()).size() == 1);
    CHECK(said("FROM --platform=arm64 python AS arm64\n", with_python()) ==
          Lines{"InvalidBaseImagePlatform: Base image python was pulled with platform "
                "\"linux/amd64\", expected \"linux/arm64\" for current build (line 1)"});
}

TEST_CASE("variables are asked to be there") {
    CHECK(said("FROM scratch\nCOPY $foo .\nARG foo\nCOPY $foo .\n") ==
          Lines{"UndefinedVar: Usage of undefined variable '$foo' (line 2)"});
    CHECK(
        said("FROM scratch\nENV PATH=$PAHT:/app/bin\n") ==
        Lines{"UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?) (line 2)"});
    CHECK(said("FROM scratch\nENV a=1 b=$a\nLABEL c=$b\n") ==
          Lines{"UndefinedVar: Usage of undefined variable '$a' (line 2)"});
    CHECK(said("FROM scratch\nARG a=$b\nUSER $c\nVOLUME /$d\nSTOPSIGNAL $e\nWORKDIR /$f\n"
               "ADD --chmod=$g x /y\nRUN --mount=type=tmpfs,target=/$h x $i\nCMD [\"$j\"]\n"
               "COPY <<EOF /x\n'$k'\nEOF\nCOPY <<\"EOF\" /x\n$l\nEOF\n")
              .size() == 8);
    // A stage has those of the one it is made of.
    CHECK(said("FROM scratch AS a\nENV b=c\nFROM a\nUSER $b\nFROM scratch\nUSER $b\n") ==
          Lines{"UndefinedVar: Usage of undefined variable '$b' (line 6)"});
    CHECK(said("ARG v=1\nFROM scratch\nUSER $v\nARG v\nUSER $v\n").size() == 1);
}

TEST_CASE("a base that is not known may have any variable") {
    CHECK(said("FROM python\nARG V=$PYTHON_VERSION\n").empty());
    CHECK(said("FROM python\nENV PATH=$PAHT\n").size() == 1);
    CHECK(said("FROM python\nARG V=$PYTHON_VERSION\n", with_python()).empty());
    CHECK(said("FROM python\nARG V=$PYTON_VERSION\n", with_python()) ==
          Lines{"UndefinedVar: Usage of undefined variable '$PYTON_VERSION' (did you mean "
                "$PYTHON_VERSION?) (line 2)"});
}

TEST_CASE("of instructions that count once all but the last are told") {
    CHECK(
        said("FROM a\nCMD [\"x\"]\nHEALTHCHECK CMD y\nCMD [\"z\"]\nHEALTHCHECK NONE\n"
             "FROM a\nCMD [\"x\"]\n") ==
        Lines{"MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the "
              "same stage because only the last one will be used (line 2)",
              "MultipleInstructionsDisallowed: Multiple HEALTHCHECK instructions should not be "
              "used in the same stage because only the last one will be used (line 3)"});
}

TEST_CASE("what is old or easily mistaken is told") {
    const struct {
        const char* text;
        Lines want;
    } cases[] = {
        {"FROM a\nCMD x\n",
         {"JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior "
          "related to OS signals (line 2)"}},
        {"FROM a\nSHELL [\"/bin/bash\", \"-c\"]\nENTRYPOINT x\n", {}},
        {"FROM a\nMAINTAINER me\n",
         {"MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label "
          "(line "
          "2)"}},
        {"FROM a\nENV x y\nLABEL x y\n",
         {"LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key "
          "value\" format (line 2)",
          "LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL key "
          "value\" format (line 3)"}},
        {"FROM a\nCOPY x \\\n\ny\n", {"NoEmptyContinuation: Empty continuation line (line 4)"}},
        {"FROM a\nCOPY x \\\n# said\ny\n", {}},
        {"FROM a\nWORKDIR app/src\nWORKDIR b\n",
         {"WorkdirRelativePath: Relative workdir \"app/src\" can have unexpected results if the "
          "base image changes (line 2)"}},
        {"FROM a\nEXPOSE 80/TcP 127.0.0.1:80:80 80:80 $x\n",
         {"ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase "
          "(line 2)",
          "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
          "mapping, found '127.0.0.1:80:80' (line 2)",
          "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
          "mapping, found '80:80' (line 2)"}},
        {"ARG TOKEN\nFROM a\nARG API_KEY\nENV DB_PASSWORD=x PUBLIC_KEY=y KEY_FILE=z MONKEY=m "
         "PSW=1\n",
         {"SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "
          "\"API_KEY\") (line 3)",
          "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "
          "\"DB_PASSWORD\") (line 4)",
          "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "
          "\"PSW\") (line 4)"}},
    };
    for (const auto& [text, want] : cases) {
        CAPTURE(text);
        CHECK(said(text) == want);
    }
}

TEST_CASE("a file that the context leaves out is told before the build misses it") {
    const auto with = [](const std::string& text, const std::string& ignore) {
        const IgnoreRules rules(ignore);
        LintFacts facts;
        facts.ignored = &rules;
        return said(text, facts);
    };
    CHECK(with("FROM a\nADD ./tmp/x /\n", "tmp\n") ==
          Lines{"CopyIgnoredFile: Attempting to Add file \"tmp/x\" that is excluded by "
                ".dockerignore (line 2)"});
    CHECK(with("FROM a\nCOPY . /\n", "tmp\n").empty());
    CHECK(with("FROM a\nCOPY . /\n", "**\n").size() == 1);
    CHECK(with("FROM a\nCOPY x /\n", "*\n!x\n").empty());
    CHECK(
        with("FROM a\nCOPY --from=b x /\nADD https://x/y /\nCOPY <<EOF /x\nEOF\n", "*\n").empty());
}

TEST_CASE("a comment above a stage or argument is asked to be about it, for who wants that") {
    const std::string text = "# check=experimental=all\n"
                             "# base is it\n"
                             "FROM scratch AS base\n"
                             "# VERSION is it, too\n"
                             "ARG VERSION\n"
                             "# another\n"
                             "ARG a b\n"
                             "# not about it\n"
                             "\n"
                             "ARG c\n";
    CHECK(said(text) == Lines{"InvalidDefinitionDescription: Comment for ARG should follow the "
                              "format: `# <arg_key> <description>` (line 7)"});
    CHECK(said(text.substr(text.find('\n') + 1)).empty());
}

TEST_CASE("a file says which rules it keeps to, who builds it has the last word") {
    const std::string text = "FROM a as B\nMAINTAINER me\n";
    CHECK(said(text).size() == 3);
    CHECK(said("# check=skip=all\n" + text).empty());
    CHECK(said("# check=skip=StageNameCasing, FromAsCasing\n" + text).size() == 1);
    CHECK_FALSE(linted(text).is_error);
    CHECK(linted("# check=error=true\n" + text).is_error);
    CHECK_FALSE(linted("# check=error=true;skip=all\n" + text).is_error);
    LintFacts facts;
    facts.build_args["BUILDKIT_DOCKERFILE_CHECK"] = "skip=all";
    CHECK(said("# check=error=true\n" + text, facts).empty());
    CHECK_THROWS_WITH(said("# check=skp=all\n" + text), "invalid check option \"skp\"");
    CHECK_THROWS_WITH(said("# check=all\n" + text), "invalid check option \"all\"");
    CHECK_THROWS_WITH(said("# check=error=2\n" + text), ContainsSubstring("check option \"2\""));
}

TEST_CASE("warnings are shown with their lines, and at the end of a build in short") {
    const std::string text = "FROM a\n\nCOPY x y\nCMD x \\\n  y\nUSER 1\nUSER 2\n";
    const auto warnings = linted(text).warnings;
    CHECK(lint_report(warnings, text, "Dockerfile") ==
          "\n"
          "WARNING: JSONArgsRecommended - "
          "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
          "JSON arguments recommended for CMD to prevent unintended behavior related to OS "
          "signals\n"
          "Dockerfile:4\n"
          "--------------------\n"
          "   3 |     COPY x y\n"
          "   4 | >>> CMD x \\\n"
          "   5 | >>>   y\n"
          "   6 |     USER 1\n"
          "--------------------\n");
    CHECK(lint_summary(warnings) ==
          "1 warning found (use --check to see where):\n"
          " - JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended "
          "behavior related to OS signals (line 4)\n");
    CHECK(lint_summary({}).empty());
    CHECK(lint_error(linted("FROM a as B\nMAINTAINER me\nMAINTAINER me\n").warnings) ==
          "lint violation found for rules: FromAsCasing, MaintainerDeprecated, StageNameCasing");
    CHECK(excerpt("a\nb\nc\nd\ne\n", "F", 1, 1) == "F:1\n--------------------\n"
                                                   "   1 | >>> a\n   2 |     b\n   3 |     c\n"
                                                   "--------------------\n");
    CHECK(excerpt("a\x1b[2J\n", "F", 1, 9) ==
          "F:1\n--------------------\n   1 | >>> a\\x1b[2J\n   2 | >>>\n--------------------\n");
}

TEST_CASE("a file is checked in a time that grows as its text") {
    const struct {
        const char* what;
        std::string_view piece;
    } cases[] = {
        {"variables", "ENV a#=b#\n"},
        {"variables that are not there", "USER $a#\n"},
        {"both", "ENV a#=$b#\n"},
        {"arguments", "ARG a#=$b#\n"},
        {"stages", "FROM s AS t#\nENV a#=b\n"},
        {"copies", "COPY $a# b# /\n"},
        {"mounts", "RUN --mount=type=cache,target=/a# x\n"},
        {"ports", "EXPOSE #:80/TCP\n"},
    };
    for (const auto& [what, piece] : cases) {
        CAPTURE(what);
        const auto file = [&](size_t n) {
            return parse_dockerfile("FROM scratch AS s\n" + linear::repeated(piece, n),
                                    "Dockerfile");
        };
        CHECK(linear::problem(100, file, [](const Dockerfile& each) {
                  lint(each, {.build_args = {}, .platform = "linux/amd64", .image = {}});
              }) == "");
    }
    const auto globals = [](size_t n) {
        return parse_dockerfile(linear::repeated("ARG a#=$b\n", n) + "FROM $c\n", "Dockerfile");
    };
    CHECK(linear::problem(100, globals, [](const Dockerfile& each) {
              lint(each, {.build_args = {}, .platform = "linux/amd64", .image = {}});
          }) == "");
}
