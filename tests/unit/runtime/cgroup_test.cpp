// What config.json's resources become in the files of cgroup v1 and v2, and what is read back from
// there.
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/boolean.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup/devices.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/intel_rdt.h"
#include "runtime/cgroup/knobs.h"
#include "runtime/cgroup/limits.h"
#include "runtime/cgroup/stats.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"
#include "tests/unit/catch.h"

namespace {

const CgroupRecord on_v2{.path = "/a", .directories = {"/sys/fs/cgroup/a"}, .v2 = true};
const CgroupRecord on_v1{.path = "/a",
                         .directories = {"/sys/fs/cgroup/cpu,cpuacct/a", "/sys/fs/cgroup/memory/a",
                                         "/sys/fs/cgroup/pids/a", "/sys/fs/cgroup/blkio/a",
                                         "/sys/fs/cgroup/hugetlb/a", "/sys/fs/cgroup/rdma/a",
                                         "/sys/fs/cgroup/cpuset/a",
                                         "/sys/fs/cgroup/net_cls,net_prio/a"}};

// "file=value file=value"
std::string plan(const CgroupRecord& record, std::string_view resources) {
    std::string text;
    for (const Write& write : plan_limits(record, spec::read_resources(resources)))
        text += str(text.empty() ? "" : " | ", write.file, "=", write.value);
    return text;
}

std::string refusal(const CgroupRecord& record, std::string_view resources) {
    return error_of([&] { plan(record, resources); });
}

}  // namespace

TEST_CASE("cgroup limits: each setting has its file in v1 and in v2") {
    struct {
        const char *resources, *v1, *v2;
    } cases[] = {
        {"{}", "", ""},
        {R"({"memory":{"limit":1024}})", "memory.limit_in_bytes=1024", "memory.max=1024"},
        {R"({"memory":{"limit":-1}})", "memory.limit_in_bytes=-1 | memory.memsw.limit_in_bytes=-1",
         "memory.swap.max=max | memory.max=max"},
        {R"({"memory":{"limit":1024,"swap":4096}})",
         "memory.limit_in_bytes=1024 | memory.memsw.limit_in_bytes=4096",
         "memory.swap.max=3072 | memory.max=1024"},
        {R"({"memory":{"limit":1024,"swap":1024}})",
         "memory.limit_in_bytes=1024 | memory.memsw.limit_in_bytes=1024",
         "memory.swap.max=0 | memory.max=1024"},
        {R"({"memory":{"limit":1024,"swap":-1}})",
         "memory.limit_in_bytes=1024 | memory.memsw.limit_in_bytes=-1",
         "memory.swap.max=max | memory.max=1024"},
        {R"({"memory":{"limit":0,"swap":0,"reservation":0,"kernel":4096}})", "", ""},
        {R"({"memory":{"reservation":512,"useHierarchy":true,"disableOOMKiller":false}})",
         "memory.use_hierarchy=1 | memory.soft_limit_in_bytes=512", "memory.low=512"},
        {R"({"cpu":{"shares":1024,"quota":50000,"period":100000,"burst":1000,"idle":0,"cpus":"0-1","mems":"0"}})",
         "cpu.shares=1024 | cpu.cfs_period_us=100000 | cpu.cfs_burst_us=1000 | "
         "cpu.cfs_quota_us=50000 | cpu.idle=0 | cpuset.cpus=0-1 | cpuset.mems=0",
         "cpu.idle=0 | cpu.weight=100 | cpu.max.burst=1000 | cpu.max=50000 100000 | "
         "cpuset.cpus=0-1 | cpuset.mems=0"},
        {R"({"cpu":{"quota":-1}})", "cpu.cfs_quota_us=-1", "cpu.max=max 100000"},
        {R"({"cpu":{"period":20000}})", "cpu.cfs_period_us=20000", "cpu.max=max 20000"},
        {R"({"pids":{"limit":7}})", "pids.max=7", "pids.max=7"},
        {R"({"pids":{"limit":-1}})", "pids.max=max", "pids.max=max"},
        {R"({"pids":{"limit":0}})", "pids.max=0", "pids.max=1"},
        {R"({"pids":{}})", "", ""},
        {R"({"blockIO":{"weight":500}})", "blkio.weight=500 | blkio.bfq.weight=500",
         "io.bfq.weight=default 500 | io.weight=default 4950"},
        {R"({"blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":1000}]}})",
         "blkio.weight=10 | blkio.bfq.weight=10 | blkio.weight_device=8:0 1000 | "
         "blkio.bfq.weight_device=8:0 1000",
         "io.bfq.weight=default 10 | io.weight=default 1 | io.bfq.weight=8:0 1000 | io.weight=8:0 "
         "10000"},
        {R"({"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":5}],"throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":6}]}})",
         "blkio.throttle.read_bps_device=8:0 5 | blkio.throttle.write_iops_device=8:16 6",
         "io.max=8:0 rbps=5 | io.max=8:16 wiops=6"},
        {R"({"hugepageLimits":[{"pageSize":"2MB","limit":0}]})",
         "hugetlb.2MB.rsvd.limit_in_bytes=0 | hugetlb.2MB.limit_in_bytes=0",
         "hugetlb.2MB.rsvd.max=0 | hugetlb.2MB.max=0"},
        {R"({"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10},"rxe3":{"hcaObjects":5}}})",
         "rdma.max=mlx5_1 hca_handle=3 hca_object=10 | rdma.max=rxe3 hca_object=5",
         "rdma.max=mlx5_1 hca_handle=3 hca_object=10 | rdma.max=rxe3 hca_object=5"},
    };
    for (const auto& [resources, v1, v2] : cases) {
        CAPTURE(resources);
        CHECK(plan(on_v1, resources) == v1);
        CHECK(plan(on_v2, resources) == v2);
    }
}

