// systemd's words are not the kernel's. Its quota is per second, in steps of 10 ms; its lists of
// CPUs are bytes of bits; an idle group is a weight of 0. A unit's place follows from its name:
// each "-" in a slice's name is a level of the tree. For devices systemd has a program of its own,
// which comes back when it looks after its cgroups, and all that are attached must allow; so a list
// that cannot be told as a whole (a rule that denies, one minor number of every driver) is not told
// at all, or it would forbid what we allow.
#include "runtime/cgroup/systemd_unit.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/number_list.h"
#include "runtime/cgroup/devices.h"
#include "runtime/cgroup/variant_text.h"

namespace {

constexpr uint64_t infinity = UINT64_MAX;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What a unit's name may not have (an id's "+") is written as systemd-escape does.
std::string escaped(std::string_view name) {
    std::string out;
    for (const char c : name) {
        if (is_letter(c) || (c >= '0' && c <= '9') || std::string_view(":-_.\\@").contains(c))
            out += c;
        else {
            static constexpr char hex[] = "0123456789abcdef";
            const auto byte = static_cast<unsigned char>(c);
            out += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
        }
    }
    return out;
}

}  // namespace

UnitPlace plan_unit(const CgroupRequest& request, bool users_own) {
    std::vector<std::string> parts = {"", "keg", request.id};
    if (!request.cgroups_path.empty()) parts = split(request.cgroups_path, ':');
    if (parts.size() != 3)
        throw Error(
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got ",
            quoted(request.cgroups_path), " instead");
    UnitPlace place{.slice = parts[0], .unit = parts[2]};
    if (place.slice.empty()) place.slice = users_own ? "user.slice" : "system.slice";
    if (!place.is_slice()) place.unit = escaped(parts[1] + "-" + parts[2]) + ".scope";
    if (place.unit.size() > 255)
        throw Error("the name of the systemd unit is too long: ", quoted(place.unit));
    path_of(place);  // both names must be good
    return place;
}

std::string expand_slice(const std::string& slice) {
    if (slice == "-.slice") return "";
    const std::string name = slice.ends_with(".slice") ? slice.substr(0, slice.size() - 6) : "";
    const std::vector<std::string> parts = split(name, '-');
    if (name.contains('/') || std::ranges::find(parts, "") != parts.end())
        throw Error("invalid slice name: ", slice);
    std::string path, prefix;
    for (const std::string& part : parts) {
        prefix += (prefix.empty() ? "" : "-") + part;
        path += "/" + prefix + ".slice";
    }
    return path;
}

std::string path_of(const UnitPlace& place) {
    const std::string slice = expand_slice(place.slice);
    return place.is_slice() ? expand_slice(place.unit) : slice + "/" + place.unit;
}

dbus::Value as_argument(const Properties& properties) {
    std::vector<dbus::Value> list;
    for (const auto& [name, value] : properties)
        list.push_back(dbus::structure({dbus::text(name), dbus::variant(value)}));
    return dbus::array("(sv)", std::move(list));
}

Properties unit_properties(const UnitPlace& place, const std::string& id, int pid, bool v2) {
    Properties all = {{"Description", dbus::text("keg container " + id)}};
    if (place.is_slice()) {
        all.push_back(
            {"Wants", dbus::array("s", {dbus::text(place.slice)})});  // its name says where it is
    } else {
        all.push_back({"Slice", dbus::text(place.slice)});
        // One whose start fails, or whose creator is killed meanwhile, is not kept as a failed
        // unit.
        all.push_back({"CollectMode", dbus::text("inactive-or-failed")});
        all.push_back({"Delegate", dbus::boolean(true)});
        all.push_back({"PIDs", dbus::array("u", {dbus::u32(uint32_t(pid))})});
    }
    for (const char* what : {"Memory", "CPU", v2 ? "IO" : "BlockIO", "Tasks"})
        all.push_back({str(what, "Accounting"), dbus::boolean(true)});
    all.push_back({"DefaultDependencies", dbus::boolean(false)});
    return all;
}

