// Programs the bundle wants run at the steps of a container's life.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "spec/runtime.h"
#include "spec/state.h"

// What a hook finds around it, where the spec says nothing: what runc's find, on which hooks rely.
struct HookSurroundings {
    std::string directory;  // it runs there, if it exists; "": where we are
    const std::vector<std::string>* environment =
        nullptr;    // if the config gives it none; nullptr: ours
    int init = -1;  // a pidfd: its end is the hook's, too
};

// Runs them in order with the state on stdin. Throws Error if one fails or does not end in its
// time: `error running createRuntime hook #0: exit status 1, stdout: , stderr: …`.
void run_hooks(std::string_view kind, const std::vector<spec::Hook>& hooks,
               const spec::State& state, const HookSurroundings& surroundings);
// Those of the runtime's side, in the bundle.
void run_hooks(std::string_view kind, const std::vector<spec::Hook>& hooks,
               const spec::State& state);
// One that fails is a warning, and does not keep the others from running.
void run_poststop_hooks(const std::vector<spec::Hook>& hooks, const spec::State& state);
