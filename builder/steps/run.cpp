// A RUN is a container like any other of keg's: the defaults, the seccomp profile, a network
// namespace of its own. What is hard: the mounts need places in the stage's root (/proc, /dev,
// /etc/resolv.conf, …), and those that were not there before must not become part of the layer
// (mount_places.h).

#include "builder/steps/run.h"

#include <unistd.h>

#include <thread>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/root.h"
#include "base/sys.h"
#include "builder/steps/mount_places.h"
#include "container/defaults.h"
#include "container/files.h"
#include "container/host_cgroups.h"
#include "container/seccomp_option.h"
#include "image/bundle.h"
#include "image/layer/rules.h"
#include "runtime/client.h"
#include "spec/capabilities.h"

namespace {

constexpr const char* hostname = "buildkitsandbox";  // what Dockerfiles have seen so far

bool is_below_kernels(const std::string& path) {
    const std::string clean = "/" + clean_path(path);
    return clean.starts_with("/dev/") || clean.starts_with("/proc/") || clean.starts_with("/sys/");
}

// Without cgroups: no limit is set that a program could ask for there.
std::vector<spec::Mount> run_mounts(const RunPlace& place, bool insecure, MountPlaces& places) {
    const std::string& work = place.work;
    const int64_t shm_size = place.options.runs.shm_size;
    std::vector<spec::Mount> mounts =
        default_mounts(insecure, shm_size > 0 ? shm_size : default_shm_size);
    std::erase_if(mounts,
                  [](const spec::Mount& mount) { return mount.destination == "/sys/fs/cgroup"; });
    for (const char* name : {"/etc/resolv.conf", "/etc/hosts"}) {
        const std::string source = work + std::string(name).substr(4);
        mounts.push_back({places.make(name, MountPlaces::Kind::file),
                          "bind",
                          source,
                          {"rbind", "rprivate", "ro"}});
    }
    for (const char* name : {"/proc", "/sys", "/dev"})
        places.make(name, MountPlaces::Kind::directory);
    for (const ExtraMount& each : place.mounts.mounts()) {
        mounts.push_back(each.mount);
        std::string& destination = mounts.back().destination;
        // What is mounted there is the runtime's to make places in.
        if (!is_below_kernels(destination)) destination = places.make(destination, each.kind);
    }
    return mounts;
}

void write_names(const RunCommand& command, const RunPlace& place) {
    const bool host = command.network == "host";
    const std::string resolvers =
        host ? read_file_if_exists("/etc/resolv.conf").value_or("") : host_resolv_conf();
    write_file(place.work + "/resolv.conf", resolv_conf(resolvers, {.filter = !host}));
    write_file(place.work + "/hosts",
               hosts_file(place.options.runs.hosts, "", true, "127.0.0.1", hostname, ""));
}

spec::Process run_process(const RunCommand& command, const RunPlace& place,
                          const ResolvedUser& user) {
    spec::Process process;
    process.user = {.uid = user.uid,
                    .gid = user.gid,
                    .umask = {},
                    .additional_gids = user.additional_gids,
                    .username = {}};
    process.args = command.args;
    process.env = command.env;
    for (const auto* more : {&command.proxies, &place.mounts.environment()})
        process.env.insert(process.env.end(), more->begin(), more->end());
    process.rlimits = place.options.runs.limits;
    process.cwd = command.directory.empty() ? "/" : command.directory;
    process.capabilities =
        rights(command.insecure ? own_capabilities() : spec::container_capabilities(), user.uid);
    return process;
}

spec::Config run_config(const RunCommand& command, const RunPlace& place,
                        std::vector<spec::Mount> mounts) {
    spec::Config config;
    config.oci_version = "1.0.2";
    config.hostname = hostname;
    config.root = spec::RootFs{.path = place.work + "/rootfs", .readonly = false};
    config.mounts = std::move(mounts);
    config.process =
        run_process(command, place, resolve_user(Root(place.work + "/rootfs"), command.user));

    spec::Linux& linux = config.linux;
    linux.namespaces = {{"mount", ""}, {"uts", ""}, {"pid", ""}, {"ipc", ""}};
    if (command.network == "none") linux.namespaces.push_back({"network", ""});
    if (command.network == "default") linux.namespaces.push_back({"network", place.network});
    if (command.network != "host") open_ports_and_ping(linux);
    if (host_has_cgroup_v2()) linux.namespaces.push_back({"cgroup", ""});
    // Without a parent of our own: it would stay.
    linux.cgroups_path = place.options.runs.cgroup_parent + "/keg-" + place.id;
    spec::Resources& resources = linux.resources.emplace(place.options.runs.resources);
    if (command.insecure) {
        resources.devices = {{.allow = true, .type = "a", .access = "rwm"}};
        return config;
    }
    resources.devices = default_device_rules();
    hide_kernel_files(linux);
    linux.seccomp = seccomp_profile_of(place.options.seccomp, spec::container_capabilities());
    return config;
}

// Longer lines are passed on in pieces: what a RUN prints is data of any size.
constexpr size_t longest_line = 65536;

// Lines as they come, and the last one even without its end.
void relay_lines(int fd, const std::function<void(std::string_view)>& output) {
    std::string pending;
    bool cut = false;  // the last piece was
    char buffer[65536];
    for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) != 0;) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        // Only what is new can hold an end.
        for (std::string_view data(buffer, size_t(n)); !data.empty();) {
            const size_t end = data.find('\n');
            pending += data.substr(0, end);
            data.remove_prefix(end == std::string_view::npos ? data.size() : end + 1);
            if (end == std::string_view::npos && pending.size() < longest_line) break;
            if (!pending.empty() || !cut) output(pending);
            cut = end == std::string_view::npos;
            pending.clear();
        }
    }
    if (!pending.empty()) output(pending);
}

}  // namespace

