// What can be refused is refused here, when there is nothing to undo. What depends on the machine
// is asked once, while the host's paths are the paths: namespaces to join, the environment that a
// service manager gave us, how SELinux writes a label. Some steps wait for others: the variables of
// the environment are made unique when ours are among them, and whether a profile feigns a call
// depends on the process as it will be.
#include "runtime/start/plan.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/sys.h"
#include "runtime/cgroup/v2.h"
#include "runtime/process/attributes.h"
#include "runtime/process/passage.h"
#include "runtime/process/security_labels.h"
#include "runtime/rootfs/host_binds.h"
#include "runtime/rootfs/mounts.h"
#include "runtime/start/program.h"
#include "runtime/state/notify_socket.h"
#include "spec/sysctl.h"

Bundle load_bundle(const std::string& path, const std::string& config) {
    Bundle bundle;
    bundle.path = absolute_path(path.empty() ? "." : path);
    auto text = read_file_if_exists(config.empty() ? bundle.path + "/config.json" : config);
    if (!text && !path.empty() && ::access(path.c_str(), X_OK) < 0) throw SysError("chdir ", path);
    if (!text)
        throw Error("JSON specification file ", config.empty() ? "config.json" : config,
                    " not found");
    bundle.text = std::move(*text);
    bundle.config = context("config.json", [&] { return spec::read_config(bundle.text); });
    spec::validate(bundle.config);
    return bundle;
}

namespace {

// Descriptors that a service manager passes: they follow 2, and LISTEN_FDS says how many.
int count_listen_fds() {
    const auto number = [](const char* name) -> std::optional<int> {
        const char* text = std::getenv(name);
        if (!text || !*text) return {};
        const auto found = parse_number_between<int>(text, 0, INT_MAX);
        if (!found)
            throw Error("invalid value ", quoted(text), " of ", name,
                        " in the environment: not a number from 0 to ", INT_MAX);
        return found;
    };
    const auto whose = number("LISTEN_PID");
    if (whose && *whose != ::getpid()) return 0;  // inherited from somebody they were meant for
    return number("LISTEN_FDS").value_or(0);
}

void add_listen_environment(std::vector<std::string>& env, int count) {
    if (count <= 0) return;
    env.push_back(str("LISTEN_FDS=", count));
    env.push_back("LISTEN_PID=1");
    if (const char* names = std::getenv("LISTEN_FDNAMES"))
        env.push_back(str("LISTEN_FDNAMES=", names));
}

CgroupRequest plan_cgroup(const Plan& plan) {
    const spec::Linux& linux = plan.config.linux;
    return {.manager = plan.options.cgroup_manager,
            .cgroups_path = linux.cgroups_path,
            .id = plan.options.id,
            .rootless = plan.options.rootless,
            .resources = linux.resources.value_or(spec::Resources{}),
            .annotations = plan.config.annotations,
            .owner = v2::plan_owner(plan.config)};
}

// A network namespace that is joined may be the one we are in: its settings are not the
// container's.
void check_private_network(const Plan& plan) {
    const auto joined =
        std::ranges::find(plan.joined, uint64_t(CLONE_NEWNET), &OpenNamespace::flag);
    struct stat own{};
    if (joined == plan.joined.end() || ::stat("/proc/self/ns/net", &own) < 0) return;
    if (sys::fstat(joined->fd.get()).st_ino != own.st_ino) return;
    if (!plan.config.linux.net_devices.empty())
        throw Error("unable to move network devices without a private NET namespace");
    for (const auto& [key, value] : plan.config.linux.sysctl)
        if (spec::sysctl_path(key).value_or("").starts_with("net/"))
            throw Error("sysctl ", quoted(key), " not allowed in host network namespace");
}

// A destination that names the root's own path on the host is taken from there, as runc does.
std::string without_root(const std::string& destination, std::initializer_list<std::string> roots) {
    for (const std::string& root : roots)
        if (root != "/" && destination.starts_with(root + "/"))
            return destination.substr(root.size());
    return destination;
}

}  // namespace

