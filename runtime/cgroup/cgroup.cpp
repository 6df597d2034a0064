// Whoever is in a container may have made groups of his own below it, frozen himself there, or fork
// faster than he is killed. So kill() lists the tree anew each time, after a few rounds it freezes
// who still forks, and it thaws at every depth, for a frozen process of v1 does not die. remove()
// has patience with a group that a process, just reaped, still keeps busy. And what is in a group
// before we make it is somebody else's: create() refuses it before the group is ours to undo, which
// means to kill.
#include "runtime/cgroup/cgroup.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/steps.h"
#include "base/sys.h"
#include "runtime/cgroup/freezer.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/limits.h"
#include "runtime/cgroup/tree.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"
#include "runtime/process/namespaces.h"
#include "runtime/process/signals.h"

constinit const CgroupManager disabled_manager = {
    .name = "disabled",
    .plan = [](const CgroupRequest&) { return CgroupRecord{}; },
    // Who makes no cgroups does without walls for devices, but a number that was asked for is not
    // dropped.
    .make =
        [](CgroupRecord& record, const CgroupRequest& request) {
            for (const Write& write : plan_limits(record, request.resources))
                throw Error("linux.resources.", write.setting,
                            " cannot be set: the cgroup manager is \"disabled\"");
        },
};

static constexpr const CgroupManager* managers[] = {&cgroupfs_manager, &systemd_manager,
                                                    &disabled_manager};

const CgroupManager& cgroup_manager(std::string_view name) {
    if (name.empty()) return cgroupfs_manager;
    for (const CgroupManager* manager : managers)
        if (manager->name == name) return *manager;
    std::string known;
    for (const CgroupManager* manager : managers)
        known += str(known.empty() ? "" : ", ", manager->name);
    throw Error("unknown cgroup manager ", quoted(name), "; known are: ", known);
}

std::vector<std::string_view> cgroup_manager_names() {
    std::vector<std::string_view> names;
    for (const CgroupManager* manager : managers) names.push_back(manager->name);
    return names;
}

bool CgroupRequest::is_rootless() const { return rootless ? *rootless : ::is_rootless(); }

CgroupRecord Cgroup::plan(const CgroupRequest& request) {
    const CgroupManager& manager = cgroup_manager(request.manager);
    CgroupRecord record = manager.plan(request);
    record.manager = manager.name;
    return record;
}

Cgroup Cgroup::create(const CgroupRecord& record, const CgroupRequest& request) {
    // Before it is ours to undo: the processes in there are somebody else's.
    if (const size_t others = load(record).pids().size())
        throw Error("container's cgroup is not empty: ", others, " process(es) found");
    if (load(record).is_frozen()) throw Error("container's cgroup unexpectedly frozen");
    Cgroup made(record, true);
    if (const auto make = cgroup_manager(record.manager).make) make(made.record_, request);
    return made;
}

Cgroup::~Cgroup() {
    if (armed_) attempt("removing the cgroup", [&] { kill(), remove(); });
}

void Cgroup::adopt(const CgroupRequest& request, int pid) {
    if (const auto adopt = cgroup_manager(record_.manager).adopt) adopt(record_, request, pid);
}

UniqueFd Cgroup::clone_target() const {
    for (const std::string& directory : record_.directories)
        if (v2::holds(record_, directory)) return sys::open(directory, O_RDONLY | O_DIRECTORY);
    return {};
}

std::vector<UniqueFd> Cgroup::tasks() const {
    std::vector<UniqueFd> opened;
    for (const std::string& directory : record_.directories)
        if (!v2::holds(record_, directory))
            opened.push_back(sys::open(directory + "/tasks", O_WRONLY));
    return opened;
}

namespace {

std::optional<std::string> counting_group(const CgroupRecord& record) {
    if (record.v2)
        return record.directories.empty() ? std::nullopt : std::optional(record.directories[0]);
    return directory_of(record, "pids");
}

}  // namespace

Cgroup Cgroup::uncounted() const {
    CgroupRecord others = record_;
    if (const auto counting = counting_group(record_)) std::erase(others.directories, *counting);
    return load(others);
}

