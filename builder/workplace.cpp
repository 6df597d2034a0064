// A build may end at any moment, but nothing of it must go on or stay: no container, no mount, no
// directory. So a process of its own session waits for the end of a pipe that only the build holds,
// and then removes what there is. It has the build's locks too: nobody else touches the directory
// before that is done. It is not told what was done in the directory, but looks: what is mounted
// below it, which containers the runtime's state in it names.
#include "builder/workplace.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/client.h"

namespace {

// Deepest first.
std::vector<std::string> mounts_below(const std::string& directory) {
    std::vector<std::string> out;
    for (const std::string& line : split(read_file("/proc/self/mountinfo"), '\n')) {
        const std::vector<std::string> fields = split(line, ' ');
        if (fields.size() > 4 && fields[4].starts_with(directory + "/")) out.push_back(fields[4]);
    }
    std::ranges::reverse(out);
    return out;
}

std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> out;
    DIR* const dir = ::opendir(directory.c_str());
    if (!dir) return out;
    const Defer closed([&] { ::closedir(dir); });
    while (const dirent* entry = ::readdir(dir))
        if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
    return out;
}

void clear(const std::string& work) {
    const RuntimeClient runtime(work + "/state");
    for (const std::string& id : names_in(runtime.state_root()))
        attempt("removing the container of a build that was killed", [&] { runtime.remove(id); });
    for (const std::string& target : mounts_below(work))
        attempt("unmounting " + target, [&] { sys::umount(target, MNT_DETACH | UMOUNT_NOFOLLOW); });
    attempt("removing " + work, [&] { sys::remove_tree(work); });
}

}  // namespace

// The signals that end the build must not come between a directory and its guard, nor end the
// guard.
Workplace::SignalsBlocked::SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, &before_);
}
Workplace::SignalsBlocked::~SignalsBlocked() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

Workplace::Workplace(const Store& store, const std::string& purpose)
    : Workplace(store, purpose, SignalsBlocked()) {}

Workplace::Workplace(const Store& store, const std::string& purpose, const SignalsBlocked&)
    : work_(store.work_dir(purpose)), pipe_(sys::pipe()) {
    guard_ = clone_process(
        {}, [this, build = ::getpid()] { wait_and_clear(build); },
        [](const std::exception& e) { log_warning(e.what()); });
    pipe_.read.reset();
}

void Workplace::wait_and_clear(pid_t build) {
    ::setsid();
    pipe_.write.reset();
    char none;
    while (::read(pipe_.read.get(), &none, 1) < 0 && errno == EINTR) {
    }
    // Who has another parent has seen the runtime killed: it starts nothing any more.
    while (::getppid() == build) ::usleep(1000);
    clear(path());
}
