// A connection to a D-Bus, as far as asking systemd for a scope needs one: method calls, their
// answers, and one kind of signal. Waits with an end; single-threaded, nothing in the background.
#pragma once

#include <chrono>
#include <deque>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/cgroup/dbus_wire.h"

namespace dbus {

// What the other side answered instead of a result.
struct CallError {
    std::string name, text;
};

class Connection {
public:
    // "unix:path=/run/x" or "unix:abstract=x", more than one separated by ";": the first that
    // answers. Direct is a socket with the service itself at its end, and no bus between.
    static Connection open(const std::string& address, bool direct = false);

    std::expected<std::vector<Value>, CallError> try_call(Message call);
    std::vector<Value> call(const Message& call);  // throws Error

    // From now on signals of this member are kept until they are waited for.
    void listen(const std::string& path, const std::string& interface, const std::string& member);
    // The arguments of the first of them that fits; throws Error if none comes in that time.
    std::vector<Value> wait_for(const std::function<bool(const std::vector<Value>&)>& fits,
                                std::chrono::milliseconds most);

private:
    using Time = std::chrono::steady_clock::time_point;
    Connection(UniqueFd socket, bool direct) : socket_(std::move(socket)), direct_(direct) {}
    void authenticate();
    void send(std::string_view bytes) const;
    Message receive(Time until);
    bool is_heard(const Message& message) const;
    std::string receive_bytes(size_t count, Time until);

    UniqueFd socket_;
    bool direct_;
    uint32_t serial_ = 0;
    Message heard_;  // path, interface and member to listen to
    std::deque<Message> signals_;
};

// Pure: the addresses' socket names, an abstract one with a leading zero byte; others are left out.
std::vector<std::string> socket_names(std::string_view address);

}  // namespace dbus
