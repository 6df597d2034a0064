// Here the order matters. What the container may leave behind must find us as its reaper, and
// signals must be taken over, before there is anything; the notify socket listens before the start,
// or the first word would be lost. From create on the container is ours to delete, whatever
// happens, until a detached one has started or one that is to be kept has ended. create has run's
// options by their places in the list: who changes that list looks at both.
#include <sys/prctl.h>

#include "base/defer.h"
#include "base/error.h"
#include "runtime/commands/commands.h"
#include "runtime/process/signals.h"
#include "runtime/start/foreground.h"
#include "runtime/start/launch.h"
#include "runtime/state/notify_socket.h"

static constexpr Option run_options[] = {
    {"bundle,b", "DIR",
     "path to the root of the bundle directory, defaults to the current directory"},
    {"console-socket", "PATH",
     "path to an AF_UNIX socket which will receive a file descriptor of the console's master end"},
    {"pidfd-socket", "PATH",
     "path to an AF_UNIX socket which will receive a pidfd of the init process"},
    {"detach,d", nullptr, "detach from the container's process"},
    {"keep", nullptr, "do not delete the container after it exits"},
    {"pid-file", "FILE", "specify the file to write the process id to"},
    {"no-subreaper", nullptr, "disable the use of the subreaper used to reap reparented processes"},
    {"no-pivot", nullptr, "do not use pivot root to jail process inside rootfs"},
    {"no-new-keyring", nullptr, "do not create a new session keyring for the container"},
    {"preserve-fds", "N",
     "pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)", "0",
     false, Value::integer},
    {"config,f", "FILE", "the configuration to use instead of the bundle's config.json"},
};
// What only run has comes out of create's list.
static constexpr Option create_options[] = {
    run_options[0], run_options[1], run_options[2], run_options[5],
    run_options[7], run_options[8], run_options[9], run_options[10],
};

static CreateOptions read_options(const Arguments& globals, const Arguments& args) {
    return {.state_root = state_root(globals),
            .id = args[0],
            .bundle = args.get("bundle"),
            .config = args.get("config"),
            .console_socket = args.get("console-socket"),
            .pidfd_socket = args.get("pidfd-socket"),
            .pid_file = args.get("pid-file"),
            .no_pivot = args.flag("no-pivot"),
            .no_new_keyring = args.flag("no-new-keyring"),
            .detached = true,
            .preserve_fds = int(number(args, "preserve-fds", 0, most_preserved)),
            .cgroup_manager = cgroup_manager(globals),
            .rootless = rootless(globals)};
}

static int create_only(const Arguments& globals, const Arguments& args) {
    CreateOptions wanted = read_options(globals, args);
    wanted.starts_later = true;
    heed_signals_while_waiting();
    context("keg-runtime create failed", [&] { create(wanted); });
    return 0;
}

static int run(const Arguments& globals, const Arguments& args) {
    CreateOptions wanted = read_options(globals, args);
    wanted.detached = args.flag("detach");
    // What the container leaves behind comes to us, and not to the caller.
    if (!wanted.detached && !args.flag("no-subreaper")) ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    Foreground foreground(!wanted.detached);
    heed_signals_while_waiting();
    Created created = context("keg-runtime run failed", [&] { return create(wanted); });
    Defer undo([&] { attempt("deleting the container", [&] { created.container.destroy(); }); });
    if (wanted.detached) {
        context("keg-runtime run failed", [&] { start_and_notify(created.container); });
        undo.keep();
        return 0;
    }
    auto notify = NotifySocket::listen(created.container.directory());
    context("keg-runtime run failed", [&] { created.container.start(); });
    Child init(created.container.record().pid);
    const ExitStatus status =
        foreground.wait(init, std::move(created.console), notify ? &*notify : nullptr);
    if (args.flag("keep")) undo.keep();
    return status.shell();
}

constinit const Command create_command = {
    .name = "create",
    .synopsis = "<container-id>",
    .summary = "create a container",
    .options = create_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = create_only,
};

constinit const Command run_command = {
    .name = "run",
    .synopsis = "<container-id>",
    .summary = "create and run a container",
    .options = run_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = run,
};
