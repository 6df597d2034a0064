// What has to be right before CRIU begins: it stops the container's processes, and one error later
// they have stood still for nothing. So all that can be refused is refused first; what CRIU itself
// finds wrong it undoes, and the container runs on. Being killed is no worse: CRIU notices that
// nobody answers it.
#include "runtime/checkpoint/checkpoint.h"

#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sys.h"
#include "runtime/cgroup/limits.h"
#include "runtime/checkpoint/criu_options.h"
#include "runtime/process/namespaces.h"
#include "runtime/rootfs/mounts.h"

using namespace criu_field;

namespace {

criu::Message page_server_at(const std::string& where) {
    const size_t colon = where.rfind(':');
    const auto port =
        colon == std::string::npos ? std::nullopt : parse_number<uint16_t>(where.substr(colon + 1));
    if (!port)
        throw Error("Use --page-server ADDRESS:PORT to specify page server, which ", quoted(where),
                    " is not");
    return criu::Message().text(1, where.substr(0, colon)).number(2, *port);
}

void check_parent(const CriuOptions& options) {
    if (options.parent_path.empty()) return;
    if (options.parent_path.starts_with('/')) throw Error("--parent-path must be relative");
    const std::string parent = options.image_path + "/" + options.parent_path;
    context("invalid --parent-path", [&] { sys::open(parent, O_PATH | O_DIRECTORY); });
}

void check_status_fd(const CriuOptions& options) {
    if (options.status_fd < 0) return;
    const int flags = ::fcntl(options.status_fd, F_GETFL);
    if (flags < 0) throw SysError("invalid --status-fd argument ", options.status_fd);
    if ((flags & O_ACCMODE) == O_RDONLY)
        throw Error("invalid --status-fd argument ", options.status_fd, ": not writable");
}

void name_namespaces(criu::Message& message, const spec::Config& config, int init) {
    for (const spec::Namespace& space : config.linux.namespaces) {
        if (space.path.empty()) continue;
        const JoinedNamespace& joined = joined_namespace(space.type);
        if (joined.key.empty()) continue;
        // The one it is in: its path may lead elsewhere by now.
        const UniqueFd fd = sys::open(str("/proc/", init, "/ns/", joined.kind), O_RDONLY);
        message.text(external,
                     str(joined.kind, "[", sys::fstat(fd.get()).st_ino, "]:", joined.key));
    }
}

void name_masks(criu::Message& message, const spec::Config& config, int init) {
    const Root inside(str("/proc/", init, "/root"));
    for (const std::string& path : config.linux.masked_paths) {
        const auto there = inside.open_if_exists(path, O_PATH);
        if (!there || S_ISDIR(sys::fstat(there->get()).st_mode)) continue;
        message.text(external, name_of_mount(path_inside(inside, there->get()), mask_of_files));
    }
}

void save_descriptors(const std::string& images, int init) {
    std::vector<std::string> targets;
    for (int fd = 0; fd < 3; ++fd) {
        std::error_code unreadable;  // closed
        targets.push_back(
            std::filesystem::read_symlink(str("/proc/", init, "/fd/", fd), unreadable).string());
    }
    write_file(str(images, "/", descriptors_file), json::dump(json::write(targets)), 0600);
}

// Whoever waits for it may connect to the page server.
void tell_status(int& fd) {
    if (fd < 0) return;
    attempt("telling that the page server is ready",
            [&] { sys::write_all(fd, std::string_view("", 1)); });
    ::close(std::exchange(fd, -1));
}

}  // namespace

void checkpoint(const Container& container, const CriuOptions& options) {
    const Status status = container.status();
    if (!rule_of(status).checkpoint)
        throw Error("Container cannot be checkpointed in ", status_name(status), " state");
    if (is_rootless()) log_warning(criu_needs_root);
    // Else the server is at a port that nobody is told, and waits there for ever.
    if (options.has("lazy-pages") && options.page_server.empty() && !options.pre_dump)
        throw Error("--lazy-pages needs --page-server ADDRESS:PORT, where to serve the pages");
    const Record& record = container.record();
    spec::Config config = container.config();
    resolve_destinations(config.mounts, Root(record.rootfs));
    sys::make_directories(options.image_path, 0700);  // the container's memory is nobody else's
    check_parent(options);
    check_status_fd(options);
    const CriuDirectories directories = open_directories(options, "dump.log");

    criu::Message message = base_options(options, directories, config);
    message.number(pid, record.pid).text(root, record.rootfs);
    if (const auto freezer = directory_of(record.cgroup, "freezer"))
        message.text(freeze_cgroup, *freezer);
    if (!options.page_server.empty())
        message.message(page_server, page_server_at(options.page_server));
    if (!options.parent_path.empty()) message.text(parent_images, options.parent_path);
    if (!options.parent_path.empty() || options.pre_dump) message.number(track_memory, 1);
    name_namespaces(message, config, record.pid);
    if (!options.pre_dump) {
        for (const ExternalMount& mount :
             plan_external_mounts(config, record.bundle, record.cgroup, container.directory()))
            message.text(external, name_of_mount(mount.inside, mount.inside));
        name_masks(message, config, record.pid);
        save_descriptors(options.image_path, record.pid);
    }

    int waiting = options.status_fd;
    // A page server waits for somebody, perhaps for ever.
    criu::Session session({}, options.has("lazy-pages"));
    const criu::Outcome outcome =
        session.perform(options.pre_dump ? criu::Request::pre_dump : criu::Request::dump, message,
                        [&](const criu::Notice& notice) {
                            if (notice.script == "status-ready") tell_status(waiting);
                        });
    check_outcome(outcome, directories.log);
}
