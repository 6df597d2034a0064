// A signal between the last look and the wait would be slept through. So it is blocked all the time
// and let in by ppoll alone, which opens the mask for as long as it waits. Who heeds no signals
// waits by poll: a hook's filter may not know ppoll.
//
// A pid may be somebody else's by the time it is signalled. So each is opened first, and signalled
// only if the members, listed once more, still include it; 256 at once, for descriptors are few.
#include "runtime/process/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/signal_names.h"
#include "base/sys.h"
#include "base/unique_fd.h"

int parse_signal(std::string_view text) {
    // 0 asks whether there is somebody.
    if (const auto number = parse_number_between<int>(text, 0, last_realtime_signal))
        return *number;
    if (const auto number = signal_of_name(text)) return *number;
    throw Error("unknown signal ", quoted(text));
}

std::string signal_text(int number) {
    const char* known = ::sigdescr_np(number);
    if (!known) return str("signal ", number);
    std::string text = known;
    text[0] = char(text[0] | 0x20);
    return text;
}

namespace {

volatile sig_atomic_t came = 0;  // the number of a signal that shall interrupt
std::optional<sigset_t> while_waiting;

}  // namespace

void heed_signals_while_waiting() {
    sigset_t heeded, before;
    ::sigemptyset(&heeded);
    ::sigprocmask(SIG_SETMASK, nullptr, &before);
    struct sigaction note{};
    note.sa_handler = [](int number) { came = number; };
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) {
        struct sigaction inherited{};
        if (::sigaction(number, nullptr, &inherited) < 0 || inherited.sa_handler == SIG_IGN)
            continue;
        ::sigaction(number, &note, nullptr);
        ::sigaddset(&heeded, number);
        ::sigdelset(&before, number);
    }
    check(::sigprocmask(SIG_BLOCK, &heeded, nullptr), "blocking signals");
    while_waiting = before;
}

void forget_signals_while_waiting() { while_waiting.reset(); }
bool heeds_signals_while_waiting() { return while_waiting.has_value(); }

int wait_readable(std::initializer_list<int> fds, int milliseconds) {
    std::vector<pollfd> watched;
    for (const int fd : fds) watched.push_back({fd, POLLIN, 0});
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::milliseconds(milliseconds);
    for (;;) {
        const auto left = std::max(end - Clock::now(), Clock::duration::zero());
        const timespec patience{.tv_sec = std::chrono::floor<std::chrono::seconds>(left).count(),
                                .tv_nsec = (left % std::chrono::seconds(1)).count()};
        const int found =
            while_waiting
                ? ::ppoll(watched.data(), watched.size(), milliseconds < 0 ? nullptr : &patience,
                          &*while_waiting)
                // A hook inside a container waits behind its filter, which
                // may not know ppoll.
                : ::poll(watched.data(), watched.size(),
                         milliseconds < 0
                             ? -1
                             : int(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
        if (const int number = came; number != 0) {
            came = 0;  // a second one interrupts what is done about the first
            throw Error("interrupted: ", signal_text(number)).exit_with(128 + number);
        }
        if (found == 0) return -1;
        if (found < 0 && errno != EINTR) throw SysError("poll");
        if (found < 0) continue;
        return int(
            std::ranges::find_if(watched, [](const pollfd& one) { return one.revents != 0; }) -
            watched.begin());
    }
}

// A number that is told after its process was opened is that process's, or the process has ended
// and the descriptor reaches nobody.
void signal_members(const std::function<std::vector<int>()>& members, int number) {
    constexpr size_t at_once = 256;  // descriptors
    const std::vector<int> all = members();
    for (size_t first = 0; first < all.size(); first += at_once) {
        std::vector<std::pair<int, UniqueFd>> opened;
        for (size_t i = first; i < std::min(all.size(), first + at_once); ++i)
            if (UniqueFd process = sys::pidfd_open_if_exists(all[i]))
                opened.emplace_back(all[i], std::move(process));
        const std::vector<int> again = members();
        const std::set<int> still(again.begin(), again.end());
        for (const auto& [pid, process] : opened)
            if (still.contains(pid))
                ::syscall(SYS_pidfd_send_signal, process.get(), number, nullptr, 0);
    }
}
