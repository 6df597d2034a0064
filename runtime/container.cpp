#include "runtime/container.h"

#include <dirent.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <sys/file.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/defer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sys.h"
#include "runtime/hooks.h"
#include "runtime/namespaces.h"
#include "runtime/rootfs.h"

using json::optional;
using json::required;

template <> inline constexpr auto json::fields<CgroupRecord> = std::tuple(
    required("manager", &CgroupRecord::manager), required("path", &CgroupRecord::path),
    required("directories", &CgroupRecord::directories), optional("unit", &CgroupRecord::unit),
    optional("users_own", &CgroupRecord::users_own),
    required("v2", &CgroupRecord::v2));
template <> inline constexpr auto json::fields<RdtRecord> = std::tuple(
    required("group", &RdtRecord::group), required("own", &RdtRecord::own), optional("monitor", &RdtRecord::monitor));
template <> inline constexpr auto json::fields<Record> = std::tuple(
    required("id", &Record::id), required("bundle", &Record::bundle),
    required("rootfs", &Record::rootfs), required("created", &Record::created), required("pid", &Record::pid),
    required("startTime", &Record::start_time), required("owner", &Record::owner),
    optional("annotations", &Record::annotations), required("privatePids", &Record::private_pids),
    optional("noNewKeyring", &Record::no_new_keyring), optional("poststartHooks", &Record::poststart_hooks), optional("poststopHooks", &Record::poststop_hooks),
    optional("hostMounts", &Record::host_mounts),
    required("cgroup", &Record::cgroup), optional("intelRdt", &Record::intel_rdt));

void check_id(const std::string& id) {
    const bool known = std::ranges::all_of(id, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("_+.-").contains(c);
    });
    if (id.empty()) throw Error("container id cannot be empty");
    if (!known || id == "." || id == "..") throw Error("invalid container ID format");
}

std::optional<uint64_t> start_time_of(int pid) {
    if (pid <= 0) return {};
    const auto text = read_file_if_exists(str("/proc/", pid, "/stat"));
    if (!text) return {};
    // The name in brackets may hold anything; what follows the last one is numbers.
    const size_t end = text->rfind(')');
    if (end == std::string::npos) return {};
    const std::vector<std::string> fields = split(std::string_view(*text).substr(end + 2), ' ');
    if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return {};
    return parse_number<uint64_t>(fields[19]);
}

