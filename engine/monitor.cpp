// A monitor is a fork of the command that started it, in a session of its own, and a child
// subreaper: when the runtime's `create` has returned, the container's init is its child, so the
// exit status is its to know. It talks to the command through a socket of packets:
//
//     monitor                                command
//     "started"  ──────────────────────────▶ prints the ID and goes (-d), or stays
//     "failed CODE TEXT" ──────────────────▶ throws it
//                ◀── "signal N", "size H W"      a signal before "started" is the end of the start
//     "exit CODE", "detached", "broken" ───▶ exits
//
// The command's own descriptors 0, 1, 2 were inherited and are used directly, except that a
// terminal is read by the command alone (attach.cpp); when it goes, or has been told the end, they
// are dropped, so that nobody waits for the monitor's end by mistake.
//
// What is hard is the end: it comes at any time, on a full disk as well, and whatever fails then,
// the rest must be done all the same. So it is a table of steps, each of which is attempted, with
// the exit code first: in the lock's file and in state.end there has been room for it since the
// start. What is slow to undo (rules, devices) comes after the command has been told.
#include "engine/monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "container/host_cgroups.h"
#include "container/network.h"
#include "engine/caller.h"
#include "engine/console.h"
#include "engine/host_mounts.h"
#include "engine/prepare.h"
#include "engine/relay.h"
#include "engine/volumes.h"
#include "image/snapshots.h"
#include "runtime/client.h"

namespace {

class Monitor {
public:
    Monitor(const Containers& containers, Container container, StartLocks locks,
            const MonitorOptions& options, const winsize& size, UniqueFd channel)
        : containers_(containers), container_(std::move(container)), life_(std::move(locks.life)),
          change_(std::move(locks.change)), options_(options), size_(size),
          caller_(std::move(channel), options.attach && options.attach_output,
                  options.attach && options.attach_errors),
          settings_(container_.settings()),
          runtime_(volatile_directory(containers.store_root()) + "/runtime",
                   options.runtime.empty() ? settings_.runtime : options.runtime) {}

    void run() noexcept;

private:
    void become_independent();
    void bring_up();
    void heed_caller();
    void mount_root();
    void create();
    void start();
    void relay();

    void note_failure(const Error& error);
    void note_end();
    void end();
    // The steps of the end, in their order.
    void note_exit_code();
    void leave_runtime();
    void unmount();
    void drain();
    void begin_withdraw();
    void save_end();
    void say_the_end_at_once();
    void withdraw();
    void remove_files();
    void let_go();
    void say_the_end();
    void leave_network();

