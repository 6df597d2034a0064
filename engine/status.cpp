#include "engine/status.h"

#include "base/log.h"
#include "base/text.h"

std::string duration_words(long long seconds) {
    const long long minutes = seconds / 60, hours = (seconds + 1800) / 3600;
    if (seconds < 1) return "Less than a second";
    if (seconds == 1) return "1 second";
    if (seconds < 60) return str(seconds, " seconds");
    if (minutes == 1) return "About a minute";
    if (minutes < 60) return str(minutes, " minutes");
    if (hours == 1) return "About an hour";
    if (hours < 48) return str(hours, " hours");
    if (hours < 24 * 7 * 2) return str(hours / 24, " days");
    if (hours < 24 * 30 * 2) return str(hours / 24 / 7, " weeks");
    if (hours < 24 * 365 * 2) return str(hours / 24 / 30, " months");
    return str(hours / 24 / 365, " years");
}

std::string status_words(const State& state, long long now) {
    const auto since = [&](const std::string& when) {
        return when.empty() ? std::string("Less than a second")
                            : duration_words((now - parse_rfc3339(when)) / 1'000'000'000);
    };
    if (state.status == "running") return "Up " + since(state.started_at);
    if (state.status == "paused") return "Up " + since(state.started_at) + " (Paused)";
    if (state.status == "exited")
        return str("Exited (", state.exit_code, ") ", since(state.finished_at), " ago");
    return state.status == "dead" ? "Dead" : "Created";
}
