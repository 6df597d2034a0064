#include "runtime/process/keyring.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

void label_new_keys(const Procfs& procfs, const std::string& selinux_label) {
    if (!selinux_label.empty()) procfs.write("thread-self/attr/keycreate", selinux_label);
}

void join_new_session_keyring() {
    const long joined = ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
    // EPERM is the word of a seccomp filter around us, which holds for the container too: no keys
    // at all.
    if (joined < 0 && errno != ENOSYS && errno != EPERM)
        throw SysError("unable to join session keyring: unable to create session key");
}