void run_command(const Snapshots& snapshots, Layers below, const RunCommand& command,
                 const RunPlace& place, const std::function<void(std::string_view)>& output) {
    const std::string &work = place.work, rootfs = work + "/rootfs", upper = work + "/upper";
    snapshots.mount({.layers = {below.begin(), below.end()},
                     .upper = upper,
                     .work = work + "/work",
                     .target = rootfs},
                    true);
    bool mounted = true;
    const Defer unmounted([&] {
        if (mounted) attempt("unmounting " + rootfs, [&] { Snapshots::unmount(rootfs); });
    });

    MountPlaces places(rootfs, upper);
    write_names(command, place);
    const std::string bundle = place.mounts.private_directory().value_or(work);
    write_file(
        bundle + "/config.json",
        spec::write(run_config(command, place, run_mounts(place, command.insecure, places)), -1),
        0600);
    places.note();
    // From here the root is the command's: nothing of it is found by a path any more.

    const RuntimeClient runtime(place.state);
    sys::Pipe pipe = sys::pipe();
    bool ended = false;  // then the runtime has removed it
    const Defer removed([&] {
        if (!ended) attempt("removing the build container", [&] { runtime.remove(place.id); });
    });
    std::thread relay([&] { relay_lines(pipe.read.get(), output); });
    ExitStatus status;
    {
        const Defer relayed([&] {  // the relay ends with the last writer
            pipe.write.reset();
            relay.join();
        });
        status = runtime.run(place.id,
                             {.bundle = bundle,
                              .pid_file = {},
                              .console_socket = {},
                              .io = {.in = -1, .out = pipe.write.get(), .err = pipe.write.get()}});
    }
    ended = true;
    if (status.shell() != 0)
        throw Error("process ", quoted(command.label),
                    " did not complete successfully: exit code: ", status.shell());

    Snapshots::unmount(rootfs);
    mounted = false;
    places.take_back();
}
