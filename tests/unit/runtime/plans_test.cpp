// The runtime's plans: pure, so tested without a container.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include "base/error.h"
#include "runtime/cgroup/devices.h"
#include "runtime/process/attributes.h"
#include "runtime/process/credentials.h"
#include "runtime/process/namespaces.h"
#include "runtime/process/security_labels.h"
#include "runtime/process/signals.h"
#include "runtime/rootfs/mounts.h"
#include "runtime/start/plan.h"
#include "runtime/start/program.h"
#include "tests/unit/catch.h"

TEST_CASE("mount options: the last word wins, the unknown is data") {
    struct {
        std::vector<std::string> options;
        unsigned long flags;
        std::string data;
    } cases[] = {
        {{}, 0, ""},
        {{"ro"}, MS_RDONLY, ""},
        {{"ro", "rw"}, 0, ""},
        {{"rw", "size=64k", "mode=755"}, 0, "size=64k,mode=755"},
        {{"rbind", "nosuid", "nodev", "dev"}, MS_BIND | MS_REC | MS_NOSUID, ""},
        {{"noatime", "strictatime"}, MS_STRICTATIME, ""},
        {{"defaults"}, 0, ""},
    };
    for (auto& [options, flags, data] : cases) {
        CAPTURE(options);
        const MountRequest request = plan_mount(options);
        CHECK(request.flags == flags);
        CHECK(request.data == data);
    }
    CHECK(plan_mount({"rslave", "shared"}).propagation ==
          std::vector<unsigned long>{MS_SLAVE | MS_REC, MS_SHARED});
    CHECK(plan_mount({"tmpcopyup"}).copy_up);
}

TEST_CASE("recursive mount options are set for the whole tree, and taken back") {
    CHECK(plan_mount({"rro"}).recursive_set == 1);
    CHECK(plan_mount({"rro", "rrw"}).recursive_set == 0);
    CHECK(plan_mount({"rro", "rrw"}).recursive_clear == 1);
    CHECK(plan_mount({"rrw", "rro"}).recursive_clear == 0);
}

TEST_CASE("options of a file system are taken apart where mount(2) would") {
    CHECK(split_options("").empty());
    CHECK(split_options("mode=755,size=64k,,nodev") ==
          std::vector<std::string>{"mode=755", "size=64k", "nodev"});
    // A label with two categories.
    CHECK(split_options("context=\"u:r:t:s0:c1,c2\",mode=755") ==
          std::vector<std::string>{"context=u:r:t:s0:c1,c2", "mode=755"});
}

TEST_CASE("propagation words are those of the spec") {
    CHECK(propagation_flag("") == 0);
    CHECK(propagation_flag("rshared") == (MS_SHARED | MS_REC));
    CHECK_THROWS_AS(propagation_flag("ro"), Error);
}

TEST_CASE("namespaces without a path are made, those with one are joined, the user's first") {
    spec::Linux linux;
    linux.namespaces = {{"mount", ""},
                        {"network", "/run/netns/a"},
                        {"user", "/proc/7/ns/user"},
                        {"cgroup", ""},
                        {"time", ""}};
    const NamespacePlan plan = plan_namespaces(linux);
    CHECK(plan.with_clone == CLONE_NEWNS);
    CHECK(plan.by_init == (CLONE_NEWCGROUP | 0x80));
    REQUIRE(plan.join.size() == 2);
    CHECK(plan.join[0].type == "user");
    CHECK(plan.join[1].path == "/run/netns/a");
}

TEST_CASE("a network is made by init, unless its owner or its devices must come first") {
    spec::Linux linux;
    linux.namespaces = {{"pid", ""}, {"network", ""}};
    CHECK(plan_namespaces(linux).at_once == CLONE_NEWNET);
    CHECK(plan_namespaces(linux).with_clone == CLONE_NEWPID);
    linux.net_devices["eth7"] = {};
    CHECK(plan_namespaces(linux).with_clone == (CLONE_NEWPID | CLONE_NEWNET));
    linux.net_devices.clear();
    linux.namespaces.push_back({"user", "/proc/7/ns/user"});
    CHECK(plan_namespaces(linux).with_clone == (CLONE_NEWPID | CLONE_NEWNET));
}

TEST_CASE("what lies in an IPC namespace belongs to root of the user namespace: init makes it when "
          "it is that") {
    spec::Linux linux;
    linux.namespaces = {{"pid", ""}, {"ipc", ""}};
    CHECK(plan_namespaces(linux).with_clone == (CLONE_NEWPID | CLONE_NEWIPC));
    linux.namespaces.push_back({"user", "/proc/7/ns/user"});
    CHECK(plan_namespaces(linux).with_clone == CLONE_NEWPID);
    CHECK(plan_namespaces(linux).by_init == CLONE_NEWIPC);
}

