// Which namespaces a container gets: new ones, those it joins, and who makes them. A network
// namespace takes the kernel longer than all others together: init makes its own while its creator
// makes the cgroups. Two cannot be made by the clone that makes init: a cgroup namespace shows the
// cgroup its maker is in, so init makes it after it joined its own; a time namespace takes its
// offsets before anybody enters it, which the exec does. Joining a user namespace comes first, so
// that what is made afterwards belongs to it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/process/procfs.h"
#include "spec/runtime.h"

struct NamespaceKind {
    std::string_view type;  // config.json's word
    uint64_t flag;          // CLONE_NEW…
    const char* file;       // below /proc/PID/ns
};
std::span<const NamespaceKind> namespace_kinds();  // in the order in which they are joined

struct NamespacePlan {
    uint64_t with_clone = 0;  // flags for the clone of init
    uint64_t at_once = 0;     // for init's own unshare, while it waits for its cgroup
    uint64_t by_init = 0;     // for another, after it joined its cgroup
    struct Join {
        uint64_t flag;
        std::string path, type;
        bool operator==(const Join&) const = default;
    };
    std::vector<Join> join;                                   // in this order
    std::vector<spec::IdMapping> uid_mappings, gid_mappings;  // written for a new user namespace
    std::map<std::string, spec::TimeOffset> time_offsets;

    bool makes(uint64_t flag) const { return ((with_clone | at_once | by_init) & flag) != 0; }
    bool joins(uint64_t flag) const;
    bool has(uint64_t flag) const { return makes(flag) || joins(flag); }
};

// Pure. Throws Error for an unknown type, one named twice, and offsets without a time namespace.
NamespacePlan plan_namespaces(const spec::Linux& linux);

// Whether we are an ordinary user, or root of a user namespace only.
bool is_rootless();

// /proc/PID/uid_map's text.
std::string id_map_text(const std::vector<spec::IdMapping>& mappings);
// Which ids of ours a process's user namespace has: /proc/PID/uid_map and gid_map, as we see them.
struct IdMaps {
    std::vector<spec::IdMapping> uids, gids;
};
IdMaps read_id_maps(const Procfs& procfs, int pid);
// Pure. What `inside` is outside; nothing if it has no number there.
std::optional<uint32_t> host_id(const std::vector<spec::IdMapping>& mappings, uint32_t inside);
// By the parent; uses newuidmap and newgidmap if the caller is not root.
void write_id_maps(const Procfs& procfs, int pid, const NamespacePlan& plan);

// Namespaces to join, opened while the host's paths are the paths. Throws Error if a path is not a
// namespace of its kind.
struct OpenNamespace {
    uint64_t flag = 0;
    UniqueFd fd;
    std::string path;
    bool joined = false;
};
std::vector<OpenNamespace> open_namespaces(const NamespacePlan& plan);

void join(const OpenNamespace& target);
bool try_join(const OpenNamespace& target);  // false if we have no right to
// The file for the offsets of a time namespace; nothing if there are none. Opened early: it belongs
// to the host's root as soon as its process is not dumpable, and in a user namespace that is
// somebody else.
UniqueFd open_time_offsets(const NamespacePlan& plan);
// Makes those of by_init and sets the time offsets.
void make_own_namespaces(const NamespacePlan& plan, const Procfs& procfs,
                         const UniqueFd& time_offsets);
