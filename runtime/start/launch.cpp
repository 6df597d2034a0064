// How a container comes to be, in two functions: create() on the host and Init::run() in what
// becomes the container.
//
//      create (on the host)                            init (becoming the container)
//      plan; state dir; v2 cgroup; clone ───────────▶  network namespace
//      v1 cgroups, limits; id maps;
//      move devices; save state        ── placed ───▶  join the cgroups
//      make the binds for it           ── mapped ───▶  namespaces; mount all under the new root
//      compile the seccomp profile     ── filter ───▶
//      prestart, createRuntime hooks   ◀── mounted ──  (if there are such hooks)
//                                      ── hooks_ran ▶  createContainer hooks; masks; pivot
//      (terminal, seccomp agent)       ◀── console, notify
//      raise rlimits                   ◀── ready ────  (if only the host may)
//                                      ── limited ──▶  drop privileges; seccomp; find the program
//      pid file                        ◀── made ─────  wait on the fifo for `start` …
//                                                      … startContainer hooks; exec
//
// Each message that waits for an answer costs two switches between the two, so one that has nothing
// to say is not sent. `made` is: a channel that is merely closed may be that of an init which
// somebody killed. An error from init is thrown again in create, in init's words, whenever it
// comes. If create dies, init dies with it, or finds its channel closed and ends. Whatever create
// made undoes itself unless the end is reached.
//
// Until it is a container's, init is a process of the host's with all rights, whom the container's
// neighbours may see. What it still holds of the host, who may look into it and with whom it ends
// stands between the steps below, as in the table of docs/security.md, which
// tests/integration/test_start.py holds against the kernel.
#include "runtime/start/launch.h"

#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/defer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sys.h"
#include "runtime/process/attributes.h"
#include "runtime/process/channel.h"
#include "runtime/process/credentials.h"
#include "runtime/process/keyring.h"
#include "runtime/process/network.h"
#include "runtime/process/passage.h"
#include "runtime/process/procfs.h"
#include "runtime/process/security_labels.h"
#include "runtime/process/signals.h"
#include "runtime/process/terminal.h"
#include "runtime/rootfs/devices.h"
#include "runtime/rootfs/host_binds.h"
#include "runtime/rootfs/mounts.h"
#include "runtime/rootfs/rootfs.h"
#include "runtime/seccomp/agent.h"
#include "runtime/seccomp/filter.h"
#include "runtime/start/program.h"
#include "runtime/state/hooks.h"
#include "runtime/state/notify_socket.h"
#include "spec/sysctl.h"

namespace {

class Init {
public:
    Init(const Plan& plan, Channel& channel, int fifo)
        : plan_(plan), config_(plan.config), process_(*plan.config.process), filter_(plan.filter),
          channel_(channel), fifo_(fifo) {}
    void run();

private:
    bool waits_for_maps() const {
        return plan_.namespaces.makes(CLONE_NEWUSER) && !plan_.created_hidden;
    }
    void make_network();
    void join_cgroups();
    Procfs open_procfs() const;
    void enter_namespaces(const Procfs& procfs, const UniqueFd& time_offsets);
    void wait_for_hooks();
    void set_limits();
    MountEnvironment mount_environment() const;
    std::vector<UniqueFd> receive_mapped_trees();
    UniqueFd receive_nodes();
    void open_terminal(const Root& root);
    void set_names();
    void write_sysctls(const Procfs& procfs);
    void heed_signals();
    void receive_filter();
    void wait_for_start();
    void run_start_hooks();
    spec::State state_inside(Status status) const;

