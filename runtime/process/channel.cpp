// A side that dies must not take its last words with it. Who sends and finds nobody there reads
// what was said before, which is the reason. ECONNRESET hides what still comes: it is told once, to
// who left something unread behind, so it is read over. Init sends by write(2) where it can, for
// its filter may leave it no more. Its log comes between the steps and goes where create's own
// goes. While create waits for init it can be interrupted, as init may hang in a mount or a hook.
#include "runtime/process/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "base/log.h"
#include "runtime/process/signals.h"

static const char* step_name(Step step) {
    switch (step) {
        case Step::placed: return "placed";
        case Step::mapped: return "mapped";
        case Step::filter: return "filter";
        case Step::mounted: return "mounted";
        case Step::hooks_ran: return "hooks ran";
        case Step::ready: return "ready";
        case Step::limited: return "limited";
        case Step::made: return "made";
        case Step::console: return "console";
        case Step::notify: return "notify";
        case Step::pid: return "pid";
        case Step::full: return "full";
        case Step::error: return "error";
    }
    return "?";
}

void Channel::become(Side side) {
    side_ = side;
    (side == Side::create ? ends_.b : ends_.a).reset();
}

void Channel::carry_log() {
    LogSettings settings = log_settings();
    if (settings.fd == 2) return;
    settings.fd = fd();
    set_log(settings);
}

void Channel::close() {
    LogSettings settings = log_settings();
    if (fd() >= 0 && settings.fd == fd()) settings.fd = 2, set_log(settings);
    ends_ = {};
}

// As the log writes it (base/log.cpp): `time=…` or `{"level":…`.
static bool is_record(const Message& message) {
    return char(message.step) == 't' || char(message.step) == '{';
}

void Channel::send(Step step, std::string_view text, std::span<const int> fds) {
    // A report longer than this says nothing more, and must fit the socket's buffer.
    log_debug(str(side_ == Side::create ? "create" : "init", " says ", step_name(step)));
    std::string packet(1, char(step));
    packet += text.substr(0, 64 * 1024);
    try {
        // A filter may be in force by now, and write is what it leaves init at the least.
        if (side_ == Side::init && fds.empty())
            sys::write_all(fd(), packet);
        else
            sys::send_with_fds(fd(), packet, fds);
    } catch (const SysError& e) {
        if (e.code() != EPIPE && e.code() != ECONNRESET) throw;
        // The other side is gone. Why, it said before, or its silence is explained: receive()
        // throws either.
        for (;;) receive();
    }
}

// The next packet that is a step; false if there is none to come.
bool Channel::receive_step(Message& message) {
    while (receive_packet(message)) {
        if (!is_record(message)) return true;
        const std::string packet = char(message.step) + message.text;
        if (::write(log_settings().fd, packet.data(), packet.size()) < 0)
            continue;  // as if it had written itself
    }
    return false;
}

bool Channel::receive_packet(Message& message) {
    // Its length first: room for the longest packet would cost more than all that are really sent.
    ssize_t length;
    // Init works at its own pace, and may hang in a mount or a hook.
    if (side_ == Side::create && heeds_signals_while_waiting()) wait_readable({fd()});
    // ECONNRESET is told once, by whichever call comes first after the other side has closed with
    // something unread; what it said before comes after that.
    const auto to_be_repeated = [] { return errno == EINTR || errno == ECONNRESET; };
    do length = ::recv(fd(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
    while (length < 0 && to_be_repeated());
    if (length < 0) throw SysError("receiving from the container's init");
    if (length <= 0) return false;
    std::string buffer(size_t(length), '\0');
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    do length = ::recvmsg(fd(), &header, MSG_CMSG_CLOEXEC);
    while (length < 0 && to_be_repeated());
    check(length, "receiving from the container's init");
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int one;
            std::memcpy(&one, CMSG_DATA(c) + i * sizeof one, sizeof one);
            message.fds.emplace_back(one);
        }
    }
    message.step = Step(buffer[0]);
    message.text = buffer.substr(1);
    return true;
}

// runc's words for whatever went wrong on the other side: callers look for them.
static Error starting(const std::string& why) {
    return Error("unable to start container process: ", why);
}

Message Channel::receive() {
    Message message;
    if (!receive_step(message)) {
        if (side_ == Side::init) throw Error("the runtime is gone");
        const std::string why = why_silent_ ? why_silent_() : "";
        throw starting(why.empty() ? "container init died without saying why" : why);
    }
    if (message.step == Step::error) throw starting(message.text);
    return message;
}

Message Channel::expect(Step step) {
    Message message = receive();
    if (message.step != step)
        throw Error("unexpected message ", quoted(std::string(1, char(message.step))),
                    " instead of ", quoted(std::string(1, char(step))));
    return message;
}

void Channel::expect_close() {
    Message message;
    if (!receive_step(message)) return;
    if (message.step == Step::error) throw starting(message.text);
    throw Error("unexpected message ", quoted(std::string(1, char(message.step))));
}
