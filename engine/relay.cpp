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

#include <utility>

#include "base/error.h"
#include "base/log.h"

Relay::Relay(ContainerIo io, int pidfd, const std::string& log, Caller& caller, bool attach_input)
    : io_(std::move(io)), pidfd_(pidfd), caller_(caller), attach_input_(attach_input),
      input_open_(attach_input) {
    if (!log.empty()) log_.emplace(log);
    for (const UniqueFd* fd : {&io_.input, &io_.output, &io_.errors, &io_.console})
        if (*fd) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
}

void Relay::run() {
    for (;;) {
        const bool behind = caller_.is_behind(), has_input = !pending_input_.empty();
        const int caller = caller_.channel(), console = io_.console.get();
        const short from_console = behind ? 0 : POLLIN, to_console = has_input ? POLLOUT : 0;
        pollfd fds[] = {
            {pidfd_, POLLIN, 0},
            {behind ? -1 : io_.output.get(), POLLIN, 0},
            {behind ? -1 : io_.errors.get(), POLLIN, 0},
            {from_console | to_console ? console : -1, short(from_console | to_console), 0},
            {caller, POLLIN, 0},
            {input_open_ && !has_input && caller >= 0 ? 0 : -1, POLLIN, 0},
            {has_input ? io_.input.get() : -1, POLLOUT, 0},
            {caller_.is_behind(false) ? 1 : -1, POLLOUT, 0},
            {caller_.is_behind(true) ? 2 : -1, POLLOUT, 0}};
        if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR) throw SysError("poll");
        if (fds[7].revents || fds[8].revents) caller_.catch_up();
        if (fds[1].revents) read_output(io_.output, false);
        if (fds[2].revents) read_output(io_.errors, true);
        if (fds[3].revents & POLLOUT) write_input();
        if (!behind && fds[3].revents & ~POLLOUT) read_output(io_.console, false);
        if (fds[4].revents) hear_caller();
        if (fds[5].revents) read_input();
        if (fds[6].revents) write_input();
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
    for (const char c : std::string_view(buffer, size_t(n))) {
        static constexpr char ctrl_p = 16, ctrl_q = 17;
        if (io_.console && prefix_key_ && c == ctrl_q) {
            caller_.tell("detached");
            return lose_caller();
        }
        if (std::exchange(prefix_key_, false)) pending_input_ += ctrl_p;
        if (io_.console && c == ctrl_p)
            prefix_key_ = true;
        else
            pending_input_ += c;
    }
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
    if (!input_open_) io_.input.reset();
}

void Relay::hear_caller() {
    const std::vector<std::string> words = split(caller_.hear(), ' ');
    if (caller_.channel() < 0) return lose_caller();
    if (words[0] == "signal" && words.size() == 2)
        ::syscall(SYS_pidfd_send_signal, pidfd_, parse_number<int>(words[1]).value_or(0), nullptr,
                  0);
    if (words[0] == "size" && words.size() == 3 && io_.console) {
        const winsize size{parse_number<uint16_t>(words[1]).value_or(0),
                           parse_number<uint16_t>(words[2]).value_or(0), 0, 0};
        ::ioctl(io_.console.get(), TIOCSWINSZ, &size);
    }
}

void Relay::lose_caller() {
    caller_.leave();
    if (attach_input_ && !io_.console) io_.input.reset();  // its end is the input's end
    input_open_ = false;
}
