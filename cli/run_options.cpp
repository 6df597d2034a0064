// From the words of the command line to a request: each option goes to one member, by a table. What
// only the caller has (his files, his environment) is read here; what the words mean is decided in
// engine/decide.cpp. What this program does not do is refused by name, before anything is made.
#include "cli/run_options.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "engine/config.h"
#include "engine/lifecycle.h"
#include "engine/request.h"
#include "image/platform.h"
#include "image/pull.h"
#include "image/snapshots.h"
#include "image/trust/judge.h"

namespace {

using Request = ContainerRequest;

constexpr struct {
    const char* option;
    Request::Text Request::* member;
} texts[] = {
    {"cgroup-parent", &Request::cgroup_parent},
    {"cgroupns", &Request::cgroupns},
    {"cidfile", &Request::cid_file},
    {"cpus", &Request::cpus},
    {"cpuset-cpus", &Request::cpuset_cpus},
    {"cpuset-mems", &Request::cpuset_mems},
    {"domainname", &Request::domainname},
    {"health-interval", &Request::health_interval},
    {"health-start-interval", &Request::health_start_interval},
    {"health-start-period", &Request::health_start_period},
    {"health-timeout", &Request::health_timeout},
    {"hostname", &Request::hostname},
    {"ip", &Request::ip},
    {"ipc", &Request::ipc},
    {"log-driver", &Request::log_driver},
    {"mac-address", &Request::mac},
    {"memory", &Request::memory},
    {"memory-reservation", &Request::memory_reservation},
    {"memory-swap", &Request::memory_swap},
    {"name", &Request::name},
    {"pid", &Request::pid},
    {"restart", &Request::restart},
    {"runtime", &Request::runtime},
    {"shm-size", &Request::shm_size},
    {"stop-signal", &Request::stop_signal},
    {"userns", &Request::userns},
    {"uts", &Request::uts},
    {"volume-driver", &Request::volume_driver},
};
constexpr struct {
    const char* option;
    std::optional<Request::Text> Request::* member;
} overrides[] = {
    {"entrypoint", &Request::entrypoint},
    {"health-cmd", &Request::health_cmd},
    {"user", &Request::user},
    {"workdir", &Request::working_dir},
};
constexpr struct {
    const char* option;
    Request::List Request::* member;
} lists[] = {
    {"add-host", &Request::add_host},
    {"annotation", &Request::annotations},
    {"blkio-weight-device", &Request::blkio_weight_device},
    {"cap-add", &Request::cap_add},
    {"cap-drop", &Request::cap_drop},
    {"device", &Request::devices},
    {"device-cgroup-rule", &Request::device_cgroup_rules},
    {"device-read-bps", &Request::device_read_bps},
    {"device-read-iops", &Request::device_read_iops},
    {"device-write-bps", &Request::device_write_bps},
    {"device-write-iops", &Request::device_write_iops},
    {"dns", &Request::dns},
    {"dns-opt", &Request::dns_options},
    {"dns-option", &Request::dns_options},
    {"dns-search", &Request::dns_search},
    {"expose", &Request::expose},
    {"group-add", &Request::group_add},
    {"link", &Request::links},
    {"log-opt", &Request::log_opts},
    {"mount", &Request::mounts},
    {"net", &Request::networks},
    {"network", &Request::networks},
    {"network-alias", &Request::aliases},
    {"publish", &Request::publish},
    {"sysctl", &Request::sysctls},
    {"tmpfs", &Request::tmpfs},
    {"ulimit", &Request::ulimits},
    {"volume", &Request::volumes},
    {"volumes-from", &Request::volumes_from},
};
constexpr struct {
    const char* option;
    bool Request::* member;
} switches[] = {
    {"init", &Request::init},
    {"interactive", &Request::open_stdin},
    {"no-healthcheck", &Request::no_healthcheck},
    {"oom-kill-disable", &Request::oom_kill_disable},
    {"privileged", &Request::privileged},
    {"publish-all", &Request::publish_all},
    {"read-only", &Request::read_only},
    {"rm", &Request::auto_remove},
    {"tty", &Request::tty},
};
constexpr struct {
    const char* option;
    Request::Number Request::* member;
} numbers[] = {
    {"blkio-weight", &Request::blkio_weight},
    {"cpu-period", &Request::cpu_period},
    {"cpu-quota", &Request::cpu_quota},
    {"cpu-rt-period", &Request::cpu_rt_period},
    {"cpu-rt-runtime", &Request::cpu_rt_runtime},
    {"cpu-shares", &Request::cpu_shares},
    {"health-retries", &Request::health_retries},
    {"memory-swappiness", &Request::memory_swappiness},
    {"oom-score-adj", &Request::oom_score_adj},
    {"pids-limit", &Request::pids_limit},
    {"stop-timeout", &Request::stop_timeout},
};

// Docker has them, and keg does not; each with the reason.
constexpr struct {
    const char *option, *why;
} refused[] = {
    {"cpu-count", "it is for Windows"},
    {"cpu-percent", "it is for Windows"},
    {"gpus", "keg has no device drivers; --device takes nodes of /dev"},
    {"io-maxbandwidth", "it is for Windows"},
    {"io-maxiops", "it is for Windows"},
    {"ip6", "keg's networks are of IPv4"},
    {"isolation", "it is for Windows"},
    {"link-local-ip", "keg's networks have one address each"},
    {"storage-opt", "keg's overlay has no options"},
    {"use-api-socket", "keg has no daemon"},
};

void refuse_what_is_not_there(const Arguments& args) {
    for (const auto& [option, why] : refused)
        if (args.has(option)) throw Error("--", option, " is not supported: ", why);
    if (args.has("attach") && args.flag("detach"))
        throw Error("conflicting options: cannot specify both --attach and --detach");
    for (const std::string& stream : args.all("attach"))
        if (lower(stream) != "stdin" && lower(stream) != "stdout" && lower(stream) != "stderr")
            throw Error("invalid argument ", quoted(stream),
                        " for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR");
}

// The caller's files and the caller's environment.
void read_callers(const Arguments& args, Request& request) {
    for (const std::string& file : args.all("env-file"))
        for (std::string& entry : parse_env_file(file, read_file(file)))
            request.env.push_back(std::move(entry));
    for (const std::string& entry : args.all("env")) {
        const bool bare = entry.find('=') == std::string::npos;
        const char* value = bare ? ::getenv(entry.c_str()) : nullptr;
        request.env.push_back(value ? entry + "=" + value : entry);
    }
    for (const std::string& file : args.all("label-file"))
        for (std::string& entry : parse_env_file(file, read_file(file)))
            request.labels.push_back(std::move(entry));
    for (const std::string& entry : args.all("label")) request.labels.push_back(entry);
    request.security_opt = load_security_options(args.all("security-opt"));
    request.directory = std::filesystem::current_path();
}

Request read_request(const Arguments& globals, const Arguments& args) {
    Request request;
    request.image = args[0];
    request.words.assign(args.words().begin() + 1, args.words().end());
    for (const auto& [option, member] : texts)
        if (args.has(option)) request.*member = args.get(option);
    for (const auto& [option, member] : overrides) request.*member = args.value(option);
    for (const auto& [option, member] : lists)
        for (std::string& one : args.all(option)) (request.*member).push_back(std::move(one));
    for (const auto& [option, member] : switches) request.*member = args.flag(option);
    for (const auto& [option, member] : numbers) request.*member = args.number(option);
    request.attach = !args.flag("detach");
    if (request.runtime.empty()) request.runtime = runtime_program(globals);
    read_callers(args, request);
    return request;
}

// What is there was judged when it came; a key that was named now is asked now.
NamedImage find_image(const Arguments& globals, const Arguments& args, const Store& store) {
    const std::string& name = args[0];
    const std::string when = args.get("pull");
    if (when != "always" && when != "missing" && when != "never")
        throw Error("invalid pull option: '", when,
                    "': must be one of \"always\", \"missing\" or \"never\"");
    if (when != "always")
        if (auto image = store.find(name)) {
            if (args.has("verify-key"))
                require_kept_signature(read_trust(globals, args), store, *image,
                                       args.get("platform"), name);
            return *image;
        }
    if (when == "never") throw Error("No such image: ", name);
    const Reference reference = parse_reference(name);
    if (when == "missing")
        std::fprintf(stderr, "Unable to find image '%s' locally\n", reference.familiar().c_str());
    if (args.flag("quiet")) Progress::set_quiet(true);
    pull(store, reference, read_trust(globals, args), {.platform = args.get("platform")});
    return store.get(name);
}

// Of an image that is there; a pull asks for the right one.
void check_platform(const Image& image, const std::string& name, const std::string& typed) {
    if (typed.empty()) return;
    const spec::Platform wanted = parse_platform(typed);
    const std::string has = str(image.config.os, "/", image.config.architecture);
    if (str(wanted.os, "/", wanted.architecture) != has)
        throw Error("image with reference ", name, " was found but its platform (", has,
                    ") does not match the specified platform (", typed, ")");
}

}  // namespace

