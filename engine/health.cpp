// A check is a process of the container like one of `exec`, started by a child of the monitor,
// which reads and writes the documents for that: the monitor itself stays small. What a check
// leaves behind (it was killed, or its own children go on) comes to the monitor, a subreaper, and
// is reaped there; the container's init, whose end is not ours to take, never is.
#include "engine/health.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/defer.h"
#include "base/duration.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sys.h"
#include "engine/config.h"
#include "engine/events.h"
#include "image/bundle.h"

template <>
inline constexpr auto json::fields<Probe> =
    std::tuple(json::required("Start", &Probe::start), json::required("End", &Probe::end),
               json::required("ExitCode", &Probe::exit_code),
               json::required("Output", &Probe::output));
template <>
inline constexpr auto json::fields<HealthState> =
    std::tuple(json::required("Status", &HealthState::status),
               json::required("FailingStreak", &HealthState::failing_streak),
               json::required("Log", &HealthState::log));

static constexpr size_t most_output = 4096, most_probes = 5;
// Docker's: a check that was killed has this exit code, and one that could not be run that.
static constexpr int timed_out = -1;

std::optional<HealthState> health_of(const Container& container) try {
    if (!container.settings().health) return {};
    const auto text = read_file_if_exists(container.file("health.json"), 1 << 20);
    if (!text) return HealthState{};
    return json::read<HealthState>(json::parse(*text));
} catch (const std::exception&) {  // it is written without a sync: torn is unknown
    return HealthState{};
}

HealthState after_probe(HealthState state, Probe probe, bool in_start_period, int retries) {
    if (probe.exit_code == 0)
        state.status = "healthy", state.failing_streak = 0;
    else if (state.status != "starting" || !in_start_period)
        if (++state.failing_streak >= retries) state.status = "unhealthy";
    state.log.push_back(std::move(probe));
    if (state.log.size() > most_probes) state.log.erase(state.log.begin());
    return state;
}

HealthChecks::HealthChecks(const Containers& containers, const Container& container,
                           const RuntimeClient& runtime, pid_t init)
    : containers_(containers), container_(container), runtime_(runtime),
      settings_(*container.settings().health), init_(init), started_(Clock::now()) {
    replace_file(container_.file("health.json"), json::dump(json::write(state_)), 0600,
                 Durability::rename_only);
    due_ = started_ + std::chrono::nanoseconds(in_start_period() ? settings_.start_interval
                                                                 : settings_.interval);
}

HealthChecks::~HealthChecks() {
    if (probe_) kill_probe(), ::waitpid(probe_, nullptr, 0);
    if (probe_) ::unlink((file_ + ".pid").c_str());
}

bool HealthChecks::in_start_period() const {
    return state_.status == "starting" &&
           Clock::now() - started_ < std::chrono::nanoseconds(settings_.start_period);
}

int HealthChecks::milliseconds() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due_ - Clock::now()).count();
    return int(std::clamp<int64_t>(left, 0, 1 << 30));
}

void HealthChecks::work() {
    if (!probe_) {
        if (milliseconds() == 0) begin();
        return;
    }
    siginfo_t info{};
    if (::waitid(P_PID, id_t(probe_), &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0) {
        if (milliseconds() == 0) give_up();
        return;
    }
    std::string output(most_output + 1, '\0');
    const ssize_t n = ::read(output_.get(), output.data(), output.size());
    output.resize(size_t(std::max<ssize_t>(n, 0)));
    if (output.size() > most_output) output.replace(most_output, 1, "...");
    finish(info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status, std::move(output));
}

void HealthChecks::begin() {
    due_ = Clock::now() + std::chrono::nanoseconds(settings_.interval);
    if (container_.last_state().status != "running") return;  // paused: it is not asked
    sys::Pipe pipe = sys::pipe();
    file_ = container_.file("health-probe"), began_ = rfc3339_now();
    const pid_t child = check(::fork(), "fork");
    if (child == 0) run_probe(pipe.write.get());
    probe_ = child;
    process_ = sys::pidfd_open(child, "opening the health check");
    output_ = std::move(pipe.read);
    ::fcntl(output_.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(output_.get(), F_SETPIPE_SZ, 65536);
    due_ = Clock::now() + std::chrono::nanoseconds(settings_.timeout);
}

static std::vector<std::string> words_of(const Settings& settings) {
    const std::vector<std::string>& test = settings.health->test;
    if (test[0] == "CMD") return {test.begin() + 1, test.end()};
    std::vector<std::string> words = settings.shell;
    if (words.empty()) words = {"/bin/sh", "-c"};
    words.push_back(test[1]);
    return words;
}

// In the child.
void HealthChecks::run_probe(int output) const try {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it has the monitor's locks
    ::dup2(output, 1), ::dup2(output, 2);
    const spec::Config config = spec::read_config(read_file(container_.file("config.json")));
    const ExecSettings exec{.args = words_of(container_.settings())};
    write_file(file_, write(make_exec_process(config, exec, std::nullopt, {})), 0600);
    // What has inherited the pipe holds nobody up: it is read once, when the check has ended.
    const ExitStatus status = runtime_.exec(
        container_.id(), {.process_file = file_, .pid_file = file_ + ".pid", .io = {-1, 1, 2}});
    ::unlink((file_ + ".pid").c_str()), ::unlink(file_.c_str());
    ::_exit(status.shell());
} catch (const std::exception& e) {
    ::dprintf(1, "OCI runtime exec failed: %s", e.what());
    ::_exit(failure_code(e.what(), 126));
}

// The process in the container, and who waits for it.
void HealthChecks::kill_probe() const {
    if (const auto text = read_file_if_exists(file_ + ".pid"))
        if (const pid_t pid = parse_number<pid_t>(trim(*text)).value_or(0); pid > 0 && pid != init_)
            ::kill(pid, SIGKILL);
    ::kill(probe_, SIGKILL);
}

void HealthChecks::give_up() {
    kill_probe();
    ::waitpid(probe_, nullptr, 0);
    ::unlink((file_ + ".pid").c_str()), ::unlink(file_.c_str());
    finish(timed_out,
           str("Health check exceeded timeout (",
               std::chrono::duration<double>(std::chrono::nanoseconds(settings_.timeout)).count(),
               "s)"));
}

void HealthChecks::finish(int exit_code, std::string output) {
    probe_ = 0;
    process_.reset(), output_.reset();
    reap_orphans();
    const std::string before = state_.status;
    Probe probe{.start = began_,
                .end = rfc3339_now(),
                .exit_code = exit_code,
                .output = visible(output, "\n\t")};
    state_ = after_probe(std::move(state_), std::move(probe), in_start_period(), settings_.retries);
    due_ = Clock::now() + std::chrono::nanoseconds(in_start_period() ? settings_.start_interval
                                                                     : settings_.interval);
    attempt("keeping the container's health", [&] {
        replace_file(container_.file("health.json"), json::dump(json::write(state_)), 0600,
                     Durability::rename_only);
    });
    if (state_.status != before)
        note_event(containers_, container_, "health_status: " + state_.status);
}

void HealthChecks::reap_orphans() const {
    for (siginfo_t info{}; ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                           info.si_pid != 0 && info.si_pid != init_;
         info = {})
        ::waitpid(info.si_pid, nullptr, 0);
}
