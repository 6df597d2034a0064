#include "engine/status.h"

#include "base/duration.h"

#include "base/log.h"
#include "base/text.h"

std::string status_words(const State& state, long long now) {
    const auto since = [&](const std::string& when) {
        return when.empty() ? std::string("Less than a second")
                            : human_duration((now - parse_rfc3339(when)) / 1'000'000'000);
    };
    if (state.status == "running") return "Up " + since(state.started_at);
    if (state.status == "paused") return "Up " + since(state.started_at) + " (Paused)";
    if (state.status == "restarting")
        return str("Restarting (", state.exit_code, ") ", since(state.finished_at), " ago");
    if (state.status == "exited")
        return str("Exited (", state.exit_code, ") ", since(state.finished_at), " ago");
    return state.status == "dead" ? "Dead" : "Created";
}
