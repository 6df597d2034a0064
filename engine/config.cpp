// The order of mounts matters: a user's mount replaces the default one of its destination and
// stands behind the defaults, sorted by depth, so that /a is mounted before /a/b. Empty lists of
// masked paths are not the same as absent ones for a runtime's callers; for config.json both mean
// "none".
#include "engine/config.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "base/tree_walk.h"
#include "container/defaults.h"
#include "container/seccomp_option.h"
#include "spec/capabilities.h"

namespace {

std::vector<std::string> capability_list(const char* option,
                                         const std::vector<std::string>& typed) {
    std::vector<std::string> out;
    for (const std::string& word : typed) {
        std::string name = upper(word);
        if (name != "ALL" && !name.starts_with("CAP_")) name = "CAP_" + name;
        if (name != "ALL" &&
            std::ranges::none_of(spec::capability_names(),
                                 [&](std::string_view known) { return name == known; }))
            throw Error("invalid ", option, ": unknown capability: ", quoted(name));
        out.push_back(name);
    }
    return out;
}

bool contains(const std::vector<std::string>& list, std::string_view word) {
    return std::ranges::find(list, word) != list.end();
}

// Where --init's program is inside; Docker's place.
constexpr const char* init_inside = "/sbin/docker-init";

std::vector<spec::Mount> unasked_mounts(const Settings& s, const ConfigInputs& in) {
    std::vector<spec::Mount> mounts = default_mounts(s.privileged, s.shm_size);
    if (!in.shm_path.empty())
        mounts.back() = {"/dev/shm", "bind", in.shm_path, {"rbind", "rprivate"}};
    if (s.ipc == "none") mounts.pop_back();
    if (s.ipc == "host")
        mounts.back() = {"/dev/shm", "bind", "/dev/shm", {"rbind", "rprivate"}},
        mounts[5] = {"/dev/mqueue", "bind", "/dev/mqueue", {"rbind", "rprivate"}};
    return mounts;
}

spec::Mount tmpfs_mount(const std::string& destination, const std::string& typed) {
    static constexpr const char* flags[] = {
        "rw",       "ro",         "exec",        "noexec",        "suid",     "nosuid",
        "dev",      "nodev",      "sync",        "async",         "dirsync",  "remount",
        "mand",     "nomand",     "atime",       "noatime",       "diratime", "nodiratime",
        "relatime", "norelatime", "strictatime", "nostrictatime", "rprivate", "private",
        "rshared",  "shared",     "rslave",      "slave"};
    static constexpr const char* values[] = {"size",      "mode",      "uid", "gid",
                                             "nr_inodes", "nr_blocks", "mpol"};
    std::vector<std::string> options = {"noexec", "nosuid", "nodev", "rprivate"};
    for (const std::string& word : split(typed, ',')) {
        if (word.empty()) continue;
        const std::string key = word.substr(0, word.find('='));
        const auto is = [&](const char* known) { return key == known; };
        if (std::ranges::any_of(values, is) ? word.size() == key.size()
                                            : std::ranges::none_of(flags, is))
            throw Error("invalid tmpfs option ", quoted(word));
        std::erase(options, key.starts_with("no") ? key.substr(2) : "no" + key);
        options.push_back(word);
    }
    return {destination, "tmpfs", "tmpfs", options};
}

spec::Mount bind_mount(const VolumeMount& mount) {
    const char* all_read_only = mount.alone || mount.read_only_top ? "ro" : "rro";
    return {mount.destination,
            "bind",
            mount.source,
            {mount.alone ? "bind" : "rbind", mount.propagation,
             mount.read_only ? all_read_only : "rw"}};
}

std::vector<spec::Mount> plan_mounts(const Settings& s, const ConfigInputs& in) {
    std::vector<spec::Mount> users;
    for (const VolumeMount& mount : in.mounts) users.push_back(bind_mount(mount));
    for (const auto& [destination, options] : s.tmpfs)
        users.push_back(tmpfs_mount(destination, options));
    std::ranges::stable_sort(
        users, {}, [](const spec::Mount& m) { return std::ranges::count(m.destination, '/'); });

    const auto has = [&](const std::string& destination) {
        return std::ranges::find(users, destination, &spec::Mount::destination) != users.end();
    };
    std::vector<spec::Mount> mounts = unasked_mounts(s, in);
    std::erase_if(mounts, [&](const spec::Mount& m) {
        return has(m.destination) || (has("/dev") && m.destination.starts_with("/dev/"));
    });
    mounts.insert(mounts.end(), users.begin(), users.end());
    for (const auto& [destination, source] :
         {std::pair("/etc/resolv.conf", in.resolv_path),
          std::pair("/etc/hostname", in.hostname_path), std::pair("/etc/hosts", in.hosts_path)})
        if (!source.empty() && !has(destination))
            mounts.push_back(
                {destination, "bind", source, {"rbind", "rprivate", s.read_only ? "ro" : "rw"}});
    if (!in.init_path.empty())
        mounts.push_back({init_inside, "bind", in.init_path, {"bind", "rprivate", "ro"}});
    return mounts;
}

spec::Resources plan_resources(const Settings& s, const ConfigInputs& in) {
    spec::Resources r;
    if (s.memory && s.memory < 6 << 20) throw Error("Minimum memory limit allowed is 6MB");
    if (s.memory_swap > 0 && !s.memory)
        throw Error(
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    if (s.memory_swap > 0 && s.memory_swap < s.memory)
        throw Error("Minimum memoryswap limit should be larger than memory limit, see usage");
    if (s.memory_reservation && s.memory && s.memory_reservation > s.memory)
        throw Error(
            "Minimum memory limit can not be less than memory reservation limit, see usage");
    if (s.memory)
        r.memory.limit = s.memory, r.memory.swap = s.memory_swap ? s.memory_swap : 2 * s.memory;
    if (s.memory_reservation) r.memory.reservation = s.memory_reservation;
    if (s.memory_swappiness) r.memory.swappiness = uint64_t(*s.memory_swappiness);
    if (s.oom_kill_disable) r.memory.disable_oom_killer = true;
    if (s.nano_cpus) r.cpu.period = 100000, r.cpu.quota = s.nano_cpus / 10000;
    if (s.cpu_period) r.cpu.period = uint64_t(s.cpu_period);
    if (s.cpu_quota) r.cpu.quota = s.cpu_quota;
    if (s.cpu_rt_period) r.cpu.realtime_period = uint64_t(s.cpu_rt_period);
    if (s.cpu_rt_runtime) r.cpu.realtime_runtime = s.cpu_rt_runtime;
    r.block_io = in.block_io;
    if (s.blkio_weight) r.block_io.weight = uint16_t(s.blkio_weight);
    if (s.cpu_shares) r.cpu.shares = uint64_t(s.cpu_shares);
    r.cpu.cpus = s.cpuset_cpus, r.cpu.mems = s.cpuset_mems;
    if (s.pids_limit) r.pids.limit = s.pids_limit > 0 ? s.pids_limit : -1;
    if (s.privileged) {
        r.devices = {{.allow = true, .type = "a", .access = "rwm"}};
        return r;
    }
    r.devices = default_device_rules();
    r.devices.insert(r.devices.end(), in.device_rules.begin(), in.device_rules.end());
    for (const std::string& rule : s.device_cgroup_rules)
        r.devices.push_back(parse_device_rule(rule));
    return r;
}

// What --security-opt says about a subject: "no-new-privileges", "seccomp=F", "apparmor=P".
struct SecurityOptions {
    bool no_new_privileges = false, unconfined_paths = false;
    std::string seccomp, apparmor;  // seccomp: "", unconfined, builtin, or a profile's text
};
SecurityOptions read_security_options(const std::vector<std::string>& typed) {
    SecurityOptions out;
    for (const std::string& option : typed) {
        size_t at = option.find('=');
        if (at == std::string::npos) at = option.find(':');
        const std::string key = option.substr(0, at),
                          value = at == std::string::npos ? "" : option.substr(at + 1);
        if (key == "no-new-privileges")
            out.no_new_privileges = value.empty() || value == "true";
        else if (key == "seccomp" && !value.empty())
            out.seccomp = value;
        else if (key == "apparmor")
            out.apparmor = value;
        else if (key == "systempaths" && value == "unconfined")
            out.unconfined_paths = true;
        else if (key == "label" && value == "disable")
            continue;
        else
            throw Error("invalid --security-opt: ", quoted(option),
                        "; known are no-new-privileges, seccomp=FILE|unconfined|builtin, "
                        "apparmor=PROFILE, systempaths=unconfined, label=disable");
    }
    return out;
}

}  // namespace

std::vector<std::string> load_security_options(const std::vector<std::string>& typed) {
    std::vector<std::string> out = typed;
    for (std::string& option : out)
        if (option.size() > 8 && (option.starts_with("seccomp=") || option.starts_with("seccomp:")))
            option = "seccomp=" + load_seccomp_option(std::string_view(option).substr(8));
    return out;
}

std::vector<std::string> plan_capabilities(const std::vector<std::string>& add_typed,
                                           const std::vector<std::string>& drop_typed,
                                           const std::vector<std::string>& all) {
    const auto add = capability_list("CapAdd", add_typed),
               drop = capability_list("CapDrop", drop_typed);
    std::vector<std::string> out;
    if (contains(add, "ALL"))
        out = all;
    else if (!contains(drop, "ALL"))
        out = spec::container_capabilities();
    std::erase_if(out, [&](const std::string& name) { return contains(drop, name); });
    for (const std::string& name : add)
        if (name != "ALL" && !contains(out, name)) out.push_back(name);
    return out;
}

std::vector<std::string> plan_env(const std::vector<std::string>& env, const std::string& hostname,
                                  bool tty) {
    std::vector<std::string> out = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=" + hostname};
    if (tty) out.push_back("TERM=xterm");
    const auto key = [](const std::string& entry) { return entry.substr(0, entry.find('=')); };
    for (const std::string& entry : env) {
        const auto at = std::ranges::find(out, key(entry), key);
        const bool removes = entry.find('=') == std::string::npos;
        if (at == out.end()) {
            if (!removes) out.push_back(entry);
        } else if (removes)
            out.erase(at);
        else
            *at = entry;
    }
    return out;
}

spec::Resources make_resources(const Settings& s, const ConfigInputs& in) {
    return plan_resources(s, in);
}

spec::Config make_config(const Settings& s, const ConfigInputs& in) {
    const SecurityOptions security = read_security_options(s.security_opt);
    spec::Config config;
    config.oci_version = "1.0.2";
    if (s.uts != "host") config.hostname = in.hostname, config.domainname = s.domainname;

    spec::Process& process = config.process.emplace();
    process.terminal = s.tty;
    process.user = {.uid = in.user.uid,
                    .gid = in.user.gid,
                    .umask = {},
                    .additional_gids = in.user.additional_gids,
                    .username = {}};
    process.args = arguments(s);
    if (process.args.empty()) throw Error("no command specified");
    if (s.init) process.args.insert(process.args.begin(), {init_inside, "--"});
    process.env = plan_env(s.env, in.hostname, s.tty);
    process.cwd = s.working_dir.empty() ? "/" : s.working_dir;
    const auto capabilities = s.privileged
                                  ? in.all_capabilities
                                  : plan_capabilities(s.cap_add, s.cap_drop, in.all_capabilities);
    process.capabilities = rights(capabilities, in.user.uid);
    for (const std::string& limit : s.ulimits) process.rlimits.push_back(parse_ulimit(limit));
    process.no_new_privileges = security.no_new_privileges;
    process.apparmor_profile = security.apparmor == "unconfined" ? "" : security.apparmor;
    process.oom_score_adj = s.oom_score_adj;

    config.annotations = s.annotations;
    config.root = {.path = "rootfs", .readonly = s.read_only};
    config.mounts = plan_mounts(s, in);

    spec::Linux& linux = config.linux;
    linux.namespaces = {{"mount", ""}};
    if (s.uts != "host") linux.namespaces.push_back({"uts", ""});
    if (s.pid != "host") linux.namespaces.push_back({"pid", in.pid_path});
    if (s.ipc != "host") linux.namespaces.push_back({"ipc", in.ipc_path});
    if (!in.network_path.empty())
        linux.namespaces.push_back({"network", in.network_path});
    else if (s.network != "host") {
        linux.namespaces.push_back({"network", ""});
        open_ports_and_ping(linux);
    }
    const bool own_cgroups = s.cgroupns.empty() ? in.cgroup_v2 : s.cgroupns == "private";
    if (own_cgroups) linux.namespaces.push_back({"cgroup", ""});
    for (const auto& [name, value] : s.sysctls) linux.sysctl[name] = value;
    linux.resources = plan_resources(s, in);
    linux.cgroups_path = (s.cgroup_parent.empty() ? "" : s.cgroup_parent) + "/keg-" + s.id;
    linux.devices = in.host_devices;
    for (const VolumeMount& mount : in.mounts) {
        if (mount.propagation.ends_with("shared"))
            linux.rootfs_propagation = "shared";
        else if (mount.propagation.ends_with("slave") && linux.rootfs_propagation.empty())
            linux.rootfs_propagation = "rslave";
    }
    if (!s.privileged && !security.unconfined_paths) hide_kernel_files(linux);
    if (!s.privileged || !security.seccomp.empty())
        linux.seccomp = seccomp_profile_of(security.seccomp, capabilities);
    return config;
}

spec::Process make_exec_process(const spec::Config& container, const ExecSettings& exec,
                                const std::optional<ResolvedUser>& user,
                                const std::vector<std::string>& all_capabilities) {
    spec::Process process = container.process.value_or(spec::Process{});
    process.args = exec.args;
    process.terminal = exec.tty;
    process.env = merge_env(exec.env, process.env);
    std::erase_if(process.env,
                  [](const std::string& entry) { return entry.find('=') == std::string::npos; });
    const auto is_term = [](const std::string& entry) { return entry.starts_with("TERM="); };
    if (exec.tty && std::ranges::none_of(process.env, is_term)) process.env.push_back("TERM=xterm");
    if (!exec.working_dir.empty()) process.cwd = exec.working_dir;
    spec::Capabilities& caps =
        process.capabilities ? *process.capabilities : process.capabilities.emplace();
    if (exec.privileged) caps.bounding = caps.permitted = caps.effective = all_capabilities;
    if (!user) return process;
    process.user = {.uid = user->uid,
                    .gid = user->gid,
                    .umask = {},
                    .additional_gids = user->additional_gids,
                    .username = {}};
    // HOME is another's now: the runtime finds the right one.
    const auto is_home = [](const std::string& entry) { return entry.starts_with("HOME="); };
    if (std::ranges::none_of(exec.env, is_home)) std::erase_if(process.env, is_home);
    caps.permitted = caps.effective = user->uid == 0 ? caps.bounding : std::vector<std::string>{};
    return process;
}

namespace {

void add_node(const std::string& host, const std::string& inside, const std::string& access,
              ConfigInputs& in) {
    struct stat info{};
    if (::stat(host.c_str(), &info) < 0)
        throw SysError("error gathering device information while adding custom device ",
                       quoted(host));
    const char* type = S_ISCHR(info.st_mode) ? "c" : S_ISBLK(info.st_mode) ? "b" : nullptr;
    if (!type)
        throw Error("error gathering device information while adding custom device ", quoted(host),
                    ": not a device node");
    const int64_t major = ::major(info.st_rdev), minor = ::minor(info.st_rdev);
    in.host_devices.push_back({.path = inside,
                               .type = type,
                               .major = major,
                               .minor = minor,
                               .file_mode = info.st_mode & 0777u,
                               .uid = info.st_uid,
                               .gid = info.st_gid});
    in.device_rules.push_back(
        {.allow = true, .type = type, .major = major, .minor = minor, .access = access});
}

// Every node below a directory of /dev; what the container's own /dev holds already is left out.
void add_all_nodes(const std::string& directory, ConfigInputs& in) {
    static constexpr std::string_view own[] = {
        "/dev/pts",  "/dev/shm",  "/dev/fd",     "/dev/mqueue",  "/dev/console", "/dev/null",
        "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",     "/dev/ptmx"};
    const auto add = [&](const TreePlace& at) {
        const std::string path = directory + at.path();
        struct stat info{};
        if (at.name[0] == '.' || std::ranges::find(own, path) != std::end(own) ||
            ::fstatat(at.parent, at.name, &info, AT_SYMLINK_NOFOLLOW) < 0)
            return false;
        if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) add_node(path, path, "rwm", in);
        return S_ISDIR(info.st_mode);
    };
    walk_tree(sys::open(directory, O_PATH | O_DIRECTORY).get(), ".", {.meet = add});
}

}  // namespace

