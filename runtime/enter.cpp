// How a process joins a running container. The namespaces are joined by one setns on init's pidfd, but
// a pid namespace holds only for children: so a process in between joins them, makes the one that
// becomes the program as its own sibling, and ends.
//
//      enter (on the host)              between                      the process
//      clone ──────────────────────▶    join cgroup, namespaces
//                    ◀── pid ───────    clone ──────────────────▶    user namespace's root; session
//                    ◀── console ─────────────────────────────────   its terminal
//                    ◀── ready ───────────────────────────────────
//      raise rlimits ── limited ────────────────────────────────▶   labels; privileges; find the program
//                    ◀── (close by the exec) ─────────────────────   exec
#include "runtime/enter.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "runtime/attributes.h"
#include "runtime/channel.h"
#include "runtime/credentials.h"
#include "runtime/keyring.h"
#include "runtime/namespaces.h"
#include "runtime/procfs.h"
#include "runtime/program.h"
#include "runtime/rootfs.h"
#include "runtime/seccomp.h"
#include "runtime/seccomp_agent.h"
#include "runtime/security_labels.h"
#include "runtime/terminal.h"

namespace {

// Those in which init is not where we are: joining the own user namespace is an error.
uint64_t differing_namespaces(int pid) {
    uint64_t flags = 0;
    for (const NamespaceKind& kind : namespace_kinds()) {
        struct stat own{}, other{};
        if (::stat(str("/proc/self/ns/", kind.file).c_str(), &own) < 0) continue;
        check(::stat(str("/proc/", pid, "/ns/", kind.file).c_str(), &other), "stat of a namespace");
        if (own.st_ino != other.st_ino) flags |= kind.flag;
    }
    return flags;
}

struct EnterPlan {
    spec::Process process;
    spec::Config config;
    CapabilityPlan capabilities;
    std::optional<Filter> filter;
    uint64_t namespaces = 0;
    std::optional<Root> root;   // init's, which has to be entered if the mount namespace is not
    std::string keyring_of;     // the container, if it has keys of its own
    int last_preserved = 2;
    bool detached = false;
};

void be_the_process(const EnterPlan& plan, Channel& channel, const Procfs& procfs) {
    spec::Process process = plan.process;
    if ((plan.namespaces & CLONE_NEWUSER) != 0) {
        check(::setresgid(0, 0, 0), "becoming root in the user namespace");
        check(::setresuid(0, 0, 0), "becoming root in the user namespace");
    }
    reset_signals();
    check(::setsid(), "setsid");
    if (!plan.keyring_of.empty()) join_new_session_keyring(plan.keyring_of, procfs, process.selinux_label);
    if (plan.root) change_root(*plan.root);
    const Root root("/");
    if (process.terminal) {
        Terminal terminal = open_terminal(root.open("/dev/pts", O_PATH | O_DIRECTORY).get(), process.console_size);
        const int master[] = {terminal.master.get()};
        channel.send(Step::console, terminal.name, master);
        check(::fchown(terminal.slave.get(), process.user.uid, gid_t(-1)), "chown of the terminal");
        attach_terminal(terminal);
    }
    reopen_null(procfs);
    give_streams_to(process.user.uid);
    set_home(process.env, root, procfs, process.user.uid);
    set_scheduler(process.scheduler, plan.config.linux);
    set_io_priority(process.io_priority);
    set_personality(plan.config.linux.personality);
    set_memory_policy(plan.config.linux.memory_policy);
    channel.send(Step::ready);
    channel.expect(Step::limited);

    set_exec_labels(procfs, process.apparmor_profile, process.selinux_label);
    close_from(plan.last_preserved + 1, {channel.fd(), log_settings().fd});
    const bool arrived = try_change_directory(process.cwd);
    if (plan.filter && !process.no_new_privileges) install_filter(*plan.filter, channel);
    become(process.user, plan.capabilities);
    if (!arrived) change_directory(process.cwd);
    if (process.no_new_privileges) set_no_new_privileges();
    const std::string program = find_executable(process);
    if (plan.filter && process.no_new_privileges) install_filter(*plan.filter, channel);
    execute(program, process);
}

Child clone_into(const EnterPlan& plan, const CgroupRecord& place, int pidfd, Channel& channel) {
    const bool labels = !plan.process.apparmor_profile.empty() || !plan.process.selinux_label.empty();
    const Procfs procfs = labels ? Procfs::of_our_own(Procfs::Content::processes) : Procfs::of_host();
    const Cgroup cgroup = Cgroup::load(place);
    const char* const adding = "error adding pid to cgroups";
    const UniqueFd clone_target = context(adding, [&] { return cgroup.clone_target(); });
    const std::vector<UniqueFd> tasks = context(adding, [&] { return cgroup.tasks(); });
    const auto report = [&](const std::exception& e) { channel.send(Step::error, e.what()); };
    // "initial" holds from before the process enters the cgroup, so it is inherited from us.
    std::optional<KeptAffinity> own;
    if (const auto& wanted = plan.process.exec_cpu_affinity; wanted && !wanted->initial.empty()) {
        own.emplace();
        set_affinity(0, wanted->initial);
    }
    Child between = clone_process({.cgroup = clone_target.get()}, [&] {
        channel.become(Side::init);
        set_oom_score(procfs, ::getpid(), plan.process.oom_score_adj);   // inherited; later only root could write it
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        for (const UniqueFd& group : tasks) sys::write_all(group.get(), "0");
        if (!plan.process.exec_cpu_affinity) reset_affinity();
        if (plan.namespaces) check(::setns(pidfd, int(plan.namespaces)), "joining the container's namespaces");
        Child process = clone_process({.flags = CLONE_PARENT}, [&] {
            ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
            set_affinity(0, plan.process.exec_cpu_affinity ? plan.process.exec_cpu_affinity->final_ : "");
            be_the_process(plan, channel, procfs);
        }, report);
        channel.send(Step::pid, std::to_string(process.release()));
        ::_exit(0);
    }, report);
    channel.become(Side::create);
    return between;
}

}  // namespace