    Containers containers_;
    Container container_;
    std::optional<FileLock> life_, change_;
    MonitorOptions options_;
    winsize size_;
    Caller caller_;
    const Settings settings_;
    RuntimeClient runtime_;
    State state_;
    std::optional<Endpoint> endpoint_;
    UniqueFd pidfd_;
    std::optional<Relay> relay_;
    bool mounted_ = false, created_ = false, told_ = false;
    std::string last_word_;  // for the caller
    std::string hidden_;     // what is left to delete of a container that nobody sees any more
};

void Monitor::run() noexcept {
    try {
        become_independent();
        bring_up();
        relay();
        note_end();
    } catch (Error& e) {
        note_failure(e);
    } catch (const std::exception& e) {
        note_failure(Error(e.what()));
    }
    end();
}

void Monitor::become_independent() {
    const std::string room(size_of_exit_note, ' ');  // taken now: at the end the disk may be full
    if (::ftruncate(life_->fd(), 0) < 0 ||
        ::pwrite(life_->fd(), room.data(), room.size(), 0) != ssize_t(room.size()))
        throw SysError("writing ", container_.file("lock"));
    if (!settings_.auto_remove) container_.reserve_end();
    ::setsid();
    check(::prctl(PR_SET_CHILD_SUBREAPER, 1), "becoming a subreaper");
    ::prctl(PR_SET_NAME, "keg-monitor");
    ::signal(SIGPIPE, SIG_IGN);
    check(::chdir("/"), "chdir /");
    // A command that goes after "started" must not be kept by its reader.
    if (!options_.attach_input) {
        const UniqueFd nothing = sys::open("/dev/null", O_RDWR);
        ::dup2(nothing.get(), 0);
    }
}

void Monitor::bring_up() {
    mount_root();
    heed_caller();
    if (settings_.network == "bridge")
        endpoint_.emplace(containers_.store_root(), settings_.id, settings_.ports);
    const Prepared prepared =
        prepare_bundle(containers_, container_, endpoint_ ? endpoint_->state() : NetworkState{});
    heed_caller();
    create();
    heed_caller();
    if (endpoint_) {
        endpoint_->connect(sys::open(str("/proc/", state_.pid, "/ns/net"), O_RDONLY).get(),
                           state_.pid);
        state_.network = endpoint_->state();
    }
    heed_caller();
    start();
}

// Who waits for a container may change his mind before it runs.
void Monitor::heed_caller() {
    if (!options_.attach) return;
    const std::vector<std::string> words = split(caller_.hear(), ' ');
    if (caller_.channel() < 0)
        throw Error("the command ended before the container ran").exit_with(125);
    if (words[0] == "signal" && words.size() == 2)
        throw Error("interrupted").exit_with(128 + parse_number<int>(words[1]).value_or(0));
}

void Monitor::mount_root() {
    const Store store(containers_.store_root());
    Snapshots(store).mount({.layers = layers_of(settings_),
                            .upper = container_.file("upper"),
                            .work = container_.file("work"),
                            .target = container_.file("rootfs")},
                           settings_.auto_remove);
    mounted_ = true;
}

void Monitor::create() {
    sys::make_directories(runtime_.state_root(), 0700);
    RuntimeClient::CreateOptions create{.bundle = container_.directory(),
                                        .pid_file = container_.file("pid"),
                                        .console_socket = {},
                                        .io = {-1, -1, -1},
                                        .asking = options_.attach ? caller_.channel() : -1,
                                        .heed = [this] { heed_caller(); }};
    std::optional<ConsoleSocket> console;
    sys::Pipe in, out, err;
    if (settings_.tty) {
        console.emplace(volatile_directory(containers_.store_root()) + "/" +
                        settings_.id.substr(0, 12) + ".sock");
        create.console_socket = console->path();
    } else {
        out = sys::pipe(), err = sys::pipe();
        create.io = {.in = -1, .out = out.write.get(), .err = err.write.get()};
        if (settings_.open_stdin) in = sys::pipe(), create.io.in = in.read.get();
    }
    created_ = true;
    context("failed to create task for container", [&] { runtime_.create(settings_.id, create); });
    state_.pid = parse_number<pid_t>(trim(read_file(create.pid_file))).value_or(0);
    pidfd_ = sys::pidfd_open(state_.pid, "opening the container's process");
    state_.pid_started = start_time(state_.pid);
    ::unlink(create.pid_file.c_str());

    ContainerIo io{.input = std::move(in.write),
                   .output = std::move(out.read),
                   .errors = std::move(err.read),
                   .console = {}};
    if (console) {
        io.console = console->receive();
        if (options_.attach && size_.ws_row) ::ioctl(io.console.get(), TIOCSWINSZ, &size_);
    }
    // -d with -i: the input stays open, and silent.
    relay_.emplace(std::move(io), pidfd_.get(), container_.file("log"), caller_,
                   options_.attach_input);
}

void Monitor::start() {
    state_.status = "running", state_.started_at = rfc3339_now(), state_.exit_code = 0,
    state_.error.clear(), state_.finished_at.clear();
    container_.save(state_);  // before it runs: whoever it tells of itself must find it
    context("failed to start container", [&] { runtime_.start(settings_.id); });
}

void Monitor::relay() {
    change_.reset();  // it runs, and state.json says so
    caller_.tell("started");
    if (!options_.attach) relay_->lose_caller();
    try {
        relay_->run();
    } catch (const std::exception& e) {  // nobody would see its end
        log_error(str("monitor of ", settings_.id, ": ", e.what()));
        ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
    }
}

void Monitor::note_end() {
    siginfo_t info{};
    const bool known = ::waitid(P_PIDFD, id_t(pidfd_.get()), &info, WEXITED) == 0;
    state_.status = "exited", state_.pid = 0, state_.finished_at = rfc3339_now();
    state_.exit_code = !known                       ? 255
                       : info.si_code == CLD_EXITED ? info.si_status
                                                    : 128 + info.si_status;
    last_word_ = str("exit ", state_.exit_code);
    if (state_.exit_code == 137)
        state_.oom_killed = was_out_of_memory(settings_.cgroup_parent + "/keg-" + settings_.id);
}

void Monitor::note_failure(const Error& error) {
    const std::string text = error.what();
    int code = error.exit_code();
    if (!code) code = created_ ? failure_code(text, 125) : 125;
    state_ = {};
    state_.error = text, state_.exit_code = code == 125 ? 128 : code;
    last_word_ = str("failed ", code, " ", text);
}

void Monitor::end() {
    static constexpr struct {
        const char* doing;
        void (Monitor::*step)();
    } steps[] = {
        {"keeping the exit code", &Monitor::note_exit_code},
        {"removing the container from the runtime", &Monitor::leave_runtime},
        {"unmounting the container", &Monitor::unmount},
        {"keeping the last output", &Monitor::drain},
        {"reserving the ports",
         &Monitor::begin_withdraw},  // who hears of the end and wants them waits
        {"saving how the container ended", &Monitor::save_end},
        {"telling the command", &Monitor::say_the_end_at_once},
        {"freeing the ports", &Monitor::withdraw},
        {"removing the container", &Monitor::remove_files},
        // From here on it can be started again, or removed.
        {"letting go of the container", &Monitor::let_go},
        {"telling the command", &Monitor::say_the_end},
        {"leaving the network", &Monitor::leave_network},
    };
    for (const auto& [doing, step] : steps) attempt(doing, [&] { (this->*step)(); });
}

// Who waits for the lock has its file open, and can read this even when all is removed.
void Monitor::note_exit_code() {
    if (!last_word_.starts_with("exit ")) return;
    std::string text = str(state_.exit_code);
    text.resize(size_of_exit_note, ' ');
    if (::pwrite(life_->fd(), text.data(), text.size(), 0) < 0)
        throw SysError("writing ", container_.file("lock"));
}

void Monitor::leave_runtime() {
    if (created_) runtime_.remove(settings_.id);
}

void Monitor::unmount() {
    attempt("unmounting what was lent to it", [&] { unmount_all(container_); });
    if (mounted_) Snapshots::unmount(container_.file("rootfs"));
}

void Monitor::drain() {
    if (relay_ && last_word_.starts_with("exit ")) relay_->drain();
}

void Monitor::begin_withdraw() {
    if (endpoint_) endpoint_->begin_withdraw();
}

void Monitor::save_end() {
    state_.network = {};
    if (settings_.auto_remove)
        hidden_ = containers_.hide(container_);
    else
        container_.save_end(state_);
}

void Monitor::say_the_end_at_once() {
    // It hears of the end behind the output, and nobody else waits for that.
    if (!caller_.is_behind()) say_the_end();
}

void Monitor::withdraw() {
    if (endpoint_) endpoint_->withdraw();
}

void Monitor::remove_files() {
    if (hidden_.empty()) return;
    remove_anonymous_volumes(containers_, container_);
    sys::remove_tree(hidden_);
}

void Monitor::let_go() { life_.reset(), change_.reset(); }

void Monitor::say_the_end() {
    if (std::exchange(told_, true)) return;
    caller_.wait_until_caught_up();
    caller_.tell(last_word_);
    caller_.leave();
}

void Monitor::leave_network() {
    if (endpoint_) endpoint_->release();
    endpoint_.reset();
}

}  // namespace

