// Thousands of profiles that nobody would write, held against libseccomp's programs for them.
//
// What several rules of one call mean together, nobody has promised: libseccomp sorts them (the
// last argument first, equality before order), keg takes the first that holds, but one without
// conditions before all others. Whether one rule holds, both know. So libseccomp makes a program of
// each rule alone, and a profile's answer is that of the first rule whose program finds it to hold:
// whatever the profile.
//
// The program that libseccomp makes of a whole profile answers as ours where the rules of a call
// cannot contradict each other: they have one action, and are one, or have one condition each, or
// are all about equality; or they are equalities of one argument. Beside these, and where order is
// asked for, libseccomp 2.5.4 errs in five ways; the last tests have the smallest profiles for
// each.
//
// Where a call reads less of an argument than its register holds, the two differ by intent
// (runtime/seccomp/arguments.h): libseccomp is asked about what the call reads, and we about the
// whole register.
#include <sys/wait.h>

#include <random>

#include "runtime/seccomp/arguments.h"
#include "runtime/seccomp/program.h"
#include "tests/unit/filters.h"

namespace {

class Dice {
public:
    explicit Dice(unsigned seed) : engine_(seed) {}
    size_t below(size_t count) { return size_t(engine_() % count); }
    template <class List>
    auto one_of(const List& list) {
        return std::data(list)[below(std::size(list))];
    }
    uint64_t number() { return engine_(); }

private:
    std::mt19937_64 engine_;
};

constexpr std::string_view calls[] = {
    "socket", "personality", "clone", "kill", "chmod", "mount",   "ioctl", "semget", "bind",
    "mmap",   "openat",      "write", "read", "futex", "mkdirat", "prctl", "reboot", "fchownat"};
// The machine's own is always there, and one filter has one order of bytes.
constexpr const char* architectures[] = {
    "SCMP_ARCH_X86",         "SCMP_ARCH_X32",     "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",         "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64"};
constexpr const char* operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
                                     "SCMP_CMP_LT", "SCMP_CMP_LE",        "SCMP_CMP_GE",
                                     "SCMP_CMP_GT"};
constexpr std::span about_equality(operators, 2);
constexpr const char* actions[] = {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG",
                                   "SCMP_ACT_TRAP",  "SCMP_ACT_TRACE", "SCMP_ACT_KILL_PROCESS"};

// Around the ends of everything; no negative int, of which libseccomp knows nothing.
uint64_t any_value(Dice& dice) {
    constexpr uint64_t ends[] = {0,          1,           2,           40,
                                 0xffff,     0x10000,     0x7fffffff,  0x80000000,
                                 0xffffffff, 0x100000000, 0x100000028, 0x8000000000000000};
    switch (dice.below(4)) {
        case 0: return dice.number() >> dice.below(64) & 0xfffffffeffffffff;
        case 1: return dice.below(64);
        default: return (dice.one_of(ends) + dice.below(3) - 1) & 0xfffffffeffffffff;
    }
}

// i386 reaches these also through one call with a pointer, behind which no filter sees. libseccomp
// compares that pointer with what the second argument should be; the first is the call's number.
bool is_multiplexed(std::string_view call) {
    return call == "socket" || call == "semget" || call == "bind";
}

spec::SeccompArg any_condition(Dice& dice, std::string_view call,
                               std::span<const char* const> chosen = operators) {
    return {is_multiplexed(call) ? 0 : uint32_t(dice.below(6)), any_value(dice), any_value(dice),
            dice.one_of(chosen)};
}

void set_action(Dice& dice, spec::SeccompSyscall& rule) {
    rule.action = dice.one_of(actions), rule.errno_ret.reset();
    if (rule.action == actions[1] || rule.action == actions[4])
        rule.errno_ret = uint32_t(dice.below(4095));  // the kernel takes one more than libseccomp
}

using Rules = std::vector<spec::SeccompSyscall>;

// Of one call: whatever can be written.
Rules any_rules(Dice& dice, std::string_view call) {
    Rules rules;
    for (size_t left = 1 + dice.below(4); left > 0; --left) {
        spec::SeccompSyscall& rule = rules.emplace_back();
        set_action(dice, rule);
        for (size_t more = dice.below(4); more > 0; --more)
            rule.args.push_back(any_condition(dice, call));
    }
    return rules;
}

