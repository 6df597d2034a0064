// The user is one of the container's as it is now, not as its image was: names are looked up in
// what its process has for "/". The process document holds the environment, which may be secret: it
// is for its owner alone and goes with this command. With -it somebody has to stay between two
// terminals (engine/exec_session.h); in all other cases the runtime gets our own descriptors. What
// kept a program from running the runtime says in words only: Docker's 126 and 127 are made of
// them.
#include <unistd.h>

#include <cstdio>

#include "base/defer.h"
#include "base/root.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "engine/config.h"
#include "engine/container.h"
#include "engine/detach_keys.h"
#include "engine/exec_session.h"
#include "image/bundle.h"
#include "runtime/client.h"

namespace {

constexpr Option exec_options[] = {
    {"detach,d", nullptr, "return at once"},
    {"detach-keys", "KEYS", "the keys that leave a terminal", default_detach_keys},
    {"env,e", "NAME[=VALUE]", "set an environment variable"},
    {"env-file", "FILE", "read environment variables from a file"},
    {"interactive,i", nullptr, "keep stdin open"},
    {"privileged", nullptr, "all capabilities"},
    {"tty,t", nullptr, "a terminal"},
    {"user,u", "USER[:GROUP]", "who runs the process"},
    {"workdir,w", "DIR", "its working directory"},
};

ExecSettings read_settings(const Arguments& args) {
    ExecSettings exec{.args = {args.words().begin() + 1, args.words().end()},
                      .env = {},
                      .user = args.get("user"),
                      .working_dir = args.get("workdir"),
                      .tty = args.flag("tty"),
                      .privileged = args.flag("privileged")};
    for (const std::string& file : args.all("env-file"))
        for (std::string& entry : parse_env_file(file, read_file(file)))
            exec.env.push_back(std::move(entry));
    for (const std::string& entry : args.all("env")) {
        const char* value =
            entry.find('=') == std::string::npos ? ::getenv(entry.c_str()) : nullptr;
        exec.env.push_back(value ? entry + "=" + value : entry);
    }
    exec.env = merge_env(exec.env, {});
    return exec;
}

int exec(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const Container container = containers.get(args[0]);
    const State state = container.state();
    if (state.status == "paused")
        throw Error("Container ", container.settings().name,
                    " is paused, unpause the container before exec");
    if (state.status != "running") throw Error("container ", container.id(), " is not running");
    const ExecSettings settings = read_settings(args);
    (void)DetachKeys(args.get("detach-keys"));  // a mistake in them is told before anything runs
    const bool input = args.flag("interactive"), detach = args.flag("detach");
    if (settings.tty && input && !detach && !::isatty(0))
        throw Error("the input device is not a TTY");

    std::optional<ResolvedUser> user;
    if (!settings.user.empty()) {
        const Root root(str("/proc/", state.pid, "/root"));
        // What is open now is its own root, not that of who got its number after it.
        if (!is_alive(state.pid, state.pid_started))
            throw Error("container ", container.id(), " is not running");
        user = resolve_user(root, settings.user, container.settings().group_add);
    }
    const spec::Config config = spec::read_config(read_file(container.file("config.json")));
    const std::string process_file = container.file("exec-" + random_id().substr(0, 12));
    write_file(process_file, write(make_exec_process(config, settings, user, own_capabilities())),
               0600);
    const Defer no_file([&] { ::unlink(process_file.c_str()); });

    const std::string chosen = runtime_program(globals);
    const RuntimeClient runtime(volatile_directory(containers.store_root()) + "/runtime",
                                chosen.empty() ? container.settings().runtime : chosen);
    const RuntimeClient::Io io = detach ? RuntimeClient::Io{-1, -1, -1}
                                        : RuntimeClient::Io{input || settings.tty ? 0 : -1, 1, 2};
    try {
        if (settings.tty && input && !detach)
            return start_exec_session(runtime,
                                      {.container_id = container.id(),
                                       .process_file = process_file,
                                       .directory = volatile_directory(containers.store_root()),
                                       .detach_keys = args.get("detach-keys")})
                .wait(true);
        return runtime
            .exec(container.id(), {.process_file = process_file,
                                   .pid_file = {},
                                   .console_socket = {},
                                   .detach = detach,
                                   .io = io})
            .shell();
    } catch (Error& e) {
        if (!e.exit_code()) e.exit_with(failure_code(e.what(), 1));
        e.prefix("OCI runtime exec failed");
        throw;
    }
}

}  // namespace

constinit const Command exec_command = {
    .name = "exec",
    .synopsis = "CONTAINER COMMAND [ARG...]",
    .summary = "run a command in a running container",
    .options = exec_options,
    .least = 2,
    .run = exec,
};
