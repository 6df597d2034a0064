// A pid may be another's tomorrow: a process is opened as a pidfd, then its start time is compared,
// and only then it gets a signal.
#include "engine/lifecycle.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "engine/monitor.h"
#include "runtime/client.h"

namespace {

UniqueFd open_process(const State& state) {
    if (state.pid <= 0) return {};
    UniqueFd process(int(::syscall(SYS_pidfd_open, state.pid, 0)));
    if (!process || !is_alive(state.pid, state.pid_started)) return {};
    return process;
}

void send(const UniqueFd& process, int signal) {
    if (::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) < 0 && errno != ESRCH) throw SysError("sending signal ", signal);
}

bool wait_for(const UniqueFd& process, int milliseconds) {
    pollfd ended{process.get(), POLLIN, 0};
    int n;
    do n = ::poll(&ended, 1, milliseconds);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

bool was_running(const State& state) { return state.status == "running" || state.status == "paused"; }

// The monitor cleans up; if it was killed, we do.
void settle(const Containers& containers, const Container& container) {
    const auto lock = container.lock();
    if (!lock) return;
    clean_up_after_monitor(containers, container, "");
    State state = container.last_state();
    if (!was_running(state)) return;
    if (container.settings().auto_remove) {
        containers.remove(container);
        return remove_anonymous_volumes(containers, container);
    }
    state.status = "exited", state.exit_code = 255, state.pid = 0, state.network = {};
    state.finished_at = rfc3339_now();
    container.save(state);
}

}  // namespace

static RuntimeClient runtime_of(const Containers& containers, const Container& container) {
    return RuntimeClient(volatile_directory(containers.store_root()) + "/runtime", container.settings().runtime);
}

void resume_container(const Containers& containers, const Container& container) {
    State state = container.state();
    if (state.status != "paused") throw Error("Container ", container.id(), " is not paused");
    // Said first: once it goes on it may end, and its monitor has the last word.
    state.status = "running";
    container.save(state);
    try {
        runtime_of(containers, container).resume(container.id());
    } catch (...) {
        if (!is_alive(state.pid, state.pid_started)) throw;
        state.status = "paused";
        container.save(state);
        throw;
    }
}

// A signal waits for as long as its process is frozen; only cgroup v2 lets KILL through.
static void thaw(const Containers& containers, const Container& container, const UniqueFd& process) {
    if (container.last_state().status != "paused") return;
    try {
        resume_container(containers, container);
    } catch (const Error&) {
        if (!wait_for(process, 100)) throw;
    }
}

void kill_container(const Containers& containers, const Container& container, int signal) {
    const UniqueFd process = open_process(container.state());
    if (!process) throw Error("cannot kill container: ", container.settings().name, ": container ", container.id(), " is not running");
    send(process, signal);
    thaw(containers, container, process);
}

void stop_container(const Containers& containers, const Container& container, std::optional<int> signal, std::optional<int> timeout) {
    const UniqueFd process = open_process(container.state());
    if (!process) return settle(containers, container);
    const Settings& settings = container.settings();
    const int first = signal ? *signal : settings.stop_signal.empty() ? SIGTERM : parse_signal(settings.stop_signal);
    const int seconds = timeout ? *timeout : settings.stop_timeout.value_or(10);
    if (seconds != 0) send(process, first);
    thaw(containers, container, process);
    if (seconds == 0 || !wait_for(process, seconds < 0 ? -1 : seconds * 1000)) {
        send(process, SIGKILL);
        wait_for(process, 10'000);
    }
    settle(containers, container);
}

void pause_container(const Containers& containers, const Container& container) {
    State state = container.state();
    if (state.status == "paused") throw Error("Container ", container.id(), " is already paused");
    if (state.status != "running") throw Error("Container ", container.id(), " is not running");
    runtime_of(containers, container).pause(container.id());
    state.status = "paused";
    container.save(state);
}

int wait_container(const Container& container) {
    const FileLock lock(container.file("lock"), true);   // the monitor has let go
    // It was killed: nobody knows how the process will end.
    if (const UniqueFd process = open_process(container.last_state())) return wait_for(process, -1), 255;
    char text[16];
    const ssize_t n = ::pread(lock.fd(), text, sizeof text, 0);
    return parse_number<int>(std::string_view(text, n > 0 ? size_t(n) : 0)).value_or(container.state().exit_code);
}

bool remove_if_left(const Containers& containers, const Container& container) {
    const State state = container.last_state();
    if (!container.settings().auto_remove || !was_running(state) || is_alive(state.pid, state.pid_started)) return false;
    if (!container.try_lock()) return false;
    settle(containers, container);
    return true;
}

void remove_container(const Containers& containers, const Container& container, const RemoveOptions& options) {
    const State state = container.state();
    const bool runs = was_running(state);
    if (runs && !options.force)
        throw Error("cannot remove container ", quoted(container.settings().name), ": container is running: stop the container before removing or force remove");
    if (runs)
        if (const UniqueFd process = open_process(state)) {
            send(process, SIGKILL);
            thaw(containers, container, process);
            wait_for(process, 10'000);
        }
    settle(containers, container);
    const auto lock = container.lock();
    if (!lock) return;   // it removed itself
    containers.remove(container);
    if (options.volumes) remove_anonymous_volumes(containers, container);
}
