// Each of them goes at his own pace, or goes away: nothing here waits. What one cannot take is kept
// for him, and the container's output is not read until he has it, as with the command that
// started it.
#include "engine/attachers.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "container/identity.h"

static constexpr size_t largest_packet = 32768;

std::string attach_socket(const std::string& store_root, const std::string& id) {
    return volatile_directory(store_root) + "/" + id.substr(0, 12) + ".attach";
}

Attachers::Attachers(std::string path) : path_(std::move(path)) {
    if (path_.empty()) return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) throw Error("the path is too long: ", path_);
    path_.copy(address.sun_path, path_.size());
    ::unlink(path_.c_str());
    listener_.reset(
        check(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
    check(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address),
          "binding ", path_);
    check(::listen(listener_.get(), 16), "listening at ", path_);
}

Attachers::~Attachers() {
    if (listener_) ::unlink(path_.c_str());
}

std::vector<pollfd> Attachers::polls(bool take_input) const {
    std::vector<pollfd> out;
    if (listener_) out.push_back({listener_.get(), POLLIN, 0});
    for (const One& one : all_)
        out.push_back({one.channel.get(),
                       short((take_input ? POLLIN : 0) | (one.pending.empty() ? 0 : POLLOUT)), 0});
    return out;
}

Attachers::Heard Attachers::serve(const std::vector<pollfd>& polled) {
    Heard heard;
    for (size_t i = 1; i < polled.size(); ++i) {
        One& one = all_[i - 1];
        if (polled[i].revents & POLLOUT) catch_up(one);
        if (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) hear(one, heard);
    }
    std::erase_if(all_, [](const One& one) { return !one.channel; });
    if (!polled.empty() && polled[0].revents) accept();
    return heard;
}

void Attachers::accept() {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) all_.push_back({UniqueFd(fd), {}});
}

void Attachers::hear(One& one, Heard& heard) {
    std::string packet(largest_packet + 1, '\0');
    const ssize_t n = ::recv(one.channel.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return one.channel.reset();
    packet.resize(size_t(n));
    const std::string rest = packet.substr(1);
    const std::vector<std::string> words = split(rest, ' ');
    if (packet[0] == 'i') heard.input += rest;
    if (packet[0] == 'e') heard.input_ended = true;
    if (packet[0] == 's') heard.signals.push_back(parse_number<int>(rest).value_or(0));
    if (packet[0] == 'w' && words.size() == 2)
        heard.size = winsize{parse_number<uint16_t>(words[0]).value_or(0),
                             parse_number<uint16_t>(words[1]).value_or(0), 0, 0};
}

void Attachers::catch_up(One& one) {
    size_t sent = 0;
    while (sent < one.pending.size() && one.channel) {
        const std::string& packet = one.pending[sent];
        if (::send(one.channel.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >=
            0)
            ++sent;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            one.channel.reset(), one.pending.clear(), sent = 0;
    }
    one.pending.erase(one.pending.begin(), one.pending.begin() + ptrdiff_t(sent));
}

void Attachers::write(bool is_error, std::string_view data) {
    for (One& one : all_) {
        for (std::string_view rest = data; !rest.empty() && one.channel;) {
            const std::string_view part = rest.substr(0, largest_packet);
            one.pending.push_back(std::string(1, is_error ? 'r' : 'o').append(part));
            rest.remove_prefix(part.size());
        }
        catch_up(one);
    }
}

bool Attachers::is_behind() const {
    return std::ranges::any_of(all_,
                               [](const One& one) { return one.channel && !one.pending.empty(); });
}

void Attachers::wait_until_caught_up() {
    while (is_behind()) {
        std::vector<pollfd> polled;
        for (const One& one : all_) polled.push_back({one.channel.get(), POLLOUT, 0});
        if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
        for (size_t i = 0; i < polled.size(); ++i) {
            if (polled[i].revents & (POLLHUP | POLLERR))
                all_[i].channel.reset();
            else if (polled[i].revents)
                catch_up(all_[i]);
        }
        std::erase_if(all_, [](const One& one) { return !one.channel; });
    }
}

void Attachers::tell_end(int exit_code) {
    if (listener_) ::unlink(path_.c_str());
    listener_.reset();
    for (One& one : all_) {
        one.pending.push_back(str("x", exit_code));
        catch_up(one);
    }
}
