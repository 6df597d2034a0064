// A write is taken back by writing what the file said before, but not every file says what it
// takes. memory.oom_control says more; and of the files with a line per device a write changes one
// line, so the former line of that device goes back, or, if it had none, the words that take a line
// away, which are each file's own. A row of a table without a file is for what this version of
// cgroups cannot do: asked for, it is an error and never dropped.
#include "runtime/cgroup/knobs.h"

#include "base/error.h"
#include "base/json_place.h"

static constexpr json::Place resources_place = "linux.resources";

std::vector<Write> plan_writes(std::span<const Knob> knobs, const spec::Resources& resources,
                               const Chosen& chosen) {
    std::vector<Write> writes;
    for (const Knob& knob : knobs) {
        if (!chosen(knob.controller)) continue;
        const json::Place place(resources_place, knob.setting);
        for (std::string& line : context(place, [&] { return knob.lines(resources); })) {
            if (knob.file.empty())
                throw Error(place,
                            " cannot be set: this machine's cgroup version has no such limit");
            writes.push_back({std::string(knob.controller), std::string(knob.setting),
                              std::string(knob.file), std::move(line), knob.missing});
        }
    }
    return writes;
}

// Files with a line per device, and what takes a line away.
static constexpr struct {
    std::string_view file, none;
} line_files[] = {
    {"io.max", "rbps=max wbps=max riops=max wiops=max"},
    {"io.weight", "default"},
    {"io.bfq.weight", "default"},
    {"rdma.max", "hca_handle=max hca_object=max"},
    {"blkio.weight_device", "0"},
    {"blkio.bfq.weight_device", "0"},
    {"blkio.leaf_weight_device", "0"},
    {"blkio.throttle.read_bps_device", "0"},
    {"blkio.throttle.write_bps_device", "0"},
    {"blkio.throttle.read_iops_device", "0"},
    {"blkio.throttle.write_iops_device", "0"},
    {"net_prio.ifpriomap", "0"},
};

Write inverse(const Write& write, std::string_view content) {
    Write undo = write;
    undo.value = trim(content);
    if (write.file == "memory.oom_control")
        undo.value = content.starts_with("oom_kill_disable 1") ? "1" : "0";
    for (const auto& [file, none] : line_files) {
        if (file != write.file) continue;
        const std::string device =
            write.value.substr(0, write.value.find(' ') + 1);  // with the blank
        undo.value = device + std::string(none);
        for (const std::string& line : split(content, '\n'))
            if (line.starts_with(device)) undo.value = line;
    }
    return undo;
}

Lines throttle(const std::vector<spec::ThrottleDevice>& devices, std::string_view before_rate) {
    Lines lines;
    for (const spec::ThrottleDevice& device : devices)
        lines.push_back(str(device.major, ":", device.minor, " ", before_rate, device.rate));
    return lines;
}

Lines rdma(const spec::Resources& resources) {
    Lines lines;
    for (const auto& [device, limit] : resources.rdma) {
        std::string line = device;
        if (limit.hca_handles) line += str(" hca_handle=", *limit.hca_handles);
        if (limit.hca_objects) line += str(" hca_object=", *limit.hca_objects);
        if (line != device) lines.push_back(line);
    }
    return lines;
}

std::vector<Write> hugetlb(const spec::Resources& resources, std::string_view reserved_file,
                           std::string_view file) {
    std::vector<Write> writes;
    for (size_t i = 0; i < resources.hugepage_limits.size(); ++i) {
        const spec::HugepageLimit& limit = resources.hugepage_limits[i];
        if (limit.page_size.empty() || limit.page_size.contains('/'))
            throw Error("linux.resources.hugepageLimits: invalid pageSize ",
                        quoted(limit.page_size));
        const std::string setting = str("hugepageLimits[", i, "]"),
                          value = std::to_string(limit.limit);
        writes.push_back({"hugetlb", setting, str("hugetlb.", limit.page_size, reserved_file),
                          value, Missing::skip});
        writes.push_back({"hugetlb", setting, str("hugetlb.", limit.page_size, file), value});
    }
    return writes;
}
