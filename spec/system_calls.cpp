// libseccomp knows the numbers, of every interface, but not those of the youngest calls, which
// stand here.
#include "spec/system_calls.h"

#include <seccomp.h>

#include <algorithm>
#include <string_view>

namespace spec {

namespace {

// Calls that Debian 12's libseccomp has never heard of, up to Linux 7.3.
struct Call {
    std::string_view name;
    int number;
};
// The same everywhere, but for where an interface's numbers begin.
constexpr Call young_calls[] = {
    {"cachestat", 451},         {"fchmodat2", 452},        {"map_shadow_stack", 453},
    {"futex_wake", 454},        {"futex_wait", 455},       {"futex_requeue", 456},
    {"statmount", 457},         {"listmount", 458},        {"lsm_get_self_attr", 459},
    {"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}, {"mseal", 462},
    {"setxattrat", 463},        {"getxattrat", 464},       {"listxattrat", 465},
    {"removexattrat", 466},     {"open_tree_attr", 467},   {"file_getattr", 468},
    {"file_setattr", 469},      {"listns", 470},           {"rseq_slice_yield", 471},
    {"fchroot", 472},
};
constexpr Call x86_64_calls[] = {{"uretprobe", 335}, {"uprobe", 336}};
// What also goes through socketcall or ipc, where these are: the number of the call of its own, or
// 0 if it has none. (A number of mips counts from where its interface begins.)
struct Doored {
    std::string_view name;
    uint32_t i386, s390, powerpc, mips;
};
constexpr Doored doored_calls[] = {
    {"socket", 359, 359, 326, 183},
    {"bind", 361, 361, 327, 169},
    {"connect", 362, 362, 328, 170},
    {"listen", 363, 363, 329, 174},
    {"accept", 0, 0, 330, 168},
    {"getsockname", 367, 367, 331, 172},
    {"getpeername", 368, 368, 332, 171},
    {"socketpair", 360, 360, 333, 184},
    {"send", 0, 0, 334, 178},
    {"recv", 0, 0, 336, 175},
    {"sendto", 369, 369, 335, 180},
    {"recvfrom", 371, 371, 337, 176},
    {"shutdown", 373, 373, 338, 182},
    {"setsockopt", 366, 366, 339, 181},
    {"getsockopt", 365, 365, 340, 173},
    {"sendmsg", 370, 370, 341, 179},
    {"recvmsg", 372, 372, 342, 177},
    {"accept4", 364, 364, 344, 334},
    {"recvmmsg", 337, 357, 343, 335},
    {"sendmmsg", 345, 358, 349, 343},
    {"semget", 393, 393, 393, 393},
    {"semctl", 394, 394, 394, 394},
    {"shmget", 395, 395, 395, 395},
    {"shmctl", 396, 396, 396, 396},
    {"shmat", 397, 397, 397, 397},
    {"shmdt", 398, 398, 398, 398},
    {"msgget", 399, 399, 399, 399},
    {"msgsnd", 400, 400, 400, 400},
    {"msgrcv", 401, 401, 401, 401},
    {"msgctl", 402, 402, 402, 402},
};

// Where an interface's numbers begin.
int first_number(uint32_t token) {
    switch (token) {
        case SCMP_ARCH_X32: return 0x40000000;
        case SCMP_ARCH_MIPS:
        case SCMP_ARCH_MIPSEL: return 4000;
        case SCMP_ARCH_MIPS64:
        case SCMP_ARCH_MIPSEL64: return 5000;
        case SCMP_ARCH_MIPS64N32:
        case SCMP_ARCH_MIPSEL64N32: return 6000;
        default: return 0;
    }
}

template <size_t N>
const Call* find_call(const Call (&table)[N], std::string_view name) {
    const Call* found = std::ranges::find(table, name, &Call::name);
    return found == std::end(table) ? nullptr : found;
}

}  // namespace

bool is_call(const std::string& name) {
    return ::seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR ||
           find_call(young_calls, name) || find_call(x86_64_calls, name);
}

int call_number(const std::string& name, uint32_t token) {
    const int known = ::seccomp_syscall_resolve_name_arch(token, name.c_str());
    if (known != __NR_SCMP_ERROR) return known;
    const Call* young = find_call(young_calls, name);
    if (!young && (token == SCMP_ARCH_X86_64 || token == SCMP_ARCH_X32))
        young = find_call(x86_64_calls, name);
    return young ? first_number(token) + young->number : known;
}

std::optional<uint32_t> direct_number(const std::string& name, uint32_t token) {
    // The youngest of these; where registers have 32 bits its successor has 64-bit times.
    if (name == "semtimedop" &&
        (token == SCMP_ARCH_S390X || token == SCMP_ARCH_PPC64 || token == SCMP_ARCH_PPC64LE))
        return 392;
    const Doored* call = std::ranges::find(doored_calls, name, &Doored::name);
    if (call == std::end(doored_calls)) return {};
    const auto known = [&](uint32_t number) -> std::optional<uint32_t> {
        if (number == 0) return {};
        return uint32_t(first_number(token)) + number;
    };
    switch (token) {
        case SCMP_ARCH_X86: return known(call->i386);
        case SCMP_ARCH_S390:
        case SCMP_ARCH_S390X: return known(call->s390);
        case SCMP_ARCH_PPC:
        case SCMP_ARCH_PPC64:
        case SCMP_ARCH_PPC64LE: return known(call->powerpc);
        case SCMP_ARCH_MIPS:
        case SCMP_ARCH_MIPSEL: return known(call->mips);
        default: return {};
    }
}

}  // namespace spec
