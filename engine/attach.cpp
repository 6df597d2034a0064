// The command's side while its container starts and runs: signals go to the container, the terminal
// is raw.
//
// What is hard: a terminal belongs to the job in its foreground, and the monitor is in no job. It
// would read what is typed to the shell after `keg run -i … &` or ^Z. So a terminal is read here,
// and what was typed goes on by a pipe; a pipe or a file the monitor reads itself, with no copy
// more.
#include <fcntl.h>
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

void Impatience::heed(int signal) {
    if ((signal == SIGINT || signal == SIGTERM) && ++times_ == 3)
        throw Error("got 3 SIGTERM/SIGINTs, forcefully exiting").exit_with(1);
}

static constexpr int passed_signals[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
                                         SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};

sigset_t signals_to_pass() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : passed_signals) ::sigaddset(&set, signal);
    return set;
}

MonitoredStart::MonitoredStart(const MonitorOptions& options)
    : options_(options), channel_(sys::socketpair(SOCK_SEQPACKET)) {
    if (options_.attach && ::ioctl(1, TIOCGWINSZ, &size_) < 0 && ::ioctl(0, TIOCGWINSZ, &size_) < 0)
        size_ = {};
    if (options_.attach_input && ::isatty(0)) keys_ = sys::pipe();
    const sigset_t passed = signals_to_pass();
    ::sigprocmask(options_.attach ? SIG_BLOCK : SIG_UNBLOCK, &passed, &before_);
}

UniqueFd MonitoredStart::become_monitor() {
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    channel_.a.reset();
    keys_.write.reset();
    if (keys_.read) check(::dup2(keys_.read.get(), 0), "taking the input");
    keys_.read.reset();
    return std::move(channel_.b);
}

// What ends a command that waits. The others stay pending until the container runs.
static constexpr int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

std::string MonitoredStart::first_word(const UniqueFd& signals) const {
    for (bool interrupted = false;;) {
        pollfd fds[] = {{channel_.a.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
        if (::poll(fds, 2, -1) < 0 && errno != EINTR) throw SysError("poll");
        if (signalfd_siginfo info{};
            fds[1].revents && ::read(signals.get(), &info, sizeof info) == sizeof info) {
            if (std::exchange(interrupted, true))
                throw Error("interrupted").exit_with(128 + int(info.ssi_signo));
            const std::string message = str("signal ", info.ssi_signo);
            (void)!::send(channel_.a.get(), message.data(), message.size(), MSG_NOSIGNAL);
        }
        if (!fds[0].revents) continue;
        std::string message(65536, '\0');
        const ssize_t n = ::recv(channel_.a.get(), message.data(), message.size(), 0);
        if (n < 0 && errno == EINTR) continue;
        message.resize(n > 0 ? size_t(n) : 0);
        return message;
    }
}

Monitored MonitoredStart::become_caller() {
    channel_.b.reset();
    keys_.read.reset();
    Monitored monitored;
    if (options_.raw_terminal)
        monitored.terminal_ = std::make_unique<RawTerminal>();  // before the first output
    UniqueFd signals;
    if (options_.attach) {
        sigset_t ending;
        ::sigemptyset(&ending);
        for (const int signal : ending_signals) ::sigaddset(&ending, signal);
        signals.reset(check(::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
    }
    const std::string message = first_word(signals);
    monitored.channel_ = std::move(channel_.a);
    monitored.keys_ = std::move(keys_.write);
    if (monitored.keys_) ::fcntl(monitored.keys_.get(), F_SETFL, O_NONBLOCK);
    if (message == "started") return monitored;
    const std::vector<std::string> words = split(message, ' ');
    if (words.size() < 3 || words[0] != "failed")
        throw Error("the container's monitor died before the container ran").exit_with(125);
    throw Error(message.substr(words[0].size() + words[1].size() + 2))
        .exit_with(parse_number<int>(words[1]).value_or(125));
}

void Monitored::pass_signal() {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
    impatience_.heed(int(info.ssi_signo));
    std::string message = str("signal ", info.ssi_signo);
    winsize size{};
    if (info.ssi_signo == SIGWINCH) {
        if (!terminal_ || ::ioctl(0, TIOCGWINSZ, &size) < 0) return;
        message = str("size ", size.ws_row, " ", size.ws_col);
    }
    (void)!::send(channel_.get(), message.data(), message.size(), MSG_NOSIGNAL);
}

// Read here, and not by the monitor: job control stops this process, not that one, when the
// terminal is not its own.
void Monitored::pass_keys() {
    if (pending_keys_.empty()) {
        char buffer[4096];
        const ssize_t n = ::read(0, buffer, sizeof buffer);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
        if (n <= 0) return keys_.reset();  // ^D
        pending_keys_.assign(buffer, size_t(n));
    }
    const ssize_t n = ::write(keys_.get(), pending_keys_.data(), pending_keys_.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n < 0) return keys_.reset();  // nobody reads it any more
    pending_keys_.erase(0, size_t(n));
}

int Monitored::wait(bool pass_signals) {
    sigset_t passed = signals_to_pass();
    if (!pass_signals) {
        ::sigprocmask(SIG_UNBLOCK, &passed, nullptr);
        ::sigemptyset(&passed);
        ::sigaddset(&passed, SIGWINCH);
    }
    ::sigprocmask(SIG_BLOCK, &passed, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    signals_.reset(check(::signalfd(-1, &passed, SFD_CLOEXEC), "signalfd"));
    for (;;) {
        const bool full = !pending_keys_.empty();
        pollfd fds[] = {{channel_.get(), POLLIN, 0},
                        {signals_.get(), POLLIN, 0},
                        {!keys_ ? -1
                         : full ? keys_.get()
                                : 0,
                         short(full ? POLLOUT : POLLIN), 0}};
        if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR) throw SysError("poll");
        if (fds[1].revents) pass_signal();
        if (fds[2].revents) pass_keys();
        if (!fds[0].revents) continue;
        char buffer[256];
        const ssize_t n = ::recv(channel_.get(), buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        const std::string_view message(buffer, n > 0 ? size_t(n) : 0);
        if (message.starts_with("exit ")) return parse_number<int>(message.substr(5)).value_or(255);
        if (message == "detached") return 0;
        if (message == "broken")
            throw Error("writing the container's output: ", errno_text(EPIPE)).exit_with(1);
        if (message.empty()) throw Error("the container's monitor died").exit_with(125);
    }
}
