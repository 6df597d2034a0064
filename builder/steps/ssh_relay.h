// A socket for a RUN whose other end is an ssh agent of the host's: with the owner and mode that
// the Dockerfile asks for, whoever owns the agent's.
#pragma once

#include <sys/types.h>

#include <string>
#include <thread>

#include "base/unique_fd.h"

class SshRelay {
public:
    // Listens at `path`, which must be short (sockaddr_un); `agent` is asked when somebody
    // connects.
    SshRelay(const std::string& path, std::string agent, mode_t mode, uid_t uid, gid_t gid);
    SshRelay(const SshRelay&) = delete;
    SshRelay& operator=(const SshRelay&) = delete;
    ~SshRelay();

private:
    void serve();
    std::string agent_;
    UniqueFd listener_, stop_;
    std::thread thread_;
};
