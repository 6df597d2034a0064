// The places in the order, kind by kind. What lies in an IPC namespace belongs to who made it:
// beside a user namespace init makes it itself, as root in there. The network namespace waits for
// nobody, unless a user namespace owns it or devices move into it. unshare makes a time namespace
// for children only, so we join it. A path to join must be a namespace of its kind, which is asked
// of the descriptor.
//
// Of an id map the kernel says EINVAL or EPERM and no more, so errors say what that may mean. Who
// is not root must give up setgroups before his map of groups is taken.
#include "runtime/process/namespaces.h"

#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/sys.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace {
constexpr NamespaceKind kinds[] = {
    {"user", CLONE_NEWUSER, "user"},  {"pid", CLONE_NEWPID, "pid"},
    {"network", CLONE_NEWNET, "net"}, {"ipc", CLONE_NEWIPC, "ipc"},
    {"uts", CLONE_NEWUTS, "uts"},     {"cgroup", CLONE_NEWCGROUP, "cgroup"},
    {"time", CLONE_NEWTIME, "time"},  {"mount", CLONE_NEWNS, "mnt"},
};
}  // namespace

std::span<const NamespaceKind> namespace_kinds() { return kinds; }

bool NamespacePlan::joins(uint64_t flag) const {
    return std::ranges::any_of(join, [&](const Join& j) { return j.flag == flag; });
}

NamespacePlan plan_namespaces(const spec::Linux& linux) {
    NamespacePlan plan;
    for (const spec::Namespace& wanted : linux.namespaces)
        if (std::ranges::find(kinds, wanted.type, &NamespaceKind::type) == std::end(kinds))
            throw Error("namespace ", quoted(wanted.type), " does not exist");
    for (const NamespaceKind& kind : kinds)
        for (const spec::Namespace& wanted : linux.namespaces) {
            if (wanted.type != kind.type) continue;
            if (plan.has(kind.flag))
                throw Error("malformed spec file: duplicated ns ", quoted(kind.type));
            if (!wanted.path.empty())
                plan.join.push_back({kind.flag, wanted.path, wanted.type});
            else if ((kind.flag & (CLONE_NEWCGROUP | CLONE_NEWTIME)) != 0)
                plan.by_init |= kind.flag;
            else
                plan.with_clone |= kind.flag;
        }
    // What lies in an IPC namespace (the root of mqueue) belongs to who made that: in a user
    // namespace its root, which init becomes first.
    if (plan.has(CLONE_NEWUSER)) {
        plan.by_init |= plan.with_clone & CLONE_NEWIPC;
        plan.with_clone &= ~uint64_t(CLONE_NEWIPC);
    }
    // Who owns it, or what moves into it, asks for it before init is asked anything.
    if (!plan.has(CLONE_NEWUSER) && linux.net_devices.empty()) {
        plan.at_once = plan.with_clone & CLONE_NEWNET;
        plan.with_clone &= ~uint64_t(CLONE_NEWNET);
    }
    if (plan.makes(CLONE_NEWUSER)) {
        plan.uid_mappings = linux.uid_mappings, plan.gid_mappings = linux.gid_mappings;
        if (plan.uid_mappings.empty() || plan.gid_mappings.empty())
            throw Error("user namespaces enabled, but no uid or gid mappings found");
    } else if (!plan.joins(CLONE_NEWUSER) &&
               !(linux.uid_mappings.empty() && linux.gid_mappings.empty())) {
        throw Error(
            "user namespace mappings specified, but user namespace isn't enabled in the config");
    }
    if (!linux.time_offsets.empty() && !plan.makes(CLONE_NEWTIME))
        throw Error(
            "time namespace offsets specified, but new time namespace isn't enabled in the config");
    plan.time_offsets = linux.time_offsets;
    return plan;
}

bool is_rootless() {
    return ::geteuid() != 0 ||
           !read_file("/proc/self/uid_map").contains("4294967295");  // the host's own has all ids
}

std::string id_map_text(const std::vector<spec::IdMapping>& mappings) {
    std::string text;
    for (const spec::IdMapping& m : mappings)
        text += str(m.container_id, " ", m.host_id, " ", m.size, "\n");
    return text;
}

namespace {

// One that maps its writer alone needs no privilege; root of a namespace may map all that it has.
bool is_ours_to_write(const std::vector<spec::IdMapping>& mappings, uint32_t own) {
    return ::geteuid() == 0 ||
           (mappings.size() == 1 && mappings[0].size == 1 && mappings[0].host_id == own);
}

void write_map(const Procfs& procfs, const std::string& file,
               const std::vector<spec::IdMapping>& mappings) try {
    procfs.write(file, id_map_text(mappings));
} catch (SysError& e) {
    // The kernel says no more of a text that it does not like.
    if (e.code() == EINVAL)
        e.prefix(str("user namespace mappings \"",
                     join(split(trim(id_map_text(mappings)), '\n'), ", ").substr(0, 200),
                     "\" overlap, end beyond the last id, or are more than 340"));
    if (e.code() == EPERM)
        e.prefix("host ids must exist in the runtime's own user namespace, and mapping its root "
                 "takes CAP_SETFCAP");
    throw;
}

// The helpers are setuid and know /etc/subuid and /etc/subgid.
void write_by_helper(int pid, const char* helper, const char* file,
                     const std::vector<spec::IdMapping>& mappings) {
    std::vector<std::string> argv{helper, std::to_string(pid)};
    for (const spec::IdMapping& m : mappings)
        for (const uint32_t number : {m.container_id, m.host_id, m.size})
            argv.push_back(std::to_string(number));
    Output output;
    try {
        output = run_program(argv);
    } catch (const SysError& e) {
        throw Error("mapping ids other than your own needs ", helper,
                    ", of Debian's package uidmap: ", e.what());
    }
    if (output.status.shell() == 0) return;
    throw Error(helper, " failed: ", trim(output.err), "; does ", file, " give user ", ::geteuid(),
                " the ids that the config maps?");
}

}  // namespace

