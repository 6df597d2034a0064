// A process joins a running container: the second sequence, `exec`. See enter.cpp.
#pragma once

#include <string>

#include "base/process.h"
#include "runtime/state/container.h"

struct ExecOptions {
    spec::Process process;
    std::string console_socket, pidfd_socket, pid_file;
    bool detached = false, ignore_paused = false;
    int preserve_fds = 0;
    std::vector<std::string> cgroups;  // "[controller[,controller…]:]path", below the container's
};

struct Entered {
    Child child;
    UniqueFd console;  // the terminal's master, if it is ours to relay
};
// The process runs its program when this returns. config: the container's. Throws runc's words:
// "cannot exec in a stopped container".
Entered enter(const Container& container, const spec::Config& config, const ExecOptions& options);