// Those which cannot contradict each other, in the four ways that the head tells.
Rules consistent_rules(Dice& dice, std::string_view call) {
    // Through i386's door all rules of a call are about one thing.
    const size_t kind = dice.below(is_multiplexed(call) ? 3 : 4);
    Rules rules(kind == 0 ? 1 : 1 + dice.below(4));
    for (spec::SeccompSyscall& rule : rules) {
        set_action(dice, rule);
        if (kind < 3) rule.action = rules[0].action, rule.errno_ret = rules[0].errno_ret;
        const size_t most = kind == 0 || kind == 2 ? dice.below(4) : 1;
        std::set<uint32_t> used;
        for (size_t i = 0; i < most; ++i) {
            const auto one =
                kind < 2 ? any_condition(dice, call) : any_condition(dice, call, about_equality);
            // Two conditions on one argument are rules of their own, so that one is several.
            if (used.insert(one.index).second) rule.args.push_back(one);
        }
        if (kind != 3) continue;
        // Different where arguments have 32 bits, too.
        spec::SeccompArg& one = rule.args[0];
        one.index = rules[0].args[0].index, one.op = operators[0], one.value &= UINT32_MAX;
    }
    return rules;
}

spec::Seccomp any_profile(Dice& dice, Rules (*rules_for)(Dice&, std::string_view)) {
    spec::Seccomp profile{.default_action = dice.one_of(actions)};
    for (const char* name : architectures)
        if (dice.below(4) == 0) profile.architectures.push_back(name);
    std::set<std::string_view> chosen;
    for (size_t left = 1 + dice.below(4); left > 0; --left) chosen.insert(dice.one_of(calls));
    for (const std::string_view call : chosen)
        for (spec::SeccompSyscall& rule : rules_for(dice, call)) {
            rule.names = {std::string(call)};
            profile.syscalls.push_back(std::move(rule));
        }
    return profile;
}

// The values that the profile compares with, and their neighbours.
std::vector<uint64_t> values_near(const spec::Seccomp& profile) {
    std::set<uint64_t> values{0, UINT64_MAX, 0x28};
    for (const spec::SeccompSyscall& rule : profile.syscalls)
        for (const spec::SeccompArg& arg : rule.args)
            for (const uint64_t value : {arg.value, arg.value_two, arg.value & arg.value_two})
                for (const uint64_t near :
                     {value - 1, value, value + 1, value ^ uint64_t(1) << 32, value ^ 0x10000})
                    values.insert(near);
    return {values.begin(), values.end()};
}

// Whether a condition of the profile looks above what the call reads of that argument.
bool asks_above(const spec::Seccomp& profile, std::string_view call, unsigned argument,
                unsigned bits) {
    constexpr Compare compares[] = {Compare::equal,  Compare::masked_equal, Compare::not_equal,
                                    Compare::less,   Compare::less_equal,   Compare::greater_equal,
                                    Compare::greater};
    for (const spec::SeccompSyscall& rule : profile.syscalls)
        for (const spec::SeccompArg& arg : rule.args) {
            const auto at = std::ranges::find(operators, std::string_view(arg.op)) - operators;
            if (rule.names[0] == call && arg.index == argument &&
                asks_for_upper_bits({argument, compares[at], arg.value, arg.value_two}, bits))
                return true;
        }
    return false;
}

using Program = std::vector<sock_filter>;

// libseccomp's word on each rule: whether it holds for a call.
class RuleByRule {
public:
    explicit RuleByRule(const spec::Seccomp& profile)
        : fallback_(action_of(profile.default_action, {})) {
        for (const spec::SeccompSyscall& rule : profile.syscalls) {
            Judged& judged = rules_.emplace_back();
            judged.action = action_of(rule.action, rule.errno_ret);
            judged.settles = rule.args.empty();
            for (const Conditions& part : parts_of(rule))
                judged.programs.push_back(
                    reference({.default_action = "SCMP_ACT_ALLOW",
                               .architectures = profile.architectures,
                               .syscalls = {{rule.names, "SCMP_ACT_TRAP", {}, part}}}));
        }
    }
    uint32_t answer(const seccomp_data& call) const {
        for (const bool settles : {true, false})
            for (const Judged& rule : rules_)
                // One that says what holds anyway says nothing, as for runc.
                if (rule.settles == settles && rule.action != fallback_ && holds(rule, call))
                    return rule.action;
        return fallback_;
    }

private:
    struct Judged {
        std::vector<Program> programs;  // one of them is enough
        uint32_t action = 0;
        bool settles = false;
    };
    static bool holds(const Judged& rule, const seccomp_data& call) {
        return std::ranges::any_of(rule.programs, [&](const Program& program) {
            return decide(program, call) == SCMP_ACT_TRAP;
        });
    }
    std::vector<Judged> rules_;
    uint32_t fallback_;
};

