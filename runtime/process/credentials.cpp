// Some answers of the kernel look like success. The id -1 means "as it is", and root would stay
// root: it is refused. setuid without the right to leaves the saved id, to which one could return:
// then setresuid is called, and the older call only by who has the right, since it is the one that
// a profile of system calls is sure to allow. A set with a capability that we or the kernel do not
// have would be refused as a whole: that one is left out, as with runc.
#include "runtime/process/credentials.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "spec/capabilities.h"

namespace {

const std::span<const std::string_view> names = spec::capability_names();

uint64_t bits(const std::vector<std::string>& words, std::vector<std::string>& unknown) {
    uint64_t set = 0;
    for (const std::string& word : words) {
        std::string name = upper(word);
        if (!name.starts_with("CAP_")) name = "CAP_" + name;
        const auto found = std::ranges::find(names, name);
        if (found != names.end())
            set |= uint64_t(1) << (found - names.begin());
        else if (std::ranges::find(unknown, word) == unknown.end())
            unknown.push_back(word);
    }
    return set;
}

uint64_t own_capabilities() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct have[2]{};
    check(::syscall(SYS_capget, &header, have), "capget");
    return have[0].permitted | uint64_t(have[1].permitted) << 32;
}

// What the kernel (or the runtime's own caller) does not have cannot be given: like runc, it is
// left out.
void set_capabilities(const CapabilityPlan& plan, uint64_t can) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const uint64_t permitted = plan.permitted & can, effective = plan.effective & permitted;
    const uint64_t inheritable = plan.inheritable & can & plan.bounding;
    const __user_cap_data_struct wanted[2] = {
        {uint32_t(effective), uint32_t(permitted), uint32_t(inheritable)},
        {uint32_t(effective >> 32), uint32_t(permitted >> 32), uint32_t(inheritable >> 32)},
    };
    check(::syscall(SYS_capset, &header, wanted), "unable to apply caps: capset");
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        throw SysError("clearing ambient capabilities");
    for (unsigned cap = 0; cap < std::size(names); ++cap)
        if (plan.ambient >> cap & 1 && ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            log_warning(
                str("can't raise ambient capability ", names[cap], ": ", errno_text(errno)));
}

void drop_bounding(uint64_t keep) {
    for (unsigned cap = 0; cap < 64; ++cap) {
        if (keep >> cap & 1) continue;
        if (::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) continue;
        if (errno == EINVAL) return;  // the kernel knows no more
        throw SysError("dropping a capability from the bounding set");
    }
}

void set_groups(const spec::User& user) {
    const std::vector<gid_t> groups(user.additional_gids.begin(), user.additional_gids.end());
    if (::setgroups(groups.size(), groups.data()) == 0) return;
    // In a user namespace made without privilege setgroups is denied; with no groups wanted, that
    // is fine.
    if (errno == EPERM && groups.empty()) return;
    const int why = errno;
    throw SysError(
        why, str("setgroups",
                 why == EPERM ? " (a user namespace with no group but its creator's has no others)"
                              : ""));
}

// EINVAL is the kernel's word for an id that the user namespace does not have.
SysError refused(const char* call, uint32_t id) {
    const int why = errno;
    return {why,
            str(call, " ", id, why == EINVAL ? " (is it mapped into the user namespace?)" : "")};
}

// With the right to, the older calls set all three ids, and those are what a profile of system
// calls is sure to allow: runc makes no others. Without it they would leave the saved id.
void set_group(uint32_t gid, uint64_t can) {
    const bool may = (can >> CAP_SETGID & 1) != 0;
    if ((may ? ::setgid(gid) : ::setresgid(gid, gid, gid)) < 0) throw refused("setgid", gid);
}

void set_user(uint32_t uid, uint64_t can) {
    const bool may = (can >> CAP_SETUID & 1) != 0;
    if ((may ? ::setuid(uid) : ::setresuid(uid, uid, uid)) < 0) throw refused("setuid", uid);
}

}  // namespace

CapabilityPlan plan_capabilities(const spec::Process& process) {
    CapabilityPlan plan;
    if (!process.capabilities) return plan;
    const spec::Capabilities& wanted = *process.capabilities;
    plan.bounding = bits(wanted.bounding, plan.unknown);
    plan.effective = bits(wanted.effective, plan.unknown);
    plan.inheritable = bits(wanted.inheritable, plan.unknown);
    plan.permitted = bits(wanted.permitted, plan.unknown);
    plan.ambient = bits(wanted.ambient, plan.unknown);
    // What the kernel gives to nobody: effective is a part of permitted, inheritable of bounding.
    const uint64_t never = (plan.effective & ~plan.permitted) | (plan.inheritable & ~plan.bounding);
    for (unsigned cap = 0; cap < std::size(names); ++cap)
        if (never >> cap & 1) plan.unknown.emplace_back(names[cap]);
    return plan;
}

void warn_about_unknown(const CapabilityPlan& plan) {
    if (!plan.unknown.empty())
        log_warning(
            str("ignoring unknown or unavailable capabilities: [", join(plan.unknown, " "), "]"));
}

void become(const spec::User& user, const CapabilityPlan& plan) {
    // To the kernel this number means "leave it": root would stay root.
    if (user.uid == uint32_t(-1) || user.gid == uint32_t(-1))
        throw Error("unable to setup user: ", uint32_t(-1), " is no id");
    // A config without capabilities gives none (as runc), and the bounding set with them.
    drop_bounding(plan.bounding);
    check(::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keeping capabilities");
    set_groups(user);
    const uint64_t can = own_capabilities();
    set_group(user.gid, can);
    set_user(user.uid, can);
    check(::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0), "dropping capabilities");
    set_capabilities(plan, can);
    ::umask(user.umask.value_or(0022));
}

void set_no_new_privileges() {
    check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "setting no new privileges");
}
