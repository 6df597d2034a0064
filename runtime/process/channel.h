// What create and init tell each other while a container comes to be. Each packet is one step and,
// perhaps, a text and descriptors. An error of one side is thrown again by the other, in its words;
// a peer that dies without a word is an error as well. Init's log goes the same way, so that no
// file of the host's stays open in it: a record is a packet of its own, known by its first byte,
// which is no step's.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/sys.h"

enum class Step : char {
    placed = 'p',   // id maps are written, devices are moved; with the cgroups to join
    mapped = 'u',   // with the tree of a mount that the host made
    filter = 's',   // with the program of the system call filter
    mounted = 'm',  // all mounts are below the new root
    hooks_ran = 'h',
    ready = 'r',    // nothing but dropping privileges is left
    limited = 'l',  // limits are raised
    made = 'f',     // init waits for start: nothing more can fail before that
    console = 'c',  // with the master of the terminal
    notify = 'n',   // with the descriptor for a seccomp agent
    pid = 'i',      // of a process that somebody between the two made
    full = 'o',     // the pids limit has no room for who is in the cgroup only on his way
    error = 'e',
};

enum class Side { create, init };

struct Message {
    Step step{};
    std::string text;
    std::vector<UniqueFd> fds;
};

class Channel {
public:
    Channel() : ends_(sys::socketpair(SOCK_SEQPACKET)) {}
    // Each side drops the other's end, or a death would go unnoticed.
    void become(Side side);
    void close();
    // What this process logs goes to the other side, which writes it where its own goes. Nothing
    // changes if the log is standard error, which is the container's as well.
    void carry_log();

    void send(Step step, std::string_view text = {}, std::span<const int> fds = {});
    // The next packet; throws what the other side reports, and Error if it is gone.
    Message receive();
    Message expect(Step step);
    // Nothing more came before the other side let go.
    void expect_close();
    // Asked for the reason when the other side is gone without a word; "" if there is none.
    void explain_silence(std::function<std::string()> why) { why_silent_ = std::move(why); }
    int fd() const { return ends_.a ? ends_.a.get() : ends_.b.get(); }

private:
    bool receive_packet(Message& message);
    bool receive_step(Message& message);
    sys::SocketPair ends_;
    Side side_ = Side::create;
    std::function<std::string()> why_silent_;
};
