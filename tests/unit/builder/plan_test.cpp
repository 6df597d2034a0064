// Proves what a plan holds: the steps that are needed, on what each is made, and what is to be
// found out before there can be one.
#include "builder/plan.h"

#include "builder/language/instructions.h"
#include "image/store.h"
#include "tests/unit/catch.h"

namespace {

PlanFacts facts_with(const std::map<std::string, spec::ImageConfig>& images) {
    PlanFacts facts{
        .file_name = "Dockerfile", .platform = host_platform(), .images = {}, .environment = {}};
    for (const auto& [name, config] : images) facts.images[{name, host_platform()}] = config;
    return facts;
}

BuildPlan plan_of(const std::string& text, const std::map<std::string, spec::ImageConfig>& images,
                  const BuildOptions& options = {}) {
    const Dockerfile file = parse_dockerfile(text, "Dockerfile");
    check_statements(file, "Dockerfile");
    return make_plan(file, options, facts_with(images));
}

const RunCommand& run_of(const BuildPlan& plan, size_t step) {
    return std::get<RunCommand>(plan.graph.steps.at(step).what);
}

}  // namespace

TEST_CASE("a plan names the images that it lacks, all at once, and where they stand") {
    const BuildPlan plan = plan_of("FROM one AS a\nRUN true\nFROM two\nCOPY --from=a /x /\nRUN "
                                   "--mount=from=three,target=/m ls\n",
                                   {});
    REQUIRE(plan.missing.size() == 3);
    CHECK(plan.missing.at({"one", host_platform()}) == "Dockerfile:1");
    CHECK(plan.missing.at({"three", host_platform()}) == "Dockerfile:5");
}

TEST_CASE("what the target does not need is no step, and its images are not asked for") {
    const BuildPlan plan =
        plan_of("FROM nowhere AS unused\nRUN false\nFROM base\nRUN true\n", {{"base", {}}});
    CHECK(plan.missing.empty());
    CHECK(plan.graph.steps.size() == 1);
}

TEST_CASE("an instruction of the config alone is no step, and has its place in the history") {
    const BuildPlan plan = plan_of("FROM base\nENV A=1\nRUN a\nLABEL l=1\nRUN b\n", {{"base", {}}});
    REQUIRE(plan.graph.steps.size() == 2);
    CHECK(plan.graph.steps[1].below.kind == TreeRef::Kind::step);
    const auto& history = plan.graph.image.config.history;
    REQUIRE(history.size() == 4);
    CHECK(history[0].empty_layer);
    CHECK_FALSE(history[1].empty_layer);
    CHECK(history[2].created_by == "LABEL l=1");
}

TEST_CASE("a trigger of a base stands before the first statement, and may need another stage") {
    spec::ImageConfig base;
    base.config.on_build = {"COPY --from=tools /t /t", "RUN /t"};
    const BuildPlan plan = plan_of("FROM other AS tools\nRUN make\nFROM base\nRUN last\n",
                                   {{"base", base}, {"other", {}}});
    REQUIRE(plan.graph.steps.size() == 4);
    CHECK(std::get<CopyFiles>(plan.graph.steps[1].what).from.index == 0);
    CHECK(run_of(plan, 3).args.back() == "last");
    CHECK(plan.graph.image.config.config.on_build.empty());
}

TEST_CASE("arguments of a stage are there in a stage on top of it, and in no other") {
    const BuildPlan plan =
        plan_of("FROM base AS a\nARG X=1\nRUN a\nFROM a AS b\nRUN b\nFROM base\nCOPY "
                "--from=b /x /\nRUN c\n",
                {{"base", {}}});
    const auto has_x = [&](size_t step) {
        const auto& env = run_of(plan, step).env;
        return std::ranges::find(env, "X=1") != env.end();
    };
    CHECK(has_x(0));
    CHECK(has_x(1));
    CHECK_FALSE(has_x(3));
}

TEST_CASE("no time of a step is later than its base image's, unless one is asked for") {
    spec::ImageConfig base;
    base.created = "2020-02-02T02:02:02.5Z";
    CHECK(plan_of("FROM base\nRUN a\n", {{"base", base}}).graph.steps[0].latest == 1580608922);
    CHECK(plan_of("FROM scratch\nCOPY a /\n", {}).graph.steps[0].latest == 315532800);
    base.created = "0001-01-01T00:00:00Z";
    CHECK(plan_of("FROM base\nRUN a\n", {{"base", base}}).graph.steps[0].latest == 315532800);
    BuildOptions options;
    options.build_args["SOURCE_DATE_EPOCH"] = "7";
    const BuildPlan plan = plan_of("FROM base\nRUN a\n", {{"base", base}}, options);
    CHECK(plan.graph.steps[0].latest == 7);
    CHECK(plan.graph.image.config.created == "1970-01-01T00:00:07Z");
}

TEST_CASE("a platform decides what its arguments say, and which image is meant") {
    BuildOptions options;
    const Dockerfile file = parse_dockerfile("FROM --platform=$BUILDPLATFORM base AS tools\nARG "
                                             "TARGETARCH TARGETVARIANT\nRUN a\nFROM base\n"
                                             "COPY --from=tools /x /\n",
                                             "Dockerfile");
    PlanFacts facts = facts_with({{"base", {}}});
    facts.platform = "linux/arm/v7";
    CHECK(make_plan(file, options, facts).missing.contains({"base", "linux/arm/v7"}));
    facts.images[{"base", "linux/arm/v7"}] = {};
    const BuildPlan plan = make_plan(file, options, facts);
    REQUIRE(plan.graph.images.size() == 2);
    CHECK(plan.graph.steps[0].platform == host_platform());
    CHECK(plan.graph.steps[1].platform == "linux/arm/v7");
    const auto& env = run_of(plan, 0).env;
    CHECK(std::ranges::find(env, "TARGETARCH=arm") != env.end());
    CHECK(std::ranges::find(env, "TARGETVARIANT=v7") != env.end());
}

TEST_CASE("a mount has a place, relative to WORKDIR, and what it is from") {
    const BuildPlan plan =
        plan_of("FROM base\nWORKDIR /w\nRUN --mount=target=d --mount=type=secret,id=s,env=S ls\n",
                {{"base", {}}});
    const auto& mounts = run_of(plan, 1).mounts;
    REQUIRE(mounts.size() == 2);
    CHECK(mounts[0].mount.target == "/w/d");
    CHECK(mounts[0].from.kind == TreeRef::Kind::context);
    CHECK(mounts[1].mount.target.empty());
}
