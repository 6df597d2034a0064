// config.json of the OCI runtime-spec 1.3, for Linux, as plain structs with the semantics of the Go
// types: std::optional where the Go field is a pointer to a scalar (or where presence means
// something), otherwise empty means absent. No behaviour; the tables are in runtime.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spec {

inline constexpr const char* version = "1.3.0";  // of runtime-spec, that all here is about

using Annotations = std::map<std::string, std::string>;

struct Box {
    uint32_t height = 0, width = 0;
};
struct User {
    uint32_t uid = 0, gid = 0;
    std::optional<uint32_t> umask;
    std::vector<uint32_t> additional_gids;
    std::string username;
};
struct Rlimit {
    std::string type;
    uint64_t hard = 0, soft = 0;
};
struct Capabilities {
    std::vector<std::string> bounding, effective, inheritable, permitted, ambient;
};
struct IoPriority {
    std::string io_class;
    int priority = 0;
};
struct Scheduler {
    std::string policy;
    int32_t nice = 0, priority = 0;
    std::vector<std::string> flags;
    uint64_t runtime = 0, deadline = 0, period = 0;
};
struct CpuAffinity {
    std::string initial, final_;
};

struct Process {
    bool terminal = false;
    std::optional<Box> console_size;
    User user;
    std::vector<std::string> args;
    std::string command_line;
    std::vector<std::string> env;
    std::string cwd;
    std::optional<Capabilities> capabilities;
    std::vector<Rlimit> rlimits;
    bool no_new_privileges = false;
    std::string apparmor_profile;
    std::optional<int> oom_score_adj;
    std::optional<Scheduler> scheduler;
    std::string selinux_label;
    std::optional<IoPriority> io_priority;
    std::optional<CpuAffinity> exec_cpu_affinity;
};

struct RootFs {
    std::string path;
    bool readonly = false;
};

struct IdMapping {
    uint32_t container_id = 0, host_id = 0, size = 0;
};

struct Mount {
    std::string destination, type, source;
    std::vector<std::string> options;
    std::vector<IdMapping> uid_mappings, gid_mappings;
};

struct Hook {
    std::string path;
    std::vector<std::string> args, env;
    std::optional<int> timeout;  // seconds
};
struct Hooks {
    std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart,
        poststop;
};

struct Namespace {
    std::string type, path;
};

struct Device {
    std::string path, type;
    int64_t major = 0, minor = 0;
    std::optional<uint32_t> file_mode, uid, gid;
};
struct NetDevice {
    std::string name;
};

struct DeviceRule {
    bool allow = false;
    std::string type;
    std::optional<int64_t> major, minor;
    std::string access;
};
struct WeightDevice {
    int64_t major = 0, minor = 0;
    std::optional<uint16_t> weight, leaf_weight;
};
struct ThrottleDevice {
    int64_t major = 0, minor = 0;
    uint64_t rate = 0;
};
struct BlockIo {
    std::optional<uint16_t> weight, leaf_weight;
    std::vector<WeightDevice> weight_device;
    std::vector<ThrottleDevice> throttle_read_bps, throttle_write_bps, throttle_read_iops,
        throttle_write_iops;
};
struct Memory {
    std::optional<int64_t> limit, reservation, swap, kernel, kernel_tcp;
    std::optional<uint64_t> swappiness;
    std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
};
struct Cpu {
    std::optional<uint64_t> shares;
    std::optional<int64_t> quota;
    std::optional<uint64_t> burst, period;
    std::optional<int64_t> realtime_runtime;
    std::optional<uint64_t> realtime_period;
    std::string cpus, mems;
    std::optional<int64_t> idle;
};
struct Pids {
    std::optional<int64_t> limit;
};
struct HugepageLimit {
    std::string page_size;
    uint64_t limit = 0;
};
struct InterfacePriority {
    std::string name;
    uint32_t priority = 0;
};
struct Network {
    std::optional<uint32_t> class_id;
    std::vector<InterfacePriority> priorities;
};
struct Rdma {
    std::optional<uint32_t> hca_handles, hca_objects;
};
struct Resources {
    std::vector<DeviceRule> devices;
    Memory memory;
    Cpu cpu;
    Pids pids;
    BlockIo block_io;
    std::vector<HugepageLimit> hugepage_limits;
    Network network;
    std::map<std::string, Rdma> rdma;
    std::map<std::string, std::string> unified;
};

struct SeccompArg {
    uint32_t index = 0;
    uint64_t value = 0, value_two = 0;
    std::string op;
};
struct SeccompSyscall {
    std::vector<std::string> names;
    std::string action;
    std::optional<uint32_t> errno_ret;
    std::vector<SeccompArg> args;
};
struct Seccomp {
    std::string default_action;
    std::optional<uint32_t> default_errno_ret;
    std::vector<std::string> architectures;
    std::optional<std::vector<std::string>> flags;  // absent is the runtime's choice, [] is none
    std::string listener_path, listener_metadata;
    std::vector<SeccompSyscall> syscalls;
};

struct IntelRdt {
    std::string clos_id;
    std::vector<std::string> schemata;
    std::string l3_cache_schema, mem_bw_schema;
    bool enable_cmt = false, enable_mbm = false, enable_monitoring = false;
};
struct Personality {
    std::string domain;
    std::vector<std::string> flags;
};
struct MemoryPolicy {
    std::string mode, nodes;
    std::vector<std::string> flags;
};
struct TimeOffset {
    int64_t secs = 0;
    uint32_t nanosecs = 0;
};

struct Linux {
    std::vector<IdMapping> uid_mappings, gid_mappings;
    std::map<std::string, std::string> sysctl;
    std::optional<Resources> resources;
    std::string cgroups_path;
    std::vector<Namespace> namespaces;
    std::vector<Device> devices;
    std::map<std::string, NetDevice> net_devices;
    std::optional<Seccomp> seccomp;
    std::string rootfs_propagation;
    std::vector<std::string> masked_paths, readonly_paths;
    std::string mount_label;
    std::optional<IntelRdt> intel_rdt;
    std::optional<MemoryPolicy> memory_policy;
    std::optional<Personality> personality;
    std::map<std::string, TimeOffset> time_offsets;
};

struct Config {
    std::string oci_version;
    std::optional<Process> process;
    std::optional<RootFs> root;
    std::string hostname, domainname;
    std::vector<Mount> mounts;
    Hooks hooks;
    Annotations annotations;
    Linux linux;
};

// Throws Error with the path in the document ("mounts[0].options: must be an array, but is 3").
// What the spec requires to be there is checked by validate().
Config read_config(std::string_view text);
std::string write(const Config& config, int indent = 2);
Process read_process(std::string_view text);  // the file of `exec --process`
std::string write(const Process& process, int indent = -1);
Resources read_resources(std::string_view text);  // the file of `update --resources`
std::string write(const Resources& resources, int indent = -1);

// What `keg-runtime spec` prints: the words, order and values of runc's template, with a cgroup
// namespace where cgroups are v2.
Config default_config(bool cgroup_namespace = true);
// What a user without rights needs instead: a user namespace, no network namespace, no limits.
void make_rootless(Config& config, uint32_t host_uid, uint32_t host_gid);

// Every MUST of the spec that a document breaks, as "linux.namespaces[2]: …"; empty if it is valid.
std::vector<std::string> problems(const Config& config);
// Throws the first problem as an Error.
void validate(const Config& config);

}  // namespace spec
