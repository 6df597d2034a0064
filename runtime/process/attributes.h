// What the kernel keeps about a process besides its credentials: limits, OOM score, scheduling,
// I/O priority, personality, memory policy, affinity.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/process/procfs.h"
#include "spec/runtime.h"

// Late: a small limit would stop the work that is left. By the process itself (pid 0) where it may;
// else by its parent, as root of another user namespace may not raise what the parent may.
void raise_limits(int pid, const std::vector<spec::Rlimit>& limits);
// Of a user who may not set it the score is left, with a warning.
void set_oom_score(const Procfs& procfs, int pid, std::optional<int> score);

// By the process itself. Each does nothing if the config says nothing.
void set_scheduler(const std::optional<spec::Scheduler>& scheduler, const spec::Linux& container);
void set_io_priority(const std::optional<spec::IoPriority>& priority);
void set_personality(const std::optional<spec::Personality>& personality);
void set_memory_policy(const std::optional<spec::MemoryPolicy>& policy);
// "0-3,7"; "" does nothing.
void set_affinity(int pid, const std::string& cpus);
// All CPUs that the cgroup allows, whatever the caller was bound to.
void reset_affinity();
// So that a new process begins at once, and not when its creator waits: not every kernel looks for
// an idle CPU at a fork. Leaves its affinity as the caller's is.
void move_to_another_cpu(int pid);
// The caller's own affinity, put back by the destructor.
class KeptAffinity {
public:
    KeptAffinity();
    KeptAffinity(const KeptAffinity&) = delete;
    ~KeptAffinity();

private:
    std::vector<unsigned long> mask_;
};

// The words of memoryPolicy: what `features` lists.
std::vector<std::string> memory_policy_modes();
std::vector<std::string> memory_policy_flags();

// Pure. Throws Error for an unknown type: `invalid rlimit type: "X"`.
int rlimit_number(const std::string& type);
