// The readiness protocol of service managers (sd_notify), passed through a wall: the container gets
// a socket of its own at /run/notify/notify.sock, and who starts it passes READY=1 on to the
// manager's NOTIFY_SOCKET, with the pid to watch.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "runtime/state/container.h"
#include "spec/runtime.h"

constexpr const char* notify_directory_inside = "/run/notify";

// Whether we have a NOTIFY_SOCKET.
bool has_manager_socket();
// Mount and environment for a container whose creator has one.
void add_notify_socket(spec::Config& config, const std::string& state_directory);
void make_notify_directory(const std::string& state_directory);

class NotifySocket {
public:
    // Before the start, so that no word is lost; nothing without NOTIFY_SOCKET, or if create had
    // none.
    static std::optional<NotifySocket> listen(const std::string& state_directory);
    int fd() const { return socket_.get(); }
    // Reads one message; passes it on and gives true if it says READY. main: the process to watch
    // from then on, which is the container's init, or we, if we wait for it in the foreground.
    bool pass_on(int main);
    // Until READY, or until init ended; then until the manager took it in.
    void wait_ready(int init, int pidfd);

private:
    NotifySocket(UniqueFd socket, std::string manager)
        : socket_(std::move(socket)), manager_(std::move(manager)) {}
    UniqueFd socket_;
    std::string manager_;
};

// Container::start; with a service manager it also waits until the container is ready.
void start_and_notify(Container& container);
