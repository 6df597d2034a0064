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
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/root.h"
#include "base/sys.h"
#include "engine/config.h"
#include "engine/files.h"
#include "engine/logs.h"
#include "engine/network.h"
#include "image/snapshots.h"
#include "runtime/client.h"

namespace {

class Monitor {
public:
    Monitor(const Containers& containers, Container container, FileLock lock, const MonitorOptions& options, UniqueFd channel)
        : containers_(containers), container_(std::move(container)), lock_(std::move(lock)), options_(options),
          channel_(std::move(channel)), settings_(container_.settings()),
          runtime_(volatile_directory(containers.store_root()) + "/runtime", options.runtime.empty() ? settings_.runtime : options.runtime) {}

    void run() noexcept;

private:
    void become_independent();
    void bring_up();
    void mount_root();
    std::vector<VolumeMount> prepare_volumes(const Root& root) const;
    void write_files();
    void create();
    void start();

    void relay();
    void read_output(UniqueFd& from, bool is_error);
    void write_to_caller(int fd, std::string_view data);
    void read_input();
    void write_input();
    void hear_caller();
    void lose_caller();

    void finish();
    void fail(const Error& error);
    void undo_mounts();
    void tear_down_network();
    void note_exit_code(const std::string& text);
    void tell(const std::string& message);

    Containers containers_;
    Container container_;
    std::optional<FileLock> lock_;
    MonitorOptions options_;
    UniqueFd channel_;
    const Settings settings_;
    RuntimeClient runtime_;
    State state_;
    std::optional<Endpoint> endpoint_;
    std::optional<LogWriter> log_;
    std::string hostname_;
    bool mounted_ = false, created_ = false;
    // Ends of the container's stdio; with a terminal only `console_`.
    UniqueFd input_, output_, errors_, console_, pidfd_;
    UniqueFd listener_;
    std::string pending_input_;
    bool input_open_ = false, prefix_key_ = false;
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
        tell("started");
        if (!options_.attach) lose_caller();
        relay();
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
    write_files();
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

std::vector<VolumeMount> Monitor::prepare_volumes(const Root& root) const {
    std::vector<VolumeMount> mounts = settings_.mounts;
    for (VolumeMount& mount : mounts) {
        if (mount.type == "bind") {
            if (sys::exists(mount.source)) continue;
            if (mount.no_copy) throw Error("invalid mount config for type \"bind\": bind source path does not exist: ", mount.source);
            sys::make_directories(mount.source, 0755);
            continue;
        }
        mount.source = containers_.store_root() + "/volumes/" + mount.source + "/_data";
        const bool is_new = !sys::exists(mount.source);
        if (is_new) sys::make_directories(mount.source, 0755);
        // An empty volume starts with what the image has there.
        if (mount.no_copy || ::rmdir(mount.source.c_str()) < 0) continue;
        sys::mkdir(mount.source, 0755);
        const auto inside = root.open_if_exists(mount.destination, O_DIRECTORY | O_RDONLY);
        if (!inside) continue;
        const Output copied = run_program({"cp", "-a", "--", str("/proc/", ::getpid(), "/fd/", inside->get(), "/."), mount.source});
        if (copied.status.shell()) throw Error("copying the image's content to the volume: ", trim(copied.err));
    }
    return mounts;
}

void Monitor::write_files() {
    const Root root(container_.file("rootfs"));
    ConfigInputs in;
    in.user = resolve_user(root, settings_.user, settings_.group_add);
    if (settings_.working_dir.size() > 1)
        try {
            root.make_directories(settings_.working_dir);
        } catch (const SysError& e) {
            if (e.code() == ENOTDIR) throw Error("Cannot mkdir: ", settings_.working_dir, " is not a directory");
            throw;
        }
    in.mounts = prepare_volumes(root);
    in.cgroup_v2 = host_has_cgroup_v2();
    in.all_capabilities = own_capabilities();
    add_devices(settings_, in);
    root.open(".dockerenv", O_WRONLY | O_CREAT | O_NOFOLLOW, 0755);
    const Root::Place mtab = root.make_place("etc/mtab");   // Docker's own, where the image has none
    if (::symlinkat("/proc/mounts", mtab.parent.get(), mtab.name.c_str()) < 0 && errno != EEXIST) throw SysError("making /etc/mtab");

    hostname_ = settings_.hostname;
    const bool host = settings_.network == "host";
    if (hostname_.empty() && (host || settings_.uts == "host")) {
        char name[65] = "";
        ::gethostname(name, sizeof name - 1);
        hostname_ = name;
    }
    if (hostname_.empty()) hostname_ = settings_.id.substr(0, 12);
    in.hostname = hostname_;

    in.hostname_path = container_.file("hostname"), in.hosts_path = container_.file("hosts"), in.resolv_path = container_.file("resolv.conf");
    const NetworkState network = endpoint_ ? endpoint_->state() : NetworkState{};
    const std::string hosts = host && settings_.extra_hosts.empty()
                                  ? read_file_if_exists("/etc/hosts").value_or("")
                                  : hosts_file(settings_.extra_hosts, network.gateway, true, network.address, hostname_, settings_.domainname);
    const ResolvOptions resolv{.dns = settings_.dns, .search = settings_.dns_search, .options = settings_.dns_options, .filter = !host};
    write_file(in.hostname_path, hostname_ + "\n");
    write_file(in.hosts_path, hosts);
    write_file(in.resolv_path, resolv_conf(host ? read_file_if_exists("/etc/resolv.conf").value_or("") : host_resolv_conf(), resolv));
    write_file(container_.file("config.json"), spec::write(make_config(settings_, in), -1));
}

namespace {

UniqueFd listen_at(const std::string& path) {
    UniqueFd socket(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "opening a socket"));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw Error("the path of the console socket is too long: ", path);
    path.copy(address.sun_path, path.size());
    ::unlink(path.c_str());
    check(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "binding ", path);
    check(::listen(socket.get(), 1), "listening at ", path);
    return socket;
}

// The terminal that the runtime made for the container: it has been sent by the time `create` returns.
UniqueFd receive_console(int listener) {
    const UniqueFd connection(check(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "waiting for the console"));
    char name[256];
    iovec part{name, sizeof name};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part, message.msg_iovlen = 1, message.msg_control = control, message.msg_controllen = sizeof control;
    check(::recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC), "receiving the console");
    const cmsghdr* head = CMSG_FIRSTHDR(&message);
    if (!head || head->cmsg_type != SCM_RIGHTS) throw Error("the runtime sent no console");
    int fd = -1;
    std::copy_n(CMSG_DATA(head), sizeof fd, reinterpret_cast<unsigned char*>(&fd));
    return UniqueFd(fd);
}

}  // namespace