    const Plan& plan_;
    const spec::Config& config_;
    spec::Process process_;
    std::optional<Filter> filter_;
    Channel& channel_;
    int fifo_;
    Terminal terminal_;
};

void Init::run() {
    set_out(channel_);  // From here we die with create.
    overwrite_words();  // From here nothing of us shows the caller's words.
    const UniqueFd time_offsets =
        open_time_offsets(plan_.namespaces);  // a file of ours before we change ids
    // A creator that is root hid us before we were born. Any other has to open our files for our id
    // maps.
    if (!waits_for_maps()) hide();
    make_network();  // it takes longest: create makes the cgroups meanwhile
    join_cgroups();
    hide();                               // From here we are hidden, whoever our creator is.
    const Procfs procfs = open_procfs();  // now: a mount namespace to join has its own
    enter_namespaces(procfs, time_offsets);
    reset_signals();
    check(::setsid(), "setsid");
    if (!plan_.options.no_new_keyring) {
        label_new_keys(procfs, process_.selinux_label);
        join_new_session_keyring();
    }

    Root root = plan_.mount_namespace()
                    ? open_root(plan_.rootfs, plan_.propagation)
                    : Root(sys::openat(plan_.host_root.get(), ".", O_PATH | O_DIRECTORY));
    const std::vector<UniqueFd> filled =
        mount_all(root, config_.mounts, mount_environment(), receive_mapped_trees());
    make_devices(root, config_, receive_nodes(), plan_.user_namespace());
    open_terminal(root);
    receive_filter();
    wait_for_hooks();
    run_hooks("createContainer", config_.hooks.create_container, state_inside(Status::creating),
              {.directory = plan_.rootfs});

    set_names();
    write_sysctls(procfs);
    make_read_only(root, config_.linux.readonly_paths);
    mask(root, config_.linux.masked_paths);
    make_working_directory(root, process_.cwd);
    make_read_only(filled);
    set_home(process_.env, root, procfs, process_.user.uid);
    if (!plan_.mount_namespace())
        change_root(root);
    else if (plan_.options.no_pivot)
        move_into(root, plan_.rootfs);
    else
        pivot_into(root);  // From here on "/" is the container's: load nothing from it.
    finish_root(config_.root->readonly, plan_.propagation);
    reopen_null(procfs);
    give_streams_to(process_.user.uid);
    set_attributes(process_, config_.linux);
    set_limits();

    heed_signals();
    set_exec_labels(procfs, process_.apparmor_profile, process_.selinux_label);
    outlive_creator();  // the state is saved: it is a container, whatever becomes of create
    close_from(3 + plan_.listen_fds + plan_.options.preserve_fds, {channel_.fd(), fifo_});
    // From here no descriptor of the host's is open but the channel and the fifo.
    const std::string program =
        become_program(process_, plan_.capabilities, filter_, channel_);  // fails at create
    // From here it has the rights of the container's process and no more.
    channel_.send(Step::made);
    channel_.close();

    wait_for_start();
    run_start_hooks();
    execute(program, process_);
}

void Init::make_network() {
    if (plan_.namespaces.at_once)
        check(::unshare(int(plan_.namespaces.at_once)), "unshare of a network namespace");
    if (plan_.namespaces.makes(CLONE_NEWNET)) raise_loopback();
}

// It moves itself: a pid that another moves waits milliseconds for the kernel.
void Init::join_cgroups() {
    const Message placed = channel_.expect(Step::placed);
    for (const UniqueFd& tasks : placed.fds) sys::write_all(tasks.get(), "0");
    reset_affinity();  // the cgroup's CPUs, not those of who called us
}

Procfs Init::open_procfs() const {
    if (!plan_.needs_procfs()) return Procfs::of_host();
    return Procfs::of_our_own(config_.linux.sysctl.empty() ? Procfs::Content::processes
                                                           : Procfs::Content::all);
}

void Init::enter_namespaces(const Procfs& procfs, const UniqueFd& time_offsets) {
    for (const OpenNamespace& target : plan_.joined)
        if (!target.joined && (target.flag & (CLONE_NEWUSER | CLONE_NEWPID)) == 0)
            join(target);  // those two are spawn_init's work
    if (plan_.user_namespace()) become_root_inside(channel_);
    make_own_namespaces(plan_.namespaces, procfs, time_offsets);
}

MountEnvironment Init::mount_environment() const {
    return {.bundle = plan_.state.bundle,
            .mount_label = config_.linux.mount_label,
            .user_namespace = plan_.user_namespace(),
            .cgroup_namespace = plan_.namespaces.has(CLONE_NEWCGROUP),
            .host_binds = plan_.host_binds};
}

std::vector<UniqueFd> Init::receive_mapped_trees() {
    std::vector<UniqueFd> trees;
    for (const spec::Mount& mount : config_.mounts)
        if (host_makes(mount, plan_.host_binds))
            trees.push_back(std::move(channel_.expect(Step::mapped).fds.at(0)));
    return trees;
}

UniqueFd Init::receive_nodes() {
    if (!plan_.host_binds) return {};
    Message nodes = channel_.expect(Step::mapped);
    return nodes.fds.empty() ? UniqueFd{} : std::move(nodes.fds[0]);
}

void Init::set_names() {
    const std::string &host = config_.hostname, &domain = config_.domainname;
    if (!host.empty()) check(::sethostname(host.data(), host.size()), "sethostname");
    if (!domain.empty()) check(::setdomainname(domain.data(), domain.size()), "setdomainname");
}

void Init::write_sysctls(const Procfs& procfs) {
    for (const auto& [key, value] : config_.linux.sysctl) {
        const std::optional<std::string> path = spec::sysctl_path(key);
        if (!path) throw Error("sysctl ", quoted(key), " is no name of a sysctl");
        context(str("linux.sysctl: write sysctl key ", key),
                [&] { procfs.write("sys/" + *path, value); });
    }
}

void Init::open_terminal(const Root& root) {
    if (!process_.terminal) return;
    terminal_ = give_terminal(process_, root, channel_);
    // /dev/console is the slave itself, by descriptor (CVE-2025-52565).
    const UniqueFd console = make_mount_point(root.make_place("/dev/console"), 0666);
    attach(clone_tree(terminal_.slave.get()).get(), console.get(), "/dev/console");
    attach_terminal(terminal_);
}

void Init::receive_filter() {
    if (!filter_) return;
    const std::string program = channel_.expect(Step::filter).text;
    filter_->program.resize(program.size() / sizeof(sock_filter));
    std::memcpy(filter_->program.data(), program.data(), program.size());
}

void Init::wait_for_hooks() {
    if (!plan_.has_runtime_hooks()) return;
    channel_.send(Step::mounted);
    channel_.expect(Step::hooks_ran);
}

// Late: a small limit would stop our own work.
void Init::set_limits() {
    if (!plan_.limited_by_create()) return raise_limits(0, process_.rlimits);
    channel_.send(Step::ready);
    channel_.expect(Step::limited);
}

// A container that waits for `start` ends when it is told to, as others do. The first process of a
// pid namespace is sent nothing that it does not handle; the program gets the defaults back when it
// is executed.
void Init::heed_signals() {
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM})
        ::signal(number, [](int signal) { ::_exit(128 + signal); });
}