// It appears complete. Where the file system can, it has no name before: a kill leaves no half of it.
void write_pid_file(const std::string& path, int pid) {
    if (path.empty()) return;
    const std::string text = std::to_string(pid), directory = path.substr(0, path.rfind('/') + 1);
    if (const auto unnamed = sys::try_open(directory.empty() ? "." : directory, O_WRONLY | O_TMPFILE, 0644)) {
        sys::write_all(unnamed->get(), text);
        const std::string file = sys::proc_fd(unnamed->get());
        const auto name_it = [&] { return ::linkat(AT_FDCWD, file.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0; };
        if (name_it() || (errno == EEXIST && ::unlink(path.c_str()) == 0 && name_it())) return;
    }
    replace_file(path, text, 0644, Durability::rename_only);
}

namespace {

enum class Lock { taken, held, gone };

// `directory` is still the container's if nobody removed it while we waited.
Lock try_lock(int directory) {
    if (::flock(directory, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK || errno == EINTR) return Lock::held;
        throw SysError("locking the container's state");
    }
    return sys::fstat(directory).st_nlink > 0 ? Lock::taken : Lock::gone;
}

}  // namespace

StateDir StateDir::create(const std::string& root, const std::string& id) {
    check_id(id);
    const std::string path = root + "/" + id;
    if (::mkdir(path.c_str(), 0711) < 0) {
        if (errno == EEXIST) throw Error("container with given ID already exists");
        if (errno != ENOENT) throw SysError("mkdir ", path);
        sys::make_directories(root, 0711);
        // Sticky, or systemd takes what lies in a user's XDG_RUNTIME_DIR for old, and removes it.
        if (is_rootless()) ::chmod(root.c_str(), 01700);
        return create(root, id);
    }
    auto directory = sys::try_open(path, O_RDONLY | O_DIRECTORY);
    // Whoever deletes it in this very moment has the right to.
    if (!directory || try_lock(directory->get()) != Lock::taken) throw Error("the container was deleted while it was created");
    return StateDir(path, std::move(*directory));
}

StateDir::~StateDir() {
    if (armed_) attempt("removing the state directory", [&] { sys::remove_tree(path_); });
}

static void save_record(const std::string& directory, const Record& record) {
    replace_file(directory + "/state.json", json::dump(json::write(record)), 0600, Durability::rename_only);
}

void StateDir::save(const Record& record) const { save_record(path_, record); }
void Container::save(const Record& record) const { save_record(path_, record); }

void StateDir::save_config(std::string_view text) const { write_file(path_ + "/config.json", text, 0600); }

// A fifo is never executed: the bit only tells how far create has come.
static constexpr mode_t fifo_in_the_making = 0700, fifo_made = 0600;

UniqueFd StateDir::make_exec_fifo() const {
    const std::string path = path_ + "/exec.fifo";
    check(::mkfifo(path.c_str(), fifo_in_the_making), "mkfifo ", path);
    return sys::open(path, O_RDWR);
}

void StateDir::open_for_start(int fifo) const { check(::fchmod(fifo, fifo_made), "chmod of ", path_, "/exec.fifo"); }

const char* status_name(Status status) {
    static constexpr const char* names[] = {"creating", "created", "running", "paused", "stopped"};
    return names[size_t(status)];
}

static Record read_record(const std::string& path, const std::string& id) {
    const auto text = read_file_if_exists(path + "/state.json");
    // Killed between the two: there is a directory, and nothing else was made.
    if (!text || text->empty()) return {.id = id, .created = "0001-01-01T00:00:00Z"};
    return context(path + "/state.json", [&] { return json::read<Record>(json::parse(*text)); });
}

Container Container::read(const std::string& path, const std::string& id) {
    Container found(path, read_record(path, id));
    if (found.record_.pid != 0) return found;
    found.unborn_ = found.is_locked_by_another();
    // Who made it has ended since, or was killed before.
    if (!found.unborn_) found.record_ = read_record(path, id);
    return found;
}

std::optional<Container> Container::load_if_exists(const std::string& root, const std::string& id) {
    check_id(id);
    const std::string path = root + "/" + id;
    if (!sys::exists(path)) return {};
    return read(path, id);
}

Container Container::load(const std::string& root, const std::string& id) {
    auto container = load_if_exists(root, id);
    if (!container) throw Error("container does not exist");
    return std::move(*container);
}

namespace {

std::vector<std::string> ids_in(const std::string& root) {
    std::vector<std::string> ids;
    DIR* dir = ::opendir(root.c_str());
    if (!dir) return ids;
    const Defer closing([&] { ::closedir(dir); });
    while (const dirent* entry = ::readdir(dir))
        if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)) ids.emplace_back(entry->d_name);
    std::ranges::sort(ids);
    return ids;
}

}  // namespace

std::vector<Container> Container::named(const std::string& root, const std::string& id, bool regex) {
    std::vector<Container> found;
    if (!regex) {
        found.push_back(load(root, id));
        return found;
    }
    regex_t pattern;
    if (::regcomp(&pattern, id.c_str(), REG_EXTENDED | REG_NOSUB) != 0) throw Error("invalid regular expression ", quoted(id));
    const Defer release([&] { ::regfree(&pattern); });
    for (const std::string& name : ids_in(root))
        if (::regexec(&pattern, name.c_str(), 0, nullptr, 0) == 0)
            if (auto container = load_if_exists(root, name)) found.push_back(std::move(*container));
    return found;
}

