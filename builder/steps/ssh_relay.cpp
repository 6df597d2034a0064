// One thread serves all that connect, as it may be many at once and none may keep the others: bytes
// are passed on as they come, and who does not take his answers is closed.
#include "builder/steps/ssh_relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace {

constexpr size_t most_connections = 64;

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        throw Error("the path of a socket is too long: ", quoted(path));
    path.copy(address.sun_path, path.size());
    return address;
}

UniqueFd connect_to(const std::string& path) {
    UniqueFd agent(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    const sockaddr_un address = address_of(path);
    if (::connect(agent.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        throw SysError("connecting to the ssh agent at ", quoted(path));
    return agent;
}

struct Connection {
    UniqueFd client, agent;
};

// False: one of the two has ended, or does not take what it is given.
bool pass(int from, int to) {
    char buffer[16384];
    const ssize_t n = ::recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    return n > 0 && ::send(to, buffer, size_t(n), MSG_DONTWAIT | MSG_NOSIGNAL) == n;
}

}  // namespace

SshRelay::SshRelay(const std::string& path, std::string agent, mode_t mode, uid_t uid, gid_t gid)
    : agent_(std::move(agent)),
      listener_(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")),
      stop_(check(::eventfd(0, EFD_CLOEXEC), "eventfd")) {
    const sockaddr_un address = address_of(path);
    check(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "listening at ", path);
    check(::chmod(path.c_str(), mode), "chmod ", path);
    check(::chown(path.c_str(), uid, gid), "chown ", path);
    check(::listen(listener_.get(), 16), "listening at ", path);
    thread_ = std::thread([this] { serve(); });
}

SshRelay::~SshRelay() {
    const uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    thread_.join();
}

void SshRelay::serve() {
    std::vector<Connection> open;
    for (;;) {
        std::vector<pollfd> wanted = {{stop_.get(), POLLIN, 0}};
        wanted.push_back({listener_.get(), short(open.size() < most_connections ? POLLIN : 0), 0});
        for (const Connection& each : open) {
            wanted.push_back({each.client.get(), POLLIN, 0});
            wanted.push_back({each.agent.get(), POLLIN, 0});
        }
        if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
        if (wanted[0].revents != 0) return;
        for (size_t i = open.size(); i-- > 0;) {
            const bool asks = wanted[2 + 2 * i].revents != 0,
                       answers = wanted[3 + 2 * i].revents != 0;
            if ((asks && !pass(open[i].client.get(), open[i].agent.get())) ||
                (answers && !pass(open[i].agent.get(), open[i].client.get())))
                open.erase(open.begin() + long(i));
        }
        if (wanted[1].revents == 0) continue;
        UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!client) continue;
        attempt("RUN --mount=type=ssh",
                [&] { open.push_back({std::move(client), connect_to(agent_)}); });
    }
}
