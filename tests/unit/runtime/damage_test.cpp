// What keg-runtime reads, damaged: configs, messages of systemd and CRIU.
#include "tests/unit/damage.h"

#include <algorithm>

#include "base/file.h"
#include "runtime/cgroup/dbus_wire.h"
#include "runtime/cgroup/devices.h"
#include "runtime/cgroup/intel_rdt.h"
#include "runtime/cgroup/systemd_unit.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"
#include "runtime/cgroup/variant_text.h"
#include "runtime/checkpoint/criu_rpc.h"
#include "runtime/process/attributes.h"
#include "runtime/process/credentials.h"
#include "runtime/process/namespaces.h"
#include "runtime/rootfs/mounts.h"
#include "runtime/seccomp/filter.h"
#include "runtime/start/program.h"
#include "spec/validate.h"

namespace {

constexpr std::string_view words[] = {"\"",
                                      "{",
                                      "}",
                                      "[",
                                      "]",
                                      ",",
                                      ":",
                                      "\\",
                                      "\\u0000",
                                      "null",
                                      "-",
                                      "0",
                                      "1e9",
                                      "linux",
                                      "type",
                                      "bind",
                                      "rbind",
                                      "ro",
                                      "tmpcopyup",
                                      "idmap",
                                      "/proc",
                                      "/proc/self/fd/1",
                                      "..",
                                      "user",
                                      "SCMP_ACT_NOTIFY",
                                      "SCMP_ACT_ERRNO",
                                      "SCMP_CMP_MASKED_EQ",
                                      "clone3",
                                      "CAP_SYS_ADMIN",
                                      "RLIMIT_NOFILE",
                                      "a",
                                      "rwm",
                                      "system.slice:x:y",
                                      "0-8191",
                                      "7-3",
                                      "MPOL_BIND",
                                      "net.ipv4.x",
                                      "kernel.sem"};

json::Value golden(const char* name) {
    return json::parse(read_file(str(TEST_DATA, "/spec/", name)));
}

// A bit of everything that does not exclude another.
json::Value valid_config() {
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
void plan(const spec::Config& config) {
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

// Which property of the document it is, or where in the text.
bool names_the_place(std::string_view message) {
    static constexpr std::string_view places[] = {"ociVersion",
                                                  "process",
                                                  "root",
                                                  "hostname",
                                                  "domainname",
                                                  "mounts",
                                                  "hooks",
                                                  "annotations",
                                                  "linux",
                                                  "is not JSON: at line ",
                                                  "has the property ",
                                                  "has a number out of range: ",
                                                  "is nested more than ",
                                                  "must be an object, but is "};
    return std::ranges::any_of(places,
                               [&](std::string_view place) { return message.starts_with(place); });
}

void take_config(const std::string& text) {
    const spec::Reading reading = spec::read_and_validate(text);
    for (const spec::Violation& violation : reading.violations) {
        CAPTURE(violation.message);
        REQUIRE(names_the_place(violation.message));
    }
    // create and validate agree.
    REQUIRE(error_of([&] { spec::validate(spec::read_config(text)); }).empty() ==
            reading.violations.empty());
    if (!reading.violations.empty()) return;
    const std::string again = spec::write(reading.config);
    REQUIRE(spec::write(spec::read_config(again)) == again);
    // What is valid may still be refused for what this machine is, in words of its own.
    plan(reading.config);
}

}  // namespace

TEST_CASE("damaged configs are refused with the place, or planned") {
    const json::Value schemas = golden("config.json"), valid = valid_config();
    REQUIRE(error_of([&] { take_config(json::dump(valid)); }) == "");
    const auto original = [&](Damage& damage) { return damage.below(4) ? valid : schemas; };
    each_damaged(
        500, [&](Damage& damage) { return json::dump(damage.document(original(damage), words)); },
        take_config);
    each_damaged(
        250, [&](Damage& damage) { return damage.text(json::dump(original(damage)), words); },
        take_config);
}

TEST_CASE("the other documents of a command line are read or refused") {
    const spec::Config config = spec::read_config(json::dump(golden("config.json")));
    const std::string process = spec::write(*config.process),
                      resources = spec::write(*config.linux.resources);
    each_damaged(
        250,
        [&](Damage& damage) { return json::dump(damage.document(json::parse(process), words)); },
        [](const std::string& text) { plan_capabilities(spec::read_process(text)); });
    each_damaged(
        250,
        [&](Damage& damage) { return json::dump(damage.document(json::parse(resources), words)); },
        [](const std::string& text) { v1::plan(spec::read_resources(text)); });
}

TEST_CASE("damaged messages of systemd and CRIU are read or refused") {
    using namespace dbus;
    const std::string reply = write(dbus::Message{
        .kind = Kind::reply,
        .serial = 3,
        .reply_to = 2,
        .path = "/a",
        .interface = "b.c",
        .member = "D",
        .destination = "e.f",
        .signature = "sa(sv)uax",
        .body = write({text("x"),
                       array("(sv)", {structure({text("k"), variant(array("u", {u32(3)}))})}),
                       u32(8), array("x", {{"x", int64_t(-9)}})})});
    static constexpr std::string_view bytes[] = {"\xff\xff\xff\xff",
                                                 "\x7f",
                                                 "\xff\xff\xff\x7f",
                                                 "a(sv)",
                                                 "((((((((",
                                                 "aaaaaaaa",
                                                 "v",
                                                 "\1",
                                                 "\x08",
                                                 "\x12",
                                                 "\x80\x80\x80\x80\x80\x80"};
    each_damaged(
        3000, [&](Damage& damage) { return damage.text(reply, bytes); },
        [](const std::string& text) {
            if (text.size() < prefix_size || size_of(text) > text.size()) return;
            read_message(text.substr(0, size_of(text))).arguments();
        });
    each_damaged(
        1000,
        [&](Damage& damage) {
            return damage.text(
                "[('a', <@as []>), ('b', <uint64 1>), ('c', <['x', 'y']>), ('d', <-1.5>)]", words);
        },
        [](const std::string& text) { parse_variant(text); });
    criu::Message inner, message;
    inner.text(1, "post-restore").number(2, 4711);
    message.number(1, 300).text(10, "dump.log").message(5, inner).number(9, -1);
    each_damaged(
        3000, [&](Damage& damage) { return damage.text(message.bytes(), bytes); },
        [](const std::string& text) {
            const criu::Reply read(text);
            read.number(1);
            if (const auto notice = read.text(5)) criu::Reply(*notice).text(1);
        });
}
