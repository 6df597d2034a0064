// Signals by number or name, as `kill` takes them.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

// "9", "KILL", "SIGKILL", "sigkill", "RTMIN+3"; throws Error `unknown signal "X"`.
int parse_signal(std::string_view text);
// "killed", "bad system call": as runc tells how a process ended.
std::string signal_text(int number);

// From here on HUP, INT, QUIT and TERM arrive only where we wait for others, in wait_readable(),
// and there as an exception: so whoever ends a command that makes a container finds nothing left of
// it. (One that was ignored stays so.) What comes when the last wait is over is not heard: the
// command has done its work.
void heed_signals_while_waiting();
// For a child, whose signals are its own affair.
void forget_signals_while_waiting();
bool heeds_signals_while_waiting();
// The index of the first of them that can be read, or has hung up; -1 after so many milliseconds
// (-1: wait for ever). Throws Error "interrupted: terminated", with a shell's exit code for it, if
// such a signal comes.
int wait_readable(std::initializer_list<int> fds, int milliseconds = -1);

// To each process that `members` tells, and to nobody who has got its number since: it is opened
// first, and then members() must still tell it. Who has ended is passed over.
void signal_members(const std::function<std::vector<int>()>& members, int number);
