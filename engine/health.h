// Whether a container does its work: its check is run in it from time to time (Docker's
// HEALTHCHECK), and what came of it is kept beside its state, in health.json.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "engine/container.h"
#include "runtime/client.h"

struct Probe {
    std::string start, end;  // RFC 3339
    int exit_code = 0;
    std::string output;  // its first 4096 bytes
};
struct HealthState {
    std::string status = "starting";  // starting healthy unhealthy
    int failing_streak = 0;
    std::vector<Probe> log;  // the last five
};

// Nothing: it has no check, or has not run since it has one.
std::optional<HealthState> health_of(const Container& container);

// What the result of a check makes of the state; `in_start_period`: it may still fail. Pure.
HealthState after_probe(HealthState before, Probe probe, bool in_start_period, int retries);

// The checks of a container that runs, for whoever has a loop: after so many milliseconds, or when
// the descriptor is readable, work() has something to do. Nothing in it waits.
class HealthChecks {
public:
    HealthChecks(const Containers& containers, const Container& container,
                 const RuntimeClient& runtime, pid_t init);
    HealthChecks(const HealthChecks&) = delete;
    HealthChecks& operator=(const HealthChecks&) = delete;
    ~HealthChecks();

    int milliseconds() const;  // -1: nothing is due
    int descriptor() const { return probe_ ? process_.get() : -1; }
    void work();

private:
    using Clock = std::chrono::steady_clock;
    bool in_start_period() const;
    void begin();
    [[noreturn]] void run_probe(int output) const;
    void finish(int exit_code, std::string output);
    void give_up();
    void kill_probe() const;
    void reap_orphans() const;

    const Containers& containers_;
    const Container& container_;
    const RuntimeClient& runtime_;
    const HealthSettings settings_;
    pid_t init_;
    HealthState state_;
    Clock::time_point started_, due_;
    // Of the check that runs.
    pid_t probe_ = 0;
    std::string file_, began_;
    UniqueFd process_, output_;
};