TEST_CASE("an id of a user namespace has a number outside if one of its ranges holds it") {
    const std::vector<spec::IdMapping> maps = {{0, 100000, 10}, {10, 7, 1}, {4294967290U, 50, 5}};
    CHECK(host_id(maps, 0) == 100000);
    CHECK(host_id(maps, 9) == 100009);
    CHECK(host_id(maps, 10) == 7);
    CHECK(host_id(maps, 4294967294U) == 54);
    CHECK(host_id(maps, 11) == std::nullopt);
    CHECK(host_id(maps, 4294967295U) == std::nullopt);
    CHECK(host_id({}, 0) == std::nullopt);
}

TEST_CASE("namespaces that contradict are refused") {
    spec::Linux twice, unknown, unmapped, offset;
    twice.namespaces = {{"pid", ""}, {"pid", "/proc/1/ns/pid"}};
    unknown.namespaces = {{"moon", ""}};
    unmapped.namespaces = {{"user", ""}};
    offset.time_offsets["boottime"] = {1, 0};
    for (const spec::Linux& linux : {twice, unknown, unmapped, offset})
        CHECK_THROWS_AS(plan_namespaces(linux), Error);
}

TEST_CASE("id maps are the kernel's lines") {
    CHECK(id_map_text({{0, 100000, 65536}, {65536, 7, 1}}) == "0 100000 65536\n65536 7 1\n");
}

TEST_CASE("signals go by number and by name") {
    CHECK(parse_signal("9") == SIGKILL);
    CHECK(parse_signal("0") == 0);
    CHECK(parse_signal("sigterm") == SIGTERM);
    CHECK(parse_signal("Usr1") == SIGUSR1);
    CHECK(parse_signal("RTMIN+3") == 37);
    CHECK(parse_signal("SIGRTMAX-1") == 63);
    for (const char* bad : {"", "-9", "70000", "SIG", "KILLL", "9x", "RTMIN+31"}) {
        CAPTURE(bad);
        CHECK_THROWS_WITH(parse_signal(bad), "unknown signal " + quoted(bad));
    }
}

TEST_CASE("capabilities are bits; what nobody knows is told") {
    spec::Process process;
    process.capabilities.emplace();
    process.capabilities->bounding = {"CAP_CHOWN", "kill", "CAP_MOON"};
    const CapabilityPlan plan = plan_capabilities(process);
    CHECK(plan.bounding == (1u | 1u << 5));
    CHECK(plan.inheritable == 0);
    CHECK(plan.unknown == std::vector<std::string>{"CAP_MOON"});
}

TEST_CASE("a variable named twice keeps its last value in its first place") {
    CHECK(unique_environment({"A=1", "B=2", "A=3"}) == std::vector<std::string>{"A=3", "B=2"});
}

// What the program answers for one access, by the handful of instructions it is made of.
static int decide(const std::vector<bpf_insn>& program, unsigned type, unsigned access,
                  unsigned major, unsigned minor) {
    uint64_t r[11] = {};
    const uint32_t context[] = {access << 16 | type, major, minor};
    for (size_t at = 0; at < program.size(); ++at) {
        const bpf_insn& i = program[at];
        const auto value = uint64_t(int64_t(i.imm));
        if (i.code == (BPF_LDX | BPF_MEM | BPF_W))
            r[i.dst_reg] = context[i.off / 4];
        else if (i.code == (BPF_ALU64 | BPF_MOV | BPF_K))
            r[i.dst_reg] = value;
        else if (i.code == (BPF_ALU64 | BPF_MOV | BPF_X))
            r[i.dst_reg] = r[i.src_reg];
        else if (i.code == (BPF_ALU64 | BPF_AND | BPF_K))
            r[i.dst_reg] &= value;
        else if (i.code == (BPF_ALU64 | BPF_RSH | BPF_K))
            r[i.dst_reg] >>= i.imm;
        else if (i.code == (BPF_JMP | BPF_JNE | BPF_K))
            at += r[i.dst_reg] != value ? size_t(i.off) : 0;
        else if (i.code == (BPF_JMP | BPF_JEQ | BPF_K))
            at += r[i.dst_reg] == value ? size_t(i.off) : 0;
        else if (i.code == (BPF_JMP | BPF_EXIT))
            return int(r[0]);
        else
            return -1;
    }
    return -2;
}

