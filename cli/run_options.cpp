// Docker's rules of merging are not uniform: --entrypoint drops the image's CMD, -e NAME takes the
// caller's value or removes a default. What is parsed here is what the user typed, and nothing
// else: what an image says comes as typed values (engine/from_image.h). What this program does not
// do is refused by name, before anything is made.
#include "cli/run_options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
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
#include "engine/from_image.h"
#include "engine/lifecycle.h"
#include "image/platform.h"
#include "image/pull.h"
#include "image/snapshots.h"
#include "image/trust/judge.h"

namespace {

// What belongs to the other container cannot be changed by who shares its network.
void check_shared_network(const Arguments& args) {
    static constexpr struct {
        const char *option, *words;
    } conflicts[] = {
        {"hostname", "hostname and the network mode"},
        {"dns", "dns and the network mode"},
        {"add-host", "custom host-to-IP mapping and the network mode"},
        {"publish", "port publishing and the container type network mode"},
        {"publish-all", "port publishing and the container type network mode"},
        {"expose", "port exposing and the container type network mode"},
    };
    for (const auto& [option, words] : conflicts)
        if (args.has(option)) throw Error("conflicting options: ", words);
}

void read_networks(const Arguments& args, const Containers& containers,
                   const spec::ContainerConfig& image, Settings& s) {
    s.network = args.has("net") ? args.get("net") : args.get("network");
    if (s.network == "default" || s.network.empty()) s.network = "bridge";
    if (const auto other = shared_network(s)) {
        check_shared_network(args);
        s.network = "container:" + containers.get(*other).id();
        return;
    }
    if (s.network != "bridge" && s.network != "host" && s.network != "none")
        throw Error("failed to set up container networking: network ", s.network,
                    " not found (known are bridge, host, none, container:NAME)");
    for (const std::string& spec : args.all("publish"))
        for (const PortBinding& port : parse_publish(spec))
            s.ports.push_back(port), s.exposed_ports.insert(port.inside());
    std::set<spec::Port> exposed = image.exposed_ports;
    for (const std::string& spec : args.all("expose"))
        for (const std::string& port : parse_expose(spec))
            s.exposed_ports.insert(port), exposed.merge(spec::parse_ports(port));
    s.publish_all = args.flag("publish-all");
    if (s.publish_all) publish_exposed(s, exposed);
    if (s.network == "host" && !s.ports.empty())
        std::fprintf(stderr,
                     "WARNING: Published ports are discarded when using host network mode\n"),
            s.ports.clear();
    if (s.network == "none") s.ports.clear();
    s.dns = args.all("dns"), s.dns_search = args.all("dns-search"),
    s.dns_options = args.all("dns-option");
    for (const std::string& option : args.all("dns-opt")) s.dns_options.push_back(option);
    for (const std::string& host : args.all("add-host"))
        s.extra_hosts.push_back(parse_extra_host(host));
}

void read_mounts(const Arguments& args, const spec::ContainerConfig& image, Settings& s) {
    const std::string here = std::filesystem::current_path();
    s.binds = args.all("volume");
    for (const std::string& spec : s.binds) s.mounts.push_back(parse_volume(spec, here));
    for (const std::string& spec : args.all("mount"))
        if (auto mount = parse_mount(spec, s.tmpfs)) s.mounts.push_back(*mount);
    for (const std::string& spec : args.all("tmpfs")) {
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
    add_image_volumes(s, image);
}

void read_environment(const Arguments& args, const spec::ContainerConfig& image, Settings& s) {
    std::vector<std::string> user;
    for (const std::string& file : args.all("env-file"))
        for (std::string& entry : parse_env_file(file, read_file(file)))
            user.push_back(std::move(entry));
    for (const std::string& entry : args.all("env")) {
        if (entry.empty() || entry[0] == '=') throw Error("invalid environment variable: ", entry);
        const char* value =
            entry.find('=') == std::string::npos ? ::getenv(entry.c_str()) : nullptr;
        user.push_back(value ? entry + "=" + value : entry);
    }
    std::vector<std::string> below;
    for (const spec::Variable& variable : image.env) below.push_back(variable.text());
    s.env = merge_env(merge_env(user, {}), below);

    std::vector<std::string> labels;
    for (const std::string& file : args.all("label-file"))
        for (std::string& entry : parse_env_file(file, read_file(file)))
            labels.push_back(std::move(entry));
    for (const std::string& entry : args.all("label")) labels.push_back(entry);
    for (const std::string& entry : labels) {
        const size_t equals = entry.find('=');
        s.labels[entry.substr(0, equals)] =
            equals == std::string::npos ? "" : entry.substr(equals + 1);
    }
}

void read_process(const Arguments& args, const spec::ContainerConfig& image, Settings& s) {
    const std::vector<std::string> words(args.words().begin() + 1, args.words().end());
    if (const auto entrypoint = args.value("entrypoint")) {
        if (!entrypoint->empty()) s.entrypoint = {*entrypoint};
        s.cmd = words;
    } else {
        s.entrypoint = image.entrypoint.value_or(std::vector<std::string>{});
        s.cmd = words.empty() ? image.cmd.value_or(std::vector<std::string>{}) : words;
    }
    if (arguments(s).empty()) throw Error("no command specified");
    s.user = args.has("user") ? args.get("user") : image.user.text();
    s.working_dir = args.has("workdir") ? args.get("workdir") : image.working_dir;
    if (!s.working_dir.empty() && s.working_dir[0] != '/')
        throw Error("the working directory '", s.working_dir,
                    "' is invalid, it needs to be an absolute path");
    s.hostname = args.get("hostname"), s.domainname = args.get("domainname");
    if (s.hostname.size() > 64) throw Error("invalid hostname: ", s.hostname);
    s.tty = args.flag("tty"), s.open_stdin = args.flag("interactive"),
    s.attach = !args.flag("detach");
    s.stop_signal = args.has("stop-signal") ? spec::Signal(args.get("stop-signal")).text()
                                            : image.stop_signal.text();
    if (const auto timeout = args.number("stop-timeout")) s.stop_timeout = int(*timeout);
}

int64_t number(const Arguments& args, const char* name, int64_t (*parse)(const std::string&)) {
    const auto typed = args.value(name);
    return typed ? context(str("invalid argument ", quoted(*typed), " for \"--", name, "\" flag"),
                           [&] { return parse(*typed); })
                 : 0;
}

void read_limits(const Arguments& args, Settings& s) {
    s.memory = number(args, "memory", parse_bytes);
    s.memory_swap = args.get("memory-swap") == "-1" ? -1 : number(args, "memory-swap", parse_bytes);
    s.memory_reservation = number(args, "memory-reservation", parse_bytes);
    if (const int64_t size = number(args, "shm-size", parse_bytes))
        s.shm_size = size;  // 0 is the default, not "without limit"
    s.nano_cpus = number(args, "cpus", parse_cpus);
    if (const long cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
        s.nano_cpus && (s.nano_cpus < 10'000'000 || s.nano_cpus > cpus * 1'000'000'000))
        throw Error("range of CPUs is from 0.01 to ", cpus, ".00, as there are only ", cpus,
                    " CPUs available");
    s.cpu_shares = args.number("cpu-shares").value_or(0),
    s.pids_limit = args.number("pids-limit").value_or(0);
    s.cpuset_cpus = args.get("cpuset-cpus"), s.cpuset_mems = args.get("cpuset-mems");
    s.oom_score_adj = int(args.number("oom-score-adj").value_or(0));
    s.ulimits = args.all("ulimit");
    for (const std::string& limit : s.ulimits) parse_ulimit(limit);
    for (const std::string& pair : args.all("sysctl")) {
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

void read_isolation(const Arguments& args, Settings& s) {
    s.privileged = args.flag("privileged"), s.read_only = args.flag("read-only");
    s.cap_add = args.all("cap-add"), s.cap_drop = args.all("cap-drop"),
    s.security_opt = load_security_options(args.all("security-opt"));
    s.devices = args.all("device"), s.group_add = args.all("group-add");
    s.ipc = args.get("ipc"), s.pid = args.get("pid"), s.uts = args.get("uts"),
    s.cgroup_parent = args.get("cgroup-parent");
    const auto only = [](const char* option, const std::string& value,
                         std::initializer_list<std::string_view> known) {
        if (!value.empty() && std::ranges::find(known, value) == known.end())
            throw Error("--", option, " ", quoted(value), " is not supported");
    };
    only("ipc", s.ipc, {"private", "none", "host"});
    only("pid", s.pid, {"host"});
    only("uts", s.uts, {"host"});
    if (s.uts == "host" && !s.hostname.empty())
        throw Error("conflicting options: hostname and the UTS mode");
}

void refuse_what_is_not_there(const Arguments& args) {
    if (args.flag("init")) throw Error("--init is not supported");
    if (const std::string policy = args.get("restart"); policy != "no" && !policy.empty())
        throw Error("--restart ", quoted(policy), " is not supported, only \"no\"");
    if (args.has("attach") && args.flag("detach"))
        throw Error("conflicting options: cannot specify both --attach and --detach");
    for (const std::string& stream : args.all("attach"))
        if (lower(stream) != "stdin" && lower(stream) != "stdout" && lower(stream) != "stderr")
            throw Error("invalid argument ", quoted(stream),
                        " for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR");
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

    Settings s;
    s.name = args.get("name"), s.image = args[0], s.image_id = image.id().text(),
    s.cid_file = cid_file;
    s.runtime = runtime_program(globals);
    for (const Digest& layer : image.diff_ids()) s.layers.push_back(layer.text());
    const spec::ContainerConfig& config = image.config.config;
    take_from_image(s, config);
    s.auto_remove = args.flag("rm");
    read_process(args, config, s);
    read_environment(args, config, s);
    read_networks(args, containers, config, s);
    read_mounts(args, config, s);
    read_limits(args, s);
    read_isolation(args, s);

    // Made first: a place that cannot be written leaves no container.
    UniqueFd cid;
    if (!cid_file.empty()) cid = sys::open(cid_file, O_WRONLY | O_CREAT | O_EXCL, 0644);
    Defer no_cid([&] {
        if (cid) ::unlink(cid_file.c_str());
    });
    Containers::Made made = containers.create(std::move(s));
    if (cid) sys::write_all(cid.get(), made.container.id());
    no_cid.keep();
    return made;
}
