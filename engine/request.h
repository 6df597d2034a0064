// What somebody asks for who wants a container, as he typed it: of the command line, or of whoever
// else asks. Nothing is decided here; decide() makes Settings of it, of the image and of the
// machine, and throws for what cannot be, before anything is made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/container.h"
#include "image/store.h"
#include "spec/image.h"

struct ContainerRequest {
    using Text = std::string;
    using List = std::vector<std::string>;
    using Number = std::optional<int64_t>;

    Text image;  // as typed
    List words;  // behind it
    Text name, runtime, cid_file;
    std::optional<Text> entrypoint, user, working_dir;  // "" is not the same as absent
    Text hostname, domainname, stop_signal;
    List env, labels, annotations;  // files are read, and the caller's values filled in
    Number stop_timeout;
    bool tty = false, open_stdin = false, attach = true, auto_remove = false, init = false;
    Text restart = "no";

    std::optional<Text> health_cmd;
    Text health_interval, health_timeout, health_start_period, health_start_interval;
    Number health_retries;
    bool no_healthcheck = false;
    Text log_driver;
    List log_opts;

    List networks, aliases, links, publish, expose, dns, dns_search, dns_options, add_host;
    Text ip, ip6, mac;
    bool publish_all = false;

    Text directory;  // the caller's, for relative sources
    List volumes, mounts, tmpfs, volumes_from;
    Text volume_driver;

    bool privileged = false, read_only = false, oom_kill_disable = false;
    List cap_add, cap_drop, security_opt, group_add, devices, device_cgroup_rules, gpus;
    Text ipc, pid, uts, userns, cgroupns, cgroup_parent;

    Text memory, memory_swap, memory_reservation, shm_size, cpus, cpuset_cpus, cpuset_mems;
    Number cpu_shares, cpu_period, cpu_quota, cpu_rt_period, cpu_rt_runtime, pids_limit,
        oom_score_adj, memory_swappiness, blkio_weight;
    List blkio_weight_device, device_read_bps, device_write_bps, device_read_iops,
        device_write_iops, ulimits, sysctls;
};

// What is to be made of the request: pure, but for other containers that it names and for what the
// machine has. Errors are Docker's words.
Settings decide(const ContainerRequest& request, const Image& image, const Containers& containers);
// The part of it that may change later: what is given of the limits, and of the restart policy.
void take_limits(const ContainerRequest& request, Settings& settings);
