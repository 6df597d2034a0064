// Proves what is told of a Dockerfile before it is built.
#include "builder/language/outline.h"

#include "base/error.h"
#include "tests/unit/catch.h"

static const char* const text = "# GO is the compiler's version\n"
                                "ARG GO=1.22\n"
                                "ARG unused=x\n"
                                "ARG os\n"
                                "# base is what all need\n"
                                "FROM golang:$GO AS base\n"
                                "# tags are what is built in\n"
                                "ARG tags\n"
                                "RUN --mount=type=secret,id=token,required true\n"
                                "FROM base AS other\n"
                                "ARG of_other\n"
                                "FROM scratch AS Release\n"
                                "ARG GO\n"
                                "ARG name=app-$GO\n"
                                "COPY --from=0 /a /a\n"
                                "RUN --mount=type=ssh --mount=type=secret,target=/t/$name true\n";

TEST_CASE("a file's targets are told with what they are for") {
    const auto targets = outline_targets(parse_dockerfile(text, "Dockerfile"));
    REQUIRE(targets.size() == 3);
    CHECK(targets[0].name == "base");
    CHECK(targets[0].description == "is what all need");
    CHECK_FALSE(targets[0].is_default);
    CHECK((targets[2].name == "release" && targets[2].is_default));
}

TEST_CASE("what a target takes is what the stages take that it needs") {
    const Dockerfile file = parse_dockerfile(text, "Dockerfile");
    const Outline release = outline_of(file, "", {{"tags", "net"}});
    CHECK(release.target.name == "release");
    std::string arguments;
    for (const OutlineArgument& each : release.arguments)
        arguments += str(each.name, "=", each.value, " (", each.description, ")\n");
    CHECK(arguments == "GO=1.22 (is the compiler's version)\n"
                       "tags=net (are what is built in)\n"
                       "name=app-1.22 ()\n");
    REQUIRE(release.secrets.size() == 2);
    CHECK((release.secrets[0].id == "token" && release.secrets[0].required));
    CHECK((release.secrets[1].id == "app-1.22" && !release.secrets[1].required));
    REQUIRE(release.agents.size() == 1);
    CHECK(release.agents[0].id == "default");

    CHECK(outline_of(file, "OTHER", {}).arguments.size() == 3);
    CHECK_THROWS_WITH(outline_of(file, "none", {}), "target stage \"none\" could not be found");
}
