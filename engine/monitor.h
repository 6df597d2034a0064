// The process that stays beside a container: it makes it run, keeps its output, knows how it ended,
// starts it again if its policy says so, and takes everything back. The command that started it may
// go (-d) or wait (the foreground).
#pragma once

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <memory>
#include <string>

#include "base/sys.h"
#include "base/unique_fd.h"
#include "engine/container.h"

struct MonitorOptions {
    std::string runtime;  // program; "" leaves the choice to RuntimeClient
    bool attach = false;  // the caller stays until the end
    bool attach_output = true, attach_errors = true;  // if it stays: its 1 and 2 get the output
    bool attach_input = false;                        // and its 0 is the input
    bool raw_terminal = false;  // 0 is a terminal that the container shall have as it is
    std::string detach_keys;    // that leave it; "" are the default
};

// Descriptor 0 as a terminal that passes everything on; put back by the destructor, whatever
// happens, or the user's shell is unusable.
class RawTerminal {
public:
    RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    ~RawTerminal();

private:
    termios before_{};
    bool active_ = false;
};

// How often the user has asked a command to end that only passes signals on.
class Impatience {
public:
    // Throws the third time.
    void heed(int signal);

private:
    int times_ = 0;
};

// The caller's end of the channel to a monitor.
class Monitored {
public:
    // Waits for the end, passing on signals and the terminal's size. Gives the exit code for a
    // shell; 0 if the user detached. Who has been asked three times to end (^C) does so, and the
    // container goes on.
    int wait(bool pass_signals);

private:
    friend class MonitoredStart;
    void pass_signal();
    void pass_keys();
    UniqueFd channel_, signals_, keys_;
    std::string pending_keys_;
    Impatience impatience_;
    std::unique_ptr<RawTerminal> terminal_;
};

// Those that Monitored::wait passes on. With MonitorOptions::attach they are blocked from the
// start: the container's first word may be answered with one.
sigset_t signals_to_pass();

// The two ends of what a command and the process that stays for it share; made before the fork.
class MonitoredStart {
public:
    explicit MonitoredStart(const MonitorOptions& options);
    // In the child: gives its end of the channel; its descriptor 0 is what the caller passes on.
    UniqueFd become_monitor();
    // In the caller: returns when "started" is heard, throws what was heard instead. ^C is passed
    // on; a second one ends the waiting.
    Monitored become_caller();

    const winsize& size() const { return size_; }  // of the caller's terminal; 0 x 0: there is none

private:
    std::string first_word(const UniqueFd& signals) const;
    MonitorOptions options_;
    sys::SocketPair channel_;
    sys::Pipe keys_;
    sigset_t before_{};
    winsize size_{};
};

// Returns when the container runs. Throws what kept it from that, with Docker's exit code: 127 no
// such command, 126 it cannot be executed, 125 anything else, 128 + N that signal N came first. No
// threads may be alive in the caller.
Monitored start_monitored(const Containers& containers, Container container, StartLocks locks,
                          const MonitorOptions& options);

// What a container keeps mounted and running, taken back by somebody else because its monitor was
// killed; the caller holds its lock.
void clean_up_after_monitor(const Containers& containers, const Container& container,
                            const std::string& runtime);
