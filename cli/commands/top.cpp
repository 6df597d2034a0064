// The host's ps(1) says what there is to say of processes; of its lines those of the container's
// processes are shown, which the runtime names.
#include <algorithm>
#include <cstdio>
#include <set>

#include "base/json.h"
#include "base/process.h"
#include "cli/commands.h"
#include "runtime/client.h"

namespace {

std::set<std::string> processes(const Containers& containers, const Container& container) {
    const RuntimeClient runtime(volatile_directory(containers.store_root()) + "/runtime",
                                container.settings().runtime);
    const json::Value all = json::parse(runtime.ask({"ps", "--format", "json", container.id()}));
    std::set<std::string> pids;
    for (const json::Value& pid : all) pids.insert(str(pid.get<int64_t>()));
    return pids;
}

// The words of a line, of which the last goes to its end.
std::vector<std::string> fields_of(const std::string& line, size_t most) {
    std::vector<std::string> out;
    for (size_t at = line.find_first_not_of(' '); at != std::string::npos;) {
        const size_t end = out.size() + 1 == most ? std::string::npos : line.find(' ', at);
        out.push_back(line.substr(at, end == std::string::npos ? end : end - at));
        at = end == std::string::npos ? end : line.find_first_not_of(' ', end);
    }
    return out;
}

int top(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const Container container = containers.get(args[0]);
    const std::string status = container.state().status;
    if (status != "running" && status != "paused")
        throw Error("container ", container.id(), " is not running");
    std::vector<std::string> words = {"ps"};
    words.insert(words.end(), args.words().begin() + 1, args.words().end());
    if (words.size() == 1) words.push_back("-ef");
    const std::set<std::string> pids = processes(containers, container);
    const Output out = run_program(words);
    if (out.status.shell() != 0) throw Error("ps: ", trim(out.err));
    const std::vector<std::string> lines = split(out.out, '\n');
    const std::vector<std::string> head = fields_of(lines[0], size_t(-1));
    const auto column = std::ranges::find(head, "PID");
    if (column == head.end()) throw Error("Couldn't find PID field in ps output");
    std::printf("%s\n", lines[0].c_str());
    for (const std::string& line : lines) {
        const std::vector<std::string> fields = fields_of(line, head.size());
        const size_t at = size_t(column - head.begin());
        if (fields.size() > at && pids.contains(fields[at]))
            std::printf("%s\n", visible(line).c_str());
    }
    return 0;
}

}  // namespace

constinit const Command top_command = {
    .name = "top",
    .synopsis = "CONTAINER [PS OPTIONS]",
    .summary = "show the processes of a container",
    .least = 1,
    .run = top,
};
