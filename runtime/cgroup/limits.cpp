// The kernel checks each limit against those that are there: memory must not exceed memory with
// swap, a quota must fit its period. Which of two must go first depends on what is there now; so
// whatever is refused as invalid is tried once more when the rest is written.
#include "runtime/cgroup/limits.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup/devices.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"

std::optional<std::string> directory_of(const CgroupRecord& record, std::string_view controller) {
    if (record.directories.empty()) return {};
    if (record.v2) return record.directories[0];
    const std::string wanted = "," + std::string(controller) + ",";
    for (const std::string& directory : record.directories)
        if (("," + place_of_group(directory).hierarchy + ",").contains(wanted)) return directory;
    return {};
}

std::optional<std::string> directory_beside_v1(const CgroupRecord& record) {
    if (record.v2) return {};
    for (const std::string& directory : record.directories)
        if (v2::holds(record, directory)) return directory;
    return {};
}

namespace {

std::string v1_name(std::string_view controller) {
    return std::string(controller == "io" ? "blkio" : controller);
}

std::vector<Write> plan_v2(const spec::Resources& resources) {
    std::vector<Write> writes = v2::plan(resources, [](std::string_view) { return true; });
    std::ranges::move(v2::plan_unified(resources), std::back_inserter(writes));
    return writes;
}

// Controllers with limits, but no hierarchy of their own, that are in the v2 one beside v1's.
std::set<std::string> beside_v1(const CgroupRecord& record, const std::vector<Write>& writes) {
    std::set<std::string> found;
    const auto directory = directory_beside_v1(record);
    if (!directory) return found;
    const auto offered =
        read_file_if_exists(place_of_group(*directory).mount + "/cgroup.controllers");
    for (const std::string& controller : split(trim(offered.value_or("")), ' '))
        if (const std::string name = v1_name(controller);
            v2::known_controllers().contains(controller) && !directory_of(record, name))
            found.insert(name);
    std::erase_if(found, [&](const std::string& name) {
        return std::ranges::find(writes, name, &Write::controller) == writes.end();
    });
    return found;
}

}  // namespace

std::vector<Write> plan_limits(const CgroupRecord& record, const spec::Resources& resources) {
    if (record.v2) return plan_v2(resources);
    if (!resources.unified.empty())
        throw Error(
            "linux.resources.unified: invalid configuration: cannot use unified on cgroup v1");
    std::vector<Write> writes = v1::plan(resources);
    const std::set<std::string> beside = beside_v1(record, writes);
    if (beside.empty()) return writes;
    std::erase_if(writes, [&](const Write& write) { return beside.contains(write.controller); });
    const auto chosen = [&](std::string_view controller) {
        return beside.contains(v1_name(controller));
    };
    std::ranges::move(v2::plan(resources, chosen), std::back_inserter(writes));
    return writes;
}

namespace {

std::string file_of(const CgroupRecord& record, const Write& write) {
    auto directory = directory_of(record, write.controller);
    if (!directory) directory = directory_beside_v1(record);
    if (!directory)
        throw Error("linux.resources.", write.setting, ": controller ", quoted(write.controller),
                    " not available");
    return *directory + "/" + write.file;
}

[[noreturn]] void refused(const Write& write, const std::string& file, int why) {
    if (why == ENOENT || ((why == EACCES || why == EPERM) && !sys::exists(file)))
        throw Error("linux.resources.", write.setting, " cannot be set: controller ",
                    write.controller, " has no file ", file);
    const auto current =
        read_file_if_exists(file.substr(0, file.rfind('/')) + "/memory.usage_in_bytes");
    if (why == EBUSY && write.setting == "memory.limit" && current)
        throw Error("linux.resources.memory.limit: unable to set memory limit to ", write.value,
                    " (current usage: ", trim(*current), ")");
    throw SysError(why, str("linux.resources.", write.setting, ": failed to write ",
                            quoted(write.value), ": write ", file));
}

// Writes lines of many files and keeps the last file open: device rules and disks come in rows.
class Writer {
public:
    // With a journal it notes there how to take each line back, the last first.
    explicit Writer(std::vector<Write>* journal = nullptr) : journal_(journal) {}