TEST_CASE("cgroup limits: what only v1 or only v2 has") {
    CHECK(plan(on_v1,
               R"({"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":5}]}})") ==
          "net_cls.classid=1048577 | net_prio.ifpriomap=eth0 5");
    CHECK(plan(on_v1, R"({"memory":{"swappiness":60,"disableOOMKiller":true,"kernelTCP":9}})") ==
          "memory.kmem.tcp.limit_in_bytes=9 | memory.swappiness=60 | memory.oom_control=1");
    CHECK(plan(on_v1, R"({"cpu":{"realtimePeriod":1000000,"realtimeRuntime":950000}})") ==
          "cpu.rt_period_us=1000000 | cpu.rt_runtime_us=950000");
    CHECK(
        plan(
            on_v1,
            R"({"blockIO":{"leafWeight":20,"weightDevice":[{"major":8,"minor":0,"leafWeight":30}]}})") ==
        "blkio.leaf_weight=20 | blkio.leaf_weight_device=8:0 30");
    CHECK(
        plan(on_v2, R"({"unified":{"io.max":"8:0 rbps=1\n8:16 rbps=2","cgroup.max.depth":"3"}})") ==
        "cgroup.max.depth=3 | io.max=8:0 rbps=1 | io.max=8:16 rbps=2");
    for (const char* resources :
         {R"({"network":{"classID":1}})", R"({"memory":{"swappiness":60}})",
          R"({"memory":{"disableOOMKiller":true}})", R"({"memory":{"kernelTCP":9}})",
          R"({"cpu":{"realtimeRuntime":1}})", R"({"memory":{"useHierarchy":false}})",
          R"({"blockIO":{"leafWeight":20}})",
          R"({"network":{"priorities":[{"name":"eth0","priority":5}]}})"}) {
        CAPTURE(resources);
        CHECK_THAT(refusal(on_v2, resources), ContainsSubstring("linux.resources."));
    }
    CHECK(refusal(on_v1, R"({"unified":{"memory.max":"1"}})") ==
          "linux.resources.unified: invalid configuration: cannot use unified on cgroup v1");
}

