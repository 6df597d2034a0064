// `exec -it`: a process in a running container that talks with the caller's terminal.
#pragma once

#include <string>

#include "engine/monitor.h"
#include "runtime/client.h"

struct ExecSession {
    std::string container_id;
    std::string process_file;  // a Process document; it may go when start_exec_session has returned
    std::string directory;     // for a socket and a pid file; its path is short (sockaddr_un)
    std::string detach_keys;   // "" are the default
};
// Returns when the process runs; throws what kept it from that, with Docker's exit code. No threads
// may be alive.
Monitored start_exec_session(const RuntimeClient& runtime, const ExecSession& session);
