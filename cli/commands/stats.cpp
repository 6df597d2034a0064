// The runtime reads the cgroup; how much of a processor a container uses is the difference of two
// readings. On a terminal the table is drawn over itself until ^C; a container that ends meanwhile
// leaves it.
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <map>

#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "runtime/client.h"

namespace {

constexpr Option stats_options[] = {
    {"all,a", nullptr, "stopped ones too"},
    {"format", "FORMAT", "a template, json or table"},
    {"no-stream", nullptr, "only once"},
    {"no-trunc", nullptr, "whole IDs"},
};

constexpr Column stats_columns[] = {
    {"Container", "CONTAINER"},
    {"ID", "CONTAINER ID"},
    {"Name", "NAME"},
    {"CPUPerc", "CPU %"},
    {"MemUsage", "MEM USAGE / LIMIT"},
    {"MemPerc", "MEM %"},
    {"NetIO", "NET I/O"},
    {"BlockIO", "BLOCK I/O"},
    {"PIDs", "PIDS"},
};

struct Reading {
    double when = 0;   // seconds
    uint64_t cpu = 0;  // nanoseconds
    uint64_t memory = 0, limit = 0, pids = 0, read = 0, written = 0, received = 0, sent = 0;
};

double seconds_now() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return double(now.tv_sec) + double(now.tv_nsec) / 1e9;
}

uint64_t machine_memory() {
    return uint64_t(::sysconf(_SC_PHYS_PAGES)) * uint64_t(::sysconf(_SC_PAGESIZE));
}

uint64_t number_at(const json::Value& document, const char* path) {
    const json::Value* at = &document;
    for (const std::string& key : split(path, '/')) {
        if (!at->is_object() || !at->contains(key)) return 0;
        at = &(*at)[key];
    }
    return at->is_number() ? at->get<uint64_t>() : 0;
}

// The bytes of all its interfaces but the loopback.
void read_network(pid_t pid, Reading& to) {
    const auto text = read_file_if_exists(str("/proc/", pid, "/net/dev"));
    for (const std::string& line : split(text.value_or(""), '\n')) {
        const size_t colon = line.find(':');
        if (colon == std::string::npos || trim(line.substr(0, colon)) == "lo") continue;
        std::vector<uint64_t> numbers;
        for (const std::string& word : split(line.substr(colon + 1), ' '))
            if (const auto number = parse_number<uint64_t>(word)) numbers.push_back(*number);
        if (numbers.size() >= 9) to.received += numbers[0], to.sent += numbers[8];
    }
}

std::optional<Reading> read_stats(const Containers& containers, const Container& container) {
    const State state = container.state();
    if (state.status != "running" && state.status != "paused") return {};
    const RuntimeClient runtime(volatile_directory(containers.store_root()) + "/runtime",
                                container.settings().runtime);
    json::Value data;
    try {
        data = json::parse(runtime.ask({"events", "--stats", container.id()}))
                   .value("data", json::Value::object());
    } catch (const Error&) {  // it has ended meanwhile
        return {};
    }
    Reading reading{.when = seconds_now(),
                    .cpu = number_at(data, "cpu/usage/total"),
                    .memory = number_at(data, "memory/usage/usage"),
                    .limit = number_at(data, "memory/usage/limit"),
                    .pids = number_at(data, "pids/current")};
    // What the kernel gives back when it is needed is not counted, as in Docker.
    for (const char* cache : {"memory/raw/total_inactive_file", "memory/raw/inactive_file"})
        if (const uint64_t bytes = number_at(data, cache); bytes && bytes < reading.memory) {
            reading.memory -= bytes;
            break;
        }
    const uint64_t machine = machine_memory();
    if (!reading.limit || reading.limit > machine) reading.limit = machine;
    if (data.contains("blkio") && data["blkio"].contains("ioServiceBytesRecursive"))
        for (const json::Value& one : data["blkio"]["ioServiceBytesRecursive"]) {
            const std::string op = lower(one.value("op", ""));
            if (op == "read") reading.read += one.value("value", uint64_t(0));
            if (op == "write") reading.written += one.value("value", uint64_t(0));
        }
    read_network(state.pid, reading);
    return reading;
}

// "1.5MiB", with four digits.
std::string binary_size(uint64_t bytes) {
    static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = double(bytes);
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
    char text[32];
    std::snprintf(text, sizeof text, "%.4g%s", value, units[unit]);
    return text;
}

std::string percent(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f%%", value);
    return text;
}

json::Value row_of(const Container& container, const std::optional<Reading>& before,
                   const std::optional<Reading>& now, bool whole) {
    const std::string id = whole ? container.id() : container.id().substr(0, 12);
    json::Value row = {{"Container", id},
                       {"ID", id},
                       {"Name", container.settings().name},
                       {"CPUPerc", "--"},
                       {"MemUsage", "-- / --"},
                       {"MemPerc", "--"},
                       {"NetIO", "-- / --"},
                       {"BlockIO", "-- / --"},
                       {"PIDs", "--"}};
    if (!now) return row;
    double cpu = 0;
    if (before && now->when > before->when && now->cpu >= before->cpu)
        cpu = double(now->cpu - before->cpu) / 1e9 / (now->when - before->when) * 100;
    row["CPUPerc"] = percent(cpu);
    row["MemUsage"] = binary_size(now->memory) + " / " + binary_size(now->limit);
    row["MemPerc"] = percent(now->limit ? double(now->memory) / double(now->limit) * 100 : 0);
    row["NetIO"] = human_size(now->received) + " / " + human_size(now->sent);
    row["BlockIO"] = human_size(now->read) + " / " + human_size(now->written);
    row["PIDs"] = str(now->pids);
    return row;
}

std::vector<Container> wanted_containers(const Containers& containers, const Arguments& args) {
    std::vector<Container> out;
    for (const std::string& name : args.words()) out.push_back(containers.get(name));
    if (!args.words().empty()) return out;
    for (const Container& container : containers.list())
        if (args.flag("all") || container.state().status == "running") out.push_back(container);
    return out;
}

int stats(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    std::map<std::string, std::optional<Reading>> before;
    const bool once = args.flag("no-stream");
    for (const Container& container : wanted_containers(containers, args))
        before[container.id()] = read_stats(containers, container);
    for (;;) {
        ::usleep(once ? 500'000 : 1'000'000);
        std::vector<json::Value> rows;
        for (const Container& container : wanted_containers(containers, args)) {
            const auto now = read_stats(containers, container);
            rows.push_back(row_of(container, before[container.id()], now, args.flag("no-trunc")));
            before[container.id()] = now;
        }
        if (!once && ::isatty(1)) std::printf("\033[H\033[J");
        print_listing(args.get("format"),
                      "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}"
                      "\t{{.BlockIO}}\t{{.PIDs}}",
                      stats_columns, rows);
        if (once || std::fflush(stdout) != 0) return 0;
    }
}

}  // namespace

constinit const Command stats_command = {
    .name = "stats",
    .synopsis = "[CONTAINER...]",
    .summary = "show what containers use of the machine",
    .options = stats_options,
    .interspersed = true,
    .run = stats,
};
