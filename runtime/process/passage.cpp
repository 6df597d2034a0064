// A death signal that is asked for too late never comes, and the creator's pid tells nothing from
// within a pid namespace: 0, alive or dead. But a dead creator's end of the channel is closed, so
// that is looked at once the signal is set. /proc shows the bytes where the kernel put our words,
// whatever they are now; it goes on into the environment if the last one is not 0. So all are
// overwritten, and the last stays 0.
#include "runtime/process/passage.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/sys.h"

void hide() { ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

void set_out(Channel& channel) {
    channel.become(Side::init);
    channel.carry_log();
    end_with_creator(channel);
}

bool can_create_hidden() { return ::geteuid() == 0; }

void end_with_creator(const Channel& channel) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    // It may have ended before. Its pid says nothing: from within a pid namespace it is 0 alive or
    // dead.
    pollfd creator{channel.fd(), 0, 0};
    if (::poll(&creator, 1, 0) > 0 && (creator.revents & POLLHUP) != 0) ::_exit(1);
}

void outlive_creator() { ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0); }

void hand_over(Child sibling, Channel& channel) {
    channel.send(Step::pid, std::to_string(sibling.release()));
    ::_exit(0);
}

Child take_over(const Message& born) {
    const int pid = parse_number<int>(born.text).value_or(-1);
    return Child(pid, sys::pidfd_open_if_exists(pid));
}

void become_root_inside(const Channel& channel) {
    static constexpr const char* becoming =
        "becoming root in the user namespace (has it a mapping for container id 0?)";
    check(::setresgid(0, 0, 0), becoming);
    check(::setresuid(0, 0, 0), becoming);
    hide();
    end_with_creator(channel);
}

namespace {
// From the first byte of the command line to the last of the environment, which the kernel puts
// behind it.
char *words_begin = nullptr, *words_end = nullptr;
}  // namespace

void remember_words(int count, char** words) {
    if (count == 0) return;
    words_begin = words[0], words_end = words[count - 1] + std::strlen(words[count - 1]) + 1;
    for (char** entry = environ; entry && *entry; ++entry)
        if (*entry == words_end) words_end += std::strlen(*entry) + 1;
}

void overwrite_words() {
    static std::string path;
    static char* environment[] = {nullptr, nullptr};
    if (const char* given = std::getenv("PATH"))
        path = str("PATH=", given), environment[0] = path.data();
    environ = environment;
    if (!words_begin) return;
    // The last byte stays 0, or /proc would look for the command line's end in the environment.
    constexpr std::string_view shown = "keg-runtime init";
    const size_t size = size_t(words_end - words_begin);
    std::memset(words_begin, 0, size);
    if (size > shown.size()) shown.copy(words_begin, shown.size());
}
