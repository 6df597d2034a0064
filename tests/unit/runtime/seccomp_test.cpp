// The filters against libseccomp's: the same profile, the same answers, on every architecture.
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <set>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"
#include "container/seccomp_profile.h"
#include "runtime/attributes.h"
#include "runtime/seccomp.h"
#include "tests/unit/catch.h"

namespace {

// What the kernel's interpreter does, for the instructions that filters are made of.
uint32_t decide(const std::vector<sock_filter>& program, const seccomp_data& call) {
    uint32_t a = 0;
    const auto* bytes = reinterpret_cast<const char*>(&call);
    for (size_t at = 0; at < program.size(); ++at) {
        const sock_filter& i = program[at];
        const auto branch = [&](bool taken) { at += taken ? i.jt : i.jf; };
        switch (i.code) {
            case BPF_LD | BPF_W | BPF_ABS: std::memcpy(&a, bytes + i.k, sizeof a); break;
            case BPF_ALU | BPF_AND | BPF_K: a &= i.k; break;
            case BPF_JMP | BPF_JA: at += i.k; break;
            case BPF_JMP | BPF_JEQ | BPF_K: branch(a == i.k); break;
            case BPF_JMP | BPF_JGT | BPF_K: branch(a > i.k); break;
            case BPF_JMP | BPF_JGE | BPF_K: branch(a >= i.k); break;
            case BPF_RET | BPF_K: return i.k;
            default: throw Error("unexpected instruction ", i.code);
        }
    }
    throw Error("ran off the end");
}

uint32_t action_of(const spec::SeccompSyscall& rule) {
    if (rule.action == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(rule.errno_ret.value_or(EPERM));
    if (rule.action == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
    REQUIRE(rule.action == "SCMP_ACT_ALLOW");
    return SCMP_ACT_ALLOW;
}

// libseccomp's filter for the same profile.
std::vector<sock_filter> reference(const spec::Seccomp& profile, uint32_t fallback) {
    const std::map<std::string, scmp_compare> operators = {
        {"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_LE", SCMP_CMP_LE}, {"SCMP_CMP_EQ", SCMP_CMP_EQ},
        {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
    const scmp_filter_ctx context = ::seccomp_init(fallback);
    REQUIRE(context);
    const Defer release([&] { ::seccomp_release(context); });
    for (const std::string& name : profile.architectures) {
        const uint32_t arch = ::seccomp_arch_resolve_name(lower(name.substr(10)).c_str());
        if (const int added = ::seccomp_arch_add(context, arch); added != -EEXIST) REQUIRE(added == 0);
    }
    for (const spec::SeccompSyscall& rule : profile.syscalls) {
        const uint32_t action = action_of(rule);
        std::vector<scmp_arg_cmp> arguments;
        for (const spec::SeccompArg& arg : rule.args) arguments.push_back({arg.index, operators.at(arg.op), arg.value, arg.value_two});
        for (const std::string& name : rule.names) {
            const int number = ::seccomp_syscall_resolve_name(name.c_str());
            if (number == __NR_SCMP_ERROR || action == fallback) continue;
            REQUIRE(::seccomp_rule_add_array(context, action, number, unsigned(arguments.size()), arguments.data()) == 0);
        }
    }
    const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
    REQUIRE(::seccomp_export_bpf(context, file.get()) == 0);
    ::lseek(file.get(), 0, SEEK_SET);
    const std::string bytes = sys::read_all(file.get());
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    bytes.copy(reinterpret_cast<char*>(program.data()), bytes.size());
    return program;
}

// Every number that could differ, with arguments around every value that a rule compares with.
void compare(const spec::Seccomp& profile, uint32_t fallback) {
    const std::vector<sock_filter> ours = compile_filter(profile), theirs = reference(profile, fallback);
    std::set<uint64_t> values{0, 1, UINT64_MAX};
    for (const spec::SeccompSyscall& rule : profile.syscalls)
        for (const spec::SeccompArg& arg : rule.args)
            for (const uint64_t value : {arg.value, arg.value_two})
                for (const uint64_t near : {value - 1, value, value + 1, value | uint64_t(1) << 32, value << 32}) values.insert(near);
    std::vector<uint32_t> numbers;
    for (const uint32_t base : {0u, 0x40000000u})
        for (uint32_t n = 0; n < 448; ++n) numbers.push_back(base + n);
    numbers.push_back(UINT32_MAX);
    size_t differences = 0;
    for (const uint32_t arch : {uint32_t(AUDIT_ARCH_X86_64), uint32_t(AUDIT_ARCH_I386), uint32_t(AUDIT_ARCH_AARCH64), uint32_t(AUDIT_ARCH_ARM)})
        for (const uint32_t number : numbers)
            for (const uint64_t first : values)
                for (const uint64_t second : {uint64_t(0), uint64_t(5), UINT64_MAX}) {
                    const seccomp_data call{.nr = int(number), .arch = arch, .instruction_pointer = 0, .args = {first, second, 2, 3, 4, 5}};
                    const uint32_t got = decide(ours, call), wanted = decide(theirs, call);
                    // A call that is younger than the profile: the one difference that is meant.
                    if (got == wanted || got == (SECCOMP_RET_ERRNO | ENOSYS)) continue;
                    if (++differences > 5) continue;
                    CAPTURE(arch, number, first, second, got, wanted);
                    CHECK(got == wanted);
                }
    CHECK(differences == 0);
}

seccomp_data native(int number, uint64_t first = 0) {
    return {.nr = number, .arch = ::seccomp_arch_native(), .instruction_pointer = 0, .args = {first}};
}

}  // namespace

TEST_CASE("a filter of Docker's default profile answers as libseccomp's") {
    compare(default_seccomp_profile({"CAP_CHOWN", "CAP_NET_RAW"}), SCMP_ACT_ERRNO(EPERM));
}

TEST_CASE("each operator answers as libseccomp's, on 64 and on 32 bits") {
    for (const char* op : {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"}) {
        CAPTURE(op);
        spec::Seccomp profile{.default_action = "SCMP_ACT_ALLOW", .architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM"}};
        const bool masked = op == std::string_view("SCMP_CMP_MASKED_EQ");
        profile.syscalls = {
            {.names = {"personality", "socket"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 7, .args = {{0, 0xff00000010, masked ? 0x1000000010u : 0, op}}},
            {.names = {"clone"}, .action = "SCMP_ACT_LOG", .args = {{0, 0x70, masked ? 0x20u : 0, op}, {1, 5, masked ? 5u : 0, op}}},
            {.names = {"semget", "bind", "mount"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 9},
        };
        compare(profile, SCMP_ACT_ALLOW);
    }
}

TEST_CASE("calls younger than a profile that refuses are not there, and only for one that refuses") {
    spec::Seccomp profile{.default_action = "SCMP_ACT_ERRNO", .syscalls = {{.names = {"read", "openat2"}, .action = "SCMP_ACT_ALLOW"}}};
    const int openat2 = 437, faccessat2 = 439, mount = 40;
    auto program = compile_filter(profile);
    CHECK(decide(program, native(openat2)) == SECCOMP_RET_ALLOW);
    CHECK(decide(program, native(faccessat2)) == (SECCOMP_RET_ERRNO | ENOSYS));
    CHECK(decide(program, native(mount)) == (SECCOMP_RET_ERRNO | EPERM));
    CHECK(decide(program, native(-1)) == (SECCOMP_RET_ERRNO | EPERM));
    profile.default_action = "SCMP_ACT_LOG";
    CHECK(decide(compile_filter(profile), native(faccessat2)) == SECCOMP_RET_LOG);
    // One call that the profile names, even to refuse it, makes those before it old.
    profile = {.default_action = "SCMP_ACT_ERRNO", .syscalls = {{.names = {"listmount"}, .action = "SCMP_ACT_ERRNO"}}};
    program = compile_filter(profile);
    CHECK(decide(program, native(458)) == (SECCOMP_RET_ERRNO | EPERM));
    CHECK(decide(program, native(459)) == (SECCOMP_RET_ERRNO | ENOSYS));
}

TEST_CASE("a rule without conditions holds whatever others say; two conditions on one argument mean either") {
    spec::Seccomp profile{.default_action = "SCMP_ACT_ERRNO", .syscalls = {
        {.names = {"read"}, .action = "SCMP_ACT_LOG", .args = {{0, 3, 0, "SCMP_CMP_EQ"}}},
        {.names = {"read"}, .action = "SCMP_ACT_ALLOW"},
        {.names = {"write"}, .action = "SCMP_ACT_ALLOW", .args = {{0, 1, 0, "SCMP_CMP_EQ"}, {0, 2, 0, "SCMP_CMP_EQ"}}},
    }};
    const auto program = compile_filter(profile);
    CHECK(decide(program, native(0, 3)) == SECCOMP_RET_ALLOW);
    CHECK(decide(program, native(1, 1)) == SECCOMP_RET_ALLOW);
    CHECK(decide(program, native(1, 2)) == SECCOMP_RET_ALLOW);
    CHECK(decide(program, native(1, 3)) == (SECCOMP_RET_ERRNO | EPERM));
}

TEST_CASE("a call of an architecture that the profile does not name ends the caller") {
    const auto program = compile_filter({.default_action = "SCMP_ACT_ALLOW", .architectures = {"SCMP_ARCH_X86_64"}});
    seccomp_data call = native(0);
    if (call.arch == AUDIT_ARCH_X86_64) {
        CHECK(decide(program, native(0x40000000)) == SECCOMP_RET_KILL_THREAD);
        call.arch = AUDIT_ARCH_I386;
        CHECK(decide(program, call) == SECCOMP_RET_KILL_THREAD);
    }
}

TEST_CASE("what a profile may not say is refused in runc's words") {
    const auto fails = [](spec::Seccomp profile, const char* why) { CHECK_THROWS_WITH(plan_filter(profile), why); };
    fails({.default_action = "SCMP_ACT_MOON"}, "string SCMP_ACT_MOON is not a valid action for seccomp");
    fails({.default_action = "SCMP_ACT_NOTIFY"}, "SCMP_ACT_NOTIFY cannot be used as default action");
    fails({.default_action = "SCMP_ACT_KILL", .default_errno_ret = 1}, "errnoRet is not for seccomp action \"SCMP_ACT_KILL\"");
    fails({.default_action = "SCMP_ACT_ALLOW", .architectures = {"SCMP_ARCH_Z80"}}, "string SCMP_ARCH_Z80 is not a valid arch for seccomp");
    fails({.default_action = "SCMP_ACT_ALLOW", .flags = {{"SECCOMP_FILTER_FLAG_MOON"}}}, "string SECCOMP_FILTER_FLAG_MOON is not a valid flag for seccomp");
    fails({.default_action = "SCMP_ACT_ALLOW", .listener_path = "/x", .syscalls = {{.names = {"write"}, .action = "SCMP_ACT_NOTIFY"}}},
          "SCMP_ACT_NOTIFY cannot be used for the write syscall");
    fails({.default_action = "SCMP_ACT_ALLOW", .syscalls = {{.names = {"read"}, .action = "SCMP_ACT_NOTIFY"}}},
          "seccomp listenerPath is not set, but SCMP_ACT_NOTIFY is used");
    fails({.default_action = "SCMP_ACT_ALLOW", .syscalls = {{.names = {"read"}, .action = "SCMP_ACT_ALLOW", .args = {{6, 0, 0, "SCMP_CMP_EQ"}}}}},
          "seccomp argument index 6 is too large");
}

TEST_CASE("flags: the kernel's by name, none for [], no slower speculation without a word") {
    CHECK(plan_filter({.default_action = "SCMP_ACT_ALLOW"}).flags == SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    CHECK(plan_filter({.default_action = "SCMP_ACT_ALLOW", .flags = std::vector<std::string>{}}).flags == 0);
    // One thread is always in step with itself.
    CHECK(plan_filter({.default_action = "SCMP_ACT_ALLOW", .flags = {{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"}}}).flags == SECCOMP_FILTER_FLAG_LOG);
}

TEST_CASE("the words that the runtime knows are those that a valid config may use") {
    const auto valid = [](auto edit) {
        spec::Config config = spec::default_config();
        config.linux.seccomp = {.default_action = "SCMP_ACT_ALLOW"};
        edit(config);
        return spec::problems(config).empty();
    };
    CHECK(valid([](auto& c) { c.linux.seccomp->architectures = seccomp_architectures(); }));
    CHECK(valid([](auto& c) { c.linux.seccomp->flags = seccomp_flags(); }));
    for (const std::string& op : seccomp_operators())
        CHECK(valid([&](auto& c) { c.linux.seccomp->syscalls = {{.names = {"read"}, .action = "SCMP_ACT_LOG", .args = {{0, 1, 1, op}}}}; }));
    for (const std::string& action : seccomp_actions())
        CHECK(valid([&](auto& c) { c.linux.seccomp->listener_path = "/x", c.linux.seccomp->syscalls = {{.names = {"read"}, .action = action}}; }));
    for (const std::string& mode : memory_policy_modes())
        CHECK(valid([&](auto& c) { c.linux.memory_policy = {mode, mode == "MPOL_DEFAULT" || mode == "MPOL_LOCAL" ? "" : "0", memory_policy_flags()}; }));
}

TEST_CASE("a call goes through always, only if no rule looks at it closer") {
    spec::Seccomp profile;
    profile.default_action = "SCMP_ACT_ERRNO";
    profile.syscalls = {{.names = {"read", "madvise"}, .action = "SCMP_ACT_ALLOW"}, {.names = {"kill"}, .action = "SCMP_ACT_ALLOW", .args = {{}}}};
    CHECK(always_allows(profile, "madvise"));
    CHECK_FALSE(always_allows(profile, "kill"));
    CHECK_FALSE(always_allows(profile, "write"));
    profile.default_action = "SCMP_ACT_ALLOW";
    CHECK(always_allows(profile, "write"));
    profile.syscalls.push_back({.names = {"madvise"}, .action = "SCMP_ACT_KILL"});
    CHECK_FALSE(always_allows(profile, "madvise"));
}
