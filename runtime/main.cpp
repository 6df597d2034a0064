// keg-runtime: an OCI runtime with runc's command line. Global options, the command table, the one
// catch. What a caller parses: the exit code, the last line on stderr and in --log, the pid file.
#include <malloc.h>
#include <seccomp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/boolean.h"
#include "base/error.h"
#include "base/log.h"
#include "base/path.h"
#include "base/sys.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/commands/commands.h"
#include "runtime/process/namespaces.h"
#include "runtime/process/passage.h"
#include "spec/runtime.h"

static constexpr Option globals[] = {
    {"root", "DIR", "root directory for storage of container state"},
    {"log", "FILE", "set the log file to write logs to (default is stderr)"},
    {"log-format", "FORMAT", "set the log format: text or json", "text"},
    {"log-level", "LEVEL",
     "what to log: error, warning, info or debug (default: error to a file, info to stderr)"},
    {"debug", nullptr, "enable debug logging"},
    {"cgroup-manager", "MANAGER", "who makes the cgroups: cgroupfs, systemd or disabled",
     "cgroupfs"},
    {"systemd-cgroup", nullptr, "the same as --cgroup-manager systemd"},
    {"rootless", "MODE", "ignore cgroup permission errors: true, false or auto", "auto"},
};

static constexpr const Command* commands[] = {
    &checkpoint_command, &create_command, &delete_command,   &exec_command,  &features_command,
    &kill_command,       &list_command,   &pause_command,    &ps_command,    &restore_command,
    &resume_command,     &run_command,    &spec_command,     &start_command, &state_command,
    &update_command,     &events_command, &validate_command,
};

static void print_version() {
    const scmp_version* seccomp = ::seccomp_version();
    std::printf("keg-runtime version 0.1.0\nspec: %s\nlibseccomp: %u.%u.%u\n", spec::version,
                seccomp->major, seccomp->minor, seccomp->micro);
}

static LogLevel log_level(const std::string& word) {
    static constexpr std::pair<const char*, LogLevel> levels[] = {{"error", LogLevel::error},
                                                                  {"warning", LogLevel::warning},
                                                                  {"info", LogLevel::info},
                                                                  {"debug", LogLevel::debug}};
    for (const auto& [name, level] : levels)
        if (word == name) return level;
    throw Error("invalid log-level: ", word, "; known are error, warning, info, debug");
}

static void prepare(const Arguments& given) {
    LogSettings log;
    const std::string format = given.get("log-format");
    if (!format.empty() && format != "text" && format != "json")
        throw Error("invalid log-format: ", format);
    if (format == "json") log.format = LogFormat::json;
    if (const std::string file = given.get("log"); !file.empty()) {
        log.fd = sys::open(file, O_WRONLY | O_CREAT | O_APPEND | O_SYNC, 0644).release();
        log.is_read = file.starts_with("/proc/self/fd/");  // a descriptor of our caller's
    }
    // Podman reads the file as one JSON object: a failure writes one record, and nothing else comes
    // before it.
    if (log.fd != 2) log.level = LogLevel::error;
    if (const auto level = given.value("log-level")) log.level = log_level(*level);
    if (given.flag("debug")) log.level = LogLevel::debug;
    rootless(given), cgroup_manager(given);  // for every command they are words that are known
    set_log(log);
}

std::string state_root(const Arguments& given) {
    std::string root = given.get("root");
    if (root.empty()) {
        const char *own = std::getenv("XDG_RUNTIME_DIR"), *user = std::getenv("USER");
        // podman starts us as root of a user's namespace. There root may also be who it is (runc's
        // rule).
        const bool really_root = ::geteuid() == 0 && user && std::string_view(user) == "root";
        root =
            own && *own && !really_root && is_rootless() ? std::string(own) + "/keg" : "/run/keg";
    }
    root = absolute_path(root);
    if (root == "/") throw Error("Option --root argument should not be set to /");
    return root;
}

std::optional<bool> rootless(const Arguments& given) {
    const std::string word = given.get("rootless");
    if (word == "auto") return {};
    const auto known = parse_bool(word);
    if (!known) throw Error("invalid --rootless: ", quoted(word), "; known are true, false, auto");
    return known;
}

int64_t number(const Arguments& args, const char* option, int64_t least, int64_t most) {
    const auto value = parse_number_between(args.get(option), least, most);
    if (!value)
        throw Error("invalid value ", quoted(args.get(option)), " for flag -", option,
                    ": not a number from ", least, " to ", most);
    return *value;
}

std::string cgroup_manager(const Arguments& given) {
    const std::string name = given.flag("systemd-cgroup") ? "systemd" : given.get("cgroup-manager");
    return std::string(cgroup_manager(name).name);
}

int main(int argc, char** argv) {
    remember_words(argc, argv);
    // Memory that is given back to the kernel and asked for again costs a start more than it saves.
    ::mallopt(M_TOP_PAD, 256 << 10);
    ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
    static constexpr Program program{
        .name = "keg-runtime",
        .summary = "Open Container Initiative runtime",
        .style = Style::runc,
        .globals = globals,
        .commands = commands,
        .print_version = print_version,
        .prepare = prepare,
    };
    const auto tell = [](const std::string& what) {
        log_error(what);
        // Who sends the log elsewhere still sees the reason.
        if (log_settings().fd != 2 && !log_settings().is_read) ::dprintf(2, "%s\n", what.c_str());
    };
    try {
        return dispatch(program, argc, argv);
    } catch (const std::filesystem::filesystem_error& e) {  // in the words of all others
        tell(str(quoted(e.path1().string()), ": ", errno_text(e.code().value())));
    } catch (const std::exception& e) {
        tell(e.what());
        if (const auto* own = dynamic_cast<const Error*>(&e); own && own->exit_code())
            return own->exit_code();
    }
    return 1;
}
