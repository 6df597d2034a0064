// What a document alone can get wrong: the MUSTs of runtime-spec, as a table of rules. `create`
// throws the first violation, `keg-runtime validate` lists all; both read this table and
// validate_linux.cpp's and validate_seccomp.cpp's. Where runc has words for a violation, they are
// in the message: callers match them.
#include "spec/validate.h"

#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/number_list.h"
#include "spec/rules.h"

namespace spec {

namespace {

// The three numbers of SemVer 2.0.0; what follows "-" and "+" is of letters, digits, dots and
// hyphens.
bool is_semantic_version(std::string_view text) {
    const size_t tail = text.find_first_of("-+");
    const auto parts = split(text.substr(0, tail), '.');
    if (parts.size() != 3) return false;
    for (const std::string& part : parts)
        if (!parse_number<unsigned>(part) || (part.size() > 1 && part[0] == '0')) return false;
    if (tail == std::string_view::npos) return true;
    return std::ranges::all_of(text.substr(tail),
                               [](unsigned char c) {
                                   return std::isalnum(c) || c == '.' || c == '-' || c == '+';
                               }) &&
           text.size() > tail + 1;
}

void each_hook(const Config& config, auto&& visit) {
    const std::pair<const char*, const std::vector<Hook>*> kinds[] = {
        {"prestart", &config.hooks.prestart},
        {"createRuntime", &config.hooks.create_runtime},
        {"createContainer", &config.hooks.create_container},
        {"startContainer", &config.hooks.start_container},
        {"poststart", &config.hooks.poststart},
        {"poststop", &config.hooks.poststop}};
    for (const auto& [name, list] : kinds)
        for (size_t i = 0; i < list->size(); ++i) visit(Place("hooks", name, i), (*list)[i]);
}

void each_mount(const Config& config, auto&& visit) {
    for (size_t i = 0; i < config.mounts.size(); ++i) visit(Place("mounts", i), config.mounts[i]);
}

bool has_option(const Mount& mount, std::initializer_list<std::string_view> words) {
    return std::ranges::any_of(mount.options, [&](auto& option) { return among(option, words); });
}
bool binds(const Mount& mount) { return has_option(mount, {"bind", "rbind"}); }
bool maps_ids(const Mount& mount) {
    return has_option(mount, {"idmap", "ridmap"}) || !mount.uid_mappings.empty();
}

bool is_posix_rlimit(std::string_view type) {
    return among(type, {"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE",
                        "RLIMIT_LOCKS", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE",
                        "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS", "RLIMIT_RTPRIO",
                        "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK"});
}

void check_name(const char* what, const std::string& name, Findings& out) {
    if (name.size() > 64) out.add(what, ": the kernel takes 64 bytes, but it has ", name.size());
}

// A check of what `process` holds, if there is one.
template <void (*check)(const Process&, Findings&)>
void of_process(const Config& config, Findings& out) {
    if (config.process) check(*config.process, out);
}

void check_console_size(const Process& process, Findings& out) {
    const auto check = [&](const char* which, uint32_t cells) {
        if (UINT16_MAX < cells)
            out.add("process.consoleSize.", which, ": must be from 0 to 65535, but is ", cells);
    };
    const Box size = process.console_size.value_or(Box{});
    check("height", size.height), check("width", size.width);
}

void check_scheduler(const Process& process, Findings& out) {
    if (!process.scheduler) return;
    const Scheduler& s = *process.scheduler;
    const bool real_time = among(s.policy, {"SCHED_FIFO", "SCHED_RR"});
    if (s.policy.empty()) return out.add("process.scheduler.policy: scheduler policy is required");
    if (!among(s.policy, {"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO",
                          "SCHED_IDLE", "SCHED_DEADLINE"}))
        out.add("process.scheduler.policy: invalid scheduler policy: ", quoted(s.policy));
    for (size_t i = 0; i < s.flags.size(); ++i)
        if (!among(s.flags[i],
                   {"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN",
                    "SCHED_FLAG_KEEP_POLICY", "SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN",
                    "SCHED_FLAG_UTIL_CLAMP_MAX"}))
            out.add("process.scheduler.flags[", i,
                    "]: invalid scheduler flag: ", quoted(s.flags[i]));
    if (s.nice < -20 || s.nice > 19)
        out.add("process.scheduler.nice: invalid scheduler.nice: ", s.nice);
    if (s.priority && !real_time)
        out.add(
            "process.scheduler.priority: scheduler.priority can only be specified for SchedFIFO or "
            "SchedRR policy");
    if (real_time && (s.priority < 1 || s.priority > 99))
        out.add("process.scheduler.priority: scheduler.priority must be from 1 to 99 for ",
                s.policy, ", but is ", s.priority);
    if (s.policy == "SCHED_DEADLINE" && !s.runtime)
        out.add("process.scheduler.runtime: SCHED_DEADLINE needs a runtime");
    if ((s.runtime || s.deadline || s.period) && s.policy != "SCHED_DEADLINE")
        out.add("process.scheduler.",
                s.runtime    ? "runtime"
                : s.deadline ? "deadline"
                             : "period",
                ": scheduler runtime/deadline/period can only be specified for "
                "SchedDeadline policy");
}

constexpr Rule config_rules[] = {
    {"specification-version", "ociVersion MUST be in SemVer v2.0.0 format",
     [](const Config& config, Findings& out) {
         if (config.oci_version.empty())
             out.add("ociVersion: is missing");
         else if (!is_semantic_version(config.oci_version))
             out.add("ociVersion: must be a semantic version, but is ", quoted(config.oci_version));
     }},
    {"specification-version", "a bundle is compatible with runtimes that support its major version",
     [](const Config& config, Findings& out) {
         if (is_semantic_version(config.oci_version) && !config.oci_version.starts_with("1."))
             out.add("ociVersion: unsupported spec version: ", config.oci_version);
     }},
    {"root", "On all other platforms, this field is REQUIRED",
     [](const Config& config, Findings& out) {
         if (!config.root) out.add("root: is missing");
     }},
    {"root", "path (string, REQUIRED) specifies the path to the root filesystem for the container",
     [](const Config& config, Findings& out) {
         if (config.root && config.root->path.empty()) out.add("root.path: is missing");
     }},
    {"mounts", "destination (string, REQUIRED)",
     [](const Config& config, Findings& out) {
         each_mount(config, [&](const Place& at, const Mount& mount) {
             if (mount.destination.empty()) out.add(at, ".destination: is missing");
         });
     }},
    {"mounts", "destination: destination of mount point: path inside container",
     [](const Config& config, Findings& out) {
         each_mount(config, [&](const Place& at, const Mount& mount) {
             if (mount.destination.find_first_not_of("/.") == std::string::npos &&
                 mount.destination.starts_with('/') && !has_option(mount, {"remount"}))
                 out.add(at, ".destination: ", quoted(mount.destination), " is the root itself");
         });
     }},
    {"mounts", "source: for bind mounts, a file or directory name",
     [](const Config& config, Findings& out) {
         each_mount(config, [&](const Place& at, const Mount& mount) {
             if (binds(mount) && !has_option(mount, {"remount"}) && mount.source.empty())
                 out.add(at, ".source: is missing: a bind mount must have one");
         });
     }},
    {"posix-platform-mounts",
     "uidMappings: if specified, it MUST be specified along with gidMappings",
     [](const Config& config, Findings& out) {
         each_mount(config, [&](const Place& at, const Mount& mount) {
             if (mount.uid_mappings.empty() != mount.gid_mappings.empty())
                 out.add(at, mount.uid_mappings.empty() ? ".uidMappings" : ".gidMappings",
                         ": uidMappings and gidMappings must be given together");
         });
     }},
    {"posix-platform-mounts",
     "the format of uidMappings and gidMappings is the same as that of user namespace mappings",
     [](const Config& config, Findings& out) {
         each_mount(config, [&](const Place& at, const Mount& mount) {
             check_ranges(mount.uid_mappings, Place(at, "uidMappings"), out);
             check_ranges(mount.gid_mappings, Place(at, "gidMappings"), out);
         });
     }},
    {"linux-mount-options",
     "idmap: if there are no mappings and the container isn't using user namespaces, an error MUST "
     "be returned",
     [](const Config& config, Findings& out) {
         each_mount(config, [&](const Place& at, const Mount& mount) {
             if (maps_ids(mount) && mount.uid_mappings.empty() && mount.gid_mappings.empty() &&
                 !find_namespace(config, "user"))
                 out.add(at,
                         ".options: id-mapped mount without mappings and without a user namespace");
         });
     }},
    {"linux-mount-options",
     "a mapping is applied to a mount that exists: id-mapped mounts are bind mounts",
     [](const Config& config, Findings& out) {
         each_mount(config, [&](const Place& at, const Mount& mount) {
             if (maps_ids(mount) && !binds(mount))
                 out.add(at, ".options: id-mapped mounts must be bind mounts");
         });
     }},
    {"linux-mount-options", "tmpcopyup: copy up the contents to a tmpfs",
     [](const Config& config, Findings& out) {
         each_mount(config, [&](const Place& at, const Mount& mount) {
             if (has_option(mount, {"tmpcopyup"}) && (mount.type != "tmpfs" || binds(mount)))
                 out.add(at, ".options: tmpcopyup needs a tmpfs");
         });
     }},
    {"process", "cwd (string, REQUIRED) MUST be an absolute path",
     of_process<[](const Process& process, Findings& out) {
         if (process.cwd.empty())
             out.add("process.cwd: Cwd property must not be empty");
         else if (!process.cwd.starts_with('/'))
             out.add("process.cwd: Cwd must be an absolute path, but is ", quoted(process.cwd));
     }>},
    {"process", "args: at least one entry is REQUIRED",
     of_process<[](const Process& process, Findings& out) {
         if (process.args.empty()) out.add("process.args: args must not be empty");
     }>},
    {"process", "consoleSize: height and width of a terminal, to which the kernel gives 16 bits",
     of_process<check_console_size>},
    {"process",
     "env (array of strings) with the same semantics as IEEE Std 1003.1-2008's environ: NAME=VALUE",
     of_process<[](const Process& process, Findings& out) {
         for (size_t i = 0; i < process.env.size(); ++i) {
             const std::string& entry = process.env[i];
             const auto refuse = [&](const char* why) {
                 out.add(Place("process.env", i), ": invalid environment variable: ", why,
                         quoted(entry));
             };
             if (!entry.contains('='))
                 refuse("missing '=' in ");
             else if (entry.starts_with('='))
                 refuse("name cannot be empty in ");
         }
     }>},
    {"posix-platform-user", "uid (int, REQUIRED) specifies the user ID in the container namespace",
     of_process<[](const Process& process, Findings& out) {
         const auto check_id = [&](const Place& what, uint32_t id) {
             if (id == uint32_t(-1)) out.add("process.user.", what, ": ", id, " is no id");
         };
         check_id("uid", process.user.uid), check_id("gid", process.user.gid);
         const std::vector<uint32_t>& more = process.user.additional_gids;
         for (size_t i = 0; i < more.size(); ++i) check_id({"additionalGids", i}, more[i]);
     }>},
    {"posix-platform-user", "umask (int, OPTIONAL) specifies the umask of the user",
     of_process<[](const Process& process, Findings& out) {
         const uint32_t umask = process.user.umask.value_or(0);
         if (0777 < umask)
             out.add("process.user.umask: must be from 0 to 511 (0777), but is ", umask);
     }>},
    {"posix-process",
     "the runtime MUST generate an error for any values which cannot be mapped to a relevant "
     "kernel interface",
     of_process<[](const Process& process, Findings& out) {
         for (size_t i = 0; i < process.rlimits.size(); ++i) {
             const Rlimit& limit = process.rlimits[i];
             const Place at("process.rlimits", i);
             if (!is_posix_rlimit(limit.type))
                 out.add(at, ".type: invalid rlimit type: ", quoted(limit.type));
             if (limit.hard < limit.soft)
                 out.add(at, ".soft: the soft limit of ", limit.type, " is above the hard limit");
         }
     }>},
    {"posix-process",
     "if rlimits contains duplicated entries with same type, the runtime MUST generate an error",
     of_process<[](const Process& process, Findings& out) {
         std::set<std::string> seen;
         for (size_t i = 0; i < process.rlimits.size(); ++i)
             if (const std::string& type = process.rlimits[i].type; !seen.insert(type).second)
                 out.add("process.rlimits[", i, "].type: duplicated rlimit ", quoted(type));
     }>},
    {"linux-process", "oomScoreAdj adjusts [pid]/oom_score_adj: -1000 to 1000",
     of_process<[](const Process& process, Findings& out) {
         if (process.oom_score_adj &&
             (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000))
             out.add("process.oomScoreAdj: must be from -1000 to 1000, but is ",
                     *process.oom_score_adj);
     }>},
    {"linux-process",
     "scheduler: policy is REQUIRED; a valid list of values is given for policy and flags",
     of_process<check_scheduler>},
    {"linux-process", "ioPriority: class and priority are REQUIRED; priority ranges from 0 to 7",
     of_process<[](const Process& process, Findings& out) {
         if (!process.io_priority) return;
         if (!among(process.io_priority->io_class,
                    {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"}))
             out.add("process.ioPriority.class: invalid io priority class: ",
                     quoted(process.io_priority->io_class));
         if (process.io_priority->priority < 0 || 7 < process.io_priority->priority)
             out.add("process.ioPriority.priority: invalid io priority: ",
                     process.io_priority->priority);
     }>},
    {"linux-process",
     "execCPUAffinity: initial and final are lists of CPUs, with dashes to represent ranges",
     of_process<[](const Process& process, Findings& out) {
         if (!process.exec_cpu_affinity) return;
         const auto check_list = [&](const char* which, const std::string& cpus) {
             if (!parse_number_list(cpus))
                 out.add("process.execCPUAffinity.", which,
                         ": invalid list of CPUs: ", quoted(cpus));
         };
         check_list("initial", process.exec_cpu_affinity->initial),
             check_list("final", process.exec_cpu_affinity->final_);
     }>},
    {"hostname", "hostname changes the hostname in the container UTS namespace",
     [](const Config& config, Findings& out) {
         if (!config.hostname.empty() && !find_namespace(config, "uts"))
             out.add("hostname: unable to set hostname without a private UTS namespace");
         check_name("hostname", config.hostname, out);
     }},
    {"domainname", "domainname changes the domainname in the container UTS namespace",
     [](const Config& config, Findings& out) {
         if (!config.domainname.empty() && !find_namespace(config, "uts"))
             out.add("domainname: unable to set domainname without a private UTS namespace");
         check_name("domainname", config.domainname, out);
     }},
    {"posix-platform-hooks", "path (string, REQUIRED) MUST be absolute",
     [](const Config& config, Findings& out) {
         each_hook(config, [&](const Place& at, const Hook& hook) {
             if (!hook.path.starts_with('/'))
                 out.add(at, ".path: must be an absolute path, but is ", quoted(hook.path));
         });
     }},
    {"annotations", "Keys MUST NOT be an empty string",
     [](const Config& config, Findings& out) {
         if (config.annotations.contains("")) out.add("annotations: a key must not be empty");
     }},
    {"posix-platform-hooks", "if set, timeout MUST be greater than zero",
     [](const Config& config, Findings& out) {
         each_hook(config, [&](const Place& at, const Hook& hook) {
             if (hook.timeout && *hook.timeout <= 0)
                 out.add(at, ".timeout: must be greater than zero, but is ", *hook.timeout);
         });
     }},
};

void check(const Config& config, const char* document, std::span<const Rule> table,
           std::vector<Violation>& out) {
    for (const Rule& rule : table) {
        std::vector<std::string> found;
        Findings findings(found);
        rule.check(config, findings);
        for (std::string& message : found)
            out.push_back({std::move(message), document, rule.section, rule.text});
    }
}

// What follows the part of an error's place that has that name, if it has: "[0].uid: is …" behind
// "rlimits" in "rlimits[0].uid: is …".
std::optional<std::string_view> behind(std::string_view error, std::string_view part) {
    if (!error.starts_with(part)) return {};
    error.remove_prefix(part.size());
    if (error.starts_with('.')) return error.substr(1);
    if (error.starts_with('[') || error.starts_with(": ")) return error;
    return {};
}

// Takes the node that an error names ("process.user.uid: is out of range") out of the document.
// Gives false if it is the document itself.
bool remove_named(json::Value& value, std::string_view error) {
    if (value.is_array()) {
        const size_t end = error.find(']');
        const auto index = error.starts_with('[') && end != std::string_view::npos
                               ? parse_number<size_t>(error.substr(1, end - 1))
                               : std::nullopt;
        if (!index || *index >= value.size()) return false;
        const auto rest = behind(error, error.substr(0, end + 1));
        if (!rest || !remove_named(value[*index], *rest))
            value.erase(value.begin() + std::ptrdiff_t(*index));
        return true;
    }
    if (!value.is_object()) return false;
    for (auto at = value.begin(); at != value.end(); ++at) {
        const auto rest = behind(error, at.key());
        // "net" is not meant by "net.ipv4.ip_forward: …", unless something is in it.
        if (!rest || (at.value().is_primitive() && !rest->starts_with(": "))) continue;
        if (!remove_named(at.value(), *rest)) value.erase(at);
        return true;
    }
    return false;
}

}  // namespace

void check_ranges(const std::vector<IdMapping>& map, const Place& at, Findings& out) {
    const auto meet = [](uint64_t one, uint64_t one_size, uint64_t other, uint64_t other_size) {
        return one < other + other_size && other < one + one_size;
    };
    if (map.size() > 340)
        return out.add(at, ": the kernel takes 340 ranges, but there are ", map.size());
    size_t bytes = 0;  // of what is written to uid_map; a page is too much
    for (const IdMapping& one : map)
        bytes += str(one.container_id, " ", one.host_id, " ", one.size, "\n").size();
    if (bytes >= 4096)
        return out.add(at, ": the kernel takes ranges of 4095 bytes, but these have ", bytes);
    for (size_t i = 0; i < map.size(); ++i) {
        const IdMapping& one = map[i];
        const auto refuse = [&](const char* why) {
            out.add(at, "[", i, "]: ", one.container_id, " ", one.host_id, " ", one.size, why);
        };
        if (one.size == 0 || one.size > uint32_t(-1) - std::max(one.container_id, one.host_id))
            refuse(" is no range of ids");
        const bool again =
            std::any_of(map.begin(), map.begin() + std::ptrdiff_t(i), [&](const IdMapping& other) {
                return meet(one.container_id, one.size, other.container_id, other.size) ||
                       meet(one.host_id, one.size, other.host_id, other.size);
            });
        if (again) refuse(" has ids of a range before it");
    }
}

std::span<const Rule> rules_of_config() { return config_rules; }

std::vector<Violation> violations(const Config& config) {
    std::vector<Violation> out;
    check(config, "config.md", rules_of_config(), out);
    for (const auto& table : {rules_of_linux(), rules_of_seccomp(), rules_of_call_names()})
        check(config, "config-linux.md", table, out);
    return out;
}

Reading read_and_validate(std::string_view text) {
    Reading reading;
    const auto unreadable = [&](const std::exception& e) {
        reading.violations.push_back(
            {e.what(), "config.md", "configuration", "the schema: each property has its type"});
    };
    json::Value document;
    try {
        document = json::parse(text);
    } catch (const Error& e) {
        unreadable(e);
        return reading;
    }
    // What is of the wrong type is told and taken out, until the rest can be read.
    for (;;) try {
            reading.config = read_config(json::dump(document));
            break;
        } catch (const Error& e) {
            unreadable(e);
            if (!remove_named(document, e.what())) return reading;
        }
    for (Violation& violation : violations(reading.config))
        reading.violations.push_back(std::move(violation));
    return reading;
}

std::vector<std::string> problems(const Config& config) {
    std::vector<std::string> messages;
    for (Violation& violation : violations(config))
        messages.push_back(std::move(violation.message));
    return messages;
}

void validate(const Config& config) {
    const std::vector<std::string> found = problems(config);
    if (!found.empty()) throw Error(found.front());
}

}  // namespace spec
