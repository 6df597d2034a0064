#include "runtime/cgroup/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "runtime/cgroup/devices.h"

namespace {

constexpr const char* mount = "/sys/fs/cgroup";

bool is_v2(const std::string& directory) {
    struct statfs fs{};
    return ::statfs(directory.c_str(), &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

// The hierarchies mounted below /sys/fs/cgroup; "cpu" and "cpuacct" may be links to one.
std::vector<std::string> v1_hierarchies() {
    std::vector<std::string> found;
    DIR* dir = ::opendir(mount);
    if (!dir) return found;
    const Defer closing([&] { ::closedir(dir); });
    while (const dirent* entry = ::readdir(dir)) {
        const std::string path = std::string(mount) + "/" + entry->d_name;
        struct stat info{};
        if (entry->d_name[0] == '.' || ::lstat(path.c_str(), &info) < 0 || !S_ISDIR(info.st_mode)) continue;
        if (sys::exists(path + "/cgroup.procs")) found.push_back(path);
    }
    std::ranges::sort(found);
    return found;
}

// A new cpuset of v1 is empty, and nobody can enter it, until it is told its parent's.
void inherit_cpuset(const std::string& directory) {
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
        const auto own = read_file_if_exists(directory + file);
        if (!own || !trim(*own).empty()) continue;
        const std::string parent = directory.substr(0, directory.find_last_of('/'));
        write_file(directory + file, read_file(parent + file));
    }
}

// Every level that is missing. Gives whether the last one was.
void make_group(const std::string& base, const std::string& path) {
    std::string current = base;
    for (const std::string& part : split(path, '/')) {
        if (part.empty()) continue;
        current += "/" + part;
        if (::mkdir(current.c_str(), 0755) < 0 && errno != EEXIST) throw SysError("mkdir ", current);
        if (sys::exists(current + "/cpuset.cpus") && !is_v2(current)) inherit_cpuset(current);
    }
}

// The controllers a limit needs must be enabled in each level above it.
void enable_controllers(const std::string& path) {
    std::string current = mount;
    for (const std::string& part : split(path, '/')) {
        if (part.empty()) continue;
        const std::string available = read_file(current + "/cgroup.controllers");
        for (const std::string& controller : split(trim(available), ' ')) {
            if (controller.empty()) continue;
            const auto control = sys::try_open(current + "/cgroup.subtree_control", O_WRONLY);
            // A level with processes of its own refuses; the limit that needs it then says so.
            if (control && ::write(control->get(), ("+" + controller).c_str(), controller.size() + 1) < 0) continue;
        }
        current += "/" + part;
        if (::mkdir(current.c_str(), 0755) < 0 && errno != EEXIST) throw SysError("mkdir ", current);
    }
}

void collect_pids(const std::string& directory, std::vector<int>& pids) {
    const auto text = read_file_if_exists(directory + "/cgroup.procs");
    if (!text) return;
    for (const std::string& line : split(*text, '\n'))
        if (const auto pid = parse_number<int>(line)) pids.push_back(*pid);
    DIR* dir = ::opendir(directory.c_str());
    if (!dir) return;
    const Defer closing([&] { ::closedir(dir); });
    while (const dirent* entry = ::readdir(dir))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') collect_pids(directory + "/" + entry->d_name, pids);
}

void remove_group(const std::string& directory) {
    DIR* dir = ::opendir(directory.c_str());
    if (!dir) return;
    {
        const Defer closing([&] { ::closedir(dir); });
        while (const dirent* entry = ::readdir(dir))
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.') remove_group(directory + "/" + entry->d_name);
    }
    // A process that was just reaped may keep it busy for a moment.
    for (int wait = 1; ::rmdir(directory.c_str()) < 0; wait *= 2) {
        if (errno == ENOENT) return;
        if (errno != EBUSY || wait > 1024) throw SysError("remove ", directory);
        ::poll(nullptr, 0, wait);
    }
}

std::string number_or_max(int64_t value) { return value < 0 ? "max" : std::to_string(value); }

// One row per file and hierarchy. A limit for which no file is there is an error.
struct Knob {
    const char* v1;     // hierarchy and file: "memory/memory.limit_in_bytes"; nullptr: v1 has none
    const char* v2;
    std::function<std::optional<std::string>(const spec::Resources&, bool v2)> value;
};

template <class T>
std::optional<std::string> plain(const std::optional<T>& value) {
    if (!value) return {};
    return std::to_string(*value);
}

uint64_t weight_of_shares(uint64_t shares) {
    if (shares == 0) return 0;
    if (shares <= 2) return 1;
    if (shares >= 262144) return 10000;
    const double l = std::log2(double(shares));
    return uint64_t(std::ceil(std::pow(10.0, (l * l + 125 * l) / 612.0 - 7.0 / 34.0)));
}

const std::vector<Knob>& knobs() {
    static const std::vector<Knob> all = {
        {"memory/memory.limit_in_bytes", "memory.max", [](auto& r, bool v2) { return r.memory.limit ? std::optional(v2 ? number_or_max(*r.memory.limit) : std::to_string(*r.memory.limit)) : std::nullopt; }},
        {"memory/memory.memsw.limit_in_bytes", nullptr, [](auto& r, bool) { return r.memory.swap && *r.memory.swap != 0 ? plain(r.memory.swap) : std::nullopt; }},
        {nullptr, "memory.swap.max", [](auto& r, bool) -> std::optional<std::string> {
            if (!r.memory.swap || *r.memory.swap == 0) return {};
            if (*r.memory.swap < 0) return "max";
            if (!r.memory.limit || *r.memory.limit < 0) throw Error("unable to set swap limit without memory limit");
            if (*r.memory.swap < *r.memory.limit) throw Error("memory+swap limit must be >= memory limit");
            return std::to_string(*r.memory.swap - *r.memory.limit);
        }},
        {"memory/memory.soft_limit_in_bytes", "memory.low", [](auto& r, bool v2) { return r.memory.reservation ? std::optional(v2 ? number_or_max(*r.memory.reservation) : std::to_string(*r.memory.reservation)) : std::nullopt; }},
        {"memory/memory.kmem.tcp.limit_in_bytes", nullptr, [](auto& r, bool) { return plain(r.memory.kernel_tcp); }},
        {"memory/memory.swappiness", nullptr, [](auto& r, bool) { return plain(r.memory.swappiness); }},
        {"memory/memory.oom_control", nullptr, [](auto& r, bool) { return r.memory.disable_oom_killer.value_or(false) ? std::optional<std::string>("1") : std::nullopt; }},
        {"cpu/cpu.shares", nullptr, [](auto& r, bool) { return r.cpu.shares.value_or(0) ? plain(r.cpu.shares) : std::nullopt; }},
        {nullptr, "cpu.weight", [](auto& r, bool) { return r.cpu.shares.value_or(0) ? std::optional(std::to_string(weight_of_shares(*r.cpu.shares))) : std::nullopt; }},
        {"cpu/cpu.cfs_period_us", nullptr, [](auto& r, bool) { return r.cpu.period.value_or(0) ? plain(r.cpu.period) : std::nullopt; }},
        {"cpu/cpu.cfs_quota_us", nullptr, [](auto& r, bool) { return r.cpu.quota.value_or(0) ? plain(r.cpu.quota) : std::nullopt; }},
        {nullptr, "cpu.max", [](auto& r, bool) -> std::optional<std::string> {
            if (!r.cpu.quota.value_or(0) && !r.cpu.period.value_or(0)) return {};
            return str(r.cpu.quota.value_or(0) > 0 ? std::to_string(*r.cpu.quota) : "max", " ", r.cpu.period.value_or(0) ? *r.cpu.period : 100000);
        }},
        {"cpu/cpu.cfs_burst_us", "cpu.max.burst", [](auto& r, bool) { return plain(r.cpu.burst); }},
        {"cpu/cpu.idle", "cpu.idle", [](auto& r, bool) { return plain(r.cpu.idle); }},
        {"cpu/cpu.rt_period_us", nullptr, [](auto& r, bool) { return r.cpu.realtime_period.value_or(0) ? plain(r.cpu.realtime_period) : std::nullopt; }},
        {"cpu/cpu.rt_runtime_us", nullptr, [](auto& r, bool) { return r.cpu.realtime_runtime.value_or(0) ? plain(r.cpu.realtime_runtime) : std::nullopt; }},
        {"cpuset/cpuset.cpus", "cpuset.cpus", [](auto& r, bool) { return r.cpu.cpus.empty() ? std::nullopt : std::optional(r.cpu.cpus); }},
        {"cpuset/cpuset.mems", "cpuset.mems", [](auto& r, bool) { return r.cpu.mems.empty() ? std::nullopt : std::optional(r.cpu.mems); }},
        {"pids/pids.max", "pids.max", [](auto& r, bool) { return r.pids.limit ? std::optional(number_or_max(*r.pids.limit)) : std::nullopt; }},
        {"net_cls/net_cls.classid", nullptr, [](auto& r, bool) { return plain(r.network.class_id); }},
    };
    return all;
}

std::string rule_text(const spec::DeviceRule& rule) {
    if (rule.type.empty() || rule.type == "a") return "a";
    const auto number = [](std::optional<int64_t> n) { return n && *n >= 0 ? std::to_string(*n) : std::string("*"); };
    return str(rule.type, " ", number(rule.major), ":", number(rule.minor), " ", rule.access.empty() ? "rwm" : rule.access);
}

// Those that every container may use, whatever the rules say.
std::vector<spec::DeviceRule> with_defaults(std::vector<spec::DeviceRule> rules) {
    static constexpr std::pair<int, int> nodes[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}, {136, -1}, {10, 200}};
    for (const char* type : {"c", "b"}) rules.push_back({.allow = true, .type = type, .access = "m"});
    for (const auto& [major, minor] : nodes)
        rules.push_back({.allow = true, .type = "c", .major = major, .minor = minor < 0 ? std::nullopt : std::optional<int64_t>(minor), .access = "rwm"});
    return rules;
}

void limit_devices(const CgroupRecord& record, const std::vector<spec::DeviceRule>& wanted) {
    if (wanted.empty()) return;
    const std::vector<spec::DeviceRule> rules = with_defaults(wanted);
    if (record.unified) {
        const UniqueFd directory = sys::open(record.directories.at(0), O_RDONLY | O_DIRECTORY);
        return attach_device_program(directory.get(), device_program(rules));
    }
    const std::string directory = std::string(mount) + "/devices" + record.path;
    for (const spec::DeviceRule& rule : rules)
        write_file(directory + (rule.allow ? "/devices.allow" : "/devices.deny"), rule_text(rule));
}

// What is asked for and cannot be given is an error, never left out in silence.
void refuse_unsupported(const spec::Resources& r) {
    const spec::BlockIo& io = r.block_io;
    if (io.weight.value_or(0) || io.leaf_weight.value_or(0) || !io.weight_device.empty() || !io.throttle_read_bps.empty() ||
        !io.throttle_write_bps.empty() || !io.throttle_read_iops.empty() || !io.throttle_write_iops.empty())
        throw Error("linux.resources.blockIO is not supported yet");
    for (const spec::HugepageLimit& limit : r.hugepage_limits)
        if (limit.limit) throw Error("linux.resources.hugepageLimits is not supported yet");
    if (!r.rdma.empty()) throw Error("linux.resources.rdma is not supported yet");
    if (!r.network.priorities.empty()) throw Error("linux.resources.network.priorities is not supported yet");
}

}  // namespace

