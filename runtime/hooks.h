// Programs the bundle wants run at the steps of a container's life.
#pragma once

#include <string_view>
#include <vector>

#include "spec/runtime.h"
#include "spec/state.h"

// Runs them in order with the state on stdin. Throws Error if one fails or does not end in its time:
// `error running createRuntime hook #0: exit status 1, stdout: , stderr: …`.
void run_hooks(std::string_view kind, const std::vector<spec::Hook>& hooks, const spec::State& state);
