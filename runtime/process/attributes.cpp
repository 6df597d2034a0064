// Each of these calls has a trap. A mask of CPUs may not be shorter than the kernel's own, so ours
// is as long as any list may be. set_mempolicy counts one bit less than it is told. sched_setattr
// says EPERM where a deadline and a set of CPUs exclude each other; glibc has no struct for it, and
// the kernel's header clashes with glibc's. To lower an OOM score may be forbidden to a user: that
// is a warning for him, as with runc, and an error for everybody else.
#include "runtime/process/attributes.h"

#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/number_list.h"
#include "runtime/process/namespaces.h"

namespace {

struct Word {
    std::string_view name;
    int number;
};

template <size_t N>
int look_up(const Word (&table)[N], const std::string& word, std::string_view what) {
    const auto* found = std::ranges::find(table, word, &Word::name);
    if (found != std::end(table)) return found->number;
    throw Error("invalid ", what, ": ", quoted(word));
}

template <size_t N>
std::vector<std::string> names_of(const Word (&table)[N]) {
    std::vector<std::string> names;
    for (const Word& word : table) names.emplace_back(word.name);
    std::ranges::sort(names);
    return names;
}

constexpr Word rlimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};
constexpr Word policies[] = {
    {"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},       {"SCHED_BATCH", 3},
    {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6},
};
constexpr Word scheduler_flags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01},  {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},     {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},    {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40},
};
constexpr Word io_classes[] = {
    {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
    {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
    {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
};
constexpr Word domains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}};
constexpr Word memory_modes[] = {
    {"MPOL_DEFAULT", 0},
    {"MPOL_PREFERRED", 1},
    {"MPOL_BIND", 2},
    {"MPOL_INTERLEAVE", 3},
    {"MPOL_LOCAL", 4},
    {"MPOL_PREFERRED_MANY", 5},
    {"MPOL_WEIGHTED_INTERLEAVE", 6},
};
constexpr Word memory_flags[] = {
    {"MPOL_F_STATIC_NODES", 1 << 15},
    {"MPOL_F_RELATIVE_NODES", 1 << 14},
    {"MPOL_F_NUMA_BALANCING", 1 << 13},
};

// As many as a list may have: more than the kernel's own mask, which it would refuse to shorten.
constexpr size_t mask_words = (largest_in_list + 1) / (8 * sizeof(unsigned long));

struct KernelSchedAttr {  // glibc 2.36 has no struct sched_attr, and the kernel's header clashes
                          // with its own
    uint32_t size = sizeof(KernelSchedAttr), policy = 0;
    uint64_t flags = 0;
    int32_t nice = 0;
    uint32_t priority = 0;
    uint64_t runtime = 0, deadline = 0, period = 0;
};

std::vector<unsigned long> mask_of(const std::string& list) {
    const auto parsed = parse_number_list(list);
    if (!parsed) throw Error("invalid list of numbers: ", quoted(list));
    return bit_mask(*parsed);
}

}  // namespace

std::vector<std::string> memory_policy_modes() { return names_of(memory_modes); }
std::vector<std::string> memory_policy_flags() { return names_of(memory_flags); }

int rlimit_number(const std::string& type) { return look_up(rlimits, type, "rlimit type"); }

void raise_limits(int pid, const std::vector<spec::Rlimit>& limits) {
    for (const spec::Rlimit& limit : limits) {
        const rlimit64 wanted{limit.soft, limit.hard};
        check(::prlimit64(pid, __rlimit_resource(rlimit_number(limit.type)), &wanted, nullptr),
              "process.rlimits: error setting rlimit type ", limit.type);
    }
}

void set_oom_score(const Procfs& procfs, int pid, std::optional<int> score) {
    if (!score) return;
    try {
        procfs.write(str(pid, "/oom_score_adj"), std::to_string(*score));
    } catch (const SysError& e) {
        // A user may not lower it. As for runc, the container is more likely to be killed, and
        // starts.
        if ((e.code() != EACCES && e.code() != EPERM) || !is_rootless()) throw;
        log_warning(str("ignoring oomScoreAdj ", *score, ": ", e.what()));
    }
}

