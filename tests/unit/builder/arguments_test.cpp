// Proves what the arguments of single instructions are, and that a mistake in them is told before
// anything is built, in BuildKit's words.
#include "builder/language/arguments.h"

#include "base/error.h"
#include "builder/language/instructions.h"
#include "tests/unit/catch.h"

static Statement statement_of(const std::string& text) {
    return parse_dockerfile(text, "Dockerfile").statements.at(0);
}

TEST_CASE("an argument has a default or none") {
    const auto arguments = named_arguments(statement_of("ARG a b=c d=\"e f\" g="), '\\');
    REQUIRE(arguments.size() == 4);
    CHECK((arguments[0].name == "a" && !arguments[0].value));
    CHECK((arguments[1].name == "b" && arguments[1].value == "c"));
    CHECK(arguments[2].value == "\"e f\"");
    CHECK(arguments[3].value == "");
}

TEST_CASE("a base has a name for its stage or none") {
    CHECK(from_arguments(statement_of("FROM --platform=a b")).base == "b");
    const FromArguments named = from_arguments(statement_of("FROM $a aS Build-1.2_x"));
    CHECK((named.base == "$a" && named.as == "aS" && named.stage == "Build-1.2_x"));
}

TEST_CASE("a health check has a command of either form, and intervals") {
    const spec::HealthCheck shell =
        health_check(statement_of("HEALTHCHECK --interval=1m --retries=3 cmd test -e /x"));
    CHECK(shell.test == std::vector<std::string>{"CMD-SHELL", "test -e /x"});
    CHECK(shell.interval == 60'000'000'000);
    CHECK(shell.retries == 3);
    CHECK(shell.timeout == 0);
    CHECK(health_check(statement_of("HEALTHCHECK CMD [\"a\", \"b c\"]")).test ==
          std::vector<std::string>{"CMD", "a", "b c"});
    CHECK(health_check(statement_of("HEALTHCHECK NONE")).test == std::vector<std::string>{"NONE"});
}

TEST_CASE("an instruction's mistakes are told before anything is built") {
    const struct {
        const char *text, *says;
    } cases[] = {
        {"ENV PATH", "ENV must have two arguments"},
        {"ENV a=b c", "syntax error - can't find = in \"c\". Must be of the form: name=value"},
        {"LABEL =x", "LABEL names can not be blank"},
        {"ARG =x", "ARG names can not be blank"},
        {"ARG --foo a", "unknown flag: --foo for ARG"},
        {"FROM a b", "FROM requires either one or three arguments"},
        {"FROM a of b", "FROM requires either one or three arguments"},
        {"FROM a AS 1b",
         "invalid name for build stage: \"1b\", name can't start with a number or contain symbols"},
        {"COPY a", "COPY requires at least two arguments, but only one was provided. Destination "
                   "could not be determined"},
        {"ADD [\"a\"]", "ADD requires at least two arguments, but only one was provided. "
                        "Destination could not be determined"},
        {"COPY a <<EOF\nEOF", "COPY cannot accept a heredoc as the final argument"},
        {"COPY --from=$x a b",
         "variable expansion is not supported for --from, define a new stage with FROM using ARG "
         "from global scope as a workaround"},
        {"COPY --from a b", "missing a value on flag: --from"},
        {"COPY --chown= --chown=1 a b", "duplicate flag specified: --chown"},
        {"COPY --link= a b", "missing a value on flag: --link"},
        {"COPY --link=yes a b", "expecting boolean value for flag link, not: yes"},
        {"RUN --network=fake a", "invalid network mode \"fake\""},
        {"SHELL /bin/sh -c", "SHELL requires the arguments to be in JSON form"},
        {"SHELL []", "SHELL requires at least one argument"},
        {"VOLUME [\"/a\", \" \"]", "VOLUME specified can not be an empty string"},
        {"ONBUILD onbuild RUN a", "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
        {"ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"},
        {"HEALTHCHECK", "HEALTHCHECK requires at least one argument"},
        {"HEALTHCHECK TCP 80", "unknown type \"TCP\" in HEALTHCHECK (try CMD)"},
        {"HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"},
        {"HEALTHCHECK CMD", "missing command after HEALTHCHECK CMD"},
        {"HEALTHCHECK CMD [\"a\", 1]", "only string type is allowed in JSON format arrays"},
        {"HEALTHCHECK --interval=1us CMD a",
         "invalid --interval: interval \"1us\" must be 0 or at least 1ms"},
        {"HEALTHCHECK --retries=-1 CMD a", "--retries must be at least 0, but is \"-1\""},
    };
    for (const auto& [text, says] : cases) {
        CAPTURE(text);
        CHECK_THROWS_WITH(check_statements(parse_dockerfile(text, "Dockerfile"), "Dockerfile"),
                          std::string("Dockerfile:1: ") + says);
    }
    for (const char* text :
         {"RUN", "CMD", "ENTRYPOINT []", "COPY --link a b", "COPY --link=FALSE a b",
          "ADD <<EOF /x\nEOF", "ENV a b c", "RUN --network=none a"}) {
        CAPTURE(text);
        CHECK_NOTHROW(check_statements(parse_dockerfile(text, "Dockerfile"), "Dockerfile"));
    }
}
