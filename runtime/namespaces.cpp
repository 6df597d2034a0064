#include "runtime/namespaces.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <linux/nsfs.h>
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
    {"user", CLONE_NEWUSER, "user"},   {"pid", CLONE_NEWPID, "pid"},       {"network", CLONE_NEWNET, "net"},
    {"ipc", CLONE_NEWIPC, "ipc"},      {"uts", CLONE_NEWUTS, "uts"},       {"cgroup", CLONE_NEWCGROUP, "cgroup"},
    {"time", CLONE_NEWTIME, "time"},   {"mount", CLONE_NEWNS, "mnt"},
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
            if (plan.has(kind.flag)) throw Error("malformed spec file: duplicated ns ", quoted(kind.type));
            if (!wanted.path.empty()) plan.join.push_back({kind.flag, wanted.path, wanted.type});
            else if ((kind.flag & (CLONE_NEWCGROUP | CLONE_NEWTIME)) != 0) plan.by_init |= kind.flag;
            else plan.with_clone |= kind.flag;
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
    } else if (!plan.joins(CLONE_NEWUSER) && !(linux.uid_mappings.empty() && linux.gid_mappings.empty())) {
        throw Error("user namespace mappings specified, but user namespace isn't enabled in the config");
    }
    if (!linux.time_offsets.empty() && !plan.makes(CLONE_NEWTIME))
        throw Error("time namespace offsets specified, but new time namespace isn't enabled in the config");
    plan.time_offsets = linux.time_offsets;
    return plan;
}

bool is_rootless() {
    if (::geteuid() != 0) return true;
    if (read_file("/proc/self/uid_map").contains("4294967295")) return false;   // the host's own
    const char* user = std::getenv("USER");
    return !user || std::string_view(user) != "root";
}

std::string id_map_text(const std::vector<spec::IdMapping>& mappings) {
    std::string text;
    for (const spec::IdMapping& m : mappings)
        text += str(m.container_id, " ", m.host_id, " ", m.size, "\n");
    return text;
}

namespace {

void write_one_map(int pid, const char* file, const char* helper, const std::vector<spec::IdMapping>& mappings) {
    if (::geteuid() == 0) return write_file(str("/proc/", pid, "/", file), id_map_text(mappings));
    // One line that maps the caller to itself needs no help.
    try {
        return write_file(str("/proc/", pid, "/", file), id_map_text(mappings));
    } catch (const SysError&) {
    }
    std::vector<std::string> argv{helper, std::to_string(pid)};
    for (const spec::IdMapping& m : mappings)
        for (const uint32_t number : {m.container_id, m.host_id, m.size}) argv.push_back(std::to_string(number));
    const Output output = run_program(argv);
    if (output.status.shell() != 0) throw Error(helper, " failed: ", trim(output.err));
}

}  // namespace

void write_id_maps(int pid, const NamespacePlan& plan) {
    if (!plan.makes(CLONE_NEWUSER)) return;
    // Without privilege over the groups, setgroups must be given up before the map may be written.
    if (::geteuid() != 0 && plan.gid_mappings.size() == 1 && plan.gid_mappings[0].size == 1)
        write_file(str("/proc/", pid, "/setgroups"), "deny");
    write_one_map(pid, "uid_map", "newuidmap", plan.uid_mappings);
    write_one_map(pid, "gid_map", "newgidmap", plan.gid_mappings);
}

std::vector<OpenNamespace> open_namespaces(const NamespacePlan& plan) {
    std::vector<OpenNamespace> opened;
    for (const NamespacePlan::Join& join : plan.join) {
        UniqueFd fd = context(str("namespace path ", quoted(join.path)),
                              [&] { return sys::open(join.path, O_RDONLY | O_NONBLOCK); });
        if (::ioctl(fd.get(), NS_GET_NSTYPE) != int(join.flag))
            throw Error("namespace path ", quoted(join.path), " is not a ", join.type, " namespace");
        opened.push_back({join.flag, std::move(fd), join.path});
    }
    return opened;
}

void join(const OpenNamespace& target) {
    if (::setns(target.fd.get(), int(target.flag)) == 0) return;
    throw SysError("joining the namespace ", quoted(target.path));
}

void make_own_namespaces(const NamespacePlan& plan) {
    if (!plan.by_init) return;
    check(::unshare(int(plan.by_init)), "unshare of namespaces");
    std::string offsets;
    for (const auto& [clock, offset] : plan.time_offsets)
        offsets += str(clock, " ", offset.secs, " ", offset.nanosecs, "\n");
    if (!offsets.empty()) write_file("/proc/self/timens_offsets", offsets);
    if ((plan.by_init & CLONE_NEWTIME) == 0) return;
    // What unshare made is for children; an exec enters it too, but not before Linux 6.3.
    const UniqueFd clocks = sys::open("/proc/self/ns/time_for_children", O_RDONLY);
    check(::setns(clocks.get(), CLONE_NEWTIME), "joining the own time namespace");
}
