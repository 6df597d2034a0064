// The graph -> layers: each step looked up, or made, those that need nothing of each other at once.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "builder/build.h"
#include "builder/graph.h"
#include "builder/report.h"
#include "builder/stack.h"
#include "builder/steps/source_tree.h"
#include "image/store.h"

struct SolveInput {
    const Store& store;
    const BuildOptions& options;
    const Graph& graph;
    std::vector<Image> images;                                    // graph.images
    std::map<std::string, std::shared_ptr<SourceTree>> contexts;  // by their names
    std::string digests;  // the file where what is known of the context's files is kept
    BuildReport& report;
};

struct Solved {
    Stack tree;       // of graph.image
    size_t made = 0;  // steps that were not in the cache
};
// Needs a process without threads, and leaves it so. Throws the first error of a step, with its
// place in the Dockerfile; what else was being made is given up.
Solved solve(const SolveInput& input);