Monitored start_monitored(const Containers& containers, Container container, StartLocks locks,
                          const MonitorOptions& options) {
    assert_single_threaded();
    MonitoredStart start(options);
    const pid_t pid = check(::fork(), "fork");
    if (pid == 0) {
        UniqueFd channel = start.become_monitor();
        Monitor(containers, std::move(container), std::move(locks), options, start.size(),
                std::move(channel))
            .run();
        ::_exit(0);
    }
    // The locks are the monitor's alone from here on: a command that is stopped (^Z) holds nobody
    // up.
    {
        const StartLocks dropped = std::move(locks);
    }
    return start.become_caller();
}

void clean_up_after_monitor(const Containers& containers, const Container& container,
                            const std::string& runtime) {
    const RuntimeClient client(volatile_directory(containers.store_root()) + "/runtime",
                               runtime.empty() ? container.settings().runtime : runtime);
    const bool known = sys::exists(client.state_root() + "/" + container.id());
    if (known)
        attempt("removing the container from the runtime", [&] { client.remove(container.id()); });
    attempt("unmounting what was lent to it", [&] { unmount_all(container); });
    const bool mounted =
        ::umount2(container.file("rootfs").c_str(), MNT_DETACH) == 0;  // EINVAL: it is not
    const std::vector<PortBinding> ports = container.last_state().network.ports;
    if (!known && !mounted && ports.empty()) return;
    if (container.settings().network == "bridge")
        attempt("leaving the network", [&] { forget_endpoint(containers.store_root(), ports); });
}
