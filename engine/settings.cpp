// The settings' document, and nothing else: the options' languages are in options.cpp.
#include "engine/settings.h"

#include "base/json.h"
#include "container/network_json.h"

template <>
inline constexpr auto json::fields<VolumeMount> =
    std::tuple(json::required("type", &VolumeMount::type),
               json::required("source", &VolumeMount::source),
               json::required("destination", &VolumeMount::destination),
               json::optional("mode", &VolumeMount::mode),
               json::required("propagation", &VolumeMount::propagation),
               json::optional("read_only", &VolumeMount::read_only),
               json::optional("no_copy", &VolumeMount::no_copy),
               json::optional("must_exist", &VolumeMount::must_exist),
               json::optional("anonymous", &VolumeMount::anonymous),
               json::optional("alone", &VolumeMount::alone),
               json::optional("read_only_top", &VolumeMount::read_only_top),
               json::optional("subpath", &VolumeMount::subpath));

template <>
inline constexpr auto json::fields<RestartPolicy> = std::tuple(
    json::required("name", &RestartPolicy::name), json::optional("most", &RestartPolicy::most));

template <>
inline constexpr auto json::fields<ContainerLog> =
    std::tuple(json::required("driver", &ContainerLog::driver),
               json::optional("options", &ContainerLog::options));

template <>
inline constexpr auto json::fields<NetworkWish> =
    std::tuple(json::required("name", &NetworkWish::name),
               json::optional("aliases", &NetworkWish::aliases),
               json::optional("ip", &NetworkWish::ip), json::optional("mac", &NetworkWish::mac));

template <>
inline constexpr auto json::fields<HealthSettings> =
    std::tuple(json::required("test", &HealthSettings::test),
               json::optional("interval", &HealthSettings::interval),
               json::optional("timeout", &HealthSettings::timeout),
               json::optional("start_period", &HealthSettings::start_period),
               json::optional("start_interval", &HealthSettings::start_interval),
               json::optional("retries", &HealthSettings::retries));

template <>
inline constexpr auto json::fields<Settings> = std::tuple(
    json::required("id", &Settings::id), json::required("name", &Settings::name),
    json::required("created", &Settings::created), json::required("image", &Settings::image),
    json::required("image_id", &Settings::image_id), json::required("layers", &Settings::layers),
    json::optional("hostname", &Settings::hostname),
    json::optional("domainname", &Settings::domainname), json::optional("user", &Settings::user),
    json::optional("working_dir", &Settings::working_dir), json::optional("env", &Settings::env),
    json::optional("entrypoint", &Settings::entrypoint), json::optional("cmd", &Settings::cmd),
    json::optional("labels", &Settings::labels),
    json::optional("exposed_ports", &Settings::exposed_ports),
    json::optional("image_volumes", &Settings::image_volumes),
    json::optional("tty", &Settings::tty), json::optional("open_stdin", &Settings::open_stdin),
    json::required("attach", &Settings::attach),
    json::optional("stop_signal", &Settings::stop_signal),
    json::optional("stop_timeout", &Settings::stop_timeout),
    json::optional("binds", &Settings::binds), json::optional("mounts", &Settings::mounts),
    json::optional("tmpfs", &Settings::tmpfs), json::required("network", &Settings::network),
    json::optional("ports", &Settings::ports),
    json::optional("publish_all", &Settings::publish_all),
    json::optional("auto_remove", &Settings::auto_remove),
    json::optional("privileged", &Settings::privileged),
    json::optional("read_only", &Settings::read_only), json::optional("init", &Settings::init),
    json::optional("cap_add", &Settings::cap_add), json::optional("cap_drop", &Settings::cap_drop),
    json::optional("security_opt", &Settings::security_opt),
    json::optional("group_add", &Settings::group_add), json::optional("dns", &Settings::dns),
    json::optional("dns_search", &Settings::dns_search),
    json::optional("dns_options", &Settings::dns_options),
    json::optional("extra_hosts", &Settings::extra_hosts),
    json::optional("devices", &Settings::devices), json::optional("sysctls", &Settings::sysctls),
    json::optional("ulimits", &Settings::ulimits), json::optional("ipc", &Settings::ipc),
    json::optional("pid", &Settings::pid), json::optional("uts", &Settings::uts),
    json::optional("cgroup_parent", &Settings::cgroup_parent),
    json::optional("cid_file", &Settings::cid_file), json::optional("runtime", &Settings::runtime),
    json::required("shm_size", &Settings::shm_size), json::optional("memory", &Settings::memory),
    json::optional("memory_swap", &Settings::memory_swap),
    json::optional("memory_reservation", &Settings::memory_reservation),
    json::optional("nano_cpus", &Settings::nano_cpus),
    json::optional("cpu_shares", &Settings::cpu_shares),
    json::optional("pids_limit", &Settings::pids_limit),
    json::optional("cpuset_cpus", &Settings::cpuset_cpus),
    json::optional("cpuset_mems", &Settings::cpuset_mems),
    json::optional("oom_score_adj", &Settings::oom_score_adj),
    json::optional("volumes_from", &Settings::volumes_from),
    json::optional("networks", &Settings::networks), json::optional("links", &Settings::links),
    json::optional("device_cgroup_rules", &Settings::device_cgroup_rules),
    json::optional("annotations", &Settings::annotations),
    json::optional("restart", &Settings::restart), json::optional("health", &Settings::health),
    json::optional("shell", &Settings::shell), json::optional("log", &Settings::log),
    json::optional("userns", &Settings::userns), json::optional("cgroupns", &Settings::cgroupns),
    json::optional("cpu_period", &Settings::cpu_period),
    json::optional("cpu_quota", &Settings::cpu_quota),
    json::optional("cpu_rt_period", &Settings::cpu_rt_period),
    json::optional("cpu_rt_runtime", &Settings::cpu_rt_runtime),
    json::optional("memory_swappiness", &Settings::memory_swappiness),
    json::optional("oom_kill_disable", &Settings::oom_kill_disable),
    json::optional("blkio_weight", &Settings::blkio_weight),
    json::optional("blkio_weight_device", &Settings::blkio_weight_device),
    json::optional("device_read_bps", &Settings::device_read_bps),
    json::optional("device_write_bps", &Settings::device_write_bps),
    json::optional("device_read_iops", &Settings::device_read_iops),
    json::optional("device_write_iops", &Settings::device_write_iops));

std::string write(const Settings& settings) { return json::dump(json::write(settings)); }
Settings read_settings(std::string_view text) { return json::read<Settings>(json::parse(text)); }

std::vector<std::string> arguments(const Settings& settings) {
    std::vector<std::string> words = settings.entrypoint;
    words.insert(words.end(), settings.cmd.begin(), settings.cmd.end());
    return words;
}

std::vector<Digest> layers_of(const Settings& settings) {
    return std::vector<Digest>(settings.layers.begin(), settings.layers.end());
}

std::optional<std::string> peer_of(const std::string& mode) {
    static constexpr std::string_view prefix = "container:";
    if (!mode.starts_with(prefix)) return {};
    return mode.substr(prefix.size());
}

std::vector<NetworkWish> bridges_of(const Settings& settings) {
    if (settings.networks.empty() && settings.network == "bridge") return {{.name = "bridge"}};
    return settings.networks;
}

std::optional<std::string> shared_network(const Settings& settings) {
    return peer_of(settings.network);
}
