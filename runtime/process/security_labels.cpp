// The answer is never the text that was written. AppArmor adds the mode and has its own order for
// the profiles of a stack; a new line or a 0 may end it. So profiles are compared as sorted names,
// and SELinux is first asked how it writes the label itself. It is also asked whether the policy
// lets us start a process with it: without that the exec would fail, after create has said that all
// is well. Where AppArmor's file lies depends on the kernel.
#include "runtime/process/security_labels.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"

namespace {

// A label's text has no line of its own: the kernel ends it with a new line, or with the 0 of a C
// string.
std::string_view without_end(std::string_view answer) {
    while (!answer.empty() && (answer.back() == '\n' || answer.back() == '\0'))
        answer.remove_suffix(1);
    return answer;
}

// The names of a stack of profiles, in an order of their own; ":ns://name" is also ":ns:name".
std::vector<std::string> profiles_in(std::string_view label) {
    std::vector<std::string> names;
    for (size_t end = 0; end != std::string_view::npos;) {
        end = label.find("//&");
        std::string name(label.substr(0, end));
        if (const size_t slashes = name.find("://");
            name.starts_with(':') && slashes != std::string::npos)
            name.erase(slashes + 1, 2);
        names.push_back(std::move(name));
        if (end != std::string_view::npos) label.remove_prefix(end + 3);
    }
    std::ranges::sort(names);
    return names;
}

std::string read_back(const Procfs& procfs, const std::string& path) {
    return sys::read_all(procfs.open(path, O_RDONLY).get(), 64 << 10);
}

Error not_set(const std::string& path, std::string_view answer) {
    return Error("/proc/", path, " says ", quoted(without_end(answer)), " afterwards");
}

// Of AppArmor's own files, or those that it had to share with other modules before Linux 5.8.
std::string apparmor_exec(const Procfs& procfs) {
    const std::string own = "thread-self/attr/apparmor/exec", shared = "thread-self/attr/exec";
    try {
        procfs.open(own, O_PATH);
        return own;
    } catch (const SysError& e) {
        if (e.code() != ENOENT) throw;
        return shared;
    }
}

const std::string selinuxfs = "/sys/fs/selinux/";

std::string ask_selinux(const std::string& file, const std::string& question) {
    const UniqueFd fd = sys::open(selinuxfs + file, O_RDWR);
    sys::write_all(fd.get(), question);
    return std::string(without_end(sys::read_all(fd.get(), 64 << 10)));
}

// What the policy forbids would be an exec that fails after `start`. A policy that knows no such
// permission allows it; what else may be in the way (the program's own label, no_new_privs) is left
// to the exec.
void require_transition(const std::string& selinux_label) {
    const auto number = [](std::string_view text, int base = 10) {
        return parse_number<unsigned>(without_end(text), base).value_or(0);
    };
    const auto file = [&](const char* name) {
        return number(read_file_if_exists(selinuxfs + name).value_or(""));
    };
    const unsigned process = file("class/process/index"),
                   transition = file("class/process/perms/transition");
    const std::string own(without_end(read_file("/proc/thread-self/attr/current")));
    if (process == 0 || transition == 0 || own == selinux_label || file("enforce") == 0) return;
    const std::vector<std::string> answer =
        split(ask_selinux("access", str(own, " ", selinux_label, " ", process)), ' ');
    const bool allowed = (number(answer.at(0), 16) >> (transition - 1) & 1) != 0;
    const bool permissive =
        (number(answer.at(5), 16) & 1) != 0;  // we are, in a policy that is enforced for others
    if (!allowed && !permissive)
        throw Error("the policy does not let ", own, " start a process with it");
}

}  // namespace

// securityfs is not asked: podman hides it from us when a container has a user namespace, and a
// profile is set by procfs.
bool apparmor_enabled() {
    const auto text = read_file_if_exists("/sys/module/apparmor/parameters/enabled");
    return text && text->starts_with('Y');
}

bool selinux_enabled() { return sys::exists("/sys/fs/selinux/enforce"); }

bool is_profile(std::string_view answer, std::string_view profile) {
    answer = without_end(answer);
    if (const size_t mode = answer.rfind(" (");
        mode != std::string_view::npos && answer.ends_with(')'))
        answer = answer.substr(0, mode);
    return profiles_in(answer) == profiles_in(profile);
}

void require_profile(const std::string& apparmor_profile) {
    const auto known = read_file_if_exists("/sys/kernel/security/apparmor/profiles");
    if (!known) return;
    const std::vector<std::string> lines = split(*known, '\n');
    for (const std::string& name : profiles_in(apparmor_profile))
        if (!name.empty() && name != "unconfined" && !name.starts_with(':') &&
            std::ranges::none_of(lines,
                                 [&](const std::string& line) { return is_profile(line, name); }))
            throw Error("process.apparmorProfile: apparmor profile ", quoted(name),
                        " is not loaded");
}

void require_label_modules(const std::string& apparmor_profile, std::string& selinux_label) {
    if (!apparmor_profile.empty() && !apparmor_enabled())
        throw Error(
            "process.apparmorProfile: apparmor: config provided but apparmor not supported");
    if (selinux_label.empty()) return;
    if (!selinux_enabled())
        throw Error("process.selinuxLabel: selinux label is specified in config, but selinux is "
                    "disabled or not supported");
    context(str("selinux label ", quoted(selinux_label)), [&] {
        selinux_label = ask_selinux("context", selinux_label);
        require_transition(selinux_label);
    });
}

void set_exec_labels(const Procfs& procfs, const std::string& apparmor_profile,
                     const std::string& selinux_label) {
    if (!apparmor_profile.empty())
        context("unable to apply apparmor profile: apparmor failed to apply profile", [&] {
            const std::string path = apparmor_exec(procfs);
            procfs.write(path, "exec " + apparmor_profile);
            if (const std::string answer = read_back(procfs, path);
                !is_profile(answer, apparmor_profile))
                throw not_set(path, answer);
        });
    if (!selinux_label.empty())
        context("can't set process label", [&] {
            const std::string path = "thread-self/attr/exec";
            procfs.write(path, selinux_label);
            if (const std::string answer = read_back(procfs, path);
                without_end(answer) != selinux_label)
                throw not_set(path, answer);
        });
}
