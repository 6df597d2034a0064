// CRIU's end has several looks. It may be gone without a word: a packet of no bytes, or ECONNRESET.
// It may answer that it failed. After a pre-dump it waits for the dump that could follow, and would
// complain if none came: it is killed. If we give up first (a hook failed), the closed socket tells
// it, and it is waited for, since it takes back what it began. A notice is a question, too: CRIU
// stands still until it is confirmed, and a descriptor may come beside it.
#include "runtime/checkpoint/criu_rpc.h"

#include <sys/socket.h>

#include <cstring>

#include "base/defer.h"
#include "base/error.h"
#include "base/process.h"
#include "base/sys.h"

namespace criu {

namespace {

constexpr unsigned varint = 0, fixed64 = 1, delimited = 2, fixed32 = 5;  // wire types

void put_varint(std::string& out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(char(value | 0x80));
    out.push_back(char(value));
}

class Reader {
public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}
    bool done() const { return rest_.empty(); }
    std::string_view take(uint64_t size) {
        if (size > rest_.size()) throw Error("a message of criu is cut short");
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }
    uint64_t take_varint() {
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const auto byte = static_cast<unsigned char>(take(1)[0]);
            value |= uint64_t(byte & 0x7f) << shift;
            if (byte < 0x80) return value;
        }
        throw Error("a message of criu has a number that does not end");
    }

private:
    std::string_view rest_;
};

}  // namespace

Message& Message::number(unsigned field, int64_t value) {
    put_varint(bytes_, field << 3 | varint);
    put_varint(bytes_, uint64_t(value));
    return *this;
}

Message& Message::text(unsigned field, std::string_view value) {
    put_varint(bytes_, field << 3 | delimited);
    put_varint(bytes_, value.size());
    bytes_ += value;
    return *this;
}

Reply::Reply(std::string_view bytes) {
    for (Reader reader(bytes); !reader.done();) {
        const uint64_t key = reader.take_varint();
        Field field{unsigned(key >> 3), 0, {}};
        switch (key & 7) {
            case varint: field.value = int64_t(reader.take_varint()); break;
            case delimited: field.text = reader.take(reader.take_varint()); break;
            case fixed64: reader.take(8); break;
            case fixed32: reader.take(4); break;
            default: throw Error("a message of criu has a field of unknown type ", key & 7);
        }
        fields_.push_back(std::move(field));
    }
}

std::optional<int64_t> Reply::number(unsigned wanted) const {
    for (const Field& field : fields_)
        if (field.number == wanted) return field.value;
    return {};
}

std::optional<std::string> Reply::text(unsigned wanted) const {
    for (const Field& field : fields_)
        if (field.number == wanted) return field.text;
    return {};
}

namespace {

// The numbers of criu_req, criu_resp, criu_notify and criu_restore_resp.
constexpr unsigned type = 1;
constexpr unsigned request_options = 2, request_notify_success = 3;
constexpr unsigned response_success = 2, response_restore = 4, response_notify = 5,
                   response_errno = 7, response_words = 9;
constexpr unsigned notify_script = 1, notify_pid = 2, restore_pid = 1;

constexpr std::string_view name_of(Request request) {
    switch (request) {
        case Request::dump: return "DUMP";
        case Request::restore: return "RESTORE";
        case Request::pre_dump: return "PRE_DUMP";
        case Request::notify: return "NOTIFY";
    }
    return "";
}

struct Packet {
    std::string bytes;
    UniqueFd fd;
};

// A packet of the socket, with the descriptor that may be beside it; empty when CRIU is gone.
Packet receive(int socket) {
    Packet packet{std::string(64 * 1024, '\0'), {}};
    iovec part{packet.bytes.data(), packet.bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part, header.msg_iovlen = 1;
    header.msg_control = control, header.msg_controllen = sizeof control;
    ssize_t length;
    do length = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length < 0 && errno == ECONNRESET) length = 0;
    check(length, "receiving from criu");
    packet.bytes.resize(size_t(length));
    const cmsghdr* c = CMSG_FIRSTHDR(&header);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
        packet.fd.reset(fd);
    }
    return packet;
}

Outcome failed(Request request, const Reply& reply) {
    return {.error = str("criu failed: type ", name_of(request), " errno ",
                         reply.number(response_errno).value_or(0)),
            .words = std::string(trim(reply.text(response_words).value_or("")))};
}

}  // namespace

Session::Session(std::vector<std::pair<int, int>> fds, bool dies_with_us) {
    sys::SocketPair sockets = sys::socketpair(SOCK_SEQPACKET);
    fds.emplace_back(sockets.b.get(), 3);
    criu_ = context("checkpoint and restore need criu in $PATH", [&] {
        return spawn({.argv = {"criu", "swrk", "3"}, .fds = fds, .dies_with_us = dies_with_us});
    });
    socket_ = std::move(sockets.a);
}

// It ends when nobody speaks to it.
ExitStatus Session::end() {
    socket_.reset();
    return criu_.wait();
}

Outcome Session::perform(Request request, const Message& options,
                         const std::function<void(const Notice&)>& notified) {
    Defer undo([&] { end(); });
    sys::write_all(socket_.get(),
                   Message().number(type, int(request)).message(request_options, options).bytes());
    for (;;) {
        Packet packet = receive(socket_.get());
        if (packet.bytes.empty()) {
            undo.keep();
            return {.error = str("criu failed: it ended with ", end().shell(),
                                 " and without an answer")};
        }
        const Reply reply(packet.bytes);
        const auto answered = Request(reply.number(type).value_or(0));
        if (!reply.number(response_success).value_or(0)) return failed(answered, reply);
        if (answered != Request::notify) {
            undo.keep();
            if (request == Request::pre_dump)
                return {};  // it waits for the dump, and would complain; so it is killed
            const int status = end().shell();
            if (status != 0) return {.error = str("criu failed: exit status ", status)};
            const Reply restored(reply.text(response_restore).value_or(""));
            return {.pid = int(restored.number(restore_pid).value_or(0))};
        }
        const Reply notice(reply.text(response_notify).value_or(""));
        notified({notice.text(notify_script).value_or(""),
                  int(notice.number(notify_pid).value_or(0)), std::move(packet.fd)});
        sys::write_all(
            socket_.get(),
            Message().number(type, int(Request::notify)).number(request_notify_success, 1).bytes());
    }
}

}  // namespace criu