struct Interface {
    uint32_t token, resolves;  // x32 comes under the token of x86_64
};
std::vector<Interface> interfaces_of(const spec::Seccomp& profile) {
    std::vector<Interface> found{{SCMP_ARCH_X86_64, SCMP_ARCH_X86_64}};
    for (const std::string& name : profile.architectures) {
        const uint32_t token = ::seccomp_arch_resolve_name(lower(name.substr(10)).c_str());
        found.push_back({token == SCMP_ARCH_X32 ? uint32_t(SCMP_ARCH_X86_64) : token, token});
    }
    return found;
}

using Answer = std::function<uint32_t(const seccomp_data&)>;

// One call of an interface with arguments of all kinds: the first difference, in words.
std::string difference(const spec::Seccomp& profile, std::string_view name, const Interface& at,
                       Dice& dice, const Program& ours, const Answer& theirs, size_t& asked) {
    const int number = ::seccomp_syscall_resolve_name_arch(at.resolves, std::string(name).c_str());
    const bool is_door = name == "socketcall" || name == "ipc";
    if (number < 0) return {};
    const ArgumentBits bits = bits_read(name, at.token);
    const std::vector<uint64_t> values = values_near(profile);
    for (int round = 0; round < 16; ++round, ++asked) {
        seccomp_data call{.nr = number, .arch = at.token, .instruction_pointer = 0, .args = {}};
        for (auto& argument : call.args) argument = dice.one_of(values);
        if (is_door) call.args[0] = dice.below(4);  // socket, bind and semget are among these
        seccomp_data read = call;
        for (unsigned i = 0; i < 6; ++i) {
            read.args[i] = cut(call.args[i], bits[i]);
            if (asks_above(profile, name, i, bits[i])) call.args[i] = read.args[i];
        }
        const uint32_t got = decide(ours, call), wanted = theirs(read);
        if (got == wanted) continue;
        std::string arguments;
        for (const uint64_t argument : call.args) append(arguments, str(" ", argument));
        return str(name, " on ", at.resolves, ":", arguments, ": ", got, " instead of ", wanted);
    }
    return {};
}

std::string shown(const spec::Seccomp& profile) {
    spec::Config config;
    config.linux.seccomp = profile;
    return spec::write(config);
}

// The first difference of a profile's program, in words.
std::string difference(const spec::Seccomp& profile, Dice& dice, const Answer& theirs,
                       size_t& asked) {
    const Program ours = compile_filter(profile);
    // A call that is younger than all that a profile names is not there: meant, and tested
    // elsewhere.
    const std::string young = str(": ", SECCOMP_RET_ERRNO | ENOSYS, " instead of ",
                                  action_of(profile.default_action, {}));
    std::vector<std::string_view> names(std::begin(calls), std::end(calls));
    names.insert(names.end(), {"socketcall", "ipc"});
    for (const Interface& interface : interfaces_of(profile))
        for (const std::string_view name : names) {
            const std::string found =
                difference(profile, name, interface, dice, ours, theirs, asked);
            if (!found.empty() && !found.contains(young)) return found;
        }
    return {};
}

