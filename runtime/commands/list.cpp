// What runc prints is parsed: no containers are `null` in JSON, and a table has the columns that
// Go's tabwriter makes. A root directory that is missing holds no containers, unless somebody named
// it: then it is an error. Containers come and go meanwhile, and one that cannot be read is a
// warning (Container::all) that hides no other.
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "runtime/commands/commands.h"
#include "runtime/state/container.h"

static constexpr Option list_options[] = {
    {"format,f", "FORMAT", "select one of: table or json", "table"},
    {"quiet,q", nullptr, "display only container IDs"},
};

// Columns as wide as their widest word and three blanks, at least 12: as Go's tabwriter makes
// runc's.
static void print_table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<size_t> widths(rows[0].size());
    for (const auto& row : rows)
        for (size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max({widths[i], row[i].size() + 3, size_t(12)});
    for (const auto& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i)
            line +=
                i + 1 < row.size() ? row[i] + std::string(widths[i] - row[i].size(), ' ') : row[i];
        std::puts(line.c_str());
    }
}

static int list(const Arguments& globals, const Arguments& args) {
    const std::string root = state_root(globals);
    if (!globals.get("root").empty() && ::access(root.c_str(), R_OK) < 0)
        throw SysError("open ", root);
    std::vector<spec::State> states;
    for (const Container& container : Container::all(root)) states.push_back(container.state(true));
    if (args.flag("quiet")) {
        for (const spec::State& state : states) std::puts(state.id.c_str());
    } else if (args.get("format") == "table") {
        std::vector<std::vector<std::string>> rows{
            {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
        for (const spec::State& s : states)
            rows.push_back({s.id, std::to_string(s.pid), s.status, s.bundle, s.created, s.owner});
        print_table(rows);
    } else if (args.get("format") == "json") {
        std::vector<std::string> documents;
        for (const spec::State& state : states) documents.push_back(spec::write(state, -1));
        std::printf("%s\n",
                    documents.empty() ? "null" : ("[" + join(documents, ",") + "]").c_str());
    } else {
        throw Error("invalid format option: ", quoted(args.get("format")));
    }
    return 0;
}

constinit const Command list_command = {
    .name = "list",
    .synopsis = "",
    .summary = "lists containers started by keg-runtime with the given root",
    .options = list_options,
    .least = 0,
    .most = 0,
    .interspersed = true,
    .run = list,
};
