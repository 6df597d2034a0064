// What a container was asked to be: the run options merged with the image's config. Written once,
// at create; what happens to it later is its State (container.h).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "container/identity.h"
#include "container/ports.h"
#include "image/digest.h"
#include "spec/runtime.h"

struct VolumeMount {
    std::string type = "bind";  // bind, volume
    std::string source;         // host path, or a volume's name
    std::string destination;
    std::string mode;  // as typed: "ro,rslave"
    std::string propagation = "rprivate";
    bool read_only = false;
    bool no_copy = false;
    bool must_exist = false;  // --mount: a missing source is an error, not made
    bool anonymous = false;
    bool alone = false;          // what is mounted below the source does not come along
    bool read_only_top = false;  // read-only is the source alone, not what is mounted below it
    std::string subpath;  // of a volume or an image: what is mounted; no link leads out of it
};

struct RestartPolicy {
    std::string name = "no";  // no on-failure always unless-stopped
    int most = 0;             // of on-failure: how often; 0: without limit
};

// How it is found out whether a container does its work; Docker's defaults are filled in.
struct HealthSettings {
    std::vector<std::string> test;  // "CMD", words; or "CMD-SHELL", text
    int64_t interval = 0, timeout = 0, start_period = 0, start_interval = 0;  // nanoseconds
    int retries = 0;
};

// Where a container's output is kept.
struct ContainerLog {
    std::string driver = "json-file";            // json-file local none passthrough
    std::map<std::string, std::string> options;  // as typed
};

// A network that the container is in, and how it is known there.
struct NetworkWish {
    std::string name;
    std::vector<std::string> aliases;
    std::string ip, mac;
};

struct Settings {
    std::string id, name, created;    // name without the slash
    std::string image, image_id;      // as typed; "sha256:…"
    std::vector<std::string> layers;  // diff IDs, lowest first

    std::string hostname, domainname, user, working_dir;
    std::vector<std::string> env;  // the user's, then the image's; "NAME" alone removes a default
    std::vector<std::string> entrypoint, cmd;
    std::map<std::string, std::string> labels;
    std::set<std::string> exposed_ports, image_volumes;
    bool tty = false, open_stdin = false, attach = true;
    std::string stop_signal;
    std::optional<int> stop_timeout;

    std::vector<std::string> binds;  // -v as typed, for inspect
    std::vector<VolumeMount> mounts;
    std::map<std::string, std::string> tmpfs;
    std::vector<std::string> volumes_from;  // as typed, for inspect
    std::string network = "bridge";         // bridge host none container:ID, or a user's network
    std::vector<NetworkWish> networks;      // all that it is in, the first is `network`
    std::vector<std::string> links;         // "ID:ALIAS"
    std::vector<PortBinding> ports;
    bool publish_all = false, auto_remove = false, privileged = false, read_only = false,
         init = false;
    std::vector<std::string> cap_add, cap_drop, security_opt, group_add;
    std::vector<std::string> dns, dns_search, dns_options, extra_hosts;
    std::vector<std::string> devices;  // HOST[:CONTAINER][:rwm]
    std::map<std::string, std::string> sysctls;
    std::vector<std::string> ulimits;              // "nofile=1024:2048", checked
    std::vector<std::string> device_cgroup_rules;  // "c 1:3 rwm", checked
    std::map<std::string, std::string> annotations;
    RestartPolicy restart;
    std::optional<HealthSettings> health;  // none: no checks
    std::vector<std::string> shell;        // the image's SHELL, for a CMD-SHELL of `health`
    ContainerLog log;
    // private host shareable none container:ID, as far as each knows them; "" is the default
    std::string ipc, pid, uts, userns, cgroupns, cgroup_parent, cid_file, runtime;
    int64_t shm_size = 64 << 20;
    int64_t memory = 0, memory_swap = 0, memory_reservation = 0, nano_cpus = 0, cpu_shares = 0,
            pids_limit = 0;
    int64_t cpu_period = 0, cpu_quota = 0, cpu_rt_period = 0, cpu_rt_runtime = 0;
    std::string cpuset_cpus, cpuset_mems;
    int oom_score_adj = 0;
    std::optional<int> memory_swappiness;
    bool oom_kill_disable = false;
    int blkio_weight = 0;
    // "/dev/sda:RATE" each, checked
    std::vector<std::string> blkio_weight_device, device_read_bps, device_write_bps,
        device_read_iops, device_write_iops;
};

std::string write(const Settings& settings);
Settings read_settings(std::string_view text);
// The words of the process: entrypoint, then cmd.
std::vector<std::string> arguments(const Settings& settings);
// Its layers as what they are; throws for a word that is no digest.
std::vector<Digest> layers_of(const Settings& settings);

// The container that a mode of --network, --ipc, --pid names: "container:ID".
std::optional<std::string> peer_of(const std::string& mode);
// The networks with a bridge that it is in; those of older stores have only a name.
std::vector<NetworkWish> bridges_of(const Settings& settings);
// The ID of the container whose network it shares.
std::optional<std::string> shared_network(const Settings& settings);

// --- the small languages of the options; each throws Error in Docker's words

// `-v [SRC:]DST[:MODE]`; a SRC that starts with "." is made absolute against `directory`.
VolumeMount parse_volume(const std::string& spec, const std::string& directory);
// `--mount type=bind,source=…,target=…`, CSV with its quotes; a tmpfs goes to `tmpfs`. A relative
// source of a bind is made absolute against `directory`.
std::optional<VolumeMount> parse_mount(const std::string& spec, const std::string& directory,
                                       std::map<std::string, std::string>& tmpfs);
// Throws for an option that the driver does not have, or that means nothing.
void check_log_settings(const ContainerLog& log);
// `no`, `on-failure:3`, `always`, `unless-stopped`.
RestartPolicy parse_restart(const std::string& text);
// `c 1:3 rwm`, `b *:* r`, as a rule of the cgroup that allows.
spec::DeviceRule parse_device_rule(const std::string& text);
// `/dev/sda:1mb` or `/dev/sda:100`: the device's path, and the number (`bytes`: with units).
struct DeviceRate {
    std::string path;
    uint64_t rate = 0;
};
DeviceRate parse_device_rate(const std::string& text, bool bytes);
// `64m`, `1g`, `1.5GiB`: binary multiples.
int64_t parse_bytes(const std::string& text);
// `1.5` CPUs as nanoseconds per second, exactly.
int64_t parse_cpus(const std::string& text);
// `nofile=1024:2048`, or one number for both; -1 is no limit. The type is RLIMIT_NOFILE.
spec::Rlimit parse_ulimit(const std::string& text);
// The lines of an --env-file or --label-file: no quoting, "#" begins a comment line, "NAME" alone
// takes our own environment's value, or is left out. `name` is the file's, for errors.
std::vector<std::string> parse_env_file(const std::string& name, std::string_view text);
// `name:ip` or `name=ip`, as "name:ip"; an IPv6 address may be in brackets, "host-gateway" is one.
std::string parse_extra_host(const std::string& text);
// `user` over `below`, by key: later entries win, "NAME" alone is kept (it removes).
std::vector<std::string> merge_env(const std::vector<std::string>& user,
                                   const std::vector<std::string>& below);
// "9", "KILL", "SIGKILL", "RTMIN+3" as a number; throws "invalid signal: x".
int parse_signal(const std::string& text);
// "1.5"; nothing if it is not a plain decimal number.
std::optional<double> parse_decimal(std::string_view text);
// Throws unless it is [a-zA-Z0-9][a-zA-Z0-9_.-]+.
void check_name(const std::string& name);
std::string random_name();  // "brisk_hopper"; it may be taken
