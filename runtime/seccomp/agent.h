// The filter of a process, and the agent that it asks (SCMP_ACT_NOTIFY). The kernel gives the
// agent's descriptor to the process itself, which sends it to create or exec, which passes it on to
// the agent.
#pragma once

#include "runtime/process/channel.h"
#include "runtime/seccomp/filter.h"
#include "spec/state.h"

// By the process: installs the filter; the descriptor, if there is one, goes over the channel.
void install_filter(const Filter& filter, Channel& channel);
// By its creator: waits for the descriptor, and gives it to the agent, which hears of the container
// there. Nothing to do if the filter asks nobody.
void give_to_agent(Channel& channel, const Filter& filter, int pid, const spec::State& container);
