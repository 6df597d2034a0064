// Signals by number or name, as `kill` takes them.
#pragma once

#include <string>
#include <string_view>

// "9", "KILL", "SIGKILL", "sigkill", "RTMIN+3"; throws Error `unknown signal "X"`.
int parse_signal(std::string_view text);
// "killed", "bad system call": as runc tells how a process ended.
std::string signal_text(int number);
