// The field tables of config.json: names, order and emptiness rules of the Go types of runtime-spec
// 1.3.
#include "spec/runtime.h"

#include "base/json.h"

using json::optional;
using json::required;
using namespace spec;

template <>
inline constexpr auto json::fields<Box> =
    std::tuple(required("height", &Box::height), required("width", &Box::width));
template <>
inline constexpr auto json::fields<User> =
    std::tuple(required("uid", &User::uid), required("gid", &User::gid),
               optional("umask", &User::umask), optional("additionalGids", &User::additional_gids),
               optional("username", &User::username));
template <>
inline constexpr auto json::fields<Rlimit> =
    std::tuple(required("type", &Rlimit::type), required("hard", &Rlimit::hard),
               required("soft", &Rlimit::soft));
template <>
inline constexpr auto json::fields<Capabilities> = std::tuple(
    optional("bounding", &Capabilities::bounding), optional("effective", &Capabilities::effective),
    optional("inheritable", &Capabilities::inheritable),
    optional("permitted", &Capabilities::permitted), optional("ambient", &Capabilities::ambient));
template <>
inline constexpr auto json::fields<IoPriority> = std::tuple(
    required("class", &IoPriority::io_class), required("priority", &IoPriority::priority));
template <>
inline constexpr auto json::fields<Scheduler> =
    std::tuple(required("policy", &Scheduler::policy), optional("nice", &Scheduler::nice),
               optional("priority", &Scheduler::priority), optional("flags", &Scheduler::flags),
               optional("runtime", &Scheduler::runtime), optional("deadline", &Scheduler::deadline),
               optional("period", &Scheduler::period));
template <>
inline constexpr auto json::fields<CpuAffinity> =
    std::tuple(optional("initial", &CpuAffinity::initial), optional("final", &CpuAffinity::final_));
template <>
inline constexpr auto json::fields<Process> = std::tuple(
    optional("terminal", &Process::terminal), optional("consoleSize", &Process::console_size),
    required("user", &Process::user), optional("args", &Process::args),
    optional("commandLine", &Process::command_line), optional("env", &Process::env),
    required("cwd", &Process::cwd), optional("capabilities", &Process::capabilities),
    optional("rlimits", &Process::rlimits),
    optional("noNewPrivileges", &Process::no_new_privileges),
    optional("apparmorProfile", &Process::apparmor_profile),
    optional("oomScoreAdj", &Process::oom_score_adj), optional("scheduler", &Process::scheduler),
    optional("selinuxLabel", &Process::selinux_label),
    optional("ioPriority", &Process::io_priority),
    optional("execCPUAffinity", &Process::exec_cpu_affinity));

template <>
inline constexpr auto json::fields<RootFs> =
    std::tuple(required("path", &RootFs::path), optional("readonly", &RootFs::readonly));
template <>
inline constexpr auto json::fields<IdMapping> =
    std::tuple(required("containerID", &IdMapping::container_id),
               required("hostID", &IdMapping::host_id), required("size", &IdMapping::size));
template <>
inline constexpr auto json::fields<Mount> =
    std::tuple(required("destination", &Mount::destination), optional("type", &Mount::type),
               optional("source", &Mount::source), optional("options", &Mount::options),
               optional("uidMappings", &Mount::uid_mappings),
               optional("gidMappings", &Mount::gid_mappings));
template <>
inline constexpr auto json::fields<Hook> =
    std::tuple(required("path", &Hook::path), optional("args", &Hook::args),
               optional("env", &Hook::env), optional("timeout", &Hook::timeout));
template <>
inline constexpr auto json::fields<Hooks> =
    std::tuple(optional("prestart", &Hooks::prestart),
               optional("createRuntime", &Hooks::create_runtime),
               optional("createContainer", &Hooks::create_container),
               optional("startContainer", &Hooks::start_container),
               optional("poststart", &Hooks::poststart), optional("poststop", &Hooks::poststop));
template <>
inline constexpr auto json::fields<Namespace> =
    std::tuple(required("type", &Namespace::type), optional("path", &Namespace::path));
