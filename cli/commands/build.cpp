// What the builder cannot do is refused by its name before the store is opened: a network mode, an
// entitlement. One form means two things: --build-arg NAME takes the value from the environment,
// --label NAME has none.
#include <cstdio>
#include <cstdlib>

#include "base/progress.h"
#include "base/size.h"
#include "base/sys.h"
#include "builder/build.h"
#include "builder/source/context.h"
#include "cli/build_check.h"
#include "cli/commands.h"
#include "cli/trust_options.h"
#include "container/seccomp_option.h"
#include "engine/settings.h"
#include "image/platform.h"

static constexpr Option build_options[] = {
    {"tag,t", "NAME[:TAG]", "name of the image; may be given several times"},
    {"file,f", "FILE",
     "the Dockerfile; - reads it from standard input (default: CONTEXT/Dockerfile)"},
    {"build-context", "NAME=VALUE",
     "what FROM and --from have by that name: a directory, a URL, docker-image:// or "
     "oci-layout://"},
    {"build-arg", "NAME[=VALUE]", "value of an ARG; without VALUE from the environment"},
    {"label", "NAME=VALUE", "metadata of the image"},
    {"target", "STAGE", "the stage to build (default: the last one)"},
    {"network", "MODE", "of RUN: default (a bridge with masquerading), none, host", "default"},
    {"allow", "ENTITLEMENT", "network.host, security.insecure: RUN may ask for it"},
    {"secret", "id=ID[,src=FILE|,env=NAME]", "for RUN --mount=type=secret"},
    {"ssh", "default|ID[=SOCKET]", "an ssh agent for RUN --mount=type=ssh"},
    {"security-opt", "OPTION", "of RUN: seccomp=FILE, seccomp=unconfined"},
    {"add-host", "NAME:IP", "of RUN: a line of /etc/hosts"},
    {"shm-size", "BYTES", "of RUN: the size of /dev/shm"},
    {"ulimit", "NAME=SOFT[:HARD]", "of RUN: a limit of its processes"},
    {"memory,m", "BYTES", "of RUN: the most memory"},
    {"memory-swap", "BYTES", "of RUN: the most of memory and swap together; -1 is no limit"},
    {"cpu-shares,c", "N", "of RUN: its weight beside others"},
    {"cpu-period", "MICROSECONDS", "of RUN: the CFS period"},
    {"cpu-quota", "MICROSECONDS", "of RUN: what it may have of a period"},
    {"cpuset-cpus", "LIST", "of RUN: the processors it may use"},
    {"cpuset-mems", "LIST", "of RUN: the memory nodes it may use"},
    {"cgroup-parent", "PATH", "of RUN: the cgroup above its own"},
    {"no-cache", nullptr, "build every step anew"},
    {"no-cache-filter", "STAGE,…", "build these stages' steps anew"},
    {"squash", nullptr, "make one layer of all that is built"},
    {"rm", nullptr, "nothing of a step stays anyway"},
    {"force-rm", nullptr, "nothing of a step stays anyway, failed or not"},
    {"check-reproducible", nullptr, "build twice, and say what differs, file by file"},
    {"pull", nullptr, "fetch base images even if they are there"},
    {"platform", "OS/ARCH,…", "what to build for; several become an index"},
    {"progress", "auto|plain|tty|rawjson|quiet", "how progress is shown", "auto"},
    {"output,o", "OUTPUT",
     "type=local|tar|oci|docker|image|registry|cacheonly[,dest=PATH][,KEY=VALUE...], DIR, or -"},
    {"push", nullptr, "push it to its registry, too"},
    {"load", nullptr, "keep it in the store, whatever the other outputs are"},
    {"annotation", "KEY=VALUE", "of the manifest"},
    {"iidfile", "FILE", "write the image ID to that file"},
    {"metadata-file", "FILE", "write digests and names to that file, as JSON"},
    {"quiet,q", nullptr, "print only the image ID"},
    {"check", nullptr, "say what may be wrong with the Dockerfile, build nothing"},
    {"call", "METHOD", "build nothing, say: check, outline (what a target takes), targets"},
    verify_key_option,
};

static std::optional<int64_t> read_size(const Arguments& args, const std::string& name) {
    const std::string text = args.get(name);
    if (text.empty()) return {};
    const auto bytes = parse_size(text);
    if (!bytes)
        throw Error("invalid argument ", quoted(text), " for --", name, ": expected a size");
    return bytes;
}