Entered enter(const Container& container, const spec::Config& config, const ExecOptions& options) {
    const int init = container.record().pid;
    const Status status = container.status();
    if (status == Status::stopped) throw Error("cannot exec in a stopped container");
    if (status == Status::creating) throw Error("cannot exec in a container in the creating state");
    if (status == Status::paused && !options.ignore_paused)
        throw Error("cannot exec in a paused container (use --ignore-paused to override)");
    if (options.process.terminal && options.detached && options.console_socket.empty())
        throw Error("cannot allocate tty if runc will detach without setting console socket");
    if (!options.console_socket.empty() && (!options.detached || !options.process.terminal))
        throw Error("cannot use console socket if runc will not detach or allocate tty");
    require_descriptors(3, options.preserve_fds);

    EnterPlan plan{.process = options.process, .config = config};
    require_label_modules(plan.process.apparmor_profile, plan.process.selinux_label);
    plan.process.env = unique_environment(plan.process.env);
    plan.capabilities = plan_capabilities(plan.process);
    warn_about_unknown(plan.capabilities);
    if (plan.config.linux.seccomp) {
        plan.filter = plan_filter(*plan.config.linux.seccomp);
        check_nothing_feigned(*plan.config.linux.seccomp, plan.process);
        plan.filter->program = compile_filter(*plan.config.linux.seccomp);
    }
    plan.namespaces = differing_namespaces(init);
    if ((plan.namespaces & CLONE_NEWNS) == 0) plan.root.emplace(str("/proc/", init, "/root"));
    if (!container.record().no_new_keyring) plan.keyring_of = container.id();
    plan.last_preserved = 2 + options.preserve_fds;
    const UniqueFd pidfd(int(check(::syscall(SYS_pidfd_open, init, 0), "pidfd_open")));
    if (!container.init_is_alive()) throw Error("cannot exec in a stopped container");

    Channel channel;
    const CgroupRecord place = Cgroup::place_exec(container.record().cgroup, options.cgroups, init);
    Child between = clone_into(plan, place, pidfd.get(), channel);
    Entered entered;
    // The two write to one channel: the pid may come after what the process says.
    for (bool ready = false; !ready || entered.child.pid() < 0;) {
        Message message = channel.receive();
        if (message.step == Step::pid) {
            const int pid = parse_number<int>(message.text).value_or(-1);
            entered.child = Child(pid, UniqueFd(int(::syscall(SYS_pidfd_open, pid, 0))));
        } else if (message.step == Step::console && message.fds.size() == 1) {
            entered.console = std::move(message.fds[0]);
            if (options.console_socket.empty()) suit_callers_terminal(entered.console.get());
            else send_descriptor(options.console_socket, message.text, entered.console.get()), entered.console.reset();
        } else if (message.step == Step::ready) {
            ready = true;
        } else {
            throw Error("unexpected message from the process");
        }
    }
    between.wait();
    const int pid = entered.child.pid();
    if (container.record().intel_rdt) join_intel_rdt(*container.record().intel_rdt, pid);
    raise_limits(pid, plan.process.rlimits);
    if (!options.pidfd_socket.empty()) send_descriptor(options.pidfd_socket, "setns", entered.child.pidfd());
    channel.send(Step::limited);
    if (plan.filter) give_to_agent(channel, *plan.filter, pid, container.state(status));
    channel.expect_close();
    write_pid_file(options.pid_file, pid);
    return entered;
}
