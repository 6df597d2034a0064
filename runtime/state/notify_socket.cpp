// A manager asks who sent a message when it reads it, and a sender that has ended by then is
// nobody. So READY is followed by BARRIER=1 with one end of a pipe, and we stay until the manager
// has closed it, or for 30 seconds. Of what the container says only READY passes; which process to
// watch is ours to say. The path of a state directory may be too long for a socket's name, so the
// socket is bound through its descriptor.
#include "runtime/state/notify_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/sys.h"

namespace {

std::string manager_socket() {
    const char* path = std::getenv("NOTIFY_SOCKET");
    return path ? path : "";
}

// "@name" is a socket without a file.
sockaddr_un address_of(const std::string& path, socklen_t& length) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw Error("socket path too long: ", quoted(path));
    path.copy(address.sun_path, path.size());
    if (path.starts_with('@')) address.sun_path[0] = '\0';
    length = socklen_t(offsetof(sockaddr_un, sun_path) + path.size());
    return address;
}

UniqueFd datagram_socket() {
    return UniqueFd(check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
}

}  // namespace

bool has_manager_socket() { return !manager_socket().empty(); }

void add_notify_socket(spec::Config& config, const std::string& state_directory) {
    config.mounts.push_back({.destination = notify_directory_inside,
                             .type = "bind",
                             .source = state_directory + "/notify",
                             .options = {"bind", "nosuid", "noexec", "nodev", "ro"},
                             .uid_mappings = {},
                             .gid_mappings = {}});
    config.process->env.push_back(str("NOTIFY_SOCKET=", notify_directory_inside, "/notify.sock"));
}

void make_notify_directory(const std::string& state_directory) {
    sys::mkdir(state_directory + "/notify", 0755);
}

std::optional<NotifySocket> NotifySocket::listen(const std::string& state_directory) {
    const std::string manager = manager_socket();
    if (manager.empty()) return {};
    const auto directory = sys::try_open(state_directory + "/notify", O_PATH | O_DIRECTORY);
    if (!directory) return {};
    UniqueFd socket = datagram_socket();
    // By descriptor: a state directory's name may be longer than a socket's may be.
    const std::string path = sys::proc_fd(directory->get()) + "/notify.sock";
    socklen_t length = 0;
    const sockaddr_un address = address_of(path, length);
    check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length),
          "bind of the notify socket");
    check(::chmod(path.c_str(), 0777), "chmod of the notify socket");
    return NotifySocket(std::move(socket), manager);
}

bool NotifySocket::pass_on(int main) {
    char message[4096];
    const ssize_t got = ::recv(socket_.get(), message, sizeof message, 0);
    if (got <= 0) return false;
    for (const std::string& line : split({message, size_t(got)}, '\n')) {
        if (!line.starts_with("READY=")) continue;
        socklen_t length = 0;
        const sockaddr_un address = address_of(manager_, length);
        const UniqueFd out = datagram_socket();
        const std::string text = str(line, "\nMAINPID=", main, "\n");
        check(::sendto(out.get(), text.data(), text.size(), 0,
                       reinterpret_cast<const sockaddr*>(&address), length),
              "telling the service manager of ", line);
        return true;
    }
    return false;
}

void NotifySocket::wait_ready(int init, int pidfd) {
    for (;;) {
        pollfd watched[2] = {{socket_.get(), POLLIN, 0}, {pidfd, POLLIN, 0}};
        if (::poll(watched, 2, -1) < 0 && errno != EINTR) throw SysError("poll");
        if (watched[0].revents && pass_on(init)) break;
        if (!watched[0].revents && watched[1].revents) return;
    }
    // We end now: the manager must have seen who sent that. It closes its end when it has.
    sys::Pipe barrier = sys::pipe();
    const UniqueFd out = datagram_socket();
    socklen_t length = 0;
    const sockaddr_un address = address_of(manager_, length);
    check(::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), length),
          "connecting to the service manager");
    const int fds[] = {barrier.write.get()};
    sys::send_with_fds(out.get(), "BARRIER=1", fds);
    barrier.write.reset();
    pollfd taken{barrier.read.get(), 0, 0};
    if (::poll(&taken, 1, 30'000) == 0)
        log_warning("the service manager did not answer BARRIER=1 in 30 seconds");
}

void start_and_notify(Container& container) {
    auto notify = NotifySocket::listen(container.directory());
    if (!notify) return container.start();
    const int pid = container.record().pid;
    const UniqueFd init = sys::pidfd_open_if_exists(pid);
    container.start();
    // It runs, whoever hears of it.
    attempt("passing readiness on", [&] { notify->wait_ready(pid, init.get()); });
}
