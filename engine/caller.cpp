// Its descriptors are shared with its shell, so they cannot be made non-blocking; and who reads
// them may stall for ever, while the container is stopped and removed by others. So nothing is
// written before poll() says there is room, and never more than a pipe takes whole then.
#include "engine/caller.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/sys.h"

void Caller::tell(const std::string& message) const {
    if (channel_) (void)!::send(channel_.get(), message.data(), message.size(), MSG_NOSIGNAL);
}

std::string Caller::hear() {
    char buffer[256];
    const ssize_t n = ::recv(channel_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (n <= 0) channel_.reset();
    return std::string(buffer, size_t(std::max<ssize_t>(n, 0)));
}

void Caller::leave() {
    channel_.reset();
    attached_[0] = attached_[1] = false;
    for (std::string& pending : pending_) pending.clear();
    const UniqueFd nothing = sys::open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) ::dup2(nothing.get(), fd);
}

void Caller::write(bool is_error, std::string_view data) {
    if (!attached_[is_error]) return;
    pending_[is_error] += data;
    catch_up(is_error);
}

void Caller::catch_up() { catch_up(false), catch_up(true); }

void Caller::catch_up(bool is_error) {
    std::string& pending = pending_[is_error];
    const int fd = is_error ? 2 : 1;
    size_t taken = 0;
    for (pollfd room{fd, POLLOUT, 0}; taken < pending.size() && ::poll(&room, 1, 0) == 1;) {
        const ssize_t n =
            ::write(fd, pending.data() + taken, std::min<size_t>(pending.size() - taken, PIPE_BUF));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0)
            broken_ = true, attached_[is_error] = false;  // that is no matter of the container's
        taken = n < 0 ? pending.size() : taken + size_t(n);
    }
    pending.erase(0, taken);
}

void Caller::wait_until_caught_up() {
    while (channel_ && is_behind()) {
        pollfd fds[] = {{channel_.get(), POLLIN, 0},
                        {is_behind(false) ? 1 : -1, POLLOUT, 0},
                        {is_behind(true) ? 2 : -1, POLLOUT, 0}};
        if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR) return;
        if (fds[0].revents) (void)hear();
        catch_up();
    }
}
