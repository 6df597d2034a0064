// The kernel numbers the real-time signals from 32, the C library from 34, and names them from
// either end: RTMIN+30 is RTMAX.
#include "base/signal_names.h"

#include <signal.h>

#include <algorithm>
#include <string>

#include "base/text.h"

namespace {

struct Named {
    std::string_view name;
    int number;
};
constexpr Named signals[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},
    {"TRAP", SIGTRAP},     {"ABRT", SIGABRT},   {"IOT", SIGIOT},   {"BUS", SIGBUS},
    {"FPE", SIGFPE},       {"KILL", SIGKILL},   {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},
    {"USR2", SIGUSR2},     {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},   {"CLD", SIGCHLD},  {"CONT", SIGCONT},
    {"STOP", SIGSTOP},     {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
    {"URG", SIGURG},       {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF},     {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"POLL", SIGPOLL},
    {"PWR", SIGPWR},       {"SYS", SIGSYS},
};

std::optional<int> realtime(std::string_view name) {
    constexpr unsigned most = last_realtime_signal - first_realtime_signal;
    if (name == "RTMIN") return first_realtime_signal;
    if (name == "RTMAX") return last_realtime_signal;
    const bool up = name.starts_with("RTMIN+"), down = name.starts_with("RTMAX-");
    if (!up && !down) return {};
    const auto offset = parse_number_between<unsigned>(name.substr(6), 0, most);
    if (!offset) return {};
    return up ? first_realtime_signal + int(*offset) : last_realtime_signal - int(*offset);
}

}  // namespace

std::optional<int> signal_of_name(std::string_view text) {
    const std::string typed = upper(std::string(text));
    std::string_view name = typed;
    if (name.starts_with("SIG")) name.remove_prefix(3);
    const auto* found = std::ranges::find(signals, name, &Named::name);
    return found != std::end(signals) ? found->number : realtime(name);
}
