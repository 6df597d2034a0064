// Device rules for cgroup v2, which has no file for them: a BPF program decides on each access.
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "spec/runtime.h"

// Pure. The last rule that fits decides; without one nothing is allowed.
std::vector<bpf_insn> device_program(const std::vector<spec::DeviceRule>& rules);
void attach_device_program(int cgroup, const std::vector<bpf_insn>& program);