// Whether a comparison of the program is reached with different words in the accumulator, or with
// one word under different masks, or still with the architecture where that is settled: it compares
// what it was not written for.
bool compares_what_it_did_not_load(const Program& program) {
    using Held = std::pair<uint32_t, uint32_t>;  // where it was loaded from, and the mask
    constexpr Held nothing{UINT32_MAX, 0};
    constexpr uint32_t architecture = offsetof(seccomp_data, arch);
    std::vector<std::set<Held>> before(program.size());
    before[0] = {nothing};
    for (size_t at = 0; at < program.size(); ++at) {
        const sock_filter& i = program[at];
        const auto go_on = [&](size_t distance, const Held& held) {
            before[at + 1 + distance].insert(held);
        };
        const bool compares = BPF_CLASS(i.code) == BPF_JMP && i.code != (BPF_JMP | BPF_JA);
        if (compares && (before[at].size() > 1 || before[at].contains(nothing))) return true;
        for (const Held& held : before[at]) {
            if (i.code == (BPF_LD | BPF_W | BPF_ABS)) go_on(0, {i.k, UINT32_MAX});
            if (i.code == (BPF_ALU | BPF_AND | BPF_K)) go_on(0, {held.first, held.second & i.k});
            if (i.code == (BPF_JMP | BPF_JA)) go_on(i.k, held);
            if (compares)
                go_on(i.jt, held.first == architecture ? nothing : held), go_on(i.jf, held);
        }
    }
    return false;
}

// --- where libseccomp errs

// Rules of mmap, on x86_64, with the first two arguments in words: "a0 GE 1, a1 LT 2".
spec::Seccomp written(const std::vector<std::vector<spec::SeccompArg>>& rules) {
    spec::Seccomp profile{.default_action = "SCMP_ACT_ALLOW"};
    for (const auto& args : rules)
        profile.syscalls.push_back({{"mmap"}, "SCMP_ACT_ERRNO", 1, args});
    return profile;
}

uint32_t mmap_gets(const Program& program, uint64_t first, uint64_t second) {
    return decide(program, {.nr = ::seccomp_syscall_resolve_name("mmap"),
                            .arch = SCMP_ARCH_X86_64,
                            .instruction_pointer = 0,
                            .args = {first, second}});
}

// Whether this is the libseccomp of which the tests below speak: of a later one they only ask what
// ours does.
bool is_debian_12s() {
    const scmp_version* version = ::seccomp_version();
    return version->major == 2 && version->minor == 5 && version->micro == 4;
}

constexpr uint32_t refused = SECCOMP_RET_ERRNO | 1, allowed = SECCOMP_RET_ALLOW;

void check_mmap(const spec::Seccomp& profile, uint64_t first, uint64_t second, uint32_t right) {
    const seccomp_data call{.nr = ::seccomp_syscall_resolve_name("mmap"),
                            .arch = SCMP_ARCH_X86_64,
                            .instruction_pointer = 0,
                            .args = {first, second}};
    CHECK(decide(compile_filter(profile), call) == right);
    CHECK(RuleByRule(profile).answer(call) == right);
    if (is_debian_12s()) CHECK(decide(reference(profile), call) != right);
}

}  // namespace

