// Docker's rules of merging are not uniform: --entrypoint drops the image's CMD, -e NAME takes the
// caller's value or removes a default, each option of a health check is merged by itself. What is
// parsed here is what the user typed, and nothing else: what an image says comes as typed values
// (from_image.h). What cannot be is refused here, by name, before anything is made.
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/duration.h"
#include "base/error.h"
#include "engine/config.h"
#include "engine/from_image.h"
#include "engine/network_table.h"
#include "engine/request.h"

namespace {

// --- network

// What belongs to the other container cannot be changed by who shares its network.
void check_shared_network(const ContainerRequest& r) {
    const struct {
        bool given;
        const char* words;
    } conflicts[] = {
        {!r.hostname.empty(), "hostname and the network mode"},
        {!r.links.empty(), "container type network can't be used with links. This would result in "
                           "undefined behavior"},
        {!r.dns.empty(), "dns and the network mode"},
        {!r.add_host.empty(), "custom host-to-IP mapping and the network mode"},
        {!r.publish.empty(), "port publishing and the container type network mode"},
        {r.publish_all, "port publishing and the container type network mode"},
        {!r.expose.empty(), "port exposing and the container type network mode"},
        {!r.mac.empty(), "mac-address and the network mode"},
    };
    for (const auto& [given, words] : conflicts)
        if (given) throw Error("conflicting options: ", words);
}

void read_ports(const ContainerRequest& r, const spec::ContainerConfig& image, Settings& s) {
    for (const std::string& spec : r.publish)
        for (const PortBinding& port : parse_publish(spec))
            s.ports.push_back(port), s.exposed_ports.insert(port.inside());
    std::set<spec::Port> exposed = image.exposed_ports;
    for (const std::string& spec : r.expose)
        for (const std::string& port : parse_expose(spec))
            s.exposed_ports.insert(port), exposed.merge(spec::parse_ports(port));
    s.publish_all = r.publish_all;
    if (s.publish_all) publish_exposed(s, exposed);
    if (s.network == "host" && !s.ports.empty())
        std::fprintf(stderr,
                     "WARNING: Published ports are discarded when using host network mode\n"),
            s.ports.clear();
    if (s.network == "none") s.ports.clear();
}

// `NAME`, or `name=NAME,alias=A,ip=ADDRESS,mac-address=MAC`.
NetworkWish parse_network(const std::string& typed) {
    if (typed.find('=') == std::string::npos) return {.name = typed};
    NetworkWish wish;
    for (const std::string& pair : split(typed, ',')) {
        const size_t equals = pair.find('=');
        const std::string key = lower(pair.substr(0, equals)),
                          value = equals == std::string::npos ? "" : pair.substr(equals + 1);
        if (key == "name")
            wish.name = value;
        else if (key == "alias")
            wish.aliases.push_back(value);
        else if (key == "ip")
            wish.ip = value;
        else if (key == "mac-address")
            wish.mac = value;
        else
            throw Error("invalid argument ", quoted(typed), " for \"--network\" flag: ", key,
                        " is not supported");
    }
    if (wish.name.empty())
        throw Error("invalid argument ", quoted(typed), " for \"--network\" flag: no name in it");
    return wish;
}

void check_mac(const std::string& text) {
    const std::vector<std::string> parts = split(text, ':');
    const bool good = parts.size() == 6 && std::ranges::all_of(parts, [](const std::string& part) {
                          return part.size() == 2 && parse_number<uint8_t>(part, 16);
                      });
    if (!good) throw Error(text, " is not a valid mac address");
    if (*parse_number<uint8_t>(parts[0], 16) & 1)
        throw Error(text, " is not a valid mac address: it is one of many receivers");
}

// What a user's network has and the store's own has not.
void check_wish(const NetworkWish& wish, const std::string& typed) {
    if (!wish.mac.empty()) check_mac(wish.mac);
    if (wish.name != "bridge") return;
    if (!wish.aliases.empty())
        throw Error("network-scoped aliases are only supported for user-defined networks");
    if (!wish.ip.empty())
        throw Error("user specified IP address is supported on user-defined networks only: ",
                    typed);
}

// Those of the bridge kind; what else there is stands alone.
void read_bridges(const ContainerRequest& r, const Containers& containers, Settings& s) {
    for (const std::string& typed : r.networks) {
        NetworkWish wish = parse_network(typed);
        if (wish.name == "default") wish.name = "bridge";
        const auto network = find_network(containers.store_root(), wish.name);
        if (!network || peer_of(wish.name))
            throw Error("failed to set up container networking: network ", wish.name, " not found");
        if (network->name == "host" || network->name == "none")
            throw Error("conflicting options: cannot attach both user-defined and non-user-defined "
                        "network-modes");
        wish.name = network->name;
        if (std::ranges::count(s.networks, wish.name, &NetworkWish::name))
            throw Error("network ", quoted(wish.name), " is specified multiple times");
        s.networks.push_back(std::move(wish));
    }
    if (s.networks.empty()) s.networks.push_back({.name = "bridge"});
    NetworkWish& first = s.networks[0];
    first.aliases.insert(first.aliases.end(), r.aliases.begin(), r.aliases.end());
    if (!r.ip.empty()) first.ip = r.ip;
    if (!r.mac.empty()) first.mac = r.mac;
    for (const NetworkWish& wish : s.networks) check_wish(wish, wish.ip);
    s.network = first.name;
}

// `web:db`: known as db, at its address, to who starts after it.
void read_links(const ContainerRequest& r, const Containers& containers, Settings& s) {
    for (const std::string& typed : r.links) {
        const size_t colon = typed.find(':');
        const Container other = containers.get(typed.substr(0, colon));
        const std::string alias =
            colon == std::string::npos ? other.settings().name : typed.substr(colon + 1);
        if (alias.empty() || typed.find(':', colon + 1) != std::string::npos)
            if (colon != std::string::npos) throw Error("bad format for links: ", typed);
        s.links.push_back(other.id() + ":" + alias);
    }
}

void read_networks(const ContainerRequest& r, const Containers& containers,
                   const spec::ContainerConfig& image, Settings& s) {
    s.network = r.networks.empty() ? "bridge" : r.networks[0];
    const bool stands_alone = s.network == "host" || s.network == "none" || shared_network(s);
    if (stands_alone && (!r.aliases.empty() || !r.ip.empty()))
        throw Error("conflicting options: --network ", s.network,
                    " has neither addresses nor aliases of the container's own");
    if (stands_alone && r.networks.size() > 1)
        throw Error("conflicting options: cannot attach both user-defined and non-user-defined "
                    "network-modes");
    if (const auto other = shared_network(s)) {
        check_shared_network(r);
        s.network = "container:" + containers.get(*other).id();
        return;
    }
    if (!stands_alone) read_bridges(r, containers, s);
    read_ports(r, image, s);
    read_links(r, containers, s);
    s.dns = r.dns, s.dns_search = r.dns_search, s.dns_options = r.dns_options;
    for (const std::string& host : r.add_host) s.extra_hosts.push_back(parse_extra_host(host));
}

// --- mounts

// "web:ro": the mounts of another container, but where this one says otherwise.
void take_mounts_from(const std::string& typed, const Containers& containers, Settings& s) {
    const size_t colon = typed.find(':');
    const std::string mode = colon == std::string::npos ? "" : typed.substr(colon + 1);
    if (mode != "" && mode != "ro" && mode != "rw" && mode != "z" && mode != "Z")
        throw Error("invalid mode for volumes-from: ", mode);
    const Container other = containers.get(typed.substr(0, colon));
    for (VolumeMount mount : other.settings().mounts) {
        if (std::ranges::count(s.mounts, mount.destination, &VolumeMount::destination)) continue;
        if (mode == "ro") mount.read_only = true;
        mount.mode = mode;
        s.mounts.push_back(std::move(mount));
    }
}

void read_mounts(const ContainerRequest& r, const Containers& containers,
                 const spec::ContainerConfig& image, Settings& s) {
    if (!r.volume_driver.empty() && r.volume_driver != "local")
        throw Error("--volume-driver ", quoted(r.volume_driver),
                    " is not supported; known is local");
    s.binds = r.volumes;
    for (const std::string& spec : s.binds) s.mounts.push_back(parse_volume(spec, r.directory));
    for (const std::string& spec : r.mounts)
        if (auto mount = parse_mount(spec, r.directory, s.tmpfs)) s.mounts.push_back(*mount);
    for (const std::string& spec : r.tmpfs) {
        const size_t colon = spec.find(':');
        s.tmpfs[spec.substr(0, colon)] = colon == std::string::npos ? "" : spec.substr(colon + 1);
    }
    const auto taken = [&](const std::string& destination) {
        return std::ranges::count(s.mounts, destination, &VolumeMount::destination) +
               ptrdiff_t(s.tmpfs.count(destination));
    };
    for (const VolumeMount& mount : s.mounts)
        if (taken(mount.destination) > 1) throw Error("Duplicate mount point: ", mount.destination);
    for (VolumeMount& mount : s.mounts)
        if (mount.anonymous) mount.source = random_id();
    s.volumes_from = r.volumes_from;
    for (const std::string& typed : r.volumes_from) take_mounts_from(typed, containers, s);
    add_image_volumes(s, image);
}

// --- process

std::map<std::string, std::string> key_values(const std::vector<std::string>& typed) {
    std::map<std::string, std::string> out;
    for (const std::string& entry : typed) {
        const size_t equals = entry.find('=');
        out[entry.substr(0, equals)] = equals == std::string::npos ? "" : entry.substr(equals + 1);
    }
    return out;
}

void read_environment(const ContainerRequest& r, const spec::ContainerConfig& image, Settings& s) {
    for (const std::string& entry : r.env)
        if (entry.empty() || entry[0] == '=') throw Error("invalid environment variable: ", entry);
    std::vector<std::string> below;
    for (const spec::Variable& variable : image.env) below.push_back(variable.text());
    s.env = merge_env(merge_env(r.env, {}), below);
    for (const auto& [key, value] : key_values(r.labels)) s.labels[key] = value;
    s.annotations = key_values(r.annotations);
    if (s.annotations.contains("")) throw Error("invalid annotation: its name is empty");
}

void read_process(const ContainerRequest& r, const spec::ContainerConfig& image, Settings& s) {
    if (r.entrypoint) {
        if (!r.entrypoint->empty()) s.entrypoint = {*r.entrypoint};
        s.cmd = r.words;
    } else {
        s.entrypoint = image.entrypoint.value_or(std::vector<std::string>{});
        s.cmd = r.words.empty() ? image.cmd.value_or(std::vector<std::string>{}) : r.words;
    }
    if (arguments(s).empty()) throw Error("no command specified");
    s.user = r.user.value_or(image.user.text());
    s.working_dir = r.working_dir.value_or(image.working_dir);
    if (!s.working_dir.empty() && s.working_dir[0] != '/')
        throw Error("the working directory '", s.working_dir,
                    "' is invalid, it needs to be an absolute path");
    s.hostname = r.hostname, s.domainname = r.domainname;
    if (s.hostname.size() > 64) throw Error("invalid hostname: ", s.hostname);
    s.tty = r.tty, s.open_stdin = r.open_stdin, s.attach = r.attach, s.init = r.init;
    s.stop_signal =
        !r.stop_signal.empty() ? spec::Signal(r.stop_signal).text() : image.stop_signal.text();
    if (r.stop_timeout) s.stop_timeout = int(*r.stop_timeout);
}

// --- life

int64_t health_duration(const char* option, const std::string& typed, int64_t below) {
    if (typed.empty()) return below;
    const auto duration = parse_duration(typed);
    if (!duration)
        throw Error("invalid argument ", quoted(typed), " for \"--", option,
                    "\" flag: time: invalid duration ", quoted(typed));
    if (*duration != duration->zero() && *duration < std::chrono::milliseconds(1))
        throw Error("--", option, " cannot be less than 1ms");
    return duration->count() ? duration->count() : below;
}

void read_health(const ContainerRequest& r, const spec::ContainerConfig& image, Settings& s) {
    const spec::HealthCheck below = image.healthcheck.value_or(spec::HealthCheck{});
    const bool any = r.health_cmd || r.health_retries || !r.health_interval.empty() ||
                     !r.health_timeout.empty() || !r.health_start_period.empty() ||
                     !r.health_start_interval.empty();
    if (r.no_healthcheck) {
        if (any) throw Error("--no-healthcheck conflicts with --health-* options");
        return;
    }
    constexpr int64_t second = 1'000'000'000;
    const auto or_default = [](int64_t value, int64_t fallback) {
        return value > 0 ? value : fallback;
    };
    HealthSettings health{
        .test = below.test,
        .interval = health_duration("health-interval", r.health_interval,
                                    or_default(below.interval, 30 * second)),
        .timeout = health_duration("health-timeout", r.health_timeout,
                                   or_default(below.timeout, 30 * second)),
        .start_period =
            health_duration("health-start-period", r.health_start_period, below.start_period),
        .start_interval = health_duration("health-start-interval", r.health_start_interval,
                                          or_default(below.start_interval, 5 * second)),
        .retries = int(or_default(r.health_retries.value_or(below.retries), 3))};
    if (r.health_cmd && !r.health_cmd->empty()) health.test = {"CMD-SHELL", *r.health_cmd};
    if (health.test.size() < 2 || (health.test[0] != "CMD" && health.test[0] != "CMD-SHELL"))
        return;
    s.health = std::move(health);
    s.shell = image.shell;
}

// Those of a log's options that its driver has.
void read_log(const ContainerRequest& r, Settings& s) {
    static constexpr const char* drivers[] = {"json-file", "local", "none", "passthrough"};
    if (!r.log_driver.empty()) s.log.driver = r.log_driver;
    if (std::ranges::find(drivers, s.log.driver) == std::end(drivers))
        throw Error("logger: no log driver named '", s.log.driver,
                    "' is registered (known are json-file, local, none, passthrough)");
    s.log.options = key_values(r.log_opts);
    check_log_settings(s.log);
}

void read_life(const ContainerRequest& r, const spec::ContainerConfig& image, Settings& s) {
    s.auto_remove = r.auto_remove;
    s.restart = parse_restart(r.restart);
    if (s.auto_remove && s.restart.name != "no")
        throw Error("conflicting options: cannot specify both --restart and --rm");
    read_health(r, image, s);
    read_log(r, s);
}

// --- limits

int64_t bytes_of(const char* option, const std::string& typed) {
    if (typed.empty()) return 0;
    return context(str("invalid argument ", quoted(typed), " for \"--", option, "\" flag"),
                   [&] { return parse_bytes(typed); });
}

void read_cpu(const ContainerRequest& r, Settings& s) {
    if (!r.cpus.empty())
        s.nano_cpus = context(str("invalid argument ", quoted(r.cpus), " for \"--cpus\" flag"),
                              [&] { return parse_cpus(r.cpus); });
    if (const long cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
        s.nano_cpus && (s.nano_cpus < 10'000'000 || s.nano_cpus > cpus * 1'000'000'000))
        throw Error("range of CPUs is from 0.01 to ", cpus, ".00, as there are only ", cpus,
                    " CPUs available");
    s.cpu_shares = r.cpu_shares.value_or(s.cpu_shares),
    s.cpu_period = r.cpu_period.value_or(s.cpu_period),
    s.cpu_quota = r.cpu_quota.value_or(s.cpu_quota),
    s.cpu_rt_period = r.cpu_rt_period.value_or(s.cpu_rt_period),
    s.cpu_rt_runtime = r.cpu_rt_runtime.value_or(s.cpu_rt_runtime);
    if (s.nano_cpus && s.cpu_period)
        throw Error("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    if (s.nano_cpus && s.cpu_quota)
        throw Error("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    if (s.cpu_period && (s.cpu_period < 1000 || s.cpu_period > 1'000'000))
        throw Error("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. "
                    "1000000)");
    if (s.cpu_quota > 0 && s.cpu_quota < 1000)
        throw Error("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    if (s.cpu_rt_runtime && s.cpu_rt_period && s.cpu_rt_runtime > s.cpu_rt_period)
        throw Error("cpu real-time runtime cannot be higher than cpu real-time period");
    if (!r.cpuset_cpus.empty()) s.cpuset_cpus = r.cpuset_cpus;
    if (!r.cpuset_mems.empty()) s.cpuset_mems = r.cpuset_mems;
}

void read_memory(const ContainerRequest& r, Settings& s) {
    if (!r.memory.empty()) s.memory = bytes_of("memory", r.memory);
    if (!r.memory_swap.empty())
        s.memory_swap = r.memory_swap == "-1" ? -1 : bytes_of("memory-swap", r.memory_swap);
    if (!r.memory_reservation.empty())
        s.memory_reservation = bytes_of("memory-reservation", r.memory_reservation);
    if (const int64_t size = bytes_of("shm-size", r.shm_size))
        s.shm_size = size;  // 0 is the default, not "without limit"
    if (r.memory_swappiness.value_or(-1) != -1) s.memory_swappiness = int(*r.memory_swappiness);
    s.oom_kill_disable |= r.oom_kill_disable;
    s.pids_limit = r.pids_limit.value_or(s.pids_limit);
    s.oom_score_adj = int(r.oom_score_adj.value_or(s.oom_score_adj));
}

void read_block_io(const ContainerRequest& r, Settings& s) {
    s.blkio_weight = int(r.blkio_weight.value_or(s.blkio_weight));
    if (s.blkio_weight && (s.blkio_weight < 10 || s.blkio_weight > 1000))
        throw Error("Range of blkio weight is from 10 to 1000");
    const struct {
        const std::vector<std::string>& typed;
        std::vector<std::string>& to;
        bool bytes;
    } rates[] = {{r.blkio_weight_device, s.blkio_weight_device, false},
                 {r.device_read_bps, s.device_read_bps, true},
                 {r.device_write_bps, s.device_write_bps, true},
                 {r.device_read_iops, s.device_read_iops, false},
                 {r.device_write_iops, s.device_write_iops, false}};
    for (const auto& [typed, to, bytes] : rates)
        for (const std::string& one : typed) (void)parse_device_rate(one, bytes), to.push_back(one);
}

void read_kernel_parameters(const ContainerRequest& r, Settings& s) {
    s.ulimits = r.ulimits;
    for (const std::string& limit : s.ulimits) parse_ulimit(limit);
    for (const std::string& pair : r.sysctls) {
        static constexpr const char* allowed[] = {
            "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
            "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
        const size_t equals = pair.find('=');
        const std::string name = pair.substr(0, equals);
        const bool known =
            std::ranges::any_of(allowed, [&](const char* one) { return name == one; });
        if (!known && !name.starts_with("net.") && !name.starts_with("fs.mqueue."))
            throw Error("sysctl '", pair, "' is not allowed");
        s.sysctls[name] = equals == std::string::npos ? "" : pair.substr(equals + 1);
    }
}

// --- isolation

// "container:NAME" becomes "container:ID"; what else there is must be among `known`.
std::string namespace_mode(const char* option, const std::string& typed,
                           std::initializer_list<std::string_view> known,
                           const Containers* containers = nullptr) {
    if (const auto peer = peer_of(typed); peer && containers)
        return "container:" + containers->get(*peer).id();
    if (!typed.empty() && std::ranges::find(known, typed) == known.end())
        throw Error("--", option, ": invalid mode: ", quoted(typed), "; known are ",
                    join(std::vector<std::string>(known.begin(), known.end()), ", "),
                    containers ? ", container:NAME" : "");
    return typed;
}

void read_isolation(const ContainerRequest& r, const Containers& containers, Settings& s) {
    s.privileged = r.privileged, s.read_only = r.read_only;
    s.cap_add = r.cap_add, s.cap_drop = r.cap_drop, s.security_opt = r.security_opt;
    s.devices = r.devices, s.group_add = r.group_add, s.cgroup_parent = r.cgroup_parent;
    s.ipc = namespace_mode("ipc", r.ipc, {"private", "none", "host", "shareable"}, &containers);
    s.pid = namespace_mode("pid", r.pid, {"host", "private"}, &containers);
    s.uts = namespace_mode("uts", r.uts, {"host", "private"});
    s.userns = namespace_mode("userns", r.userns, {"host"});
    s.cgroupns = namespace_mode("cgroupns", r.cgroupns, {"host", "private"});
    if (s.uts == "host" && !s.hostname.empty())
        throw Error("conflicting options: hostname and the UTS mode");
    if (s.init && !s.pid.empty() && s.pid != "private")
        throw Error("conflicting options: --init and --pid: an init needs processes of its own");
    s.device_cgroup_rules = r.device_cgroup_rules;
    for (const std::string& rule : s.device_cgroup_rules) (void)parse_device_rule(rule);
    if (!r.gpus.empty())
        throw Error("could not select device driver \"\" with capabilities: [[gpu]]: --gpus is not "
                    "supported");
}

}  // namespace

void take_limits(const ContainerRequest& request, Settings& settings) {
    read_cpu(request, settings);
    read_memory(request, settings);
    read_block_io(request, settings);
}

Settings decide(const ContainerRequest& request, const Image& image, const Containers& containers) {
    Settings s;
    s.name = request.name, s.image = request.image, s.image_id = image.id().text(),
    s.cid_file = request.cid_file, s.runtime = request.runtime;
    for (const Digest& layer : image.diff_ids()) s.layers.push_back(layer.text());
    const spec::ContainerConfig& config = image.config.config;
    take_from_image(s, config);
    read_process(request, config, s);
    read_life(request, config, s);
    read_environment(request, config, s);
    read_networks(request, containers, config, s);
    read_mounts(request, containers, config, s);
    take_limits(request, s);
    read_kernel_parameters(request, s);
    read_isolation(request, containers, s);
    return s;
}
