#include "runtime/signals.h"

#include <signal.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace {

struct Named {
    std::string_view name;
    int number;
};
constexpr Named signals[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ILL", SIGILL},       {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT},     {"IOT", SIGIOT},   {"BUS", SIGBUS},   {"FPE", SIGFPE},       {"KILL", SIGKILL},
    {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2}, {"PIPE", SIGPIPE},     {"ALRM", SIGALRM},
    {"TERM", SIGTERM},     {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD}, {"CLD", SIGCHLD},  {"CONT", SIGCONT},
    {"STOP", SIGSTOP},     {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},
    {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},         {"POLL", SIGPOLL}, {"PWR", SIGPWR},   {"SYS", SIGSYS},
};
// What the kernel says: glibc keeps two of the 34 for itself.
constexpr int first_realtime = 34, last_realtime = 64;

int realtime(std::string_view name) {
    if (name == "RTMIN") return first_realtime;
    if (name == "RTMAX") return last_realtime;
    if (name.starts_with("RTMIN+"))
        if (const auto n = parse_number<unsigned>(name.substr(6)); n && *n <= 30) return first_realtime + int(*n);
    if (name.starts_with("RTMAX-"))
        if (const auto n = parse_number<unsigned>(name.substr(6)); n && *n <= 30) return last_realtime - int(*n);
    return 0;
}

}  // namespace

int parse_signal(std::string_view text) {
    // The kernel knows which numbers are signals; 0 asks whether there is somebody.
    if (const auto number = parse_number<unsigned short>(text)) return *number;
    const std::string typed = upper(std::string(text));
    std::string_view name = typed;
    if (name.starts_with("SIG")) name.remove_prefix(3);
    if (const auto* found = std::ranges::find(signals, name, &Named::name); found != std::end(signals))
        return found->number;
    if (const int number = realtime(name)) return number;
    throw Error("unknown signal ", quoted(text));
}

std::string signal_text(int number) {
    const char* known = ::sigdescr_np(number);
    if (!known) return str("signal ", number);
    std::string text = known;
    text[0] = char(text[0] | 0x20);
    return text;
}
