// A build may end at any moment, but nothing of it must go on or stay: no container, no mount, no
// directory. So a process of its own session waits for the build's end, and then removes what there
// is, also when the build was removing it. It has the build's locks too: nobody else touches the
// directory before that is done. It is not told what was done in the directory, but looks: what is
// mounted below it, which containers the runtime's state in it names.
#include "builder/workplace.h"

#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <vector>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mount_table.h"
#include "runtime/client.h"

namespace {

void clear(const std::string& work) {
    const RuntimeClient runtime(work + "/state");
    attempt("looking for containers of a build that was killed", [&] {
        for (const std::string& id : names_in_if_exists(runtime.state_root()))
            attempt("removing such a container", [&] { runtime.remove(id); });
    });
    for (const std::string& target : mounts_below(work))
        attempt("unmounting " + target, [&] { sys::umount(target, MNT_DETACH | UMOUNT_NOFOLLOW); });
    attempt("removing " + work, [&] { sys::remove_tree(work); });
}

}  // namespace

// The signals that end the build must not come between a directory and its guard.
Workplace::SignalsBlocked::SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, &before_);
}
Workplace::SignalsBlocked::~SignalsBlocked() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

Workplace::Workplace(const Store& store, const std::string& purpose)
    : Workplace(store, purpose, SignalsBlocked()) {}

Workplace::Workplace(const Store& store, const std::string& purpose, const SignalsBlocked&)
    : work_(store.work_dir(purpose)) {
    guard_ = after_our_end([&] { clear(path()); });
}
