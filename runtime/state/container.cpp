// What is seen may be changing, so a look has an order. A record with a pid is enough. Without one
// the lock decides, and if nobody holds it the record is read again: who held it at the first look
// may have ended since. A pid is ours only with its start time, which is compared after the process
// was opened, and it is signalled by that descriptor. destroy() may be killed at any step and is
// then done again from the start: what is gone already is no error, hooks run while the state is
// still there, and state.json goes last.
#include "runtime/state/container.h"

#include <limits.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <expected>
#include <filesystem>
#include <ranges>

#include "base/defer.h"
#include "base/directory.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/steps.h"
#include "base/sys.h"
#include "runtime/process/namespaces.h"
#include "runtime/process/signals.h"
#include "runtime/rootfs/rootfs.h"
#include "runtime/state/hooks.h"

using json::optional;
using json::required;

template <>
inline constexpr auto json::fields<CgroupRecord> =
    std::tuple(required("manager", &CgroupRecord::manager), required("path", &CgroupRecord::path),
               required("directories", &CgroupRecord::directories),
               optional("unit", &CgroupRecord::unit),
               optional("users_own", &CgroupRecord::users_own), required("v2", &CgroupRecord::v2));
template <>
inline constexpr auto json::fields<RdtRecord> =
    std::tuple(required("group", &RdtRecord::group), required("own", &RdtRecord::own),
               optional("monitor", &RdtRecord::monitor));
template <>
inline constexpr auto json::fields<HostMount> =
    std::tuple(required("id", &HostMount::id), optional("below", &HostMount::below));
template <>
inline constexpr auto json::fields<Record> =
    std::tuple(required("id", &Record::id), required("bundle", &Record::bundle),
               required("rootfs", &Record::rootfs), required("created", &Record::created),
               required("pid", &Record::pid), required("startTime", &Record::start_time),
               required("owner", &Record::owner), optional("annotations", &Record::annotations),
               required("privatePids", &Record::private_pids),
               optional("noNewKeyring", &Record::no_new_keyring),
               optional("poststartHooks", &Record::poststart_hooks),
               optional("poststopHooks", &Record::poststop_hooks),
               optional("hostMount", &Record::host_mount), required("cgroup", &Record::cgroup),
               optional("intelRdt", &Record::intel_rdt));

static bool is_id(std::string_view id) {
    return !id.empty() && id != "." && id != ".." && std::ranges::all_of(id, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("_+.-").contains(c);
    });
}

void check_id(const std::string& id) {
    if (id.empty()) throw Error("container id cannot be empty");
    if (!is_id(id)) throw Error("invalid container ID format: ", quoted(id));
}

std::optional<uint64_t> start_time_of(int pid) {
    if (pid <= 0) return {};
    const auto text = read_file_if_exists(str("/proc/", pid, "/stat"));
    if (!text) return {};
    // The name in brackets may hold anything; what follows the last one is numbers.
    const size_t end = text->rfind(')');
    if (end == std::string::npos) return {};
    const std::vector<std::string> fields = split(std::string_view(*text).substr(end + 2), ' ');
    if (fields.size() < 20 || fields[0] == "X") return {};
    const bool main_thread_ended = fields[0] == "Z";
    if (main_thread_ended && parse_number<int>(fields[17]).value_or(0) <= 1)
        return {};  // how many threads there are
    return parse_number<uint64_t>(fields[19]);
}

namespace {

// Devices, FIFOs and what else is not replaced but written to; /dev/stdout, too, whatever it is.
bool is_written_through(const std::string& path) {
    struct stat there{};
    if (::stat(path.c_str(), &there) < 0) return false;
    if (!S_ISREG(there.st_mode)) return true;
    char target[PATH_MAX];
    const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
    return length > 0 && std::string_view(target, size_t(length)).starts_with("/proc/");
}

}  // namespace

// Where the file system can, the file has no name before it is whole: a kill leaves no half of it.
void write_pid_file(const std::string& path, int pid) {
    if (path.empty()) return;
    const std::string text = std::to_string(pid), directory = path.substr(0, path.rfind('/') + 1);
    if (is_written_through(path)) {
        const UniqueFd file = sys::open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK);
        return context(str("open ", path), [&] { sys::write_all(file.get(), text); });
    }
    if (const auto unnamed =
            sys::try_open(directory.empty() ? "." : directory, O_WRONLY | O_TMPFILE, 0644)) {
        sys::write_all(unnamed->get(), text);
        const std::string file = sys::proc_fd(unnamed->get());
        const auto name_it = [&] {
            return ::linkat(AT_FDCWD, file.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0;
        };
        if (name_it() || (errno == EEXIST && ::unlink(path.c_str()) == 0 && name_it())) return;
    }
    replace_file(path, text, 0644, Durability::rename_only);
}