void Monitor::create() {
    sys::make_directories(runtime_.state_root(), 0700);
    RuntimeClient::CreateOptions create{.bundle = container_.directory(), .pid_file = container_.file("pid"), .console_socket = {}, .io = {}};
    sys::Pipe in, out, err;
    if (settings_.tty) {
        create.console_socket = volatile_directory(containers_.store_root()) + "/" + settings_.id.substr(0, 12) + ".sock";
        listener_ = listen_at(create.console_socket);
        create.io = {.in = -1, .out = -1, .err = -1};
    } else {
        out = sys::pipe(), err = sys::pipe();
        create.io = {.in = -1, .out = out.write.get(), .err = err.write.get()};
        if (settings_.open_stdin) in = sys::pipe(), create.io.in = in.read.get();
    }
    log_.emplace(container_.file("log"));
    created_ = true;
    const Defer no_socket([&] {
        if (!create.console_socket.empty()) ::unlink(create.console_socket.c_str());
    });
    context("failed to create task for container", [&] { runtime_.create(settings_.id, create); });
    state_.pid = parse_number<pid_t>(trim(read_file(create.pid_file))).value_or(0);
    pidfd_.reset(check(pidfd_open(state_.pid), "opening the container's process"));
    state_.pid_started = start_time(state_.pid);
    ::unlink(create.pid_file.c_str());
    if (settings_.tty) {
        console_ = receive_console(listener_.get());
        winsize size{};
        if (options_.attach && (::ioctl(1, TIOCGWINSZ, &size) == 0 || ::ioctl(0, TIOCGWINSZ, &size) == 0)) ::ioctl(console_.get(), TIOCSWINSZ, &size);
        ::fcntl(console_.get(), F_SETFL, O_NONBLOCK);
    } else {
        output_ = std::move(out.read), errors_ = std::move(err.read), input_ = std::move(in.write);
        for (const UniqueFd* fd : {&output_, &errors_, &input_})
            if (*fd) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
    }
    input_open_ = options_.attach_input;
    // -d with -i: the input stays open, and silent.
}

void Monitor::start() {
    state_.status = "running", state_.started_at = rfc3339_now(), state_.exit_code = 0, state_.error.clear(), state_.finished_at.clear();
    container_.save(state_);   // before it runs: whoever it tells of itself must find it
    context("failed to start container", [&] { runtime_.start(settings_.id); });
}

void Monitor::relay() {
    for (;;) {
        const bool want_input = input_open_ && pending_input_.empty() && channel_;
        const int to = console_ ? console_.get() : input_.get();
        pollfd fds[] = {{pidfd_.get(), POLLIN, 0},
                        {output_.get(), POLLIN, 0},
                        {errors_.get(), POLLIN, 0},
                        {console_.get(), short(POLLIN | (pending_input_.empty() ? 0 : POLLOUT)), 0},
                        {channel_.get(), POLLIN, 0},
                        {want_input ? 0 : -1, POLLIN, 0},
                        {!pending_input_.empty() && !console_ ? to : -1, POLLOUT, 0}};
        if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR) throw SysError("poll");
        if (fds[1].revents) read_output(output_, false);
        if (fds[2].revents) read_output(errors_, true);
        if (fds[3].revents & POLLOUT) write_input();
        if (fds[3].revents & ~POLLOUT) read_output(console_, false);
        if (fds[4].revents) hear_caller();
        if (fds[5].revents) read_input();
        if (fds[6].revents) write_input();
        if (fds[0].revents) break;
    }
    // All its processes are gone (or not of its pid namespace): what they wrote is here.
    while (output_) read_output(output_, false);
    while (errors_) read_output(errors_, true);
    while (console_) read_output(console_, false);
    log_->flush();
}

