// The rules of config-linux.md: see validate.cpp.
#include <map>
#include <set>

#include "base/number_list.h"
#include "spec/rules.h"
#include "spec/sysctl.h"

namespace spec {

namespace {

bool is_action(std::string_view word) {
    return among(word, {"SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
                        "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW",
                        "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY"});
}

template <void (*check)(const Seccomp&, Findings&)>
void of_seccomp(const Config& config, Findings& out) {
    if (config.linux.seccomp) check(*config.linux.seccomp, out);
}

template <void (*check)(const Resources&, Findings&)>
void of_resources(const Config& config, Findings& out) {
    if (config.linux.resources) check(*config.linux.resources, out);
}

void check_absolute(const std::vector<std::string>& paths, const char* where, Findings& out) {
    for (const std::string& path : paths)
        if (!path.starts_with('/'))
            out.add("linux.", where, ": ", quoted(path), " must be an absolute path");
}

// As the kernel has it: up to fifteen bytes, no slash, no blank.
bool is_device_name(std::string_view name) {
    return !name.empty() && name.size() < 16 && name != "." && name != ".." &&
           name.find_first_of("/: \t\n") == std::string_view::npos;
}

// Which namespace a kernel parameter belongs to, or why it cannot be set; "" if it can.
std::string problem_with_sysctl(const Config& config, const std::string& key) {
    static constexpr auto ipc = {"kernel/msgmax", "kernel/msgmnb",         "kernel/msgmni",
                                 "kernel/sem",    "kernel/shmall",         "kernel/shmmax",
                                 "kernel/shmmni", "kernel/shm_rmid_forced"};
    const std::optional<std::string> path = sysctl_path(key);
    if (!path) return "is no name of a sysctl";
    if (std::ranges::find(ipc, *path) != ipc.end() || path->starts_with("fs/mqueue/"))
        return find_namespace(config, "ipc") ? "" : "is not allowed in the hosts ipc namespace";
    if (path->starts_with("net/"))
        return find_namespace(config, "network") ? "" : "not allowed in host network namespace";
    if (path == "kernel/hostname")
        return "is not allowed as it conflicts with the OCI \"hostname\" field";
    if (path == "kernel/domainname" && find_namespace(config, "uts")) return "";
    return "is not in a separate kernel namespace";
}

void check_mappings(const Config& config, Findings& out) {
    const Namespace* user = find_namespace(config, "user");
    const Linux& linux = config.linux;
    const bool mapped = !linux.uid_mappings.empty() || !linux.gid_mappings.empty();
    if (!user && mapped)
        out.add("linux.uidMappings: user namespace mappings specified, but user namespace isn't "
                "enabled in the config");
    if (user && user->path.empty() && (linux.uid_mappings.empty() || linux.gid_mappings.empty()))
        out.add("linux.uidMappings: user namespaces enabled, but no user mapping found");
}

bool is_device_number(int64_t major, int64_t minor) { return major < 1 << 12 && minor < 1 << 20; }

constexpr Rule linux_rules[] = {
    {"namespaces",
     "the following namespace types SHOULD be supported: pid, network, mount, ipc, uts, user, "
     "cgroup, time",
     [](const Config& config, Findings& out) {
         for (const Namespace& ns : config.linux.namespaces)
             if (!among(ns.type,
                        {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}))
                 out.add("linux.namespaces: namespace ", quoted(ns.type), " does not exist");
     }},
    {"namespaces",
     "if a namespaces field contains duplicated namespaces with same type, the runtime MUST "
     "generate an error",
     [](const Config& config, Findings& out) {
         std::set<std::string> seen;
         for (const Namespace& ns : config.linux.namespaces)
             if (!seen.insert(ns.type).second)
                 out.add("linux.namespaces: malformed spec file: duplicated ns ", quoted(ns.type));
     }},
    {"namespaces", "path MUST be an absolute path in the runtime mount namespace",
     [](const Config& config, Findings& out) {
         for (const Namespace& ns : config.linux.namespaces)
             if (!ns.path.empty() && ns.path[0] != '/')
                 out.add("linux.namespaces: the path of ", ns.type, " must be absolute, but is ",
                         quoted(ns.path));
     }},
    {"user-namespace-mappings", "mappings are those of the user namespace: one needs the other",
     check_mappings},
    {"user-namespace-mappings", "the container is set up by its root, who must be somebody outside",
     [](const Config& config, Findings& out) {
         const Namespace* user = find_namespace(config, "user");
         const auto check = [&](const std::vector<IdMapping>& map, const char* name) {
             if (!map.empty() && std::ranges::find(map, 0u, &IdMapping::container_id) == map.end())
                 out.add("linux.", name, ": has no container id 0");
         };
         if (!user || !user->path.empty()) return;
         check(config.linux.uid_mappings, "uidMappings"),
             check(config.linux.gid_mappings, "gidMappings");
     }},
    {"user-namespace-mappings", "size (uint32, REQUIRED) - is the number of ids to be mapped",
     [](const Config& config, Findings& out) {
         check_ranges(config.linux.uid_mappings, "linux.uidMappings", out);
         check_ranges(config.linux.gid_mappings, "linux.gidMappings", out);
     }},
    {"offset-for-time-namespace", "timeOffsets sets the offset for Time Namespace",
     [](const Config& config, Findings& out) {
         const Namespace* time = find_namespace(config, "time");
         if (!config.linux.time_offsets.empty() && (!time || !time->path.empty()))
             out.add("linux.timeOffsets: time namespace offsets specified, but time namespace "
                     "isn't enabled in the config");
     }},
    {"offset-for-time-namespace",
     "the name of the clock is the entry key; nanosecs is the offset of clock in nanoseconds",
     [](const Config& config, Findings& out) {
         for (const auto& [clock, offset] : config.linux.time_offsets) {
             if (!among(clock, {"monotonic", "boottime"}))
                 out.add("linux.timeOffsets: unknown clock ", quoted(clock));
             if (offset.nanosecs >= 1'000'000'000)
                 out.add("linux.timeOffsets.", clock, ".nanosecs: must be below 1000000000");
         }
     }},
    {"devices", "type (string, REQUIRED) - type of device: c, b, u or p",
     [](const Config& config, Findings& out) {
         for (const Device& device : config.linux.devices)
             if (!among(device.type, {"c", "b", "u", "p"}))
                 out.add("linux.devices: ", device.path,
                         ": type must be one of c, b, u, p, but is ", quoted(device.type));
     }},
    {"devices", "path (string, REQUIRED) - full path to device inside container",
     [](const Config& config, Findings& out) {
         for (const Device& device : config.linux.devices)
             if (!device.path.starts_with('/'))
                 out.add("linux.devices: ", quoted(device.path), " must be an absolute path");
     }},
    {"devices", "major, minor - major, minor numbers for the device",
     [](const Config& config, Findings& out) {
         for (const Device& device : config.linux.devices)
             if (device.major < 0 || device.minor < 0)
                 out.add("linux.devices: ", device.path, ": major and minor must not be negative");
             else if (!is_device_number(device.major, device.minor))
                 out.add("linux.devices: ", device.path, ": ", device.major, ":", device.minor,
                         " is no device");
             else if (device.major == 0 && device.minor == 0 && among(device.type, {"c", "b", "u"}))
                 out.add("linux.devices: ", device.path, ": has no major and minor");
     }},
    {"network-devices",
     "the runtime MUST check if moving the network interface to the container namespace is "
     "possible",
     [](const Config& config, Findings& out) {
         if (config.linux.net_devices.empty()) return;
         if (!find_namespace(config, "network"))
             out.add("linux.netDevices: unable to move network devices without a private NET "
                     "namespace");
         for (const auto& [host, device] : config.linux.net_devices)
             for (const std::string& name : {host, device.name.empty() ? host : device.name})
                 if (!is_device_name(name)) {
                     out.add("linux.netDevices: invalid network device name ", quoted(name));
                     break;
                 }
     }},
    {"cgroups-path",
     "runtimes MAY consider certain cgroupsPath values to be invalid, and MUST generate an error "
     "if this is the case",
     [](const Config& config, Findings& out) {
         for (const std::string& part : split(config.linux.cgroups_path, '/'))
             if (part == "..")
                 return out.add("linux.cgroupsPath: must not contain \"..\", but is ",
                                quoted(config.linux.cgroups_path));
         if (!config.linux.cgroups_path.empty() &&
             std::ranges::all_of(split(config.linux.cgroups_path, '/'),
                                 [](auto& part) { return part.empty() || part == "."; }))
             out.add("linux.cgroupsPath: must not be the root, but is ",
                     quoted(config.linux.cgroups_path));
     }},
    {"allowed-device-list",
     "type: a (all), c (char), or b (block); access: a composition of r, w and m",
     of_resources<[](const Resources& resources, Findings& out) {
         for (const DeviceRule& rule : resources.devices) {
             if (!rule.type.empty() && !among(rule.type, {"a", "b", "c", "u", "p"}))
                 out.add("linux.resources.devices: type must be one of a, b, c, but is ",
                         quoted(rule.type));
             if (rule.access.find_first_not_of("rwm") != std::string::npos)
                 out.add("linux.resources.devices: access must be of r, w, m, but is ",
                         quoted(rule.access));
             const int64_t major = rule.major.value_or(0), minor = rule.minor.value_or(0);
             if (major < -1 || minor < -1 || !is_device_number(major, minor))
                 out.add("linux.resources.devices: ", rule.major.value_or(-1), ":",
                         rule.minor.value_or(-1), " is no device");
         }
     }>},
    {"memory", "swap: memory+Swap usage",
     of_resources<[](const Resources& resources, Findings& out) {
         const int64_t limit = resources.memory.limit.value_or(0);
         const int64_t swap = resources.memory.swap.value_or(0);
         if (0 < swap && swap < limit)
             out.add("linux.resources.memory: memory+swap limit must be >= memory limit");
     }>},
    {"pids", "limit: the maximum number of tasks in the cgroup, with -1 indicating no limit",
     of_resources<[](const Resources& resources, Findings& out) {
         const int64_t limit = resources.pids.limit.value_or(0);
         if (limit < -1)
             out.add("linux.resources.pids.limit: must be -1 for no limit, or a number of tasks, "
                     "but is ",
                     limit);
     }>},
    {"block-io", "weight, leafWeight: the kernel's are from 10 to 1000; 0 leaves them",
     of_resources<[](const Resources& resources, Findings& out) {
         const auto check = [&](const char* name, std::optional<uint16_t> weight) {
             if (weight && *weight != 0 && (*weight < 10 || *weight > 1000))
                 out.add("linux.resources.blockIO.", name, ": must be from 10 to 1000, but is ",
                         *weight);
         };
         const BlockIo& io = resources.block_io;
         check("weight", io.weight), check("leafWeight", io.leaf_weight);
         for (const WeightDevice& device : io.weight_device)
             check("weightDevice: weight", device.weight),
                 check("weightDevice: leafWeight", device.leaf_weight);
     }>},
    {"block-io",
     "weightDevice: you MUST specify at least one of weight or leafWeight in a given entry",
     of_resources<[](const Resources& resources, Findings& out) {
         for (const WeightDevice& device : resources.block_io.weight_device)
             if (!device.weight && !device.leaf_weight)
                 out.add("linux.resources.blockIO.weightDevice: ", device.major, ":", device.minor,
                         " has neither weight nor leafWeight");
     }>},
    {"huge-page-limits", "pageSize has the format <size><unit-prefix>B (64KB, 2MB, 1GB)",
     of_resources<[](const Resources& resources, Findings& out) {
         for (const HugepageLimit& limit : resources.hugepage_limits) {
             const size_t unit = limit.page_size.find_first_not_of("0123456789");
             if (unit == 0 || unit == std::string::npos || limit.page_size[0] == '0' ||
                 !among(limit.page_size.substr(unit), {"KB", "MB", "GB"}))
                 out.add("linux.resources.hugepageLimits: pageSize must be a number and KB, MB or "
                         "GB, but is ",
                         quoted(limit.page_size));
         }
     }>},
    {"rdma", "you MUST specify at least one of the hcaHandles or hcaObjects in a given entry",
     of_resources<[](const Resources& resources, Findings& out) {
         for (const auto& [device, limit] : resources.rdma)
             if (!limit.hca_handles && !limit.hca_objects)
                 out.add("linux.resources.rdma.", device,
                         ": has neither hcaHandles nor hcaObjects");
     }>},
    {"unified", "unified: the name of a file in the cgroup of the container",
     of_resources<[](const Resources& resources, Findings& out) {
         for (const auto& [file, value] : resources.unified)
             if (file.empty() || file.contains('/'))
                 out.add("linux.resources.unified: ", quoted(file), " must be the name of a file");
             else if (file.starts_with('.') || !file.contains('.'))
                 out.add("linux.resources.unified: ", quoted(file),
                         " must be in the form CONTROLLER.PARAMETER");
     }>},
    {"intelrdt", "closID is the name of a sub-directory of resctrl, or /",
     [](const Config& config, Findings& out) {
         if (!config.linux.intel_rdt) return;
         const std::string& name = config.linux.intel_rdt->clos_id;
         if (name != "/" && (among(name, {".", ".."}) || name.contains('/') || name.contains('\n')))
             out.add("linux.intelRdt: invalid intelRdt.ClosID ", quoted(name));
     }},
    {"intelrdt",
     "memBwSchema MUST start with MB: and MUST NOT contain newlines; schemata MUST NOT contain "
     "newlines",
     [](const Config& config, Findings& out) {
         if (!config.linux.intel_rdt) return;
         const IntelRdt& rdt = *config.linux.intel_rdt;
         if (!rdt.mem_bw_schema.empty() &&
             (!rdt.mem_bw_schema.starts_with("MB:") || rdt.mem_bw_schema.contains('\n')))
             out.add("linux.intelRdt.memBwSchema: must start with MB: and be one line, but is ",
                     quoted(rdt.mem_bw_schema));
         for (const std::string& line : rdt.schemata)
             if (line.contains('\n'))
                 out.add("linux.intelRdt.schemata: must be one line, but is ", quoted(line));
     }},
    {"memory-policy", "mode (string, REQUIRED) and flags: a valid list of constants is given",
     [](const Config& config, Findings& out) {
         if (!config.linux.memory_policy) return;
         const MemoryPolicy& policy = *config.linux.memory_policy;
         if (!among(policy.mode,
                    {"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
                     "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL"}))
             out.add("linux.memoryPolicy: invalid memory policy mode: ", quoted(policy.mode));
         for (const std::string& flag : policy.flags)
             if (!among(flag,
                        {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}))
                 out.add("linux.memoryPolicy: invalid memory policy flag: ", quoted(flag));
     }},
    {"memory-policy", "nodes is a comma-separated list, with dashes to represent ranges",
     [](const Config& config, Findings& out) {
         if (!config.linux.memory_policy) return;
         const MemoryPolicy& policy = *config.linux.memory_policy;
         const auto nodes = parse_number_list(policy.nodes);
         if (!nodes)
             return out.add("linux.memoryPolicy: invalid memory policy nodes: ",
                            quoted(policy.nodes));
         const uint64_t count = count_numbers(*nodes);
         if (count != 0 && among(policy.mode, {"MPOL_DEFAULT", "MPOL_LOCAL"}))
             out.add("linux.memoryPolicy: memory policy mode requires 0 nodes but got ", count);
         else if (count == 0 &&
                  among(policy.mode, {"MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
                                      "MPOL_PREFERRED_MANY"}))
             out.add("linux.memoryPolicy: memory policy mode requires at least one node but got 0");
     }},
    {"sysctl",
     "sysctl allows kernel parameters to be modified for the container: only those of its own "
     "namespaces",
     [](const Config& config, Findings& out) {
         for (const auto& [key, value] : config.linux.sysctl)
             if (const std::string why = problem_with_sysctl(config, key); !why.empty())
                 out.add("linux.sysctl: sysctl ", quoted(key), " ", why);
     }},
    {"seccomp",
     "defaultAction (string, REQUIRED): allowed values are the same as syscalls[].action",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         if (!is_action(seccomp.default_action))
             out.add("linux.seccomp.defaultAction: string ", seccomp.default_action,
                     " is not a valid action for seccomp");
     }>},
    {"seccomp",
     "errnoRet: when the action doesn't support an errno, the runtime MUST print and error and "
     "fail",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         const auto takes = [](std::string_view action) {
             return among(action, {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"});
         };
         if (seccomp.default_errno_ret && !takes(seccomp.default_action))
             out.add("linux.seccomp.defaultErrnoRet: errnoRet is not for seccomp action ",
                     quoted(seccomp.default_action));
         for (const SeccompSyscall& rule : seccomp.syscalls)
             if (rule.errno_ret && !takes(rule.action))
                 out.add("linux.seccomp.syscalls: errnoRet is not for seccomp action ",
                         quoted(rule.action));
     }>},
    {"seccomp",
     "errnoRet (uint, OPTIONAL) - the errno return code to use: the kernel's last one is 4095",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         const auto check = [&](const char* where, uint32_t number) {
             if (4095 < number) out.add("linux.seccomp.", where, ": ", number, " is too large");
         };
         check("defaultErrnoRet", seccomp.default_errno_ret.value_or(0));
         for (const SeccompSyscall& rule : seccomp.syscalls)
             check("syscalls: errnoRet", rule.errno_ret.value_or(0));
     }>},
    {"seccomp", "architectures: a valid list of constants is given",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         for (const std::string& name : seccomp.architectures)
             if (!among(name, {"SCMP_ARCH_X86",      "SCMP_ARCH_X86_64",      "SCMP_ARCH_X32",
                               "SCMP_ARCH_ARM",      "SCMP_ARCH_AARCH64",     "SCMP_ARCH_MIPS",
                               "SCMP_ARCH_MIPS64",   "SCMP_ARCH_MIPS64N32",   "SCMP_ARCH_MIPSEL",
                               "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
                               "SCMP_ARCH_PPC64",    "SCMP_ARCH_PPC64LE",     "SCMP_ARCH_S390",
                               "SCMP_ARCH_S390X",    "SCMP_ARCH_PARISC",      "SCMP_ARCH_PARISC64",
                               "SCMP_ARCH_RISCV64",  "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",
                               "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB"}))
                 out.add("linux.seccomp.architectures: string ", name,
                         " is not a valid arch for seccomp");
     }>},
    {"seccomp", "flags: a valid list of constants is given",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         for (const std::string& name : seccomp.flags.value_or(std::vector<std::string>{}))
             if (!among(name, {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                               "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                               "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}))
                 out.add("linux.seccomp.flags: string ", name, " is not a valid flag for seccomp");
     }>},
    {"seccomp", "listenerMetadata MUST NOT be set if listenerPath is not set",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         if (!seccomp.listener_metadata.empty() && seccomp.listener_path.empty())
             out.add("linux.seccomp.listenerMetadata: is set, but listenerPath is not");
     }>},
    {"seccomp", "names MUST contain at least one entry",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         for (size_t i = 0; i < seccomp.syscalls.size(); ++i)
             if (seccomp.syscalls[i].names.empty())
                 out.add("linux.seccomp.syscalls[", i, "].names: must contain at least one entry");
     }>},
    {"seccomp", "action (string, REQUIRED) - the action for seccomp rules",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         for (const SeccompSyscall& rule : seccomp.syscalls)
             if (!is_action(rule.action))
                 out.add("linux.seccomp.syscalls: string ", rule.action,
                         " is not a valid action for seccomp");
     }>},
    {"seccomp",
     "op (string, REQUIRED) - the operator for syscall arguments; index - of at most six arguments",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         for (const SeccompSyscall& rule : seccomp.syscalls)
             for (const SeccompArg& arg : rule.args) {
                 if (!among(arg.op, {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ",
                                     "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"}))
                     out.add("linux.seccomp.syscalls: string ", arg.op,
                             " is not a valid operator for seccomp");
                 if (5 < arg.index)
                     out.add("linux.seccomp.syscalls: seccomp argument index ", arg.index,
                             " is too large");
             }
     }>},
    {"seccomp",
     "SCMP_ACT_NOTIFY: the runtime sends the seccomp descriptor to listenerPath, and must itself "
     "still be able to",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         if (seccomp.default_action == "SCMP_ACT_NOTIFY")
             out.add(
                 "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action");
         for (const SeccompSyscall& rule : seccomp.syscalls) {
             if (rule.action != "SCMP_ACT_NOTIFY") continue;
             if (seccomp.listener_path.empty())
                 out.add("linux.seccomp.listenerPath: seccomp listenerPath is not set, but "
                         "SCMP_ACT_NOTIFY is used");
             if (std::ranges::find(rule.names, "write") != rule.names.end())
                 out.add("linux.seccomp.syscalls: SCMP_ACT_NOTIFY cannot be used for the write "
                         "syscall");
         }
     }>},
    {"rootfs-mount-propagation",
     "rootfsPropagation: its value is either shared, slave, private or unbindable",
     [](const Config& config, Findings& out) {
         if (!among(config.linux.rootfs_propagation,
                    {"", "shared", "slave", "private", "unbindable", "rshared", "rslave",
                     "rprivate", "runbindable"}))
             out.add("linux.rootfsPropagation: rootfsPropagation=", config.linux.rootfs_propagation,
                     " is not supported");
     }},
    {"masked-paths", "maskedPaths: the values MUST be absolute paths in the container namespace",
     [](const Config& config, Findings& out) {
         check_absolute(config.linux.masked_paths, "maskedPaths", out);
     }},
    {"readonly-paths",
     "readonlyPaths: the values MUST be absolute paths in the container namespace",
     [](const Config& config, Findings& out) {
         check_absolute(config.linux.readonly_paths, "readonlyPaths", out);
     }},
    {"personality",
     "domain (string, REQUIRED): LINUX or LINUX32; currently no flag values are supported",
     [](const Config& config, Findings& out) {
         if (!config.linux.personality) return;
         if (!among(config.linux.personality->domain, {"LINUX", "LINUX32"}))
             out.add("linux.personality: invalid personality domain: ",
                     quoted(config.linux.personality->domain));
         for (const std::string& flag : config.linux.personality->flags)
             out.add("linux.personality: personality flags are not supported: ", quoted(flag));
     }},
};

}  // namespace

std::span<const Rule> rules_of_linux() { return linux_rules; }

}  // namespace spec
