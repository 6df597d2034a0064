// How other folders call an OCI runtime: by its command line. Ours can be exchanged for runc or
// crun (KEG_RUNTIME, or `keg --runtime`), and theirs judges ours.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.h"
#include "spec/state.h"

// Docker's way to tell a program that is not there (127) and one that cannot be run (126) from
// other failures of a runtime: by its words, which runc, crun and keg-runtime share.
int failure_code(std::string_view words, int otherwise);

class RuntimeClient {
public:
    // program: a path or a name in PATH; "" = KEG_RUNTIME, else keg-runtime beside this executable,
    // else in PATH. state_root: its --root.
    explicit RuntimeClient(std::string state_root, std::string program = {});
    const std::string& program() const { return program_; }
    const std::string& state_root() const { return state_root_; }

    struct Io {
        int in = -1, out = 1, err = 2;  // descriptors for the container; -1 = /dev/null
    };
    struct CreateOptions {
        std::string bundle, pid_file, console_socket;
        Io io;
        // Who may want it no more while the runtime works: `heed` is called when the descriptor is
        // readable. What it throws ends the creation: the runtime gets a SIGTERM to clean up.
        int asking = -1;
        std::function<void()> heed = {};
    };
    // Each throws Error with the runtime's own message (the level=error record of its --log).
    void create(const std::string& id, const CreateOptions& options) const;
    void start(const std::string& id) const;
    void kill(const std::string& id, const std::string& signal) const;
    void remove(const std::string& id, bool force = true) const;
    void pause(const std::string& id) const;  // the runtime dies with the caller
    void resume(const std::string& id) const;
    spec::State state(const std::string& id) const;
    // In the foreground until its end; the exit status is the container's. The runtime dies with
    // the caller, the container does not: see to it that somebody removes it then.
    ExitStatus run(const std::string& id, const CreateOptions& options) const;

    struct ExecOptions {
        std::string process_file;  // a Process document
        std::string pid_file, console_socket;
        bool detach = false;
        Io io;
    };
    ExitStatus exec(const std::string& id, const ExecOptions& options) const;
    // What it answers to any other of its commands, fed `in`. Throws Error with its own message.
    std::string ask(const std::vector<std::string>& words, std::string_view in = {}) const;
    // argv of a call, for those that spawn it themselves: {program, --root, …, words…}.
    std::vector<std::string> command(std::vector<std::string> words) const;

private:
    std::string program_, state_root_;
};