void Init::wait_for_start() {
    char byte;
    ssize_t got;
    do got = plan_.releases_memory() ? read_without_code(fifo_, &byte) : ::read(fifo_, &byte, 1);
    while (got < 0 && errno == EINTR);
    check(got, "waiting for start");
}

// `start` has the other end of the fifo and reads there why its container did not start. An exec
// that fails is the container's own end, with its words on the container's stderr, as with runc.
void Init::run_start_hooks() try {
    run_hooks("startContainer", config_.hooks.start_container, state_inside(Status::created),
              {.environment = &process_.env});
} catch (const Error& e) {
    const std::string why = std::string(e.what()).substr(0, PIPE_BUF);
    if (::write(fifo_, why.data(), why.size()) < 0) throw;  // then on stderr
    ::_exit(255);
}

// For hooks in the container's namespaces, where init has another number.
spec::State Init::state_inside(Status status) const {
    spec::State state = plan_.state;
    state.status = status_name(status);
    state.pid = ::getpid();
    return state;
}

// Where init must be from its birth on, as it cannot go there later, or may not.
struct EarlyJoins {
    const OpenNamespace *users = nullptr, *pids = nullptr;
    std::vector<OpenNamespace*> others;  // without the mount namespace, whose paths are not ours
    bool any() const { return users || pids || !others.empty(); }
};

EarlyJoins find_early_joins(Plan& plan) {
    EarlyJoins found;
    for (OpenNamespace& target : plan.joined) {
        if (target.flag == CLONE_NEWUSER)
            found.users = &target;
        else if (target.flag == CLONE_NEWPID)
            found.pids = &target;
        else if (target.flag != CLONE_NEWNS && plan.user_namespace())
            found.others.push_back(&target);
    }
    return found;
}

// In whoever makes init, as in init itself.
void report_failure(Channel& channel, const std::exception& e) {
    if (channel.fd() >= 0)
        return channel.send(Step::error, str("error during container init: ", e.what()));
    // After `create` went: the container's own stderr is all there is, and no log.
    ::dprintf(2, "%s\n", e.what());
    ::_exit(255);
}

Child clone_init(const Plan& plan, Channel& channel, StateDir& dir, int fifo,
                 const CloneOptions& options) {
    return clone_process(
        options,
        [&] {
            dir.forget_lock();
            forget_signals_while_waiting();
            Init(plan, channel, fifo).run();
        },
        [&](const std::exception& e) { report_failure(channel, e); });
}

// The process in between. A user namespace must own the namespaces that are made, and entering it
// cannot be taken back; a pid namespace holds for children only; and what may belong to another
// user namespace is joined before we or init are in ours. Init is made as our sibling: its parent
// is create.
void make_sibling(Plan& plan, Channel& channel, StateDir& dir, int fifo, const EarlyJoins& early) {
    set_out(channel);
    if (early.users || early.pids) hide();
    for (OpenNamespace* target : early.others) target->joined = try_join(*target);
    if (early.users) join(*early.users), hide(), end_with_creator(channel);
    if (early.pids) join(*early.pids);
    const CloneOptions sibling{.flags = plan.namespaces.with_clone | CLONE_PARENT};
    hand_over(clone_init(plan, channel, dir, fifo, sibling), channel);
}