TEST_CASE("cgroup limits: what contradicts itself is refused in runc's words") {
    CHECK(refusal(on_v2, R"({"memory":{"swap":4096}})") ==
          "linux.resources.memory.swap: unable to set swap limit without memory limit");
    CHECK(refusal(on_v2, R"({"memory":{"limit":4096,"swap":1024}})") ==
          "linux.resources.memory.swap: memory+swap limit should be >= memory limit");
    CHECK(refusal(on_v2, R"({"memory":{"limit":4096,"swap":-7}})") ==
          "linux.resources.memory.swap: invalid memory swap value: -7");
    CHECK(refusal(on_v1, R"({"cpu":{"shares":1}})") ==
          "linux.resources.cpu.shares: the minimum allowed cpu-shares is 2");
    CHECK(refusal(on_v1, R"({"cpu":{"shares":262145}})") ==
          "linux.resources.cpu.shares: the maximum allowed cpu-shares is 262144");
    CHECK(refusal(on_v2, R"({"unified":{"a/b":"1"}})") ==
          R"(linux.resources.unified: unified resource "a/b" must be a file name (no slashes))");
    CHECK(
        refusal(on_v2, R"({"unified":{"memory":"1"}})") ==
        R"(linux.resources.unified: unified resource "memory" must be in the form CONTROLLER.PARAMETER)");
}

TEST_CASE("cgroup limits: beside v1, what has no v1 hierarchy may be in v2") {
    const CgroupRecord hybrid{
        .directories = {"/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/unified/a"}};
    CHECK(plan(hybrid,
               R"({"memory":{"limit":1024},"hugepageLimits":[{"pageSize":"2MB","limit":5}]})") ==
          "memory.limit_in_bytes=1024 | hugetlb.2MB.rsvd.max=5 | hugetlb.2MB.max=5");
    CHECK(directory_of(hybrid, "memory") == "/sys/fs/cgroup/memory/a");
    CHECK_FALSE(directory_of(hybrid, "hugetlb"));
    CHECK(directory_beside_v1(hybrid) == "/sys/fs/cgroup/unified/a");
    CHECK(directory_of(on_v1, "cpuacct") == "/sys/fs/cgroup/cpu,cpuacct/a");
    CHECK_FALSE(directory_of({}, "memory"));
}

TEST_CASE("cgroup of an exec: groups below the container's, each controller's or all") {
    const CgroupRecord record{
        .directories = {"/sys/fs/cgroup/pids/a", "/sys/fs/cgroup/cpu,cpuacct/a"}};
    using Directories = std::vector<std::string>;
    CHECK(sub_cgroup(record, {"b"}).directories ==
          Directories{"/sys/fs/cgroup/pids/a/b", "/sys/fs/cgroup/cpu,cpuacct/a/b"});
    CHECK(sub_cgroup(record, {"pids:b/../c", "cpuacct:d"}).directories ==
          Directories{"/sys/fs/cgroup/pids/a/c", "/sys/fs/cgroup/cpu,cpuacct/a/d"});
    CHECK(sub_cgroup(on_v2, {"b"}).directories == Directories{"/sys/fs/cgroup/a/b"});
    CHECK(error_of([&] { sub_cgroup(on_v2, {"memory:b"}); }) ==
          "unknown controller memory in SubCgroupPaths");
    CHECK(error_of([&] { sub_cgroup(record, {"b/../../ab"}); }) ==
          "bad sub cgroup path: b/../../ab");
}

TEST_CASE(
    "cgroup v2: it is given to the container's user if that sees it as its root and may write") {
    spec::Config config;
    config.process.emplace().user.uid = 1000;
    config.mounts = {{.destination = "/sys/fs/cgroup", .type = "cgroup", .source = "cgroup"}};
    CHECK_FALSE(v2::plan_owner(config));
    config.linux.namespaces = {{"cgroup", ""}};
    CHECK(v2::plan_owner(config) == 1000u);
    config.linux.uid_mappings = {{0, 100000, 500}, {500, 200000, 1000}};
    CHECK(v2::plan_owner(config) == 200500u);
    config.mounts[0].options = {"nosuid", "ro"};
    CHECK_FALSE(v2::plan_owner(config));
    config.mounts[0].options = {};
    config.linux.namespaces = {{"cgroup", "/proc/1/ns/cgroup"}};
    CHECK_FALSE(v2::plan_owner(config));
}

TEST_CASE("cgroup v2: shares become weights so that the usual one stays the usual one") {
    struct {
        uint64_t shares, weight;
    } cases[] = {{0, 0}, {1, 1}, {2, 1}, {1024, 100}, {262144, 10000}, {1000000, 10000}};
    for (const auto& [shares, weight] : cases) {
        CAPTURE(shares);
        CHECK(v2::weight_of_shares(shares) == weight);
    }
}

