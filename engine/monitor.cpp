// A monitor is a fork of the command that started it, in a session of its own, and a child subreaper:
// when the runtime's `create` has returned, the container's init is its child, so the exit status is
// its to know. It talks to the command through a socket of packets:
//
//     monitor                                command
//     "started"  ──────────────────────────▶ prints the ID and goes (-d), or stays
//     "failed CODE TEXT" ──────────────────▶ throws it
//                ◀── "signal N", "size H W"
//     "exit CODE", "detached" ─────────────▶ exits
//
// The command's own descriptors 0, 1, 2 were inherited and are used directly; when it goes, or has
// been told the end, they are dropped, so that nobody waits for the monitor's end by mistake. What is
// slow to undo (rules, devices) comes after that message.
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
#include "engine/caller.h"
#include "engine/console.h"
#include "engine/network.h"
#include "engine/prepare.h"
#include "engine/relay.h"
#include "image/snapshots.h"
#include "runtime/client.h"

namespace {

class Monitor {
public:
    Monitor(const Containers& containers, Container container, FileLock lock, const MonitorOptions& options, UniqueFd channel)
        : containers_(containers), container_(std::move(container)), lock_(std::move(lock)), options_(options),
          caller_(std::move(channel), options.attach), settings_(container_.settings()),
          runtime_(volatile_directory(containers.store_root()) + "/runtime", options.runtime.empty() ? settings_.runtime : options.runtime) {}

    void run() noexcept;

private:
    void become_independent();
    void bring_up();
    void mount_root();
    void create();
    void start();

    void finish();
    void fail(const Error& error);
    void undo_mounts();
    void remove_files();
    void tear_down_network();
    void note_exit_code(const std::string& text);