template <>
inline constexpr auto json::fields<Device> =
    std::tuple(required("path", &Device::path), required("type", &Device::type),
               required("major", &Device::major), required("minor", &Device::minor),
               optional("fileMode", &Device::file_mode), optional("uid", &Device::uid),
               optional("gid", &Device::gid));
template <>
inline constexpr auto json::fields<NetDevice> = std::tuple(optional("name", &NetDevice::name));
template <>
inline constexpr auto json::fields<DeviceRule> =
    std::tuple(required("allow", &DeviceRule::allow), optional("type", &DeviceRule::type),
               optional("major", &DeviceRule::major), optional("minor", &DeviceRule::minor),
               optional("access", &DeviceRule::access));
template <>
inline constexpr auto json::fields<WeightDevice> =
    std::tuple(required("major", &WeightDevice::major), required("minor", &WeightDevice::minor),
               optional("weight", &WeightDevice::weight),
               optional("leafWeight", &WeightDevice::leaf_weight));
template <>
inline constexpr auto json::fields<ThrottleDevice> =
    std::tuple(required("major", &ThrottleDevice::major), required("minor", &ThrottleDevice::minor),
               required("rate", &ThrottleDevice::rate));
template <>
inline constexpr auto json::fields<BlockIo> =
    std::tuple(optional("weight", &BlockIo::weight), optional("leafWeight", &BlockIo::leaf_weight),
               optional("weightDevice", &BlockIo::weight_device),
               optional("throttleReadBpsDevice", &BlockIo::throttle_read_bps),
               optional("throttleWriteBpsDevice", &BlockIo::throttle_write_bps),
               optional("throttleReadIOPSDevice", &BlockIo::throttle_read_iops),
               optional("throttleWriteIOPSDevice", &BlockIo::throttle_write_iops));
template <>
inline constexpr auto json::fields<Memory> =
    std::tuple(optional("limit", &Memory::limit), optional("reservation", &Memory::reservation),
               optional("swap", &Memory::swap), optional("kernel", &Memory::kernel),
               optional("kernelTCP", &Memory::kernel_tcp),
               optional("swappiness", &Memory::swappiness),
               optional("disableOOMKiller", &Memory::disable_oom_killer),
               optional("useHierarchy", &Memory::use_hierarchy),
               optional("checkBeforeUpdate", &Memory::check_before_update));
template <>
inline constexpr auto json::fields<Cpu> =
    std::tuple(optional("shares", &Cpu::shares), optional("quota", &Cpu::quota),
               optional("burst", &Cpu::burst), optional("period", &Cpu::period),
               optional("realtimeRuntime", &Cpu::realtime_runtime),
               optional("realtimePeriod", &Cpu::realtime_period), optional("cpus", &Cpu::cpus),
               optional("mems", &Cpu::mems), optional("idle", &Cpu::idle));
template <>
inline constexpr auto json::fields<Pids> = std::tuple(optional("limit", &Pids::limit));
template <>
inline constexpr auto json::fields<HugepageLimit> = std::tuple(
    required("pageSize", &HugepageLimit::page_size), required("limit", &HugepageLimit::limit));
template <>
inline constexpr auto json::fields<InterfacePriority> = std::tuple(
    required("name", &InterfacePriority::name), required("priority", &InterfacePriority::priority));
template <>
inline constexpr auto json::fields<Network> = std::tuple(
    optional("classID", &Network::class_id), optional("priorities", &Network::priorities));
template <>
inline constexpr auto json::fields<Rdma> = std::tuple(optional("hcaHandles", &Rdma::hca_handles),
                                                      optional("hcaObjects", &Rdma::hca_objects));
template <>
inline constexpr auto json::fields<Resources> =
    std::tuple(optional("devices", &Resources::devices), optional("memory", &Resources::memory),
               optional("cpu", &Resources::cpu), optional("pids", &Resources::pids),
               optional("blockIO", &Resources::block_io),
               optional("hugepageLimits", &Resources::hugepage_limits),
               optional("network", &Resources::network), optional("rdma", &Resources::rdma),
               optional("unified", &Resources::unified));