namespace {

// What a file holds, as a property's value; nothing if systemd has no words for it.
using Told = std::optional<dbus::Value>;

Told amount(const std::string& text) {
    if (text == "max" || text.starts_with('-')) return dbus::u64(infinity);
    static constexpr std::string_view units = "KMGTPE";  // the kernel takes them in `unified`
    const size_t unit = text.empty() ? std::string_view::npos : units.find(text.back());
    const auto number = parse_number<uint64_t>(
        std::string_view(text).substr(0, text.size() - (unit != std::string_view::npos)));
    if (!number) return {};
    return dbus::u64(unit == std::string_view::npos ? *number : *number << (10 * (unit + 1)));
}

Told default_weight(const std::string& text) {
    return text.starts_with("default ") ? amount(text.substr(8)) : Told{};
}

Told idle_weight(const std::string& text) { return text == "1" ? Told(dbus::u64(0)) : Told{}; }

// "0-2,5" as bits, the first in the lowest of the first byte.
Told mask_of_bytes(const std::string& text) {
    const auto list = parse_number_list(text);
    if (!list || list->empty()) return {};
    std::vector<dbus::Value> bytes;
    const std::vector<unsigned long> mask = bit_mask(*list);
    for (unsigned byte = 0; byte <= list->back().last / 8; ++byte)
        bytes.push_back(
            {"y", uint64_t(mask[byte / sizeof mask[0]] >> 8 * (byte % sizeof mask[0]) & 0xff)});
    return dbus::array("y", std::move(bytes));
}

struct Translation {
    std::string_view file, property;
    Told (*told)(const std::string&);
    int since = 0;  // the version of systemd; ours are all older than Linux 5.12 unless it says so
};
constexpr Translation translations[] = {
    {"memory.max", "MemoryMax", amount},
    {"memory.high", "MemoryHigh", amount},
    {"memory.low", "MemoryLow", amount},
    {"memory.min", "MemoryMin", amount},
    {"memory.swap.max", "MemorySwapMax", amount},
    {"cpu.weight", "CPUWeight", amount},
    {"cpu.idle", "CPUWeight", idle_weight, 252},
    {"cpuset.cpus", "AllowedCPUs", mask_of_bytes},
    {"cpuset.mems", "AllowedMemoryNodes", mask_of_bytes},
    {"pids.max", "TasksMax", amount},
    {"io.weight", "IOWeight", default_weight},
    {"memory.limit_in_bytes", "MemoryLimit", amount},  // from here on v1's
    {"cpu.shares", "CPUShares", amount},
    {"blkio.weight", "BlockIOWeight", amount},
};

// systemd has the quota per second, and rounds it to what is 10 ms of each: up, as runc does.
void add_cpu_quota(Properties& all, const std::vector<Write>& writes) {
    std::string quota;
    uint64_t period = 0;
    for (const Write& write : writes) {
        if (write.file == "cpu.cfs_quota_us") quota = write.value;
        if (write.file == "cpu.cfs_period_us")
            period = parse_number<uint64_t>(write.value).value_or(0);
        if (write.file != "cpu.max") continue;
        const size_t blank = write.value.find(' ');
        quota = write.value.substr(0, blank);
        if (blank != std::string::npos)
            period = parse_number<uint64_t>(write.value.substr(blank + 1)).value_or(0);
    }
    if (period) all.push_back({"CPUQuotaPeriodUSec", dbus::u64(period)});
    if (quota.empty()) return;
    uint64_t per_second = infinity;
    if (const auto given = parse_number<uint64_t>(quota)) {
        per_second = *given * 1000000 / (period ? period : 100000);
        per_second = (per_second + 9999) / 10000 * 10000;
    }
    all.push_back({"CPUQuotaPerSecUSec", dbus::u64(per_second)});
}

}  // namespace

Properties limit_properties(const std::vector<Write>& writes, const std::function<int()>& version) {
    Properties all;
    for (const Write& write : writes)
        for (const Translation& row : translations) {
            if (row.file != write.file) continue;
            const Told told = row.told(write.value);
            if (told && (!row.since || version() >= row.since))
                all.push_back({std::string(row.property), *told});
        }
    add_cpu_quota(all, writes);
    return all;
}

Properties birth_properties(const std::vector<Write>& writes) {
    Properties all;
    for (const Write& write : writes)
        if (write.file == "memory.oom.group")
            all.push_back({"OOMPolicy", dbus::text(write.value == "1" ? "kill" : "continue")});
    return all;
}

namespace {

// Nothing if systemd has no words for it: one minor of every driver.
std::optional<std::string> device_name(std::string_view type, const spec::DeviceRule& rule) {
    const bool every_major = rule.major.value_or(-1) < 0, every_minor = rule.minor.value_or(-1) < 0;
    if (every_major && !every_minor) return {};
    if (every_major) return str(type, "-*");
    if (every_minor) return str(type, "-", *rule.major);
    return str("/dev/", type, "/", *rule.major, ":", *rule.minor);
}

}  // namespace

Properties device_properties(const std::vector<spec::DeviceRule>& wanted) {
    const Properties no_rule = {{"DevicePolicy", dbus::text("auto")},
                                {"DeviceAllow", dbus::array("(ss)", {})}};
    const DevicePlan plan = plan_devices(wanted);
    if (plan.asked[0].allow) return no_rule;
    std::vector<spec::DeviceRule> rules(plan.asked.begin() + 1, plan.asked.end());
    rules.insert(rules.end(), plan.always.begin(), plan.always.end());
    std::vector<dbus::Value> allowed;
    for (const spec::DeviceRule& rule : rules) {
        const auto name = device_name(rule.type == "b" ? "block" : "char", rule);
        if (!rule.allow || !name) return no_rule;
        allowed.push_back(dbus::structure(
            {dbus::text(*name), dbus::text(rule.access.empty() ? "rwm" : rule.access)}));
    }
    return {{"DevicePolicy", dbus::text("strict")},
            {"DeviceAllow", dbus::array("(ss)", std::move(allowed))}};
}

namespace {

dbus::Value microseconds(const dbus::Value& seconds) {
    if (const auto* number = std::get_if<double>(&seconds.data))
        return dbus::u64(uint64_t(std::llround(*number * 1e6)));
    if (const auto* number = std::get_if<int64_t>(&seconds.data))
        return dbus::u64(uint64_t(*number) * 1000000);
    const auto* number = std::get_if<uint64_t>(&seconds.data);
    if (!number || seconds.signature == "b") throw Error("not a number");
    return dbus::u64(*number * 1000000);
}

}  // namespace

Properties annotation_properties(const spec::Annotations& annotations) {
    constexpr std::string_view prefix = "org.systemd.property.";
    Properties all;
    for (const auto& [key, text] : annotations) {
        if (!key.starts_with(prefix)) continue;
        std::string name = key.substr(prefix.size());
        if (name.size() < 3) throw Error("annotation ", key, " name incorrect: too short");
        if (!std::ranges::all_of(name, is_letter))
            throw Error("annotation ", key, " name incorrect: contains non-alphabetic character");
        context(str("annotation ", key, "=", text, " value parse error"), [&] {
            dbus::Value value = parse_variant(text);
            if (name.ends_with("Sec") && name.size() > 3 && name[name.size() - 4] >= 'a') {
                name.replace(name.size() - 3, 3, "USec");
                value = microseconds(value);
            }
            all.push_back({name, std::move(value)});
        });
    }
    return all;
}
