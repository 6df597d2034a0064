// Each rule that a config can break, by a config that breaks it.
#include "spec/validate.h"

#include <set>

#include "spec/rules.h"
#include "tests/unit/catch.h"

using namespace spec;

namespace {
const struct {
    void (*edit)(Config&);
    const char* document;
    const char* section;
    const char* message;
} cases[] = {
    {[](Config& c) { c.oci_version = ""; }, "config.md", "specification-version",
     "ociVersion: is missing"},
    {[](Config& c) { c.oci_version = "1.3"; }, "config.md", "specification-version",
     "ociVersion: must be a semantic version, but is \"1.3\""},
    {[](Config& c) { c.oci_version = "2.0.0-rc.1+x"; }, "config.md", "specification-version",
     "ociVersion: unsupported spec version: 2.0.0-rc.1+x"},
    {[](Config& c) { c.root.reset(); }, "config.md", "root", "root: is missing"},
    {[](Config& c) { c.root->path = ""; }, "config.md", "root", "root.path: is missing"},
    {[](Config& c) { c.mounts[0].destination = ""; }, "config.md", "mounts",
     "mounts[0].destination: is missing"},
    {[](Config& c) { c.mounts[0].uid_mappings = {{0, 1, 2}}, c.mounts[0].options = {"bind"}; },
     "config.md", "posix-platform-mounts",
     "mounts[0].gidMappings: uidMappings and gidMappings must be given together"},
    {[](Config& c) {
         c.mounts[0].gid_mappings = {{0, 1, 2}}, c.mounts[0].uid_mappings = {{0, uint32_t(-1), 1}},
         c.mounts[0].options = {"bind"};
     },
     "config.md", "posix-platform-mounts",
     "mounts[0].uidMappings[0]: 0 4294967295 1 is no range of ids"},
    {[](Config& c) { c.mounts[0].options = {"bind", "ridmap"}; }, "config.md",
     "linux-mount-options",
     "mounts[0].options: id-mapped mount without mappings and without a user namespace"},
    {[](Config& c) { c.mounts[0].uid_mappings = c.mounts[0].gid_mappings = {{0, 1, 2}}; },
     "config.md", "linux-mount-options", "mounts[0].options: id-mapped mounts must be bind mounts"},
    {[](Config& c) { c.mounts[0].options = {"rbind"}, c.mounts[0].source = ""; }, "config.md",
     "mounts", "mounts[0].source: is missing: a bind mount must have one"},
    {[](Config& c) { c.annotations[""] = "x"; }, "config.md", "annotations",
     "annotations: a key must not be empty"},
    {[](Config& c) { c.mounts[0].destination = "//."; }, "config.md", "mounts",
     "mounts[0].destination: \"//.\" is the root itself"},
    {[](Config& c) {
         c.linux.resources.emplace().devices = {{.allow = true, .type = "c", .major = -5}};
     },
     "config-linux.md", "allowed-device-list",
     "linux.resources.devices[0].major: must be from -1 to 4095, but is -5"},
    {[](Config& c) {
         c.linux.resources.emplace().devices = {
             {.allow = true, .type = "c", .major = 4294967297, .minor = 3}};
     },
     "config-linux.md", "allowed-device-list",
     "linux.resources.devices[0].major: must be from -1 to 4095, but is 4294967297"},
    {[](Config& c) { c.linux.resources.emplace().memory = {.limit = 2, .swap = 1}; },
     "config-linux.md", "memory",
     "linux.resources.memory.swap: memory+swap limit must be >= memory limit"},
    {[](Config& c) { c.mounts[0].options = {"tmpcopyup"}; }, "config.md", "linux-mount-options",
     "mounts[0].options: tmpcopyup needs a tmpfs"},
    {[](Config& c) { c.process->cwd = ""; }, "config.md", "process",
     "process.cwd: Cwd property must not be empty"},
    {[](Config& c) { c.process->cwd = "x"; }, "config.md", "process",
     "process.cwd: Cwd must be an absolute path, but is \"x\""},
    {[](Config& c) { c.process->args.clear(); }, "config.md", "process",
     "process.args: args must not be empty"},
    {[](Config& c) { c.process->console_size = {.height = 65536, .width = 1}; }, "config.md",
     "process", "process.consoleSize.height: must be from 0 to 65535, but is 65536"},
    {[](Config& c) { c.process->env = {"A"}; }, "config.md", "process",
     "process.env[0]: invalid environment variable: missing '=' in \"A\""},
    {[](Config& c) { c.process->env = {"=A"}; }, "config.md", "process",
     "process.env[0]: invalid environment variable: name cannot be empty in \"=A\""},
    {[](Config& c) { c.process->user.uid = uint32_t(-1); }, "config.md", "posix-platform-user",
     "process.user.uid: 4294967295 is no id"},
    {[](Config& c) { c.process->user.additional_gids = {uint32_t(-1)}; }, "config.md",
     "posix-platform-user", "process.user.additionalGids[0]: 4294967295 is no id"},
    {[](Config& c) { c.process->user.umask = 010000; }, "config.md", "posix-platform-user",
     "process.user.umask: must be from 0 to 511 (0777), but is 4096"},
    {[](Config& c) { c.process->rlimits = {{"RLIMIT_MOON", 1, 1}}; }, "config.md", "posix-process",
     "process.rlimits[0].type: invalid rlimit type: \"RLIMIT_MOON\""},
    {[](Config& c) { c.process->rlimits = {{"RLIMIT_CPU", 1, 2}}; }, "config.md", "posix-process",
     "process.rlimits[0].soft: the soft limit of RLIMIT_CPU is above the hard limit"},
    {[](Config& c) { c.process->rlimits = {{"RLIMIT_CPU", 1, 1}, {"RLIMIT_CPU", 1, 1}}; },
     "config.md", "posix-process", "process.rlimits[1].type: duplicated rlimit \"RLIMIT_CPU\""},
    {[](Config& c) { c.process->oom_score_adj = 1001; }, "config.md", "linux-process",
     "process.oomScoreAdj: must be from -1000 to 1000, but is 1001"},
    {[](Config& c) { c.process->scheduler.emplace(); }, "config.md", "linux-process",
     "process.scheduler.policy: scheduler policy is required"},
    {[](Config& c) { c.process->scheduler = {.policy = "SCHED_MOON"}; }, "config.md",
     "linux-process", "process.scheduler.policy: invalid scheduler policy: \"SCHED_MOON\""},
    {[](Config& c) { c.process->scheduler = {.policy = "SCHED_OTHER", .flags = {"F"}}; },
     "config.md", "linux-process", "process.scheduler.flags[0]: invalid scheduler flag: \"F\""},
    {[](Config& c) { c.process->scheduler = {.policy = "SCHED_OTHER", .nice = -21}; }, "config.md",
     "linux-process", "process.scheduler.nice: invalid scheduler.nice: -21"},
    {[](Config& c) { c.process->scheduler = {.policy = "SCHED_OTHER", .priority = 1}; },
     "config.md", "linux-process",
     "process.scheduler.priority: scheduler.priority can only be specified for SchedFIFO or "
     "SchedRR policy"},
    {[](Config& c) { c.process->scheduler = {.policy = "SCHED_RR", .priority = 1, .deadline = 1}; },
     "config.md", "linux-process",
     "process.scheduler.deadline: scheduler runtime/deadline/period can only be specified for "
     "SchedDeadline "
     "policy"},
    {[](Config& c) { c.process->scheduler = {.policy = "SCHED_FIFO", .priority = 100}; },
     "config.md", "linux-process",
     "process.scheduler.priority: scheduler.priority must be from 1 to 99 for SCHED_FIFO, but is "
     "100"},
    {[](Config& c) { c.process->scheduler = {.policy = "SCHED_DEADLINE"}; }, "config.md",
     "linux-process", "process.scheduler.runtime: SCHED_DEADLINE needs a runtime"},
    {[](Config& c) { c.process->io_priority = {"IOPRIO_CLASS_MOON", 0}; }, "config.md",
     "linux-process", "process.ioPriority.class: invalid io priority class: \"IOPRIO_CLASS_MOON\""},
    {[](Config& c) { c.process->io_priority = {"IOPRIO_CLASS_BE", 8}; }, "config.md",
     "linux-process", "process.ioPriority.priority: invalid io priority: 8"},
    {[](Config& c) { c.process->exec_cpu_affinity = {"", "8191,65536"}; }, "config.md",
     "linux-process", "process.execCPUAffinity.final: invalid list of CPUs: \"8191,65536\""},
    {[](Config& c) { c.process->exec_cpu_affinity = {"1-0", ""}; }, "config.md", "linux-process",
     "process.execCPUAffinity.initial: invalid list of CPUs: \"1-0\""},
    {[](Config& c) { std::erase_if(c.linux.namespaces, [](auto& n) { return n.type == "uts"; }); },
     "config.md", "hostname", "hostname: unable to set hostname without a private UTS namespace"},
    {[](Config& c) {
         c.hostname = "", c.domainname = "d",
         std::erase_if(c.linux.namespaces, [](auto& n) { return n.type == "uts"; });
     },
     "config.md", "domainname",
     "domainname: unable to set domainname without a private UTS namespace"},
    {[](Config& c) { c.hostname = std::string(65, 'h'); }, "config.md", "hostname",
     "hostname: the kernel takes 64 bytes, but it has 65"},
    {[](Config& c) { c.domainname = std::string(65, 'h'); }, "config.md", "domainname",
     "domainname: the kernel takes 64 bytes, but it has 65"},
    {[](Config& c) { c.hooks.create_runtime = {{.path = "rm"}}; }, "config.md",
     "posix-platform-hooks",
     "hooks.createRuntime[0].path: must be an absolute path, but is \"rm\""},
    {[](Config& c) { c.hooks.poststop = {{.path = "/rm", .timeout = 0}}; }, "config.md",
     "posix-platform-hooks", "hooks.poststop[0].timeout: must be greater than zero, but is 0"},

    {[](Config& c) { c.linux.namespaces.push_back({"moon", ""}); }, "config-linux.md", "namespaces",
     "linux.namespaces[6].type: namespace \"moon\" does not exist"},
    {[](Config& c) { c.linux.namespaces.push_back({"pid", "/x"}); }, "config-linux.md",
     "namespaces", "linux.namespaces[6].type: malformed spec file: duplicated ns \"pid\""},
    {[](Config& c) { c.linux.namespaces[0].path = "x"; }, "config-linux.md", "namespaces",
     "linux.namespaces[0].path: must be an absolute path, but is \"x\""},
    {[](Config& c) { c.linux.gid_mappings = {{0, 1, 1}}; }, "config-linux.md",
     "user-namespace-mappings",
     "linux.gidMappings: user namespace mappings specified, but user namespace isn't enabled in "
     "the config"},
    {[](Config& c) {
         c.linux.namespaces.push_back({"user", ""}), c.linux.uid_mappings = {{0, 5, 1}};
     },
     "config-linux.md", "user-namespace-mappings",
     "linux.gidMappings: user namespaces enabled, but no user mapping found"},
    {[](Config& c) {
         c.linux.namespaces.push_back({"user", ""}), c.linux.uid_mappings = {{0, 5, 1}, {1, 5, 0}},
                                                     c.linux.gid_mappings = {{0, 5, 1}};
     },
     "config-linux.md", "user-namespace-mappings",
     "linux.uidMappings[1]: 1 5 0 is no range of ids"},
    {[](Config& c) {
         c.linux.namespaces.push_back({"user", ""}), c.linux.uid_mappings = {{0, 5, 2}},
                                                     c.linux.gid_mappings = {{0, 5, 2}, {1, 7, 1}};
     },
     "config-linux.md", "user-namespace-mappings",
     "linux.gidMappings[1]: 1 7 1 has ids of a range before it"},
    {[](Config& c) {
         c.linux.namespaces.push_back({"user", ""}), c.linux.gid_mappings = {{0, 0, uint32_t(-1)}},
                                                     c.linux.uid_mappings.resize(341);
     },
     "config-linux.md", "user-namespace-mappings",
     "linux.uidMappings: the kernel takes 340 ranges, but there are 341"},
    {[](Config& c) {
         c.linux.namespaces.push_back({"user", ""}), c.linux.gid_mappings = {{0, 0, 1}},
                                                     c.linux.uid_mappings = {{1, 5, 1}};
     },
     "config-linux.md", "user-namespace-mappings", "linux.uidMappings: has no container id 0"},
    {[](Config& c) {
         c.linux.namespaces.push_back({"user", ""}), c.linux.gid_mappings = {{0, 0, 1}};
         for (uint32_t i = 0; i < 339; ++i) c.linux.uid_mappings.push_back({i, 100000 + i, 1});
     },
     "config-linux.md", "user-namespace-mappings",
     "linux.uidMappings: the kernel takes ranges of 4095 bytes, but these have 4297"},
    {[](Config& c) { c.linux.time_offsets["boottime"] = {1, 0}; }, "config-linux.md",
     "offset-for-time-namespace",
     "linux.timeOffsets: time namespace offsets specified, but time namespace isn't enabled in the "
     "config"},
    {[](Config& c) {
         c.linux.namespaces.push_back({"time", ""}), c.linux.time_offsets["moon"] = {1, 0};
     },
     "config-linux.md", "offset-for-time-namespace",
     "linux.timeOffsets: unknown clock \"moon\": must be monotonic or boottime"},
    {[](Config& c) {
         c.linux.namespaces.push_back({"time", ""}),
             c.linux.time_offsets["boottime"] = {0, 1'000'000'000};
     },
     "config-linux.md", "offset-for-time-namespace",
     "linux.timeOffsets.boottime.nanosecs: must be below 1000000000"},
    {[](Config& c) { c.linux.devices = {{.path = "/dev/x", .type = "x"}}; }, "config-linux.md",
     "devices", "linux.devices[0].type: must be one of c, b, u, p, but is \"x\""},
    {[](Config& c) { c.linux.devices = {{.path = "dev/x", .type = "c", .major = 1, .minor = 3}}; },
     "config-linux.md", "devices",
     "linux.devices[0].path: must be an absolute path, but is \"dev/x\""},
    {[](Config& c) { c.linux.devices = {{.path = "/dev/x", .type = "c", .major = -1}}; },
     "config-linux.md", "devices", "linux.devices[0].major: must be from 0 to 4095, but is -1"},
    {[](Config& c) { c.linux.devices = {{.path = "/dev/x", .type = "c"}}; }, "config-linux.md",
     "devices", "linux.devices[0].major: /dev/x has no major and minor"},
    {[](Config& c) {
         c.linux.devices = {{.path = "/dev/x", .type = "c", .major = 4096, .minor = 1}};
     },
     "config-linux.md", "devices", "linux.devices[0].major: must be from 0 to 4095, but is 4096"},
    {[](Config& c) {
         c.linux.net_devices["a"],
             std::erase_if(c.linux.namespaces, [](auto& n) { return n.type == "network"; });
     },
     "config-linux.md", "network-devices",
     "linux.netDevices: unable to move network devices without a private NET namespace"},
    {[](Config& c) { c.linux.net_devices["a"].name = "sixteen-letters-"; }, "config-linux.md",
     "network-devices", "linux.netDevices: invalid network device name \"sixteen-letters-\""},
    {[](Config& c) { c.linux.cgroups_path = "/a/../../b"; }, "config-linux.md", "cgroups-path",
     "linux.cgroupsPath: must not contain \"..\", but is \"/a/../../b\""},
    {[](Config& c) { c.linux.devices = {{.path = "//", .type = "c", .major = 1, .minor = 3}}; },
     "config-linux.md", "devices", "linux.devices[0].path: \"//\" is the root itself"},
    {[](Config& c) {
         c.linux.devices = {
             {.path = "/dev/x", .type = "c", .major = 1, .minor = 3, .file_mode = 0200000}};
     },
     "config-linux.md", "devices",
     "linux.devices[0].fileMode: must be from 0 to 65535, but is 65536"},
    {[](Config& c) {
         c.linux.devices = {
             {.path = "/dev/x", .type = "c", .major = 1, .minor = 3, .gid = uint32_t(-1)}};
     },
     "config-linux.md", "devices", "linux.devices[0].gid: 4294967295 is no id"},
    {[](Config& c) { c.linux.cgroups_path = "/a\nb"; }, "config-linux.md", "cgroups-path",
     "linux.cgroupsPath: must be one line, but is \"/a\\nb\""},
    {[](Config& c) { c.linux.resources.emplace().memory.reservation = -7; }, "config-linux.md",
     "memory",
     "linux.resources.memory.reservation: must be -1 for no limit, or a number of bytes, but is "
     "-7"},
    {[](Config& c) { c.linux.masked_paths = {"/./"}; }, "config-linux.md", "masked-paths",
     "linux.maskedPaths[0]: \"/./\" is the root itself"},
    {[](Config& c) { c.linux.cgroups_path = "/./"; }, "config-linux.md", "cgroups-path",
     "linux.cgroupsPath: must not be the root, but is \"/./\""},
    {[](Config& c) { c.linux.resources->devices[0].type = "x"; }, "config-linux.md",
     "allowed-device-list",
     "linux.resources.devices[0].type: must be one of a, b, c, but is \"x\""},
    {[](Config& c) { c.linux.resources->devices[0].access = "rx"; }, "config-linux.md",
     "allowed-device-list", "linux.resources.devices[0].access: must be of r, w, m, but is \"rx\""},
    {[](Config& c) { c.linux.resources->pids.limit = -7; }, "config-linux.md", "pids",
     "linux.resources.pids.limit: must be -1 for no limit, or a number of tasks, but is -7"},
    {[](Config& c) { c.linux.resources->block_io.weight = 5; }, "config-linux.md", "block-io",
     "linux.resources.blockIO.weight: must be from 10 to 1000, but is 5"},
    {[](Config& c) { c.linux.resources->block_io.weight_device = {{8, 1, {}, {}}}; },
     "config-linux.md", "block-io",
     "linux.resources.blockIO.weightDevice[0]: 8:1 has neither weight nor leafWeight"},
    {[](Config& c) { c.linux.resources->hugepage_limits = {{"2M", 1}}; }, "config-linux.md",
     "huge-page-limits",
     "linux.resources.hugepageLimits[0].pageSize: must be a number and KB, MB or GB, but is "
     "\"2M\""},
    {[](Config& c) { c.linux.resources->rdma["mlx"]; }, "config-linux.md", "rdma",
     "linux.resources.rdma.mlx: has neither hcaHandles nor hcaObjects"},
    {[](Config& c) { c.linux.resources->unified["../x"] = "1"; }, "config-linux.md", "unified",
     "linux.resources.unified: \"../x\" must be the name of a file"},
    {[](Config& c) { c.linux.resources->unified["memory"] = "1"; }, "config-linux.md", "unified",
     "linux.resources.unified: \"memory\" must be in the form CONTROLLER.PARAMETER"},
    {[](Config& c) { c.linux.intel_rdt = {.clos_id = "a/b"}; }, "config-linux.md", "intelrdt",
     "linux.intelRdt.closID: invalid intelRdt.ClosID \"a/b\""},
    {[](Config& c) { c.linux.intel_rdt = {.mem_bw_schema = "L3:0=1"}; }, "config-linux.md",
     "intelrdt",
     "linux.intelRdt.memBwSchema: must start with MB: and be one line, but is \"L3:0=1\""},
    {[](Config& c) { c.linux.intel_rdt = {.schemata = {"a\nb"}}; }, "config-linux.md", "intelrdt",
     "linux.intelRdt.schemata[0]: must be one line, but is \"a\\nb\""},
    {[](Config& c) { c.linux.memory_policy.emplace(); }, "config-linux.md", "memory-policy",
     "linux.memoryPolicy.mode: invalid memory policy mode: \"\""},
    {[](Config& c) { c.linux.memory_policy = {"MPOL_BIND", "0", {"F"}}; }, "config-linux.md",
     "memory-policy", "linux.memoryPolicy.flags[0]: invalid memory policy flag: \"F\""},
    {[](Config& c) { c.linux.memory_policy = {"MPOL_BIND", "a", {}}; }, "config-linux.md",
     "memory-policy", "linux.memoryPolicy.nodes: invalid memory policy nodes: \"a\""},
    {[](Config& c) { c.linux.memory_policy = {"MPOL_DEFAULT", "0-7", {}}; }, "config-linux.md",
     "memory-policy", "linux.memoryPolicy.nodes: memory policy mode requires 0 nodes but got 8"},
    {[](Config& c) { c.linux.memory_policy = {"MPOL_BIND", "", {}}; }, "config-linux.md",
     "memory-policy",
     "linux.memoryPolicy.nodes: memory policy mode requires at least one node but got 0"},
    {[](Config& c) { c.linux.memory_policy = {"MPOL_BIND", "0-4294967295", {}}; },
     "config-linux.md", "memory-policy",
     "linux.memoryPolicy.nodes: invalid memory policy nodes: \"0-4294967295\""},
    {[](Config& c) { c.linux.sysctl["vm.swappiness"] = "1"; }, "config-linux.md", "sysctl",
     "linux.sysctl: sysctl \"vm.swappiness\" is not in a separate kernel namespace"},
    {[](Config& c) { c.linux.sysctl["kernel/hostname"] = "x"; }, "config-linux.md", "sysctl",
     "linux.sysctl: sysctl \"kernel/hostname\" is not allowed as it conflicts with the OCI "
     "\"hostname\" field"},
    {[](Config& c) {
         c.linux.sysctl["net/ipv4/conf/eth0.1/x"] = "x",
         std::erase_if(c.linux.namespaces, [](auto& n) { return n.type == "network"; });
     },
     "config-linux.md", "sysctl",
     "linux.sysctl: sysctl \"net/ipv4/conf/eth0.1/x\" not allowed in host network namespace"},
    {[](Config& c) {
         c.linux.sysctl["kernel.sem"] = "x",
         std::erase_if(c.linux.namespaces, [](auto& n) { return n.type == "ipc"; });
     },
     "config-linux.md", "sysctl",
     "linux.sysctl: sysctl \"kernel.sem\" is not allowed in the hosts ipc namespace"},
    {[](Config& c) { c.linux.seccomp.emplace(); }, "config-linux.md", "seccomp",
     "linux.seccomp.defaultAction: string  is not a valid action for seccomp"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_KILL", .default_errno_ret = 1};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.defaultErrnoRet: errnoRet is not for seccomp action \"SCMP_ACT_KILL\""},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW",
                            .syscalls = {{{"read"}, "SCMP_ACT_LOG", 1, {}}}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.syscalls[0].errnoRet: errnoRet is not for seccomp action \"SCMP_ACT_LOG\""},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ERRNO", .default_errno_ret = 4096};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.defaultErrnoRet: 4096 is too large: at most 4095"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW",
                            .syscalls = {{{"read"}, "SCMP_ACT_TRACE", 4096, {}}}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.syscalls[0].errnoRet: 4096 is too large: at most 4095"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW", .architectures = {"Z80"}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.architectures[0]: string Z80 is not a valid arch for seccomp"},
    {[](Config& c) { c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW", .flags = {{"F"}}}; },
     "config-linux.md", "seccomp",
     "linux.seccomp.flags[0]: string F is not a valid flag for seccomp"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW", .listener_metadata = "x"};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.listenerMetadata: is set, but listenerPath is not"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW",
                            .syscalls = {{{}, "SCMP_ACT_LOG", {}, {}}}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.syscalls[0].names: must contain at least one entry"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW",
                            .syscalls = {{{"read"}, "X", {}, {}}}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.syscalls[0].action: string X is not a valid action for seccomp"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW",
                            .syscalls = {{{"read"}, "SCMP_ACT_LOG", {}, {{0, 0, 0, "=="}}}}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.syscalls[0].args[0].op: string == is not a valid operator for seccomp"},
    {[](Config& c) {
         c.linux.seccomp = {
             .default_action = "SCMP_ACT_ALLOW",
             .syscalls = {{{"read"}, "SCMP_ACT_LOG", {}, {{6, 0, 0, "SCMP_CMP_EQ"}}}}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.syscalls[0].args[0].index: seccomp argument index 6 is too large: a call has "
     "six"},
    {[](Config& c) { c.linux.seccomp = {.default_action = "SCMP_ACT_NOTIFY"}; }, "config-linux.md",
     "seccomp", "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW",
                            .syscalls = {{{"read"}, "SCMP_ACT_NOTIFY", {}, {}}}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.listenerPath: seccomp listenerPath is not set, but SCMP_ACT_NOTIFY is used"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW",
                            .listener_path = "/x",
                            .syscalls = {{{"write"}, "SCMP_ACT_NOTIFY", {}, {}}}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.syscalls[0].names: SCMP_ACT_NOTIFY cannot be used for the write syscall"},
    {[](Config& c) {
         c.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW",
                            .syscalls = {{{"mkdir", "moon"}, "SCMP_ACT_ERRNO", {}, {}}}};
     },
     "config-linux.md", "seccomp",
     "linux.seccomp.syscalls[0].names[1]: unknown system call \"moon\": its rule SCMP_ACT_ERRNO "
     "cannot be kept"},
    {[](Config& c) { c.linux.rootfs_propagation = "loud"; }, "config-linux.md",
     "rootfs-mount-propagation",
     "linux.rootfsPropagation: rootfsPropagation=loud is not supported"},
    {[](Config& c) { c.linux.masked_paths = {"x"}; }, "config-linux.md", "masked-paths",
     "linux.maskedPaths[0]: must be an absolute path, but is \"x\""},
    {[](Config& c) { c.linux.readonly_paths = {"x"}; }, "config-linux.md", "readonly-paths",
     "linux.readonlyPaths[0]: must be an absolute path, but is \"x\""},
    {[](Config& c) { c.linux.personality = {"SOLARIS", {}}; }, "config-linux.md", "personality",
     "linux.personality.domain: invalid personality domain: \"SOLARIS\""},
    {[](Config& c) { c.linux.personality = {"LINUX", {"X"}}; }, "config-linux.md", "personality",
     "linux.personality.flags: personality flags are not supported: \"X\""},
};
}  // namespace

TEST_CASE("each rule finds the config that breaks it, and only that") {
    for (const auto& one : cases) {
        CAPTURE(one.message);
        Config config = default_config();
        one.edit(config);
        const std::vector<Violation> found = violations(config);
        REQUIRE(found.size() == 1);
        CHECK(found[0].message == one.message);
        CHECK(found[0].document == one.document);
        CHECK(found[0].section == one.section);
        CHECK_FALSE(found[0].rule.empty());
    }
}

TEST_CASE("every rule has a config that breaks it") {
    std::set<std::string> broken;
    for (const auto& one : cases) {
        Config config = default_config();
        one.edit(config);
        for (const Violation& violation : violations(config))
            broken.insert(violation.section + violation.rule);
    }
    for (const auto& table :
         {rules_of_config(), rules_of_linux(), rules_of_seccomp(), rules_of_call_names()})
        for (const Rule& rule : table) {
            CAPTURE(rule.section, rule.text);
            CHECK(broken.contains(std::string(rule.section) + rule.text));
        }
}

TEST_CASE("all that is wrong is told, types that cannot be read included") {
    const Reading reading = read_and_validate(
        R"({"ociVersion":"1.x","root":{"path":7},"process":{"user":{"uid":-1,"gid":"a"},"cwd":"/","args":["sh"]},"mounts":[{"destination":"/a"},{"destination":{}}],"linux":{"namespaces":[{"type":"mount"}]}})");
    std::vector<std::string> messages;
    for (const Violation& violation : reading.violations) messages.push_back(violation.message);
    CHECK(messages == std::vector<std::string>{
                          "process.user.uid: is out of range: -1, must be from 0 to 4294967295",
                          "process.user.gid: must be a whole number, but is \"a\"",
                          "root.path: must be a string, but is 7",
                          "mounts[1].destination: must be a string, but is {}",
                          "ociVersion: must be a semantic version, but is \"1.x\"",
                          "root.path: is missing", "mounts[1].destination: is missing"});
    CHECK(read_and_validate("{").violations.size() == 1);
    CHECK(read_and_validate("[]").violations.size() == 1);
    CHECK(read_and_validate(write(default_config())).violations.empty());
}

TEST_CASE("a name that nobody knows is an error where its rule is stricter than the default") {
    const auto problem = [](const char* fallback, const char* action) {
        const SeccompSyscall rule{.names = {"mkdir", "from_the_future"}, .action = action};
        return problem_with_names(rule, {.default_action = fallback});
    };
    for (const char* action :
         {"SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_TRAP", "SCMP_ACT_NOTIFY", "SCMP_ACT_LOG"})
        CHECK(problem("SCMP_ACT_ALLOW", action) ==
              str("names[1]: unknown system call \"from_the_future\": its rule ", action,
                  " cannot be kept"));
    // What is milder leaves it to the default, which is stricter.
    CHECK(problem("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW").empty());
    CHECK(problem("SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ERRNO").empty());
    CHECK(problem("SCMP_ACT_ERRNO", "SCMP_ACT_ERRNO").empty());
}

TEST_CASE("a seccomp profile by itself has its places in it") {
    const Seccomp profile{
        .default_action = "SCMP_ACT_ALLOW",
        .syscalls = {{{"read"}, "SCMP_ACT_LOG", {}, {{0, 0, 0, "SCMP_CMP_EQ"}, {0, 0, 0, "="}}}}};
    CHECK(problems_with_words(profile) ==
          std::vector<std::string>{
              "syscalls[0].args[1].op: string = is not a valid operator for seccomp"});
}
