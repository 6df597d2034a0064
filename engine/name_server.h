// The names of a user's network: a resolver at 127.0.0.11 in the container's own network namespace,
// served by its monitor. It knows the containers that run in the same networks, by their names,
// aliases and short IDs, and asks the host's resolvers for the rest.
#pragma once

#include <poll.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "container/network.h"

inline constexpr const char* name_server_address = "127.0.0.11";

struct NameServerOptions {
    std::vector<std::string> networks;   // directories of network_directory()
    std::vector<std::string> upstreams;  // addresses to ask for what we do not know, in their order
};

class NameServer {
public:
    // netns: a descriptor of the container's network namespace.
    NameServer(int netns, NameServerOptions options);

    // For whoever has a loop: what to poll for, how long at most, and then work(), which waits for
    // nothing.
    void add_polls(std::vector<pollfd>& polls) const;
    int milliseconds() const;  // -1: nothing is due
    void work();

private:
    using Clock = std::chrono::steady_clock;
    struct Asked {
        UniqueFd upstream;
        std::string question, client;  // the message, and who sent it
        size_t next = 0;               // of the upstreams, if this one does not answer
        Clock::time_point due;
    };
    void hear();
    std::string answer_to(std::string_view message, bool& ask_others) const;
    void ask(Asked asked);
    bool pass_answer(Asked& asked);
    void reply(const std::string& client, std::string_view message) const;

    NameServerOptions options_;
    UniqueFd socket_;
    std::vector<Asked> asked_;
};