void add_devices(const Settings& settings, ConfigInputs& in) {
    if (settings.privileged) return add_all_nodes("/dev", in);
    for (const std::string& typed : settings.devices) {
        const std::vector<std::string> parts = split(typed, ':');
        std::string inside = parts[0], access = "rwm";
        const auto is_access = [](const std::string& word) {
            return !word.empty() && word.find_first_not_of("rwm") == std::string::npos;
        };
        if (parts.size() == 2) (is_access(parts[1]) ? access : inside) = parts[1];
        if (parts.size() == 3) inside = parts[1], access = parts[2];
        if (parts.size() > 3 || !is_access(access))
            throw Error("invalid device specification: ", typed);
        struct stat info{};
        if (::stat(parts[0].c_str(), &info) == 0 && S_ISDIR(info.st_mode))
            add_all_nodes(parts[0], in);
        else
            add_node(parts[0], inside, access, in);
    }
}

void add_block_io(const Settings& settings, ConfigInputs& in) {
    const auto number_of = [](const std::string& path) {
        struct stat info{};
        if (::stat(path.c_str(), &info) < 0) throw SysError("looking at ", path);
        if (!S_ISBLK(info.st_mode)) throw Error(path, ": not a block device");
        return std::pair<int64_t, int64_t>(::major(info.st_rdev), ::minor(info.st_rdev));
    };
    for (const std::string& typed : settings.blkio_weight_device) {
        const DeviceRate one = parse_device_rate(typed, false);
        if (one.rate && (one.rate < 10 || one.rate > 1000))
            throw Error("invalid weight for device: ", typed);
        const auto [major, minor] = number_of(one.path);
        in.block_io.weight_device.push_back(
            {.major = major, .minor = minor, .weight = uint16_t(one.rate)});
    }
    const struct {
        const std::vector<std::string>& typed;
        std::vector<spec::ThrottleDevice>& to;
        bool bytes;
    } rates[] = {{settings.device_read_bps, in.block_io.throttle_read_bps, true},
                 {settings.device_write_bps, in.block_io.throttle_write_bps, true},
                 {settings.device_read_iops, in.block_io.throttle_read_iops, false},
                 {settings.device_write_iops, in.block_io.throttle_write_iops, false}};
    for (const auto& [typed, to, bytes] : rates)
        for (const std::string& each : typed) {
            const DeviceRate one = parse_device_rate(each, bytes);
            const auto [major, minor] = number_of(one.path);
            to.push_back({.major = major, .minor = minor, .rate = one.rate});
        }
}