template <>
inline constexpr auto json::fields<SeccompArg> =
    std::tuple(required("index", &SeccompArg::index), required("value", &SeccompArg::value),
               optional("valueTwo", &SeccompArg::value_two), required("op", &SeccompArg::op));
template <>
inline constexpr auto json::fields<SeccompSyscall> = std::tuple(
    required("names", &SeccompSyscall::names), required("action", &SeccompSyscall::action),
    optional("errnoRet", &SeccompSyscall::errno_ret), optional("args", &SeccompSyscall::args));
template <>
inline constexpr auto json::fields<Seccomp> =
    std::tuple(required("defaultAction", &Seccomp::default_action),
               optional("defaultErrnoRet", &Seccomp::default_errno_ret),
               optional("architectures", &Seccomp::architectures),
               optional("flags", &Seccomp::flags),
               optional("listenerPath", &Seccomp::listener_path),
               optional("listenerMetadata", &Seccomp::listener_metadata),
               optional("syscalls", &Seccomp::syscalls));
template <>
inline constexpr auto json::fields<IntelRdt> =
    std::tuple(optional("closID", &IntelRdt::clos_id), optional("schemata", &IntelRdt::schemata),
               optional("l3CacheSchema", &IntelRdt::l3_cache_schema),
               optional("memBwSchema", &IntelRdt::mem_bw_schema),
               optional("enableCMT", &IntelRdt::enable_cmt),
               optional("enableMBM", &IntelRdt::enable_mbm),
               optional("enableMonitoring", &IntelRdt::enable_monitoring));
template <>
inline constexpr auto json::fields<Personality> =
    std::tuple(required("domain", &Personality::domain), optional("flags", &Personality::flags));
template <>
inline constexpr auto json::fields<MemoryPolicy> =
    std::tuple(required("mode", &MemoryPolicy::mode), optional("nodes", &MemoryPolicy::nodes),
               optional("flags", &MemoryPolicy::flags));
template <>
inline constexpr auto json::fields<TimeOffset> =
    std::tuple(optional("secs", &TimeOffset::secs), optional("nanosecs", &TimeOffset::nanosecs));
template <>
inline constexpr auto json::fields<Linux> = std::tuple(
    optional("uidMappings", &Linux::uid_mappings), optional("gidMappings", &Linux::gid_mappings),
    optional("sysctl", &Linux::sysctl), optional("resources", &Linux::resources),
    optional("cgroupsPath", &Linux::cgroups_path), optional("namespaces", &Linux::namespaces),
    optional("devices", &Linux::devices), optional("netDevices", &Linux::net_devices),
    optional("seccomp", &Linux::seccomp), optional("rootfsPropagation", &Linux::rootfs_propagation),
    optional("maskedPaths", &Linux::masked_paths),
    optional("readonlyPaths", &Linux::readonly_paths), optional("mountLabel", &Linux::mount_label),
    optional("intelRdt", &Linux::intel_rdt), optional("memoryPolicy", &Linux::memory_policy),
    optional("personality", &Linux::personality), optional("timeOffsets", &Linux::time_offsets));
template <>
inline constexpr auto json::fields<Config> =
    std::tuple(required("ociVersion", &Config::oci_version), optional("process", &Config::process),
               optional("root", &Config::root), optional("hostname", &Config::hostname),
               optional("domainname", &Config::domainname), optional("mounts", &Config::mounts),
               optional("hooks", &Config::hooks), optional("annotations", &Config::annotations),
               optional("linux", &Config::linux));

namespace spec {

Config read_config(std::string_view text) { return json::from_text<Config>(text); }
std::string write(const Config& config, int indent) { return json::to_text(config, indent); }
Process read_process(std::string_view text) { return json::from_text<Process>(text); }
std::string write(const Process& process, int indent) { return json::to_text(process, indent); }
Resources read_resources(std::string_view text) { return json::from_text<Resources>(text); }
std::string write(const Resources& resources, int indent) {
    return json::to_text(resources, indent);
}

}  // namespace spec
