// The control groups of a container: one directory in each v1 hierarchy, or one in v2. Who makes
// them is a manager: `cgroupfs` makes the directories itself, `systemd` asks systemd for a scope,
// `disabled` makes none. Everything after the making is the same for all: limits, freezer, kill,
// statistics and removal work on the directories that the record names.
//
// A pid written into cgroup.procs waits for the kernel's grace period (8 ms); so init joins by
// itself: through v1's `tasks` (it has one thread), and into v2 by being cloned there.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/cgroup/knobs.h"
#include "spec/runtime.h"

// What is stored in the state: enough to find the cgroup again, whatever flags the next command
// has.
struct CgroupRecord {
    std::string manager;                   // a name of the table of managers; "" is cgroupfs
    std::string path;                      // "/name", below the mount of each hierarchy
    std::vector<std::string> directories;  // absolute, on the host
    std::string unit;                      // systemd's name of it
    bool users_own = false;  // that systemd is the service manager of the user's session
    bool v2 = false;         // one hierarchy; otherwise v1, perhaps with an empty v2 beside it
};

// What a container asks for.
struct CgroupRequest {
    std::string manager;       // "" is cgroupfs
    std::string cgroups_path;  // as in config.json
    std::string id;
    std::optional<bool>
        rootless;  // --rootless, or what we are: whether it is fine that we may not make cgroups
    spec::Resources resources;
    spec::Annotations annotations;
    std::optional<uint32_t> owner;  // host uid that a v2 cgroup is delegated to

    // Whether what we may not do is left out, as long as no limit depends on it. "auto": for who is
    // not root, or root of a user namespace only.
    bool is_rootless() const;
};

class Cgroup {
public:
    // Decides where it will be; makes nothing. It is stored before create(), so that a kill leaves
    // no orphan.
    static CgroupRecord plan(const CgroupRequest& request);
    // Makes what init is to be born in; removed by the destructor unless keep() is called. One that
    // is there already must be empty and not frozen.
    static Cgroup create(const CgroupRecord& record, const CgroupRequest& request);
    static Cgroup load(const CgroupRecord& record) { return Cgroup(record, false); }
    Cgroup(Cgroup&& other) noexcept
        : record_(std::move(other.record_)), armed_(std::exchange(other.armed_, false)) {}
    ~Cgroup();
    void keep() { armed_ = false; }

    // Init was born, in v2's group if there was one, and waits for the others.
    void adopt(const CgroupRequest& request, int pid);
    // What is to be stored now: a manager may know more than when it was planned.
    const CgroupRecord& record() const { return record_; }

    // Two ways in, as descriptors that are good in any namespace: v2's directory (or nothing) is
    // for clone3; into each of v1's files a thread that moves itself writes "0".
    UniqueFd clone_target() const;
    std::vector<UniqueFd> tasks() const;
    // The same groups but the one that counts its processes, for who is only on his way and goes on
    // by a fork: a limit of pids lets anybody in who is there already, and nobody be forked.
    // move_in_counted() then takes him in whom he made; the kernel wants 8 ms for it.
    Cgroup uncounted() const;
    void move_in_counted(int pid) const;
    // Where an exec goes: `paths` as its option says ("[controller[,controller…]:]path"), or the
    // top, or, if that takes no processes because it has controllers below it, where init is.
    static CgroupRecord place_exec(const CgroupRecord& record,
                                   const std::vector<std::string>& paths, int init);
    // A container that may change cgroups can have left its own and removed them: then those where
    // init is.
    static CgroupRecord follow_init(const CgroupRecord& record, int init);
    // Sets what is given and leaves the rest, devices too; all of it or nothing.
    void update(const spec::Resources& resources) const;
    std::vector<int> pids() const;   // of all processes in it and below, in our pid namespace
    bool was_out_of_memory() const;  // the kernel killed somebody in it for that
    bool is_frozen() const;
    void freeze() const;  // throws after 10 seconds (and more, where the kernel is slow)
    void thaw() const;
    void thaw_if_frozen() const {
        if (is_frozen()) thaw();
    }
    void kill() const;  // SIGKILL to all, frozen or not, and waits until they are gone; throws
                        // after 8 seconds
    bool remove_if_empty() const;  // one call per group; false if anything is left
    void remove() const;           // with all below it; waits 2 seconds for one that is busy

private:
    explicit Cgroup(CgroupRecord record, bool armed) : record_(std::move(record)), armed_(armed) {}
    CgroupRecord record_;
    bool armed_ = false;
};

// Pure: the record of groups below the container's own, as the option of exec names them.
CgroupRecord sub_cgroup(CgroupRecord record, const std::vector<std::string>& paths);

// How a manager joins in: it is one of these, a name in the table in cgroup.cpp, and a file of its
// own. A member that is null has nothing to do.
struct CgroupManager {
    std::string_view name;
    // Fills in the path, the directories as far as they can be known, the unit; makes nothing.
    CgroupRecord (*plan)(const CgroupRequest&) = nullptr;
    // Before init is born: only what the clone needs, because init makes its namespaces while the
    // rest is made in adopt.
    void (*make)(CgroupRecord&, const CgroupRequest&) = nullptr;
    // Init (a pid of our namespace) is born and waits; the limits must hold when this returns, so
    // one that did not write them in make() calls write_limits() (limits.h) once the directories
    // are known and made.
    void (*adopt)(CgroupRecord&, const CgroupRequest&, int pid) = nullptr;
    // Told of new limits that the kernel has taken; their files are written once more after it.
    void (*update)(const CgroupRecord&, const std::vector<Write>&) = nullptr;
    // Told that it ends; the directories that are still there are removed afterwards.
    void (*forget)(const CgroupRecord&) = nullptr;
};
// The names, for --cgroup-manager. Throws Error on any other.
const CgroupManager& cgroup_manager(std::string_view name);
std::vector<std::string_view> cgroup_manager_names();

extern const CgroupManager cgroupfs_manager, systemd_manager, disabled_manager;
