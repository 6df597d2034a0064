// Programs read this, so it is Docker's document to the letter: its order, null where a list of
// Go's is nil and [] where it is only empty, "" and 0 for what keg does not do. Where a setting was
// left out, what the container got is shown: twice the memory for its swap, the ID's first digits
// for the host name.
#include "engine/inspect.h"

#include "container/host_cgroups.h"
#include "engine/config.h"
#include "engine/health.h"

namespace {

using json::Value;

constexpr const char* no_time = "0001-01-01T00:00:00Z";

template <class List>
Value list_or_null(const List& list) {
    if (list.empty()) return nullptr;
    Value out = Value::array();
    for (const auto& element : list) out.push_back(element);
    return out;
}

Value object(const std::map<std::string, std::string>& map) {
    Value out = Value::object();
    for (const auto& [key, value] : map) out[key] = value;
    return out;
}

Value set_object(const std::set<std::string>& set) {
    Value out = Value::object();
    for (const std::string& key : set) out[key] = Value::object();
    return out;
}

Value port_map(const std::vector<PortBinding>& ports, const std::string& any) {
    Value out = Value::object();
    for (const PortBinding& port : ports)
        out[port.inside()].push_back({{"HostIp", port.host_ip.empty() ? any : port.host_ip},
                                      {"HostPort", port.host_port ? str(port.host_port) : ""}});
    return out;
}

Value health_object(const HealthState& health) {
    Value log = Value::array();
    for (const Probe& probe : health.log)
        log.push_back({{"Start", probe.start},
                       {"End", probe.end},
                       {"ExitCode", probe.exit_code},
                       {"Output", probe.output}});
    return {{"Status", health.status}, {"FailingStreak", health.failing_streak}, {"Log", log}};
}

Value state_object(const State& s, const std::optional<HealthState>& health) {
    const bool restarting = s.status == "restarting";
    Value out = {{"Status", s.status},
                 {"Running", s.status == "running" || s.status == "paused" || restarting},
                 {"Paused", s.status == "paused"},
                 {"Restarting", restarting},
                 {"OOMKilled", s.oom_killed},
                 {"Dead", s.status == "dead"},
                 {"Pid", s.pid},
                 {"ExitCode", s.exit_code},
                 {"Error", s.error},
                 {"StartedAt", s.started_at.empty() ? no_time : s.started_at},
                 {"FinishedAt", s.finished_at.empty() ? no_time : s.finished_at}};
    if (health) out["Health"] = health_object(*health);
    return out;
}

Value host_config(const Settings& s) {
    const Value none = nullptr;
    Value ulimits = Value::array();
    for (const std::string& typed : s.ulimits) {
        const spec::Rlimit limit = parse_ulimit(typed);
        ulimits.push_back({{"Name", lower(limit.type.substr(7))},
                           {"Hard", int64_t(limit.hard)},
                           {"Soft", int64_t(limit.soft)}});
    }
    Value out = {
        {"Binds", list_or_null(s.binds)},
        {"ContainerIDFile", s.cid_file},
        {"LogConfig", {{"Type", s.log.driver}, {"Config", object(s.log.options)}}},
        {"NetworkMode", s.network},
        {"PortBindings", port_map(s.ports, "")},
        {"RestartPolicy", {{"Name", s.restart.name}, {"MaximumRetryCount", s.restart.most}}},
        {"AutoRemove", s.auto_remove},
        {"VolumeDriver", ""},
        {"VolumesFrom", list_or_null(s.volumes_from)},
        {"ConsoleSize", {0, 0}},
        {"CapAdd", list_or_null(s.cap_add)},
        {"CapDrop", list_or_null(s.cap_drop)},
        {"CgroupnsMode", !s.cgroupns.empty()    ? s.cgroupns
                         : host_has_cgroup_v2() ? "private"
                                                : "host"},
        {"Dns", s.dns},
        {"DnsOptions", s.dns_options},
        {"DnsSearch", s.dns_search},
        {"ExtraHosts", list_or_null(s.extra_hosts)},
        {"GroupAdd", list_or_null(s.group_add)},
        {"IpcMode", s.ipc.empty() ? "private" : s.ipc},
        {"Cgroup", ""},
        {"Links", list_or_null(s.links)},
        {"OomScoreAdj", s.oom_score_adj},
        {"PidMode", s.pid},
        {"Privileged", s.privileged},
        {"PublishAllPorts", s.publish_all},
        {"ReadonlyRootfs", s.read_only},
        {"SecurityOpt", list_or_null(s.security_opt)},
        {"UTSMode", s.uts},
        {"UsernsMode", s.userns},
        {"ShmSize", s.shm_size},
        {"Runtime", s.runtime.empty() ? "keg-runtime" : s.runtime},
        {"Isolation", ""},
        {"CpuShares", s.cpu_shares},
        {"Memory", s.memory},
        {"NanoCpus", s.nano_cpus},
        {"CgroupParent", s.cgroup_parent},
        {"BlkioWeight", s.blkio_weight},
        {"CpuPeriod", s.cpu_period},
        {"CpuQuota", s.cpu_quota},
        {"CpuRealtimePeriod", s.cpu_rt_period},
        {"CpuRealtimeRuntime", s.cpu_rt_runtime},
        {"CpusetCpus", s.cpuset_cpus},
        {"CpusetMems", s.cpuset_mems},
        {"Devices", list_or_null(s.devices)},
        {"DeviceCgroupRules", list_or_null(s.device_cgroup_rules)},
        {"MemoryReservation", s.memory_reservation},
        {"MemorySwap", s.memory_swap ? s.memory_swap : 2 * s.memory},
        {"MemorySwappiness", s.memory_swappiness ? Value(*s.memory_swappiness) : none},
        {"OomKillDisable", s.oom_kill_disable ? Value(true) : none},
        {"PidsLimit", s.pids_limit ? Value(s.pids_limit) : none},
        {"Ulimits", ulimits}};
    if (!s.tmpfs.empty()) out["Tmpfs"] = object(s.tmpfs);
    if (s.init) out["Init"] = true;
    if (!s.annotations.empty()) out["Annotations"] = object(s.annotations);
    if (!s.sysctls.empty()) out["Sysctls"] = object(s.sysctls);
    return out;
}

Value config_object(const Settings& s) {
    Value out = {{"Hostname", s.hostname.empty() ? s.id.substr(0, 12) : s.hostname},
                 {"Domainname", s.domainname},
                 {"User", s.user},
                 {"AttachStdin", s.attach && s.open_stdin},
                 {"AttachStdout", s.attach},
                 {"AttachStderr", s.attach}};
    if (!s.exposed_ports.empty()) out["ExposedPorts"] = set_object(s.exposed_ports);
    out["Tty"] = s.tty, out["OpenStdin"] = s.open_stdin,
    out["StdinOnce"] = s.attach && s.open_stdin;
    out["Env"] = s.env, out["Cmd"] = list_or_null(s.cmd), out["Image"] = s.image;
    out["Volumes"] = s.image_volumes.empty() ? Value(nullptr) : set_object(s.image_volumes);
    out["WorkingDir"] = s.working_dir, out["Entrypoint"] = list_or_null(s.entrypoint),
    out["OnBuild"] = nullptr, out["Labels"] = object(s.labels);
    if (s.health)
        out["Healthcheck"] = {{"Test", s.health->test},
                              {"Interval", s.health->interval},
                              {"Timeout", s.health->timeout},
                              {"StartPeriod", s.health->start_period},
                              {"StartInterval", s.health->start_interval},
                              {"Retries", s.health->retries}};
    if (!s.stop_signal.empty()) out["StopSignal"] = s.stop_signal;
    if (s.stop_timeout) out["StopTimeout"] = *s.stop_timeout;
    return out;
}

Value mounts(const Container& container) {
    Value out = Value::array();
    const std::string volumes =
        container.directory().substr(0, container.directory().rfind("/containers/")) + "/volumes/";
    for (const VolumeMount& m : container.settings().mounts) {
        Value mount = {{"Type", m.type}};
        if (m.type == "volume") mount["Name"] = m.source;
        mount["Source"] = m.type == "volume" ? volumes + m.source + "/_data" : m.source;
        mount["Destination"] = m.destination;
        if (m.type == "volume") mount["Driver"] = "local";
        mount["Mode"] = m.mode, mount["RW"] = !m.read_only,
        mount["Propagation"] = m.type == "volume" ? "" : m.propagation;
        out.push_back(mount);
    }
    return out;
}

Value endpoint_object(const NetworkState& n, const NetworkWish& wish, const std::string& id) {
    Value aliases = nullptr, names = nullptr, configured = nullptr;
    for (const std::string& alias : wish.aliases) aliases.push_back(alias);
    if (!wish.ip.empty()) configured = {{"IPv4Address", wish.ip}};
    if (!n.name.empty()) {
        names = wish.aliases;
        names.push_back(id.substr(0, 12));
    }
    return {{"IPAMConfig", configured},    {"Links", nullptr},         {"Aliases", aliases},
            {"DriverOpts", nullptr},       {"GwPriority", 0},          {"NetworkID", n.network_id},
            {"EndpointID", n.endpoint_id}, {"Gateway", n.gateway},     {"IPAddress", n.address},
            {"MacAddress", n.mac},         {"IPPrefixLen", n.prefix},  {"IPv6Gateway", ""},
            {"GlobalIPv6Address", ""},     {"GlobalIPv6PrefixLen", 0}, {"DNSNames", names}};
}

Value networks_object(const Settings& s, const State& state) {
    Value out = Value::object();
    if (shared_network(s)) return out;
    if (s.network == "host" || s.network == "none") out[s.network] = endpoint_object({}, {}, s.id);
    for (const NetworkWish& wish : bridges_of(s)) {
        NetworkState place = state.network;
        for (const NetworkState& other : state.more_networks)
            if (other.name == wish.name) place = other;
        if (place.name != (wish.name == "bridge" ? "" : wish.name)) place = {};
        out[wish.name] = endpoint_object(place, wish, s.id);
    }
    return out;
}

Value network_settings(const Settings& s, const State& state) {
    const NetworkState& n = state.network;
    Value ports = port_map(n.ports, "0.0.0.0");
    for (const std::string& exposed : s.exposed_ports)
        if (!n.address.empty() && !ports.contains(exposed)) ports[exposed] = nullptr;
    const bool own = n.name.empty();  // Docker shows the default bridge's here, and no other's
    return {{"Bridge", ""},
            {"SandboxID", n.endpoint_id},
            {"SandboxKey", ""},
            {"Ports", ports},
            {"Gateway", own ? n.gateway : ""},
            {"IPAddress", own ? n.address : ""},
            {"IPPrefixLen", own ? n.prefix : 0},
            {"MacAddress", own ? n.mac : ""},
            {"Networks", networks_object(s, state)}};
}

}  // namespace

