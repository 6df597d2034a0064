// What a container uses, in the shape of runc's `events`: callers parse it. Numbers are what the
// kernel says, times in nanoseconds; v2's are told under v1's names.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/intel_rdt.h"

struct PressureLine {
    double avg10 = 0, avg60 = 0, avg300 = 0;
    uint64_t total = 0;
};
struct Pressure {
    PressureLine some, full;
};

struct CpuUsage {
    uint64_t total = 0;
    std::vector<uint64_t> percpu, percpu_kernel, percpu_user;
    uint64_t kernel = 0, user = 0;
};
struct Throttling {
    uint64_t periods = 0, throttled_periods = 0, throttled_time = 0;
};
struct CpuStats {
    CpuUsage usage;
    Throttling throttling;
    std::optional<Pressure> psi;
};

struct CpusetStats {
    std::vector<uint16_t> cpus;
    uint64_t cpu_exclusive = 0;
    std::vector<uint16_t> mems;
    uint64_t mem_hardwall = 0, mem_exclusive = 0, memory_migrate = 0, memory_spread_page = 0,
             memory_spread_slab = 0, memory_pressure = 0, sched_load_balance = 0;
    int64_t sched_relax_domain_level = 0;
};

struct MemoryEntry {
    uint64_t limit = 0, usage = 0, max = 0, failcnt = 0;
};
struct MemoryStats {
    uint64_t cache = 0;
    MemoryEntry usage, swap, kernel, kernel_tcp;
    std::map<std::string, uint64_t> raw;  // memory.stat
    std::optional<Pressure> psi;
    std::map<std::string, uint64_t> event_count;  // memory.events
};

struct PidsStats {
    uint64_t current = 0, limit = 0;
};

struct BlkioEntry {
    uint64_t major = 0, minor = 0;
    std::string op;
    uint64_t value = 0;
};
struct BlkioStats {
    std::vector<BlkioEntry> service_bytes, serviced, queued, service_time, wait_time, merged, time,
        sectors;
    std::optional<Pressure> psi;
};

struct HugetlbStats {
    uint64_t usage = 0, max = 0, failcnt = 0;
};
struct RdmaEntry {
    std::string device;
    uint64_t hca_handle = 0, hca_object = 0;
};
struct RdmaStats {
    std::vector<RdmaEntry> limit, current;
};

struct Stats {
    CpuStats cpu;
    CpusetStats cpuset;
    MemoryStats memory;
    PidsStats pids;
    BlkioStats blkio;
    std::map<std::string, HugetlbStats> hugetlb;
    RdmaStats rdma;
    RdtStats intel_rdt;
};

// A controller's file, or nothing if it is not there or not readable.
using StatFile =
    std::function<std::optional<std::string>(std::string_view controller, const std::string& file)>;
// Pure but for asking for files; page_sizes as in their names ("2MB").
Stats read_stats(const StatFile& file, bool v2, const std::vector<std::string>& page_sizes);
Stats read_stats(const CgroupRecord& record);

// One line of `events`.
std::string stats_event(const std::string& id, const Stats& stats);
std::string oom_event(const std::string& id);