std::vector<Container> Container::all(const std::string& root) {
    std::vector<Container> found;
    for (const std::string& name : ids_in(root))
        attempt(str("load container ", name), [&] {
            if (auto container = load_if_exists(root, name)) found.push_back(std::move(*container));
        });
    return found;
}

Container Container::made(StateDir dir, Record record) {
    Container made(dir.path(), std::move(record));
    made.lock_ = dir.keep();
    return made;
}

bool Container::is_locked_by_another() const {
    if (lock_) return false;
    const auto directory = sys::try_open(path_, O_RDONLY | O_DIRECTORY);
    return directory && try_lock(directory->get()) == Lock::held;
}

bool Container::lock() {
    auto directory = sys::try_open(path_, O_RDONLY | O_DIRECTORY);
    if (!directory) return false;
    Lock state;
    // Whoever holds it ends soon, unless one of its hooks does not.
    for (int waited = 0, wait = 1; (state = try_lock(directory->get())) == Lock::held; waited += wait, wait = std::min(wait * 2, 50)) {
        if (waited > 10'000) throw Error("another command is changing the container, and does not end");
        ::poll(nullptr, 0, wait);
    }
    if (state == Lock::gone) return false;
    record_ = read_record(path_, record_.id);
    unborn_ = false;
    lock_ = std::move(*directory);
    return true;
}

bool Container::init_is_alive() const {
    const auto started = start_time_of(record_.pid);
    return started && *started == record_.start_time;
}

// Init itself and not who got its number after it; nothing if it is gone.
UniqueFd Container::open_init() const {
    if (record_.pid <= 0) return {};
    UniqueFd init(int(::syscall(SYS_pidfd_open, record_.pid, 0)));
    if (!init_is_alive()) return {};
    return init;
}

Status Container::status() const {
    // Without a pid it is in the making, or who made it was killed.
    if (unborn_) return Status::creating;
    if (!init_is_alive()) return Status::stopped;
    // Somebody reads the fifo as long as init waits for `start`.
    const auto waiting = sys::try_open(fifo(), O_WRONLY | O_NONBLOCK);
    // A create that was killed at its very end has made a container nevertheless.
    if (waiting && (sys::fstat(waiting->get()).st_mode & 0777) == fifo_in_the_making && is_locked_by_another()) return Status::creating;
    if (cgroup().is_frozen()) return Status::paused;
    return waiting ? Status::created : Status::running;
}

spec::Config Container::config() const { return spec::read_config(read_file(path_ + "/config.json")); }

spec::State Container::state(Status status) const {
    spec::State state;
    state.id = record_.id;
    state.status = status_name(status);
    state.pid = status == Status::stopped ? 0 : record_.pid;
    state.bundle = record_.bundle;
    state.rootfs = record_.rootfs;
    state.created = record_.created;
    state.annotations = record_.annotations;
    return state;
}

namespace {

// The host's name of a user; read here because a static program must not ask NSS.
std::string user_name(uint32_t uid) {
    const auto passwd = read_file_if_exists("/etc/passwd");
    for (const std::string& line : split(passwd.value_or(""), '\n')) {
        const std::vector<std::string> fields = split(line, ':');
        if (fields.size() > 2 && parse_number<uint32_t>(fields[2]) == uid) return fields[0];
    }
    return "#" + std::to_string(uid);
}

}  // namespace

spec::State Container::state(bool with_owner) const {
    spec::State state = this->state(status());
    if (with_owner) state.owner = user_name(record_.owner);
    return state;
}

Cgroup Container::cgroup() const { return Cgroup::load(record_.cgroup); }

// What nobody read from the fifo: it stays there as long as one end is open.
static std::string unread(const std::string& fifo) {
    const UniqueFd end = sys::open(fifo, O_RDONLY | O_NONBLOCK);
    char text[PIPE_BUF];
    const ssize_t got = ::read(end.get(), text, sizeof text);
    return got > 0 ? std::string(text, size_t(got)) : "";
}

void Container::start() {
    UniqueFd gate = [&] {
        auto opened = sys::try_open(fifo(), O_WRONLY | O_NONBLOCK);
        if (!opened && cgroup().was_out_of_memory()) throw Error("container init was OOM-killed (memory limit too low?)");
        if (!opened) throw Error("cannot start a container that has stopped");
        return std::move(*opened);
    }();
    sys::write_all(gate.get(), "0");
    // No reader is left when init has executed the program: the descriptor closes itself.
    pollfd waiting{gate.get(), 0, 0};
    while (::poll(&waiting, 1, -1) < 0 && errno == EINTR) {
    }
    const std::string left = unread(fifo());
    ::unlink(fifo().c_str());
    if (left == "0") throw Error("cannot start a container that has stopped");
    lock_.reset();   // a hook may delete the container
    // A start that fails ends the container, as runtime.md's lifecycle has it.
    Defer undo([&] {
        attempt("deleting the container", [&] {
            if (lock()) destroy();
        });
    });
    if (!left.empty()) throw Error(left);   // what kept init from its program
    if (record_.poststart_hooks) run_hooks("poststart", config().hooks.poststart, state(Status::running));
    undo.keep();
}

std::vector<int> Container::pids() const {
    if (!record_.cgroup.directories.empty()) return cgroup().pids();
    // A user's container has no cgroup, but perhaps a pid namespace; at least there is init.
    if (!init_is_alive()) return {};
    std::vector<int> found{record_.pid};
    struct stat own{}, other{};
    if (!record_.private_pids || ::stat(str("/proc/", record_.pid, "/ns/pid").c_str(), &own) < 0) return found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto pid = parse_number<int>(entry.path().filename().string());
        if (!pid || *pid == record_.pid || ::stat((entry.path() / "ns/pid").c_str(), &other) < 0) continue;
        if (own.st_ino == other.st_ino) found.push_back(*pid);
    }
    return found;
}

