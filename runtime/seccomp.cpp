#include "runtime/seccomp.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"

namespace {

uint32_t action_of(const std::string& name, std::optional<uint32_t> number) {
    if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
    if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(number.value_or(EPERM));
    if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(number.value_or(EPERM));
    if (number) throw Error("errnoRet is not for seccomp action ", quoted(name));
    if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
    if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
    if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
    if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
    if (name == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
    throw Error("invalid seccomp action: ", quoted(name));
}

struct Operator {
    std::string_view name;
    scmp_compare compare;
};
constexpr Operator operators[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_LE", SCMP_CMP_LE}, {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

struct Flag {
    std::string_view name;
    unsigned bit;
};
constexpr Flag flags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1u << 5},
};

void must(int result, std::string_view doing) {
    if (result < 0) throw SysError(-result, str("seccomp: ", doing));
}

void add_rules(scmp_filter_ctx context, const spec::SeccompSyscall& rule, uint32_t fallback) {
    const uint32_t action = action_of(rule.action, rule.errno_ret);
    if (action == fallback) return;   // libseccomp refuses what changes nothing
    std::vector<scmp_arg_cmp> all;
    bool repeats = false;
    for (const spec::SeccompArg& arg : rule.args) {
        const auto* op = std::ranges::find(operators, arg.op, &Operator::name);
        if (op == std::end(operators)) throw Error("invalid seccomp operator: ", quoted(arg.op));
        if (arg.index > 5) throw Error("seccomp argument index ", arg.index, " is too large");
        repeats |= std::ranges::any_of(all, [&](auto& a) { return a.arg == arg.index; });
        all.push_back({arg.index, op->compare, arg.value, arg.value_two});
    }
    for (const std::string& name : rule.names) {
        const int number = ::seccomp_syscall_resolve_name(name.c_str());
        if (number == __NR_SCMP_ERROR) continue;   // unknown here: never called
        // Two conditions on one argument mean "one of them": a rule each, as runc does.
        if (repeats)
            for (const scmp_arg_cmp& one : all) must(::seccomp_rule_add_array(context, action, number, 1, &one), name);
        else
            must(::seccomp_rule_add_array(context, action, number, unsigned(all.size()), all.data()), name);
    }
}

std::vector<sock_filter> exported(scmp_filter_ctx context) {
    const UniqueFd file(check(::memfd_create("seccomp", MFD_CLOEXEC), "memfd_create"));
    must(::seccomp_export_bpf(context, file.get()), "compiling");
    check(::lseek(file.get(), 0, SEEK_SET), "lseek");
    const std::string bytes = sys::read_all(file.get());
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    bytes.copy(reinterpret_cast<char*>(program.data()), program.size() * sizeof(sock_filter));
    return program;
}

}  // namespace

Filter compile_seccomp(const spec::Seccomp& profile) {
    Filter filter;
    filter.listener_path = profile.listener_path, filter.listener_metadata = profile.listener_metadata;
    for (const std::string& name : profile.flags) {
        const auto* flag = std::ranges::find(flags, name, &Flag::name);
        if (flag == std::end(flags)) throw Error("invalid seccomp flag: ", quoted(name));
        filter.flags |= flag->bit;
    }
    const uint32_t fallback = action_of(profile.default_action, profile.default_errno_ret);
    if (fallback == SCMP_ACT_NOTIFY) throw Error("SCMP_ACT_NOTIFY cannot be used as default action");
    for (const spec::SeccompSyscall& rule : profile.syscalls) {
        if (rule.action != "SCMP_ACT_NOTIFY") continue;
        filter.notify = true;
        if (std::ranges::find(rule.names, "write") != rule.names.end())
            throw Error("SCMP_ACT_NOTIFY cannot be used for the write syscall");
    }
    if (filter.notify && filter.listener_path.empty()) throw Error("SCMP_ACT_NOTIFY needs a listenerPath");

    const scmp_filter_ctx context = ::seccomp_init(fallback);
    if (!context) throw Error("seccomp: no filter can be made");
    const Defer release([&] { ::seccomp_release(context); });
    for (const std::string& name : profile.architectures) {
        std::string word = lower(name);
        if (word.starts_with("scmp_arch_")) word.erase(0, 10);
        const uint32_t arch = ::seccomp_arch_resolve_name(word.c_str());
        if (!arch) throw Error("invalid seccomp architecture: ", quoted(name));
        if (const int added = ::seccomp_arch_add(context, arch); added != -EEXIST) must(added, name);
    }
    must(::seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0), "no_new_privs");
    // A tree instead of a list: nine comparisons instead of hundreds.
    must(::seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");
    for (const spec::SeccompSyscall& rule : profile.syscalls) add_rules(context, rule, fallback);
    filter.program = exported(context);
    return filter;
}

UniqueFd install(const Filter& filter) {
    const sock_fprog program{(unsigned short)(filter.program.size()), const_cast<sock_filter*>(filter.program.data())};
    unsigned wanted = filter.flags;
    // A listener and TSYNC exclude each other; there is one thread anyway.
    if (filter.notify) wanted = (wanted & ~unsigned(SECCOMP_FILTER_FLAG_TSYNC)) | SECCOMP_FILTER_FLAG_NEW_LISTENER;
    const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, wanted, &program);
    check(result, "error loading seccomp filter into kernel");
    return filter.notify ? UniqueFd(int(result)) : UniqueFd{};
}
