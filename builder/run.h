// RUN: a command in a container made of the stage's layers.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/build_network.h"
#include "builder/stage.h"

struct RunStep {
    std::vector<std::string> args;     // what is executed
    std::vector<std::string> env;      // config's and ARGs
    std::vector<std::string> proxies;  // NAME=VALUE, for the command and nothing else: no part of
                                       // the image or of the key
    std::string network;               // "default", "host", "none"
    std::string seccomp;               // as in BuildOptions
    std::string label;                 // for the error: the command as it was written
};
// Runs it in `work`, a Workplace's; what it wrote is in work/upper afterwards. Its output goes,
// line by line, to `output`. Throws BuildKit's `process "…" did not complete successfully: exit
// code: N`.
void run_step(const Store& store, const Stage& stage, const RunStep& step, const std::string& work,
              BuildNetwork& network, const std::function<void(std::string_view)>& output);