    Containers containers_;
    Container container_;
    std::optional<FileLock> lock_;
    MonitorOptions options_;
    Caller caller_;
    const Settings settings_;
    RuntimeClient runtime_;
    State state_;
    std::optional<Endpoint> endpoint_;
    UniqueFd pidfd_;
    std::optional<Relay> relay_;
    bool mounted_ = false, created_ = false;
    std::string hidden_;   // what is left to delete of a container that nobody sees any more
};

int pidfd_open(pid_t pid) { return int(::syscall(SYS_pidfd_open, pid, 0)); }

// Docker's way to tell 126 and 127 from 125: by the runtime's words.
int code_for(const std::string& text) {
    const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
    if (says("executable file not found") || says("no such file or directory") || says("system cannot find")) return 127;
    if (says("permission denied") || says("is a directory") || says("not a directory") || says("exec format error")) return 126;
    return 125;
}

void Monitor::run() noexcept {
    try {
        try {
            become_independent();
            bring_up();
        } catch (Error& e) {
            return fail(e);
        } catch (const std::exception& e) {
            return fail(Error(e.what()));
        }
        caller_.tell("started");
        if (!options_.attach) relay_->lose_caller();
        relay_->run();
        finish();
    } catch (const std::exception& e) {
        log_error(str("monitor of ", settings_.id, ": ", e.what()));
    }
}

// In the lock's file: who waits for the lock has it open, and can read this even when all is removed.
void Monitor::note_exit_code(const std::string& text) {
    if (::ftruncate(lock_->fd(), 0) == 0) (void)!::pwrite(lock_->fd(), text.data(), text.size(), 0);
}

void Monitor::become_independent() {
    note_exit_code("");
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
    if (settings_.network == "bridge") endpoint_.emplace(containers_.store_root(), settings_.id, settings_.ports);
    const Prepared prepared = prepare_bundle(containers_, container_, endpoint_ ? endpoint_->state() : NetworkState{});
    create();
    if (endpoint_) endpoint_->connect(state_.pid), state_.network = endpoint_->state();
    start();
}

void Monitor::mount_root() {
    const Store store(containers_.store_root());
    Snapshot snapshot{.layers = {}, .upper = container_.file("upper"), .work = container_.file("work"), .target = container_.file("rootfs")};
    for (const std::string& layer : settings_.layers) snapshot.layers.emplace_back(layer);
    Snapshots(store).mount(snapshot, settings_.auto_remove);
    mounted_ = true;
}

void Monitor::create() {
    sys::make_directories(runtime_.state_root(), 0700);
    RuntimeClient::CreateOptions create{.bundle = container_.directory(), .pid_file = container_.file("pid"), .console_socket = {}, .io = {-1, -1, -1}};
    std::optional<ConsoleSocket> console;
    sys::Pipe in, out, err;
    if (settings_.tty) {
        console.emplace(volatile_directory(containers_.store_root()) + "/" + settings_.id.substr(0, 12) + ".sock");
        create.console_socket = console->path();
    } else {
        out = sys::pipe(), err = sys::pipe();
        create.io = {.in = -1, .out = out.write.get(), .err = err.write.get()};
        if (settings_.open_stdin) in = sys::pipe(), create.io.in = in.read.get();
    }
    created_ = true;
    context("failed to create task for container", [&] { runtime_.create(settings_.id, create); });
    state_.pid = parse_number<pid_t>(trim(read_file(create.pid_file))).value_or(0);
    pidfd_.reset(check(pidfd_open(state_.pid), "opening the container's process"));
    state_.pid_started = start_time(state_.pid);
    ::unlink(create.pid_file.c_str());

    ContainerIo io{.input = std::move(in.write), .output = std::move(out.read), .errors = std::move(err.read), .console = {}};
    if (console) {
        io.console = console->receive();
        winsize size{};
        if (options_.attach && (::ioctl(1, TIOCGWINSZ, &size) == 0 || ::ioctl(0, TIOCGWINSZ, &size) == 0)) ::ioctl(io.console.get(), TIOCSWINSZ, &size);
    }
    // -d with -i: the input stays open, and silent.
    relay_.emplace(std::move(io), pidfd_.get(), container_.file("log"), caller_, options_.attach_input);
}

void Monitor::start() {
    state_.status = "running", state_.started_at = rfc3339_now(), state_.exit_code = 0, state_.error.clear(), state_.finished_at.clear();
    container_.save(state_);   // before it runs: whoever it tells of itself must find it
    context("failed to start container", [&] { runtime_.start(settings_.id); });
}

void Monitor::undo_mounts() {
    if (std::exchange(created_, false))
        attempt("removing the container from the runtime", [&] { runtime_.remove(settings_.id); });
    if (std::exchange(mounted_, false)) attempt("unmounting the container", [&] { Snapshots::unmount(container_.file("rootfs")); });
}

// How many processes of the container the kernel killed for want of memory (cgroup v1, v2).
static bool was_oom_killed(const std::string& cgroup) {
    for (const std::string& file : {"/sys/fs/cgroup/memory" + cgroup + "/memory.oom_control", "/sys/fs/cgroup" + cgroup + "/memory.events"})
        for (const std::string& line : split(read_file_if_exists(file).value_or(""), '\n'))
            if (line.starts_with("oom_kill ")) return line != "oom_kill 0";
    return false;
}

void Monitor::finish() {
    siginfo_t info{};
    const bool known = ::waitid(P_PIDFD, id_t(pidfd_.get()), &info, WEXITED) == 0;
    state_.status = "exited", state_.pid = 0, state_.finished_at = rfc3339_now();
    state_.exit_code = !known ? 255 : info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    if (state_.exit_code == 137) state_.oom_killed = was_oom_killed(settings_.cgroup_parent + "/keg-" + settings_.id);
    undo_mounts();
    relay_->drain();
    if (endpoint_) endpoint_->begin_withdraw();   // who hears of the end and wants the ports waits for them
    state_.network = {};
    if (settings_.auto_remove) hidden_ = containers_.hide(container_);
    else container_.save(state_);
    note_exit_code(str(state_.exit_code));
    const auto say_the_end = [&] { caller_.tell(str("exit ", state_.exit_code)), caller_.leave(); };
    const bool behind = caller_.is_behind();   // it hears of the end behind the output, and nobody else waits for that
    if (!behind) say_the_end();
    if (endpoint_) endpoint_->withdraw();
    remove_files();
    lock_.reset();
    if (behind) caller_.wait_until_caught_up(), say_the_end();
    tear_down_network();
}

void Monitor::remove_files() {
    if (hidden_.empty()) return;
    remove_anonymous_volumes(containers_, container_);
    attempt("removing the container", [&] { sys::remove_tree(hidden_); });
}

void Monitor::tear_down_network() {
    if (endpoint_) attempt("leaving the network", [&] { endpoint_->release(); });
    endpoint_.reset();
}

void Monitor::fail(const Error& error) {
    const std::string text = error.what();
    const int code = error.exit_code() ? error.exit_code() : code_for(created_ ? text : "");
    undo_mounts();
    if (endpoint_) endpoint_->withdraw();
    state_ = {};
    state_.error = text, state_.exit_code = code == 125 ? 128 : code;
    attempt("saving the container", [&] {
        if (settings_.auto_remove) hidden_ = containers_.hide(container_);
        else container_.save(state_);
    });
    caller_.tell(str("failed ", code, " ", text));
    caller_.leave();
    remove_files();
    lock_.reset();
    tear_down_network();
}

std::string receive(int channel) {
    std::string message(65536, '\0');
    ssize_t n;
    do n = ::recv(channel, message.data(), message.size(), 0);
    while (n < 0 && errno == EINTR);
    message.resize(n > 0 ? size_t(n) : 0);
    return message;
}

}  // namespace

