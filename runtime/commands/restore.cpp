// In the foreground we wait for a process that CRIU made, as its own sibling and so as our child;
// signals for it are blocked before CRIU begins, for one that came in between would end us alone,
// and what the container leaves behind comes to us. restore() undoes what it made if it throws;
// from its end on a container in the foreground is ours to delete, however the waiting ends.
#include <sys/prctl.h>

#include "base/defer.h"
#include "base/error.h"
#include "runtime/commands/commands.h"
#include "runtime/commands/criu_options.h"
#include "runtime/start/foreground.h"

static constexpr Option restore_options[] = {
    {"console-socket", "PATH",
     "path to an AF_UNIX socket which will receive a file descriptor of the console's master end"},
    criu_option::image_path,
    criu_option::work_path,
    criu_option::tcp_established,
    criu_option::ext_unix_sk,
    criu_option::shell_job,
    criu_option::file_locks,
    criu_option::manage_cgroups_mode,
    {"bundle,b", "DIR", "path to the root of the bundle directory"},
    {"detach,d", nullptr, "detach from the container's process"},
    {"pid-file", "FILE", "specify the file to write the process id to"},
    {"no-subreaper", nullptr, "disable the use of the subreaper used to reap reparented processes"},
    {"no-pivot", nullptr, "(ignored: criu makes the mounts)", "", true},
    criu_option::empty_ns,
    criu_option::auto_dedup,
    criu_option::lazy_pages,
    {"lsm-profile", "TYPE:NAME",
     "the LSM profile to be used during restore: apparmor or selinux, and a label"},
    {"lsm-mount-context", "CONTEXT", "the LSM mount context to be used during restore"},
};

static int run(const Arguments& globals, const Arguments& args) {
    const bool detached = args.flag("detach");
    CriuOptions criu = read_criu_options(args);
    criu.lsm_profile = args.get("lsm-profile");
    criu.lsm_mount_context = args.get("lsm-mount-context");
    const CreateOptions wanted{.state_root = state_root(globals),
                               .id = args[0],
                               .bundle = args.get("bundle"),
                               .console_socket = args.get("console-socket"),
                               .pid_file = args.get("pid-file"),
                               .detached = detached,
                               .cgroup_manager = cgroup_manager(globals),
                               .rootless = rootless(globals)};
    if (!detached && !args.flag("no-subreaper")) ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    Foreground foreground(!detached);
    Created created = restore(wanted, criu);
    if (detached) return 0;
    const Defer undo(
        [&] { attempt("deleting the container", [&] { created.container.destroy(); }); });
    Child init(created.container.record().pid);
    return foreground.wait(init, std::move(created.console)).shell();
}

constinit const Command restore_command = {
    .name = "restore",
    .synopsis = "<container-id>",
    .summary = "restore a container from a previous checkpoint",
    .options = restore_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = run,
};
