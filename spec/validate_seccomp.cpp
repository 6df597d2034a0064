// The rules of config-linux.md about system call filters: see validate.cpp. They are about words,
// and about one thing that no word shows: a rule for a call that nobody knows has no number to
// stand for, so it is lost. If the filter is stricter without it, that harms nobody; if it is
// milder, the call that was to be stopped would go through.
#include "spec/rules.h"
#include "spec/system_calls.h"
#include "spec/validate.h"

namespace spec {

namespace {

constexpr std::string_view place = "linux.seccomp.";

template <void (*check)(const Seccomp&, Findings&)>
void of_seccomp(const Config& config, Findings& out) {
    if (config.linux.seccomp) check(*config.linux.seccomp, out);
}

void each_rule(const Seccomp& seccomp, auto&& visit) {
    for (size_t i = 0; i < seccomp.syscalls.size(); ++i)
        visit(Place("linux.seccomp.syscalls", i), seccomp.syscalls[i]);
}

// In the kernel's order, the strictest first.
constexpr std::pair<std::string_view, int> actions[] = {
    {"SCMP_ACT_KILL_PROCESS", 0}, {"SCMP_ACT_KILL_THREAD", 1}, {"SCMP_ACT_KILL", 1},
    {"SCMP_ACT_TRAP", 2},         {"SCMP_ACT_ERRNO", 3},       {"SCMP_ACT_NOTIFY", 4},
    {"SCMP_ACT_TRACE", 5},        {"SCMP_ACT_LOG", 6},         {"SCMP_ACT_ALLOW", 7}};

bool is_action(std::string_view word) {
    return std::ranges::find(actions, word, [](auto& row) { return row.first; }) !=
           std::end(actions);
}
int leniency(std::string_view action) {
    const auto* row = std::ranges::find(actions, action, [](auto& r) { return r.first; });
    return row == std::end(actions) ? 0 : row->second;
}

bool takes_errno(std::string_view action) {
    return among(action, {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"});
}

void check_argument(const Place& at, const SeccompArg& arg, Findings& out) {
    if (!among(arg.op, {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE",
                        "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"}))
        out.add(at, ".op: string ", arg.op, " is not a valid operator for seccomp");
    if (5 < arg.index)
        out.add(at, ".index: seccomp argument index ", arg.index, " is too large: a call has six");
}

constexpr Rule rules[] = {
    {"seccomp",
     "defaultAction (string, REQUIRED): allowed values are the same as syscalls[].action",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         if (!is_action(seccomp.default_action))
             out.add(place, "defaultAction: string ", seccomp.default_action,
                     " is not a valid action for seccomp");
     }>},
    {"seccomp",
     "errnoRet: when the action doesn't support an errno, the runtime MUST print and error and "
     "fail",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         if (seccomp.default_errno_ret && !takes_errno(seccomp.default_action))
             out.add(place, "defaultErrnoRet: errnoRet is not for seccomp action ",
                     quoted(seccomp.default_action));
         each_rule(seccomp, [&](const Place& at, const SeccompSyscall& rule) {
             if (rule.errno_ret && !takes_errno(rule.action))
                 out.add(at, ".errnoRet: errnoRet is not for seccomp action ", quoted(rule.action));
         });
     }>},
    {"seccomp",
     "errnoRet (uint, OPTIONAL) - the errno return code to use: the kernel's last one is 4095",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         const auto check = [&](const Place& where, uint32_t number) {
             if (4095 < number) out.add(where, ": ", number, " is too large: at most 4095");
         };
         check("linux.seccomp.defaultErrnoRet", seccomp.default_errno_ret.value_or(0));
         each_rule(seccomp, [&](const Place& at, const SeccompSyscall& rule) {
             check(Place(at, "errnoRet"), rule.errno_ret.value_or(0));
         });
     }>},
    {"seccomp", "architectures: a valid list of constants is given",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         for (size_t i = 0; i < seccomp.architectures.size(); ++i)
             if (!is_seccomp_architecture(seccomp.architectures[i]))
                 out.add(place, "architectures[", i, "]: string ", seccomp.architectures[i],
                         " is not a valid arch for seccomp");
     }>},
    {"seccomp", "flags: a valid list of constants is given",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         if (!seccomp.flags) return;
         const std::vector<std::string>& names = *seccomp.flags;
         for (size_t i = 0; i < names.size(); ++i)
             if (!among(names[i], {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                                   "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                   "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}))
                 out.add(place, "flags[", i, "]: string ", names[i],
                         " is not a valid flag for seccomp");
     }>},
    {"seccomp", "listenerMetadata MUST NOT be set if listenerPath is not set",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         if (!seccomp.listener_metadata.empty() && seccomp.listener_path.empty())
             out.add(place, "listenerMetadata: is set, but listenerPath is not");
     }>},
    {"seccomp", "names MUST contain at least one entry",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         each_rule(seccomp, [&](const Place& at, const SeccompSyscall& rule) {
             if (rule.names.empty()) out.add(at, ".names: must contain at least one entry");
         });
     }>},
    {"seccomp", "action (string, REQUIRED) - the action for seccomp rules",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         each_rule(seccomp, [&](const Place& at, const SeccompSyscall& rule) {
             if (!is_action(rule.action))
                 out.add(at, ".action: string ", rule.action, " is not a valid action for seccomp");
         });
     }>},
    {"seccomp",
     "op (string, REQUIRED) - the operator for syscall arguments; index - of at most six arguments",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         each_rule(seccomp, [&](const Place& at, const SeccompSyscall& rule) {
             for (size_t i = 0; i < rule.args.size(); ++i)
                 check_argument(Place(at, "args", i), rule.args[i], out);
         });
     }>},
    {"seccomp",
     "SCMP_ACT_NOTIFY: the runtime sends the seccomp descriptor to listenerPath, and must itself "
     "still be able to",
     of_seccomp<[](const Seccomp& seccomp, Findings& out) {
         if (seccomp.default_action == "SCMP_ACT_NOTIFY")
             out.add(place, "defaultAction: SCMP_ACT_NOTIFY cannot be used as default action");
         each_rule(seccomp, [&](const Place& at, const SeccompSyscall& rule) {
             if (rule.action != "SCMP_ACT_NOTIFY") return;
             if (seccomp.listener_path.empty())
                 out.add(place, "listenerPath: seccomp listenerPath is not set, but "
                                "SCMP_ACT_NOTIFY is used");
             if (std::ranges::find(rule.names, "write") != rule.names.end())
                 out.add(at, ".names: SCMP_ACT_NOTIFY cannot be used for the write syscall");
         });
     }>},
};

