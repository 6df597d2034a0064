// Each instruction is a row and a function that gives the text for the history: words expanded, as
// BuildKit shows them, for tools that read a Dockerfile out of an image.
#include "builder/metadata.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "builder/language/arguments.h"
#include "image/changes.h"

namespace {

struct Call {
    Stage& stage;
    const Statement& statement;
    char escape;

    spec::ContainerConfig& config() const { return stage.config.config; }
    std::string expanded(std::string_view text) const {
        return expand(text, escape, stage.lookup());
    }
};

// ["a" "b"], as Go prints it
std::string list_in_quotes(const std::vector<std::string>& words) {
    std::string out = "[";
    for (const std::string& word : words) out += str(out.size() > 1 ? " " : "", quoted(word));
    return out + "]";
}
std::string list(const std::vector<std::string>& words) { return "[" + join(words, " ") + "]"; }

// The JSON form's words, or the text for the shell.
std::vector<std::string> command(const Call& call) {
    if (call.statement.is_json) return call.statement.json;
    std::vector<std::string> out = call.stage.shell();
    out.push_back(call.statement.rest);
    return out;
}

std::string set_pairs(const Call& call,
                      const std::function<void(const std::string&, const std::string&)>& set) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const auto& [name, value] :
         named_values(call.statement, call.escape).values) {  // all with the values from before
        pairs.emplace_back(call.expanded(name), call.expanded(value));
        if (pairs.back().first.empty())
            throw Error(call.statement.keyword, " names can not be blank");
    }
    std::string shown = call.statement.keyword;
    for (const auto& [name, value] : pairs) {
        set(name, value);
        shown += str(" ", name, "=", value);
    }
    return shown;
}

std::string cmd(const Call& call) {
    call.config().cmd = command(call);
    call.stage.has_cmd = true;
    return "CMD " + list_in_quotes(*call.config().cmd);
}

std::string entrypoint(const Call& call) {
    const std::vector<std::string> words = command(call);
    call.config().entrypoint = words;
    if (words.empty()) call.config().entrypoint.reset();
    if (!call.stage.has_cmd)
        call.config().cmd.reset();  // a base image's was for its own entry point
    return "ENTRYPOINT " + list_in_quotes(words);
}

std::string env(const Call& call) {
    return set_pairs(call, [&](const std::string& name, const std::string& value) {
        call.stage.set_env(name, value);
    });
}

std::string label(const Call& call) {
    return set_pairs(call, [&](const std::string& name, const std::string& value) {
        call.config().labels[name] = value;
    });
}

std::string exposed(const Call& call) {
    spec::ContainerConfig ports;
    for (const std::string& word :
         expand_words(call.statement.rest, call.escape, call.stage.lookup()))
        expose(ports, word);
    call.config().exposed_ports.insert(ports.exposed_ports.begin(), ports.exposed_ports.end());
    std::vector<std::string> shown;
    for (const spec::Port& port : ports.exposed_ports) shown.push_back(port.text());
    return "EXPOSE " + list(shown);
}

// --- HEALTHCHECK

std::string shown_duration(int64_t nanoseconds) {  // as Go prints it: "1m30s", "1.5s", "20ms"
    constexpr int64_t millisecond = 1'000'000, second = 1000 * millisecond;
    const auto decimal = [](int64_t value, int64_t unit) {
        std::string fraction = std::to_string(unit + value % unit).substr(1);
        while (fraction.ends_with('0')) fraction.pop_back();
        return std::to_string(value / unit) + (fraction.empty() ? "" : "." + fraction);
    };
    if (nanoseconds == 0) return "0s";
    if (nanoseconds < second) return decimal(nanoseconds, millisecond) + "ms";
    const int64_t minutes = nanoseconds / (60 * second);
    std::string out = decimal(nanoseconds % (60 * second), second) + "s";
    if (minutes > 0) out = str(minutes % 60, "m", out);
    if (minutes >= 60) out = str(minutes / 60, "h", out);
    return out;
}

std::string healthcheck(const Call& call) {
    const spec::HealthCheck check = health_check(call.statement);
    call.config().healthcheck = check;
    return str("HEALTHCHECK {Test:", list(check.test), " Interval:", shown_duration(check.interval),
               " Timeout:", shown_duration(check.timeout),
               " StartPeriod:", shown_duration(check.start_period),
               " StartInterval:", shown_duration(check.start_interval), " Retries:", check.retries,
               "}");
}

std::string maintainer(const Call& call) {
    call.stage.config.author = call.statement.rest;
    return "MAINTAINER " + call.statement.rest;
}

std::string onbuild(const Call& call) {
    std::string text = call.statement.rest;
    for (const Heredoc& heredoc : call.statement.heredocs)
        text += "\n" + heredoc.content + heredoc.name;
    call.config().on_build.push_back(text);
    return {};
}

std::string shell(const Call& call) {
    if (!call.statement.is_json) throw Error("SHELL requires the arguments to be in JSON form");
    if (call.statement.json.empty()) throw Error("SHELL requires at least one argument");
    call.config().shell = call.statement.json;
    return "SHELL " + list(call.statement.json);
}

std::string stopsignal(const Call& call) {
    const spec::Signal signal(call.expanded(call.statement.rest));
    if (signal.empty()) throw Error("STOPSIGNAL requires exactly one argument");
    call.config().stop_signal = signal;
    return "STOPSIGNAL " + signal.text();
}

std::string user(const Call& call) {
    call.config().user = call.expanded(call.statement.rest);
    if (call.config().user.empty()) throw Error("USER requires exactly one argument");
    return "USER " + call.config().user.text();
}

std::string volume(const Call& call) {
    std::vector<std::string> paths;
    for (const std::string& word :
         call.statement.is_json ? call.statement.json : blank_separated(call.statement.rest)) {
        const std::string path(trim(call.expanded(word)));
        if (path.empty()) throw Error("VOLUME specified can not be an empty string");
        paths.push_back(path);
        call.config().volumes.emplace(path);
    }
    return "VOLUME " + list(paths);
}

struct Row {
    std::string_view keyword;
    std::string (*apply)(const Call&);
};
constexpr Row rows[] = {
    {"CMD", cmd},
    {"ENTRYPOINT", entrypoint},
    {"ENV", env},
    {"EXPOSE", exposed},
    {"HEALTHCHECK", healthcheck},
    {"LABEL", label},
    {"MAINTAINER", maintainer},
    {"ONBUILD", onbuild},
    {"SHELL", shell},
    {"STOPSIGNAL", stopsignal},
    {"USER", user},
    {"VOLUME", volume},
};

}  // namespace

std::optional<std::string> apply_metadata(Stage& stage, const Statement& statement, char escape) {
    const auto row = std::ranges::find(rows, statement.keyword, &Row::keyword);
    if (row == std::end(rows)) return {};
    return row->apply({stage, statement, escape});
}
