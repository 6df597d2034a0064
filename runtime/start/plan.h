// What a container is decided to be, before anything of it is made. First the machine is asked
// (gather_facts: namespaces to join are opened, the environment is read, SELinux is asked about a
// label); from the answers, the bundle and the command line make_plan decides, which is pure. Init
// (launch.cpp) only acts; a restored container (runtime/checkpoint/restore.cpp) comes from the same
// plan.
#pragma once

#include <sched.h>

#include <optional>
#include <string>
#include <vector>

#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/intel_rdt.h"
#include "runtime/process/credentials.h"
#include "runtime/process/namespaces.h"
#include "runtime/seccomp/filter.h"
#include "runtime/state/container.h"
#include "spec/runtime.h"

struct CreateOptions {
    std::string state_root, id, bundle;  // bundle: absolute
    std::string config;                  // instead of the bundle's config.json
    std::string console_socket, pidfd_socket, pid_file;
    bool no_pivot = false, no_new_keyring = false, detached = true;
    bool starts_later = false;  // nobody knows when: init waits in as little memory as it can
    int preserve_fds = 0;
    std::string cgroup_manager;
    std::optional<bool> rootless;  // --rootless; nothing: as we are
};

// The bundle's config, read and checked; "JSON specification file config.json not found" if it is
// not there.
struct Bundle {
    std::string path, text;
    spec::Config config;
};
Bundle load_bundle(const std::string& path, const std::string& config = {});

struct Facts {
    std::string written_root, rootfs;  // as the config has it, made absolute; and resolved
    std::vector<OpenNamespace> joined;
    bool joins_own_network = false;  // one of them is the network namespace we are in
    bool selinux = false;            // asked if there is a mount label
    std::string selinux_label;       // the process's, as SELinux writes it
    bool can_create_hidden = false;  // we are root
    bool may_clone_mounts = false;   // asked for a container with a user namespace
    bool manager = false;            // a service manager wants to hear of READY=1
    int listen_fds = 0;              // what it passes, from 3 on, with their names
    std::optional<std::string> listen_names;
    std::string resctrl;  // where its file system is, if the config needs one
};
// Throws Error for what is not there: the root, a namespace, a security module, a descriptor.
Facts gather_facts(const CreateOptions& options, const Bundle& bundle);

// What init is to be.
struct Plan {
    CreateOptions options;
    spec::Config config;
    std::string rootfs;
    NamespacePlan namespaces;
    std::vector<OpenNamespace> joined;
    UniqueFd host_root;  // without a mount namespace of its own: create's mount over rootfs
    CapabilityPlan capabilities;
    std::optional<Filter> filter;
    unsigned long propagation = 0;
    int listen_fds = 0;
    bool created_hidden = false;  // init is born not dumpable: its creator is root
    bool notifies = false;        // a service manager wants to hear of READY=1
    bool host_binds = false;      // create makes all binds, not only the id-mapped
    CgroupRequest cgroup;
    std::optional<RdtPlan> intel_rdt;
    std::string resctrl;  // where its file system is
    spec::State state;    // for hooks

    bool user_namespace() const { return namespaces.has(CLONE_NEWUSER); }
    bool mount_namespace() const { return namespaces.has(CLONE_NEWNS); }
    bool has_runtime_hooks() const {
        return !config.hooks.prestart.empty() || !config.hooks.create_runtime.empty();
    }
    // What init itself tells the kernel through files.
    bool needs_procfs() const {
        const spec::Process& process = *config.process;
        return !config.linux.sysctl.empty() || !process.apparmor_profile.empty() ||
               !process.selinux_label.empty();
    }
    // A filter is there already when init has nothing to do but wait.
    bool releases_memory() const {
        return options.starts_later &&
               (!config.linux.seccomp || always_allows(*config.linux.seccomp, "madvise"));
    }
    // Root of another user namespace may not raise what its creator may.
    bool limited_by_create() const { return user_namespace() && !config.process->rlimits.empty(); }
};

// Pure. Throws Error for what cannot be.
Plan make_plan(const CreateOptions& options, const Bundle& bundle, Facts facts);
// A terminal needs somebody who takes its master.
void check_terminal(const CreateOptions& options, const spec::Process& process);

// What is stored before anything is made, so that a kill leaves no orphan.
Record intended(const Plan& plan, const Bundle& bundle);
// What the hooks of create are told. All but prestart's, which in older versions of the spec began
// `start`, and which the OCI's validation programs still want to hear "created", are "creating".
spec::State state_for_hooks(const Record& record, int pid, Status status);
