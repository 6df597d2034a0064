// The last steps before a program of the container runs, the same for its first and for any later
// process: environment, working directory, search of the program, descriptors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/root.h"
#include "runtime/process/channel.h"
#include "runtime/process/credentials.h"
#include "runtime/process/procfs.h"
#include "runtime/process/terminal.h"
#include "runtime/seccomp/filter.h"
#include "spec/runtime.h"

// Pure: a name twice keeps its last value; throws Error for an entry that is no NAME=VALUE.
std::vector<std::string> unique_environment(const std::vector<std::string>& env);
// The value of HOME for a user, read from the container's own passwd; "/" if it has none. Throws
// Error if that is no regular file: nothing else is opened.
std::string home_of(const Root& root, const Procfs& procfs, uint32_t uid);
void set_home(std::vector<std::string>& env, const Root& root, const Procfs& procfs, uint32_t uid);

// Makes the directory if it is missing, goes there, and makes sure that it lies inside the root
// (CVE-2024-21626: a path through /proc/self/fd may lead to a directory of the host). try_ answers
// false if the chdir fails.
void make_working_directory(const Root& root, const std::string& cwd);
bool try_change_directory(const std::string& cwd);
void change_directory(const std::string& cwd);

// Opens its terminal in the container's own devpts, whose ptmx is reached by descriptor, and gives
// the master to whoever made us; the slave is the user's. For attach_terminal.
Terminal give_terminal(const spec::Process& process, const Root& root, Channel& channel);
// What the kernel keeps of a process beside its rights and limits.
void set_attributes(const spec::Process& process, const spec::Linux& container);
// Standard descriptors that are the host's null device become the container's own, so that nothing
// of the host's /dev stays open (and CRIU finds where they lead). A container without one keeps the
// host's.
void reopen_null(const Procfs& procfs);
// Pipes among them, and files that it may write to anyway, become the user's, who may then open
// /dev/stdout again. What is only read stays the caller's, as does a terminal. Root of a user
// namespace may not give away what belongs to somebody without a number in there: for those whoever
// enters one calls this outside before, with the number there.
void give_streams_to(uint32_t uid);

// As the user, with the container's PATH; throws runc's words:
// `exec: "x": executable file not found in $PATH`.
std::string find_executable(const spec::Process& process);
// Throws Error if our caller did not give us `count` descriptors from `first` on. What is open
// there may be our own, which is close-on-exec: what came through an exec cannot be.
void require_descriptors(int first, int64_t count);
// Closes all but 0, 1, 2, the preserved (those below `first`), and until the exec those of `but`,
// none of which may be a directory. Before the container's words are resolved as paths, and before
// the seccomp filter, which may forbid it; what is opened later is close-on-exec anyway.
void close_from(int first, const std::vector<int>& but);
// The last change of all: working directory, user, capabilities, no_new_privs, seccomp, in the
// order that suits them, and with them the search of the program, so that it fails where somebody
// still listens. Gives the program's path.
std::string become_program(const spec::Process& process, const CapabilityPlan& capabilities,
                           const std::optional<Filter>& filter, Channel& channel);
[[noreturn]] void execute(const std::string& program, const spec::Process& process);
// Reads a byte like read(2), which may take days: the pages of this program's code and constants
// are given back for it, and come again from its file when they are needed.
long read_without_code(int fd, char* byte);
// Signals and their mask are as if nobody had touched them.
void reset_signals();
