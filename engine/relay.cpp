// Nobody may be waited for alone: a container that does not read its input still writes output, a
// caller that does not read its output may still be gone, or the container may end. While the
// caller is behind, the container's output stays in its pipes, and the container waits as it would
// in a shell.
#include "engine/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"

Relay::Relay(ContainerIo io, int pidfd, Caller& caller, const RelayOptions& options)
    : io_(std::move(io)), pidfd_(pidfd), caller_(caller), keys_(options.detach_keys),
      attachers_(options.attach_socket), health_(options.health),
      attach_input_(options.attach_input), input_open_(options.attach_input),
      input_once_(options.input_once) {
    if (!options.log.empty()) log_.emplace(options.log, options.log_settings);
    for (const UniqueFd* fd : {&io_.input, &io_.output, &io_.errors, &io_.console})
        if (*fd) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
}

// Until something is due; -1: nothing is.
int Relay::milliseconds() const {
    const int health = health_ ? health_->milliseconds() : -1,
              names = names_ ? names_->milliseconds() : -1;
    return health < 0 ? names : names < 0 ? health : std::min(health, names);
}

void Relay::run() {
    for (;;) {
        const bool behind = is_behind(), has_input = !pending_input_.empty();
        const int caller = caller_.channel(), console = io_.console.get();
        const short from_console = behind ? 0 : POLLIN, to_console = has_input ? POLLOUT : 0;
        const std::vector<pollfd> fixed = {
            {pidfd_, POLLIN, 0},
            {behind ? -1 : io_.output.get(), POLLIN, 0},
            {behind ? -1 : io_.errors.get(), POLLIN, 0},
            {from_console | to_console ? console : -1, short(from_console | to_console), 0},
            {caller, POLLIN, 0},
            {input_open_ && !has_input && caller >= 0 ? 0 : -1, POLLIN, 0},
            {has_input ? io_.input.get() : -1, POLLOUT, 0},
            {caller_.is_behind(false) ? 1 : -1, POLLOUT, 0},
            {caller_.is_behind(true) ? 2 : -1, POLLOUT, 0},
            {health_ ? health_->descriptor() : -1, POLLIN, 0}};
        std::vector<pollfd> fds = fixed, attached = attachers_.polls(!has_input);
        fds.insert(fds.end(), attached.begin(), attached.end());
        if (names_) names_->add_polls(fds);
        if (::poll(fds.data(), fds.size(), milliseconds()) < 0 && errno != EINTR)
            throw SysError("poll");
        std::copy_n(fds.begin() + ptrdiff_t(fixed.size()), attached.size(), attached.begin());
        if (fds[7].revents || fds[8].revents) caller_.catch_up();
        if (fds[1].revents) read_output(io_.output, false);
        if (fds[2].revents) read_output(io_.errors, true);
        if (fds[3].revents & POLLOUT) write_input();
        if (!behind && fds[3].revents & ~POLLOUT) read_output(io_.console, false);
        if (fds[4].revents) hear_caller();
        if (fds[5].revents) read_input();
        if (fds[6].revents) write_input();
        hear_attachers(attached);
        if (health_) health_->work();
        if (names_) names_->work();
        if (caller_.is_broken() &&
            caller_.channel() >= 0) {  // its command ends, the container is on its own
            caller_.tell("broken");
            lose_caller();
        }
        if (fds[0].revents) return;
    }
}

void Relay::drain() {
    while (io_.output) read_output(io_.output, false);
    while (io_.errors) read_output(io_.errors, true);
    while (io_.console) read_output(io_.console, false);
    if (log_) log_->flush();
}

void Relay::read_output(UniqueFd& from, bool is_error) {
    char buffer[65536];
    const ssize_t n = ::read(from.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) return;
    if (n < 0 && errno == EAGAIN) {
        pollfd ended{pidfd_, POLLIN, 0};  // after the end, nothing more is the end too
        if (::poll(&ended, 1, 0) == 1) from.reset();
        return;
    }
    if (n <= 0) return from.reset();  // a terminal says EIO
    const std::string_view data(buffer, size_t(n));
    write_log(is_error, data);
    caller_.write(is_error, data);
    attachers_.write(is_error, data);
}

// A full disk is said once, not for each line.
void Relay::write_log(bool is_error, std::string_view data) try {
    if (log_) log_->write(is_error, data);
    log_failed_ = false;
} catch (const std::exception& e) {
    if (!std::exchange(log_failed_, true)) log_warning(str("writing the log: ", e.what()));
}

void Relay::read_input() {
    char buffer[32768];
    const ssize_t n = ::read(0, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) {
        input_open_ = false;
        if (pending_input_.empty()) io_.input.reset();
        return;
    }
    const std::string_view typed(buffer, size_t(n));
    const auto passed = io_.console ? keys_.pass(typed) : std::optional(std::string(typed));
    if (!passed) {
        caller_.tell("detached");
        return lose_caller();
    }
    pending_input_ += *passed;
    write_input();
}

void Relay::write_input() {
    const int to = io_.console ? io_.console.get() : io_.input.get();
    if (to < 0) return pending_input_.clear();
    while (!pending_input_.empty()) {
        const ssize_t n = ::write(to, pending_input_.data(), pending_input_.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) {  // nobody reads it any more
            pending_input_.clear(), input_open_ = false, io_.input.reset();
            return;
        }
        pending_input_.erase(0, size_t(n));
    }
    if (!input_open_ && (attach_input_ || input_once_)) io_.input.reset();
}

void Relay::hear_caller() {
    const std::vector<std::string> words = split(caller_.hear(), ' ');
    if (caller_.channel() < 0) return lose_caller();
    if (words[0] == "signal" && words.size() == 2)
        send_signal(parse_number<int>(words[1]).value_or(0));
    if (words[0] == "size" && words.size() == 3)
        set_size({parse_number<uint16_t>(words[1]).value_or(0),
                  parse_number<uint16_t>(words[2]).value_or(0), 0, 0});
}

void Relay::hear_attachers(const std::vector<pollfd>& polled) {
    const Attachers::Heard heard = attachers_.serve(polled);
    for (const int signal : heard.signals) send_signal(signal);
    if (heard.size) set_size(*heard.size);
    pending_input_ += heard.input;
    if (heard.input_ended && input_once_ && !io_.console) input_open_ = false;
    if (!heard.input.empty()) write_input();
    if (heard.input_ended && input_once_ && pending_input_.empty()) io_.input.reset();
}

void Relay::send_signal(int signal) const {
    ::syscall(SYS_pidfd_send_signal, pidfd_, signal, nullptr, 0);
}

void Relay::set_size(const winsize& size) const {
    if (io_.console) ::ioctl(io_.console.get(), TIOCSWINSZ, &size);
}

void Relay::lose_caller() {
    caller_.leave();
    if (attach_input_ && !io_.console) io_.input.reset();  // its end is the input's end
    input_open_ = false;
}
