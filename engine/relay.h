// What flows while a container runs: its output to the log and to the caller, the caller's input,
// keys, signals and window sizes to the container; who attaches later is served, too, and the
// health checks have their turn.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "engine/attachers.h"
#include "engine/caller.h"
#include "engine/detach_keys.h"
#include "engine/health.h"
#include "engine/logs.h"
#include "engine/name_server.h"

// The monitor's ends of a container's stdio; with a terminal only `console`.
struct ContainerIo {
    UniqueFd input, output, errors, console;
};

struct RelayOptions {
    std::string log;  // "" keeps no output
    ContainerLog log_settings;
    bool attach_input = false;  // the caller's descriptor 0 is the container's input
    bool input_once = false;    // the end of an attacher's input is the end of the container's
    std::string detach_keys;    // that the caller types to leave; "" are the default
    std::string attach_socket;  // where others may attach; "": nowhere
    HealthChecks* health = nullptr;
};

class Relay {
public:
    Relay(ContainerIo io, int pidfd, Caller& caller, const RelayOptions& options);
    // Until the container's process has ended, or poll fails.
    void run();
    // What its processes wrote before they ended; all of them are gone.
    void drain();
    void lose_caller();
    void serve_names(NameServer& names) { names_ = &names; }
    void tell_end(int exit_code) { attachers_.tell_end(exit_code); }
    bool is_behind() const { return caller_.is_behind() || attachers_.is_behind(); }
    void wait_for_attached() { attachers_.wait_until_caught_up(); }

private:
    int milliseconds() const;
    void read_output(UniqueFd& from, bool is_error);
    void read_input();
    void write_input();
    void hear_caller();
    void hear_attachers(const std::vector<pollfd>& polled);
    void send_signal(int signal) const;
    void set_size(const winsize& size) const;
    void write_log(bool is_error, std::string_view data);

    ContainerIo io_;
    int pidfd_;
    std::optional<LogWriter> log_;
    Caller& caller_;
    DetachKeys keys_;
    Attachers attachers_;
    HealthChecks* health_;
    NameServer* names_ = nullptr;
    std::string pending_input_;
    bool attach_input_, input_open_, input_once_, log_failed_ = false;
};
