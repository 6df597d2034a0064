// Filters in user space: a small interpreter of the kernel's programs, and libseccomp's program for
// the same profile, to hold ours against.
#pragma once

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"
#include "runtime/seccomp/filter.h"
#include "tests/unit/catch.h"

// What the kernel's interpreter does, for the instructions that filters are made of.
inline uint32_t decide(const std::vector<sock_filter>& program, const seccomp_data& call) {
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

// libseccomp's word for an action, which is also what its program answers.
inline uint32_t action_of(const std::string& action, std::optional<uint32_t> number) {
    if (action == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(number.value_or(EPERM));
    if (action == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(number.value_or(EPERM));
    static const std::map<std::string, uint32_t> others = {
        {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
        {"SCMP_ACT_LOG", SCMP_ACT_LOG},
        {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
        {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
        {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD}};
    return others.at(action);
}

// What libseccomp takes as one rule: conditions that all must hold, on arguments of their own. A
// rule of a profile with two on one argument is several, as runc has it.
using Conditions = std::vector<spec::SeccompArg>;
inline std::vector<Conditions> parts_of(const spec::SeccompSyscall& rule) {
    std::set<uint32_t> arguments;
    for (const spec::SeccompArg& arg : rule.args) arguments.insert(arg.index);
    if (arguments.size() == rule.args.size()) return {rule.args};
    std::vector<Conditions> parts;
    for (const spec::SeccompArg& arg : rule.args) parts.push_back({arg});
    return parts;
}

// libseccomp's filter for the same profile.
inline std::vector<sock_filter> reference(const spec::Seccomp& profile) {
    const std::map<std::string, scmp_compare> operators = {
        {"SCMP_CMP_NE", SCMP_CMP_NE},
        {"SCMP_CMP_LT", SCMP_CMP_LT},
        {"SCMP_CMP_LE", SCMP_CMP_LE},
        {"SCMP_CMP_EQ", SCMP_CMP_EQ},
        {"SCMP_CMP_GE", SCMP_CMP_GE},
        {"SCMP_CMP_GT", SCMP_CMP_GT},
        {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
    const uint32_t fallback = action_of(profile.default_action, profile.default_errno_ret);
    const scmp_filter_ctx context = ::seccomp_init(fallback);
    REQUIRE(context);
    const Defer release([&] { ::seccomp_release(context); });
    for (const std::string& name : profile.architectures) {
        const uint32_t arch = ::seccomp_arch_resolve_name(lower(name.substr(10)).c_str());
        if (const int added = ::seccomp_arch_add(context, arch); added != -EEXIST)
            REQUIRE(added == 0);
    }
    for (const spec::SeccompSyscall& rule : profile.syscalls) {
        const uint32_t action = action_of(rule.action, rule.errno_ret);
        std::vector<std::vector<scmp_arg_cmp>> parts;
        for (const Conditions& part : parts_of(rule)) {
            parts.emplace_back();
            for (const spec::SeccompArg& arg : part)
                parts.back().push_back({arg.index, operators.at(arg.op), arg.value, arg.value_two});
        }
        for (const std::string& name : rule.names) {
            const int number = ::seccomp_syscall_resolve_name(name.c_str());
            if (number == __NR_SCMP_ERROR || action == fallback) continue;
            for (const std::vector<scmp_arg_cmp>& arguments : parts)
                if (const int added = ::seccomp_rule_add_array(
                        context, action, number, unsigned(arguments.size()), arguments.data());
                    added != -EEXIST)
                    REQUIRE(added == 0);
        }
    }
    const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
    REQUIRE(::seccomp_export_bpf(context, file.get()) == 0);
    ::lseek(file.get(), 0, SEEK_SET);
    const std::string bytes = sys::read_all(file.get());
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    std::memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
    return program;
}

// An argument as a call with so many bits of it sees it.
inline uint64_t cut(uint64_t argument, unsigned bits) {
    return bits == 64 ? argument : argument & ((uint64_t(1) << bits) - 1);
}
