// The statements of a Dockerfile -> the graph of what has to be done: stages, arguments, triggers,
// all words expanded. Pure: what it needs to know of images is given to it, and what it lacks it
// names.
#pragma once

#include <map>
#include <set>
#include <string>

#include "builder/build.h"
#include "builder/graph.h"
#include "builder/language/dockerfile.h"

struct PlanFacts {
    std::string file_name;                           // as errors show it
    std::string platform;                            // what is built for: "linux/amd64"
    std::map<ImageWish, spec::ImageConfig> images;   // what is known of those that are named
    std::map<std::string, std::string> environment;  // of --build-arg NAME, and SOURCE_DATE_EPOCH
};

struct BuildPlan {
    Graph graph;
    // Images, and where they are named first: with them it must be planned again. Until then the
    // graph is not complete.
    std::map<ImageWish, std::string> missing;
    std::set<std::string> used_args;
};

// Throws Error "Dockerfile:3: …" for what cannot be built, also of a stage that nobody needs.
BuildPlan make_plan(const Dockerfile& file, const BuildOptions& options, const PlanFacts& facts);

// The arguments that need no ARG: proxies.
bool is_predefined(std::string_view name);