void Cgroup::move_in_counted(int pid) const {
    if (const auto counting = counting_group(record_))
        write_file(*counting + "/cgroup.procs", std::to_string(pid));
}

namespace {

// "" names all of them.
using SubPaths = std::map<std::string, std::string>;
SubPaths parse_sub_paths(const std::vector<std::string>& arguments) {
    SubPaths paths;
    for (const std::string& argument : arguments) {
        const size_t colon = argument.find(':');
        if (colon == std::string::npos && arguments.size() != 1)
            throw Error("invalid --cgroup argument: ", argument, " (missing <controller>: prefix)");
        if (colon == std::string::npos) return {{"", argument}};
        for (const std::string& controller : split(argument.substr(0, colon), ',')) {
            if (controller.empty())
                throw Error("invalid --cgroup argument: ", argument,
                            " (empty <controller> prefix)");
            if (!paths.emplace(controller, argument.substr(colon + 1)).second)
                throw Error("invalid --cgroup argument(s): controller ", controller,
                            " specified multiple times");
        }
    }
    return paths;
}

std::string below(const std::string& directory, const std::string& path) {
    const std::string joined =
        std::filesystem::path(directory + "/" + path).lexically_normal().string();
    if (!(joined + "/").starts_with(directory + "/")) throw Error("bad sub cgroup path: ", path);
    return joined;
}

}  // namespace

CgroupRecord sub_cgroup(CgroupRecord record, const std::vector<std::string>& arguments) {
    const CgroupRecord top = record;
    for (const auto& [controller, path] : parse_sub_paths(arguments)) {
        const auto chosen =
            controller.empty() || record.v2 ? std::nullopt : directory_of(top, controller);
        if (!controller.empty() && !chosen)
            throw Error("unknown controller ", controller, " in SubCgroupPaths");
        for (size_t i = 0; i < top.directories.size(); ++i)
            if (!chosen || *chosen == top.directories[i])
                record.directories[i] = below(top.directories[i], path);
    }
    return record;
}

CgroupRecord Cgroup::place_exec(const CgroupRecord& record, const std::vector<std::string>& paths,
                                int init) {
    if (!paths.empty()) return sub_cgroup(record, paths);
    if (!record.v2 || record.directories.empty()) return record;
    const auto given_below = read_file_if_exists(record.directories[0] + "/cgroup.subtree_control");
    if (trim(given_below.value_or("")).empty()) return record;
    CgroupRecord own = record;
    for (const v1::Hierarchy& hierarchy :
         v1::parse_hierarchies(read_file(str("/proc/", init, "/cgroup"))))
        if (hierarchy.name == "unified")
            own.directories[0] = sole_v2_mount().value_or("") + hierarchy.own;
    return own;
}

CgroupRecord Cgroup::follow_init(const CgroupRecord& record, int init) {
    CgroupRecord own = record;
    for (const v1::Hierarchy& hierarchy :
         v1::parse_hierarchies(read_file(str("/proc/", init, "/cgroup")))) {
        const auto mount = record.v2 && hierarchy.name == "unified"
                               ? sole_v2_mount()
                               : hierarchy_mount(hierarchy.name);
        if (!mount) continue;
        for (std::string& directory : own.directories)
            if (directory.starts_with(*mount + "/") && !sys::exists(directory))
                directory = *mount + hierarchy.own;
    }
    return own;
}

void Cgroup::update(const spec::Resources& resources) const {
    if (record_.directories.empty())
        throw Error("the container has no cgroup that could be updated");
    const LimitChange change = update_limits(record_, resources);
    const auto tell = cgroup_manager(record_.manager).update;
    if (!tell) return;
    // systemd writes what it makes of them, so the files come after it, forwards as backwards.
    Defer roll_back([&] {
        attempt("telling the former limits again", [&] { tell(record_, change.undo); });
        take_back(record_, change.undo);
    });
    tell(record_, change.made);
    rewrite_limits(record_, change.made);
    roll_back.keep();
}

