// Where the runtime hands over a container's terminal: a socket it is told the path of.
#pragma once

#include <string>

#include "base/unique_fd.h"

class ConsoleSocket {
public:
    // Listens there; what is there already is removed. At most 107 bytes (sockaddr_un).
    explicit ConsoleSocket(std::string path);
    ConsoleSocket(const ConsoleSocket&) = delete;
    ConsoleSocket& operator=(const ConsoleSocket&) = delete;
    ~ConsoleSocket();  // and its file
    const std::string& path() const { return path_; }
    // It has been sent by the time the runtime's `create` returns.
    UniqueFd receive() const;

private:
    std::string path_;
    UniqueFd listener_;
};