Child spawn_init(Plan& plan, Channel& channel, StateDir& dir, int fifo, const UniqueFd& cgroup) {
    const EarlyJoins early = find_early_joins(plan);
    if (!early.any())
        return clone_init(plan, channel, dir, fifo,
                          {.flags = plan.namespaces.with_clone, .cgroup = cgroup.get()});
    Child between = clone_process(
        {.cgroup = cgroup.get()}, [&] { make_sibling(plan, channel, dir, fifo, early); },
        [&](const std::exception& e) { report_failure(channel, e); });
    channel.become(Side::create);
    const Message born = channel.expect(Step::pid);
    between.wait();
    return take_over(born);
}

HostMount make_host_mount(Plan& plan) {
    HostRoot made = make_host_root(plan.rootfs);
    plan.host_root = std::move(made.tree);
    HostMount mount{.id = made.id};
    attempt("looking for the mounts of other containers", [&] {
        mount.below = Container::host_mounts_of_others(plan.options.state_root, plan.options.id);
    });
    return mount;
}

void attach_host_mount(const Plan& plan) {
    const UniqueFd alone = lock_host_mounts(plan.options.state_root);
    attach(plan.host_root.get(), sys::open(plan.rootfs, O_PATH | O_DIRECTORY).get(),
           quoted(plan.rootfs));
}

// A network namespace that is joined has not been by now.
void move_devices(const Plan& plan, int init) {
    if (plan.config.linux.net_devices.empty()) return;
    const auto joined =
        std::ranges::find(plan.joined, uint64_t(CLONE_NEWNET), &OpenNamespace::flag);
    const UniqueFd own = joined == plan.joined.end()
                             ? sys::open(str("/proc/", init, "/ns/net"), O_RDONLY)
                             : UniqueFd{};
    move_net_devices(own ? own.get() : joined->fd.get(), plan.config.linux.net_devices);
}

void send_placed(Channel& channel, const Cgroup& cgroup) {
    const std::vector<UniqueFd> tasks = cgroup.tasks();
    std::vector<int> fds;
    for (const UniqueFd& fd : tasks) fds.push_back(fd.get());
    channel.send(Step::placed, {}, fds);
}

void send_mapped_trees(Channel& channel, int pid, const Plan& plan) {
    const unsigned long propagation =
        plan.mount_namespace() ? namespace_propagation(plan.propagation) : 0;
    for (const UniqueFd& tree :
         make_host_trees(plan.config.mounts, plan.state.bundle, plan.user_namespace() ? pid : 0,
                         plan.host_binds, propagation)) {
        const int fds[] = {tree.get()};
        channel.send(Step::mapped, {}, fds);
    }
}

// What belongs to root of the host, but shall be the container's: its devices, and the pipes it
// reads and writes, which may come from somebody who has no number in there.
void give_from_outside(Channel& channel, const Procfs& procfs, int init, const Plan& plan) {
    if (!plan.host_binds) return;
    const IdMaps maps = read_id_maps(procfs, init);
    const UniqueFd nodes = make_nodes_outside(plan.config, maps);
    const int fds[] = {nodes.get()};
    channel.send(Step::mapped, {}, std::span(fds, nodes ? 1 : 0));
    const spec::Process& process = *plan.config.process;
    const auto user = host_id(maps.uids, process.user.uid);
    if (user && !process.terminal) give_streams_to(*user);
}

// It is made while init mounts.
void send_filter(Channel& channel, const Plan& plan) {
    if (!plan.filter) return;
    log_debug(str("seccomp filter flags: ", plan.filter->flags));
    const std::vector<sock_filter> program = compile_filter(*plan.config.linux.seccomp);
    channel.send(Step::filter, {reinterpret_cast<const char*>(program.data()),
                                program.size() * sizeof program[0]});
}

void send_pidfd(const std::string& socket_path, int pidfd) {
    if (!socket_path.empty()) send_descriptor(socket_path, "standard", pidfd);
}

UniqueFd receive_console(Channel& channel, const CreateOptions& options) {
    Message message = channel.expect(Step::console);
    if (message.fds.size() != 1) throw Error("the container's terminal did not arrive");
    if (options.console_socket.empty()) {
        suit_callers_terminal(message.fds[0].get());  // before its program asks for its size
        return std::move(message.fds[0]);
    }
    send_descriptor(options.console_socket, message.text, message.fds[0].get());
    return {};
}

