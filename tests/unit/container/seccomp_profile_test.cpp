// Proves which calls the default profile allows, for capabilities, machines and kernels that are
// not ours: so the rules are evaluated here, and no filter is loaded.
#include "container/seccomp_profile.h"

#include <algorithm>

#include "base/error.h"
#include "container/seccomp_json.h"
#include "tests/unit/catch.h"

namespace {

// Whether a call with that first argument is allowed, as the rules' words say.
bool allows(const spec::Seccomp& profile, std::string_view call, uint64_t first = 0) {
    const auto holds = [&](const spec::SeccompArg& arg) {
        REQUIRE(arg.op == "SCMP_CMP_MASKED_EQ");
        return arg.index != 0 || (first & arg.value) == arg.value_two;
    };
    return std::ranges::any_of(profile.syscalls, [&](const spec::SeccompSyscall& rule) {
        return rule.action == "SCMP_ACT_ALLOW" &&
               std::ranges::find(rule.names, call) != rule.names.end() &&
               std::ranges::all_of(rule.args, holds);
    });
}

spec::Seccomp default_for(std::vector<std::string> capabilities, std::string machine = "x86_64") {
    return read_seccomp_profile(seccomp_json, {.capabilities = std::move(capabilities),
                                               .machine = std::move(machine),
                                               .kernel = "6.1.0-13-amd64"});
}

std::string complaint(std::string_view profile) {
    try {
        read_seccomp_profile(profile, {.capabilities = {}, .machine = "x86_64", .kernel = "6.1"});
    } catch (const Error& e) {
        return e.what();
    }
    return "";
}

}  // namespace

TEST_CASE(
    "the default profile has no socket of AF_ALG nor of AF_VSOCK, whatever the upper bits say") {
    const spec::Seccomp profile = default_for({"CAP_NET_RAW", "CAP_SYS_ADMIN"});
    for (const uint64_t upper : {uint64_t(0), uint64_t(1) << 32, uint64_t(0xffffffff) << 32}) {
        CAPTURE(upper);
        for (const uint64_t family : {1, 2, 10, 16, 17})
            CHECK(allows(profile, "socket", upper | family));  // UNIX INET INET6 NETLINK PACKET
        for (const uint64_t family : {38, 40, 46, 0x7fffffff})
            CHECK_FALSE(allows(profile, "socket", upper | family));
    }
    CHECK(allows(profile, "personality", 0xffffffff));
    CHECK_FALSE(allows(profile, "personality", 0x40000));
}

TEST_CASE("a capability opens the calls that it guards") {
    const spec::Seccomp plain = default_for({}), admin = default_for({"CAP_SYS_ADMIN", "CAP_BPF"});
    CHECK_FALSE(allows(plain, "mount"));
    CHECK_FALSE(allows(plain, "bpf"));
    CHECK(allows(admin, "mount"));
    CHECK(allows(admin, "bpf"));
    CHECK(allows(plain, "clone", 0x00000100 /* CLONE_VM */));
    CHECK_FALSE(allows(plain, "clone", 0x10000000 /* CLONE_NEWUSER */));
    CHECK(allows(admin, "clone", 0x10000000));
    const auto answer = std::ranges::find_if(plain.syscalls, [](const auto& rule) {
        return rule.names == std::vector<std::string>{"clone3"};
    });
    REQUIRE(answer != plain.syscalls.end());
    CHECK(answer->errno_ret == 38);  // ENOSYS: libraries go on with clone
}

TEST_CASE("a machine has its own interfaces and calls") {
    CHECK(default_for({}).architectures ==
          std::vector<std::string>{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"});
    CHECK(default_for({}, "aarch64").architectures ==
          std::vector<std::string>{"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"});
    CHECK(allows(default_for({}), "arch_prctl"));
    CHECK_FALSE(allows(default_for({}, "aarch64"), "arch_prctl"));
    CHECK_THROWS(default_for({}, "vax"));
}

TEST_CASE("a rule for newer kernels counts there only") {
    const auto with = [](const char* kernel) {
        return read_seccomp_profile(
                   R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}}]})",
                   {.capabilities = {}, .machine = "x86_64", .kernel = kernel})
            .syscalls.size();
    };
    CHECK(with("4.8.0") == 1);
    CHECK(with("4.10") == 1);
    CHECK(with("6.18.2-cloud") == 1);
    CHECK(with("4.7.9") == 0);
    CHECK(with("3.10") == 0);
}

TEST_CASE("what is wrong with a profile is said with its place") {
    struct {
        const char* profile;
        const char* says;
    } cases[] = {
        {R"({"syscalls": []})", "defaultAction: is missing"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscall": []})", "unknown property \"syscall\""},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]})",
         "syscalls[0]: exactly one of name and names must be there"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read"}]})",
         "syscalls[0].action: is missing"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_LOG", "includes": {"cap": []}}]})",
         "syscalls[0].includes: unknown property \"cap\""},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_LOG", "includes": {"minKernel": "new"}}]})",
         "syscalls[0].includes.minKernel: is \"new\", but must be as 4.8"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_LOG", "args": [{"index": -1}]}]})",
         "syscalls[0].args[0].index: is out of range: -1, must be from 0 to 4294967295"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}], "syscalls": []})",
         "both architectures and archMap are there"},
        {R"({"defaultAction": "SCMP_ACT_MOON", "syscalls": []})",
         "defaultAction: string SCMP_ACT_MOON is not a valid action for seccomp"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"], "syscalls": []})",
         "architectures[0]: string SCMP_ARCH_Z80 is not a valid arch for seccomp"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_ARM", "subArchitectures": ["Z80"]}], "syscalls": []})",
         "archMap[0]: string Z80 is not a valid arch for seccomp"},
        // Places are the file's, whichever rules count for this container.
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_LOG", "excludes": {"arches": ["amd64"]}}, {"name": "read", "action": "SCMP_ACT_NONE"}]})",
         "syscalls[1].action: string SCMP_ACT_NONE is not a valid action for seccomp"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_LOG", "includes": {"caps": ["CAP_KILL"]}, "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]})",
         "syscalls[0].args[0].index: seccomp argument index 6 is too large: a call has six"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read", "moon"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_KILL"]}}]})",
         "syscalls[0].names[1]: unknown system call \"moon\": its rule SCMP_ACT_ERRNO cannot be "
         "kept"},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_LOG", "excludes": {"caps": ["CAP_SYS_ADMN"]}}]})",
         "syscalls[0].excludes.caps[0]: unknown capability \"CAP_SYS_ADMN\""},
        {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read", "action": "SCMP_ACT_LOG", "includes": {"arches": ["x86_64"]}}]})",
         "syscalls[0].includes.arches[0]: unknown architecture \"x86_64\": must be Go's word for "
         "one, as amd64"},
    };
    for (const auto& [profile, says] : cases) {
        CAPTURE(profile);
        CHECK(complaint(profile) == says);
    }
}

TEST_CASE("a call that nobody knows is no fault of a rule for other machines or newer kernels") {
    for (const char* condition :
         {R"("includes": {"arches": ["arm64"]})", R"("excludes": {"arches": ["amd64"]})",
          R"("includes": {"minKernel": "7.9"})"})
        CHECK(complaint(str(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [)",
                            R"({"name": "moon", "action": "SCMP_ACT_ERRNO", )", condition,
                            "}]}")) == "");
    // A milder rule's loss harms nobody.
    CHECK(complaint(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [)"
                    R"({"name": "moon", "action": "SCMP_ACT_ALLOW"}]})") == "");
}