Monitored start_monitored(const Containers& containers, Container container, FileLock lock, const MonitorOptions& options) {
    sys::SocketPair channel = sys::socketpair(SOCK_SEQPACKET);
    assert_single_threaded();
    const sigset_t passed = signals_to_pass();
    sigset_t before;
    ::sigprocmask(options.attach ? SIG_BLOCK : SIG_UNBLOCK, &passed, &before);
    const pid_t pid = check(::fork(), "fork");
    if (pid == 0) {
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        channel.a.reset();
        Monitor(containers, std::move(container), std::move(lock), options, std::move(channel.b)).run();
        ::_exit(0);
    }
    channel.b.reset();
    Monitored monitored;
    if (options.raw_terminal) monitored.terminal_ = std::make_unique<RawTerminal>();   // before the first output
    const std::string message = receive(channel.a.get());
    monitored.channel_ = std::move(channel.a);
    if (message == "started") return monitored;
    const std::vector<std::string> words = split(message, ' ');
    if (words.size() < 3 || words[0] != "failed") throw Error("the container's monitor died before the container ran").exit_with(125);
    throw Error(message.substr(words[0].size() + words[1].size() + 2)).exit_with(parse_number<int>(words[1]).value_or(125));
}

void clean_up_after_monitor(const Containers& containers, const Container& container, const std::string& runtime) {
    const RuntimeClient client(volatile_directory(containers.store_root()) + "/runtime", runtime.empty() ? container.settings().runtime : runtime);
    const bool known = sys::exists(client.state_root() + "/" + container.id());
    if (known) attempt("removing the container from the runtime", [&] { client.remove(container.id()); });
    const bool mounted = ::umount2(container.file("rootfs").c_str(), MNT_DETACH) == 0;   // EINVAL: it is not
    if (!known && !mounted) return;
    if (container.settings().network == "bridge") forget_endpoint(containers.store_root(), container.last_state().network.ports);
}

void remove_anonymous_volumes(const Containers& containers, const Container& container) {
    for (const VolumeMount& mount : container.settings().mounts)
        if (mount.type == "volume" && mount.anonymous)
            attempt("removing a volume", [&] { sys::remove_tree(containers.store_root() + "/volumes/" + mount.source); });
}
