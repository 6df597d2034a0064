// The root file system is the image's: its passwd, its links and its directories are a stranger's,
// and only a Root may look at them.
#include "engine/prepare.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/process.h"
#include "base/root.h"
#include "base/sys.h"
#include "container/files.h"
#include "container/host_cgroups.h"
#include "engine/config.h"
#include "engine/host_mounts.h"
#include "engine/init.h"
#include "engine/name_server.h"
#include "engine/volumes.h"

namespace {

std::vector<VolumeMount> prepare_volumes(const std::string& store_root, const Container& container,
                                         const Root& root) {
    std::vector<VolumeMount> mounts = container.settings().mounts;
    for (VolumeMount& mount : mounts) {
        if (mount.type == "volume") {
            mount.source = prepare_volume(store_root, mount, root);
            if (!mount.subpath.empty())
                mount.source = mount_part(container, size_t(&mount - mounts.data()), mount.source,
                                          mount.subpath);
        } else if (!sys::exists(mount.source)) {
            if (mount.must_exist)
                throw Error(
                    "invalid mount config for type \"bind\": bind source path does not exist: ",
                    mount.source);
            sys::make_directories(mount.source, 0755);
        }
    }
    return mounts;
}

// What Docker puts into every root file system.
void prepare_root(const Settings& settings, const Root& root) {
    if (settings.working_dir.size() > 1) try {
            root.make_directories(settings.working_dir);
        } catch (const SysError& e) {
            if (e.code() == ENOTDIR)
                throw Error("Cannot mkdir: ", settings.working_dir, " is not a directory");
            throw;
        }
    // Made, never opened: where an image has a FIFO or a device of that name, open(2) would act on
    // it.
    const Root::Place mark = root.make_place(".dockerenv");
    if (::mknodat(mark.parent.get(), mark.name.c_str(), S_IFREG | 0755, 0) < 0 && errno != EEXIST)
        throw SysError("making /.dockerenv");
    const Root::Place mtab = root.make_place("etc/mtab");
    if (::symlinkat("/proc/mounts", mtab.parent.get(), mtab.name.c_str()) < 0 && errno != EEXIST)
        throw SysError("making /etc/mtab");
}

std::string choose_hostname(const Settings& settings) {
    if (!settings.hostname.empty()) return settings.hostname;
    if (settings.network != "host" && settings.uts != "host") return settings.id.substr(0, 12);
    char name[65] = "";
    ::gethostname(name, sizeof name - 1);
    return name;
}

// Whom --link names, at the address that he has now.
std::vector<std::string> linked_hosts(const Containers& containers, const Settings& settings) {
    std::vector<std::string> out;
    for (const std::string& link : settings.links) {
        const size_t colon = link.find(':');
        const Container other = containers.get(link.substr(0, colon));
        const std::string address = other.state().network.address, alias = link.substr(colon + 1);
        if (address.empty())
            throw Error("Cannot link to a non running container: /", other.settings().name, " AS /",
                        settings.name, "/", alias);
        for (const std::string& name : {alias, other.settings().name, other.id().substr(0, 12)})
            out.push_back(name + ":" + address);
    }
    return out;
}

std::string hosts_of(const Containers& containers, const Settings& settings,
                     const std::vector<NetworkState>& places, const std::string& hostname) {
    if (settings.network == "host" && settings.extra_hosts.empty())
        return read_file_if_exists("/etc/hosts").value_or("");
    std::vector<std::string> extra = settings.extra_hosts;
    for (std::string& one : linked_hosts(containers, settings)) extra.push_back(std::move(one));
    std::string out =
        hosts_file(extra, places.empty() ? "" : places[0].gateway, true,
                   places.empty() ? "" : places[0].address, hostname, settings.domainname);
    for (size_t i = 1; i < places.size(); ++i) out += places[i].address + "\t" + hostname + "\n";
    return out;
}

// In a user's network its resolver is asked first, and asks the others.
std::string resolv_of(const Settings& settings, const std::vector<NetworkState>& places) {
    const bool host = settings.network == "host";
    ResolvOptions wanted{.dns = settings.dns,
                         .search = settings.dns_search,
                         .options = settings.dns_options,
                         .filter = !host};
    if (std::ranges::any_of(places, [](const NetworkState& one) { return !one.name.empty(); })) {
        wanted.dns = {name_server_address};
        const auto is_ndots = [](const std::string& one) { return one.starts_with("ndots:"); };
        if (std::ranges::none_of(wanted.options, is_ndots)) wanted.options.push_back("ndots:0");
    }
    return resolv_conf(
        host ? read_file_if_exists("/etc/resolv.conf").value_or("") : host_resolv_conf(), wanted);
}

void write_names(const Containers& containers, const Settings& settings,
                 const std::vector<NetworkState>& places, const ConfigInputs& in) {
    write_file(in.hostname_path, in.hostname + "\n");
    write_file(in.hosts_path, hosts_of(containers, settings, places, in.hostname));
    write_file(in.resolv_path, resolv_of(settings, places));
}

void name_files(const Container& owner, ConfigInputs& in) {
    in.hostname_path = owner.file("hostname"), in.hosts_path = owner.file("hosts"),
    in.resolv_path = owner.file("resolv.conf");
}

// A namespace of another container: by a descriptor, since a pid may be another's tomorrow.
UniqueFd open_namespace_of(const Container& peer, const char* kind, std::string& path) {
    const State state = peer.state();
    UniqueFd opened;
    if (state.status == "running" || state.status == "paused")
        if (auto found = sys::try_open(str("/proc/", state.pid, "/ns/", kind), O_RDONLY))
            opened = std::move(*found);
    if (!opened || !is_alive(state.pid, state.pid_started))
        throw Error("cannot join ", kind == std::string_view("net") ? "network" : kind,
                    " of a non running container: ", peer.id());
    path = str("/proc/", ::getpid(), "/fd/", opened.get());
    return opened;
}

// The network of another container, with its names.
UniqueFd join_network(const Container& peer, ConfigInputs& in) {
    UniqueFd network = open_namespace_of(peer, "net", in.network_path);
    in.hostname = trim(read_file(peer.file("hostname")));
    name_files(peer, in);
    return network;
}

// What --ipc and --pid share. Memory is shared by a tmpfs of the host, which the one that lends it
// has for that.
void join_others(const Containers& containers, const Container& container, ConfigInputs& in,
                 std::vector<UniqueFd>& kept) {
    const Settings& settings = container.settings();
    if (const auto peer = peer_of(settings.pid))
        kept.push_back(open_namespace_of(containers.get(*peer), "pid", in.pid_path));
    if (settings.ipc == "shareable") in.shm_path = mount_shared_memory(container);
    if (const auto peer = peer_of(settings.ipc)) {
        const Container lender = containers.get(*peer);
        if (lender.settings().ipc != "shareable")
            throw Error("cannot join IPC of container ", lender.id(),
                        ": non-shareable IPC (hint: use IpcMode:shareable for the donor "
                        "container)");
        kept.push_back(open_namespace_of(lender, "ipc", in.ipc_path));
        in.shm_path = shared_memory_of(lender);
    }
}

}  // namespace

Prepared prepare_bundle(const Containers& containers, const Container& container,
                        const std::vector<NetworkState>& places) {
    const Settings& settings = container.settings();
    const Root root(container.file("rootfs"));
    Prepared prepared;
    ConfigInputs in;
    in.user = resolve_user(root, settings.user, settings.group_add);
    prepare_root(settings, root);
    in.mounts = prepare_volumes(containers.store_root(), container, root);
    in.cgroup_v2 = host_has_cgroup_v2();
    in.all_capabilities = own_capabilities();
    add_devices(settings, in);
    add_block_io(settings, in);
    if (settings.init) in.init_path = init_program();
    join_others(containers, container, in, prepared.namespaces);
    if (const auto peer = shared_network(settings)) {
        prepared.namespaces.push_back(join_network(containers.get(*peer), in));
    } else {
        in.hostname = choose_hostname(settings);
        name_files(container, in);
        write_names(containers, settings, places, in);
    }
    write_file(container.file("config.json"), spec::write(make_config(settings, in), -1));
    return prepared;
}