TEST_CASE("cgroup limits: an update that fails is taken back as the kernel tells things") {
    struct {
        const char *file, *written, *content, *back;
    } cases[] = {
        {"memory.max", "1024", "max\n", "max"},
        {"cpu.max", "5000 10000", "max 100000\n", "max 100000"},
        {"io.max", "8:0 rbps=5", "8:16 rbps=1 wbps=max\n8:0 rbps=9 wbps=2 riops=max wiops=max\n",
         "8:0 rbps=9 wbps=2 riops=max wiops=max"},
        {"io.max", "8:0 rbps=5", "", "8:0 rbps=max wbps=max riops=max wiops=max"},
        {"io.weight", "default 50", "default 100\n8:0 20\n", "default 100"},
        {"io.weight", "8:16 50", "default 100\n8:0 20\n", "8:16 default"},
        {"blkio.throttle.read_bps_device", "8:0 5", "8:0 7\n", "8:0 7"},
        {"blkio.throttle.read_bps_device", "8:0 5", "", "8:0 0"},
        {"memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\n", "0"},
        {"net_prio.ifpriomap", "eth0 5", "lo 0\neth0 2\n", "eth0 2"},
    };
    for (const auto& [file, written, content, back] : cases) {
        CAPTURE(file, content);
        CHECK(inverse({"", "", file, written}, content).value == back);
    }
}

TEST_CASE("cgroup v1: hierarchies as /proc/self/cgroup names them") {
    const auto found =
        v1::parse_hierarchies("4:cpu,cpuacct:/a/b\n1:name=systemd:/\n0::/user.slice\n");
    REQUIRE(found.size() == 3);
    CHECK(found[0].name == "cpu,cpuacct");
    CHECK(found[0].own == "/a/b");
    CHECK(found[1].name == "systemd");
    CHECK(found[2].name == "unified");
    CHECK(found[2].own == "/user.slice");
}

TEST_CASE("cgroup devices: nothing is allowed but what is asked for and what everybody has") {
    const DevicePlan none = plan_devices({});
    CHECK(device_line(none.asked.at(0)) == "a");
    CHECK_FALSE(none.asked[0].allow);
    CHECK(none.always.size() == 12);
    CHECK_FALSE(none.allows_all());

    // A rule for all makes those before it meaningless; allowed is then everything.
    const DevicePlan everything = plan_devices(
        {{.allow = true, .type = "c", .major = 9, .minor = 9}, {.allow = true, .access = "rwm"}});
    CHECK(everything.allows_all());

    // "a" means everything to v1, so a rule for less is one for each type.
    const DevicePlan reading = plan_devices({{.allow = true, .type = "a", .access = "r"}});
    REQUIRE(reading.asked.size() == 3);
    CHECK(device_line(reading.asked[1]) == "b *:* r");
    CHECK(device_line(reading.asked[2]) == "c *:* r");
    CHECK(device_line({.allow = true, .type = "b", .major = 8, .minor = -1, .access = ""}) ==
          "b 8:* rwm");
}