// Somebody may have killed it after its last word.
void check_alive(Channel& channel, const Child& init) {
    pollfd ended{init.pidfd(), POLLIN, 0};
    if (::poll(&ended, 1, 0) > 0) channel.receive();  // throws: nothing can come
}

}  // namespace

Created create(const CreateOptions& options) {
    const Bundle bundle = load_bundle(options.bundle, options.config);
    Plan plan = make_plan(options, bundle, gather_facts(options, bundle));
    warn_about_unknown(plan.capabilities);
    check_terminal(options, *plan.config.process);

    // If it fails once there was an init, poststop hooks follow: last, when all else is undone.
    bool born = false;
    Defer poststop([&] {
        plan.state.status = status_name(Status::stopped), plan.state.pid = 0;
        if (born) run_poststop_hooks(plan.config.hooks.poststop, plan.state);
    });
    // Each of these undoes itself if a later step throws; keep() at the end makes it stay.
    StateDir dir = StateDir::create(options.state_root, options.id);
    Record record = intended(plan, bundle);
    plan.state = state_for_hooks(record, 0, Status::creating);
    if (!plan.mount_namespace()) record.host_mount = make_host_mount(plan);
    dir.save(record);  // what will be made, so that a kill leaves no orphan
    dir.save_config(bundle.text);
    if (plan.notifies) make_notify_directory(dir.path());
    Cgroup cgroup = Cgroup::create(record.cgroup, plan.cgroup);

    Defer host_mount([&] {
        if (record.host_mount)
            attempt("unmounting the root",
                    [&] { unmount_if_on_top(record.rootfs, record.host_mount->id); });
    });

    if (record.host_mount) attach_host_mount(plan);
    Channel channel;
    channel.explain_silence([&] {
        return std::string(cgroup.was_out_of_memory()
                               ? "container init was OOM-killed (memory limit too low?)"
                               : "");
    });
    const UniqueFd fifo = dir.make_exec_fifo();
    if (plan.created_hidden)
        hide();  // before there is a user namespace whose owner may look into who is in it
    Child init = spawn_init(plan, channel, dir, fifo.get(), cgroup.clone_target());
    move_to_another_cpu(init.pid());
    channel.become(Side::create);
    born = true;
    record.pid = init.pid();
    record.start_time = start_time_of(init.pid()).value_or(0);
    plan.state = state_for_hooks(record, init.pid(), Status::creating);

    cgroup.adopt(plan.cgroup, init.pid());
    record.cgroup = cgroup.record();
    std::optional<IntelRdt> rdt = enter_intel_rdt(plan.intel_rdt, plan.resctrl, init.pid());
    const Procfs procfs = Procfs::of_host();  // nobody of the container has run yet
    write_id_maps(procfs, init.pid(), plan.namespaces);
    move_devices(plan, init.pid());
    set_oom_score(procfs, init.pid(), plan.config.process->oom_score_adj);
    send_pidfd(options.pidfd_socket, init.pidfd());
    dir.save(record);  // before init goes on: `delete` needs it
    send_placed(channel, cgroup);
    send_mapped_trees(channel, init.pid(), plan);
    give_from_outside(channel, procfs, init.pid(), plan);
    send_filter(channel, plan);

    UniqueFd console;
    if (plan.config.process->terminal) console = receive_console(channel, options);
    if (plan.has_runtime_hooks()) {
        channel.expect(Step::mounted);
        context("unable to start container process: error during container init", [&] {
            const HookSurroundings host{.directory = plan.state.bundle, .init = init.pidfd()};
            run_hooks("prestart", plan.config.hooks.prestart,
                      state_for_hooks(record, init.pid(), Status::created), host);
            run_hooks("createRuntime", plan.config.hooks.create_runtime, plan.state, host);
        });
        channel.send(Step::hooks_ran);
    }
    if (plan.limited_by_create()) {
        channel.expect(Step::ready);
        raise_limits(init.pid(), plan.config.process->rlimits);
        channel.send(Step::limited);
    }
    if (plan.filter) give_to_agent(channel, *plan.filter, plan.state.pid, plan.state);
    channel.expect(Step::made);  // nothing more can fail before `start`
    check_alive(channel, init);

    write_pid_file(options.pid_file, init.pid());
    dir.open_for_start();
    if (rdt) rdt->keep();
    host_mount.keep();
    poststop.keep(), cgroup.keep(), init.release();
    return {Container::made(std::move(dir), std::move(record)), std::move(console)};
}
