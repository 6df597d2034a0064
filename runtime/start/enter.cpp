// How a process joins a running container. The namespaces are joined by one setns on init's pidfd,
// but a pid namespace holds only for children: so a process in between joins them, makes the one
// that becomes the program as its own sibling, and ends.
//
//      enter (on the host)              between                         the process
//      clone ──────────────────────▶    labels; cgroups; namespaces;
//                                       streams; home; closes all
//                    ◀── pid ───────    clone ──────────────────▶       keys; session
//                    ◀── console ─────────────────────────────────      its terminal
//                    ◀── ready ───────────────────────────────────
//      raise rlimits ── limited ────────────────────────────────▶       privileges; find program
//                    ◀── (close by the exec) ─────────────────────      exec
//
// The container sees the process from its birth on, with CAP_SYS_PTRACE also its descriptors and
// memory, and it never sees who is in between. So whatever needs something of the host's is done in
// between and inherited, and the process is born with the container's namespaces, root and
// descriptors, and with nothing else.
#include "runtime/start/enter.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "runtime/process/attributes.h"
#include "runtime/process/channel.h"
#include "runtime/process/credentials.h"
#include "runtime/process/keyring.h"
#include "runtime/process/namespaces.h"
#include "runtime/process/passage.h"
#include "runtime/process/procfs.h"
#include "runtime/process/security_labels.h"
#include "runtime/process/terminal.h"
#include "runtime/rootfs/rootfs.h"
#include "runtime/seccomp/agent.h"
#include "runtime/seccomp/filter.h"
#include "runtime/start/program.h"

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
    std::optional<Root> root;  // init's, which has to be entered if the mount namespace is not
    bool own_keys = true;
    int last_preserved = 2;
};

// Peers run an exec whose score they may not set with the score of their own caller.
void ask_for_oom_score(const Procfs& procfs, std::optional<int> score) try {
    set_oom_score(procfs, ::getpid(), score);
} catch (const SysError& e) {
    if (e.code() != EACCES && e.code() != EPERM) throw;
    log_warning(str("ignoring oomScoreAdj ", *score, ": ", e.what()));
}

void go_between(EnterPlan& plan, int pidfd, const std::vector<UniqueFd>& tasks,
                const Procfs& procfs, Channel& channel) {
    spec::Process& process = plan.process;
    set_out(channel);
    ask_for_oom_score(procfs, process.oom_score_adj);  // while its file is ours, if we are not root
    hide();
    overwrite_words();
    if (plan.own_keys) label_new_keys(procfs, process.selinux_label);
    set_exec_labels(procfs, process.apparmor_profile, process.selinux_label);
    for (const UniqueFd& group : tasks) sys::write_all(group.get(), "0");
    if (!process.exec_cpu_affinity) reset_affinity();
    if (plan.namespaces)
        check(::setns(pidfd, int(plan.namespaces)), "joining the container's namespaces");
    if ((plan.namespaces & CLONE_NEWUSER) != 0) become_root_inside(channel);
    // From here "/" is the container's, and we are hidden and end with our creator under its ids
    // too.
    reset_signals();
    if (plan.root) change_root(*plan.root);
    if (!process.terminal) reopen_null(procfs), give_streams_to(process.user.uid);
    set_home(process.env, Root("/"), procfs, process.user.uid);
    close_from(plan.last_preserved + 1, {channel.fd()});
    // From here no descriptor of the host's is open but the channel.
}

void be_the_process(const EnterPlan& plan, Channel& channel) {
    const spec::Process& process = plan.process;
    end_with_creator(channel);
    set_affinity(0, process.exec_cpu_affinity ? process.exec_cpu_affinity->final_ : "");
    if (plan.own_keys) join_new_session_keyring();
    check(::setsid(), "setsid");
    if (process.terminal) {
        Terminal terminal = give_terminal(process, Root("/"), channel);
        attach_terminal(terminal);
    }
    set_attributes(process, plan.config.linux);
    channel.send(Step::ready);
    channel.expect(Step::limited);
    outlive_creator();
    execute(become_program(process, plan.capabilities, plan.filter, channel), process);
}

// The ways into a container's cgroups, open while the host's paths are the paths.
struct Ways {
    UniqueFd clone_target;
    std::vector<UniqueFd> tasks;
};

Ways open_ways(const Cgroup& cgroup) {
    return context("error adding pid to cgroups",
                   [&] { return Ways{cgroup.clone_target(), cgroup.tasks()}; });
}

