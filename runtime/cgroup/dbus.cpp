// The signal that tells the end of systemd's job may come before the answer to the call that began
// it. So what is listened to is kept in a queue, whatever is waited for when it comes. A peer may
// send its bytes one by one, or other messages without end: one clock runs until the answer is
// there, and not a new one for each piece.
#include "runtime/cgroup/dbus.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "base/error.h"
#include "base/sys.h"

namespace dbus {

namespace {

constexpr auto patience = std::chrono::seconds(30);  // runc's, for systemd under load

std::string unescape(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size(); ++at) {
        const auto byte =
            text[at] == '%' ? parse_number<uint8_t>(text.substr(at + 1, 2), 16) : std::nullopt;
        out += byte ? char(*byte) : text[at];
        if (byte) at += 2;
    }
    return out;
}

std::expected<UniqueFd, int> try_connect(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (name.size() >= sizeof address.sun_path) return std::unexpected(ENAMETOOLONG);
    std::memcpy(address.sun_path, name.data(), name.size());
    UniqueFd socket(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    // Of an abstract name every byte counts, so the length must be its own.
    const auto size =
        socklen_t(offsetof(sockaddr_un, sun_path) + name.size() + (name.starts_with('\0') ? 0 : 1));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) < 0)
        return std::unexpected(errno);
    return socket;
}

}  // namespace

std::vector<std::string> socket_names(std::string_view address) {
    std::vector<std::string> names;
    for (const std::string& one : split(address, ';')) {
        if (!one.starts_with("unix:")) continue;
        for (const std::string& pair : split(one.substr(5), ',')) {
            if (pair.starts_with("path=")) names.push_back(unescape(pair.substr(5)));
            if (pair.starts_with("abstract=")) names.push_back('\0' + unescape(pair.substr(9)));
        }
    }
    return names;
}

Connection Connection::open(const std::string& address, bool direct) {
    int why = EPROTONOSUPPORT;
    for (const std::string& name : socket_names(address)) {
        auto socket = try_connect(name);
        if (!socket) {
            why = socket.error();
            continue;
        }
        Connection made(std::move(*socket), direct);
        made.authenticate();
        if (!direct)
            made.call({.path = "/org/freedesktop/DBus",
                       .interface = "org.freedesktop.DBus",
                       .member = "Hello",
                       .destination = "org.freedesktop.DBus"});
        return made;
    }
    throw SysError(why, str("connecting to D-Bus at ", address));
}

// SASL's EXTERNAL: the kernel tells the other side who we are. Naming no user lets it believe just
// that; the number we could name is not ours outside of a user namespace.
void Connection::authenticate() {
    using namespace std::string_view_literals;
    send("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"sv);
    const Time until = std::chrono::steady_clock::now() + patience;
    for (const std::string_view expected : {"DATA", "OK "}) {
        std::string line;
        while (!line.ends_with("\r\n") && line.size() < 1024) line += receive_bytes(1, until);
        if (!line.starts_with(expected))
            throw Error("D-Bus refuses to know us: ", quoted(trim(line)));
    }
}

// Not write(2): if the other side went away we want an error, not SIGPIPE.
void Connection::send(std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        bytes.remove_prefix(size_t(check(sent, "writing to D-Bus")));
    }
}

std::string Connection::receive_bytes(size_t count, Time until) {
    std::string bytes(count, '\0');
    for (size_t have = 0; have < count;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                              until - std::chrono::steady_clock::now())
                              .count();
        pollfd readable{socket_.get(), POLLIN, 0};
        const int ready = left > 0 ? ::poll(&readable, 1, int(left)) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (check(ready, "waiting for D-Bus") == 0) throw Error("D-Bus does not answer");
        const ssize_t got = ::recv(socket_.get(), bytes.data() + have, count - have, 0);
        if (got < 0 && errno == EINTR) continue;
        if (check(got, "reading from D-Bus") == 0) throw Error("D-Bus closed the connection");
        have += size_t(got);
    }
    return bytes;
}

Message Connection::receive(Time until) {
    std::string bytes = receive_bytes(prefix_size, until);
    bytes += receive_bytes(size_of(bytes) - prefix_size, until);
    return read_message(bytes);
}

bool Connection::is_heard(const Message& message) const {
    return message.kind == Kind::signal && !heard_.member.empty() && message.path == heard_.path &&
           message.interface == heard_.interface && message.member == heard_.member;
}

std::expected<std::vector<Value>, CallError> Connection::try_call(Message call) {
    call.serial = ++serial_;
    send(write(call));
    const Time until = std::chrono::steady_clock::now() + patience;
    for (;;) {
        Message got = receive(until);
        if (is_heard(got))
            signals_.push_back(std::move(got));
        else if (got.reply_to != call.serial)
            continue;
        else if (got.kind == Kind::reply)
            return got.arguments();
        else if (got.kind == Kind::error) {
            const std::vector<Value> words = got.arguments();
            return std::unexpected(CallError{got.error, words.empty() || words[0].signature != "s"
                                                            ? got.error
                                                            : words[0].text()});
        }
    }
}

std::vector<Value> Connection::call(const Message& call) {
    auto answer = try_call(call);
    if (!answer) throw Error(call.interface, ".", call.member, ": ", answer.error().text);
    return std::move(*answer);
}

// Without a bus between every signal comes, and nobody is there who would understand AddMatch.
void Connection::listen(const std::string& path, const std::string& interface,
                        const std::string& member) {
    heard_ = {.path = path, .interface = interface, .member = member};
    if (direct_) return;
    const std::vector<Value> rule = {text(
        str("type='signal',path='", path, "',interface='", interface, "',member='", member, "'"))};
    call({.path = "/org/freedesktop/DBus",
          .interface = "org.freedesktop.DBus",
          .member = "AddMatch",
          .destination = "org.freedesktop.DBus",
          .signature = "s",
          .body = write(rule)});
}

std::vector<Value> Connection::wait_for(const std::function<bool(const std::vector<Value>&)>& fits,
                                        std::chrono::milliseconds most) {
    const Time until = std::chrono::steady_clock::now() + most;
    for (;;) {
        while (!signals_.empty()) {
            std::vector<Value> arguments = signals_.front().arguments();
            signals_.pop_front();
            if (fits(arguments)) return arguments;
        }
        Message got = receive(until);
        if (is_heard(got)) signals_.push_back(std::move(got));
    }
}

}  // namespace dbus
