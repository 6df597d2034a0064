// What a document alone can get wrong: the MUSTs of runtime-spec, as a table of rules. Each rule adds
// what it finds; `validate` gives the runtime the first, `problems` gives all.
#include <algorithm>
#include <set>

#include "base/error.h"
#include "spec/runtime.h"

namespace spec {

namespace {

using Problems = std::vector<std::string>;

const Namespace* find_namespace(const Config& config, std::string_view type) {
    const auto at = std::ranges::find(config.linux.namespaces, type, &Namespace::type);
    return at == config.linux.namespaces.end() ? nullptr : &*at;
}

void version(const Config& config, Problems& out) {
    const auto parts = split(config.oci_version, '.');
    if (config.oci_version.empty()) out.push_back("ociVersion: is missing");
    else if (parts.size() < 3 || !parse_number<unsigned>(parts[0]) || !parse_number<unsigned>(parts[1]))
        out.push_back(str("ociVersion: must be a semantic version, but is ", quoted(config.oci_version)));
    else if (parts[0] != "1") out.push_back(str("ociVersion: unsupported spec version: ", config.oci_version));
}

void root(const Config& config, Problems& out) {
    if (!config.root) out.push_back("root: is missing");
    else if (config.root->path.empty()) out.push_back("root.path: is missing");
}

void process(const Config& config, Problems& out) {
    if (!config.process) return;
    const Process& p = *config.process;
    if (p.args.empty()) out.push_back("process.args: args must not be empty");
    if (!p.cwd.starts_with('/')) out.push_back(str("process.cwd: must be an absolute path, but is ", quoted(p.cwd)));
    static constexpr std::string_view known[] = {
        "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE",
        "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS", "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK"};
    std::set<std::string> seen;
    for (const Rlimit& limit : p.rlimits) {
        if (std::ranges::find(known, limit.type) == std::end(known)) out.push_back(str("process.rlimits: invalid rlimit type ", quoted(limit.type)));
        if (!seen.insert(limit.type).second) out.push_back(str("process.rlimits: ", limit.type, " is given twice"));
        if (limit.soft > limit.hard) out.push_back(str("process.rlimits: ", limit.type, ": soft limit is above the hard limit"));
    }
    if (p.oom_score_adj && (*p.oom_score_adj < -1000 || *p.oom_score_adj > 1000))
        out.push_back(str("process.oomScoreAdj: must be from -1000 to 1000, but is ", *p.oom_score_adj));
}

void mounts(const Config& config, Problems& out) {
    for (size_t i = 0; i < config.mounts.size(); ++i) {
        const Mount& mount = config.mounts[i];
        if (mount.destination.empty()) out.push_back(str("mounts[", i, "].destination: is missing"));
        if (mount.uid_mappings.empty() != mount.gid_mappings.empty())
            out.push_back(str("mounts[", i, "]: uidMappings and gidMappings must be given together"));
    }
}

void hooks(const Config& config, Problems& out) {
    const std::pair<const char*, const std::vector<Hook>*> kinds[] = {
        {"prestart", &config.hooks.prestart}, {"createRuntime", &config.hooks.create_runtime},
        {"createContainer", &config.hooks.create_container}, {"startContainer", &config.hooks.start_container},
        {"poststart", &config.hooks.poststart}, {"poststop", &config.hooks.poststop}};
    for (const auto& [name, list] : kinds)
        for (size_t i = 0; i < list->size(); ++i) {
            if (!(*list)[i].path.starts_with('/')) out.push_back(str("hooks.", name, "[", i, "].path: must be an absolute path"));
            if ((*list)[i].timeout && *(*list)[i].timeout <= 0) out.push_back(str("hooks.", name, "[", i, "].timeout: must be greater than zero"));
        }
}

void namespaces(const Config& config, Problems& out) {
    static constexpr std::string_view known[] = {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"};
    std::set<std::string> seen;
    for (const Namespace& ns : config.linux.namespaces) {
        if (std::ranges::find(known, ns.type) == std::end(known)) out.push_back(str("linux.namespaces: unknown namespace type ", quoted(ns.type)));
        if (!seen.insert(ns.type).second) out.push_back(str("linux.namespaces: malformed spec file: duplicated ns ", quoted(ns.type)));
        if (!ns.path.empty() && ns.path[0] != '/') out.push_back(str("linux.namespaces: the path of ", ns.type, " must be absolute"));
    }
    if (!config.hostname.empty() && !find_namespace(config, "uts")) out.push_back("hostname: unable to set hostname without a private UTS namespace");
    if (!config.domainname.empty() && !find_namespace(config, "uts")) out.push_back("domainname: unable to set domainname without a private UTS namespace");
    if (!config.linux.time_offsets.empty() && !find_namespace(config, "time"))
        out.push_back("linux.timeOffsets: time namespace offsets are specified, but time namespace isn't enabled in the config");
    for (const auto& [clock, offset] : config.linux.time_offsets) {
        if (clock != "monotonic" && clock != "boottime") out.push_back(str("linux.timeOffsets: unknown clock ", quoted(clock)));
        if (offset.nanosecs >= 1'000'000'000) out.push_back(str("linux.timeOffsets.", clock, ".nanosecs: must be below 1000000000"));
    }
    const Namespace* user = find_namespace(config, "user");
    const bool mapped = !config.linux.uid_mappings.empty() || !config.linux.gid_mappings.empty();
    if (!user && mapped) out.push_back("linux.uidMappings: user namespace mappings specified, but user namespace isn't enabled in the config");
    if (user && user->path.empty() && (config.linux.uid_mappings.empty() || config.linux.gid_mappings.empty()))
        out.push_back("linux.uidMappings: user namespaces enabled, but no user mapping found");
}

void paths(const Config& config, Problems& out) {
    for (const std::string& path : config.linux.masked_paths)
        if (!path.starts_with('/')) out.push_back(str("linux.maskedPaths: ", quoted(path), " must be an absolute path"));
    for (const std::string& path : config.linux.readonly_paths)
        if (!path.starts_with('/')) out.push_back(str("linux.readonlyPaths: ", quoted(path), " must be an absolute path"));
    for (const std::string& part : split(config.linux.cgroups_path, '/'))
        if (part == "..") out.push_back(str("linux.cgroupsPath: must not contain \"..\", but is ", quoted(config.linux.cgroups_path)));
    static constexpr std::string_view propagations[] = {"", "shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"};
    if (std::ranges::find(propagations, config.linux.rootfs_propagation) == std::end(propagations))
        out.push_back(str("linux.rootfsPropagation: invalid value ", quoted(config.linux.rootfs_propagation)));
}

void devices(const Config& config, Problems& out) {
    for (const Device& device : config.linux.devices) {
        if (!device.path.starts_with('/')) out.push_back(str("linux.devices: ", quoted(device.path), " must be an absolute path"));
        if (device.type.size() != 1 || std::string_view("cbup").find(device.type[0]) == std::string_view::npos)
            out.push_back(str("linux.devices: ", device.path, ": type must be one of c, b, u, p, but is ", quoted(device.type)));
    }
    if (!config.linux.resources) return;
    for (const DeviceRule& rule : config.linux.resources->devices) {
        if (!rule.type.empty() && (rule.type.size() != 1 || std::string_view("abcup").find(rule.type[0]) == std::string_view::npos))
            out.push_back(str("linux.resources.devices: type must be one of a, b, c, but is ", quoted(rule.type)));
        if (rule.access.find_first_not_of("rwm") != std::string::npos)
            out.push_back(str("linux.resources.devices: access must be of r, w, m, but is ", quoted(rule.access)));
    }
}

void hugepages(const Config& config, Problems& out) {
    if (!config.linux.resources) return;
    for (const HugepageLimit& limit : config.linux.resources->hugepage_limits) {  // "2MB", "64KB"
        const size_t digits = limit.page_size.find_first_not_of("0123456789");
        const bool has_unit = digits != std::string::npos && limit.page_size.size() == digits + 2 &&
                              std::string_view("KMG").contains(limit.page_size[digits]) && limit.page_size.ends_with('B');
        if (!has_unit || digits == 0 || limit.page_size.starts_with('0'))
            out.push_back(str("linux.resources.hugepageLimits: pageSize must be a number and KB, MB or GB, but is ", quoted(limit.page_size)));
    }
}

void sysctls(const Config& config, Problems& out) {
    static constexpr std::string_view ipc[] = {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
                                               "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
    auto is_private = [&](const char* type) { return find_namespace(config, type) != nullptr; };
    for (const auto& [raw, value] : config.linux.sysctl) {
        std::string key = raw;
        if (key.find('/') < key.find('.')) std::ranges::transform(key, key.begin(), [](char c) { return c == '/' ? '.' : c == '.' ? '/' : c; });
        if (key.contains("..")) out.push_back(str("linux.sysctl: ", quoted(raw), " is no name of a sysctl"));
        const bool is_ipc = std::ranges::find(ipc, key) != std::end(ipc) || key.starts_with("fs.mqueue.");
        if (is_ipc && !is_private("ipc")) out.push_back(str("linux.sysctl: sysctl ", quoted(raw), " is not allowed in the hosts ipc namespace"));
        if (key.starts_with("net.") && !is_private("network")) out.push_back(str("linux.sysctl: sysctl ", quoted(raw), " not allowed in host network namespace"));
        if (key == "kernel.domainname" && !is_private("uts")) out.push_back(str("linux.sysctl: sysctl ", quoted(raw), " is not allowed without a private UTS namespace"));
        if (key == "kernel.hostname") out.push_back(str("linux.sysctl: sysctl ", quoted(raw), " is not allowed as it conflicts with the OCI \"hostname\" field"));
        else if (!is_ipc && !key.starts_with("net.") && key != "kernel.domainname")
            out.push_back(str("linux.sysctl: sysctl ", quoted(raw), " is not in a separate kernel namespace"));
    }
}

constexpr struct {
    const char* rule;
    void (*check)(const Config&, Problems&);
} rules[] = {
    {"config.md#specification-version", version}, {"config.md#root", root},       {"config.md#process", process},
    {"config.md#mounts", mounts},                 {"config.md#posix-platform-hooks", hooks},
    {"config-linux.md#namespaces", namespaces},   {"config-linux.md#masked-paths", paths},
    {"config-linux.md#devices", devices},         {"config-linux.md#sysctl", sysctls},
    {"config-linux.md#huge-page-limits", hugepages},
};

}  // namespace

std::vector<std::string> problems(const Config& config) {
    Problems out;
    for (const auto& [rule, check_rule] : rules) check_rule(config, out);
    return out;
}

void validate(const Config& config) {
    const Problems found = problems(config);
    if (!found.empty()) throw Error(found.front());
}

}  // namespace spec