TEST_CASE("random profiles answer as the first rule that libseccomp finds to hold") {
    size_t asked = 0;
    for (unsigned seed = 1; seed <= 300; ++seed) {
        Dice dice(seed);
        const spec::Seccomp profile = any_profile(dice, any_rules);
        const RuleByRule theirs(profile);
        const std::string found = difference(
            profile, dice, [&](const seccomp_data& call) { return theirs.answer(call); }, asked);
        if (found.empty()) continue;
        CAPTURE(seed, shown(profile));
        REQUIRE(found == "");
    }
    CHECK(asked > 200'000);
}

TEST_CASE("random profiles without contradictions answer as libseccomp's program of the whole") {
    size_t asked = 0, left_out = 0;
    for (unsigned seed = 1; seed <= 1000; ++seed) {
        Dice dice(seed);
        const spec::Seccomp profile = any_profile(dice, consistent_rules);
        const Program theirs = reference(profile);
        if (compares_what_it_did_not_load(theirs)) {
            ++left_out;
            continue;
        }
        const std::string found = difference(
            profile, dice, [&](const seccomp_data& call) { return decide(theirs, call); }, asked);
        if (found.empty()) continue;
        CAPTURE(seed, shown(profile));
        REQUIRE(found == "");
    }
    CHECK(asked > 700'000);
    CHECK(left_out < 200);
}

TEST_CASE("libseccomp 2.5.4 compares a half of an argument with what is for the other") {
    // With 2 the second comparison of the upper half finds the lower one in the accumulator.
    const spec::Seccomp profile =
        written({{{0, 0, 0, "SCMP_CMP_LE"}}, {{0, 0x100000001, 0, "SCMP_CMP_LE"}}});
    check_mmap(profile, 2, 0, refused);
    if (is_debian_12s()) CHECK(compares_what_it_did_not_load(reference(profile)));
    CHECK_FALSE(compares_what_it_did_not_load(compile_filter(profile)));
}

TEST_CASE("libseccomp 2.5.4 compares an architecture with the numbers of its calls") {
    // Its first rule there is for a call that riscv64 has not, and with it went the loading.
    const spec::Seccomp profile{
        .default_action = "SCMP_ACT_ALLOW",
        .architectures = {"SCMP_ARCH_RISCV64"},
        .syscalls = {{{"chmod"}, "SCMP_ACT_ERRNO", 1, {}},
                     {{"kill"}, "SCMP_ACT_ERRNO", 1, {{0, 0, 0, "SCMP_CMP_EQ"}}}}};
    const seccomp_data kill{.nr = ::seccomp_syscall_resolve_name_arch(SCMP_ARCH_RISCV64, "kill"),
                            .arch = SCMP_ARCH_RISCV64,
                            .instruction_pointer = 0,
                            .args = {}};
    CHECK(decide(compile_filter(profile), kill) == refused);
    if (!is_debian_12s()) return;
    CHECK(decide(reference(profile), kill) == allowed);
    CHECK(compares_what_it_did_not_load(reference(profile)));
}

TEST_CASE("libseccomp 2.5.4 loses a rule of which only the beginning is in another") {
    check_mmap(
        written({{{0, 1, 0, "SCMP_CMP_GE"}}, {{0, 0, 0, "SCMP_CMP_GE"}, {1, 0, 0, "SCMP_CMP_NE"}}}),
        0, 1, refused);
}

TEST_CASE("libseccomp 2.5.4 applies what one rule says behind its condition behind another's") {
    // The upper halves of both conditions are one, and so is what comes behind them.
    check_mmap(written({{{0, 0, 0, "SCMP_CMP_GE"}, {1, 1, 0, "SCMP_CMP_LT"}},
                        {{0, 1, 0, "SCMP_CMP_GE"}, {1, 1, 0, "SCMP_CMP_GT"}}}),
               0, 2, allowed);
}

TEST_CASE("libseccomp 2.5.4 comes to no end with two rules that begin with the same 'not'") {
    const spec::Seccomp profile = written({{{0, 0, 0, "SCMP_CMP_NE"}, {1, 1, 0, "SCMP_CMP_LT"}},
                                           {{0, 0, 0, "SCMP_CMP_NE"}, {1, 0, 0, "SCMP_CMP_NE"}}});
    const Program ours = compile_filter(profile);
    CHECK(mmap_gets(ours, 1, 5) == refused);
    CHECK(mmap_gets(ours, 0, 5) == allowed);
    if (!is_debian_12s()) return;
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(1);
        reference(profile);
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
}

TEST_CASE("of two rules that hold the first counts, where libseccomp takes the later argument's") {
    spec::Seccomp profile = written({{{0, 1, 0, "SCMP_CMP_EQ"}}, {{1, 1, 0, "SCMP_CMP_EQ"}}});
    profile.syscalls[0].errno_ret = 5, profile.syscalls[1].errno_ret = 6;
    CHECK(mmap_gets(compile_filter(profile), 1, 1) == (SECCOMP_RET_ERRNO | 5));
    if (is_debian_12s()) CHECK(mmap_gets(reference(profile), 1, 1) == (SECCOMP_RET_ERRNO | 6));
}

TEST_CASE("a rule without conditions holds through i386's door for many calls, too") {
    spec::Seccomp profile{.default_action = "SCMP_ACT_ALLOW",
                          .architectures = {"SCMP_ARCH_X86"},
                          .syscalls = {{{"socket"}, "SCMP_ACT_ERRNO", 5, {{0, 1, 0, operators[0]}}},
                                       {{"socket"}, "SCMP_ACT_ERRNO", 6, {}}}};
    const Program program = compile_filter(profile);
    for (const int number : {359, 102})  // socket, socketcall
        CHECK(
            decide(program,
                   {.nr = number, .arch = SCMP_ARCH_X86, .instruction_pointer = 0, .args = {1}}) ==
            (SECCOMP_RET_ERRNO | 6));
}
