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
// By its restart policy a container may run more than once: up, watched, down, and after a pause up
// again. The command hears of the first end only. Between two runs the monitor holds no lock but
// its own, so that the container can be stopped and removed; who wants that says so in the lock's
// file, which the monitor watches.
//
// What is hard is the end: it comes at any time, on a full disk as well, and whatever fails then,
// the rest must be done all the same. So it is a table of steps, each of which is attempted, with
// the exit code first: in the lock's file and in state.end there has been room for it since the
// start. What is slow to undo (rules, devices) comes after the command has been told.
#include "engine/monitor.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "container/files.h"
#include "container/host_cgroups.h"
#include "container/network.h"
#include "engine/attachers.h"
#include "engine/caller.h"
#include "engine/console.h"
#include "engine/events.h"
#include "engine/health.h"
#include "engine/host_mounts.h"
#include "engine/name_server.h"
#include "engine/network_table.h"
#include "engine/prepare.h"
#include "engine/relay.h"
#include "engine/volumes.h"
#include "image/snapshots.h"
#include "runtime/client.h"

namespace {

// Docker's: the pause before a restart doubles, until a run lasts long enough.
constexpr std::chrono::milliseconds shortest_pause(100), longest_pause(60'000), long_enough(10'000);

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
    void run_once();
    bool shall_restart() const;
    bool wait_for_restart();
    void take_down();
    void bring_up();
    void heed_caller();
    void mount_root();
    void take_places();
    void create();
    void connect();
    void start();
    void relay();

    void note_failure(const Error& error);
    void note_end();
    struct Step {
        const char* doing;
        void (Monitor::*step)();
    };
    void attempt_all(std::initializer_list<Step> steps);
    void end();
    void save_pause();
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
    void note_end_event();
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
    std::vector<std::unique_ptr<Endpoint>> endpoints_;
    std::optional<NameServer> name_server_;
    UniqueFd pidfd_;
    std::optional<HealthChecks> health_;
    std::optional<Relay> relay_;
    bool mounted_ = false, created_ = false, told_ = false, has_run_ = false;
    std::chrono::steady_clock::time_point run_began_;
    std::chrono::milliseconds pause_ = shortest_pause;
    std::string last_word_;  // for the caller
    std::string hidden_;     // what is left to delete of a container that nobody sees any more
};

void Monitor::run() noexcept {
    run_once();
    while (shall_restart()) {
        take_down();
        if (!wait_for_restart()) {
            state_.status = "exited";
            break;
        }
        run_once();
    }
    end();
}

void Monitor::run_once() {
    try {
        if (!has_run_) become_independent();
        bring_up();
        has_run_ = true;
        relay();
        note_end();
    } catch (Error& e) {
        note_failure(e);
    } catch (const std::exception& e) {
        note_failure(Error(e.what()));
    }
}

bool Monitor::shall_restart() const try {
    if (!has_run_ || container_.is_asked_to_stop()) return false;
    // As it is now: `update` may have changed it.
    const auto now = containers_.find_even_damaged(settings_.id);
    if (!now || !now->damage().empty()) return false;
    const RestartPolicy& policy = now->settings().restart;
    if (policy.name == "on-failure")
        return state_.exit_code != 0 && (!policy.most || state_.restart_count < policy.most);
    return policy.name == "always" || policy.name == "unless-stopped";
} catch (const std::exception& e) {
    log_error(str("monitor of ", settings_.id, ": ", e.what()));
    return false;
}

// What only one run has; the steps are those of the end that concern it.
void Monitor::take_down() {
    attempt_all({{"removing the container from the runtime", &Monitor::leave_runtime},
                 {"unmounting the container", &Monitor::unmount},
                 {"keeping the last output", &Monitor::drain},
                 {"freeing the ports", &Monitor::withdraw},
                 {"saving that it will be started again", &Monitor::save_pause},
                 {"telling the command", &Monitor::say_the_end}});
    note_event(containers_, container_, "die", {{"exitCode", str(state_.exit_code)}});
    endpoints_.clear(), relay_.reset(), name_server_.reset(), health_.reset(), pidfd_.reset(),
        change_.reset();
    created_ = mounted_ = false;
}

void Monitor::save_pause() {
    state_.status = "restarting", state_.network = {}, state_.more_networks = {};
    ++state_.restart_count;
    container_.save(state_);
}