    // 0 or the error number.
    int write(const std::string& file, const Write& line) {
        if (file != open_) {
            auto opened = sys::try_open(file, O_WRONLY);
            if (!opened) return opened.error();
            fd_ = std::move(*opened);
            open_ = file;
        }
        const auto before = journal_ ? value_of(file) : std::nullopt;
        if (::write(fd_.get(), line.value.data(), line.value.size()) < 0) return errno;
        if (before) journal_->insert(journal_->begin(), inverse(line, *before));
        return 0;
    }

private:
    // v2's cpusets are empty until they are set, and never again while there are processes: what
    // was inherited is what was there.
    static std::optional<std::string> value_of(const std::string& file) {
        auto text = read_file_if_exists(file);
        return text && trim(*text).empty() ? read_file_if_exists(file + ".effective")
                                           : std::move(text);
    }

    std::vector<Write>* journal_;
    std::string open_;
    UniqueFd fd_;
};

void write_all(const CgroupRecord& record, const std::vector<Write>& writes,
               Writer writer = Writer()) {
    std::vector<std::pair<const Write*, std::string>> again;
    std::string settled, settled_file;  // a setting for which this kernel's file was found
    for (const Write& write : writes) {
        if (write.setting == settled && write.file != settled_file) continue;
        const std::string file = file_of(record, write);
        const int why = writer.write(file, write);
        if (why == ENOENT && write.missing != Missing::error) continue;
        if (why == EINVAL)
            again.emplace_back(&write, file);
        else if (why)
            refused(write, file, why);
        if (write.missing == Missing::next) settled = write.setting, settled_file = write.file;
    }
    for (const auto& [write, file] : again)
        if (const int why = writer.write(file, *write)) refused(*write, file, why);
}

}  // namespace

void write_limits(const CgroupRecord& record, const CgroupRequest& request) {
    write_all(record, plan_limits(record, request.resources));
    limit_devices(record, request);
}

namespace {

// What v2 keeps in one file, or splits where config.json does not: the half that is not given is as
// it was.
spec::Resources with_current(const CgroupRecord& record, spec::Resources wanted) {
    if (!record.v2) return wanted;
    const auto current = [&](const char* file) {
        return std::string(
            trim(read_file_if_exists(record.directories.at(0) + "/" + file).value_or("")));
    };
    const auto number = [](std::string_view text) {
        return parse_number<int64_t>(text).value_or(-1);
    };  // "max", or not there

    if ((wanted.cpu.quota.value_or(0) == 0) != (wanted.cpu.period.value_or(0) == 0)) {
        const std::vector<std::string> both = split(current("cpu.max"), ' ');
        if (wanted.cpu.quota.value_or(0) == 0)
            wanted.cpu.quota = number(both[0]);
        else if (both.size() == 2)
            wanted.cpu.period = parse_number<uint64_t>(both[1]);
    }
    spec::Memory& memory = wanted.memory;
    if (memory.swap.value_or(0) > 0 && memory.limit.value_or(0) == 0)
        memory.limit = number(current("memory.max"));
    if (memory.swap.value_or(0) == 0 && memory.limit.value_or(0) > 0) {
        const int64_t limit = number(current("memory.max")),
                      swap = number(current("memory.swap.max"));
        if (limit >= 0 && swap >= 0) memory.swap = limit + swap;
    }
    return wanted;
}

// v1's kernel refuses a limit below what is used; v2's kills somebody instead.
void check_before(const CgroupRecord& record, const spec::Memory& wanted) {
    if (!record.v2 || !wanted.check_before_update.value_or(false)) return;
    const auto text = read_file_if_exists(record.directories.at(0) + "/memory.current");
    const auto usage = parse_number<int64_t>(trim(text.value_or("")));
    if (!usage) return;
    if (wanted.swap.value_or(0) > 0 && *wanted.swap <= *usage)
        throw Error("rejecting memory+swap limit ", *wanted.swap, " <= usage ", *usage);
    if (wanted.limit.value_or(0) > 0 && *wanted.limit <= *usage)
        throw Error("rejecting memory limit ", *wanted.limit, " <= usage ", *usage);
}

}  // namespace

LimitChange update_limits(const CgroupRecord& record, const spec::Resources& resources) {
    const spec::Resources wanted = with_current(record, resources);
    LimitChange change{.made = plan_limits(record, wanted), .undo = {}};
    check_before(record, wanted.memory);
    Defer roll_back([&] { take_back(record, change.undo); });
    write_all(record, change.made, Writer(&change.undo));
    roll_back.keep();
    return change;
}

void rewrite_limits(const CgroupRecord& record, const std::vector<Write>& writes) {
    write_all(record, writes);
}

// Backwards every step was allowed before; one that is not now does not keep the others.
void take_back(const CgroupRecord& record, const std::vector<Write>& undo) {
    for (const Write& write : undo)
        attempt("setting the former limits again", [&] { write_all(record, {write}); });
}
