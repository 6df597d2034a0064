// A name is another number on each interface, or none, or two doors at once (i386's socketcall and
// ipc beside direct calls); x32 lives in x86_64's table behind a bit. A number beyond those a
// profile names is a call that was invented later, and gets ENOSYS, so that a C library falls back.
// The machine's own interface has a table even if the profile lists only others.
#include "runtime/seccomp/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

#include "base/error.h"
#include "base/log.h"
#include "runtime/seccomp/program.h"
#include "spec/system_calls.h"

namespace {

struct Action {
    std::string_view name;
    uint32_t code;         // SECCOMP_RET_…
    bool number = false;   // takes errnoRet
    bool refuses = false;  // the program cannot go on as if the kernel had done it
};
constexpr Action actions[] = {
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true, true},
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false, true},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false, true},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false, true},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false, true},
};

struct Operator {
    std::string_view name;
    Compare compare;
};
constexpr Operator operators[] = {
    {"SCMP_CMP_EQ", Compare::equal},     {"SCMP_CMP_GE", Compare::greater_equal},
    {"SCMP_CMP_GT", Compare::greater},   {"SCMP_CMP_LE", Compare::less_equal},
    {"SCMP_CMP_LT", Compare::less},      {"SCMP_CMP_MASKED_EQ", Compare::masked_equal},
    {"SCMP_CMP_NE", Compare::not_equal},
};

struct Architecture {
    std::string_view name;
    uint32_t token;
};
// The last four are younger than the libseccomp of Debian 12.
constexpr Architecture architectures[] = {
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_LOONGARCH64", 0xC0000102},
    {"SCMP_ARCH_M68K", 4},
    {"SCMP_ARCH_SH", 0x4000002A},
    {"SCMP_ARCH_SHEB", 42},
};

struct Flag {
    std::string_view name;
    unsigned bit;
    bool for_agents = false;  // the kernel takes it only with a listener
};
constexpr Flag flags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1u << 5, true},
};

constexpr uint32_t x32_bit = 0x40000000;

template <class Row, size_t N>
const Row& look_up(const Row (&table)[N], const std::string& name, std::string_view what) {
    const Row* found = std::ranges::find(table, name, &Row::name);
    if (found == std::end(table))
        throw Error("string ", name, " is not a valid ", what, " for seccomp");
    return *found;
}

template <class Row, size_t N>
std::vector<std::string> names_of(const Row (&table)[N]) {
    std::vector<std::string> names;
    for (const Row& row : table) names.emplace_back(row.name);
    std::ranges::sort(names);
    return names;
}

uint32_t action_of(const std::string& name, std::optional<uint32_t> number) {
    const Action& action = look_up(actions, name, "action");
    if (!action.number && number) throw Error("errnoRet is not for seccomp action ", quoted(name));
    if (number.value_or(0) > 0xfff) throw Error("seccomp errnoRet ", *number, " is too large");
    return action.code | (action.number ? number.value_or(EPERM) : 0);
}

// A rule of the profile with its words looked up.
struct Rule {
    const std::vector<std::string>& names;
    std::vector<Decision> decisions;
};

Rule read_rule(const spec::SeccompSyscall& rule) {
    const uint32_t action = action_of(rule.action, rule.errno_ret);
    std::vector<Condition> all;
    bool repeats = false;
    for (const spec::SeccompArg& arg : rule.args) {
        if (arg.index > 5) throw Error("seccomp argument index ", arg.index, " is too large");
        repeats |= std::ranges::any_of(all, [&](auto& c) { return c.argument == arg.index; });
        all.push_back(
            {arg.index, look_up(operators, arg.op, "operator").compare, arg.value, arg.value_two});
    }
    if (!repeats) return {rule.names, {{all, action}}};
    // Two conditions on one argument mean "one of them", as for runc.
    Rule read{rule.names, {}};
    for (const Condition& one : all) read.decisions.push_back({{one}, action});
    return read;
}

// What is lost of a profile without harm: a name that nobody knows in a rule that is milder than
// the default (any other is refused, spec/validate_seccomp.cpp).
void tell_of_unknown_names(const spec::Seccomp& profile) {
    if (log_settings().level != LogLevel::debug) return;
    for (const spec::SeccompSyscall& rule : profile.syscalls)
        for (const std::string& name : rule.names)
            if (!spec::is_call(name))
                log_debug(
                    str("seccomp: unknown system call ", quoted(name), " gets the default action"));
}

void decide(CallTable& table, const std::string& name, int number, bool wide,
            const std::vector<Decision>& decisions) {
    const ArgumentBits bits = bits_read(name, table.token);
    for (const Decision& decision : decisions)
        table.calls.push_back({uint32_t(number), wide, bits, &decision});
}