// False: somebody wants it to stay down. True: we have the right to change it, as at its first
// start.
bool Monitor::wait_for_restart() try {
    using Clock = std::chrono::steady_clock;
    const UniqueFd watch(check(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify"));
    check(::inotify_add_watch(watch.get(), container_.file("lock").c_str(), IN_MODIFY), "watching ",
          container_.file("lock"));
    if (Clock::now() - run_began_ >= long_enough) pause_ = shortest_pause;
    const auto due = Clock::now() + pause_;
    pause_ = std::min(pause_ * 2, longest_pause);
    while (!container_.is_asked_to_stop()) {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now());
        if (left <= left.zero()) {
            change_ = FileLock::try_lock(container_.file("changing"));
            if (change_) break;
            left = std::chrono::milliseconds(20);  // somebody renames it, or stops it
        }
        pollfd changed{watch.get(), POLLIN, 0};
        ::poll(&changed, 1, int(left.count()));
        alignas(inotify_event) char buffer[512];
        while (::read(watch.get(), buffer, sizeof buffer) > 0) {
        }
    }
    return change_ && !container_.is_asked_to_stop();
} catch (const std::exception& e) {
    log_error(str("monitor of ", settings_.id, ": ", e.what()));
    return false;
}

void Monitor::become_independent() {
    const std::string room(size_of_lock_file, ' ');  // taken now: at the end the disk may be full
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
    take_places();
    std::vector<NetworkState> places;
    for (const auto& endpoint : endpoints_) places.push_back(endpoint->state());
    const Prepared prepared = prepare_bundle(containers_, container_, places);
    heed_caller();
    create();
    heed_caller();
    if (!endpoints_.empty()) connect();
    heed_caller();
    start();
}

// The ports are published where the way out is: in the first network that has one.
void Monitor::take_places() {
    endpoints_.clear();
    bool has_way_out = false;
    for (const NetworkWish& wish : bridges_of(settings_)) {
        const BridgeNetwork bridge =
            wish.name == "bridge" ? BridgeNetwork{}
                                  : bridge_of(get_network(containers_.store_root(), wish.name));
        EndpointWish place{.address = wish.ip,
                           .mac = wish.mac,
                           .number = int(endpoints_.size()),
                           .default_route = !has_way_out && !bridge.internal};
        if (!bridge.name.empty()) {
            place.names = {settings_.name};
            place.names.insert(place.names.end(), wish.aliases.begin(), wish.aliases.end());
            place.names.push_back(settings_.id.substr(0, 12));
        }
        has_way_out |= place.default_route;
        endpoints_.push_back(std::make_unique<Endpoint>(
            containers_.store_root(), settings_.id,
            place.default_route ? settings_.ports : std::vector<PortBinding>{}, bridge, place));
    }
}

void Monitor::connect() {
    const UniqueFd network = sys::open(str("/proc/", state_.pid, "/ns/net"), O_RDONLY);
    state_.more_networks.clear();
    NameServerOptions served;
    for (const auto& endpoint : endpoints_) {
        endpoint->connect(network.get(), state_.pid);
        NetworkState place = endpoint->state();
        if (!place.name.empty()) {
            place.network_id = get_network(containers_.store_root(), place.name).id;
            served.networks.push_back(network_directory(containers_.store_root(), place.name));
        }
        if (endpoint == endpoints_.front())
            state_.network = place;
        else
            state_.more_networks.push_back(place);
    }
    if (served.networks.empty()) return;
    served.upstreams = settings_.dns.empty() ? host_name_servers() : settings_.dns;
    name_server_.emplace(network.get(), std::move(served));
    relay_->serve_names(*name_server_);
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
    } else if (settings_.log.driver == "passthrough") {
        create.io = {.in = settings_.open_stdin ? 0 : -1, .out = 1, .err = 2};
    } else {
        out = sys::pipe(), err = sys::pipe();
        create.io = {.in = -1, .out = out.write.get(), .err = err.write.get()};
        if (settings_.open_stdin) in = sys::pipe(), create.io.in = in.read.get();
    }
    created_ = true;
    context("failed to create task for container", [&] { runtime_.create(settings_.id, create); });
    state_.pid = parse_number<pid_t>(trim(read_file(create.pid_file))).value_or(0);
    pidfd_ = sys::pidfd_open(state_.pid, "opening the container's process");
    state_.pid_started = start_time(state_.pid), state_.boot = boot_id();
    ::unlink(create.pid_file.c_str());

    ContainerIo io{.input = std::move(in.write),
                   .output = std::move(out.read),
                   .errors = std::move(err.read),
                   .console = {}};
    if (console) {
        io.console = console->receive();
        if (options_.attach && size_.ws_row) ::ioctl(io.console.get(), TIOCSWINSZ, &size_);
    }
    if (settings_.health) health_.emplace(containers_, container_, runtime_, state_.pid);
    // -d with -i: the input stays open, and silent until somebody attaches.
    const std::string& driver = settings_.log.driver;
    relay_.emplace(
        std::move(io), pidfd_.get(), caller_,
        RelayOptions{.log =
                         driver == "none" || driver == "passthrough" ? "" : container_.file("log"),
                     .log_settings = settings_.log,
                     .attach_input = options_.attach_input && !has_run_,
                     .input_once = settings_.open_stdin && settings_.attach,
                     .detach_keys = options_.detach_keys,
                     .attach_socket = attach_socket(containers_.store_root(), settings_.id),
                     .health = health_ ? &*health_ : nullptr});
}

