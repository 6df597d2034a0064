// What `keg-runtime spec` prints: a shell in a container with its own namespaces and few rights, in
// the words and values of runc's template, so that people's scripts around `spec` work.
#include <algorithm>

#include "spec/runtime.h"

namespace spec {

namespace {

const std::vector<std::string> few_capabilities = {"CAP_AUDIT_WRITE", "CAP_KILL",
                                                   "CAP_NET_BIND_SERVICE"};

std::vector<Mount> default_mounts() {
    return {
        {.destination = "/proc", .type = "proc", .source = "proc", .options = {}},
        {.destination = "/dev",
         .type = "tmpfs",
         .source = "tmpfs",
         .options = {"nosuid", "strictatime", "mode=755", "size=65536k"}},
        {.destination = "/dev/pts",
         .type = "devpts",
         .source = "devpts",
         .options = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
        {.destination = "/dev/shm",
         .type = "tmpfs",
         .source = "shm",
         .options = {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
        {.destination = "/dev/mqueue",
         .type = "mqueue",
         .source = "mqueue",
         .options = {"nosuid", "noexec", "nodev"}},
        {.destination = "/sys",
         .type = "sysfs",
         .source = "sysfs",
         .options = {"nosuid", "noexec", "nodev", "ro"}},
        {.destination = "/sys/fs/cgroup",
         .type = "cgroup",
         .source = "cgroup",
         .options = {"nosuid", "noexec", "nodev", "relatime", "ro"}},
    };
}

}  // namespace

Config default_config(bool cgroup_namespace) {
    Config config;
    config.oci_version = version;
    Process& process = config.process.emplace();
    process.terminal = true;
    process.args = {"sh"};
    process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   "TERM=xterm"};
    process.cwd = "/";
    process.capabilities = Capabilities{.bounding = few_capabilities,
                                        .effective = few_capabilities,
                                        .inheritable = {},
                                        .permitted = few_capabilities,
                                        .ambient = {}};
    process.rlimits = {{.type = "RLIMIT_NOFILE", .hard = 1024, .soft = 1024}};
    process.no_new_privileges = true;
    config.root = RootFs{.path = "rootfs", .readonly = true};
    config.hostname = "runc";
    config.mounts = default_mounts();
    Linux& linux = config.linux;
    linux.resources.emplace().devices = {
        {.allow = false, .type = {}, .major = {}, .minor = {}, .access = "rwm"}};
    for (const char* type : {"pid", "network", "ipc", "uts", "mount"})
        linux.namespaces.push_back({.type = type, .path = {}});
    if (cgroup_namespace) linux.namespaces.push_back({.type = "cgroup", .path = {}});
    linux.masked_paths = {"/proc/acpi",
                          "/proc/asound",
                          "/proc/kcore",
                          "/proc/keys",
                          "/proc/latency_stats",
                          "/proc/timer_list",
                          "/proc/timer_stats",
                          "/proc/sched_debug",
                          "/sys/firmware",
                          "/proc/scsi",
                          "/sys/devices/virtual/tpm"};
    linux.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                            "/proc/sysrq-trigger"};
    return config;
}

void make_rootless(Config& config, uint32_t host_uid, uint32_t host_gid) {
    Linux& linux = config.linux;
    std::erase_if(linux.namespaces, [](const Namespace& ns) { return ns.type == "network"; });
    linux.namespaces.push_back({.type = "user", .path = {}});
    linux.uid_mappings = {{.container_id = 0, .host_id = host_uid, .size = 1}};
    linux.gid_mappings = {{.container_id = 0, .host_id = host_gid, .size = 1}};
    linux.resources.reset();
    // Without a network namespace of its own sysfs cannot be mounted, only bound; one gid is
    // mapped.
    for (Mount& mount : config.mounts) {
        std::erase_if(mount.options,
                      [](const std::string& option) { return option.starts_with("gid="); });
        if (mount.type == "sysfs")
            mount = {.destination = "/sys",
                     .type = "none",
                     .source = "/sys",
                     .options = {"rbind", "nosuid", "noexec", "nodev", "ro"}};
    }
}

}  // namespace spec