void write_id_maps(const Procfs& procfs, int pid, const NamespacePlan& plan) {
    if (!plan.makes(CLONE_NEWUSER)) return;
    const std::string process = std::to_string(pid);
    if (is_ours_to_write(plan.uid_mappings, ::geteuid()))
        write_map(procfs, process + "/uid_map", plan.uid_mappings);
    else
        write_by_helper(pid, "newuidmap", "/etc/subuid", plan.uid_mappings);
    if (!is_ours_to_write(plan.gid_mappings, ::getegid()))
        return write_by_helper(pid, "newgidmap", "/etc/subgid", plan.gid_mappings);
    // Who is not root must give up setgroups first, with which a group could be left that denies
    // something.
    if (::geteuid() != 0) procfs.write(process + "/setgroups", "deny");
    write_map(procfs, process + "/gid_map", plan.gid_mappings);
}

namespace {

std::vector<spec::IdMapping> parse_id_map(const std::string& text) {
    std::vector<spec::IdMapping> mappings;
    for (const std::string& line : split(text, '\n')) {
        std::vector<uint32_t> numbers;
        for (const std::string& word : split(line, ' '))
            if (const auto number = parse_number<uint32_t>(word)) numbers.push_back(*number);
        if (numbers.size() == 3)
            mappings.push_back(
                {.container_id = numbers[0], .host_id = numbers[1], .size = numbers[2]});
    }
    return mappings;
}

}  // namespace

IdMaps read_id_maps(const Procfs& procfs, int pid) {
    const auto read = [&](const char* file) {
        return parse_id_map(sys::read_all(procfs.open(str(pid, file), O_RDONLY).get(), 1 << 20));
    };
    return {.uids = read("/uid_map"), .gids = read("/gid_map")};
}

std::optional<uint32_t> host_id(const std::vector<spec::IdMapping>& mappings, uint32_t inside) {
    for (const spec::IdMapping& m : mappings)
        if (inside >= m.container_id && inside - m.container_id < m.size)
            return m.host_id + (inside - m.container_id);
    return {};
}

std::vector<OpenNamespace> open_namespaces(const NamespacePlan& plan) {
    std::vector<OpenNamespace> opened;
    for (const NamespacePlan::Join& join : plan.join) {
        UniqueFd fd = context(str("linux.namespaces: namespace path ", quoted(join.path)),
                              [&] { return sys::open(join.path, O_RDONLY | O_NONBLOCK); });
        if (::ioctl(fd.get(), NS_GET_NSTYPE) != int(join.flag))
            throw Error("linux.namespaces: namespace path ", quoted(join.path), " is not a ",
                        join.type, " namespace");
        opened.push_back({join.flag, std::move(fd), join.path});
    }
    return opened;
}

bool try_join(const OpenNamespace& target) {
    if (::setns(target.fd.get(), int(target.flag)) == 0) return true;
    if (errno == EPERM) return false;
    throw SysError("joining the namespace ", quoted(target.path));
}

void join(const OpenNamespace& target) {
    if (!try_join(target))
        throw SysError(EPERM, str("joining the namespace ", quoted(target.path)));
}

UniqueFd open_time_offsets(const NamespacePlan& plan) {
    return plan.time_offsets.empty() ? UniqueFd{}
                                     : Procfs::of_host().open("self/timens_offsets", O_WRONLY);
}

void make_own_namespaces(const NamespacePlan& plan, const Procfs& procfs,
                         const UniqueFd& time_offsets) {
    if (!plan.by_init) return;
    check(::unshare(int(plan.by_init)), "unshare of namespaces");
    std::string offsets;
    for (const auto& [clock, offset] : plan.time_offsets)
        offsets += str(clock, " ", offset.secs, " ", offset.nanosecs, "\n");
    if (time_offsets && ::write(time_offsets.get(), offsets.data(), offsets.size()) < 0)
        throw SysError("linux.timeOffsets: write /proc/self/timens_offsets");
    if ((plan.by_init & CLONE_NEWTIME) == 0) return;
    // What unshare made is for children; an exec enters it too, but not before Linux 6.3.
    const UniqueFd clocks = sys::openat(procfs.open("self/ns", O_PATH | O_DIRECTORY).get(),
                                        "time_for_children", O_RDONLY);
    check(::setns(clocks.get(), CLONE_NEWTIME), "joining the own time namespace");
}
