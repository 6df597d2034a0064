// The kernel checks each limit against those that are there: memory must not exceed memory with swap, a
// quota must fit its period. Which of two must go first depends on what is there now; so whatever is
// refused as invalid is tried once more when the rest is written.
#include "runtime/cgroup/limits.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup/devices.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"

std::optional<std::string> directory_of(const CgroupRecord& record, std::string_view controller) {
    if (record.v2) return record.directories.at(0);
    for (const std::string& directory : record.directories) {
        // /sys/fs/cgroup/cpu,cpuacct/…
        const std::vector<std::string> parts = split(directory, '/');
        const std::vector<std::string> controllers = split(parts.at(4), ',');
        if (std::ranges::find(controllers, controller) != controllers.end()) return directory;
    }
    return {};
}

std::optional<std::string> directory_beside_v1(const CgroupRecord& record) {
    if (record.v2) return {};
    for (const std::string& directory : record.directories)
        if (v2::holds(record, directory)) return directory;
    return {};
}

namespace {

std::string v1_name(std::string_view controller) { return std::string(controller == "io" ? "blkio" : controller); }

}  // namespace

std::vector<Write> plan_limits(const CgroupRecord& record, const spec::Resources& resources) {
    if (record.v2) {
        std::vector<Write> writes = v2::plan(resources, [](std::string_view) { return true; });
        for (Write& write : v2::plan_unified(resources)) writes.push_back(std::move(write));
        return writes;
    }
    if (!resources.unified.empty()) throw Error("invalid configuration: cannot use unified on cgroup v1");
    const bool hybrid = directory_beside_v1(record).has_value();
    std::vector<Write> writes = v1::plan(resources, [&](std::string_view controller) {
        return !hybrid || directory_of(record, controller).has_value();
    });
    // What has no hierarchy of its own may be in the v2 one beside; if it is not, writing says so.
    if (hybrid)
        for (Write& write : v2::plan(resources, [&](std::string_view controller) {
                 return controller != "net_cls" && controller != "net_prio" && !directory_of(record, v1_name(controller));
             }))
            writes.push_back(std::move(write));
    return writes;
}

namespace {

std::string file_of(const CgroupRecord& record, const Write& write) {
    auto directory = directory_of(record, write.controller);
    if (!directory) directory = directory_beside_v1(record);
    if (!directory) throw Error("linux.resources.", write.setting, ": controller ", write.controller, " not available");
    return *directory + "/" + write.file;
}

[[noreturn]] void refused(const Write& write, const std::string& file, int why) {
    if (why == ENOENT || ((why == EACCES || why == EPERM) && !sys::exists(file)))
        throw Error("linux.resources.", write.setting, " cannot be set: controller ", write.controller, " has no file ", file);
    const auto current = read_file_if_exists(file.substr(0, file.rfind('/')) + "/memory.usage_in_bytes");
    if (why == EBUSY && write.setting == "memory.limit" && current)
        throw Error("unable to set memory limit to ", write.value, " (current usage: ", trim(*current), ")");
    throw SysError(why, str("failed to write ", quoted(write.value), ": write ", file));
}

// Writes lines of many files and keeps the last file open: device rules and disks come in rows.
class Writer {
public:
    // 0 or the error number.
    int write(const std::string& file, std::string_view line) {
        if (file != open_) {
            auto opened = sys::try_open(file, O_WRONLY);
            if (!opened) return opened.error();
            fd_ = std::move(*opened);
            open_ = file;
        }
        return ::write(fd_.get(), line.data(), line.size()) < 0 ? errno : 0;
    }

private:
    std::string open_;
    UniqueFd fd_;
};

void write_all(const CgroupRecord& record, const std::vector<Write>& writes) {
    Writer writer;
    std::vector<std::pair<const Write*, std::string>> again;
    std::string settled, settled_file;   // a setting for which this kernel's file was found
    for (const Write& write : writes) {
        if (write.setting == settled && write.file != settled_file) continue;
        const std::string file = file_of(record, write);
        const int why = writer.write(file, write.value);
        if (why == ENOENT && write.missing != Missing::error) continue;
        if (why == EINVAL) again.emplace_back(&write, file);
        else if (why) refused(write, file, why);
        if (write.missing == Missing::next) settled = write.setting, settled_file = write.file;
    }
    for (const auto& [write, file] : again)
        if (const int why = writer.write(file, write->value)) refused(*write, file, why);
}

}  // namespace

void write_limits(const CgroupRecord& record, const CgroupRequest& request) {
    write_all(record, plan_limits(record, request.resources));
    limit_devices(record, request);
}

void update_limits(const CgroupRecord& record, const spec::Resources& resources) {
    write_all(record, plan_limits(record, resources));
}
