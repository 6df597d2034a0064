#include "spec/features.h"

#include <seccomp.h>

#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/v2.h"
#include "runtime/commands/commands.h"
#include "runtime/credentials.h"
#include "runtime/mounts.h"
#include "runtime/namespaces.h"

static int features(const Arguments&, const Arguments&) {
    spec::Features all;
    all.oci_version_min = "1.0.0";
    all.oci_version_max = "1.3.0";
    all.hooks = {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};
    all.mount_options = known_mount_options();
    for (const NamespaceKind& kind : namespace_kinds()) all.linux.namespaces.emplace_back(kind.type);
    for (const std::string_view name : capability_names()) all.linux.capabilities.emplace_back(name);
    const std::vector<std::string_view> managers = cgroup_manager_names();
    const bool by_systemd = std::ranges::find(managers, "systemd") != managers.end();
    all.linux.cgroup = {.v1 = true, .v2 = true, .systemd = by_systemd, .systemd_user = by_systemd,
                        .rdma = v2::known_controllers().contains("rdma")};
    all.linux.seccomp.enabled = true;
    all.linux.seccomp.actions = {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
                                 "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"};
    all.linux.seccomp.operators = {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"};
    all.linux.apparmor.enabled = true;
    all.linux.selinux.enabled = true;
    all.linux.intel_rdt = {.enabled = true, .schemata = true, .monitoring = true};
    all.linux.mount_extensions.idmap.enabled = true;
    all.linux.net_devices.enabled = true;
    const scmp_version* version = ::seccomp_version();
    all.annotations["io.github.seccomp.libseccomp.version"] = str(version->major, ".", version->minor, ".", version->micro);
    std::printf("%s\n", spec::write(all).c_str());
    return 0;
}

constinit const Command features_command = {
    .name = "features",
    .synopsis = "",
    .summary = "show the enabled features",
    .least = 0,
    .most = 0,
    .run = features,
};
