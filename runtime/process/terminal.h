// Terminals: a pseudo terminal made by the container's process in its own devpts, its master handed
// to whoever attaches, and the relay between it and the caller's terminal in the foreground.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "spec/runtime.h"

// In the container's process, after its /dev/pts is mounted: makes a pty below that directory,
// gives the master; the slave becomes stdin, stdout, stderr and the controlling terminal by
// attach_terminal.
struct Terminal {
    UniqueFd master, slave;
    std::string name;  // "/dev/pts/0"
};
Terminal open_terminal(int pts_directory, const std::optional<spec::Box>& size);
void attach_terminal(Terminal& terminal);

// Connects to a Unix socket and sends the descriptor with a word: the console and pidfd sockets.
void send_descriptor(const std::string& socket_path, std::string_view word, int fd);

// The terminal of who called us: one of the standard streams, or the controlling one; nothing if
// there is none.
UniqueFd callers_terminal();
// The caller's terminal in raw mode for as long as this lives.
class RawMode {
public:
    explicit RawMode(int fd);
    ~RawMode();
    RawMode(const RawMode&) = delete;

private:
    struct Saved;
    Saved* saved_ = nullptr;
    int fd_;
};
// Makes a container's terminal, given by its master, one behind the caller's: with its size, and
// lines that end as the programs wrote them, for who reads them may be a file, or a terminal that
// ends its lines itself.
void suit_callers_terminal(int master);
// Gives the master the size of the caller's terminal, if that has one.
void copy_window_size(int from, int to);
