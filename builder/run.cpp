// The container of a RUN has Docker's defaults. What is hard: the runtime makes the mount points it needs
// (/proc, /dev, /etc/resolv.conf, …) in the upper directory; those that were not there before must not
// become part of the layer.

#include "builder/run.h"

#include <poll.h>
#include <unistd.h>

#include <thread>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/root.h"
#include "base/sys.h"
#include "image/bundle.h"
#include "runtime/client.h"

namespace {

constexpr const char* capabilities[] = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
    "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"};
// Mount points that may have to be made, deepest first.
constexpr const char* mount_points[] = {"etc/resolv.conf", "etc/hosts", "etc", "proc", "sys", "dev"};

spec::Config run_config(const Stage& stage, const RunStep& step, const std::string& work, const std::string& id) {
    spec::Config config = spec::default_config();
    spec::Process& process = *config.process;
    process.terminal = false;
    process.args = step.args;
    process.env = step.env;
    process.cwd = stage.config.config.working_dir.empty() ? "/" : stage.config.config.working_dir;
    process.no_new_privileges = false;
    process.rlimits.clear();
    const std::vector<std::string> allowed(std::begin(capabilities), std::end(capabilities));
    process.capabilities = spec::Capabilities{.bounding = allowed, .effective = allowed, .inheritable = {}, .permitted = allowed, .ambient = {}};
    const ResolvedUser user = resolve_user(Root(work + "/rootfs"), stage.config.config.user);
    process.user = {.uid = user.uid, .gid = user.gid, .umask = {}, .additional_gids = user.additional_gids, .username = {}};
    config.root = spec::RootFs{.path = work + "/rootfs", .readonly = false};
    config.hostname = "buildkitsandbox";
    std::erase_if(config.mounts, [](const spec::Mount& mount) { return mount.destination == "/sys/fs/cgroup"; });
    config.mounts.push_back({.destination = "/etc/resolv.conf", .type = "bind", .source = work + "/resolv.conf", .options = {"rbind", "ro"}});
    config.mounts.push_back({.destination = "/etc/hosts", .type = "bind", .source = work + "/hosts", .options = {"rbind", "ro"}});
    if (step.network == "host")
        std::erase_if(config.linux.namespaces, [](const spec::Namespace& ns) { return ns.type == "network"; });
    config.linux.cgroups_path = "/keg-" + id;  // no parent of our own would stay
    return config;
}

// Longer lines are passed on in pieces: what a RUN prints is data of any size.
constexpr size_t longest_line = 65536;

// Lines as they come, and the last one even without its end.
void relay_lines(int fd, const std::function<void(std::string_view)>& output) {
    std::string pending;
    bool cut = false;   // the last piece was
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

// A build may end at any moment (^C, kill -9), but its container must not go on. So a process of its own
// session waits for the end of the pipe that only the build holds, and then removes what there is. It
// has the build's locks too: nobody touches the work directory before that is done.
class Guard {
public:
    Guard(const RuntimeClient& runtime, const std::string& id, const std::string& work) : pipe_(sys::pipe()) {
        const pid_t build = ::getpid();
        const auto wait_and_remove = [&] {
            ::setsid();
            pipe_.write.reset();
            char none;
            while (::read(pipe_.read.get(), &none, 1) < 0 && errno == EINTR) {}
            // Who has another parent has seen the runtime killed: it starts nothing any more.
            while (::getppid() == build) ::usleep(1000);
            attempt("removing the container of a build that was killed", [&] { runtime.remove(id); });
            attempt("unmounting " + work, [&] { Snapshots::unmount(work + "/rootfs"); });
            attempt("removing " + work, [&] { sys::remove_tree(work); });
        };
        process_ = clone_process({}, wait_and_remove, [](const std::exception& e) { log_warning(e.what()); });
        pipe_.read.reset();
    }

private:
    sys::Pipe pipe_;
    Child process_;   // killed when the step is over, before the pipe is closed
};

}  // namespace

void run_step(const Store& store, const Stage& stage, const RunStep& step, const std::string& work,
              const std::function<void(std::string_view)>& output) {
    const std::string rootfs = work + "/rootfs";
    Snapshots(store).mount({.layers = stage.diff_ids, .upper = work + "/upper", .work = work + "/work", .target = rootfs}, true);
    bool mounted = true;
    const Defer unmounted([&] { if (mounted) attempt("unmounting " + rootfs, [&] { Snapshots::unmount(rootfs); }); });

    std::vector<const char*> made;  // by the runtime, in a moment
    {
        const Root root(rootfs);
        for (const char* path : mount_points)
            if (!root.open_if_exists(path, O_PATH | O_NOFOLLOW)) made.push_back(path);
    }
    write_file(work + "/resolv.conf", read_file_if_exists("/etc/resolv.conf").value_or(""));
    write_file(work + "/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    const std::string id = "build-" + work.substr(work.find_last_of('-') + 1);
    write_file(work + "/config.json", spec::write(run_config(stage, step, work, id)));

    const RuntimeClient runtime(work + "/state");
    const Guard guard(runtime, id, work);
    sys::Pipe pipe = sys::pipe();
    const Defer removed([&] { attempt("removing the build container", [&] { runtime.remove(id); }); });
    std::thread relay([&] { relay_lines(pipe.read.get(), output); });
    ExitStatus status;
    {
        const Defer ended([&] {  // the relay ends with the last writer
            pipe.write.reset();
            relay.join();
        });
        status = runtime.run(id, {.bundle = work, .pid_file = {}, .console_socket = {}, .io = {.in = -1, .out = pipe.write.get(), .err = pipe.write.get()}});
    }
    if (status.shell() != 0) throw Error("process ", quoted(step.label), " did not complete successfully: exit code: ", status.shell());

    Snapshots::unmount(rootfs);
    mounted = false;
    const std::string upper = work + "/upper/";
    for (const char* path : made) {
        struct stat info{};
        if (::lstat((upper + path).c_str(), &info) < 0) continue;
        // Only if nothing was put there: an empty file or directory.
        if (S_ISDIR(info.st_mode)) ::rmdir((upper + path).c_str());
        else if (S_ISREG(info.st_mode) && info.st_size == 0) ::unlink((upper + path).c_str());
    }
}
