// A list that is kept twice is wrong one day. So the words come from the tables that plan a
// container: mount options, namespaces, capabilities, seccomp, memory policies. What has no table
// stands here and is kept by hand: the hooks, the annotations, and that a module is supported,
// which says what keg can do and not what this machine has. Only seccomp's supported flags are
// asked of the running kernel.
#include "spec/features.h"

#include <seccomp.h>

#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/v2.h"
#include "runtime/commands/commands.h"
#include "runtime/process/attributes.h"
#include "runtime/process/credentials.h"
#include "runtime/process/namespaces.h"
#include "runtime/rootfs/mounts.h"
#include "runtime/seccomp/filter.h"
#include "spec/capabilities.h"

static int features(const Arguments&, const Arguments&) {
    spec::Features all;
    all.oci_version_min = "1.0.0";
    all.oci_version_max = spec::version;
    all.hooks = {"prestart",       "createRuntime", "createContainer",
                 "startContainer", "poststart",     "poststop"};
    all.mount_options = known_mount_options();
    for (const NamespaceKind& kind : namespace_kinds())
        all.linux.namespaces.emplace_back(kind.type);
    std::ranges::sort(all.linux.namespaces);
    for (const std::string_view name : spec::capability_names())
        all.linux.capabilities.emplace_back(name);
    const std::vector<std::string_view> managers = cgroup_manager_names();
    const bool by_systemd = std::ranges::find(managers, "systemd") != managers.end();
    all.linux.cgroup = {.v1 = true,
                        .v2 = true,
                        .systemd = by_systemd,
                        .systemd_user = by_systemd,
                        .rdma = v2::known_controllers().contains("rdma")};
    all.linux.seccomp = {.enabled = true,
                         .actions = seccomp_actions(),
                         .operators = seccomp_operators(),
                         .archs = seccomp_architectures(),
                         .known_flags = seccomp_flags(),
                         .supported_flags = seccomp_flags_of_kernel()};
    all.linux.memory_policy = {.modes = memory_policy_modes(), .flags = memory_policy_flags()};
    all.linux.apparmor.enabled = true;
    all.linux.selinux.enabled = true;
    all.linux.intel_rdt = {.enabled = true, .schemata = true, .monitoring = true};
    all.linux.mount_extensions.idmap.enabled = true;
    all.linux.net_devices.enabled = true;
    const scmp_version* version = ::seccomp_version();
    all.annotations["io.github.seccomp.libseccomp.version"] =
        str(version->major, ".", version->minor, ".", version->micro);
    all.annotations["org.opencontainers.runc.checkpoint.enabled"] = "true";
    all.potentially_unsafe_config_annotations = {"bundle", "org.systemd.property.",
                                                 "org.criu.config"};
    std::printf("%s\n", spec::write(all).c_str());
    return 0;
}

constinit const Command features_command = {
    .name = "features",
    .synopsis = "",
    .summary = "show the enabled features",
    .least = 0,
    .most = 0,
    .interspersed = true,
    .run = features,
};