TEST_CASE("cgroup statistics: v2's files under v1's names") {
    const std::map<std::string, std::string> files = {
        {"cpu.stat", "usage_usec 2000\nuser_usec 1500\nsystem_usec 500\nnr_periods 4\nnr_throttled "
                     "3\nthrottled_usec 2\n"},
        {"cpu.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 "
                         "avg60=0.25 avg300=0.00 total=8\n"},
        {"memory.current", "100\n"},
        {"memory.max", "max\n"},
        {"memory.peak", "150\n"},
        {"memory.stat", "anon 40\nfile 60\n"},
        {"memory.swap.current", "10\n"},
        {"memory.swap.max", "30\n"},
        {"memory.events", "low 0\nmax 9\noom_kill 1\n"},
        {"pids.current", "3\n"},
        {"pids.max", "max\n"},
        {"hugetlb.2MB.rsvd.current", "2097152\n"},
        {"hugetlb.2MB.events", "max 2\n"},
        {"io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n"},
        {"rdma.max", "mlx4_0 hca_handle=2 hca_object=max\n"},
    };
    const Stats stats = read_stats(
        [&](std::string_view, const std::string& file) -> std::optional<std::string> {
            const auto found = files.find(file);
            return found == files.end() ? std::nullopt : std::optional(found->second);
        },
        true, {"2MB"});
    CHECK(
        stats_event("c", stats) ==
        R"({"type":"stats","id":"c","data":{"cpu":{"usage":{"total":2000000,"kernel":500000,"user":1500000},)"
        R"("throttling":{"periods":4,"throttledPeriods":3,"throttledTime":2000},)"
        R"("psi":{"some":{"avg10":1.5,"avg60":0.0,"avg300":0.0,"total":7},"full":{"avg10":0.0,"avg60":0.25,"avg300":0.0,"total":8}}},)"
        R"("cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,)"
        R"("memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},)"
        R"("memory":{"cache":60,"usage":{"limit":18446744073709551615,"usage":100,"max":150,"failcnt":9},)"
        R"("swap":{"limit":18446744073709551615,"usage":110,"failcnt":0},"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0},)"
        R"("raw":{"anon":40,"file":60},"event_count":{"low":0,"max":9,"oom_kill":1}},"pids":{"current":3},)"
        R"("blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":1},{"major":8,"op":"Write","value":2}],)"
        R"("ioServicedRecursive":[{"major":8,"op":"Read","value":3},{"major":8,"op":"Write","value":4}]},)"
        R"("hugetlb":{"2MB":{"usage":2097152,"failcnt":2}},"rdma":{"limit":[{"device":"mlx4_0","hca_handle":2,"hca_object":4294967295}]},)"
        R"("intel_rdt":{},"network_interfaces":null}})");
    CHECK(oom_event("c") == R"({"type":"oom","id":"c"})");
}

TEST_CASE("intelRdt: whose group it is, and what must be written") {
    struct {
        spec::IntelRdt wanted;
        RdtPlan plan;
    } cases[] = {
        {{}, {.group = "id"}},
        {{.clos_id = "/"}, {.group = "", .named = true, .must_exist = true}},
        {{.clos_id = "gold"}, {.group = "gold", .named = true, .must_exist = true}},
        {{.clos_id = "gold",
          .schemata = {"L2:0=f"},
          .l3_cache_schema = "L3:0=7f0",
          .mem_bw_schema = "MB:0=20",
          .enable_monitoring = true},
         {.group = "gold",
          .named = true,
          .schemata = {"L3:0=7f0", "MB:0=20", "L2:0=f"},
          .monitor = "id"}},
    };
    for (const auto& [wanted, want] : cases) {
        const RdtPlan plan = plan_intel_rdt(wanted, "id");
        CAPTURE(wanted.clos_id);
        CHECK(plan.group == want.group);
        CHECK(plan.named == want.named);
        CHECK(plan.must_exist == want.must_exist);
        CHECK(plan.schemata == want.schemata);
        CHECK(plan.monitor == want.monitor);
    }
    CHECK_THAT(error_of([] { plan_intel_rdt({.clos_id = "../x"}, "id"); }),
               ContainsSubstring("closID"));
    CHECK_THAT(error_of([] { plan_intel_rdt({.l3_cache_schema = "L3:0=f\nMB:0=1"}, "id"); }),
               ContainsSubstring("one line"));
    CHECK(schemata_say("    L3:0=07F0;1=1f\n    MB:0= 20\n", "L3:0=7f0"));
    CHECK(schemata_say("MB:0= 20\n", "MB:0=20"));
    CHECK_FALSE(schemata_say("L3:0=7f0;1=1f\n", "L3:0=7f0;1=1"));
    CHECK_FALSE(schemata_say("L3:0=7f0\n", "MB:0=20"));
    CHECK(find_resctrl("36 35 0:9 / /proc rw - proc proc rw\n37 35 0:31 / /sys/fs/resctrl rw "
                       "shared:5 - resctrl resctrl rw\n") == "/sys/fs/resctrl");
    CHECK_FALSE(find_resctrl("36 35 0:9 / /resctrl rw - tmpfs resctrl rw\n"));
}

