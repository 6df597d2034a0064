// A hook may leave children that hold its streams open, and need not read what it is told. So it
// gets files in memory: nobody has to read while it writes, and only its own end is waited for.
// That wait ends with its timeout, with the init it works for, or with a signal to us, and whatever
// is thrown kills it. Inside a container a filter may know no poll, so a hook without a timeout is
// waited for without one.
#include "runtime/state/hooks.h"

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/process.h"
#include "base/sys.h"
#include "runtime/process/signals.h"

namespace {

UniqueFd memory_file(const char* name, std::string_view text = {}) {
    UniqueFd fd(check(::memfd_create(name, MFD_CLOEXEC), "memfd_create"));
    if (!text.empty()) sys::write_all(fd.get(), text);
    check(::lseek(fd.get(), 0, SEEK_SET), "lseek");
    return fd;
}

std::vector<std::string> path_alone() {
    const char* path = std::getenv("PATH");
    return {
        str("PATH=", path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")};
}

std::string content(const UniqueFd& fd) {
    check(::lseek(fd.get(), 0, SEEK_SET), "lseek");
    return std::string(trim(sys::read_all(fd.get(), 64 << 20)));
}

// A hook takes the time that it takes: until the end of what it was given, of the container that it
// is for, or of our caller's patience. Whatever is thrown kills it.
void wait_for(const spec::Hook& hook, int pidfd, int init) {
    if (!hook.timeout && init < 0 && !heeds_signals_while_waiting())
        return;  // inside a container a filter may know no poll
    const int ended = wait_readable(
        {pidfd, init}, hook.timeout ? std::min(*hook.timeout, INT_MAX / 1000) * 1000 : -1);
    if (ended < 0) throw Error("hook ran past specified timeout of ", *hook.timeout, ".0s");
    if (ended == 1) throw Error("the container was killed meanwhile");
}

}  // namespace

void run_hooks(std::string_view kind, const std::vector<spec::Hook>& hooks,
               const spec::State& state, const HookSurroundings& surroundings) {
    for (size_t i = 0; i < hooks.size(); ++i) {
        const spec::Hook& hook = hooks[i];
        const std::string doing = str("error running ", kind, " hook #", i);
        context(doing, [&] {
            // Files instead of pipes: nobody has to read while the hook writes, and it may leave
            // children.
            const UniqueFd in = memory_file("state", spec::write_for_hook(state)),
                           out = memory_file("out"), err = memory_file("err");
            // As for execv, args[0] is the hook's own affair: dockerd's is the name of the command
            // in it that sets up the network.
            SpawnOptions options{.program = hook.path,
                                 .argv = hook.args,
                                 .env = hook.env,
                                 .own_env = !hook.env.empty(),
                                 .in = in.get(),
                                 .out = out.get(),
                                 .err = err.get(),
                                 .dies_with_us = true};
            if (options.argv.empty()) options.argv = {hook.path};
            // Who names no environment has the container's, or where there is none yet, that to
            // find programs by: ours may have secrets of our caller's.
            if (hook.env.empty())
                options.env = surroundings.environment ? *surroundings.environment : path_alone(),
                options.own_env = true;
            if (sys::exists(surroundings.directory)) options.directory = surroundings.directory;
            Child child = spawn(options);
            const UniqueFd pidfd = sys::pidfd_open_if_exists(child.pid());
            wait_for(hook, pidfd.get(), surroundings.init);
            const ExitStatus status = child.wait();
            if (status.shell() == 0) return;
            throw Error(status.signal ? str("signal: ", signal_text(status.signal))
                                      : str("exit status ", status.code),
                        ", stdout: ", content(out), ", stderr: ", content(err));
        });
    }
}

void run_hooks(std::string_view kind, const std::vector<spec::Hook>& hooks,
               const spec::State& state) {
    run_hooks(kind, hooks, state, {.directory = state.bundle});
}

void run_poststop_hooks(const std::vector<spec::Hook>& hooks, const spec::State& state) {
    for (const spec::Hook& hook : hooks)
        attempt("running poststop hook", [&] { run_hooks("poststop", {hook}, state); });
}