void Container::signal(int number, bool all) const {
    const UniqueFd init = open_init();
    if (all || (number == SIGKILL && !record_.private_pids)) {
        if (!init && pids().empty()) {
            if (all) return;
            throw Error("container not running");
        }
        if (number == SIGKILL && !record_.cgroup.directories.empty()) return cgroup().kill();
        for (const int pid : pids()) ::kill(pid, number);
        return;
    }
    if (!init) throw Error("container not running");
    if (::syscall(SYS_pidfd_send_signal, init.get(), number, nullptr, 0) < 0) {
        if (errno == ESRCH) throw Error("container not running");
        throw SysError("unable to signal init");
    }
    // A frozen process of v1 would not die.
    if (number == SIGKILL) cgroup().thaw_if_frozen();
}

void Container::kill_all() const {
    const UniqueFd init = open_init();
    if (init) ::syscall(SYS_pidfd_send_signal, init.get(), SIGKILL, nullptr, 0);
    cgroup().kill();
    // Without a cgroup there is only init to wait for. (With one it must not be waited for: the end of
    // a pid namespace takes until every process of `exec` in it is reaped by its parent.)
    pollfd end{init.get(), POLLIN, 0};
    if (init && record_.cgroup.directories.empty()) ::poll(&end, 1, 2000);
}

void Container::destroy() {
    if (!lock_ && !lock()) return;
    std::vector<spec::Hook> hooks;
    if (record_.poststop_hooks) attempt("reading the container's config", [&] { hooks = config().hooks.poststop; });
    context("unable to remove the container's cgroup", [&] {
        if (!init_is_alive() && cgroup().remove_if_empty()) return;   // mostly nothing else is left
        kill_all();
        cgroup().remove();
    });
    if (record_.intel_rdt) remove_intel_rdt(*record_.intel_rdt);
    if (record_.host_mounts) unmount_down_to(record_.rootfs, *record_.host_mounts);
    // Before the state goes: a delete that is killed here is repeated, hooks and all.
    run_poststop_hooks(hooks, state(Status::stopped));
    sys::remove_tree(path_);
}
