// What can be refused is refused here, when there is nothing to undo. Some steps wait for others:
// the variables of the environment are made unique when ours are among them, and whether a profile
// feigns a call depends on the process as it will be.
#include "runtime/start/plan.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "runtime/cgroup/v2.h"
#include "runtime/process/attributes.h"
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

void add_listen_environment(std::vector<std::string>& env, const Facts& facts) {
    if (facts.listen_fds <= 0) return;
    env.push_back(str("LISTEN_FDS=", facts.listen_fds));
    env.push_back("LISTEN_PID=1");
    if (facts.listen_names) env.push_back("LISTEN_FDNAMES=" + *facts.listen_names);
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

// What is set in a network namespace is the container's only if that is not the one we are in.
void check_private_network(const spec::Config& config) {
    if (!config.linux.net_devices.empty())
        throw Error(
            "linux.netDevices: unable to move network devices without a private NET namespace");
    for (const auto& [key, value] : config.linux.sysctl)
        if (spec::sysctl_path(key).value_or("").starts_with("net/"))
            throw Error("linux.sysctl: sysctl ", quoted(key),
                        " not allowed in host network namespace");
}

// A destination that names the root's own path on the host is taken from there, as runc does.
std::string without_root(const std::string& destination, std::initializer_list<std::string> roots) {
    for (const std::string& root : roots)
        if (root != "/" && destination.starts_with(root + "/"))
            return destination.substr(root.size());
    return destination;
}

}  // namespace

Plan make_plan(const CreateOptions& options, const Bundle& bundle, Facts facts) {
    Plan plan{.options = options, .config = bundle.config};
    if (!plan.config.process) throw Error("process property must not be empty");
    if (!plan.config.linux.mount_label.empty() && !facts.selinux)
        throw Error("linux.mountLabel: mountLabel is specified in config, but selinux is disabled "
                    "or not supported");
    plan.rootfs = facts.rootfs;
    for (spec::Mount& mount : plan.config.mounts)
        mount.destination = without_root(mount.destination, {facts.written_root, facts.rootfs});
    plan.config.process->selinux_label = facts.selinux_label;
    plan.namespaces = plan_namespaces(plan.config.linux);
    plan.joined = std::move(facts.joined);
    // The root is not there to be covered before init is in it.
    for (const std::string& covered : plan.config.linux.readonly_paths)
        if (std::filesystem::path(covered).lexically_normal() == "/")
            plan.config.root->readonly = true;
    plan.capabilities = plan_capabilities(*plan.config.process);
    if (plan.config.linux.seccomp) plan.filter = plan_filter(*plan.config.linux.seccomp);
    plan.created_hidden = facts.can_create_hidden;
    plan.host_binds = facts.may_clone_mounts;
    plan.propagation = propagation_flag(plan.config.linux.rootfs_propagation);
    plan.notifies = facts.manager;
    if (plan.notifies) add_notify_socket(plan.config, options.state_root + "/" + options.id);
    plan.listen_fds = facts.listen_fds;
    add_listen_environment(plan.config.process->env, facts);
    plan.config.process->env = unique_environment(plan.config.process->env);
    for (const spec::Rlimit& limit : plan.config.process->rlimits) rlimit_number(limit.type);
    if (facts.joins_own_network) check_private_network(plan.config);
    if (plan.config.linux.intel_rdt) {
        plan.intel_rdt = plan_intel_rdt(*plan.config.linux.intel_rdt, options.id);
        plan.resctrl = facts.resctrl;
    }
    plan.cgroup = plan_cgroup(plan);
    if (plan.config.linux.seccomp)
        check_nothing_feigned(*plan.config.linux.seccomp, *plan.config.process);
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
