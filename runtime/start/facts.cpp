// What the machine says, asked while the host's paths are the paths and before anything is made: a
// container's own /sys does not show the host's security modules, and a namespace's path may lead
// elsewhere later, so it is opened here and joined by descriptor.
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/sys.h"
#include "runtime/process/passage.h"
#include "runtime/process/security_labels.h"
#include "runtime/rootfs/host_binds.h"
#include "runtime/start/plan.h"
#include "runtime/start/program.h"
#include "runtime/state/notify_socket.h"

namespace {

// Descriptors that a service manager passes: they follow 2, and LISTEN_FDS says how many.
int count_listen_fds() {
    const auto number = [](const char* name) -> std::optional<int> {
        const char* text = std::getenv(name);
        if (!text || !*text) return {};
        const auto found = parse_number_between<int>(text, 0, INT_MAX);
        if (!found)
            throw Error("invalid value ", quoted(text), " of ", name,
                        " in the environment: not a number from 0 to ", INT_MAX);
        return found;
    };
    const auto whose = number("LISTEN_PID");
    if (whose && *whose != ::getpid()) return 0;  // inherited from somebody they were meant for
    return number("LISTEN_FDS").value_or(0);
}

bool joins_own_network(const std::vector<OpenNamespace>& joined) {
    const auto network = std::ranges::find(joined, uint64_t(CLONE_NEWNET), &OpenNamespace::flag);
    struct stat own{};
    return network != joined.end() && ::stat("/proc/self/ns/net", &own) == 0 &&
           sys::fstat(network->fd.get()).st_ino == own.st_ino;
}

std::string written_root(const std::string& path, const std::string& bundle) {
    return std::filesystem::path(path.starts_with('/') ? path : bundle + "/" + path)
        .lexically_normal()
        .string();
}

}  // namespace

Facts gather_facts(const CreateOptions& options, const Bundle& bundle) {
    const spec::Config& config = bundle.config;
    Facts facts;
    facts.written_root = written_root(config.root->path, bundle.path);
    char resolved[PATH_MAX];
    if (!::realpath(facts.written_root.c_str(), resolved))
        throw SysError("root.path: invalid rootfs: stat ", facts.written_root);
    facts.rootfs = resolved;
    if (!std::filesystem::is_directory(facts.rootfs))
        throw SysError(ENOTDIR, str("root.path: invalid rootfs: ", facts.written_root));
    if (config.process) {
        facts.selinux_label = config.process->selinux_label;
        require_label_modules(config.process->apparmor_profile, facts.selinux_label);
    }
    facts.selinux = !config.linux.mount_label.empty() && selinux_enabled();
    const NamespacePlan namespaces = plan_namespaces(config.linux);
    facts.joined = open_namespaces(namespaces);
    facts.joins_own_network = joins_own_network(facts.joined);
    facts.can_create_hidden = can_create_hidden();
    facts.may_clone_mounts = namespaces.has(CLONE_NEWUSER) && may_clone_mounts();
    facts.manager = has_manager_socket();
    facts.listen_fds = count_listen_fds();
    if (const char* names = ::getenv("LISTEN_FDNAMES")) facts.listen_names = names;
    require_descriptors(3, int64_t(facts.listen_fds) + options.preserve_fds);
    if (config.linux.intel_rdt) facts.resctrl = resctrl_root();
    return facts;
}
