// Child processes that cannot be forgotten, and the border between a clone and what it becomes.
#pragma once

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

// How a process ended.
struct ExitStatus {
    int code = 0;    // what it gave to exit(), if signal is 0
    int signal = 0;  // what killed it, or 0
    // A shell's number: the code, or 128 + signal.
    int shell() const { return signal ? 128 + signal : code; }
};

// A child that is killed and reaped by the destructor, unless it was waited for or released.
class Child {
public:
    Child() = default;
    explicit Child(pid_t pid, UniqueFd pidfd = {}) : pid_(pid), pidfd_(std::move(pidfd)) {}
    Child(Child&& other) noexcept
        : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
    Child& operator=(Child&& other) noexcept;
    ~Child();

    pid_t pid() const { return pid_; }
    int pidfd() const { return pidfd_.get(); }  // -1 if there is none
    ExitStatus wait();                          // once
    pid_t release() { return std::exchange(pid_, -1); }

private:
    pid_t pid_ = -1;
    UniqueFd pidfd_;
};

struct CloneOptions {
    uint64_t flags = 0;  // CLONE_NEW*, CLONE_PARENT …; no CLONE_VM
    int cgroup = -1;     // descriptor of a v2 cgroup to be born in
};

// Throws Error if this process has more than one thread, whose locks a clone would inherit.
void assert_single_threaded();

// Starts a process. The child never returns into the caller's frames: what `body` throws goes to
// `report`, and _exit ends it, so nothing the parent owns is destroyed twice.
template <class Body, class Report>
Child clone_process(const CloneOptions& options, Body&& body, Report&& report) {
    assert_single_threaded();
    int pidfd = -1;
    clone_args args{};
    args.flags = options.flags | CLONE_PIDFD;
    args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
    args.exit_signal = (options.flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
    if (options.cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = uint64_t(options.cgroup);
    }
    const long pid = ::syscall(SYS_clone3, &args, sizeof args);
    check(pid, "clone");
    if (pid > 0) return Child(pid_t(pid), UniqueFd(pidfd));
    try {
        try {
            body();
        } catch (const std::exception& e) {
            report(e);
        }
    } catch (...) {  // not even a failing report gets out
    }
    ::_exit(1);
}

// Undoes what we would leave if we ended in the middle of something, however we end: a process of
// its own session, which no signal ends but SIGKILL, waits for that and then runs `body`. It has
// our descriptors, and so our locks, until that is done. The destructor of the Child calls it off.
// Throws as clone_process does; what `body` throws is a warning in the log.
Child after_our_end(const std::function<void()>& body);

// Running another program. Found in PATH if it has no slash.
struct SpawnOptions {
    std::string program = {};  // "" = argv[0]
    std::vector<std::string> argv;
    std::vector<std::string> env;          // used if own_env
    bool own_env = false;                  // false: the caller's environment
    std::string directory;                 // "" = the caller's
    int in = 0, out = 1, err = 2;          // descriptors for 0, 1, 2; -1 = /dev/null
    std::vector<std::pair<int, int>> fds;  // {ours, number in the child}
    bool new_session = false;              // setsid
    bool dies_with_us = false;             // SIGKILL when the calling thread ends
};
// Throws SysError if the program cannot be executed (and not only when it could not be cloned).
Child spawn(const SpawnOptions& options);

// Feeds it `in`, runs it to the end and gives what it wrote, however much that is. It has the
// caller's environment and directory. Throws as spawn does; how it ended is for the caller to
// judge.
struct Output {
    ExitStatus status;
    std::string out, err;
};
Output run_program(std::vector<std::string> argv, std::string_view in = {});