// libseccomp's numbers for them are -100 - n and -200 - n; the arguments lie behind a pointer
// there, where no filter can see them. Gives the number of the call by itself, 0 if it has none.
uint32_t decide_multiplexed(CallTable& table, const std::string& name, int number, bool wide,
                            const std::vector<Decision>& decisions, std::deque<Decision>& made) {
    const bool socket = number > -200;
    const char* door = socket ? "socketcall" : "ipc";
    const int door_number = spec::call_number(door, table.token);
    if (door_number < 0) return 0;
    const auto which = uint64_t(socket ? -number - 100 : -number - 200);
    for (const Decision& decision : decisions) {
        made.push_back({{{0, Compare::equal, which, 0}}, decision.action});
        table.calls.push_back({uint32_t(door_number), wide, bits_read(door, table.token),
                               &made.back(), decision.conditions.empty()});
    }
    const auto direct = spec::direct_number(name, table.token);
    if (direct) decide(table, name, int(*direct), wide, decisions);
    return direct.value_or(0);
}

// One interface's calls go into the table of its token: x32 comes under the token of x86_64, with a
// bit set in the numbers. Gives the largest number. Decisions that were made on the way go to
// `made`.
uint32_t add_calls(CallTable& table, uint32_t token, const std::vector<Rule>& rules,
                   uint32_t fallback, std::deque<Decision>& made) {
    const bool wide =
        (token & __AUDIT_ARCH_64BIT) != 0 && (token & __AUDIT_ARCH_CONVENTION_MIPS64_N32) == 0;
    uint32_t largest = 0;
    for (const Rule& rule : rules)
        for (const std::string& name : rule.names) {
            const int number = spec::call_number(name, token);
            if (number >= 0) largest = std::max(largest, uint32_t(number));
            if (rule.decisions[0].action == fallback) continue;  // says nothing new
            if (number >= 0)
                decide(table, name, number, wide, rule.decisions);
            else if (number < -100 && number > -300)
                largest = std::max(
                    largest, decide_multiplexed(table, name, number, wide, rule.decisions, made));
        }
    return largest;
}

// A profile that refuses what it does not name cannot mean calls that were invented after it: they
// get ENOSYS, so that a C library falls back to what the profile allows (glibc does not for EPERM).
constexpr uint32_t not_there = SECCOMP_RET_ERRNO | ENOSYS;

std::vector<CallTable> tables_for(const std::vector<uint32_t>& tokens,
                                  const std::vector<Rule>& rules, uint32_t fallback, bool refuses,
                                  std::deque<Decision>& made) {
    std::vector<CallTable> tables;
    const bool has_x32 = std::ranges::find(tokens, SCMP_ARCH_X32) != tokens.end();
    for (const uint32_t token : tokens) {
        if (token == SCMP_ARCH_X32) continue;
        CallTable& table = tables.emplace_back();
        table.token = token, table.otherwise = fallback;
        const bool x86_64 = token == SCMP_ARCH_X86_64;
        const uint32_t largest = add_calls(table, token, rules, fallback, made);
        // The last number of all is what a tracer sets to cancel a call.
        if (refuses && largest)
            table.ranges.push_back({largest + 1, x86_64 ? x32_bit - 1 : UINT32_MAX - 1, not_there});
        if (!x86_64) continue;
        const uint32_t largest_x32 =
            has_x32 ? add_calls(table, SCMP_ARCH_X32, rules, fallback, made) : 0;
        if (!has_x32)
            table.ranges.push_back({x32_bit, UINT32_MAX - 1, SECCOMP_RET_KILL_THREAD});
        else if (refuses && largest_x32)
            table.ranges.push_back({largest_x32 + 1, UINT32_MAX - 1, not_there});
    }
    return tables;
}

// The machine's own first, and always; x32 needs x86_64's table to live in.
std::vector<uint32_t> tokens_of(const std::vector<std::string>& names) {
    std::vector<uint32_t> tokens{::seccomp_arch_native()};
    const auto add = [&](uint32_t token) {
        if (std::ranges::find(tokens, token) == tokens.end()) tokens.push_back(token);
    };
    for (const std::string& name : names) {
        const uint32_t token = look_up(architectures, name, "arch").token;
        if (token == SCMP_ARCH_X32) add(SCMP_ARCH_X86_64);
        add(token);
    }
    return tokens;
}

}  // namespace

bool always_allows(const spec::Seccomp& profile, std::string_view call) {
    bool allowed = profile.default_action == "SCMP_ACT_ALLOW";
    for (const auto& rule : profile.syscalls) {
        if (std::ranges::find(rule.names, call) == rule.names.end()) continue;
        if (rule.action != "SCMP_ACT_ALLOW" || !rule.args.empty()) return false;
        allowed = true;
    }
    return allowed;
}

