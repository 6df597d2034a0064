// Whoever types ^P^Q leaves, and the process goes on: so somebody else must have its terminal, and
// know how it ends. That is a process of the same kind as a container's monitor (monitor.h), with
// the same relay and the same words to the command, but without a log and with nothing to take
// back: it ends with its process.
#include "engine/exec_session.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/sys.h"
#include "engine/caller.h"
#include "engine/console.h"
#include "engine/relay.h"

namespace {

void become_independent() {
    ::setsid();
    check(::prctl(PR_SET_CHILD_SUBREAPER, 1), "becoming a subreaper");
    ::prctl(PR_SET_NAME, "keg-exec");
    ::signal(SIGPIPE, SIG_IGN);
    check(::chdir("/"), "chdir /");
}

int exit_code_of(const UniqueFd& process) {
    siginfo_t info{};
    if (::waitid(P_PIDFD, id_t(process.get()), &info, WEXITED) < 0) return 255;
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

void serve(const RuntimeClient& runtime, const ExecSession& session, const winsize& size,
           Caller& caller) {
    become_independent();
    const std::string name = session.directory + "/exec-" + random_id().substr(0, 12),
                      pid_file = name + ".pid";
    const ConsoleSocket console(name + ".sock");
    const Defer no_file([&] { ::unlink(pid_file.c_str()); });
    runtime.exec(session.container_id, {.process_file = session.process_file,
                                        .pid_file = pid_file,
                                        .console_socket = console.path(),
                                        .detach = true,
                                        .io = {-1, -1, -1}});
    const pid_t pid = parse_number<pid_t>(trim(read_file(pid_file))).value_or(0);
    const UniqueFd process = sys::pidfd_open(pid, "opening the process");
    ContainerIo io{.input = {}, .output = {}, .errors = {}, .console = console.receive()};
    if (size.ws_row) ::ioctl(io.console.get(), TIOCSWINSZ, &size);
    Relay relay(std::move(io), process.get(), caller,
                {.attach_input = true, .detach_keys = session.detach_keys});
    caller.tell("started");
    relay.run();
    const int code = exit_code_of(process);
    relay.drain();
    caller.wait_until_caught_up();
    caller.tell(str("exit ", code));
}

}  // namespace

Monitored start_exec_session(const RuntimeClient& runtime, const ExecSession& session) {
    assert_single_threaded();
    MonitoredStart start(
        {.runtime = {}, .attach = true, .attach_input = true, .raw_terminal = true});
    const pid_t pid = check(::fork(), "fork");
    if (pid == 0) {
        Caller caller(start.become_monitor(), true, true);
        try {
            serve(runtime, session, start.size(), caller);
        } catch (const std::exception& e) {
            caller.tell(str("failed ", failure_code(e.what(), 1), " ", e.what()));
        }
        ::_exit(0);
    }
    return start.become_caller();
}
