// To look is to clean up, too: a container that should have removed itself (--rm) and whose monitor
// was killed is removed by whoever comes across it. What a state says changes while we look: each
// is read once, for the filters and for the row.
#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <regex>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "engine/container.h"
#include "engine/lifecycle.h"
#include "engine/status.h"

namespace {

constexpr Option ps_options[] = {
    {"all,a", nullptr, "stopped ones too"},
    {"filter,f", "KEY=VALUE",
     "only those: name, id, status, label, exited, ancestor, publish, expose, network, volume"},
    {"format", "FORMAT", "a template, json or table"},
    {"last,n", "N", "the last N that were created, whatever their state", "", false, Value::integer,
     -1, INT_MAX},
    {"latest,l", nullptr, "the last one that was created"},
    {"no-trunc", nullptr, "whole IDs and commands"},
    {"quiet,q", nullptr, "only the IDs"},
};

constexpr Column columns[] = {
    {"ID", "CONTAINER ID"},
    {"Image", "IMAGE"},
    {"Command", "COMMAND"},
    {"RunningFor", "CREATED"},
    {"CreatedAt", "CREATED AT"},
    {"Status", "STATUS"},
    {"State", "STATE"},
    {"Ports", "PORTS"},
    {"Names", "NAMES"},
    {"Labels", "LABELS"},
    {"Mounts", "MOUNTS"},
    {"Networks", "NETWORKS"},
    {"LocalVolumes", "LOCAL VOLUMES"},
    {"Size", "SIZE"},
};

constexpr const char* known_filters[] = {"name",     "id",      "status", "label",   "exited",
                                         "ancestor", "publish", "expose", "network", "volume"};

struct Entry {
    Container container;
    State state;
};

bool matches_text(const std::string& text, const std::string& pattern) {
    if (text == pattern) return true;
    try {
        return std::regex_search(text, std::regex(pattern, std::regex::extended));
    } catch (const std::regex_error&) {
        throw Error("invalid filter pattern: ", pattern);
    }
}

bool holds(const Entry& entry, const std::string& key, const std::string& value) {
    const Settings& s = entry.container.settings();
    const State& state = entry.state;
    if (key == "name") return matches_text(s.name, value) || matches_text("/" + s.name, value);
    if (key == "id") return s.id.starts_with(value) || matches_text(s.id, value);
    if (key == "status") return state.status == value;
    if (key == "exited") return state.status == "exited" && str(state.exit_code) == value;
    if (key == "network") return s.network == value;
    if (key == "ancestor")
        return s.image == value || s.image == value + ":latest" || s.image + ":latest" == value ||
               s.image_id == value || s.image_id.substr(7).starts_with(value);
    if (key == "volume")
        return std::ranges::any_of(s.mounts, [&](const VolumeMount& m) {
            return m.destination == value || m.source == value;
        });
    if (key == "publish" || key == "expose") {
        const std::string wanted = value.find('/') == std::string::npos ? value + "/tcp" : value;
        if (key == "expose") return s.exposed_ports.contains(wanted);
        return std::ranges::any_of(state.network.ports, [&](const PortBinding& p) {
            return str(p.host_port, "/", p.proto) == wanted;
        });
    }
    const size_t equals = value.find('=');  // label
    const auto found = s.labels.find(value.substr(0, equals));
    return found != s.labels.end() &&
           (equals == std::string::npos || found->second == value.substr(equals + 1));
}

bool wanted(const Entry& entry, const Filters& filters) {
    return std::ranges::all_of(filters, [&](const auto& filter) {
        const auto& [key, values] = filter;
        const auto one = [&, name = key](const std::string& value) {
            return holds(entry, name, value);
        };
        return key == "label" ? std::ranges::all_of(values, one) : std::ranges::any_of(values, one);
    });
}

json::Value row(const Entry& entry, bool whole) {
    const auto& [container, state] = entry;
    const Settings& s = container.settings();
    const long long now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                              std::chrono::system_clock::now().time_since_epoch())
                              .count();
    const std::string command = join(arguments(s), " ");
    std::vector<std::string> labels, mounts;
    for (const auto& [key, value] : s.labels) labels.push_back(key + "=" + value);
    size_t volumes = 0;
    for (const VolumeMount& mount : s.mounts)
        mounts.push_back(whole ? mount.source : shortened(mount.source, 15)),
            volumes += mount.type == "volume";
    return {{"ID", whole ? s.id : s.id.substr(0, 12)},
            {"Image", s.image},
            {"Command", quoted(whole ? command : shortened(command, 20))},
            {"CreatedAt", time_shown(s.created)},
            {"RunningFor", time_since(s.created)},
            {"Status", status_words(state, now)},
            {"State", state.status},
            {"Ports",
             state.status == "running" ? ports_column(state.network.ports, s.exposed_ports) : ""},
            {"Names", s.name},
            {"Labels", join(labels, ",")},
            {"Mounts", join(mounts, ",")},
            {"Networks", s.network},
            {"LocalVolumes", str(volumes)},
            {"Size", "0B"}};
}

int ps(const Arguments& globals, const Arguments& args) {
    const Filters filters = parse_filters(args.all("filter"), known_filters);
    size_t most = args.flag("latest") ? 1 : 0;
    if (const auto last = args.number("last")) most = *last > 0 ? size_t(*last) : 0;
    const bool all =
        args.flag("all") || most || filters.contains("status") || filters.contains("exited");

    std::vector<json::Value> rows;
    const Containers containers(store_root(globals));
    for (const Container& container : containers.list()) {
        if (remove_if_left(containers, container)) continue;
        const Entry entry{container, container.state()};
        if (entry.state.status == "dead")
            log_warning(str("container ", container.id(), ": ", entry.state.error));
        if (!all && entry.state.status != "running" && entry.state.status != "paused") continue;
        if (wanted(entry, filters)) rows.push_back(row(entry, args.flag("no-trunc")));
        if (most && rows.size() == most) break;
    }
    if (args.flag("quiet")) {
        for (const json::Value& one : rows)
            std::printf("%s\n", one["ID"].get<std::string>().c_str());
        return 0;
    }
    print_listing(
        args.get("format"),
        "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
        columns, rows);
    return 0;
}

}  // namespace

constinit const Command ps_command = {
    .name = "ps",
    .synopsis = "",
    .summary = "list containers",
    .options = ps_options,
    .most = 0,
    .interspersed = true,
    .run = ps,
};
