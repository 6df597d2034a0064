// Four things are waited for at once: signals, both directions of the terminal, the container's
// word that it is ready. Each of them is at somebody else's pace (a program that does not read, a
// pager that does not go on, a terminal stopped by ^S), so none is waited for alone: nothing here
// blocks but poll(2).
#include "runtime/start/foreground.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <span>

#include "base/error.h"
#include "base/sys.h"
#include "runtime/process/terminal.h"

Foreground::Foreground(bool active) {
    if (!active) return;
    sigset_t all;
    ::sigfillset(&all);
    // Those that tell of our own mistakes, and of the terminal's job control, stay what they are.
    for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTTIN, SIGTTOU})
        ::sigdelset(&all, number);
    check(::sigprocmask(SIG_BLOCK, &all, nullptr), "blocking signals");
    signals_ = UniqueFd(check(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

namespace {

// A stream of ours through a description of our own that never blocks. poll(2) promises room for a
// byte, not for all that we have; and O_NONBLOCK on the caller's description would be set for
// everybody who shares it, the shell of a terminal first. So terminals and pipes are opened once
// more. Files need no such thing, sockets have a flag for it, and what cannot be opened again
// (another user's terminal) is used as it is.
class Stream {
public:
    Stream(int shared, int access) : fd_(shared) {
        struct stat info{};
        if (::fstat(shared, &info) < 0) return;
        is_socket_ = S_ISSOCK(info.st_mode);
        if (!S_ISFIFO(info.st_mode) && !::isatty(shared)) return;
        own_ = UniqueFd(
            ::open(sys::proc_fd(shared).c_str(), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        if (own_) fd_ = own_.get();
    }
    // A terminal's master, whose description nobody shares.
    explicit Stream(int master) : fd_(master) {
        if (master >= 0)
            check(::fcntl(master, F_SETFL, ::fcntl(master, F_GETFL) | O_NONBLOCK),
                  "fcntl of the terminal");
    }
    int fd() const { return fd_; }
    ssize_t read(std::span<char> into) const {
        return is_socket_ ? ::recv(fd_, into.data(), into.size(), MSG_DONTWAIT)
                          : ::read(fd_, into.data(), into.size());
    }
    ssize_t write(std::string_view data) const {
        return is_socket_ ? ::send(fd_, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                          : ::write(fd_, data.data(), data.size());
    }

private:
    int fd_;
    bool is_socket_ = false;
    UniqueFd own_;
};

// One direction of a terminal. What a slow reader has not taken waits here, so that neither a
// signal nor the other direction has to.
class Relay {
public:
    Relay(Stream from, Stream to) : from_(std::move(from)), to_(std::move(to)) {}
    pollfd watched() const {
        return over_           ? pollfd{-1, 0, 0}
               : rest_.empty() ? pollfd{from_.fd(), POLLIN, 0}
                               : pollfd{to_.fd(), POLLOUT, 0};
    }
    // One step of what was waited for.
    void step() {
        const ssize_t done = rest_.empty() ? from_.read(buffer_) : to_.write(rest_);
        if (done < 0 && (errno == EINTR || errno == EAGAIN)) return;
        if (done <= 0)
            over_ = true;  // nothing comes, or nobody reads, any more
        else if (rest_.empty())
            rest_ = {buffer_, size_t(done)};
        else
            rest_.remove_prefix(size_t(done));
    }
    bool has_rest() const { return !rest_.empty(); }
    bool is_over() const { return over_; }
    void end() { over_ = true; }

private:
    Stream from_, to_;
    char buffer_[4096];  // no more than a pipe takes at once
    std::string_view rest_;
    bool over_ = false;
};

bool asks_to_end(uint32_t number) {
    return number == SIGHUP || number == SIGINT || number == SIGQUIT || number == SIGTERM;
}

// The child's end, if it came; orphans that were left to us are reaped on the way.
std::optional<ExitStatus> reap(pid_t wanted) {
    std::optional<ExitStatus> end;
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG | __WALL)) > 0;)
        if (pid == wanted)
            end = WIFSIGNALED(status) ? ExitStatus{0, WTERMSIG(status)}
                                      : ExitStatus{WEXITSTATUS(status), 0};
    return end;
}

}  // namespace

ExitStatus Foreground::wait(Child& child, UniqueFd console, NotifySocket* notify) {
    std::optional<RawMode> raw;
    UniqueFd terminal, slave;
    if (console) {
        terminal = callers_terminal();
        if (::isatty(0)) raw.emplace(0);
        // As long as one is open the master does not take a container that has closed all of its
        // own for gone.
        slave = UniqueFd(::ioctl(console.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    }
    Relay in(Stream(0, O_RDONLY), Stream(console.get())),
        out(Stream(console.get()), Stream(1, O_WRONLY));
    if (!console) in.end(), out.end();
    int ready = notify ? notify->fd() : -1;
    std::optional<ExitStatus> end = reap(child.pid());
    for (bool given_up = false; !given_up;) {
        // After its end only what it wrote last is waited for: what is in the terminal still, and
        // whoever shall read it.
        if (end) in.end(), slave.reset(), ready = -1;
        if (end && out.is_over()) break;
        pollfd watched[4] = {
            {signals_.get(), POLLIN, 0}, in.watched(), out.watched(), {ready, POLLIN, 0}};
        const int found = ::poll(watched, 4, end && !out.has_rest() ? 0 : -1);
        if (found < 0 && errno == EINTR) continue;
        check(found, "poll");
        if (found == 0) break;
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == ssize_t(sizeof info)) {
            if (info.ssi_signo == SIGCHLD)
                end = end ? end : reap(child.pid());
            else if (info.ssi_signo == SIGWINCH)
                copy_window_size(terminal.get(),
                                 console.get());  // of our terminal, not of the container
            else if (info.ssi_signo == SIGPIPE && pid_t(info.ssi_pid) == ::getpid())
                continue;  // of a relay, which knows it
            else if (end)
                given_up = given_up || asks_to_end(info.ssi_signo);  // its number is nobody's now
            else
                ::kill(child.pid(), int(info.ssi_signo));
        }
        if (watched[1].revents) in.step();
        if (watched[2].revents) out.step();
        if (out.is_over() && console)
            in.end(), slave.reset(), console.reset();  // nobody reads it: the terminal hangs up
        if (watched[3].revents)
            attempt("passing readiness on", [&] {
                if (notify->pass_on(::getpid())) ready = -1;
            });
    }
    child.release();
    return *end;
}