void CgroupEntrance::join() const {
    for (const UniqueFd& tasks : tasks_) sys::write_all(tasks.get(), "0");
}

CgroupRecord Cgroup::plan(const std::string& cgroups_path, const std::string& id) {
    CgroupRecord record;
    std::string wanted = cgroups_path.empty() ? id : cgroups_path;
    const std::vector<std::string> parts = split(wanted, '/');
    if (std::ranges::find(parts, "..") != parts.end()) throw Error("cgroupsPath must not contain \"..\": ", quoted(wanted));
    record.path = std::filesystem::path("/" + wanted).lexically_normal().string();
    while (record.path.starts_with("//")) record.path.erase(0, 1);
    if (record.path == "/") throw Error("cgroupsPath must not be the root: ", quoted(wanted));
    record.unified = is_v2(mount);
    if (record.unified) record.directories = {mount + record.path};
    else
        for (const std::string& hierarchy : v1_hierarchies()) record.directories.push_back(hierarchy + record.path);
    return record;
}

Cgroup Cgroup::create(const CgroupRecord& record) {
    Cgroup made(record, true);
    context("unable to apply cgroup configuration", [&] {
        if (record.unified) return enable_controllers(record.path);
        for (const std::string& directory : record.directories)
            make_group(directory.substr(0, directory.size() - record.path.size()), record.path);
    });
    return made;
}

