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

// False at the end of what can be read.
bool relay(int from, int to) {
    char buffer[16384];
    const ssize_t length = ::read(from, buffer, sizeof buffer);
    if (length < 0) return errno == EINTR || errno == EAGAIN;
    if (length == 0) return false;
    try {
        sys::write_all(to, {buffer, size_t(length)});
    } catch (const SysError&) {
        return false;  // nobody reads any more
    }
    return true;
}

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
        copy_window_size(terminal.get(), console.get());   // what was restored has another's
        // As long as one is open the master does not take a container that has closed all of its own for gone.
        slave = UniqueFd(::ioctl(console.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    }
    pollfd watched[4] = {{signals_.get(), POLLIN, 0}, {console ? 0 : -1, POLLIN, 0}, {console.get(), POLLIN, 0},
                         {notify ? notify->fd() : -1, POLLIN, 0}};
    std::optional<ExitStatus> end = reap(child.pid());
    while (!end) {
        if (::poll(watched, 4, -1) < 0) {
            if (errno == EINTR) continue;
            throw SysError("poll");
        }
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == ssize_t(sizeof info)) {
            if (info.ssi_signo == SIGCHLD) end = end ? end : reap(child.pid());
            else if (info.ssi_signo == SIGWINCH) copy_window_size(terminal.get(), console.get());   // of our terminal, not of the container
            else if (info.ssi_signo == SIGPIPE && pid_t(info.ssi_pid) == ::getpid()) continue;      // relay() says so, too
            else ::kill(child.pid(), int(info.ssi_signo));
        }
        if (watched[3].revents) attempt("passing readiness on", [&] { if (notify->pass_on(::getpid())) watched[3].fd = -1; });
        if (watched[1].revents && !relay(0, console.get())) watched[1].fd = -1;
        if (watched[2].revents && !relay(console.get(), 1)) {
            watched[1].fd = watched[2].fd = -1;
            slave.reset(), console.reset();   // nobody reads it any more: the terminal hangs up
        }
    }
    // What it wrote last may still be in the terminal.
    slave.reset();
    while (console && watched[2].fd >= 0) {
        pollfd rest{console.get(), POLLIN, 0};
        if (::poll(&rest, 1, 0) <= 0 || !relay(console.get(), 1)) break;
    }
    child.release();
    return *end;
}
