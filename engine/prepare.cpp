// The root file system is the image's: its passwd, its links and its directories are a stranger's,
// and only a Root may look at them.
#include "engine/prepare.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"
#include "base/root.h"
#include "base/sys.h"
#include "container/files.h"
#include "container/host_cgroups.h"
#include "engine/config.h"
#include "engine/host_mounts.h"
#include "engine/init.h"
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

void write_names(const Settings& settings, const NetworkState& network, const ConfigInputs& in) {
    const bool host = settings.network == "host";
    const std::string hosts = host && settings.extra_hosts.empty()
                                  ? read_file_if_exists("/etc/hosts").value_or("")
                                  : hosts_file(settings.extra_hosts, network.gateway, true,
                                               network.address, in.hostname, settings.domainname);
    const ResolvOptions resolv{.dns = settings.dns,
                               .search = settings.dns_search,
                               .options = settings.dns_options,
                               .filter = !host};
    write_file(in.hostname_path, in.hostname + "\n");
    write_file(in.hosts_path, hosts);
    write_file(in.resolv_path,
               resolv_conf(host ? read_file_if_exists("/etc/resolv.conf").value_or("")
                                : host_resolv_conf(),
                           resolv));
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
                        const NetworkState& network) {
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
        write_names(settings, network, in);
    }
    write_file(container.file("config.json"), spec::write(make_config(settings, in), -1));
    return prepared;
}