Cgroup Cgroup::load(const CgroupRecord& record) { return Cgroup(record, false); }

Cgroup::~Cgroup() {
    if (armed_) attempt("removing the cgroup", [&] { kill(), remove(); });
}

void Cgroup::limit(const spec::Resources& resources) const {
    refuse_unsupported(resources);
    for (const Knob& knob : knobs()) {
        const char* file = record_.unified ? knob.v2 : knob.v1;
        if (!file) continue;
        const auto value = knob.value(resources, record_.unified);
        if (!value) continue;
        const std::string name = file;
        const std::string path = record_.unified ? record_.directories.at(0) + "/" + name
            : mount + ("/" + name.substr(0, name.find('/'))) + record_.path + name.substr(name.find('/'));
        context("error setting cgroup config for procHooks process", [&] { write_file(path, *value); });
    }
    for (const auto& [file, value] : resources.unified) {
        if (!record_.unified) throw Error("unified resources need cgroup v2: ", quoted(file));
        if (file.contains('/')) throw Error("unified resource ", quoted(file), " must be a file name");
        for (const std::string& line : split(value, '\n')) write_file(record_.directories.at(0) + "/" + file, line);
    }
    limit_devices(record_, resources.devices);
}

CgroupEntrance Cgroup::entrance() const {
    CgroupEntrance entrance;
    for (const std::string& directory : record_.directories) {
        if (is_v2(directory)) entrance.v2_ = sys::open(directory, O_RDONLY | O_DIRECTORY);
        else entrance.tasks_.push_back(sys::open(directory + "/tasks", O_WRONLY));
    }
    return entrance;
}

