// Configs for who reads them damaged, and all that is decided of one.
#pragma once

#include "base/file.h"
#include "base/json.h"
#include "runtime/cgroup/devices.h"
#include "runtime/cgroup/intel_rdt.h"
#include "runtime/cgroup/systemd_unit.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"
#include "runtime/process/attributes.h"
#include "runtime/process/credentials.h"
#include "runtime/process/namespaces.h"
#include "runtime/rootfs/mounts.h"
#include "runtime/seccomp/filter.h"
#include "runtime/start/program.h"
#include "spec/validate.h"
#include "tests/unit/catch.h"

inline json::Value golden(const char* name) {
    return json::parse(read_file(str(TEST_DATA, "/spec/", name)));
}

// A bit of everything that does not exclude another.
inline json::Value valid_config() {
    json::Value config = json::parse(spec::write(spec::default_config()));
    config.merge_patch(json::parse(R"({
        "hooks": {"prestart": [{"path": "/bin/true", "args": ["true"], "timeout": 5}], "poststop": [{"path": "/x", "env": ["A=b"]}]},
        "annotations": {"org.systemd.property.TimeoutStopUSec": "uint64 5", "a": "b"},
        "process": {"consoleSize": {"height": 1, "width": 2}, "scheduler": {"policy": "SCHED_BATCH", "nice": 5}, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
                    "execCPUAffinity": {"initial": "0", "final": "0-1"}, "oomScoreAdj": 5},
        "linux": {"cgroupsPath": "/a/b", "sysctl": {"net.ipv4.ip_forward": "1", "kernel/sem": "1 2"}, "netDevices": {"dummy0": {"name": "eth0"}},
                  "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0}],
                  "personality": {"domain": "LINUX32"}, "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
                  "intelRdt": {"closID": "gold", "schemata": ["L3:0=f"], "memBwSchema": "MB:0=20", "enableMonitoring": true},
                  "resources": {"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": -1, "access": "r"}],
                                "memory": {"limit": 5000000, "swap": 6000000, "swappiness": 5}, "cpu": {"shares": 500, "quota": 1000, "period": 2000, "cpus": "0-1", "idle": 0},
                                "pids": {"limit": 5}, "blockIO": {"weight": 50, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}], "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}]},
                                "hugepageLimits": [{"pageSize": "2MB", "limit": 5}], "rdma": {"mlx": {"hcaHandles": 3}}, "network": {"classID": 5, "priorities": [{"name": "lo", "priority": 3}]},
                                "unified": {"memory.high": "5"}},
                  "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                              "listenerPath": "/x", "syscalls": [{"names": ["read", "write", "exit_group", "socketcall", "nonsense"], "action": "SCMP_ACT_ALLOW"},
                              {"names": ["clone", "personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"},
                                                                                                      {"index": 1, "value": 18446744073709551615, "op": "SCMP_CMP_GT"}]},
                              {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}}})"));
    return config;
}

// All that is decided before anything is made.
inline void plan(const spec::Config& config) {
    plan_namespaces(config.linux);
    id_map_text(config.linux.uid_mappings);
    if (config.linux.seccomp)
        plan_filter(*config.linux.seccomp), compile_filter(*config.linux.seccomp);
    for (const spec::Mount& mount : config.mounts) split_options(plan_mount(mount.options).data);
    propagation_flag(config.linux.rootfs_propagation);
    if (config.linux.intel_rdt) plan_intel_rdt(*config.linux.intel_rdt, "c");
    if (config.process) {
        plan_capabilities(*config.process);
        unique_environment(config.process->env);
        for (const spec::Rlimit& limit : config.process->rlimits) rlimit_number(limit.type);
    }
    const spec::Resources resources = config.linux.resources.value_or(spec::Resources{});
    device_program(resources.devices);
    plan_devices(resources.devices);
    device_properties(resources.devices);
    // Each of these may refuse what the others take.
    const auto all = [](std::string_view) { return true; };
    error_of([&] { v1::plan(resources); });
    error_of([&] { v2::plan(resources, all), v2::plan_unified(resources); });
    error_of([&] { limit_properties(v2::plan(resources, all), [] { return 252; }); });
    error_of([&] { annotation_properties(config.annotations); });
    error_of(
        [&] { path_of(plan_unit({.cgroups_path = config.linux.cgroups_path, .id = "c"}, false)); });
}
