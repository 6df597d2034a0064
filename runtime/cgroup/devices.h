// Device rules. v1 has files for them; in v2 a BPF program decides on each access.
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "runtime/cgroup/cgroup.h"
#include "spec/runtime.h"

// The last rule that fits decides, and without one nothing is allowed. What every container may use
// comes after what is asked for, unless that is everything.
struct DevicePlan {
    std::vector<spec::DeviceRule> asked, always;
    bool allows_all() const { return asked.size() == 1 && asked[0].allow && always.empty(); }
};
DevicePlan plan_devices(const std::vector<spec::DeviceRule>& rules);
std::vector<bpf_insn> device_program(const std::vector<spec::DeviceRule>& rules);
std::string device_line(const spec::DeviceRule& rule);  // for v1's devices.allow or devices.deny

void limit_devices(const CgroupRecord& record, const CgroupRequest& request);
