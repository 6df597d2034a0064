// Thousands of profiles that nobody would write: the program answers each call as the profile, read
// word by word, does; and as libseccomp's program does for simple ones on x86_64. (Where several
// rules of one call have several conditions, or order is asked for, libseccomp 2.5.4 answers
// differently from how such a profile reads, or takes for ever.) Where a call reads less of an
// argument than its register holds, the two differ by intent (runtime/seccomp/arguments.h):
// libseccomp is asked about what the call reads, and we about the whole register.
#include "tests/unit/filters.h"

#include <random>

#include "runtime/seccomp/arguments.h"
#include "runtime/seccomp/program.h"

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
constexpr const char* architectures[] = {"SCMP_ARCH_X86",      "SCMP_ARCH_X32",
                                         "SCMP_ARCH_AARCH64",  "SCMP_ARCH_ARM",
                                         "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32"};
constexpr const char* operators[] = {"SCMP_CMP_NE",       "SCMP_CMP_LT", "SCMP_CMP_LE",
                                     "SCMP_CMP_EQ",       "SCMP_CMP_GE", "SCMP_CMP_GT",
                                     "SCMP_CMP_MASKED_EQ"};
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

// i386 reaches these through one call with a pointer, whose arguments no filter sees.
bool is_multiplexed(std::string_view call) {
    return call == "socket" || call == "semget" || call == "bind";
}

enum class Kind { any, simple };  // one rule a call, with one condition, and nothing about order

spec::SeccompSyscall any_rule(Dice& dice, std::string_view call, const char* action, Kind kind) {
    spec::SeccompSyscall rule{.names = {std::string(call)}, .action = action};
    if (action == actions[1] || action == actions[4]) rule.errno_ret = uint32_t(dice.below(4096));
    constexpr const char* equalities[] = {"SCMP_CMP_NE", "SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"};
    for (size_t left = dice.below(kind == Kind::simple ? 2 : 4); left > 0; --left)
        rule.args.push_back(
            {is_multiplexed(call) ? 0 : uint32_t(dice.below(6)), any_value(dice), any_value(dice),
             kind == Kind::simple ? dice.one_of(equalities) : dice.one_of(operators)});
    return rule;
}

