// The command's side while its container runs: signals go to the container, the terminal is raw.
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/monitor.h"

RawTerminal::RawTerminal() {
    if (::tcgetattr(0, &before_) < 0) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    active_ = ::tcsetattr(0, TCSANOW, &raw) == 0;
}

RawTerminal::~RawTerminal() {
    if (active_) ::tcsetattr(0, TCSANOW, &before_);
}

static constexpr int passed_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};

sigset_t signals_to_pass() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : passed_signals) ::sigaddset(&set, signal);
    return set;
}

int Monitored::wait(bool pass_signals) {
    sigset_t passed = signals_to_pass();
    if (!pass_signals) {
        ::sigprocmask(SIG_UNBLOCK, &passed, nullptr);
        ::sigemptyset(&passed);
        ::sigaddset(&passed, SIGWINCH);
    }
    ::sigprocmask(SIG_BLOCK, &passed, nullptr);
    const UniqueFd signals(check(::signalfd(-1, &passed, SFD_CLOEXEC), "signalfd"));
    for (;;) {
        pollfd fds[] = {{channel_.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
        if (::poll(fds, 2, -1) < 0 && errno != EINTR) throw SysError("poll");
        if (fds[1].revents) {
            signalfd_siginfo info{};
            if (::read(signals.get(), &info, sizeof info) != sizeof info) continue;
            std::string message = str("signal ", info.ssi_signo);
            winsize size{};
            if (info.ssi_signo == SIGWINCH) {
                if (!terminal_ || ::ioctl(0, TIOCGWINSZ, &size) < 0) continue;
                message = str("size ", size.ws_row, " ", size.ws_col);
            }
            (void)!::send(channel_.get(), message.data(), message.size(), MSG_NOSIGNAL);
        }
        if (!fds[0].revents) continue;
        char buffer[256];
        const ssize_t n = ::recv(channel_.get(), buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        const std::string_view message(buffer, n > 0 ? size_t(n) : 0);
        if (message.starts_with("exit ")) return parse_number<int>(message.substr(5)).value_or(255);
        if (message == "detached") return 0;
        if (message.empty()) throw Error("the container's monitor died").exit_with(125);
    }
}
