// The commands of keg-runtime, one file each; main.cpp lists them.
#pragma once

#include "base/command_line.h"

extern const Command create_command, start_command, run_command, exec_command, kill_command,
    delete_command, state_command, list_command, ps_command, pause_command, resume_command,
    update_command, events_command, checkpoint_command, restore_command, spec_command,
    features_command, validate_command;

// More descriptors than that nobody passes.
constexpr int most_preserved = 1 << 20;

// The directory of states: --root, absolute, or /run/keg, or for users below XDG_RUNTIME_DIR.
std::string state_root(const Arguments& globals);
// --rootless: what was said, or nothing for "auto". Throws Error for another word.
std::optional<bool> rootless(const Arguments& globals);
// The number that an option has. Throws Error, with the option and what was typed, for one that is
// not between the two.
int64_t number(const Arguments& args, const char* option, int64_t least, int64_t most);
// --cgroup-manager, or what --systemd-cgroup says; throws Error if there is no such manager.
std::string cgroup_manager(const Arguments& globals);
