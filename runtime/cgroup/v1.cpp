// The files of cgroup v1, and its cpuset controller, which is the only one whose new groups are of
// no use until they are told something.
#include "runtime/cgroup/v1.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"

namespace v1 {

std::vector<Hierarchy> parse_hierarchies(std::string_view proc_self_cgroup) {
    std::vector<Hierarchy> found;
    for (const std::string& line : split(proc_self_cgroup, '\n')) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        std::string name = line.substr(first + 1, second - first - 1);
        const bool named = name.starts_with("name=");
        if (named) name.erase(0, 5);
        if (name.empty()) name = "unified";
        found.push_back({std::move(name), line.substr(second + 1), named});
    }
    return found;
}

namespace {

// The groups above may be somebody's who left them empty, too; the top never is.
void inherit_cpuset(const std::string& mount, const std::string& directory, bool made) {
    const std::string parent = directory.substr(0, directory.find_last_of('/'));
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
        if (!made && !trim(read_file(directory + file)).empty()) continue;
        if (parent != mount && trim(read_file(parent + file)).empty())
            inherit_cpuset(mount, parent, false);
        write_file(directory + file, read_file(parent + file));
    }
}

}  // namespace

void make_group(const std::string& mount, const std::string& hierarchy, const std::string& path) {
    const std::string directory = mount + path;
    const bool made = ::mkdir(directory.c_str(), 0755) == 0;
    if (!made && errno == ENOENT && path.rfind('/') != 0) {
        make_group(mount, hierarchy, path.substr(0, path.rfind('/')));
        return make_group(mount, hierarchy, path);
    }
    if (!made && errno != EEXIST) throw SysError("mkdir ", directory);
    if (("," + hierarchy + ",").contains(",cpuset,")) inherit_cpuset(mount, directory, made);
}

