#include "runtime/foreground.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "base/error.h"
#include "base/sys.h"
#include "runtime/terminal.h"

Foreground::Foreground(bool active) {
    if (!active) return;
    sigset_t all;
    ::sigfillset(&all);
    // Those that tell of our own mistakes, and of the terminal's job control, stay what they are.
    for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTTIN, SIGTTOU}) ::sigdelset(&all, number);
    check(::sigprocmask(SIG_BLOCK, &all, nullptr), "blocking signals");
    signals_ = UniqueFd(check(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

namespace {

// One direction of a terminal. What a slow reader has not taken waits here, so that no signal has to.
class Relay {
public:
    Relay(int from, int to) : from_(from), to_(to) {}
    pollfd watched() const { return over_ ? pollfd{-1, 0, 0} : rest_.empty() ? pollfd{from_, POLLIN, 0} : pollfd{to_, POLLOUT, 0}; }
    // One step of what was waited for.
    void step() {
        const ssize_t done = rest_.empty() ? ::read(from_, buffer_, sizeof buffer_) : ::write(to_, rest_.data(), rest_.size());
        if (done < 0 && (errno == EINTR || errno == EAGAIN)) return;
        if (done <= 0) over_ = true;   // nothing comes, or nobody reads, any more
        else if (rest_.empty()) rest_ = {buffer_, size_t(done)};
        else rest_.remove_prefix(size_t(done));
    }
    bool has_rest() const { return !rest_.empty(); }
    bool is_over() const { return over_; }
    void end() { over_ = true; }

private:
    int from_, to_;
    char buffer_[4096];                // no more than a pipe takes at once
    std::string_view rest_;
    bool over_ = false;
};

// The child's end, if it came; orphans that were left to us are reaped on the way.
std::optional<ExitStatus> reap(pid_t wanted) {
    std::optional<ExitStatus> end;
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG | __WALL)) > 0;)
        if (pid == wanted)
            end = WIFSIGNALED(status) ? ExitStatus{0, WTERMSIG(status)} : ExitStatus{WEXITSTATUS(status), 0};
    return end;
}

}  // namespace

ExitStatus Foreground::wait(Child& child, UniqueFd console, NotifySocket* notify) {
    std::optional<RawMode> raw;
    UniqueFd terminal, slave;
    if (console) {
        terminal = callers_terminal();
        if (::isatty(0)) raw.emplace(0);
        // As long as one is open the master does not take a container that has closed all of its own for gone.
        slave = UniqueFd(::ioctl(console.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    }
    Relay in(0, console.get()), out(console.get(), 1);
    if (!console) in.end(), out.end();
    int ready = notify ? notify->fd() : -1;
    std::optional<ExitStatus> end = reap(child.pid());
    while (!end) {
        pollfd watched[4] = {{signals_.get(), POLLIN, 0}, in.watched(), out.watched(), {ready, POLLIN, 0}};
        if (::poll(watched, 4, -1) < 0) {
            if (errno == EINTR) continue;
            throw SysError("poll");
        }
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == ssize_t(sizeof info)) {
            if (info.ssi_signo == SIGCHLD) end = end ? end : reap(child.pid());
            else if (info.ssi_signo == SIGWINCH) copy_window_size(terminal.get(), console.get());   // of our terminal, not of the container
            else if (info.ssi_signo == SIGPIPE && pid_t(info.ssi_pid) == ::getpid()) continue;      // of a relay, which knows it
            else ::kill(child.pid(), int(info.ssi_signo));
        }
        if (watched[1].revents) in.step();
        if (watched[2].revents) out.step();
        if (out.is_over() && console) in.end(), slave.reset(), console.reset();   // nobody reads it: the terminal hangs up
        if (watched[3].revents) attempt("passing readiness on", [&] { if (notify->pass_on(::getpid())) ready = -1; });
    }
    // What it wrote last may still be in the terminal.
    slave.reset();
    while (!out.is_over()) {
        pollfd rest = out.watched();
        if (::poll(&rest, 1, out.has_rest() ? -1 : 0) == 0) break;
        out.step();
    }
    child.release();
    return *end;
}
