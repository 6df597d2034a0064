// The same as for the command that started it (attach.cpp), but all that flows goes through the
// socket: this process alone reads and writes its descriptors, so that it may be stopped or killed
// without harm. It waits in one place only, so that signals and the keys that leave are always
// heard, whoever reads its output.
#include "engine/attach_later.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/attachers.h"
#include "engine/caller.h"
#include "engine/detach_keys.h"
#include "engine/monitor.h"

namespace {

UniqueFd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    UniqueFd socket(check(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket"));
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
        throw Error("cannot attach: the container's monitor does not answer: ", errno_text(errno));
    return socket;
}

class Attached {
public:
    Attached(UniqueFd channel, const AttachOptions& options, bool terminal)
        : channel_(std::move(channel)), output_({}, true, true), keys_(options.detach_keys),
          input_(options.input), keyed_(terminal && ::isatty(0)),
          passes_signals_(options.pass_signals) {
        if (keyed_ && input_) raw_.emplace();
        sigset_t passed = signals_to_pass();
        if (!passes_signals_) ::sigemptyset(&passed), ::sigaddset(&passed, SIGWINCH);
        ::sigprocmask(SIG_BLOCK, &passed, nullptr);
        ::signal(SIGPIPE, SIG_IGN);
        signals_.reset(check(::signalfd(-1, &passed, SFD_CLOEXEC), "signalfd"));
        if (terminal) say_size();
    }

    int run() {
        for (;;) {
            const bool behind = output_.is_behind(), full = !packet_.empty();
            pollfd fds[] = {
                {channel_.get(), short((behind ? 0 : POLLIN) | (full ? POLLOUT : 0)), 0},
                {signals_.get(), POLLIN, 0},
                {input_ && !full ? 0 : -1, POLLIN, 0},
                {output_.is_behind(false) ? 1 : -1, POLLOUT, 0},
                {output_.is_behind(true) ? 2 : -1, POLLOUT, 0}};
            if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR) throw SysError("poll");
            if (fds[1].revents) pass_signal();
            if (fds[2].revents && !read_input()) return 0;
            if (fds[0].revents & POLLOUT) send_packet();
            output_.catch_up();
            if (output_.is_broken())
                throw Error("writing the container's output: ", errno_text(EPIPE)).exit_with(1);
            if (!behind && fds[0].revents & ~POLLOUT)
                if (const auto code = hear()) return *code;
        }
    }

private:
    void say(const std::string& packet) const {
        (void)!::send(channel_.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
    }
    void say_size() const {
        winsize size{};
        if (::ioctl(0, TIOCGWINSZ, &size) == 0 && size.ws_row)
            say(str("w", size.ws_row, " ", size.ws_col));
    }
    void pass_signal() {
        signalfd_siginfo info{};
        if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
        if (info.ssi_signo == SIGWINCH) return say_size();
        impatience_.heed(int(info.ssi_signo));
        say(str("s", info.ssi_signo));
    }
    // False: the user leaves.
    bool read_input() {
        char buffer[16384];
        const ssize_t n = ::read(0, buffer, sizeof buffer);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
        if (n <= 0) {
            input_ = false, packet_ = "e";
        } else if (const auto passed = keyed_ ? keys_.pass({buffer, size_t(n)})
                                              : std::optional(std::string(buffer, size_t(n)))) {
            if (!passed->empty()) packet_ = "i" + *passed;
        } else {
            return false;
        }
        return true;
    }
    void send_packet() {
        const ssize_t n =
            ::send(channel_.get(), packet_.data(), packet_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0 || (errno != EAGAIN && errno != EINTR)) packet_.clear();
    }
    // The exit code, when all is written that came before it.
    std::optional<int> hear() {
        std::string packet(65536, '\0');
        const ssize_t n = ::recv(channel_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) return {};
        if (n <= 0) throw Error("the container's monitor died").exit_with(125);
        packet.resize(size_t(n));
        if (packet[0] == 'x') return parse_number<int>(packet.substr(1)).value_or(255);
        if (packet[0] == 'o' || packet[0] == 'r')
            output_.write(packet[0] == 'r', std::string_view(packet).substr(1));
        return {};
    }

    UniqueFd channel_, signals_;
    Caller output_;
    DetachKeys keys_;
    Impatience impatience_;
    std::optional<RawTerminal> raw_;
    std::string packet_;  // what the monitor could not take yet
    bool input_, keyed_, passes_signals_;
};

}  // namespace

int attach_later(const Containers& containers, const Container& container,
                 const AttachOptions& options) {
    const std::string status = container.state().status;
    if (status == "paused")
        throw Error("You cannot attach to a paused container, unpause it first");
    if (status == "restarting")
        throw Error("You cannot attach to a restarting container, wait until it is running");
    if (status != "running")
        throw Error("You cannot attach to a stopped container, start it first");
    AttachOptions chosen = options;
    chosen.input = options.input && container.settings().open_stdin;
    return Attached(connect_to(attach_socket(containers.store_root(), container.id())), chosen,
                    container.settings().tty)
        .run();
}
