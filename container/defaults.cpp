// The order counts. Mounts are made as they stand here, so /dev comes before what lies in it; of
// device rules a later one wins, so the first takes everything away. A capability that the kernel
// has and our list does not is left out: it could not be named.
#include "container/defaults.h"

#include "base/error.h"
#include "base/file.h"
#include "spec/capabilities.h"

std::vector<spec::Mount> default_mounts(bool writable_kernel, int64_t shm_size) {
    const std::string access = writable_kernel ? "rw" : "ro";
    return {{"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
            {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
            {"/dev/pts",
             "devpts",
             "devpts",
             {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
            {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}},
            {"/sys/fs/cgroup", "cgroup", "cgroup", {access, "nosuid", "noexec", "nodev"}},
            {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
            {"/dev/shm",
             "tmpfs",
             "shm",
             {"nosuid", "noexec", "nodev", "mode=1777", str("size=", shm_size)}}};
}

std::vector<spec::DeviceRule> default_device_rules() {
    std::vector<spec::DeviceRule> rules = {{.allow = false, .type = "a", .access = "rwm"}};
    for (const auto& [major, minor] : {std::pair(1, 5), std::pair(1, 3), std::pair(1, 9),
                                       std::pair(1, 8), std::pair(5, 0), std::pair(5, 1)})
        rules.push_back(
            {.allow = true, .type = "c", .major = major, .minor = minor, .access = "rwm"});
    rules.push_back({.allow = false, .type = "c", .major = 10, .minor = 229, .access = "rwm"});
    return rules;
}

void hide_kernel_files(spec::Linux& linux) {
    linux.masked_paths = {"/proc/acpi",
                          "/proc/asound",
                          "/proc/interrupts",
                          "/proc/kcore",
                          "/proc/keys",
                          "/proc/latency_stats",
                          "/proc/sched_debug",
                          "/proc/scsi",
                          "/proc/timer_list",
                          "/proc/timer_stats",
                          "/sys/devices/virtual/powercap",
                          "/sys/firmware"};
    linux.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                            "/proc/sysrq-trigger"};
}

void open_ports_and_ping(spec::Linux& linux) {
    linux.sysctl["net.ipv4.ip_unprivileged_port_start"] = "0";
    linux.sysctl["net.ipv4.ping_group_range"] = "0 2147483647";
}

spec::Capabilities rights(const std::vector<std::string>& capabilities, uint32_t uid) {
    spec::Capabilities out{.bounding = capabilities,
                           .effective = {},
                           .inheritable = {},
                           .permitted = {},
                           .ambient = {}};
    if (uid == 0) out.effective = out.permitted = capabilities;
    return out;
}

std::vector<std::string> own_capabilities() {
    std::vector<std::string> out;
    for (const std::string& line : split(read_file("/proc/self/status"), '\n')) {
        if (!line.starts_with("CapBnd:")) continue;
        const uint64_t bits = parse_number<uint64_t>(trim(line.substr(7)), 16).value_or(0);
        for (size_t i = 0; i < spec::capability_names().size(); ++i)
            if (bits >> i & 1) out.emplace_back(spec::capability_names()[i]);
    }
    return out;
}