constexpr Rule rule_of_names = {
    "seccomp", "names (array of strings, REQUIRED) - the names of the syscalls",
    of_seccomp<[](const Seccomp& seccomp, Findings& out) {
        each_rule(seccomp, [&](const Place& at, const SeccompSyscall& rule) {
            if (const std::string why = problem_with_names(rule, seccomp); !why.empty())
                out.add(at, ".", why);
        });
    }>};

}  // namespace

bool is_seccomp_architecture(std::string_view word) {
    return among(word, {"SCMP_ARCH_X86",      "SCMP_ARCH_X86_64",      "SCMP_ARCH_X32",
                        "SCMP_ARCH_ARM",      "SCMP_ARCH_AARCH64",     "SCMP_ARCH_MIPS",
                        "SCMP_ARCH_MIPS64",   "SCMP_ARCH_MIPS64N32",   "SCMP_ARCH_MIPSEL",
                        "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
                        "SCMP_ARCH_PPC64",    "SCMP_ARCH_PPC64LE",     "SCMP_ARCH_S390",
                        "SCMP_ARCH_S390X",    "SCMP_ARCH_PARISC",      "SCMP_ARCH_PARISC64",
                        "SCMP_ARCH_RISCV64",  "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",
                        "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB"});
}

std::span<const Rule> rules_of_seccomp() { return rules; }
std::span<const Rule> rules_of_call_names() { return {&rule_of_names, 1}; }

std::vector<std::string> problems_with_words(const Seccomp& profile) {
    Config config;
    config.linux.seccomp = profile;
    std::vector<std::string> found;
    Findings findings(found);
    for (const Rule& rule : rules) rule.check(config, findings);
    for (std::string& message : found) message.erase(0, place.size());
    return found;
}

std::string problem_with_names(const SeccompSyscall& rule, const Seccomp& profile) {
    if (leniency(rule.action) >= leniency(profile.default_action)) return "";
    for (size_t i = 0; i < rule.names.size(); ++i)
        if (!is_call(rule.names[i]))
            return str("names[", i, "]: unknown system call ", quoted(rule.names[i]), ": its rule ",
                       rule.action, " cannot be kept");
    return "";
}

}  // namespace spec
