// RUN: a command in a container made of the stage's layers.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/stage.h"

struct RunStep {
    std::vector<std::string> args;           // what is executed
    std::vector<std::string> env;            // config's and ARGs
    std::string network;                     // "host", "none"
    std::string label;                       // for the error: the command as it was written
};
// Runs it; what it wrote is in work/upper afterwards. Its output goes, line by line, to `output`.
// Throws BuildKit's `process "…" did not complete successfully: exit code: N`.
void run_step(const Store& store, const Stage& stage, const RunStep& step, const std::string& work,
              const std::function<void(std::string_view)>& output);