std::vector<int> Cgroup::pids() const {
    std::vector<int> found;
    for (const std::string& directory : record_.directories) {
        collect_pids(directory, found);
        if (!found.empty()) break;   // every hierarchy holds the same
    }
    return found;
}

namespace {
std::string freezer(const CgroupRecord& record, const char* v1, const char* v2) {
    if (record.unified) return record.directories.empty() ? "" : record.directories[0] + "/" + v2;
    return std::string(mount) + "/freezer" + record.path + "/" + v1;
}
}  // namespace

bool Cgroup::is_frozen() const {
    if (record_.path.empty()) return false;
    const auto state = read_file_if_exists(freezer(record_, "freezer.state", "cgroup.freeze"));
    return state && (state->starts_with("FROZEN") || state->starts_with("FREEZING") || state->starts_with("1"));
}

void Cgroup::freeze() const {
    const std::string file = freezer(record_, "freezer.state", "cgroup.freeze");
    for (int tries = 0; tries < 1000; ++tries) {
        write_file(file, record_.unified ? "1" : "FROZEN");
        const std::string now = read_file(record_.unified ? record_.directories[0] + "/cgroup.events" : file);
        if (record_.unified ? now.contains("frozen 1") : now.starts_with("FROZEN")) return;
        ::poll(nullptr, 0, 1);
    }
    attempt("thawing again", [&] { thaw(); });
    throw Error("unable to freeze");
}

void Cgroup::thaw() const {
    write_file(freezer(record_, "freezer.state", "cgroup.freeze"), record_.unified ? "0" : "THAWED");
}

void Cgroup::kill() const {
    for (int wait = 1; wait < 2000; wait *= 2) {
        const std::vector<int> all = pids();
        if (all.empty()) return;
        for (const int pid : all) ::kill(pid, SIGKILL);
        thaw_if_frozen();
        ::poll(nullptr, 0, wait);
    }
    throw Error("container's cgroup is not empty: ", pids().size(), " process(es) found");
}

void Cgroup::remove() const {
    for (const std::string& directory : record_.directories) remove_group(directory);
}
