// The files of cgroup v2, how v1's numbers become v2's, and how controllers are enabled on the way
// to a group.
#include "runtime/cgroup/v2.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <ranges>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup/hierarchy.h"

namespace v2 {

bool is_everything() { return sole_v2_mount().has_value(); }

bool holds(const CgroupRecord& record, const std::string& directory) {
    return record.v2 || place_of_group(directory).hierarchy == "unified";
}

namespace {

std::set<std::string> words_of(std::string_view text) {
    const std::vector<std::string> words = split(trim(text), ' ');
    std::set<std::string> found(words.begin(), words.end());
    found.erase("");
    return found;
}

// A new group below one in threaded mode cannot be entered before it is threaded as well, and then
// has no controllers of whole processes.
void make_threaded_if_needed(const std::string& directory, const Needed& needed) {
    const auto type = read_file_if_exists(directory + "/cgroup.type");
    if (!type || !type->starts_with("domain invalid")) return;
    for (const auto& [controller, setting] : needed)
        if (controller == "memory" || controller == "io" || controller == "hugetlb" ||
            controller == "rdma")
            throw Error("cannot enter cgroupv2 ", quoted(directory),
                        " with domain controllers -- it is in an invalid state");
    write_file(directory + "/cgroup.type", "threaded");
}

// All at once, and if the kernel refuses, one by one: what is needed must work, the others may fail
// (a group with processes of its own gives its controllers to nobody).
void enable(const std::string& directory, const std::set<std::string>& missing,
            const Needed& needed) {
    const std::string file = directory + "/cgroup.subtree_control";
    const auto control = sys::try_open(file, O_WRONLY);
    const auto try_write = [&](const std::string& text) {
        return control && ::write(control->get(), text.data(), text.size()) == ssize_t(text.size());
    };
    std::string all;
    for (const std::string& controller : missing) all += str(all.empty() ? "+" : " +", controller);
    if (try_write(all)) return;
    for (const std::string& controller : missing)
        if (!try_write("+" + controller) && needed.contains(controller)) {
            const int why = control ? errno : control.error();
            throw SysError(why, str("controller ", controller, " cannot be enabled: write ", file));
        }
}

}  // namespace

void make_group(const std::string& mount, const std::string& path, const Needed& needed) {
    const std::string above_path = path.substr(0, path.rfind('/')), above = mount + above_path,
                      directory = mount + path;
    const auto offered_to_above = [&] {
        return read_file_if_exists(above + "/cgroup.controllers");
    };
    auto text = offered_to_above();
    if (!above_path.empty() &&
        (!text || !std::ranges::includes(words_of(*text), std::views::keys(needed)))) {
        make_group(mount, above_path, needed);  // it is missing, or was made for less
        text = offered_to_above();
    }
    const std::set<std::string> available = words_of(text.value_or("")),
                                given = words_of(read_file(above + "/cgroup.subtree_control"));
    for (const auto& [controller, setting] : needed)
        if (!available.contains(controller))
            throw Error("linux.resources.", setting, ": controller ", quoted(controller),
                        " not available");
    std::set<std::string> missing;
    std::ranges::set_difference(available, given, std::inserter(missing, missing.end()));
    // Beside v1 nobody looks for statistics here.
    if (!is_everything())
        std::erase_if(missing,
                      [&](const std::string& controller) { return !needed.contains(controller); });
    if (!missing.empty()) enable(above, missing, needed);
    if (::mkdir(directory.c_str(), 0755) < 0 && errno != EEXIST)
        throw SysError("mkdir ", directory);
    if (!available.contains("memory") && !available.contains("io"))
        make_threaded_if_needed(directory, needed);
}

std::optional<uint32_t> plan_owner(const spec::Config& config) {
    const spec::Linux& linux = config.linux;
    const bool own_root = std::ranges::any_of(linux.namespaces, [](const spec::Namespace& n) {
        return n.type == "cgroup" && n.path.empty();
    });
    const bool writable = std::ranges::any_of(config.mounts, [](const spec::Mount& mount) {
        return mount.source == "cgroup" && mount.destination == "/sys/fs/cgroup" &&
               std::ranges::find(mount.options, "ro") == mount.options.end();
    });
    if (!own_root || !writable || !config.process) return {};
    const uint32_t uid = config.process->user.uid;
    if (linux.uid_mappings.empty()) return uid;
    for (const spec::IdMapping& range : linux.uid_mappings)
        if (uid >= range.container_id && uid - range.container_id < range.size)
            return range.host_id + (uid - range.container_id);
    return {};  // refused elsewhere
}

void give_to(const std::string& directory, uint32_t owner) {
    const auto give = [&](const std::string& path) {
        if (::chown(path.c_str(), owner, gid_t(-1)) < 0 && errno != ENOENT)
            throw SysError("chown ", path);
    };
    give(directory);
    const auto files = read_file_if_exists("/sys/kernel/cgroup/delegate");
    for (const std::string& file :
         split(trim(files.value_or("cgroup.procs\ncgroup.subtree_control\ncgroup.threads")), '\n'))
        give(directory + "/" + file);
}

// 2…262144 onto 1…10000 so that 1024, the usual one, becomes 100, the usual one.
uint64_t weight_of_shares(uint64_t shares) {
    if (shares == 0) return 0;
    if (shares <= 2) return 1;
    if (shares >= 262144) return 10000;
    const double l = std::log2(double(shares));
    return uint64_t(std::ceil(std::pow(10.0, (l * l + 125 * l) / 612.0 - 7.0 / 34.0)));
}

namespace {

Lines number_or_max(const std::optional<int64_t>& value) {
    if (value.value_or(0) == 0) return {};
    return {*value < 0 ? "max" : std::to_string(*value)};
}

// v1 limits memory and swap together, v2 swap alone.
int64_t swap_alone(const spec::Memory& memory) {
    const int64_t limit = memory.limit.value_or(0), swap = memory.swap.value_or(0);
    if (limit == -1 && swap == 0) return -1;
    if (swap == -1 || swap == 0) return swap;
    if (swap < 0) throw Error("invalid memory swap value: ", swap);
    if (limit == 0 || limit == -1) throw Error("unable to set swap limit without memory limit");
    if (limit < 0) throw Error("invalid memory value: ", limit);
    if (swap < limit) throw Error("memory+swap limit should be >= memory limit");
    return swap - limit;
}
// A kernel without swap accounting needs no file to give none, or all there is.
Lines no_swap_or_all(const spec::Resources& r) {
    const int64_t swap = swap_alone(r.memory);
    if (swap < 0) return {"max"};
    if (swap == 0 && r.memory.swap.value_or(0) > 0) return {"0"};
    return {};
}
Lines some_swap(const spec::Resources& r) {
    const int64_t swap = swap_alone(r.memory);
    if (swap > 0) return {std::to_string(swap)};
    return {};
}

Lines one_hierarchy(const spec::Resources& r) {
    if (r.memory.use_hierarchy.value_or(true)) return {};
    return {"0"};
}

Lines oom_killer(const spec::Resources& r) {
    if (!r.memory.disable_oom_killer.value_or(false)) return {};
    return {"1"};
}

Lines weight(const spec::Resources& r) {
    if (r.cpu.shares.value_or(0) == 0) return {};
    return {std::to_string(weight_of_shares(*r.cpu.shares))};
}

Lines quota_and_period(const spec::Resources& r) {
    const int64_t quota = r.cpu.quota.value_or(0);
    const uint64_t period = r.cpu.period.value_or(0);
    if (quota == 0 && period == 0) return {};
    return {str(quota > 0 ? std::to_string(quota) : "max", " ", period ? period : 100000)};
}

// Zero processes: not even init could be cloned into it. One is what remains of it then.
Lines pids(const spec::Resources& r) {
    if (!r.pids.limit) return {};
    return {*r.pids.limit < 0 ? "max" : std::to_string(std::max<int64_t>(*r.pids.limit, 1))};
}

// BFQ has v1's range, io.weight 1…10000.
uint64_t io_weight(uint16_t weight) {
    return weight < 10 ? 1 : 1 + (uint64_t(weight) - 10) * 9999 / 990;
}
uint64_t bfq_weight(uint16_t weight) { return weight; }

template <uint64_t (*converted)(uint16_t)>
Lines weights(const spec::Resources& r) {
    Lines lines;
    if (r.block_io.weight.value_or(0))
        lines.push_back(str("default ", converted(*r.block_io.weight)));
    return lines;
}
template <uint64_t (*converted)(uint16_t)>
Lines device_weights(const spec::Resources& r) {
    Lines lines;
    for (const spec::WeightDevice& device : r.block_io.weight_device)
        if (device.weight.value_or(0))
            lines.push_back(str(device.major, ":", device.minor, " ", converted(*device.weight)));
    return lines;
}
Lines leaf_weights(const spec::Resources& r) {
    Lines lines = unless_zero(r.block_io.leaf_weight);
    for (const spec::WeightDevice& device : r.block_io.weight_device)
        if (device.leaf_weight.value_or(0)) lines.push_back(std::to_string(*device.leaf_weight));
    return lines;
}

Lines priorities(const spec::Resources& r) {
    Lines lines;
    for (const spec::InterfacePriority& one : r.network.priorities) lines.push_back(one.name);
    return lines;
}

// Rows without a file are what v2 has not. (linux.resources.memory.kernel is ignored everywhere:
// the spec says not to use it, and kernels no longer have it.)
constexpr Knob knobs[] = {
    {"memory", "memory.useHierarchy", "", one_hierarchy},
    {"memory", "memory.kernelTCP", "", [](auto& r) { return unless_zero(r.memory.kernel_tcp); }},
    {"memory", "memory.swappiness", "", [](auto& r) { return if_given(r.memory.swappiness); }},
    {"memory", "memory.disableOOMKiller", "", oom_killer},
    {"memory", "memory.swap", "memory.swap.max", no_swap_or_all, Missing::skip},
    {"memory", "memory.swap", "memory.swap.max", some_swap},
    {"memory", "memory.limit", "memory.max", [](auto& r) { return number_or_max(r.memory.limit); }},
    {"memory", "memory.reservation", "memory.low",
     [](auto& r) { return number_or_max(r.memory.reservation); }},
    {"cpu", "cpu.realtimePeriod", "", [](auto& r) { return unless_zero(r.cpu.realtime_period); }},
    {"cpu", "cpu.realtimeRuntime", "", [](auto& r) { return unless_zero(r.cpu.realtime_runtime); }},
    {"cpu", "cpu.idle", "cpu.idle", [](auto& r) { return if_given(r.cpu.idle); }},
    {"cpu", "cpu.shares", "cpu.weight", weight},
    {"cpu", "cpu.burst", "cpu.max.burst", [](auto& r) { return if_given(r.cpu.burst); }},
    {"cpu", "cpu.quota", "cpu.max", quota_and_period},
    {"cpuset", "cpu.cpus", "cpuset.cpus", [](auto& r) { return if_given(r.cpu.cpus); }},
    {"cpuset", "cpu.mems", "cpuset.mems", [](auto& r) { return if_given(r.cpu.mems); }},
    {"pids", "pids.limit", "pids.max", pids},
    {"io", "blockIO.weight", "io.bfq.weight", weights<bfq_weight>, Missing::next},
    {"io", "blockIO.weight", "io.weight", weights<io_weight>},
    {"io", "blockIO.weightDevice", "io.bfq.weight", device_weights<bfq_weight>, Missing::next},
    {"io", "blockIO.weightDevice", "io.weight", device_weights<io_weight>},
    {"io", "blockIO.leafWeight", "", leaf_weights},
    {"io", "blockIO.throttleReadBpsDevice", "io.max",
     [](auto& r) { return throttle(r.block_io.throttle_read_bps, "rbps="); }},
    {"io", "blockIO.throttleWriteBpsDevice", "io.max",
     [](auto& r) { return throttle(r.block_io.throttle_write_bps, "wbps="); }},
    {"io", "blockIO.throttleReadIOPSDevice", "io.max",
     [](auto& r) { return throttle(r.block_io.throttle_read_iops, "riops="); }},
    {"io", "blockIO.throttleWriteIOPSDevice", "io.max",
     [](auto& r) { return throttle(r.block_io.throttle_write_iops, "wiops="); }},
    {"net_cls", "network.classID", "", [](auto& r) { return unless_zero(r.network.class_id); }},
    {"net_prio", "network.priorities", "", priorities},
    {"rdma", "rdma", "rdma.max", rdma},
};

}  // namespace

std::set<std::string_view> known_controllers() {
    std::set<std::string_view> known{"hugetlb"};
    for (const Knob& knob : knobs)
        if (!knob.file.empty()) known.insert(knob.controller);
    return known;
}

std::vector<Write> plan(const spec::Resources& resources, const Chosen& chosen) {
    std::vector<Write> writes = plan_writes(knobs, resources, chosen);
    if (chosen("hugetlb"))
        for (Write& write : hugetlb(resources, ".rsvd.max", ".max"))
            writes.push_back(std::move(write));
    return writes;
}

std::vector<Write> plan_unified(const spec::Resources& resources) {
    std::vector<Write> writes;
    for (const auto& [file, value] : resources.unified) {
        if (file.contains('/'))
            throw Error("linux.resources.unified: unified resource ", quoted(file),
                        " must be a file name (no slashes)");
        const size_t dot = file.find('.');
        if (dot == std::string::npos || dot == 0)
            throw Error("linux.resources.unified: unified resource ", quoted(file),
                        " must be in the form CONTROLLER.PARAMETER");
        for (const std::string& line : split(value, '\n'))
            if (!line.empty())
                writes.push_back({file.substr(0, dot), "unified." + file, file, line});
    }
    return writes;
}

}  // namespace v2