Plan make_plan(const CreateOptions& options, const Bundle& bundle) {
    Plan plan{.options = options, .config = bundle.config};
    const std::string& path = plan.config.root->path;
    const std::string whole =
        std::filesystem::path(path.starts_with('/') ? path : bundle.path + "/" + path)
            .lexically_normal()
            .string();
    char resolved[PATH_MAX];
    if (!::realpath(whole.c_str(), resolved)) throw SysError("invalid rootfs: stat ", whole);
    plan.rootfs = resolved;
    for (spec::Mount& mount : plan.config.mounts)
        mount.destination = without_root(mount.destination, {whole, plan.rootfs});
    if (!plan.config.process) throw Error("process property must not be empty");
    require_label_modules(plan.config.process->apparmor_profile,
                          plan.config.process->selinux_label);
    if (!plan.config.linux.mount_label.empty() && !selinux_enabled())
        throw Error("mountLabel is specified in config, but selinux is disabled or not supported");
    plan.namespaces = plan_namespaces(plan.config.linux);
    plan.joined = open_namespaces(plan.namespaces);
    // The root is not there to be covered before init is in it.
    for (const std::string& covered : plan.config.linux.readonly_paths)
        if (std::filesystem::path(covered).lexically_normal() == "/")
            plan.config.root->readonly = true;
    plan.capabilities = plan_capabilities(*plan.config.process);
    if (plan.config.linux.seccomp) plan.filter = plan_filter(*plan.config.linux.seccomp);
    plan.created_hidden = can_create_hidden();
    plan.host_binds = plan.user_namespace() && may_clone_mounts();
    plan.propagation = propagation_flag(plan.config.linux.rootfs_propagation);
    plan.notifies = add_notify_socket(plan.config, options.state_root + "/" + options.id);
    plan.listen_fds = count_listen_fds();
    add_listen_environment(plan.config.process->env, plan.listen_fds);
    plan.config.process->env = unique_environment(plan.config.process->env);
    for (const spec::Rlimit& limit : plan.config.process->rlimits) rlimit_number(limit.type);
    require_descriptors(3, int64_t(plan.listen_fds) + options.preserve_fds);
    check_private_network(plan);
    if (plan.config.linux.intel_rdt) {
        plan.intel_rdt = plan_intel_rdt(*plan.config.linux.intel_rdt, options.id);
        plan.resctrl = resctrl_root();
    }
    plan.cgroup = plan_cgroup(plan);
    if (plan.config.linux.seccomp)
        check_nothing_feigned(*plan.config.linux.seccomp, *plan.config.process);
    warn_about_unknown(plan.capabilities);
    return plan;
}

void check_terminal(const CreateOptions& options, const spec::Process& process) {
    if (process.terminal && options.detached && options.console_socket.empty())
        throw Error("cannot allocate tty if runc will detach without setting console socket");
    if (!options.console_socket.empty() && (!options.detached || !process.terminal))
        throw Error("cannot use console socket if runc will not detach or allocate tty");
}

Record intended(const Plan& plan, const Bundle& bundle) {
    Record record;
    record.id = plan.options.id;
    record.bundle = bundle.path;
    record.rootfs = plan.rootfs;
    record.created = rfc3339_now();
    record.owner = ::geteuid();
    record.annotations = bundle.config.annotations;
    record.cgroup = Cgroup::plan(plan.cgroup);
    if (plan.intel_rdt) record.intel_rdt = place_intel_rdt(*plan.intel_rdt, plan.resctrl);
    record.private_pids = plan.namespaces.makes(CLONE_NEWPID);
    record.no_new_keyring = plan.options.no_new_keyring;
    record.poststart_hooks = !plan.config.hooks.poststart.empty();
    record.poststop_hooks = !plan.config.hooks.poststop.empty();
    return record;
}

spec::State state_for_hooks(const Record& record, int pid, Status status) {
    return {.id = record.id,
            .status = status_name(status),
            .pid = pid,
            .bundle = record.bundle,
            .annotations = record.annotations};
}