// Changes `place` to where init is by now, if it has left what it was given and nobody asked for
// another.
Ways open_ways(CgroupRecord& place, const ExecOptions& options, int init) try {
    return open_ways(Cgroup::load(place));
} catch (const SysError& e) {
    if (e.code() != ENOENT || !options.cgroups.empty()) throw;
    place = Cgroup::follow_init(place, init);
    return open_ways(Cgroup::load(place));
}

// Makes the two; nothing if there is no room for the second where both shall go.
std::optional<Entered> send_in(EnterPlan& plan, const Ways& ways, int pidfd, Channel& channel,
                               const ExecOptions& options) {
    const Procfs procfs = Procfs::of_host();
    const auto report = [&](const std::exception& e) { channel.send(Step::error, e.what()); };
    // "initial" holds from before the process enters the cgroup, so it is inherited from us.
    std::optional<KeptAffinity> own;
    if (const auto& wanted = plan.process.exec_cpu_affinity; wanted && !wanted->initial.empty()) {
        own.emplace();
        set_affinity(0, wanted->initial);
    }
    Child between;
    try {
        between = clone_process(
            {.cgroup = ways.clone_target.get()},
            [&] {
                go_between(plan, pidfd, ways.tasks, procfs, channel);
                try {
                    Child process = clone_process(
                        {.flags = CLONE_PARENT}, [&] { be_the_process(plan, channel); }, report);
                    hand_over(std::move(process), channel);
                } catch (const SysError& e) {
                    if (e.code() != EAGAIN) throw;
                    channel.send(Step::full);
                }
                ::_exit(0);
            },
            report);
    } catch (const SysError& e) {
        if (e.code() != EAGAIN) throw;
        return {};
    }
    channel.become(Side::create);
    Entered entered;
    // The two write to one channel: the pid may come after what the process says.
    for (bool ready = false; !ready || entered.child.pid() < 0;) {
        Message message = channel.receive();
        if (message.step == Step::pid) {
            entered.child = take_over(message);
        } else if (message.step == Step::console && message.fds.size() == 1) {
            entered.console = std::move(message.fds[0]);
            if (options.console_socket.empty())
                suit_callers_terminal(entered.console.get());
            else
                send_descriptor(options.console_socket, message.text, entered.console.get()),
                    entered.console.reset();
        } else if (message.step == Step::ready) {
            ready = true;
        } else if (message.step == Step::full) {
            return {};
        } else {
            throw Error("unexpected message from the process");
        }
    }
    between.wait();
    return entered;
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
    plan.own_keys = !container.record().no_new_keyring;
    plan.last_preserved = 2 + options.preserve_fds;
    const UniqueFd pidfd = sys::pidfd_open(init);
    if (!container.init_is_alive()) throw Error("cannot exec in a stopped container");

    if ((plan.namespaces & CLONE_NEWUSER) != 0 && !plan.process.terminal)
        if (const auto user =
                host_id(read_id_maps(Procfs::of_host(), init).uids, plan.process.user.uid))
            give_streams_to(*user);
    if (can_create_hidden()) hide();
    CgroupRecord place = Cgroup::place_exec(container.record().cgroup, options.cgroups, init);
    const Ways ways = open_ways(place, options, init);
    Channel channel;
    std::optional<Entered> in = send_in(plan, ways, pidfd.get(), channel, options);
    if (!in) {
        // The limit of pids has no room for who is in between, nor perhaps for the process: a limit
        // that is reached keeps nobody out who was made elsewhere.
        const Cgroup cgroup = Cgroup::load(place);
        channel = Channel();
        in = send_in(plan, open_ways(cgroup.uncounted()), pidfd.get(), channel, options);
        if (!in) throw SysError(EAGAIN, "clone");
        cgroup.move_in_counted(in->child.pid());
    }
    Entered entered = std::move(*in);
    const int pid = entered.child.pid();
    if (container.record().intel_rdt) join_intel_rdt(*container.record().intel_rdt, pid);
    raise_limits(pid, plan.process.rlimits);
    if (!options.pidfd_socket.empty())
        send_descriptor(options.pidfd_socket, "setns", entered.child.pidfd());
    channel.send(Step::limited);
    if (plan.filter) give_to_agent(channel, *plan.filter, pid, container.state(status));
    channel.expect_close();
    write_pid_file(options.pid_file, pid);
    return entered;
}
