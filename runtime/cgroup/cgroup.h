// The control groups of a container, one directory in each v1 hierarchy or one in v2, made by hand in
// the file system. A pid written into cgroup.procs waits for the kernel's grace period (8 ms); so init
// joins by itself: through v1's `tasks` (it has one thread), and into v2 by being cloned there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "spec/runtime.h"

// What is stored in the state: enough to find the cgroup again. `path` is "/name" below each mount.
struct CgroupRecord {
    std::string path;
    std::vector<std::string> directories;   // absolute, on the host
    bool unified = false;                   // one v2 hierarchy
};

// Where a process enters: descriptors opened by the parent, good in any namespace.
class CgroupEntrance {
public:
    void join() const;                      // the calling thread, into each v1 hierarchy
    int clone_fd() const { return v2_.get(); }  // for clone3, or -1
    std::vector<UniqueFd> tasks_;
    UniqueFd v2_;
};

class Cgroup {
public:
    // Pure but for reading which hierarchies there are; id is used if cgroupsPath is empty.
    static CgroupRecord plan(const std::string& cgroups_path, const std::string& id);
    // Makes the directories; removed by the destructor unless keep() is called.
    static Cgroup create(const CgroupRecord& record);
    static Cgroup load(const CgroupRecord& record);
    Cgroup(Cgroup&&) = default;
    ~Cgroup();
    void keep() { armed_ = false; }

    void limit(const spec::Resources& resources) const;
    CgroupEntrance entrance() const;
    std::vector<int> pids() const;          // of all processes in it and below, in our pid namespace
    bool is_frozen() const;
    void freeze() const;
    void thaw() const;
    void thaw_if_frozen() const { if (is_frozen()) thaw(); }
    void kill() const;                      // SIGKILL to all, and waits until they are gone
    void remove() const;

private:
    explicit Cgroup(CgroupRecord record, bool armed) : record_(std::move(record)), armed_(armed) {}
    CgroupRecord record_;
    bool armed_ = false;
};
