#include "runtime/cgroup/knobs.h"

#include "base/error.h"

std::vector<Write> plan_writes(std::span<const Knob> knobs, const spec::Resources& resources, const Chosen& chosen) {
    std::vector<Write> writes;
    for (const Knob& knob : knobs) {
        if (!chosen(knob.controller)) continue;
        for (std::string& line : knob.lines(resources)) {
            if (knob.file.empty())
                throw Error("linux.resources.", knob.setting, " cannot be set: this machine's cgroup version has no such limit");
            writes.push_back({std::string(knob.controller), std::string(knob.setting), std::string(knob.file),
                              std::move(line), knob.missing});
        }
    }
    return writes;
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

std::vector<Write> hugetlb(const spec::Resources& resources, std::string_view reserved_file, std::string_view file) {
    std::vector<Write> writes;
    for (const spec::HugepageLimit& limit : resources.hugepage_limits) {
        const std::string setting = str("hugepageLimits ", limit.page_size), value = std::to_string(limit.limit);
        writes.push_back({"hugetlb", setting, str("hugetlb.", limit.page_size, reserved_file), value, Missing::skip});
        writes.push_back({"hugetlb", setting, str("hugetlb.", limit.page_size, file), value});
    }
    return writes;
}
