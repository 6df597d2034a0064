// What flows while a container runs: its output to the log and to the caller, the caller's input,
// keys, signals and window sizes to the container.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "engine/caller.h"
#include "engine/logs.h"

// The monitor's ends of a container's stdio; with a terminal only `console`.
struct ContainerIo {
    UniqueFd input, output, errors, console;
};

class Relay {
public:
    // log: "" keeps no output. attach_input: the caller's descriptor 0 is the container's input.
    Relay(ContainerIo io, int pidfd, const std::string& log, Caller& caller, bool attach_input);
    // Until the container's process has ended, or poll fails.
    void run();
    // What its processes wrote before they ended; all of them are gone.
    void drain();
    void lose_caller();

private:
    void read_output(UniqueFd& from, bool is_error);
    void read_input();
    void write_input();
    void hear_caller();
    void write_log(bool is_error, std::string_view data);

    ContainerIo io_;
    int pidfd_;
    std::optional<LogWriter> log_;
    Caller& caller_;
    std::string pending_input_;
    bool attach_input_, input_open_, prefix_key_ = false, log_failed_ = false;
};
