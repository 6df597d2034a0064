// Two sources say what the process is, and what they leave out means different things. Options
// change the bundle's process: what they do not name is as there, but for the terminal, which was
// for another program. A document (--process) is whole: program, environment and no_new_privs are
// its own, and only what it leaves out of the rest is the container's. A failure must not look like
// the exit code of a program that ran, so whatever goes wrong before is 255.
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "runtime/commands/commands.h"
#include "runtime/start/enter.h"
#include "runtime/start/foreground.h"

static constexpr Option exec_options[] = {
    {"console-socket", "PATH",
     "path to an AF_UNIX socket which will receive a file descriptor of the console's master end"},
    {"pidfd-socket", "PATH", "path to an AF_UNIX socket which will receive a pidfd of the process"},
    {"cwd", "DIR", "current working directory in the container"},
    {"env,e", "NAME=VALUE", "set environment variables"},
    {"tty,t", nullptr, "allocate a pseudo-TTY"},
    {"user,u", "UID[:GID]", "user and group of the process"},
    {"additional-gids,g", "GID", "additional groups", "", false, Value::integers},
    {"process,p", "FILE", "path to the process.json"},
    {"detach,d", nullptr, "detach from the container's process"},
    {"pid-file", "FILE", "specify the file to write the process id to"},
    {"process-label", "LABEL",
     "set the asm process label for the process commonly used with selinux"},
    {"apparmor", "PROFILE", "set the apparmor profile for the process"},
    {"no-new-privs", nullptr, "set the no new privileges value for the process"},
    {"cap,c", "CAP", "add a capability to the bounding set for the process"},
    {"preserve-fds", "N",
     "pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)", "0",
     false, Value::integer},
    {"cgroup", "PATH",
     "run the process in an (existing) sub-cgroup(s); the format is [<controller>:]<cgroup>"},
    {"ignore-paused", nullptr, "allow exec in a paused container"},
    {"no-subreaper", nullptr, "(ignored)", "", true},
};

// An option that is given as "" is as if it had not been given.
static std::optional<std::string> given(const Arguments& args, const char* name) {
    const auto value = args.value(name);
    return value && value->empty() ? std::nullopt : value;
}

static uint32_t parse_id(const std::string& text, const char* what) {
    // The last number is the kernel's word for "as it is": the user would stay who joins the
    // container, root.
    const auto id = parse_number_between<uint32_t>(text, 0, UINT32_MAX - 1);
    if (!id)
        throw Error("bad ", what, ": ", quoted(text), " is not a number from 0 to ",
                    UINT32_MAX - 1);
    return *id;
}

// What a process document leaves out is as it is for the container. Program, environment and
// no_new_privs are the document's own, as with runc.
static spec::Process complete(spec::Process given, const spec::Config& config) {
    if (!config.process) return given;
    const spec::Process& own = *config.process;
    const auto take = [](auto& into, const auto& from) {
        if (!into) into = from;
    };
    take(given.capabilities, own.capabilities);
    take(given.scheduler, own.scheduler);
    take(given.io_priority, own.io_priority);
    take(given.oom_score_adj, own.oom_score_adj);
    take(given.exec_cpu_affinity, own.exec_cpu_affinity);
    take(given.user.umask, own.user.umask);
    if (given.rlimits.empty()) given.rlimits = own.rlimits;
    if (given.selinux_label.empty()) given.selinux_label = own.selinux_label;
    if (given.apparmor_profile.empty()) given.apparmor_profile = own.apparmor_profile;
    return given;
}

// The bundle's process with what the options change: another program is not the bundle's terminal,
// and never gets inheritable capabilities (CVE-2022-29162).
static spec::Process plan_process(const Arguments& args, const spec::Config& config) {
    if (const auto file = given(args, "process"))
        return complete(spec::read_process(read_file(*file)), config);
    if (!config.process) throw Error("the container's config has no process");
    spec::Process process = *config.process;
    process.args.assign(args.words().begin() + 1, args.words().end());
    process.terminal = args.flag("tty");
    process.console_size.reset();
    if (const auto cwd = given(args, "cwd")) process.cwd = *cwd;
    if (const auto label = given(args, "process-label")) process.selinux_label = *label;
    if (const auto profile = given(args, "apparmor")) process.apparmor_profile = *profile;
    if (args.has("no-new-privs")) process.no_new_privileges = args.flag("no-new-privs");
    for (const std::string& entry : args.all("env")) process.env.push_back(entry);
    if (const auto user = given(args, "user")) {
        const size_t colon = user->find(':');
        process.user.uid = parse_id(user->substr(0, colon), "uid");
        if (colon != std::string::npos) process.user.gid = parse_id(user->substr(colon + 1), "gid");
    }
    for (const std::string& gid : args.all("additional-gids"))
        process.user.additional_gids.push_back(parse_id(gid, "additional gid"));
    for (const std::string& cap : args.all("cap")) {
        if (!process.capabilities) process.capabilities.emplace();
        for (auto* set : {&process.capabilities->bounding, &process.capabilities->effective,
                          &process.capabilities->permitted})
            set->push_back(cap);
        if (!process.capabilities->inheritable.empty())
            process.capabilities->ambient.push_back(cap);
    }
    return process;
}

static int run_exec(const Arguments& globals, const Arguments& args) {
    const Container container = Container::load(state_root(globals), args[0]);
    if (args.size() < 2 && !given(args, "process")) throw Error("exec args cannot be empty");
    const spec::Config config = container.config();
    ExecOptions wanted;
    wanted.process = plan_process(args, config);
    if (wanted.process.args.empty()) throw Error("args must not be empty");
    if (wanted.process.cwd.empty()) throw Error("Cwd property must not be empty");
    if (!wanted.process.cwd.starts_with('/'))
        throw Error("Cwd must be an absolute path, but is ", quoted(wanted.process.cwd));
    wanted.console_socket = args.get("console-socket");
    wanted.pidfd_socket = args.get("pidfd-socket");
    wanted.pid_file = args.get("pid-file");
    wanted.detached = args.flag("detach");
    wanted.cgroups = args.all("cgroup");
    wanted.ignore_paused = args.flag("ignore-paused");
    wanted.preserve_fds = int(number(args, "preserve-fds", 0, most_preserved));
    Foreground foreground(!wanted.detached);
    Entered entered = enter(container, config, wanted);
    if (!wanted.detached) return foreground.wait(entered.child, std::move(entered.console)).shell();
    entered.child.release();
    return 0;
}

// Whatever fails before the program runs is 255, which no caller takes for the program's own.
static int exec(const Arguments& globals, const Arguments& args) try {
    return run_exec(globals, args);
} catch (Error& e) {
    e.prefix("exec failed");
    e.exit_with(255);
    throw;
}

constinit const Command exec_command = {
    .name = "exec",
    .synopsis = "<container-id> <command> [command options]  || -p process.json <container-id>",
    .summary = "execute new process inside the container",
    .options = exec_options,
    .least = 1,
    .run = exec,
};
