// A group's file of schemata is no text that is replaced. It takes one line at a time, says in
// another file (info/last_cmd_status) what it did not like, and shows a line with blanks and zeros
// that nobody wrote. So lines are compared by their values, and an update remembers each resource's
// former line before it writes the next. What this process made is kept apart from what the record
// says will be there: only that is undone if the container does not come to be.
#include "runtime/cgroup/intel_rdt.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/defer.h"
#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mount_table.h"
#include "base/sys.h"

RdtPlan plan_intel_rdt(const spec::IntelRdt& wanted, const std::string& id) {
    RdtPlan plan;
    const std::string& name = wanted.clos_id;
    if (name != "/" && (name == "." || name == ".." || name.contains('/')))
        throw Error("invalid linux.intelRdt.closID ", quoted(name),
                    ": must be the name of a directory, or \"/\"");
    plan.named = !name.empty();
    plan.group = name.empty() ? id : name == "/" ? "" : name;
    for (const std::string& line : {wanted.l3_cache_schema, wanted.mem_bw_schema})
        if (!line.empty()) plan.schemata.push_back(line);
    plan.schemata.insert(plan.schemata.end(), wanted.schemata.begin(), wanted.schemata.end());
    for (const std::string& line : plan.schemata)
        if (line.contains('\n'))
            throw Error("invalid linux.intelRdt schema ", quoted(line), ": must be one line");
    plan.must_exist = plan.named && plan.schemata.empty();
    if (wanted.enable_monitoring) plan.monitor = id;
    return plan;
}

namespace {

// "L3:0=7f0;1=1f": the resource, and a value for each of its ids.
struct Schema {
    std::string resource;
    std::map<std::string, std::string> values;
};
Schema parse_schema(std::string_view line) {
    const size_t colon = line.find(':');
    Schema schema{.resource = std::string(trim(line.substr(0, colon)))};
    if (colon == std::string_view::npos) return schema;
    for (const std::string& pair : split(line.substr(colon + 1), ';')) {
        const size_t equal = pair.find('=');
        if (equal == std::string::npos) continue;
        std::string value = lower(std::string(trim(std::string_view(pair).substr(equal + 1))));
        value.erase(0, std::min(value.find_first_not_of('0'), value.size()));
        schema.values[std::string(trim(pair.substr(0, equal)))] = value;
    }
    return schema;
}

std::string line_of(const std::string& schemata, std::string_view resource) {
    for (const std::string& line : split(schemata, '\n'))
        if (trim(line).starts_with(resource)) return std::string(trim(line));
    return {};
}

}  // namespace

bool schemata_say(std::string_view schemata, std::string_view line) {
    const Schema wanted = parse_schema(line);
    for (const std::string& each : split(schemata, '\n')) {
        const Schema there = parse_schema(each);
        if (there.resource != wanted.resource) continue;
        return std::ranges::all_of(wanted.values, [&](const auto& pair) {
            const auto found = there.values.find(pair.first);
            return found != there.values.end() && found->second == pair.second;
        });
    }
    return false;
}

std::optional<std::string> find_resctrl(std::string_view mountinfo) {
    for (MountEntry& entry : parse_mount_table(mountinfo))
        if (entry.type == "resctrl") return std::move(entry.point);
    return {};
}

std::string resctrl_root() {
    auto root = find_resctrl(read_file("/proc/self/mountinfo"));
    if (!root)
        throw Error("linux.intelRdt: intelRdt is specified in config, but no resctrl file system "
                    "is mounted");
    return std::move(*root);
}

RdtRecord place_intel_rdt(const RdtPlan& plan, const std::string& root) {
    RdtRecord record{.group = plan.group.empty() ? root : root + "/" + plan.group};
    record.own = !plan.named && !sys::exists(record.group);
    if (!plan.monitor.empty()) record.monitor = record.group + "/mon_groups/" + plan.monitor;
    return record;
}

namespace {

// Of a group that others may use: it must be as it is wanted already.
void compare_schemata(const std::string& group, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    const std::string there = read_file(group + "/schemata");
    for (const std::string& line : lines)
        if (!schemata_say(there, line))
            throw Error("the schemata of ", group, " do not match: ", quoted(line), " is wanted");
}

void make_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0755) < 0) throw SysError("mkdir ", path);
}

}  // namespace