TEST_CASE("device rules: the last that fits decides, nothing else is allowed") {
    const auto program = device_program({
        {.allow = false, .access = "rwm"},
        {.allow = true, .type = "c", .major = 1, .minor = 3, .access = "rwm"},
        {.allow = true, .type = "b", .access = "m"},
        {.allow = true, .type = "b", .major = 8, .minor = 0, .access = "r"},
        {.allow = false, .type = "c", .major = 1, .minor = 3, .access = "w"},
    });
    constexpr unsigned block = 1, character = 2, make = 1, read = 2, write = 4;
    CHECK(decide(program, character, read, 1, 3) == 1);
    CHECK(decide(program, character, read | write, 1, 3) == 0);
    CHECK(decide(program, character, read, 1, 5) == 0);
    CHECK(decide(program, block, make, 9, 9) == 1);
    CHECK(decide(program, block, read, 8, 0) == 1);
    CHECK(decide(program, block, read | write, 8, 0) == 0);
    CHECK(decide(device_program({}), character, read, 1, 3) == 0);
}

TEST_CASE("the kernel's answer names the AppArmor profile that was asked for") {
    struct {
        std::string_view answer, profile;
        bool same;
    } cases[] = {
        {"docker-default (enforce)\n", "docker-default", true},
        {"docker-default (complain)", "docker-default", true},
        {"unconfined\n", "unconfined", true},
        {"unconfined\n", "docker-default", false},
        {"docker-default2 (enforce)\n", "docker-default", false},
        {"with (brackets) (enforce)\n", "with (brackets)", true},
        {"a//&b (enforce)\n", "b//&a", true},
        {"a//&b (enforce)\n", "a", false},
        {":ns:a (enforce)\n", ":ns://a", true},
        {"exec docker-default", "docker-default", false},  // what a file that takes anything says
        {"", "docker-default", false},
    };
    for (auto& [answer, profile, same] : cases) {
        CAPTURE(answer, profile);
        CHECK(is_profile(answer, profile) == same);
    }
}

namespace {

Bundle small_bundle() {
    Bundle bundle{.path = "/bundle", .text = {}, .config = {}};
    bundle.config.root = {.path = "rootfs"};
    bundle.config.process.emplace().args = {"sh"};
    return bundle;
}
Facts small_facts() {
    Facts facts;
    facts.written_root = "/bundle/rootfs", facts.rootfs = "/data/rootfs";
    return facts;
}

}  // namespace

TEST_CASE("what the machine says decides with the bundle, and nothing else does") {
    Bundle bundle = small_bundle();
    bundle.config.mounts = {{.destination = "/bundle/rootfs/a"},
                            {.destination = "/data/rootfs/b"},
                            {.destination = "/c"}};
    Facts facts = small_facts();
    facts.can_create_hidden = facts.may_clone_mounts = facts.manager = true;
    facts.listen_fds = 2, facts.listen_names = "a:b";
    const Plan plan = make_plan({.state_root = "/state", .id = "c"}, bundle, std::move(facts));
    CHECK(plan.rootfs == "/data/rootfs");
    CHECK(plan.config.mounts[0].destination == "/a");
    CHECK(plan.config.mounts[1].destination == "/b");
    CHECK(plan.config.mounts[2].destination == "/c");
    CHECK((plan.created_hidden && plan.host_binds && plan.notifies));
    CHECK(plan.config.mounts[3].source == "/state/c/notify");
    CHECK(plan.config.process->env ==
          std::vector<std::string>{"NOTIFY_SOCKET=/run/notify/notify.sock", "LISTEN_FDS=2",
                                   "LISTEN_PID=1", "LISTEN_FDNAMES=a:b"});
}

TEST_CASE("what would be set in the host's own network is refused") {
    Bundle devices = small_bundle(), sysctl = small_bundle();
    devices.config.linux.net_devices["eth0"] = {};
    sysctl.config.linux.sysctl["net.ipv4.ip_forward"] = "1";
    for (const Bundle& bundle : {devices, sysctl}) {
        CHECK(error_of([&] { make_plan({.id = "c"}, bundle, small_facts()); }) == "");
        Facts facts = small_facts();
        facts.joins_own_network = true;
        CHECK_THAT(error_of([&] { make_plan({.id = "c"}, bundle, std::move(facts)); }),
                   ContainsSubstring("network") || ContainsSubstring("private NET namespace"));
    }
}
