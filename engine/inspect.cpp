// Programs read this, so it is Docker's document to the letter: its order, null where a list of
// Go's is nil and [] where it is only empty, "" and 0 for what keg does not do. Where a setting was
// left out, what the container got is shown: twice the memory for its swap, the ID's first digits
// for the host name.
#include "engine/inspect.h"

#include "container/host_cgroups.h"
#include "engine/config.h"

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

Value state_object(const State& s) {
    return {{"Status", s.status},
            {"Running", s.status == "running" || s.status == "paused"},
            {"Paused", s.status == "paused"},
            {"Restarting", false},
            {"OOMKilled", s.oom_killed},
            {"Dead", s.status == "dead"},
            {"Pid", s.pid},
            {"ExitCode", s.exit_code},
            {"Error", s.error},
            {"StartedAt", s.started_at.empty() ? no_time : s.started_at},
            {"FinishedAt", s.finished_at.empty() ? no_time : s.finished_at}};
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
    Value out = {{"Binds", list_or_null(s.binds)},
                 {"ContainerIDFile", s.cid_file},
                 {"LogConfig", {{"Type", "json-file"}, {"Config", Value::object()}}},
                 {"NetworkMode", s.network},
                 {"PortBindings", port_map(s.ports, "")},
                 {"RestartPolicy", {{"Name", "no"}, {"MaximumRetryCount", 0}}},
                 {"AutoRemove", s.auto_remove},
                 {"VolumeDriver", ""},
                 {"VolumesFrom", none},
                 {"ConsoleSize", {0, 0}},
                 {"CapAdd", list_or_null(s.cap_add)},
                 {"CapDrop", list_or_null(s.cap_drop)},
                 {"CgroupnsMode", host_has_cgroup_v2() ? "private" : "host"},
                 {"Dns", s.dns},
                 {"DnsOptions", s.dns_options},
                 {"DnsSearch", s.dns_search},
                 {"ExtraHosts", list_or_null(s.extra_hosts)},
                 {"GroupAdd", list_or_null(s.group_add)},
                 {"IpcMode", s.ipc.empty() ? "private" : s.ipc},
                 {"Cgroup", ""},
                 {"Links", none},
                 {"OomScoreAdj", s.oom_score_adj},
                 {"PidMode", s.pid},
                 {"Privileged", s.privileged},
                 {"PublishAllPorts", s.publish_all},
                 {"ReadonlyRootfs", s.read_only},
                 {"SecurityOpt", list_or_null(s.security_opt)},
                 {"UTSMode", s.uts},
                 {"UsernsMode", ""},
                 {"ShmSize", s.shm_size},
                 {"Runtime", s.runtime.empty() ? "keg-runtime" : s.runtime},
                 {"Isolation", ""},
                 {"CpuShares", s.cpu_shares},
                 {"Memory", s.memory},
                 {"NanoCpus", s.nano_cpus},
                 {"CgroupParent", s.cgroup_parent},
                 {"BlkioWeight", 0},
                 {"CpuPeriod", 0},
                 {"CpuQuota", 0},
                 {"CpusetCpus", s.cpuset_cpus},
                 {"CpusetMems", s.cpuset_mems},
                 {"Devices", list_or_null(s.devices)},
                 {"MemoryReservation", s.memory_reservation},
                 {"MemorySwap", s.memory_swap ? s.memory_swap : 2 * s.memory},
                 {"MemorySwappiness", none},
                 {"OomKillDisable", none},
                 {"PidsLimit", s.pids_limit ? Value(s.pids_limit) : none},
                 {"Ulimits", ulimits}};
    if (!s.tmpfs.empty()) out["Tmpfs"] = object(s.tmpfs);
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

Value network_settings(const Settings& s, const NetworkState& n) {
    Value ports = port_map(n.ports, "0.0.0.0");
    for (const std::string& exposed : s.exposed_ports)
        if (!n.address.empty() && !ports.contains(exposed)) ports[exposed] = nullptr;
    const Value endpoint = {
        {"IPAMConfig", nullptr},       {"Links", nullptr},         {"Aliases", nullptr},
        {"DriverOpts", nullptr},       {"GwPriority", 0},          {"NetworkID", n.network_id},
        {"EndpointID", n.endpoint_id}, {"Gateway", n.gateway},     {"IPAddress", n.address},
        {"MacAddress", n.mac},         {"IPPrefixLen", n.prefix},  {"IPv6Gateway", ""},
        {"GlobalIPv6Address", ""},     {"GlobalIPv6PrefixLen", 0}, {"DNSNames", nullptr}};
    return {{"Bridge", ""},
            {"SandboxID", n.endpoint_id},
            {"SandboxKey", ""},
            {"Ports", ports},
            {"Gateway", n.gateway},
            {"IPAddress", n.address},
            {"IPPrefixLen", n.prefix},
            {"MacAddress", n.mac},
            {"Networks", shared_network(s) ? Value::object() : Value{{s.network, endpoint}}}};
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
            {"State", state_object(state)},
            {"Image", s.image_id},
            {"ResolvConfPath", container.file("resolv.conf")},
            {"HostnamePath", container.file("hostname")},
            {"HostsPath", container.file("hosts")},
            {"LogPath", container.file("log")},
            {"Name", "/" + s.name},
            {"RestartCount", 0},
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
            {"NetworkSettings", network_settings(s, state.network)}};
}