// `directory` is still the container's if nobody removed it while we waited.
Container::Lock Container::try_lock(int directory, int how) {
    if (::flock(directory, how | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK || errno == EINTR) return Lock::held;
        throw SysError("locking the container's state");
    }
    return sys::fstat(directory).st_nlink > 0 ? Lock::taken : Lock::gone;
}

// Whoever holds it ends soon, unless one of its hooks does not.
Container::Lock Container::wait_for_lock(int directory, int milliseconds) {
    for (int waited = 0, wait = 1;; waited += wait, wait = std::min(wait * 2, 50)) {
        const Lock state = try_lock(directory, LOCK_EX);
        if (state != Lock::held || waited > milliseconds) return state;
        ::poll(nullptr, 0, wait);
    }
}

static constexpr int patience = 10'000, patience_with_create = 3'000;  // milliseconds

StateDir StateDir::create(const std::string& root, const std::string& id) {
    check_id(id);
    const std::string path = root + "/" + id;
    if (::mkdir(path.c_str(), 0700) < 0) {
        if (errno == EEXIST) throw Error("container with given ID already exists");
        if (errno != ENOENT) throw SysError("mkdir ", path);
        sys::make_directories(root, 0700);
        // Sticky, or systemd takes what lies in a user's XDG_RUNTIME_DIR for old, and removes it.
        if (is_rootless()) ::chmod(root.c_str(), 01700);
        return create(root, id);
    }
    auto directory = sys::try_open(path, O_RDONLY | O_DIRECTORY);
    // Who looks at it has it for a moment. Whoever deletes it in this very moment has the right to.
    if (!directory ||
        Container::wait_for_lock(directory->get(), patience) != Container::Lock::taken)
        throw Error("the container was deleted while it was created");
    return StateDir(path, std::move(*directory));
}

// state.json last: as long as there is something, it says what.
static void remove_state(const std::string& path) {
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator(path, gone))
        if (entry.path().filename() != "state.json") sys::remove_tree(entry.path().string());
    sys::remove_tree(path);
}

StateDir::~StateDir() {
    if (armed_) attempt("removing the state directory", [&] { remove_state(path_); });
}

// Renamed, so that a looker sees the former or the new one; not synced, for what it tells of ends
// with the machine, and so does /run, where it lies.
static void save_record(const std::string& directory, const Record& record) {
    replace_file(directory + "/state.json", json::dump(json::write(record)), 0600,
                 Durability::rename_only);
}

void StateDir::save(const Record& record) const { save_record(path_, record); }
void Container::save(const Record& record) const { save_record(path_, record); }

void StateDir::save_config(std::string_view text) const {
    write_file(path_ + "/config.json", text, 0600);
}

// As long as create is at work it has this name.
static std::string fifo_in_the_making(const std::string& directory) {
    return directory + "/create.fifo";
}

UniqueFd StateDir::make_exec_fifo() const {
    const std::string path = fifo_in_the_making(path_);
    check(::mkfifo(path.c_str(), 0600), "mkfifo ", path);
    return sys::open(path, O_RDWR);
}

void StateDir::open_for_start() const {
    sys::rename(fifo_in_the_making(path_), path_ + "/exec.fifo");
}

static constexpr StateRule rules[] = {
    //                            start  exec   pause  resume remove check  watch
    {Status::creating, "creating", false, false, false, false, false, false, true},
    {Status::created, "created", true, true, true, false, true, false, true},
    {Status::running, "running", false, true, true, false, false, true, true},
    {Status::paused, "paused", false, false, false, true, false, true, true},
    {Status::stopped, "stopped", false, false, false, false, true, false, false},
};

const StateRule& rule_of(Status status) {
    return *std::ranges::find(rules, status, &StateRule::status);
}
const char* status_name(Status status) { return rule_of(status).name; }

