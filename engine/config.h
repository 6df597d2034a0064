// Run options + image config -> config.json, with Docker's defaults.
#pragma once

#include "container/defaults.h"
#include "engine/settings.h"
#include "image/bundle.h"
#include "spec/runtime.h"

// What is only known when the container starts.
struct ConfigInputs {
    ResolvedUser user;
    std::vector<VolumeMount> mounts;                     // sources are host paths by now
    std::string hosts_path, hostname_path, resolv_path;  // "" = none of ours
    std::string hostname;
    // The namespaces of another container to join; "" = a new one (or the host's).
    std::string network_path, ipc_path, pid_path;
    std::string shm_path;    // a tmpfs of the host for /dev/shm; "" = one of the container's own
    std::string init_path;   // the program for --init
    bool cgroup_v2 = false;  // the host's hierarchy
    std::vector<std::string> all_capabilities;  // what the engine itself has, by name
    std::vector<spec::Device> host_devices;     // of --device and --privileged
    std::vector<spec::DeviceRule> device_rules;
    spec::BlockIo block_io;  // its devices by their numbers
};

// Pure, except that seccomp rules are those for this machine and its kernel. Throws Docker's words
// for options that contradict each other.
spec::Config make_config(const Settings& settings, const ConfigInputs& inputs);
// The part of it that may change while it runs.
spec::Resources make_resources(const Settings& settings, const ConfigInputs& inputs);
// The process of `exec`: the container's, changed by the options.
struct ExecSettings {
    std::vector<std::string> args, env;
    std::string user, working_dir;
    bool tty = false, privileged = false;
};
spec::Process make_exec_process(const spec::Config& container, const ExecSettings& exec,
                                const std::optional<ResolvedUser>& user,
                                const std::vector<std::string>& all_capabilities);

// `--cap-add`, `--cap-drop` over Docker's defaults. Throws `invalid CapAdd: unknown capability:
// "CAP_X"`.
std::vector<std::string> plan_capabilities(const std::vector<std::string>& add,
                                           const std::vector<std::string>& drop,
                                           const std::vector<std::string>& all);
// PATH, HOSTNAME, TERM, then the container's own by key.
std::vector<std::string> plan_env(const std::vector<std::string>& env, const std::string& hostname,
                                  bool tty);

// --- what the machine says (not pure)
// --security-opt as it is kept: a seccomp profile's file is replaced by what it says (Docker's
// form, see container/seccomp_profile.h). Throws what is wrong with it, and where.
std::vector<std::string> load_security_options(const std::vector<std::string>& typed);
void add_devices(const Settings& settings, ConfigInputs& inputs);
void add_block_io(const Settings& settings, ConfigInputs& inputs);