template <class Number>
static std::optional<Number> read_number(const Arguments& args, const std::string& name) {
    const std::string text = args.get(name);
    if (text.empty()) return {};
    const auto number = parse_number<Number>(text);
    if (!number) throw Error("invalid argument ", quoted(text), " for --", name);
    return number;
}

static void read_run_options(BuildOptions::OfRuns& runs, const Arguments& args) {
    for (const std::string& text : args.all("add-host"))
        runs.hosts.push_back(parse_extra_host(text));
    runs.shm_size = read_size(args, "shm-size").value_or(0);
    for (const std::string& text : args.all("ulimit")) runs.limits.push_back(parse_ulimit(text));
    runs.cgroup_parent = args.get("cgroup-parent");
    spec::Resources& resources = runs.resources;
    resources.memory.limit = read_size(args, "memory");
    if (const std::string swap = args.get("memory-swap"); swap == "-1")
        resources.memory.swap = -1;
    else
        resources.memory.swap = read_size(args, "memory-swap");
    if (resources.memory.swap && !resources.memory.limit)
        throw Error(
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    resources.cpu.shares = read_number<uint64_t>(args, "cpu-shares");
    resources.cpu.period = read_number<uint64_t>(args, "cpu-period");
    resources.cpu.quota = read_number<int64_t>(args, "cpu-quota");
    resources.cpu.cpus = args.get("cpuset-cpus");
    resources.cpu.mems = args.get("cpuset-mems");
}

static std::string linux_platform(const std::string& typed) {
    if (parse_platform(typed).os != "linux")
        throw Error("invalid --platform ", quoted(typed), ": keg builds for linux/ARCHITECTURE");
    return shown_platform(typed);
}

static BuildDisplay display_of(const std::string& mode) {
    static constexpr std::pair<std::string_view, BuildDisplay> modes[] = {
        {"auto", BuildDisplay::automatic}, {"plain", BuildDisplay::plain},
        {"tty", BuildDisplay::tty},        {"rawjson", BuildDisplay::raw_json},
        {"quiet", BuildDisplay::quiet},    {"none", BuildDisplay::quiet}};
    for (const auto& [name, display] : modes)
        if (mode == name) return display;
    throw Error("invalid progress mode ", quoted(mode),
                ": expected auto, plain, tty, rawjson or quiet");
}

// "id=ID,src=FILE", "id=ID,env=NAME", "FILE"; without either the variable ID, or the file ID.
static void add_secret(BuildOptions& wanted, const std::string& text) {
    std::string id;
    BuildOptions::Secret secret;
    for (const std::string& field : split(text, ',')) {
        const size_t equals = field.find('=');
        const std::string key = lower(field.substr(0, equals));
        const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
        if (key == "id")
            id = value;
        else if (key == "src" || key == "source")
            secret.file = value;
        else if (key == "env")
            secret.variable = value;
        else if (key != "type" || (value != "file" && value != "env"))
            throw Error("invalid --secret ", quoted(text), ": unexpected ", quoted(field),
                        "; expected id=ID[,src=FILE|,env=NAME]");
    }
    if (id.empty()) throw Error("invalid --secret ", quoted(text), ": it has no id");
    if (!secret.file.empty() && !secret.variable.empty())
        throw Error("invalid --secret ", quoted(text), ": src and env are both given");
    if (secret.file.empty() && secret.variable.empty())
        (::getenv(id.c_str()) ? secret.variable : secret.file) = id;
    if (!secret.file.empty() && !sys::exists(secret.file))
        throw Error("invalid --secret ", quoted(text), ": ", secret.file,
                    ": no such file or directory");
    wanted.secrets[id] = secret;
}

// "default" is the agent of the environment; "ID=SOCKET" another one.
static void add_agent(BuildOptions& wanted, const std::string& text) {
    const size_t equals = text.find('=');
    std::string socket = equals == std::string::npos ? "" : text.substr(equals + 1);
    if (socket.empty())
        if (const char* const own = ::getenv("SSH_AUTH_SOCK")) socket = own;
    struct stat info{};
    if (socket.empty())
        throw Error("invalid --ssh ", quoted(text),
                    ": empty ssh agent (set SSH_AUTH_SOCK, or give ID=SOCKET)");
    if (::stat(socket.c_str(), &info) < 0 || !S_ISSOCK(info.st_mode))
        throw Error("invalid --ssh ", quoted(text), ": ", socket,
                    " is not the socket of an ssh agent");
    wanted.agents[text.substr(0, equals)] = socket;
}

static Outputs read_outputs(const Arguments& args) {
    return parse_outputs({.outputs = args.all("output"),
                          .push = args.flag("push"),
                          .load = args.flag("load"),
                          .annotations = args.all("annotation"),
                          .tags = args.all("tag"),
                          .id_file = args.get("iidfile"),
                          .metadata_file = args.get("metadata-file")});
}

static int build_(const Arguments& globals, const Arguments& args) {
    BuildOptions wanted;
    wanted.context = args[0];
    check_context(wanted.context);
    if (const std::string method = build_call(args); !method.empty())
        return run_build_call(method, globals, args);
    wanted.dockerfile = args.get("file");
    for (const std::string& text : args.all("build-context")) {
        const NamedContext named = parse_named_context(text);
        wanted.contexts[named.name] = named;
    }
    wanted.outputs = read_outputs(args);
    wanted.target = args.get("target");
    wanted.network = args.get("network");
    wanted.no_cache = args.flag("no-cache");
    wanted.pull = args.flag("pull");
    wanted.squash = args.flag("squash");
    wanted.check_reproducible = args.flag("check-reproducible");
    if (args.flag("quiet")) wanted.display = BuildDisplay::quiet;
    if (wanted.network != "host" && wanted.network != "none" && wanted.network != "default")
        throw Error("network mode ", quoted(wanted.network),
                    " is not supported by build: expected host, none or default");
    for (const std::string& entitlement : args.all("allow")) {
        if (entitlement == "network.host")
            wanted.allow_host_network = true;
        else if (entitlement == "security.insecure")
            wanted.allow_insecure = true;
        else
            throw Error("invalid --allow ", quoted(entitlement),
                        ": expected network.host or security.insecure");
    }
    for (const std::string& option : args.all("security-opt")) {
        if (!option.starts_with("seccomp=") || option.size() == 8)
            throw Error("invalid --security-opt: ", quoted(option),
                        "; build knows seccomp=FILE|unconfined|builtin");
        wanted.seccomp = load_seccomp_option(std::string_view(option).substr(8));
    }
    for (const std::string& list : args.all("platform"))
        for (const std::string& platform : split(list, ','))
            wanted.platforms.push_back(linux_platform(platform));
    if (const std::string progress = args.get("progress"); !args.flag("quiet"))
        wanted.display = display_of(progress);
    for (const std::string& text : args.all("build-arg")) {
        const size_t equals = text.find('=');
        if (equals == std::string::npos)
            wanted.build_args[text] = std::nullopt;
        else
            wanted.build_args[text.substr(0, equals)] = text.substr(equals + 1);
    }
    for (const std::string& text : args.all("no-cache-filter"))
        for (const std::string& stage : split(text, ','))
            wanted.no_cache_stages.push_back(lower(stage));
    read_run_options(wanted.runs, args);
    for (const std::string& text : args.all("secret")) add_secret(wanted, text);
    for (const std::string& text : args.all("ssh")) add_agent(wanted, text);
    if (const auto space = wanted.build_args.find("BUILDKIT_CACHE_MOUNT_NS");
        space != wanted.build_args.end())
        wanted.cache_namespace = space->second.value_or("");
    for (const std::string& text : args.all("label")) {
        const size_t equals = text.find('=');
        wanted.labels[text.substr(0, equals)] =
            equals == std::string::npos ? "" : text.substr(equals + 1);
    }
    wanted.trust = read_trust(globals, args);
    const bool quiet = wanted.display == BuildDisplay::quiet;
    if (quiet) Progress::set_quiet(true);
    const Store store = open_store(globals);
    const Built built = build(store, wanted);
    if (quiet && !wanted.outputs.needs_stdout()) std::printf("%s\n", built.id().c_str());
    return 0;
}

constinit const Command build_command = {
    .name = "build",
    .synopsis = "DIRECTORY|URL|-",
    .summary = "make an image from a Dockerfile",
    .options = build_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = build_,
};