// Several rules for one call, all with one action: which of two that hold counts is nobody's
// promise.
spec::Seccomp any_profile(Dice& dice, Kind kind) {
    spec::Seccomp profile{.default_action = dice.one_of(actions)};
    for (const char* name : architectures)
        if (kind == Kind::any && dice.below(3) == 0) profile.architectures.push_back(name);
    for (size_t left = 1 + dice.below(4); left > 0; --left) {
        const std::string_view call = dice.one_of(calls);
        const auto named = [&](const spec::SeccompSyscall& rule) {
            return std::ranges::find(rule.names, call) != rule.names.end();
        };
        if (std::ranges::any_of(profile.syscalls, named)) continue;
        const char* action = dice.one_of(actions);
        const auto first = any_rule(dice, call, action, kind);
        profile.syscalls.push_back(first);
        while (kind == Kind::any && dice.below(2) != 0) {
            profile.syscalls.push_back(any_rule(dice, call, action, kind));
            profile.syscalls.back().errno_ret = first.errno_ret;
        }
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

Condition condition_of(const spec::SeccompArg& arg) {
    constexpr Compare compares[] = {
        Compare::not_equal,     Compare::less,    Compare::less_equal,  Compare::equal,
        Compare::greater_equal, Compare::greater, Compare::masked_equal};
    return {arg.index, compares[std::ranges::find(operators, std::string_view(arg.op)) - operators],
            arg.value, arg.value_two};
}

// Whether a condition of the profile looks above what the call reads of that argument.
bool asks_above(const spec::Seccomp& profile, std::string_view call, unsigned argument,
                unsigned bits) {
    for (const spec::SeccompSyscall& rule : profile.syscalls)
        for (const spec::SeccompArg& arg : rule.args)
            if (rule.names[0] == call && arg.index == argument &&
                asks_for_upper_bits(condition_of(arg), bits))
                return true;
    return false;
}

bool holds(const spec::SeccompArg& arg, uint64_t argument, unsigned width, unsigned bits) {
    const Condition c = condition_of(arg);
    const unsigned seen = asks_for_upper_bits(c, bits) ? width : std::min(width, bits);
    const uint64_t a = cut(argument, seen), value = cut(c.value, seen),
                   second = cut(c.second, seen);
    switch (c.compare) {
        case Compare::not_equal: return a != value;
        case Compare::less: return a < value;
        case Compare::less_equal: return a <= value;
        case Compare::equal: return a == value;
        case Compare::greater_equal: return a >= value;
        case Compare::greater: return a > value;
        case Compare::masked_equal: return (a & value) == (second & value);
    }
    return false;
}

// The profile, read word by word: what the call gets.
uint32_t answer(const spec::Seccomp& profile, std::string_view name, const seccomp_data& call,
                unsigned width, const ArgumentBits& bits) {
    for (const spec::SeccompSyscall& rule : profile.syscalls) {
        if (rule.names[0] != name) continue;
        std::set<uint32_t> indices;
        for (const spec::SeccompArg& arg : rule.args) indices.insert(arg.index);
        const auto fits = [&](const spec::SeccompArg& arg) {
            return holds(arg, call.args[arg.index], width, bits[arg.index]);
        };
        const bool either = indices.size() < rule.args.size();
        if (either ? std::ranges::any_of(rule.args, fits) : std::ranges::all_of(rule.args, fits))
            return action_of(rule.action, rule.errno_ret);
    }
    return action_of(profile.default_action, {});
}

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

// One call of an interface with arguments of all kinds: the first difference, in words.
std::string difference(const spec::Seccomp& profile, std::string_view name, const Interface& at,
                       Dice& dice, const std::vector<sock_filter>& ours,
                       const std::vector<sock_filter>* theirs, size_t& asked) {
    const int number = ::seccomp_syscall_resolve_name_arch(at.resolves, std::string(name).c_str());
    if (number < 0) return {};
    const ArgumentBits bits = bits_read(name, at.token);
    const unsigned width = at.resolves == SCMP_ARCH_X86_64 || at.resolves == SCMP_ARCH_AARCH64 ||
                                   at.resolves == SCMP_ARCH_MIPSEL64 ||
                                   at.resolves == SCMP_ARCH_PPC64LE ||
                                   at.resolves == SCMP_ARCH_RISCV64
                               ? 64
                               : 32;
    const std::vector<uint64_t> values = values_near(profile);
    for (int round = 0; round < 24; ++round, ++asked) {
        seccomp_data call{.nr = number, .arch = at.token, .instruction_pointer = 0, .args = {}};
        for (auto& argument : call.args) argument = dice.one_of(values);
        seccomp_data read = call;
        for (unsigned i = 0; i < 6; ++i) {
            read.args[i] = cut(call.args[i], bits[i]);
            if (asks_above(profile, name, i, bits[i])) call.args[i] = read.args[i];
        }
        const uint32_t got = decide(ours, call), wanted = answer(profile, name, call, width, bits),
                       reference = theirs ? decide(*theirs, read) : wanted;
        if (got == wanted && got == reference) continue;
        std::string arguments;
        for (const uint64_t argument : call.args) append(arguments, str(" ", argument));
        return str(name, " on ", at.resolves, ":", arguments, ": ", got, " instead of ", wanted,
                   ", libseccomp's ", reference);
    }
    return {};
}

std::string shown(const spec::Seccomp& profile) {
    spec::Config config;
    config.linux.seccomp = profile;
    return spec::write(config);
}

// The first difference of a profile's program, in words.
std::string difference(const spec::Seccomp& profile, Dice& dice,
                       const std::vector<sock_filter>* theirs, size_t& asked) {
    const auto ours = compile_filter(profile);
    // A call that is younger than all that a profile names is not there: meant, and tested
    // elsewhere.
    const std::string young = str(": ", SECCOMP_RET_ERRNO | ENOSYS, " instead of ",
                                  action_of(profile.default_action, {}));
    for (const Interface& interface : interfaces_of(profile))
        for (const std::string_view name : calls) {
            const std::string found =
                difference(profile, name, interface, dice, ours, theirs, asked);
            if (!found.empty() && !found.contains(young)) return found;
        }
    return {};
}

}  // namespace

TEST_CASE("random profiles answer as they read") {
    size_t asked = 0;
    for (unsigned seed = 1; seed <= 2000; ++seed) {
        Dice dice(seed);
        const spec::Seccomp profile = any_profile(dice, Kind::any);
        const std::string found = difference(profile, dice, nullptr, asked);
        if (found.empty()) continue;
        CAPTURE(seed, shown(profile));
        REQUIRE(found == "");
    }
    CHECK(asked > 1'000'000);
}

TEST_CASE("random profiles about equality answer as libseccomp's") {
    size_t asked = 0;
    for (unsigned seed = 1; seed <= 1000; ++seed) {
        Dice dice(seed);
        const spec::Seccomp profile = any_profile(dice, Kind::simple);
        const auto theirs = reference(profile);
        const std::string found = difference(profile, dice, &theirs, asked);
        if (found.empty()) continue;
        CAPTURE(seed, shown(profile));
        REQUIRE(found == "");
    }
    CHECK(asked > 200'000);
}
