// What is hard is what lies between fork and exec. Another thread may have held the allocator's
// lock, which nobody in the child will free: so all words and paths are made before, and the child
// makes system calls only. A descriptor's wanted number may be that of another which is still to be
// placed: so all are moved above every wanted number before the first is put in its place. Whether
// exec succeeded is known by a pipe that exec closes: a number in it is why it failed.
//
// A program that is fed and read at once (run_program) must be polled: with its output's pipe full
// it reads no more input.
#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>

#include "base/defer.h"
#include "base/log.h"
#include "base/sys.h"

Child& Child::operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(pidfd_, other.pidfd_);
    return *this;
}

Child::~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
    }
}

ExitStatus Child::wait() {
    if (pid_ <= 0) throw Error("there is no child to wait for");
    int status = 0;
    pid_t got;
    do got = ::waitpid(pid_, &status, __WALL);
    while (got < 0 && errno == EINTR);
    check(got, "wait");
    pid_ = -1;
    if (WIFSIGNALED(status)) return {.code = 0, .signal = WTERMSIG(status)};
    return {.code = WEXITSTATUS(status), .signal = 0};
}

void assert_single_threaded() {
    // nlink of the task directory is 2 + the number of threads.
    struct stat info{};
    if (::stat("/proc/self/task", &info) == 0 && info.st_nlink > 3)
        throw Error("a process with several threads cannot be cloned safely");
}

namespace {

// Where execvp would look, decided before the fork so that a thread elsewhere cannot disturb it.
std::vector<std::string> candidates(const std::string& program) {
    if (program.find('/') != std::string::npos) return {program};
    const char* path = ::getenv("PATH");
    std::vector<std::string> out;
    for (const std::string& dir : split(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin", ':'))
        out.push_back((dir.empty() ? "." : dir) + "/" + program);
    return out;
}

}  // namespace

Child after_our_end(const std::function<void()>& body) {
    const pid_t us = ::getpid();
    const UniqueFd lives = sys::pidfd_open(us);
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, &before);
    const Defer restored([&] { ::sigprocmask(SIG_SETMASK, &before, nullptr); });
    return clone_process(
        {},
        [&] {
            ::setsid();
            pollfd ended{lives.get(), POLLIN, 0};
            while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
            }
            // Who has another parent has seen killed what was to die with us: it does nothing more.
            while (::getppid() == us) ::usleep(1000);
            body();
        },
        [](const std::exception& e) { log_warning(e.what()); });
}

Child spawn(const SpawnOptions& options) {
    if (options.argv.empty()) throw Error("no program to run");
    std::vector<char*> argv, env;
    for (const std::string& word : options.argv) argv.push_back(const_cast<char*>(word.c_str()));
    for (const std::string& word : options.env) env.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    env.push_back(nullptr);
    char** environment = options.own_env ? env.data() : environ;
    const std::string& program = options.program.empty() ? options.argv[0] : options.program;
    const std::vector<std::string> paths = candidates(program);
    sys::Pipe failure = sys::pipe();

    // Between fork and exec only async-signal-safe calls: builder and engine have threads.
    int highest = 10;
    for (const auto& [ours, theirs] : options.fds) highest = std::max({highest, ours, theirs});
    std::vector<int> moved(options.fds.size());
    const pid_t caller = ::getpid(), pid = ::fork();
    check(pid, "fork");
    if (pid == 0) {
        if (options.dies_with_us) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            if (::getppid() != caller) ::_exit(127);  // it died before we asked
        }
        auto fail = [&](int code) {
            if (::write(failure.write.get(), &code, sizeof code) < 0) ::_exit(126);
            ::_exit(127);
        };
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        ::signal(SIGPIPE, SIG_DFL);
        if (options.new_session) ::setsid();
        if (!options.directory.empty() && ::chdir(options.directory.c_str()) < 0) fail(errno);
        const int report = ::fcntl(failure.write.get(), F_DUPFD_CLOEXEC, highest + 20);
        if (report < 0) fail(errno);
        const int wanted[3] = {options.in, options.out, options.err};
        int standard[3];
        for (int i = 0; i < 3; ++i) {
            const int source = wanted[i] < 0 ? ::open("/dev/null", O_RDWR | O_CLOEXEC) : wanted[i];
            standard[i] = ::fcntl(source, F_DUPFD_CLOEXEC, highest + 20);
            if (standard[i] < 0) fail(errno);
        }
        for (size_t i = 0; i < moved.size(); ++i) {
            moved[i] = ::fcntl(options.fds[i].first, F_DUPFD_CLOEXEC, highest + 20);
            if (moved[i] < 0) fail(errno);
        }
        for (int i = 0; i < 3; ++i) ::dup2(standard[i], i);
        for (size_t i = 0; i < moved.size(); ++i) ::dup2(moved[i], options.fds[i].second);
        int code = ENOENT;
        for (const std::string& path : paths) {
            ::execve(path.c_str(), argv.data(), environment);
            if (errno != ENOENT && errno != ENOTDIR) code = errno;
            if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) break;
        }
        if (::write(report, &code, sizeof code) < 0) ::_exit(126);
        ::_exit(127);
    }
    Child child(pid);
    failure.write.reset();
    int code = 0;
    ssize_t n;
    do n = ::read(failure.read.get(), &code, sizeof code);
    while (n < 0 && errno == EINTR);
    if (n == sizeof code) {
        child.wait();
        throw SysError(code, "exec " + quoted(program));
    }
    return child;
}

Output run_program(std::vector<std::string> argv, std::string_view in) {
    sys::Pipe input = sys::pipe(), output = sys::pipe(), errors = sys::pipe();
    Child child = spawn({.argv = std::move(argv),
                         .env = {},
                         .directory = {},
                         .in = input.read.get(),
                         .out = output.write.get(),
                         .err = errors.write.get(),
                         .fds = {}});
    input.read.reset(), output.write.reset(), errors.write.reset();
    ::fcntl(input.write.get(), F_SETFL, O_NONBLOCK);
    Output result;
    const auto old = ::signal(SIGPIPE, SIG_IGN);
    while (output.read || errors.read) {
        if (in.empty()) input.write.reset();
        pollfd fds[3] = {{output.read.get(), POLLIN, 0},
                         {errors.read.get(), POLLIN, 0},
                         {input.write.get(), POLLOUT, 0}};
        if (::poll(fds, 3, -1) < 0 && errno != EINTR) throw SysError("poll");
        if (fds[2].revents) {
            const ssize_t n = ::write(input.write.get(), in.data(), in.size());
            if (n > 0)
                in.remove_prefix(size_t(n));
            else if (errno != EAGAIN && errno != EINTR)
                in = {};
        }
        char buffer[65536];
        for (int i = 0; i < 2; ++i) {
            if (!fds[i].revents) continue;
            UniqueFd& from = i ? errors.read : output.read;
            const ssize_t n = ::read(from.get(), buffer, sizeof buffer);
            if (n > 0)
                (i ? result.err : result.out).append(buffer, size_t(n));
            else if (n == 0 || errno != EINTR)
                from.reset();
        }
    }
    ::signal(SIGPIPE, old);
    result.status = child.wait();
    return result;
}