namespace {

std::vector<std::string> ids_in(const std::string& root) try {
    std::vector<std::string> ids = names_in_if_exists(root);
    std::erase_if(ids, [&](const std::string& name) {
        return !is_id(name) || !std::filesystem::is_directory(root + "/" + name);
    });
    return ids;
} catch (const SysError& e) {
    if (e.code() == ENOTDIR) return {};
    throw;
}

// Of what was killed before it had written or after it had removed its state.
constexpr const char* never = "0001-01-01T00:00:00Z";

// The record; nothing if there is none; or why it cannot be understood. Throws SysError for what
// cannot be read.
std::expected<std::optional<Record>, std::string> read_record(const std::string& path) {
    const std::string file = path + "/state.json";
    const auto text = read_file_if_exists(file);
    if (!text) return std::optional<Record>();
    try {
        return context(file, [&] {
            if (text->empty()) throw Error("the file is empty");
            return json::read<Record>(json::parse(*text));
        });
    } catch (const Error& e) {
        return std::unexpected(e.what());
    }
}

// Whether another container has one of these groups by its state, or may have them.
bool belongs_to_another(const CgroupRecord& cgroup, const std::string& root,
                        const std::string& id) {
    for (const std::string& other : ids_in(root)) {
        if (other == id) continue;
        const auto record = read_record(root + "/" + other);
        if (!record || !*record) continue;  // of those we know no more than of this one
        for (const std::string& directory : (*record)->cgroup.directories)
            if (std::ranges::find(cgroup.directories, directory) != cgroup.directories.end())
                return true;
    }
    return false;
}

// Whether create came so far that there is something to be found. Its first act is the state,
// delete's last one.
bool has_more_than_a_state(const std::string& path) {
    return std::ranges::any_of(std::array{"/config.json", "/create.fifo", "/exec.fifo"},
                               [&](const char* name) { return sys::exists(path + name); });
}

// What lies beside a state that says nothing: the config names the cgroup, and whoever is in there
// is the container's, since no cgroup is made for a container that has processes already.
Record recover(const std::string& root, const std::string& id, const std::string& why) {
    log_warning(str(why, "; the container is looked for by its config"));
    Record record{.id = id, .created = never};
    attempt(str("container ", id, ": what runs in it is not found"), [&] {
        spec::Config config;
        attempt(str("container ", id),
                [&] { config = spec::read_config(read_file(str(root, "/", id, "/config.json"))); });
        record.poststop_hooks = !config.hooks.poststop.empty();
        for (const char* manager : {"cgroupfs", "systemd"}) {
            CgroupRecord cgroup = Cgroup::plan(
                {.manager = manager, .cgroups_path = config.linux.cgroups_path, .id = id});
            if (std::ranges::none_of(cgroup.directories, sys::exists)) continue;
            if (belongs_to_another(cgroup, root, id))
                throw Error("another container has the same cgroup");
            record.cgroup = std::move(cgroup);
            return;
        }
        throw Error("it has no cgroup, or had none");
    });
    return record;
}

}  // namespace

std::optional<Container> Container::look(const std::string& root, const std::string& id,
                                         Damage damage) {
    const std::string path = root + "/" + id;
    const auto found = read_record(path);
    if (found && *found && (*found)->pid != 0) return Container(path, **found);
    // From here on the lock decides: who holds it makes or removes what is seen.
    const auto directory = sys::try_open(path, O_RDONLY | O_DIRECTORY);
    if (!directory && (directory.error() == ENOENT || directory.error() == ENOTDIR)) return {};
    if (!directory) throw SysError(directory.error(), "open " + path);
    const Lock lock = try_lock(directory->get(), LOCK_SH);
    if (lock == Lock::gone) return {};
    // Who held it when we read may have ended since.
    const auto record = lock == Lock::held ? found : read_record(path);
    const bool is_missing = record && !*record;
    if (is_missing && lock == Lock::held) return {};
    if (is_missing && !has_more_than_a_state(path))
        return Container(path, {.id = id, .created = never});
    if (record && *record) {
        Container container(path, **record);
        container.unborn_ = lock == Lock::held && container.record_.pid == 0;
        return container;
    }
    const std::string why = record ? str(path, "/state.json is missing") : record.error();
    if (damage == Damage::refuse) throw Error(why);
    Container container(path, recover(root, id, why));
    container.recovered_ = true;
    return container;
}

std::optional<Container> Container::load_if_exists(const std::string& root, const std::string& id,
                                                   Damage damage) {
    check_id(id);
    return look(root, id, damage);
}

Container Container::load(const std::string& root, const std::string& id) {
    auto container = load_if_exists(root, id);
    if (!container) throw Error("container does not exist");
    return std::move(*container);
}