void Monitor::read_output(UniqueFd& from, bool is_error) {
    char buffer[65536];
    const ssize_t n = ::read(from.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) return;
    if (n < 0 && errno == EAGAIN) {
        pollfd ended{pidfd_.get(), POLLIN, 0};   // after the end, nothing more is the end too
        if (::poll(&ended, 1, 0) == 1) from.reset();
        return;
    }
    if (n <= 0) return from.reset();   // a terminal says EIO
    const std::string_view data(buffer, size_t(n));
    attempt("writing the log", [&] { log_->write(is_error, data); });
    if (options_.attach) write_to_caller(is_error ? 2 : 1, data);
}

// The caller's own descriptors may be anything, a closed pipe included: that is no matter of the container's.
void Monitor::write_to_caller(int fd, std::string_view data) {
    while (!data.empty()) {
        const ssize_t n = ::write(fd, data.data(), data.size());
        if (n > 0) data.remove_prefix(size_t(n));
        else if (n < 0 && errno == EAGAIN) {
            pollfd writable{fd, POLLOUT, 0};
            ::poll(&writable, 1, -1);
        } else if (errno != EINTR) return;
    }
}

void Monitor::read_input() {
    char buffer[32768];
    const ssize_t n = ::read(0, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) {
        input_open_ = false;
        if (pending_input_.empty()) input_.reset();
        return;
    }
    for (const char c : std::string_view(buffer, size_t(n))) {
        static constexpr char ctrl_p = 16, ctrl_q = 17;
        if (console_ && prefix_key_ && c == ctrl_q) {
            tell("detached");
            return lose_caller();
        }
        if (std::exchange(prefix_key_, false)) pending_input_ += ctrl_p;
        if (console_ && c == ctrl_p) prefix_key_ = true;
        else pending_input_ += c;
    }
    write_input();
}

void Monitor::write_input() {
    const int to = console_ ? console_.get() : input_.get();
    if (to < 0) return pending_input_.clear();
    while (!pending_input_.empty()) {
        const ssize_t n = ::write(to, pending_input_.data(), pending_input_.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) {   // nobody reads it any more
            pending_input_.clear(), input_open_ = false, input_.reset();
            return;
        }
        pending_input_.erase(0, size_t(n));
    }
    if (!input_open_) input_.reset();
}

void Monitor::hear_caller() {
    char buffer[256];
    const ssize_t n = ::recv(channel_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return lose_caller();
    const std::vector<std::string> words = split(std::string_view(buffer, size_t(n)), ' ');
    if (words[0] == "signal" && words.size() == 2)
        ::syscall(SYS_pidfd_send_signal, pidfd_.get(), parse_number<int>(words[1]).value_or(0), nullptr, 0);
    if (words[0] == "size" && words.size() == 3 && console_) {
        const winsize size{parse_number<uint16_t>(words[1]).value_or(0), parse_number<uint16_t>(words[2]).value_or(0), 0, 0};
        ::ioctl(console_.get(), TIOCSWINSZ, &size);
    }
}

void Monitor::lose_caller() {
    channel_.reset();
    if (options_.attach_input && !console_) input_.reset();   // its end is the input's end
    input_open_ = false;
    options_.attach = false;
    const UniqueFd nothing = sys::open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) ::dup2(nothing.get(), fd);
}

void Monitor::tell(const std::string& message) {
    if (channel_) (void)!::send(channel_.get(), message.data(), message.size(), MSG_NOSIGNAL);
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
    if (endpoint_) endpoint_->begin_withdraw();   // who hears of the end and wants the ports waits for them
    state_.network = {};
    std::string left;
    if (settings_.auto_remove) left = containers_.hide(container_);
    else container_.save(state_);
    note_exit_code(str(state_.exit_code));
    tell(str("exit ", state_.exit_code));
    lose_caller();
    if (endpoint_) endpoint_->withdraw();
    if (!left.empty()) {
        remove_anonymous_volumes(containers_, container_);
        attempt("removing the container", [&] { sys::remove_tree(left); });
    }
    lock_.reset();
    tear_down_network();
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
    std::string left;
    attempt("saving the container", [&] {
        if (settings_.auto_remove) left = containers_.hide(container_);
        else container_.save(state_);
    });
    tell(str("failed ", code, " ", text));
    lose_caller();
    if (!left.empty()) {
        remove_anonymous_volumes(containers_, container_);
        attempt("removing the container", [&] { sys::remove_tree(left); });
    }
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
