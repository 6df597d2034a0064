#include "runtime/security_labels.h"

#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"

namespace {

void write_attribute(int procfs, const std::string& module_path, const std::string& text) {
    open_how how{};
    how.flags = O_WRONLY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    auto fd = sys::try_openat2(procfs, "thread-self/attr/" + module_path, how);
    if (!fd && module_path != "exec") fd = sys::try_openat2(procfs, "thread-self/attr/exec", how);
    if (!fd) throw SysError(fd.error(), "open /proc/thread-self/attr/" + module_path);
    sys::write_all(fd->get(), text);
}

}  // namespace

UniqueFd open_procfs() {
    UniqueFd proc = sys::open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW);
    struct statfs fs{};
    check(::fstatfs(proc.get(), &fs), "statfs /proc");
    if (fs.f_type != PROC_SUPER_MAGIC) throw Error("/proc is not a procfs");
    return proc;
}

bool apparmor_enabled() {
    const auto text = read_file_if_exists("/sys/module/apparmor/parameters/enabled");
    return text && text->starts_with('Y') && sys::exists("/sys/kernel/security/apparmor");
}

bool selinux_enabled() { return sys::exists("/sys/fs/selinux/enforce"); }

void require_label_modules(const std::string& apparmor_profile, const std::string& selinux_label) {
    if (!apparmor_profile.empty() && !apparmor_enabled()) throw Error("apparmor: config provided but apparmor not supported");
    if (!selinux_label.empty() && !selinux_enabled())
        throw Error("selinux label is specified in config, but selinux is disabled or not supported");
}

void set_exec_labels(int procfs, const std::string& apparmor_profile, const std::string& selinux_label) {
    if (!apparmor_profile.empty())
        context("unable to apply apparmor profile", [&] { write_attribute(procfs, "apparmor/exec", "exec " + apparmor_profile); });
    if (!selinux_label.empty())
        context("unable to apply SELinux label", [&] { write_attribute(procfs, "exec", selinux_label); });
}
