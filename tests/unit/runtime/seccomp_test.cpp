// The filters against libseccomp's: the same profile, the same answers, on every architecture.
#include "tests/unit/filters.h"

#include <linux/audit.h>

#include <cstdlib>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"
#include "container/seccomp_profile.h"
#include "runtime/process/attributes.h"
#include "runtime/seccomp/arguments.h"

namespace {

// How much of its arguments a call of that number reads.
ArgumentBits bits_of(uint32_t arch, uint32_t number) {
    const bool x32 = arch == AUDIT_ARCH_X86_64 && (number & 0x40000000) != 0;
    char* name = ::seccomp_syscall_resolve_num_arch(x32 ? SCMP_ARCH_X32 : arch, int(number));
    const Defer release([&] { std::free(name); });
    return bits_read(name ? name : "", arch);
}

// Every number that could differ, with arguments around every value that a rule compares with.
void compare(const spec::Seccomp& profile) {
    const std::vector<sock_filter> ours = compile_filter(profile), theirs = reference(profile);
    std::set<uint64_t> values{0, 1, UINT64_MAX};
    for (const spec::SeccompSyscall& rule : profile.syscalls)
        for (const spec::SeccompArg& arg : rule.args)
            for (const uint64_t value : {arg.value, arg.value_two})
                for (const uint64_t near :
                     {value - 1, value, value + 1, value | uint64_t(1) << 32, value << 32})
                    values.insert(near);
    std::vector<uint32_t> numbers;
    for (const uint32_t base : {0u, 0x40000000u})
        for (uint32_t n = 0; n < 448; ++n) numbers.push_back(base + n);
    numbers.push_back(UINT32_MAX);
    size_t differences = 0;
    for (const uint32_t arch : {uint32_t(AUDIT_ARCH_X86_64), uint32_t(AUDIT_ARCH_I386),
                                uint32_t(AUDIT_ARCH_AARCH64), uint32_t(AUDIT_ARCH_ARM)})
        for (const uint32_t number : numbers) {
            if ((number & 0xffff) == 335) continue;  // uretprobe: too young for libseccomp
            const ArgumentBits bits = bits_of(arch, number);
            for (const uint64_t first : values)
                for (const uint64_t second : {uint64_t(0), uint64_t(5), UINT64_MAX}) {
                    const seccomp_data call{
                        .nr = int(number),
                        .arch = arch,
                        .instruction_pointer = 0,
                        .args = {cut(first, bits[0]), cut(second, bits[1]), 2, 3, 4, 5}};
                    const uint32_t got = decide(ours, call), wanted = decide(theirs, call);
                    // A call that is younger than the profile: the one difference that is meant.
                    if (got == wanted || got == (SECCOMP_RET_ERRNO | ENOSYS)) continue;
                    if (++differences > 5) continue;
                    CAPTURE(arch, number, first, second, got, wanted);
                    CHECK(got == wanted);
                }
        }
    CHECK(differences == 0);
}

seccomp_data native(int number, uint64_t first = 0, uint64_t second = 0) {
    return {.nr = number,
            .arch = ::seccomp_arch_native(),
            .instruction_pointer = 0,
            .args = {first, second}};
}

}  // namespace

TEST_CASE("a filter of Docker's default profile answers as libseccomp's") {
    compare(default_seccomp_profile({"CAP_CHOWN", "CAP_NET_RAW"}));
}

