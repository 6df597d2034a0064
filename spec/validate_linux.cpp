// The rules of config-linux.md: see validate.cpp.
#include <map>
#include <set>

#include "base/number_list.h"
#include "spec/rules.h"
#include "spec/sysctl.h"

namespace spec {

namespace {

template <void (*check)(const Resources&, Findings&)>
void of_resources(const Config& config, Findings& out) {
    if (config.linux.resources) check(*config.linux.resources, out);
}

void check_absolute(const std::vector<std::string>& paths, const char* where, Findings& out) {
    for (size_t i = 0; i < paths.size(); ++i)
        if (!paths[i].starts_with('/'))
            out.add("linux.", where, "[", i, "]: must be an absolute path, but is ",
                    quoted(paths[i]));
}

// As the kernel reads it: "/", "//", "/./".
bool is_root(std::string_view path) {
    return path.starts_with('/') && path.find_first_not_of("/.") == std::string_view::npos;
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
    const auto check = [&](const char* name, const std::vector<IdMapping>& map) {
        if (!user && !map.empty())
            out.add("linux.", name,
                    ": user namespace mappings specified, but user namespace isn't enabled in the "
                    "config");
        if (user && user->path.empty() && map.empty())
            out.add("linux.", name, ": user namespaces enabled, but no user mapping found");
    };
    check("uidMappings", linux.uid_mappings), check("gidMappings", linux.gid_mappings);
}

void check_device_numbers(const Place& at, int64_t major, int64_t minor, int64_t least,
                          Findings& out) {
    const auto check = [&](const char* which, int64_t number, int64_t end) {
        if (number < least || end <= number)
            out.add(at, ".", which, ": must be from ", least, " to ", end - 1, ", but is ", number);
    };
    check("major", major, 1 << 12), check("minor", minor, 1 << 20);
}

void each_namespace(const Config& config, auto&& visit) {
    const std::vector<Namespace>& all = config.linux.namespaces;
    for (size_t i = 0; i < all.size(); ++i) visit(Place("linux.namespaces", i), all[i]);
}

void each_device(const Config& config, auto&& visit) {
    const std::vector<Device>& all = config.linux.devices;
    for (size_t i = 0; i < all.size(); ++i) visit(Place("linux.devices", i), all[i]);
}

constexpr Rule linux_rules[] = {
    {"namespaces",
     "the following namespace types SHOULD be supported: pid, network, mount, ipc, uts, user, "
     "cgroup, time",
     [](const Config& config, Findings& out) {
         each_namespace(config, [&](const Place& at, const Namespace& ns) {
             if (!among(ns.type,
                        {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}))
                 out.add(at, ".type: namespace ", quoted(ns.type), " does not exist");
         });
     }},
    {"namespaces",
     "if a namespaces field contains duplicated namespaces with same type, the runtime MUST "
     "generate an error",
     [](const Config& config, Findings& out) {
         std::set<std::string> seen;
         each_namespace(config, [&](const Place& at, const Namespace& ns) {
             if (!seen.insert(ns.type).second)
                 out.add(at, ".type: malformed spec file: duplicated ns ", quoted(ns.type));
         });
     }},
    {"namespaces", "path MUST be an absolute path in the runtime mount namespace",
     [](const Config& config, Findings& out) {
         each_namespace(config, [&](const Place& at, const Namespace& ns) {
             if (!ns.path.empty() && ns.path[0] != '/')
                 out.add(at, ".path: must be an absolute path, but is ", quoted(ns.path));
         });
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
                 out.add("linux.timeOffsets: unknown clock ", quoted(clock),
                         ": must be monotonic or boottime");
             if (offset.nanosecs >= 1'000'000'000)
                 out.add("linux.timeOffsets.", clock, ".nanosecs: must be below 1000000000");
         }
     }},
    {"devices", "type (string, REQUIRED) - type of device: c, b, u or p",
     [](const Config& config, Findings& out) {
         each_device(config, [&](const Place& at, const Device& device) {
             if (!among(device.type, {"c", "b", "u", "p"}))
                 out.add(at, ".type: must be one of c, b, u, p, but is ", quoted(device.type));
         });
     }},
    {"devices", "path (string, REQUIRED) - full path to device inside container",
     [](const Config& config, Findings& out) {
         each_device(config, [&](const Place& at, const Device& device) {
             if (!device.path.starts_with('/'))
                 out.add(at, ".path: must be an absolute path, but is ", quoted(device.path));
             else if (is_root(device.path))
                 out.add(at, ".path: ", quoted(device.path), " is the root itself");
         });
     }},
    {"devices", "fileMode - file mode for the device: of the kernel's 16 bits",
     [](const Config& config, Findings& out) {
         each_device(config, [&](const Place& at, const Device& device) {
             if (UINT16_MAX < device.file_mode.value_or(0))
                 out.add(at, ".fileMode: must be from 0 to 65535, but is ", *device.file_mode);
         });
     }},
    {"devices", "uid, gid - id of device owner or group in the container namespace",
     [](const Config& config, Findings& out) {
         each_device(config, [&](const Place& at, const Device& device) {
             const auto check = [&](const char* which, std::optional<uint32_t> id) {
                 if (id == uint32_t(-1)) out.add(at, ".", which, ": ", *id, " is no id");
             };
             check("uid", device.uid), check("gid", device.gid);
         });
     }},
    {"devices", "major, minor - major, minor numbers for the device",
     [](const Config& config, Findings& out) {
         each_device(config, [&](const Place& at, const Device& device) {
             check_device_numbers(at, device.major, device.minor, 0, out);
             if (device.major == 0 && device.minor == 0 && among(device.type, {"c", "b", "u"}))
                 out.add(at, ".major: ", device.path, " has no major and minor");
         });
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
         if (config.linux.cgroups_path.contains('\n'))
             return out.add("linux.cgroupsPath: must be one line, but is ",
                            quoted(config.linux.cgroups_path));
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
         for (size_t i = 0; i < resources.devices.size(); ++i) {
             const DeviceRule& rule = resources.devices[i];
             const Place at("linux.resources.devices", i);
             if (!rule.type.empty() && !among(rule.type, {"a", "b", "c"}))
                 out.add(at, ".type: must be one of a, b, c, but is ", quoted(rule.type));
             if (rule.access.find_first_not_of("rwm") != std::string::npos)
                 out.add(at, ".access: must be of r, w, m, but is ", quoted(rule.access));
             check_device_numbers(at, rule.major.value_or(-1), rule.minor.value_or(-1), -1, out);
         }
     }>},
    {"memory", "limit, reservation, swap, kernelTCP: in bytes; -1 is no limit",
     of_resources<[](const Resources& resources, Findings& out) {
         const auto check = [&](const char* name, std::optional<int64_t> bytes) {
             if (bytes && *bytes < -1)
                 out.add("linux.resources.memory.", name,
                         ": must be -1 for no limit, or a number of bytes, but is ", *bytes);
         };
         const Memory& memory = resources.memory;
         check("limit", memory.limit), check("reservation", memory.reservation),
             check("swap", memory.swap), check("kernelTCP", memory.kernel_tcp);
     }>},
    {"memory", "swap: memory+Swap usage",
     of_resources<[](const Resources& resources, Findings& out) {
         const int64_t limit = resources.memory.limit.value_or(0);
         const int64_t swap = resources.memory.swap.value_or(0);
         if (0 < swap && swap < limit)
             out.add("linux.resources.memory.swap: memory+swap limit must be >= memory limit");
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
         const auto check = [&](const Place& name, std::optional<uint16_t> weight) {
             if (weight && *weight != 0 && (*weight < 10 || *weight > 1000))
                 out.add("linux.resources.blockIO.", name, ": must be from 10 to 1000, but is ",
                         *weight);
         };
         const BlockIo& io = resources.block_io;
         check("weight", io.weight), check("leafWeight", io.leaf_weight);
         for (size_t i = 0; i < io.weight_device.size(); ++i) {
             const Place at("weightDevice", i);
             check(Place(at, "weight"), io.weight_device[i].weight),
                 check(Place(at, "leafWeight"), io.weight_device[i].leaf_weight);
         }
     }>},
    {"block-io",
     "weightDevice: you MUST specify at least one of weight or leafWeight in a given entry",
     of_resources<[](const Resources& resources, Findings& out) {
         const std::vector<WeightDevice>& devices = resources.block_io.weight_device;
         for (size_t i = 0; i < devices.size(); ++i)
             if (!devices[i].weight && !devices[i].leaf_weight)
                 out.add("linux.resources.blockIO.weightDevice[", i, "]: ", devices[i].major, ":",
                         devices[i].minor, " has neither weight nor leafWeight");
     }>},
    {"huge-page-limits", "pageSize has the format <size><unit-prefix>B (64KB, 2MB, 1GB)",
     of_resources<[](const Resources& resources, Findings& out) {
         for (size_t i = 0; i < resources.hugepage_limits.size(); ++i) {
             const std::string& size = resources.hugepage_limits[i].page_size;
             const size_t unit = size.find_first_not_of("0123456789");
             if (unit == 0 || unit == std::string::npos || size[0] == '0' ||
                 !among(size.substr(unit), {"KB", "MB", "GB"}))
                 out.add("linux.resources.hugepageLimits[", i,
                         "].pageSize: must be a number and KB, MB or GB, but is ", quoted(size));
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
             out.add("linux.intelRdt.closID: invalid intelRdt.ClosID ", quoted(name));
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
         for (size_t i = 0; i < rdt.schemata.size(); ++i)
             if (rdt.schemata[i].contains('\n'))
                 out.add("linux.intelRdt.schemata[", i, "]: must be one line, but is ",
                         quoted(rdt.schemata[i]));
     }},
    {"memory-policy", "mode (string, REQUIRED) and flags: a valid list of constants is given",
     [](const Config& config, Findings& out) {
         if (!config.linux.memory_policy) return;
         const MemoryPolicy& policy = *config.linux.memory_policy;
         if (!among(policy.mode,
                    {"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
                     "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL"}))
             out.add("linux.memoryPolicy.mode: invalid memory policy mode: ", quoted(policy.mode));
         for (size_t i = 0; i < policy.flags.size(); ++i)
             if (!among(policy.flags[i],
                        {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}))
                 out.add("linux.memoryPolicy.flags[", i,
                         "]: invalid memory policy flag: ", quoted(policy.flags[i]));
     }},
    {"memory-policy", "nodes is a comma-separated list, with dashes to represent ranges",
     [](const Config& config, Findings& out) {
         if (!config.linux.memory_policy) return;
         const MemoryPolicy& policy = *config.linux.memory_policy;
         const auto nodes = parse_number_list(policy.nodes);
         if (!nodes)
             return out.add("linux.memoryPolicy.nodes: invalid memory policy nodes: ",
                            quoted(policy.nodes));
         const uint64_t count = count_numbers(*nodes);
         if (count != 0 && among(policy.mode, {"MPOL_DEFAULT", "MPOL_LOCAL"}))
             out.add("linux.memoryPolicy.nodes: memory policy mode requires 0 nodes but got ",
                     count);
         else if (count == 0 &&
                  among(policy.mode, {"MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
                                      "MPOL_PREFERRED_MANY"}))
             out.add("linux.memoryPolicy.nodes: memory policy mode requires at least one node but "
                     "got 0");
     }},
    {"sysctl",
     "sysctl allows kernel parameters to be modified for the container: only those of its own "
     "namespaces",
     [](const Config& config, Findings& out) {
         for (const auto& [key, value] : config.linux.sysctl)
             if (const std::string why = problem_with_sysctl(config, key); !why.empty())
                 out.add("linux.sysctl: sysctl ", quoted(key), " ", why);
     }},
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
         for (size_t i = 0; i < config.linux.masked_paths.size(); ++i)
             if (is_root(config.linux.masked_paths[i]))
                 out.add("linux.maskedPaths[", i, "]: ", quoted(config.linux.masked_paths[i]),
                         " is the root itself");
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
             out.add("linux.personality.domain: invalid personality domain: ",
                     quoted(config.linux.personality->domain));
         for (const std::string& flag : config.linux.personality->flags)
             out.add("linux.personality.flags: personality flags are not supported: ",
                     quoted(flag));
     }},
};

}  // namespace

std::span<const Rule> rules_of_linux() { return linux_rules; }

}  // namespace spec