std::vector<Container> Container::named(const std::string& root, const std::string& id, bool regex,
                                        Damage damage) {
    std::vector<Container> found;
    const auto add = [&](const std::string& name) {
        attempt(str("load container ", name), [&] {
            if (auto container = load_if_exists(root, name, damage))
                found.push_back(std::move(*container));
        });
    };
    if (!regex) {
        auto container = load_if_exists(root, id, damage);
        if (!container) throw Error("container does not exist");
        found.push_back(std::move(*container));
        return found;
    }
    regex_t pattern;
    if (::regcomp(&pattern, id.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
        throw Error("invalid regular expression ", quoted(id));
    const Defer release([&] { ::regfree(&pattern); });
    for (const std::string& name : ids_in(root))
        if (::regexec(&pattern, name.c_str(), 0, nullptr, 0) == 0) add(name);
    return found;
}

std::vector<Container> Container::all(const std::string& root) { return named(root, "", true); }

Container Container::made(StateDir dir, Record record) {
    Container made(dir.path(), std::move(record));
    made.lock_ = dir.keep();
    return made;
}

bool Container::lock() {
    auto directory = sys::try_open(path_, O_RDONLY | O_DIRECTORY);
    if (!directory) return false;
    const Lock state = wait_for_lock(directory->get(), patience);
    if (state == Lock::held)
        throw Error("another command is changing the container, and does not end");
    return state == Lock::taken && have_lock(std::move(*directory));
}

bool Container::have_lock(UniqueFd directory) {
    const auto record = read_record(path_);
    if (record && *record)
        record_ = **record, recovered_ = false;
    else if (!record && !recovered_)
        throw Error(record.error());
    unborn_ = false;
    lock_ = std::move(directory);
    return true;
}

namespace {

// Who holds the lock on it, as the kernel tells in /proc/locks:
// "1: FLOCK  ADVISORY  WRITE 4711 00:1b:1234 0 EOF".
std::optional<int> lock_holder(int directory) {
    const struct stat wanted = sys::fstat(directory);
    for (const std::string& line : split(read_file("/proc/locks"), '\n')) {
        int pid = 0;
        unsigned major = 0, minor = 0;
        unsigned long inode = 0;
        if (std::sscanf(line.c_str(), "%*u: FLOCK %*s WRITE %d %x:%x:%lu", &pid, &major, &minor,
                        &inode) != 4)
            continue;
        if (makedev(major, minor) == wanted.st_dev && inode == wanted.st_ino && pid > 0) return pid;
    }
    return {};
}

}  // namespace

bool Container::lock_to_remove() {
    auto directory = sys::try_open(path_, O_RDONLY | O_DIRECTORY);
    if (!directory) return false;
    Lock state = wait_for_lock(directory->get(), patience_with_create);
    if (state == Lock::held && (unborn_ || sys::exists(fifo_in_the_making(path_)))) {
        // By a descriptor, and asked once more: who has the number holds the lock, and so is a
        // create of ours.
        const auto holder = lock_holder(directory->get());
        const UniqueFd create = holder ? sys::pidfd_open_if_exists(*holder) : UniqueFd();
        if (create && lock_holder(directory->get()) == holder)
            ::syscall(SYS_pidfd_send_signal, create.get(), SIGKILL, nullptr, 0);
    }
    if (state == Lock::held)
        state = wait_for_lock(directory->get(), patience - patience_with_create);
    if (state == Lock::held)
        throw Error("another command is changing the container, and does not end");
    return state == Lock::taken && have_lock(std::move(*directory));
}

bool Container::init_is_alive() const {
    const auto started = start_time_of(record_.pid);
    return started && *started == record_.start_time;
}

// Init itself and not who got its number after it; nothing if it is gone.
UniqueFd Container::open_init() const {
    if (record_.pid <= 0) return {};
    UniqueFd init = sys::pidfd_open_if_exists(record_.pid);
    if (!init_is_alive()) return {};
    return init;
}

Status Container::status() const {
    // Without a pid it is in the making, or who made it was killed.
    if (unborn_) return Status::creating;
    if (!init_is_alive()) return Status::stopped;
    if (sys::exists(fifo_in_the_making(path_))) return Status::creating;
    // Somebody reads the fifo as long as init waits for `start`.
    const auto waiting = sys::try_open(fifo(), O_WRONLY | O_NONBLOCK);
    if (cgroup().is_frozen()) return Status::paused;
    return waiting ? Status::created : Status::running;
}

spec::Config Container::config() const {
    return spec::read_config(read_file(path_ + "/config.json"));
}

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
        if (!opened && cgroup().was_out_of_memory())
            throw Error("container init was OOM-killed (memory limit too low?)");
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
    lock_.reset();  // a hook may delete the container
    // A start that fails ends the container, as runtime.md's lifecycle has it.
    Defer undo([&] {
        attempt("deleting the container", [&] {
            if (lock()) destroy();
        });
    });
    if (!left.empty()) throw Error(left);  // what kept init from its program
    if (record_.poststart_hooks)
        run_hooks("poststart", config().hooks.poststart, state(Status::running));
    undo.keep();
}

std::vector<int> Container::pids() const {
    if (!record_.cgroup.directories.empty()) return cgroup().pids();
    // A user's container has no cgroup, but perhaps a pid namespace; at least there is init.
    if (!init_is_alive()) return {};
    std::vector<int> found{record_.pid};
    struct stat own{}, other{};
    if (!record_.private_pids || ::stat(str("/proc/", record_.pid, "/ns/pid").c_str(), &own) < 0)
        return found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto pid = parse_number<int>(entry.path().filename().string());
        if (!pid || *pid == record_.pid || ::stat((entry.path() / "ns/pid").c_str(), &other) < 0)
            continue;
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
        return signal_members([this] { return pids(); }, number);
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
    // Without a cgroup there is only init to wait for. (With one it must not be waited for: the end
    // of a pid namespace takes until every process of `exec` in it is reaped by its parent.)
    const std::vector<std::string>& groups = record_.cgroup.directories;
    const bool left =
        std::ranges::any_of(groups, [](const std::string& group) { return !sys::exists(group); });
    pollfd end{init.get(), POLLIN, 0};
    if (!init || !(groups.empty() || left) || ::poll(&end, 1, 2000) <= 0 || !left) return;
    // Init had moved elsewhere. Who looks for it by its number finds it until its parent has reaped
    // it.
    for (int waited = 0;
         waited < 2000 && ::syscall(SYS_pidfd_send_signal, init.get(), 0, nullptr, 0) == 0;
         waited += 10)
        ::usleep(10'000);
}

// Others may have been mounted over it since: it is covered then, and goes after the last of them.
void Container::unmount_from_host() const {
    const std::string root = std::filesystem::path(path_).parent_path().string();
    const UniqueFd alone = lock_host_mounts(root);
    if (!unmount_if_on_top(record_.rootfs, record_.host_mount->id)) return;
    attempt("unmounting what lay below", [&] {
        const std::vector<uint64_t> living = host_mounts_of_others(root, record_.id);
        const auto is_nobodys = [&](uint64_t id) {
            return std::ranges::find(living, id) == living.end();
        };
        for (const uint64_t id : record_.host_mount->below | std::views::reverse)
            if (is_nobodys(id)) unmount_if_on_top(record_.rootfs, id);
    });
}

std::vector<uint64_t> Container::host_mounts_of_others(const std::string& root,
                                                       const std::string& own) {
    std::vector<uint64_t> ids;
    for (const std::string& id : ids_in(root)) {
        if (id == own) continue;
        const auto other = load_if_exists(root, id);
        if (other && other->record_.host_mount) ids.push_back(other->record_.host_mount->id);
    }
    return ids;
}

void Container::destroy() {
    if (!lock_ && !lock()) return;
    std::vector<spec::Hook> hooks;
    // Without the file nothing was made yet, or the hooks have run.
    if (record_.poststop_hooks && sys::exists(path_ + "/config.json"))
        attempt("reading the container's config", [&] { hooks = config().hooks.poststop; });
    Steps end;
    end.step("unable to remove the container's cgroup", [&] {
        if (!init_is_alive() && cgroup().remove_if_empty()) return;  // mostly nothing else is left
        kill_all();
        cgroup().remove();
    });
    if (record_.intel_rdt)
        end.step("removing its share of the cache", [&] { remove_intel_rdt(*record_.intel_rdt); });
    if (record_.host_mount) end.step("unmounting the root", [&] { unmount_from_host(); });
    end.finish();
    // Before the state goes: a delete that is killed here is repeated, hooks and all.
    run_poststop_hooks(hooks, state(Status::stopped));
    remove_state(path_);
}