TEST_CASE("intelRdt: a group is made, joined and removed as the spec says") {
    char name[] = "/tmp/keg-resctrl-XXXXXX";
    const std::string root = ::mkdtemp(name);
    const auto make = [&](const std::string& group, std::string_view schemata) {
        sys::make_directories(root + "/" + group + "/mon_groups", 0755);
        write_file(root + "/" + group + "/schemata", schemata);
    };
    make("gold", "L3:0=7f0;1=1f\n");

    {
        IntelRdt own = IntelRdt::create(plan_intel_rdt({}, "one"), root);
        CHECK(own.record().own);
        join_intel_rdt(own.record(), 42);
        CHECK(read_file(root + "/one/tasks") == "42");
        sys::unlink(root + "/one/tasks");  // in a real one files do not keep a directory
        own.keep();
        remove_intel_rdt(own.record());
        CHECK_FALSE(sys::exists(root + "/one"));
    }
    {
        const IntelRdt failed = IntelRdt::create(plan_intel_rdt({}, "two"), root);
    }
    CHECK_FALSE(sys::exists(root + "/two"));
    {
        IntelRdt named = IntelRdt::create(
            plan_intel_rdt(
                {.clos_id = "gold", .l3_cache_schema = "L3:1=1f", .enable_monitoring = true},
                "three"),
            root);
        CHECK_FALSE(named.record().own);
        CHECK(sys::exists(root + "/gold/mon_groups/three"));
        named.keep();
        remove_intel_rdt(named.record());
        CHECK(sys::exists(root + "/gold"));
        CHECK_FALSE(sys::exists(root + "/gold/mon_groups/three"));
    }
    CHECK_THAT(error_of([&] {
                   IntelRdt::create(
                       plan_intel_rdt({.clos_id = "gold", .l3_cache_schema = "L3:1=2"}, "four"),
                       root);
               }),
               ContainsSubstring("do not match"));
    CHECK_THAT(
        error_of([&] { IntelRdt::create(plan_intel_rdt({.clos_id = "silver"}, "five"), root); }),
        ContainsSubstring("does not exist"));
    CHECK_FALSE(sys::exists(root + "/silver"));
    const RdtRecord gold{.group = root + "/gold"};
    CHECK(update_schemata(gold, {"L3:0=001;1=01", "L3:0=002;1=02"}) ==
          std::vector<std::string>{"L3:0=001;1=01", "L3:0=7f0;1=1f"});
    CHECK(read_file(root + "/gold/schemata") == "L3:0=002;1=02\n");
    std::filesystem::remove_all(root);
}

TEST_CASE("a hierarchy is found wherever it is mounted") {
    const std::string v1 = "20 1 0:5 / /sys rw - sysfs sysfs rw\n"
                           "30 20 0:26 / /mnt/cg/pids rw,nosuid shared:9 - cgroup cgroup rw,pids\n"
                           "31 20 0:27 /docker/abc /part/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                           "32 20 0:27 / /mnt/cg/cpu\\040time rw - cgroup cgroup rw,cpuacct,cpu\n"
                           "33 20 0:27 /docker/abc /other/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                           "34 20 0:28 / /mnt/cg/systemd rw - cgroup none rw,xattr,name=systemd\n"
                           "35 20 0:29 / /mnt/cg/v2 rw - cgroup2 none rw\n";
    CHECK(find_hierarchy(v1, "pids") == "/mnt/cg/pids");
    CHECK(find_hierarchy(v1, "cpu,cpuacct") == "/mnt/cg/cpu time");  // all of it, not a part
    CHECK(find_hierarchy(v1, "systemd") == "/mnt/cg/systemd");
    CHECK(find_hierarchy(v1, "unified") == "/mnt/cg/v2");
    CHECK(find_hierarchy(v1, "memory") == std::nullopt);
    CHECK(find_hierarchy(v1, "cpuset") == std::nullopt);

    const GroupPlace place = find_group(v1, "/mnt/cg/cpu time/a/b");
    CHECK(place.mount == "/mnt/cg/cpu time");
    CHECK(("," + place.hierarchy + ",").contains(",cpuacct,"));
    CHECK(place.path == "/a/b");
    CHECK(find_group(v1, "/mnt/cg/pidsx/a").mount.empty());
}

TEST_CASE("--rootless takes what Go takes for true and false") {
    for (const char* yes : {"true", "t", "1"})
        CHECK(CgroupRequest{.rootless = parse_bool(yes)}.is_rootless());
    for (const char* no : {"false", "f", "0"})
        CHECK(!CgroupRequest{.rootless = parse_bool(no)}.is_rootless());
    CHECK(!parse_bool("yes"));
}
