// A pid may be another's tomorrow: a process is opened as a pidfd, then its start time is compared,
// and only then it gets a signal.
#include "engine/lifecycle.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "engine/events.h"
#include "engine/monitor.h"
#include "engine/volumes.h"
#include "runtime/client.h"

namespace {

UniqueFd open_process(const State& state) {
    if (state.pid <= 0) return {};
    UniqueFd process = sys::pidfd_open_if_exists(state.pid);
    if (!process || !is_alive(state.pid, state.pid_started)) return {};
    return process;
}

void send(const UniqueFd& process, int signal) {
    if (::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) < 0 && errno != ESRCH)
        throw SysError("sending signal ", signal);
}

bool wait_for(const UniqueFd& process, int milliseconds) {
    pollfd ended{process.get(), POLLIN, 0};
    int n;
    do n = ::poll(&ended, 1, milliseconds);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

// As poll() takes it; what is longer than a poll can wait (24 days) is for ever.
int milliseconds_of(int seconds) {
    return seconds < 0 || seconds > INT_MAX / 1000 ? -1 : seconds * 1000;
}

// A process that hangs in the kernel (a dead NFS server) is no reason to hang, too.
void wait_for_the_killed(const Container& container, const UniqueFd& process) {
    if (!wait_for(process, 10'000))
        throw Error("cannot kill container: ", container.settings().name,
                    ": tried to kill container, but did not receive an exit event");
}

bool was_running(const State& state) {
    return state.status == "running" || state.status == "paused" || state.status == "restarting";
}

// The monitor cleans up; if it was killed, we do.
void settle(const Containers& containers, const Container& container) {
    const auto change = container.begin_change();
    if (!change || open_process(container.last_state()))
        return;  // removed, or started again, meanwhile
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
    container.save_end(state);
}

}  // namespace

static RuntimeClient runtime_of(const Containers& containers, const Container& container) {
    return RuntimeClient(volatile_directory(containers.store_root()) + "/runtime",
                         container.settings().runtime);
}

void resume_container(const Containers& containers, const Container& container) {
    State state = container.state();
    if (state.status != "paused") throw Error("Container ", container.id(), " is not paused");
    // Said first: once it goes on it may end, and its monitor has the last word.
    state.status = "running";
    container.save(state);
    try {
        runtime_of(containers, container).resume(container.id());
        note_event(containers, container, "unpause");
    } catch (...) {
        if (!is_alive(state.pid, state.pid_started)) throw;
        // Who paused it was killed before it was.
        if (runtime_of(containers, container).state(container.id()).status == "running") return;
        state.status = "paused";
        container.save(state);
        throw;
    }
}

void resume_if_frozen(const Containers& containers, const Container& container) {
    State state = container.state();
    if (!is_alive(state.pid, state.pid_started)) return;
    const RuntimeClient runtime = runtime_of(containers, container);
    if (runtime.state(container.id()).status == "paused") runtime.resume(container.id());
    if (state.status != "paused") return;
    state.status = "running";
    container.save(state);
}

// A signal waits for as long as its process is frozen; only cgroup v2 lets KILL through.
static void thaw(const Containers& containers, const Container& container,
                 const UniqueFd& process) {
    if (container.last_state().status != "paused") return;
    try {
        resume_container(containers, container);
    } catch (const Error&) {
        if (!wait_for(process, 100)) throw;
    }
}

void kill_container(const Containers& containers, const Container& container, int signal) {
    const UniqueFd process = open_process(container.state());
    if (!process)
        throw Error("cannot kill container: ", container.settings().name, ": container ",
                    container.id(), " is not running");
    const std::string& stop = container.settings().stop_signal;
    if (signal == SIGKILL || signal == (stop.empty() ? SIGTERM : parse_signal(stop)))
        container.ask_to_stop();
    send(process, signal);
    thaw(containers, container, process);
    note_event(containers, container, "kill", {{"signal", str(signal)}});
}

void stop_container(const Containers& containers, const Container& container,
                    std::optional<int> signal, std::optional<int> timeout) {
    {
        const auto change = container.begin_change();  // one that is just being started has done so
        if (change) container.ask_to_stop();
    }
    const UniqueFd process = open_process(container.state());
    if (!process) return settle(containers, container);
    const Settings& settings = container.settings();
    const int first = signal                         ? *signal
                      : settings.stop_signal.empty() ? SIGTERM
                                                     : parse_signal(settings.stop_signal);
    const int seconds = timeout ? *timeout : settings.stop_timeout.value_or(10);
    if (seconds != 0) send(process, first);
    thaw(containers, container, process);
    if (seconds == 0 || !wait_for(process, milliseconds_of(seconds))) {
        send(process, SIGKILL);
        wait_for_the_killed(container, process);
    }
    settle(containers, container);
    note_event(containers, container, "stop");
}

void pause_container(const Containers& containers, const Container& container) {
    State state = container.state();
    if (state.status == "paused") throw Error("Container ", container.id(), " is already paused");
    if (state.status != "running") throw Error("Container ", container.id(), " is not running");
    // Said first: if we are killed, one that is said to be paused can go on.
    state.status = "paused";
    container.save(state);
    try {
        runtime_of(containers, container).pause(container.id());
    } catch (...) {
        state.status = "running";
        container.save(state);
        throw;
    }
    note_event(containers, container, "pause");
}

// One that may be started again: its next end, not its last.
static int wait_for_next_end(const Container& container) {
    State state = container.state();
    if (!was_running(state)) return state.exit_code;
    if (const UniqueFd process = open_process(state)) wait_for(process, -1);
    // Its monitor says so in a moment.
    for (const pid_t before = state.pid; was_running(state) && state.pid == before;
         state = container.state()) {
        if (!sys::exists(container.directory()) || state.status == "restarting") break;
        ::usleep(2000);
    }
    return state.exit_code;
}

int wait_container(const Container& container) {
    if (container.settings().restart.name != "no") return wait_for_next_end(container);
    // The file as it is now: of a container that removes itself nothing else is left to read.
    const UniqueFd lock = sys::open(container.file("lock"), O_RDONLY);
    sys::flock(lock.get(), LOCK_SH);  // the monitor has let go
    // It was killed: nobody knows how the process will end.
    if (const UniqueFd process = open_process(container.last_state()))
        return wait_for(process, -1), 255;
    char text[size_of_exit_note];
    const ssize_t n = ::pread(lock.get(), text, sizeof text, 0);
    return parse_number<int>(trim(std::string_view(text, n > 0 ? size_t(n) : 0)))
        .value_or(container.state().exit_code);
}

bool remove_if_left(const Containers& containers, const Container& container) {
    const State state = container.last_state();
    if (!container.settings().auto_remove || !was_running(state) ||
        is_alive(state.pid, state.pid_started))
        return false;
    if (!container.try_lock()) return false;
    settle(containers, container);
    return true;
}

// By the runtime, which knows its processes where state.json does not.
static void kill_by_runtime(const Containers& containers, const Container& container) {
    const RuntimeClient runtime = runtime_of(containers, container);
    if (sys::exists(runtime.state_root() + "/" + container.id()))
        attempt("removing the container from the runtime", [&] { runtime.remove(container.id()); });
}

void remove_container(const Containers& containers, const Container& container,
                      const RemoveOptions& options) {
    if (!container.damage().empty() && !options.force)
        throw Error(container.damage(), "; `keg rm -f` removes it");
    const auto change = container.begin_change();
    if (!change) return;  // somebody else has removed it
    const State state = container.state();
    const bool unknown = state.status == "dead";
    if ((was_running(state) || (unknown && !container.try_lock())) && !options.force)
        throw Error("cannot remove container ", quoted(container.settings().name),
                    ": container is running: stop the container before removing or force remove");
    if (was_running(state)) container.ask_to_stop();
    if (unknown) kill_by_runtime(containers, container);
    if (was_running(state))
        if (const UniqueFd process = open_process(state)) {
            send(process, SIGKILL);
            thaw(containers, container, process);
            wait_for_the_killed(container, process);
        }
    const auto lock = container.lock();
    if (!lock) return;  // it removed itself
    // From here on it is ours alone, and no step needs room on a disk.
    clean_up_after_monitor(containers, container, "");
    containers.remove(container);
    note_event(containers, container, "destroy");
    if (options.volumes || container.settings().auto_remove)
        remove_anonymous_volumes(containers, container);
}