TEST_CASE("each operator answers as libseccomp's, on 64 and on 32 bits") {
    for (const char* op : {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ",
                           "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"}) {
        CAPTURE(op);
        spec::Seccomp profile{.default_action = "SCMP_ACT_ALLOW",
                              .architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM"}};
        const bool masked = op == std::string_view("SCMP_CMP_MASKED_EQ");
        profile.syscalls = {
            {.names = {"personality", "socket"},
             .action = "SCMP_ACT_ERRNO",
             .errno_ret = 7,
             .args = {{0, 0xff00000010, masked ? 0x1000000010u : 0, op}}},
            {.names = {"clone"},
             .action = "SCMP_ACT_LOG",
             .args = {{0, 0x70, masked ? 0x20u : 0, op}, {1, 5, masked ? 5u : 0, op}}},
            {.names = {"semget", "bind", "mount"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 9},
        };
        compare(profile);
    }
}

TEST_CASE(
    "calls younger than a profile that refuses are not there, and only for one that refuses") {
    spec::Seccomp profile{.default_action = "SCMP_ACT_ERRNO",
                          .syscalls = {{.names = {"read", "openat2"}, .action = "SCMP_ACT_ALLOW"}}};
    const int openat2 = 437, faccessat2 = 439, mount = 40;
    auto program = compile_filter(profile);
    CHECK(decide(program, native(openat2)) == SECCOMP_RET_ALLOW);
    CHECK(decide(program, native(faccessat2)) == (SECCOMP_RET_ERRNO | ENOSYS));
    CHECK(decide(program, native(mount)) == (SECCOMP_RET_ERRNO | EPERM));
    CHECK(decide(program, native(-1)) == (SECCOMP_RET_ERRNO | EPERM));
    profile.default_action = "SCMP_ACT_LOG";
    CHECK(decide(compile_filter(profile), native(faccessat2)) == SECCOMP_RET_LOG);
    // One call that the profile names, even to refuse it, makes those before it old.
    profile = {.default_action = "SCMP_ACT_ERRNO",
               .syscalls = {{.names = {"listmount"}, .action = "SCMP_ACT_ERRNO"}}};
    program = compile_filter(profile);
    CHECK(decide(program, native(458)) == (SECCOMP_RET_ERRNO | EPERM));
    CHECK(decide(program, native(459)) == (SECCOMP_RET_ERRNO | ENOSYS));
}

TEST_CASE("a rule without conditions holds whatever others say; two conditions on one argument "
          "mean either") {
    spec::Seccomp profile{
        .default_action = "SCMP_ACT_ERRNO",
        .syscalls = {
            {.names = {"read"}, .action = "SCMP_ACT_LOG", .args = {{0, 3, 0, "SCMP_CMP_EQ"}}},
            {.names = {"read"}, .action = "SCMP_ACT_ALLOW"},
            {.names = {"write"},
             .action = "SCMP_ACT_ALLOW",
             .args = {{0, 1, 0, "SCMP_CMP_EQ"}, {0, 2, 0, "SCMP_CMP_EQ"}}},
        }};
    const auto program = compile_filter(profile);
    CHECK(decide(program, native(0, 3)) == SECCOMP_RET_ALLOW);
    CHECK(decide(program, native(1, 1)) == SECCOMP_RET_ALLOW);
    CHECK(decide(program, native(1, 2)) == SECCOMP_RET_ALLOW);
    CHECK(decide(program, native(1, 3)) == (SECCOMP_RET_ERRNO | EPERM));
}

TEST_CASE("a call of an architecture that the profile does not name ends the caller") {
    const auto program =
        compile_filter({.default_action = "SCMP_ACT_ALLOW", .architectures = {"SCMP_ARCH_X86_64"}});
    seccomp_data call = native(0);
    if (call.arch == AUDIT_ARCH_X86_64) {
        CHECK(decide(program, native(0x40000000)) == SECCOMP_RET_KILL_THREAD);
        call.arch = AUDIT_ARCH_I386;
        CHECK(decide(program, call) == SECCOMP_RET_KILL_THREAD);
    }
}

TEST_CASE("what a profile may not say is refused in runc's words") {
    const auto fails = [](spec::Seccomp profile, const char* why) {
        CHECK_THROWS_WITH(plan_filter(profile), why);
    };
    fails({.default_action = "SCMP_ACT_MOON"},
          "string SCMP_ACT_MOON is not a valid action for seccomp");
    fails({.default_action = "SCMP_ACT_NOTIFY"},
          "SCMP_ACT_NOTIFY cannot be used as default action");
    fails({.default_action = "SCMP_ACT_KILL", .default_errno_ret = 1},
          "errnoRet is not for seccomp action \"SCMP_ACT_KILL\"");
    fails({.default_action = "SCMP_ACT_ALLOW", .architectures = {"SCMP_ARCH_Z80"}},
          "string SCMP_ARCH_Z80 is not a valid arch for seccomp");
    fails({.default_action = "SCMP_ACT_ALLOW", .flags = {{"SECCOMP_FILTER_FLAG_MOON"}}},
          "string SECCOMP_FILTER_FLAG_MOON is not a valid flag for seccomp");
    fails({.default_action = "SCMP_ACT_ALLOW",
           .listener_path = "/x",
           .syscalls = {{.names = {"write"}, .action = "SCMP_ACT_NOTIFY"}}},
          "SCMP_ACT_NOTIFY cannot be used for the write syscall");
    fails({.default_action = "SCMP_ACT_ALLOW",
           .syscalls = {{.names = {"read"}, .action = "SCMP_ACT_NOTIFY"}}},
          "seccomp listenerPath is not set, but SCMP_ACT_NOTIFY is used");
    fails({.default_action = "SCMP_ACT_ALLOW",
           .syscalls = {{.names = {"read"},
                         .action = "SCMP_ACT_ALLOW",
                         .args = {{6, 0, 0, "SCMP_CMP_EQ"}}}}},
          "seccomp argument index 6 is too large");
}

TEST_CASE("flags: the kernel's by name, none for [], no slower speculation without a word") {
    CHECK(plan_filter({.default_action = "SCMP_ACT_ALLOW"}).flags ==
          SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    CHECK(plan_filter({.default_action = "SCMP_ACT_ALLOW", .flags = std::vector<std::string>{}})
              .flags == 0);
    // One thread is always in step with itself.
    CHECK(plan_filter({.default_action = "SCMP_ACT_ALLOW",
                       .flags = {{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"}}})
              .flags == SECCOMP_FILTER_FLAG_LOG);
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
        CHECK(valid([&](auto& c) {
            c.linux.seccomp->syscalls = {
                {.names = {"read"}, .action = "SCMP_ACT_LOG", .args = {{0, 1, 1, op}}}};
        }));
    for (const std::string& action : seccomp_actions())
        CHECK(valid([&](auto& c) {
            c.linux.seccomp->listener_path = "/x",
            c.linux.seccomp->syscalls = {{.names = {"read"}, .action = action}};
        }));
    for (const std::string& mode : memory_policy_modes())
        CHECK(valid([&](auto& c) {
            c.linux.memory_policy = {mode,
                                     mode == "MPOL_DEFAULT" || mode == "MPOL_LOCAL" ? "" : "0",
                                     memory_policy_flags()};
        }));
}

TEST_CASE("a call goes through always, only if no rule looks at it closer") {
    spec::Seccomp profile;
    profile.default_action = "SCMP_ACT_ERRNO";
    profile.syscalls = {{.names = {"read", "madvise"}, .action = "SCMP_ACT_ALLOW"},
                        {.names = {"kill"}, .action = "SCMP_ACT_ALLOW", .args = {{}}}};
    CHECK(always_allows(profile, "madvise"));
    CHECK_FALSE(always_allows(profile, "kill"));
    CHECK_FALSE(always_allows(profile, "write"));
    profile.default_action = "SCMP_ACT_ALLOW";
    CHECK(always_allows(profile, "write"));
    profile.syscalls.push_back({.names = {"madvise"}, .action = "SCMP_ACT_KILL"});
    CHECK_FALSE(always_allows(profile, "madvise"));
}

TEST_CASE("an int is compared as the call reads it, whatever stands above its 32 bits") {
    const int socket = 41, ioctl = 16, chmod = 90, openat = 257;
    const uint64_t above = uint64_t(1) << 32;
    const auto answer = [](spec::SeccompArg arg, const char* name, seccomp_data call) {
        const auto program = compile_filter(
            {.default_action = "SCMP_ACT_ALLOW",
             .syscalls = {{.names = {name}, .action = "SCMP_ACT_KILL", .args = {arg}}}});
        return decide(program, call) == SECCOMP_RET_KILL_THREAD;
    };
    // "Not family 40", "not TIOCSTI", "no set-user-ID bit": said of a value, held for all that the
    // kernel takes for it.
    for (const uint64_t family : {uint64_t(40), above + 40, above * 7 + 40}) {
        CHECK(answer({0, 40, 0, "SCMP_CMP_EQ"}, "socket", native(socket, family)));
        CHECK_FALSE(answer({0, 40, 0, "SCMP_CMP_NE"}, "socket", native(socket, family)));
        CHECK_FALSE(answer({0, 40, 0, "SCMP_CMP_GT"}, "socket", native(socket, family)));
    }
    CHECK(answer({1, 0x5412, 0, "SCMP_CMP_EQ"}, "ioctl", native(ioctl, 0, above + 0x5412)));
    CHECK(answer({1, 04755, 0, "SCMP_CMP_EQ"}, "chmod", native(chmod, 0, 0x10000 + 04755)));
    // -100, AT_FDCWD, as a profile writes it; the call may have it with and without its sign.
    for (const uint64_t directory : {uint64_t(-100), uint64_t(uint32_t(-100))})
        CHECK(answer({0, uint64_t(-100), 0, "SCMP_CMP_EQ"}, "openat", native(openat, directory)));
    CHECK_FALSE(answer({0, uint64_t(-100), 0, "SCMP_CMP_EQ"}, "openat", native(openat, 3)));
    // An address is all of the register.
    CHECK_FALSE(answer({0, 40, 0, "SCMP_CMP_EQ"}, "chmod", native(chmod, above + 40)));
}

TEST_CASE("who asks for what stands above an int is answered") {
    const int socket = 41;
    const uint64_t above = uint64_t(1) << 32;
    const auto holds = [](spec::SeccompArg arg, uint64_t family) {
        const auto program = compile_filter(
            {.default_action = "SCMP_ACT_ALLOW",
             .syscalls = {{.names = {"socket"}, .action = "SCMP_ACT_KILL", .args = {arg}}}});
        return decide(program, native(socket, family)) == SECCOMP_RET_KILL_THREAD;
    };
    for (const spec::SeccompArg& arg : {spec::SeccompArg{0, 0xffffffff, 0, "SCMP_CMP_GT"},
                                        {0, above, 0, "SCMP_CMP_GE"},
                                        {0, above, above, "SCMP_CMP_MASKED_EQ"}}) {
        CHECK(holds(arg, above + 2));
        CHECK_FALSE(holds(arg, 2));
    }
    for (const spec::SeccompArg& arg : {spec::SeccompArg{0, 0xffffffff, 0, "SCMP_CMP_LE"},
                                        {0, above, 0, "SCMP_CMP_LT"},
                                        {0, UINT64_MAX << 32, 0, "SCMP_CMP_MASKED_EQ"}}) {
        CHECK_FALSE(holds(arg, above + 2));
        CHECK(holds(arg, 2));
    }
}

TEST_CASE("a mask is laid on the datum as well") {
    const auto program =
        compile_filter({.default_action = "SCMP_ACT_ALLOW",
                        .syscalls = {{.names = {"chmod"},
                                      .action = "SCMP_ACT_ERRNO",
                                      .args = {{1, 0100, 0300, "SCMP_CMP_MASKED_EQ"}}}}});
    CHECK(decide(program, native(90, 0, 0500)) == (SECCOMP_RET_ERRNO | EPERM));
    CHECK(decide(program, native(90, 0, 0400)) == SECCOMP_RET_ALLOW);
}

TEST_CASE("the newest calls have their numbers, each interface's own") {
    const spec::Seccomp profile{
        .default_action = "SCMP_ACT_ALLOW",
        .architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_MIPSEL64"},
        .syscalls = {
            {.names = {"file_setattr", "fchroot", "uretprobe"}, .action = "SCMP_ACT_ERRNO"}}};
    const auto program = compile_filter(profile);
    const auto refuses = [&](uint32_t arch, int number) {
        return decide(program,
                      {.nr = number, .arch = arch, .instruction_pointer = 0, .args = {}}) ==
               (SECCOMP_RET_ERRNO | EPERM);
    };
    for (const int number : {469, 472, 335, 0x40000000 + 469, 0x40000000 + 335})
        CHECK(refuses(AUDIT_ARCH_X86_64, number));
    for (const int number : {469, 472}) CHECK(refuses(AUDIT_ARCH_I386, number));
    CHECK(refuses(AUDIT_ARCH_MIPSEL64, 5469));
    CHECK_FALSE(refuses(AUDIT_ARCH_I386, 335));
    CHECK_FALSE(refuses(AUDIT_ARCH_MIPSEL64, 469));
}

TEST_CASE("a filter that only feigns what makes the process who it is to be is refused, where it "
          "comes first") {
    spec::Process process;
    process.user.uid = 5;
    const auto refused = [&](spec::Seccomp profile) {
        return error_of([&] { check_nothing_feigned(profile, process); });
    };
    const spec::Seccomp feigned{
        .default_action = "SCMP_ACT_ALLOW",
        .syscalls = {{.names = {"setuid"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 0}}};
    CHECK_THAT(refused(feigned), ContainsSubstring("\"setuid\" would only seem to be done"));
    const spec::Seccomp all_feigned{.default_action = "SCMP_ACT_ERRNO", .default_errno_ret = 0};
    CHECK_THAT(refused(all_feigned), ContainsSubstring("\"execve\" would only seem"));
    spec::Seccomp but_execve = all_feigned;
    but_execve.syscalls = {{.names = {"execve"}, .action = "SCMP_ACT_ALLOW"}};
    CHECK_THAT(refused(but_execve), ContainsSubstring("\"capset\""));
    // An error is told, and nobody else is to be had.
    CHECK(refused({.default_action = "SCMP_ACT_ALLOW",
                   .syscalls = {{.names = {"setuid"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 1}}})
              .empty());
    process.user.uid = 0;
    CHECK(refused(feigned).empty());
    process.user.uid = 5, process.no_new_privileges = true;
    CHECK(refused(feigned).empty());
    CHECK(refused(but_execve).empty());
    CHECK_THAT(refused(all_feigned), ContainsSubstring("\"execve\""));
}