namespace {

// Nothing if the group is gone, be it while its file is open. A threaded one tells only its
// threads.
std::optional<std::string> read_members(const TreePlace& group, const char* file_name) {
    const std::string name = str(group.name, file_name);
    const UniqueFd file(::openat(group.parent, name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return {};
    std::string text;
    char buffer[1024];
    ssize_t got;
    while ((got = ::read(file.get(), buffer, sizeof buffer)) > 0) text.append(buffer, size_t(got));
    if (got == 0) return text;
    if (errno == EOPNOTSUPP) return read_members(group, "/cgroup.threads");
    if (errno == ENODEV) return {};
    throw SysError{errno, str("read ", group.shown(), file_name)};
}

std::vector<int> pids_in(const std::string& directory) {
    std::vector<int> pids;
    each_group(directory, [&](const TreePlace& group) {
        for (const std::string& line :
             split(read_members(group, "/cgroup.procs").value_or(""), '\n'))
            if (const auto pid = parse_number<int>(line)) pids.push_back(*pid);
    });
    return pids;
}

// One that stays keeps no other from going, but those above it.
void remove_tree_of_groups(const std::string& directory) {
    // Mostly there is nothing below.
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return;
    int patience = 2000;  // milliseconds, for all of them
    each_group(directory, [&](const TreePlace& group) {
        // A process that was just reaped may keep it busy for a moment.
        for (int wait = 1; ::unlinkat(group.parent, group.name, AT_REMOVEDIR) < 0; wait *= 2) {
            if (errno == ENOENT) return;
            if (errno != EBUSY || patience <= 0) throw SysError{errno, "remove " + group.shown()};
            ::poll(nullptr, 0, wait);
            patience -= wait;
        }
    });
}

}  // namespace

std::vector<int> Cgroup::pids() const {
    std::vector<int> found;
    for (const std::string& directory : record_.directories) {
        found = pids_in(directory);
        if (!found.empty()) break;  // every hierarchy holds the same
    }
    return found;
}

bool Cgroup::is_frozen() const { return ::is_frozen(record_); }
void Cgroup::freeze() const { ::freeze(record_); }
void Cgroup::thaw() const { ::thaw(record_); }

namespace {

// Since 5.14 v2 kills all at once.
bool kill_by_kernel(const CgroupRecord& record) {
    if (!record.v2) return false;
    const auto file = sys::try_open(record.directories.at(0) + "/cgroup.kill", O_WRONLY);
    return file && ::write(file->get(), "1", 1) == 1;
}

}  // namespace

void Cgroup::kill() const {
    for (useconds_t wait = 100; wait < 4'000'000; wait *= 2) {
        const std::vector<int> found = pids();
        if (found.empty()) return;
        if (std::ranges::find(found, ::getpid()) != found.end())
            throw Error("this process is in the cgroup that it shall kill");
        if (!kill_by_kernel(record_)) {
            // Who still forks when all the others are dead is stopped for it.
            if (wait > 5000) attempt("stopping what is to be killed", [&] { freeze(); });
            signal_members([this] { return pids(); }, SIGKILL);
            // A frozen process of v1 dies when it is thawed; it may have been frozen further down,
            // by its own engine.
            thaw_tree(record_);
        }
        ::usleep(wait);
    }
    throw Error("container's cgroup is not empty: ", pids().size(), " process(es) found");
}

bool Cgroup::was_out_of_memory() const {
    const auto directory = directory_of(record_, "memory");
    if (!directory) return false;
    const auto text =
        read_file_if_exists(*directory + (record_.v2 ? "/memory.events" : "/memory.oom_control"));
    for (const std::string& line : split(text.value_or(""), '\n'))
        if (line.starts_with("oom_kill ")) return line != "oom_kill 0";
    return false;
}

bool Cgroup::remove_if_empty() const {
    if (record_.directories.empty() || !record_.unit.empty()) return false;
    return std::ranges::all_of(record_.directories, [](const std::string& directory) {
        return ::rmdir(directory.c_str()) == 0 || errno == ENOENT;
    });
}

void Cgroup::remove() const {
    Steps all;
    if (const auto forget = cgroup_manager(record_.manager).forget)
        all.step("telling who made it", [&] { forget(record_); });
    for (const std::string& directory : record_.directories)
        all.step(directory, [&] { remove_tree_of_groups(directory); });
    all.finish();
}