json::Value inspect_container(const Container& container) {
    const Settings& s = container.settings();
    const State state = container.state();
    const std::vector<std::string> words = arguments(s);
    const std::vector<std::string> rest(words.begin() + !words.empty(), words.end());
    return {{"Id", s.id},
            {"Created", s.created},
            {"Path", words.empty() ? "" : words[0]},
            {"Args", rest},
            {"State", state_object(state, health_of(container))},
            {"Image", s.image_id},
            {"ResolvConfPath", container.file("resolv.conf")},
            {"HostnamePath", container.file("hostname")},
            {"HostsPath", container.file("hosts")},
            {"LogPath", container.file("log")},
            {"Name", "/" + s.name},
            {"RestartCount", state.restart_count},
            {"Driver", "overlayfs"},
            {"Platform", "linux"},
            {"MountLabel", ""},
            {"ProcessLabel", ""},
            {"AppArmorProfile", ""},
            {"ExecIDs", nullptr},
            {"HostConfig", host_config(s)},
            {"GraphDriver",
             {{"Data",
               {{"MergedDir", container.file("rootfs")},
                {"UpperDir", container.file("upper")},
                {"WorkDir", container.file("work")}}},
              {"Name", "overlayfs"}}},
            {"Mounts", mounts(container)},
            {"Config", config_object(s)},
            {"NetworkSettings", network_settings(s, state)}};
}
