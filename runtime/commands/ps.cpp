// The columns are the caller's choice, as options of the host's ps, so where the pid stands is only
// known from the word PID in the header; without that word nothing is shown, rather than
// everything. Which processes are the container's is read before ps looks, so one that is born in
// between is missing.
#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/process.h"
#include "runtime/commands/commands.h"
#include "runtime/state/container.h"

static constexpr Option ps_options[] = {
    {"format,f", "FORMAT", "select one of: table or json", "table"},
};

// The host's ps knows the columns people like; its rows are kept if the process is the container's.
static void print_table(const std::vector<int>& pids, std::vector<std::string> words) {
    if (words.empty()) words = {"-ef"};
    words.insert(words.begin(), "ps");
    const Output output = run_program(words);
    if (output.status.shell() != 0)
        throw Error("exit status ", output.status.shell(), ": ", trim(output.err));
    const std::vector<std::string> lines = split(output.out, '\n');
    const auto fields = [](const std::string& line) {
        std::vector<std::string> found;
        for (std::string& word : split(line, ' '))
            if (!word.empty()) found.push_back(std::move(word));
        return found;
    };
    const std::vector<std::string> header = fields(lines[0]);
    const auto column = std::ranges::find(header, "PID") - header.begin();
    if (column == std::ssize(header)) throw Error("couldn't find PID field in ps output");
    std::puts(lines[0].c_str());
    for (const std::string& line : lines) {
        const std::vector<std::string> row = fields(line);
        if (std::ssize(row) <= column) continue;
        const auto pid = parse_number<int>(row[size_t(column)]);
        if (pid && std::ranges::find(pids, *pid) != pids.end()) std::puts(line.c_str());
    }
}

static int ps(const Arguments& globals, const Arguments& args) {
    const Container container = Container::load(state_root(globals), args[0]);
    std::vector<int> pids = container.pids();
    std::ranges::sort(pids);
    if (args.get("format") == "json") {
        std::vector<std::string> numbers;
        for (const int pid : pids) numbers.push_back(std::to_string(pid));
        std::printf("%s\n", numbers.empty() ? "null" : ("[" + join(numbers, ",") + "]").c_str());
        return 0;
    }
    if (args.get("format") != "table")
        throw Error("invalid format option: ", quoted(args.get("format")));
    print_table(pids, {args.words().begin() + 1, args.words().end()});
    return 0;
}

constinit const Command ps_command = {
    .name = "ps",
    .synopsis = "<container-id> [ps options]",
    .summary = "displays the processes running inside a container",
    .options = ps_options,
    .least = 1,
    .run = ps,
};
