// Programs the bundle wants run at the steps of a container's life.
#pragma once

#include <string_view>
#include <vector>

#include "spec/runtime.h"
#include "spec/state.h"

// A hook of the runtime's side runs in the bundle and, if the config gives it no environment, has the
// runtime's; one of the container's side gets nothing of the host's.
enum class HookSide { runtime, container };

// Runs them in order with the state on stdin. Throws Error if one fails or does not end in its time:
// `error running createRuntime hook #0: exit status 1, stdout: , stderr: …`.
void run_hooks(std::string_view kind, const std::vector<spec::Hook>& hooks, const spec::State& state,
               HookSide side = HookSide::runtime);
// One that fails is a warning, and does not keep the others from running.
void run_poststop_hooks(const std::vector<spec::Hook>& hooks, const spec::State& state);
