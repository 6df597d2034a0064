// The end of a log that is followed is not in the log: it is there when the container is removed or
// its process neither runs nor is paused. That is asked before the log is read, so that the last
// words are read after the answer (print_log).
#include "engine/logs.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "engine/container.h"

namespace {

constexpr Option logs_options[] = {
    {"details", nullptr, "", "", true},
    {"follow,f", nullptr, "go on until the container ends"},
    {"since", "TIME", "a time (RFC 3339, Unix) or a duration before now"},
    {"tail,n", "LINES", "only the last lines", "all"},
    {"timestamps,t", nullptr, "the time before each line"},
    {"until", "TIME", "a time or a duration before now"},
};

int logs(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const Container container = containers.get(args[0]);
    const std::string& driver = container.settings().log.driver;
    if (driver == "none" || driver == "passthrough")
        throw Error("configured logging driver does not support reading");
    LogQuery query{.follow = args.flag("follow"),
                   .timestamps = args.flag("timestamps"),
                   .since = parse_when(args.get("since")),
                   .until = parse_when(args.get("until")),
                   .terminal = container.settings().tty};
    if (const std::string tail = args.get("tail"); tail != "all") {
        const auto lines = parse_number<long long>(tail);
        if (!lines) throw Error("invalid tail value: ", tail);
        query.tail = *lines < 0 ? -1 : *lines;
    }
    print_log(container.file("log"), query, [&] {
        if (!sys::exists(container.file("settings.json"))) return true;
        const std::string status = container.state().status;
        return status != "running" && status != "paused";
    });
    return 0;
}

}  // namespace

constinit const Command logs_command = {
    .name = "logs",
    .synopsis = "CONTAINER",
    .summary = "show a container's output",
    .options = logs_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = logs,
};