void set_scheduler(const std::optional<spec::Scheduler>& scheduler, const spec::Linux& container) {
    if (!scheduler) return;
    KernelSchedAttr wanted;
    wanted.policy = uint32_t(look_up(policies, scheduler->policy, "scheduler policy"));
    for (const std::string& flag : scheduler->flags)
        wanted.flags |= uint64_t(look_up(scheduler_flags, flag, "scheduler flag"));
    wanted.nice = scheduler->nice, wanted.priority = uint32_t(scheduler->priority);
    wanted.runtime = scheduler->runtime, wanted.deadline = scheduler->deadline,
    wanted.period = scheduler->period;
    if (::syscall(SYS_sched_setattr, 0, &wanted, 0) == 0) return;
    // The kernel lets a process with a deadline run on all CPUs or not at all.
    if (errno == EPERM && container.resources && !container.resources->cpu.cpus.empty())
        throw Error("process scheduler can't be used together with AllowedCPUs");
    throw SysError("unable to set scheduler: sched_setattr");
}

void set_io_priority(const std::optional<spec::IoPriority>& priority) {
    if (!priority) return;
    const int io_class = look_up(io_classes, priority->io_class, "io priority class");
    check(::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
                    IOPRIO_PRIO_VALUE(io_class, priority->priority)),
          "failed to set io priority");
}

void set_personality(const std::optional<spec::Personality>& wanted) {
    if (!wanted) return;
    if (!wanted->flags.empty())
        throw Error("personality flags are not supported: ", quoted(wanted->flags[0]));
    check(::personality(unsigned(look_up(domains, wanted->domain, "personality domain"))),
          "personality");
}

void set_memory_policy(const std::optional<spec::MemoryPolicy>& policy) {
    if (!policy || policy->mode.empty()) return;
    int mode = look_up(memory_modes, policy->mode, "memory policy mode");
    for (const std::string& flag : policy->flags)
        mode |= look_up(memory_flags, flag, "memory policy flag");
    std::vector<unsigned long> nodes = mask_of(policy->nodes);
    const size_t bits = nodes.size() * 8 * sizeof nodes[0];
    // The kernel counts one bit less than it is told.
    check(::syscall(SYS_set_mempolicy, mode, nodes.empty() ? nullptr : nodes.data(),
                    nodes.empty() ? 0 : bits + 1),
          "set_mempolicy");
}

void set_affinity(int pid, const std::string& cpus) {
    if (cpus.empty()) return;
    const std::vector<unsigned long> mask = mask_of(cpus);
    check(::syscall(SYS_sched_setaffinity, pid, mask.size() * sizeof mask[0], mask.data()),
          "sched_setaffinity");
}

void reset_affinity() {
    unsigned long all[mask_words];
    std::ranges::fill(all, ~0ul);
    // EINVAL: none of them is allowed, and then there is nothing to set.
    if (::syscall(SYS_sched_setaffinity, 0, sizeof all, all) < 0 && errno != EINVAL)
        throw SysError("resetting the CPU affinity");
}

void move_to_another_cpu(int pid) {
    unsigned long cpus[mask_words] = {};
    unsigned own = 0;
    if (::syscall(SYS_getcpu, &own, nullptr, nullptr) < 0 || own >= 8 * sizeof cpus) return;
    if (::syscall(SYS_sched_getaffinity, 0, sizeof cpus, cpus) < 0) return;
    const unsigned long bit = 1ul << own % (8 * sizeof cpus[0]);
    cpus[own / (8 * sizeof cpus[0])] &= ~bit;
    if (::syscall(SYS_sched_setaffinity, pid, sizeof cpus, cpus) < 0) return;  // there is no other
    cpus[own / (8 * sizeof cpus[0])] |= bit;
    check(::syscall(SYS_sched_setaffinity, pid, sizeof cpus, cpus), "sched_setaffinity");
}

KeptAffinity::KeptAffinity() : mask_(mask_words) {
    if (::syscall(SYS_sched_getaffinity, 0, mask_.size() * sizeof mask_[0], mask_.data()) < 0)
        mask_.clear();
}

KeptAffinity::~KeptAffinity() {
    if (mask_.empty()) return;
    attempt("restoring the CPU affinity", [&] {
        check(::syscall(SYS_sched_setaffinity, 0, mask_.size() * sizeof mask_[0], mask_.data()),
              "sched_setaffinity");
    });
}