std::vector<std::string> seccomp_actions() { return names_of(actions); }
std::vector<std::string> seccomp_operators() { return names_of(operators); }
std::vector<std::string> seccomp_architectures() { return names_of(architectures); }
std::vector<std::string> seccomp_flags() { return names_of(flags); }

std::vector<std::string> seccomp_flags_of_kernel() {
    std::vector<std::string> names;
    for (const Flag& flag : flags) {
        // Without a program the kernel says EFAULT, unless it does not know the flag.
        const unsigned bits =
            flag.bit | (flag.for_agents ? unsigned(SECCOMP_FILTER_FLAG_NEW_LISTENER) : 0);
        if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, bits, nullptr) < 0 && errno == EFAULT)
            names.emplace_back(flag.name);
    }
    std::ranges::sort(names);
    return names;
}

void check_nothing_feigned(const spec::Seccomp& profile, const spec::Process& process) {
    std::vector<std::string_view> needed = {"execve"};
    if (!process.no_new_privileges) {  // else the filter comes last
        needed.insert(needed.end(), {"capset", "prctl", "setgroups"});
        if (process.user.uid != 0) needed.insert(needed.end(), {"setuid", "setresuid"});
        if (process.user.gid != 0) needed.insert(needed.end(), {"setgid", "setresgid"});
    }
    const auto feigns = [](const std::string& action, std::optional<uint32_t> number) {
        return action == "SCMP_ACT_ERRNO" && number == 0u;
    };
    for (const std::string_view call : needed) {
        bool named = false, feigned = false;
        for (const spec::SeccompSyscall& rule : profile.syscalls) {
            if (std::ranges::find(rule.names, call) == rule.names.end()) continue;
            named = true;
            feigned |= feigns(rule.action, rule.errno_ret);
        }
        if (feigned || (!named && feigns(profile.default_action, profile.default_errno_ret)))
            throw Error("linux.seccomp: with errnoRet 0 the container's own ", quoted(call),
                        " would only seem to be done",
                        call == "execve" ? "" : "; it takes noNewPrivileges");
    }
}

Filter plan_filter(const spec::Seccomp& profile) {
    Filter filter;
    filter.listener_path = profile.listener_path,
    filter.listener_metadata = profile.listener_metadata;
    if (action_of(profile.default_action, profile.default_errno_ret) == SECCOMP_RET_USER_NOTIF)
        throw Error("SCMP_ACT_NOTIFY cannot be used as default action");
    tokens_of(profile.architectures);
    tell_of_unknown_names(profile);
    for (const spec::SeccompSyscall& rule : profile.syscalls) {
        read_rule(rule);
        if (rule.action != "SCMP_ACT_NOTIFY") continue;
        filter.notify = true;
        // The runtime itself could not tell the agent of the filter any more.
        if (std::ranges::find(rule.names, "write") != rule.names.end())
            throw Error("SCMP_ACT_NOTIFY cannot be used for the write syscall");
    }
    filter.asks_to_send = filter.notify && !always_allows(profile, "sendmsg");
    if (filter.notify && filter.listener_path.empty())
        throw Error("seccomp listenerPath is not set, but SCMP_ACT_NOTIFY is used");

    // Without a word about flags: no slower speculation for the sake of a filter (as runc).
    if (!profile.flags)
        filter.flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    else
        for (const std::string& name : *profile.flags) {
            const Flag& flag = look_up(flags, name, "flag");
            if (filter.notify || !flag.for_agents) filter.flags |= flag.bit;
        }
    filter.flags &=
        ~unsigned(SECCOMP_FILTER_FLAG_TSYNC);  // there is one thread, and a listener excludes it
    if (filter.notify) filter.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return filter;
}

std::vector<sock_filter> compile_filter(const spec::Seccomp& profile) {
    std::vector<Rule> rules;
    for (const spec::SeccompSyscall& rule : profile.syscalls) rules.push_back(read_rule(rule));
    const uint32_t fallback = action_of(profile.default_action, profile.default_errno_ret);
    const bool refuses =
        look_up(actions, profile.default_action, "action").refuses && fallback != not_there;
    std::deque<Decision> made;
    return assemble(tables_for(tokens_of(profile.architectures), rules, fallback, refuses, made),
                    SECCOMP_RET_KILL_THREAD);
}

UniqueFd install(const Filter& filter) {
    const sock_fprog program{(unsigned short)(filter.program.size()),
                             const_cast<sock_filter*>(filter.program.data())};
    const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter.flags, &program);
    check(result, "error loading seccomp filter into kernel");
    return filter.notify ? UniqueFd(int(result)) : UniqueFd{};
}