Containers::Made make_container(const Arguments& globals, const Arguments& args,
                                const Containers& containers) {
    refuse_what_is_not_there(args);
    const std::string cid_file = args.get("cidfile");
    if (!cid_file.empty() && sys::exists(cid_file))
        throw Error(
            "container ID file found, make sure the other container isn't running or delete ",
            cid_file);
    if (args.has("name")) {
        check_name(args.get("name"));
        if (const auto other = containers.find(args.get("name")))
            remove_if_left(containers, *other);
    }

    const Store store = open_store(globals);
    const NamedImage named = find_image(globals, args, store);
    const Lease in_use = store.use();  // until the container says which layers it needs
    const Image image = store.load(named.descriptor, args.get("platform"));
    check_platform(image, args[0], args.get("platform"));
    Snapshots(store).unpack(image);

    Settings settings = decide(read_request(globals, args), image, containers);

    // Made first: a place that cannot be written leaves no container.
    UniqueFd cid;
    if (!cid_file.empty()) cid = sys::open(cid_file, O_WRONLY | O_CREAT | O_EXCL, 0644);
    Defer no_cid([&] {
        if (cid) ::unlink(cid_file.c_str());
    });
    Containers::Made made = containers.create(std::move(settings));
    if (cid) sys::write_all(cid.get(), made.container.id());
    no_cid.keep();
    return made;
}