void Monitor::start() {
    state_.status = "running", state_.started_at = rfc3339_now(), state_.exit_code = 0,
    state_.error.clear(), state_.finished_at.clear(), state_.oom_killed = false;
    run_began_ = std::chrono::steady_clock::now();
    container_.save(state_);  // before it runs: whoever it tells of itself must find it
    context("failed to start container", [&] { runtime_.start(settings_.id); });
}

void Monitor::relay() {
    change_.reset();  // it runs, and state.json says so
    caller_.tell("started");
    if (!options_.attach) relay_->lose_caller();
    note_event(containers_, container_, "start");
    ::malloc_trim(0);  // from here on it waits, as long as the container lives
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
    state_ = {.restart_count = state_.restart_count};
    state_.error = text, state_.exit_code = code == 125 ? 128 : code;
    if (has_run_) state_.status = "exited", state_.finished_at = rfc3339_now();
    last_word_ = str("failed ", code, " ", text);
}

void Monitor::attempt_all(std::initializer_list<Step> steps) {
    for (const Step& one : steps) attempt(one.doing, [&] { (this->*one.step)(); });
}

void Monitor::end() {
    attempt_all({
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
        {"noting the end", &Monitor::note_end_event},
        // From here on it can be started again, or removed.
        {"letting go of the container", &Monitor::let_go},
        {"telling the command", &Monitor::say_the_end},
        {"leaving the network", &Monitor::leave_network},
    });
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
    if (!relay_) return;
    if (last_word_.starts_with("exit ")) relay_->drain();
    relay_->tell_end(state_.exit_code);
}

void Monitor::begin_withdraw() {
    for (const auto& endpoint : endpoints_) endpoint->begin_withdraw();
}

void Monitor::save_end() {
    state_.network = {}, state_.more_networks = {};
    if (settings_.auto_remove)
        hidden_ = containers_.hide(container_);
    else
        container_.save_end(state_);
}

void Monitor::say_the_end_at_once() {
    // It hears of the end behind the output, and nobody else waits for that.
    if (!caller_.is_behind() && !(relay_ && relay_->is_behind())) say_the_end();
}

void Monitor::withdraw() {
    for (const auto& endpoint : endpoints_) endpoint->withdraw();
}

void Monitor::remove_files() {
    if (hidden_.empty()) return;
    remove_anonymous_volumes(containers_, container_);
    sys::remove_tree(hidden_);
}

void Monitor::let_go() { life_.reset(), change_.reset(); }

void Monitor::say_the_end() {
    if (relay_) relay_->wait_for_attached();
    if (std::exchange(told_, true)) return;
    caller_.wait_until_caught_up();
    caller_.tell(last_word_);
    caller_.leave();
}

void Monitor::note_end_event() {
    if (relay_) note_event(containers_, container_, "die", {{"exitCode", str(state_.exit_code)}});
    if (state_.oom_killed) note_event(containers_, container_, "oom");
    if (settings_.auto_remove) note_event(containers_, container_, "destroy");
}

void Monitor::leave_network() {
    for (const auto& endpoint : endpoints_) endpoint->release();
    if (!endpoints_.empty() || !has_run_) return;
    for (const NetworkWish& wish : bridges_of(settings_))  // it ended while it waited
        forget_endpoint(containers_.store_root(), {}, wish.name == "bridge" ? "" : wish.name);
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
    ::unlink(attach_socket(containers.store_root(), container.id()).c_str());
    const bool mounted =
        ::umount2(container.file("rootfs").c_str(), MNT_DETACH) == 0;  // EINVAL: it is not
    const std::vector<PortBinding> ports = container.last_state().network.ports;
    if (!known && !mounted && ports.empty()) return;
    for (const NetworkWish& wish : bridges_of(container.settings()))
        attempt("leaving the network", [&] {
            forget_endpoint(containers.store_root(), ports, wish.name == "bridge" ? "" : wish.name);
        });
}