IntelRdt IntelRdt::create(const RdtPlan& plan, const std::string& root) {
    IntelRdt rdt(place_intel_rdt(plan, root));
    const std::string monitor = std::exchange(rdt.record_.monitor, "");
    context("unable to apply Intel RDT configuration", [&] {
        const std::string& group = rdt.record_.group;
        const bool exists = sys::exists(group);
        if (!exists && plan.must_exist) throw Error("clos_id directory ", group, " does not exist");
        if (!exists) make_directory(group), rdt.made_ = true;
        if (exists && plan.named)
            compare_schemata(group, plan.schemata);
        else
            write_schemata(rdt.record_, plan.schemata);
        if (!monitor.empty()) make_directory(monitor), rdt.record_.monitor = monitor;
    });
    return rdt;
}

IntelRdt::~IntelRdt() {
    if (!armed_) return;
    record_.own = made_;
    attempt("removing the resctrl group", [&] { remove_intel_rdt(record_); });
}

void join_intel_rdt(const RdtRecord& record, int pid) {
    for (const std::string& directory : {record.group, record.monitor})
        if (!directory.empty()) write_file(directory + "/tasks", std::to_string(pid));
}

std::optional<IntelRdt> enter_intel_rdt(const std::optional<RdtPlan>& plan, const std::string& root,
                                        int pid) {
    if (!plan) return {};
    IntelRdt rdt = IntelRdt::create(*plan, root);
    join_intel_rdt(rdt.record(), pid);
    return rdt;
}

// One line at a time, and the kernel tells in a file of its own what it does not like.
void write_schemata(const RdtRecord& record, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
        const UniqueFd file = sys::open(record.group + "/schemata", O_WRONLY);
        if (::write(file.get(), (line + "\n").data(), line.size() + 1) >= 0) continue;
        const int why = errno;
        const std::string status =
            read_file_if_exists(record.group + "/../info/last_cmd_status").value_or("");
        throw SysError(why, str("failed to write ", quoted(line), " to ", record.group,
                                "/schemata (", trim(status), ")"));
    }
}

std::vector<std::string> update_schemata(const RdtRecord& record,
                                         const std::vector<std::string>& lines) {
    std::vector<std::string> former;
    Defer take_back([&] {
        attempt("setting the former schemata again", [&] { write_schemata(record, former); });
    });
    for (const std::string& line : lines) {
        const std::string before =
            line_of(read_file(record.group + "/schemata"), parse_schema(line).resource + ":");
        write_schemata(record, {line});
        former.insert(former.begin(), before);
    }
    take_back.keep();
    return former;
}

void remove_intel_rdt(const RdtRecord& record) {
    const auto remove = [](const std::string& directory) {
        if (!directory.empty() && ::rmdir(directory.c_str()) < 0 && errno != ENOENT)
            throw SysError("remove ", directory);
    };
    remove(record.monitor);
    if (record.own) remove(record.group);
}

namespace {

std::string word(const std::string& path) {
    return std::string(trim(read_file_if_exists(path).value_or("")));
}
uint64_t number_in(const std::string& path) {
    return parse_number<uint64_t>(word(path)).value_or(0);
}

}  // namespace

RdtStats read_rdt_stats(const RdtRecord& record, const std::string& root) {
    RdtStats stats;
    const std::string info = root + "/info", all = word(root + "/schemata"),
                      own = word(record.group + "/schemata");
    if (sys::exists(info + "/L3")) {
        stats.l3_cache_info = {word(info + "/L3/cbm_mask"), number_in(info + "/L3/min_cbm_bits"),
                               number_in(info + "/L3/num_closids")};
        stats.l3_cache_schema_root = line_of(all, "L3");
        stats.l3_cache_schema = line_of(own, "L3");
    }
    if (sys::exists(info + "/MB")) {
        stats.mem_bw_info = {
            number_in(info + "/MB/bandwidth_gran"), number_in(info + "/MB/delay_linear"),
            number_in(info + "/MB/min_bandwidth"), number_in(info + "/MB/num_closids")};
        stats.mem_bw_schema_root = line_of(all, "MB");
        stats.mem_bw_schema = line_of(own, "MB");
    }
    for (const std::string& line : split(own, '\n'))
        if (!trim(line).empty()) stats.schemata.emplace_back(trim(line));
    const std::string data = (record.monitor.empty() ? record.group : record.monitor) + "/mon_data";
    for (const std::string& name : names_in_if_exists(data)) {
        const std::string node = data + "/" + name;
        if (sys::exists(node + "/mbm_total_bytes"))
            stats.mbm.push_back(
                {number_in(node + "/mbm_total_bytes"), number_in(node + "/mbm_local_bytes")});
        if (sys::exists(node + "/llc_occupancy"))
            stats.cmt.push_back({number_in(node + "/llc_occupancy")});
    }
    return stats;
}
