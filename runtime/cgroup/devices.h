// Device rules. v1 has files for them; in v2 a BPF program decides on each access.
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "runtime/cgroup/cgroup.h"
#include "spec/runtime.h"

// The last rule that fits decides; what every container may use comes last.
void limit_devices(const CgroupRecord& record, const CgroupRequest& request);

// Pure. Without a rule that fits nothing is allowed.
std::vector<bpf_insn> device_program(const std::vector<spec::DeviceRule>& rules);
std::vector<spec::DeviceRule> with_default_devices(std::vector<spec::DeviceRule> rules);
// A line for v1's devices.allow or devices.deny.
std::string device_line(const spec::DeviceRule& rule);
