// The documents that `events` writes: names, order and what is left out as in runc's types.
#include "base/json.h"
#include "runtime/cgroup/stats.h"

using json::optional;
using json::required;

template <>
inline constexpr auto json::fields<PressureLine> =
    std::tuple(required("avg10", &PressureLine::avg10), required("avg60", &PressureLine::avg60),
               required("avg300", &PressureLine::avg300), required("total", &PressureLine::total));
template <>
inline constexpr auto json::fields<Pressure> =
    std::tuple(optional("some", &Pressure::some), optional("full", &Pressure::full));
template <>
inline constexpr auto json::fields<CpuUsage> =
    std::tuple(optional("total", &CpuUsage::total), optional("percpu", &CpuUsage::percpu),
               optional("percpu_kernel", &CpuUsage::percpu_kernel),
               optional("percpu_user", &CpuUsage::percpu_user),
               required("kernel", &CpuUsage::kernel), required("user", &CpuUsage::user));
template <>
inline constexpr auto json::fields<Throttling> =
    std::tuple(optional("periods", &Throttling::periods),
               optional("throttledPeriods", &Throttling::throttled_periods),
               optional("throttledTime", &Throttling::throttled_time));
template <>
inline constexpr auto json::fields<CpuStats> =
    std::tuple(required("usage", &CpuStats::usage), required("throttling", &CpuStats::throttling),
               optional("psi", &CpuStats::psi));
template <>
inline constexpr auto json::fields<CpusetStats> = std::tuple(
    optional("cpus", &CpusetStats::cpus), required("cpu_exclusive", &CpusetStats::cpu_exclusive),
    optional("mems", &CpusetStats::mems), required("mem_hardwall", &CpusetStats::mem_hardwall),
    required("mem_exclusive", &CpusetStats::mem_exclusive),
    required("memory_migrate", &CpusetStats::memory_migrate),
    required("memory_spread_page", &CpusetStats::memory_spread_page),
    required("memory_spread_slab", &CpusetStats::memory_spread_slab),
    required("memory_pressure", &CpusetStats::memory_pressure),
    required("sched_load_balance", &CpusetStats::sched_load_balance),
    required("sched_relax_domain_level", &CpusetStats::sched_relax_domain_level));
template <>
inline constexpr auto json::fields<MemoryEntry> =
    std::tuple(required("limit", &MemoryEntry::limit), optional("usage", &MemoryEntry::usage),
               optional("max", &MemoryEntry::max), required("failcnt", &MemoryEntry::failcnt));
template <>
inline constexpr auto json::fields<MemoryStats> =
    std::tuple(optional("cache", &MemoryStats::cache), required("usage", &MemoryStats::usage),
               required("swap", &MemoryStats::swap), required("kernel", &MemoryStats::kernel),
               required("kernelTCP", &MemoryStats::kernel_tcp), optional("raw", &MemoryStats::raw),
               optional("psi", &MemoryStats::psi),
               required("event_count", &MemoryStats::event_count));
template <>
inline constexpr auto json::fields<PidsStats> =
    std::tuple(optional("current", &PidsStats::current), optional("limit", &PidsStats::limit));
template <>
inline constexpr auto json::fields<BlkioEntry> =
    std::tuple(optional("major", &BlkioEntry::major), optional("minor", &BlkioEntry::minor),
               optional("op", &BlkioEntry::op), optional("value", &BlkioEntry::value));
template <>
inline constexpr auto json::fields<BlkioStats> =
    std::tuple(optional("ioServiceBytesRecursive", &BlkioStats::service_bytes),
               optional("ioServicedRecursive", &BlkioStats::serviced),
               optional("ioQueueRecursive", &BlkioStats::queued),
               optional("ioServiceTimeRecursive", &BlkioStats::service_time),
               optional("ioWaitTimeRecursive", &BlkioStats::wait_time),
               optional("ioMergedRecursive", &BlkioStats::merged),
               optional("ioTimeRecursive", &BlkioStats::time),
               optional("sectorsRecursive", &BlkioStats::sectors),
               optional("psi", &BlkioStats::psi));
template <>
inline constexpr auto json::fields<HugetlbStats> =
    std::tuple(optional("usage", &HugetlbStats::usage), optional("max", &HugetlbStats::max),
               required("failcnt", &HugetlbStats::failcnt));
template <>
inline constexpr auto json::fields<RdmaEntry> =
    std::tuple(required("device", &RdmaEntry::device),
               required("hca_handle", &RdmaEntry::hca_handle),
               required("hca_object", &RdmaEntry::hca_object));
template <>
inline constexpr auto json::fields<RdmaStats> =
    std::tuple(optional("limit", &RdmaStats::limit), optional("current", &RdmaStats::current));
template <>
inline constexpr auto json::fields<L3CacheInfo> =
    std::tuple(optional("cbm_mask", &L3CacheInfo::cbm_mask),
               optional("min_cbm_bits", &L3CacheInfo::min_cbm_bits),
               optional("num_closids", &L3CacheInfo::num_closids));
template <>
inline constexpr auto json::fields<MemBwInfo> =
    std::tuple(optional("bandwidth_gran", &MemBwInfo::bandwidth_gran),
               optional("delay_linear", &MemBwInfo::delay_linear),
               optional("min_bandwidth", &MemBwInfo::min_bandwidth),
               optional("num_closids", &MemBwInfo::num_closids));
template <>
inline constexpr auto json::fields<MbmStats> =
    std::tuple(required("mbm_total_bytes", &MbmStats::total_bytes),
               required("mbm_local_bytes", &MbmStats::local_bytes));
template <>
inline constexpr auto json::fields<CmtStats> =
    std::tuple(required("llc_occupancy", &CmtStats::llc_occupancy));
template <>
inline constexpr auto json::fields<RdtStats> =
    std::tuple(optional("l3_cache_info", &RdtStats::l3_cache_info),
               optional("l3_cache_schema_root", &RdtStats::l3_cache_schema_root),
               optional("l3_cache_schema", &RdtStats::l3_cache_schema),
               optional("mem_bw_info", &RdtStats::mem_bw_info),
               optional("mem_bw_schema_root", &RdtStats::mem_bw_schema_root),
               optional("mem_bw_schema", &RdtStats::mem_bw_schema),
               optional("mbm_stats", &RdtStats::mbm), optional("cmt_stats", &RdtStats::cmt),
               optional("schemata", &RdtStats::schemata));
template <>
inline constexpr auto json::fields<Stats> =
    std::tuple(required("cpu", &Stats::cpu), required("cpuset", &Stats::cpuset),
               required("memory", &Stats::memory), required("pids", &Stats::pids),
               required("blkio", &Stats::blkio), required("hugetlb", &Stats::hugetlb),
               optional("rdma", &Stats::rdma), required("intel_rdt", &Stats::intel_rdt));

std::string stats_event(const std::string& id, const Stats& stats) {
    json::Value event;
    event["type"] = "stats";
    event["id"] = id;
    event["data"] = json::write(stats);
    event["data"]["network_interfaces"] =
        nullptr;  // runc tells those of devices that no bundle can ask for
    return json::dump(event);
}

std::string oom_event(const std::string& id) {
    json::Value event;
    event["type"] = "oom";
    event["id"] = id;
    return json::dump(event);
}
