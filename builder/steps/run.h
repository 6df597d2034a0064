// RUN: a command in a container made of a stage's layers.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "builder/graph.h"
#include "builder/steps/run_mounts.h"
#include "image/snapshots.h"

struct RunPlace {
    std::string work;     // an empty directory, of a Workplace
    std::string state;    // the runtime's, for all RUNs of the build
    std::string id;       // of the container
    std::string network;  // a namespace's path, where the command wants the default network
    const BuildOptions& options;
    const RunMounts& mounts;
};

// Runs it; what it wrote is in work/upper afterwards. Its output goes, line by line, to `output`,
// which another thread calls. Throws BuildKit's `process "…" did not complete successfully: exit
// code: N`.
void run_command(const Snapshots& snapshots, Layers below, const RunCommand& command,
                 const RunPlace& place, const std::function<void(std::string_view)>& output);