namespace {

// The kernel would take the nearest that it allows, and say nothing.
Lines shares(const spec::Resources& r) {
    if (r.cpu.shares.value_or(0) == 0) return {};
    if (*r.cpu.shares > 262144) throw Error("the maximum allowed cpu-shares is 262144");
    if (*r.cpu.shares < 2) throw Error("the minimum allowed cpu-shares is 2");
    return {std::to_string(*r.cpu.shares)};
}

// Without a limit for memory there is none for memory and swap.
Lines memory_and_swap(const spec::Resources& r) {
    if (r.memory.swap.value_or(0) != 0) return {std::to_string(*r.memory.swap)};
    return {};
}
Lines unlimited_swap(const spec::Resources& r) {
    if (r.memory.limit.value_or(0) == -1 && r.memory.swap.value_or(0) == 0) return {"-1"};
    return {};
}

Lines use_hierarchy(const spec::Resources& r) {
    if (!r.memory.use_hierarchy) return {};
    return {*r.memory.use_hierarchy ? "1" : "0"};
}

Lines no_oom_killer(const spec::Resources& r) {
    if (!r.memory.disable_oom_killer.value_or(false)) return {};
    return {"1"};
}

Lines pids(const spec::Resources& r) {
    if (!r.pids.limit) return {};
    return {*r.pids.limit < 0 ? "max" : std::to_string(*r.pids.limit)};
}

template <std::optional<uint16_t> spec::WeightDevice::* weight>
Lines device_weights(const spec::Resources& r) {
    Lines lines;
    for (const spec::WeightDevice& device : r.block_io.weight_device)
        if ((device.*weight).value_or(0))
            lines.push_back(str(device.major, ":", device.minor, " ", *(device.*weight)));
    return lines;
}

Lines priorities(const spec::Resources& r) {
    Lines lines;
    for (const spec::InterfacePriority& one : r.network.priorities)
        lines.push_back(str(one.name, " ", one.priority));
    return lines;
}

// A limit that the kernel refuses because of one that comes later is tried again (limits.cpp): that
// is why nobody has to know here whether memory or memory with swap, quota or period must change
// first.
constexpr Knob knobs[] = {
    {"memory", "memory.useHierarchy", "memory.use_hierarchy", use_hierarchy},
    {"memory", "memory.limit", "memory.limit_in_bytes",
     [](auto& r) { return unless_zero(r.memory.limit); }},
    {"memory", "memory.swap", "memory.memsw.limit_in_bytes", memory_and_swap},
    {"memory", "memory.swap", "memory.memsw.limit_in_bytes", unlimited_swap, Missing::skip},
    {"memory", "memory.reservation", "memory.soft_limit_in_bytes",
     [](auto& r) { return unless_zero(r.memory.reservation); }},
    {"memory", "memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes",
     [](auto& r) { return unless_zero(r.memory.kernel_tcp); }},
    {"memory", "memory.swappiness", "memory.swappiness",
     [](auto& r) { return if_given(r.memory.swappiness); }},
    {"memory", "memory.disableOOMKiller", "memory.oom_control", no_oom_killer},
    {"cpu", "cpu.shares", "cpu.shares", shares},
    {"cpu", "cpu.period", "cpu.cfs_period_us", [](auto& r) { return unless_zero(r.cpu.period); }},
    {"cpu", "cpu.burst", "cpu.cfs_burst_us", [](auto& r) { return if_given(r.cpu.burst); }},
    {"cpu", "cpu.quota", "cpu.cfs_quota_us", [](auto& r) { return unless_zero(r.cpu.quota); }},
    {"cpu", "cpu.idle", "cpu.idle", [](auto& r) { return if_given(r.cpu.idle); }},
    {"cpu", "cpu.realtimePeriod", "cpu.rt_period_us",
     [](auto& r) { return unless_zero(r.cpu.realtime_period); }},
    {"cpu", "cpu.realtimeRuntime", "cpu.rt_runtime_us",
     [](auto& r) { return unless_zero(r.cpu.realtime_runtime); }},
    {"cpuset", "cpu.cpus", "cpuset.cpus", [](auto& r) { return if_given(r.cpu.cpus); }},
    {"cpuset", "cpu.mems", "cpuset.mems", [](auto& r) { return if_given(r.cpu.mems); }},
    {"pids", "pids.limit", "pids.max", pids},
    {"blkio", "blockIO.weight", "blkio.weight",
     [](auto& r) { return unless_zero(r.block_io.weight); }, Missing::next},
    {"blkio", "blockIO.weight", "blkio.bfq.weight",
     [](auto& r) { return unless_zero(r.block_io.weight); }},
    {"blkio", "blockIO.leafWeight", "blkio.leaf_weight",
     [](auto& r) { return unless_zero(r.block_io.leaf_weight); }},
    {"blkio", "blockIO.weightDevice", "blkio.weight_device",
     device_weights<&spec::WeightDevice::weight>, Missing::next},
    {"blkio", "blockIO.weightDevice", "blkio.bfq.weight_device",
     device_weights<&spec::WeightDevice::weight>},
    {"blkio", "blockIO.weightDevice.leafWeight", "blkio.leaf_weight_device",
     device_weights<&spec::WeightDevice::leaf_weight>},
    {"blkio", "blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device",
     [](auto& r) { return throttle(r.block_io.throttle_read_bps, ""); }},
    {"blkio", "blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device",
     [](auto& r) { return throttle(r.block_io.throttle_write_bps, ""); }},
    {"blkio", "blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device",
     [](auto& r) { return throttle(r.block_io.throttle_read_iops, ""); }},
    {"blkio", "blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device",
     [](auto& r) { return throttle(r.block_io.throttle_write_iops, ""); }},
    {"net_cls", "network.classID", "net_cls.classid",
     [](auto& r) { return unless_zero(r.network.class_id); }},
    {"net_prio", "network.priorities", "net_prio.ifpriomap", priorities},
    {"rdma", "rdma", "rdma.max", rdma},
};

}  // namespace

std::vector<Write> plan(const spec::Resources& resources) {
    std::vector<Write> writes =
        plan_writes(knobs, resources, [](std::string_view) { return true; });
    for (Write& write : hugetlb(resources, ".rsvd.limit_in_bytes", ".limit_in_bytes"))
        writes.push_back(std::move(write));
    return writes;
}

}  // namespace v1
