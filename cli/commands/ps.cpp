// To look is to clean up, too: a container that should have removed itself (--rm) and whose monitor
// was killed is removed by whoever comes across it. What a state says changes while we look: each
// is read once, for the filters and for the row.
#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <regex>

#include "base/log.h"
#include "base/progress.h"
#include "base/tree_walk.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "engine/container.h"
#include "engine/health.h"
#include "engine/lifecycle.h"
#include "engine/status.h"
#include "image/snapshots.h"

namespace {

constexpr Option ps_options[] = {
    {"all,a", nullptr, "stopped ones too"},
    {"filter,f", "KEY=VALUE",
     "only those: name, id, status, label, exited, ancestor, publish, expose, network, volume, "
     "health, before, since"},
    {"format", "FORMAT", "a template, json or table"},
    {"last,n", "N", "the last N that were created, whatever their state", "", false, Value::integer,
     -1, INT_MAX},
    {"latest,l", nullptr, "the last one that was created"},
    {"no-trunc", nullptr, "whole IDs and commands"},
    {"quiet,q", nullptr, "only the IDs"},
    {"size,s", nullptr, "what each has written, and with its image"},
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
                                         "ancestor", "publish", "expose", "network", "volume",
                                         "health",   "before",  "since"};

struct Entry {
    Container container;
    State state;
    std::optional<HealthState> health = {};  // of one that runs and has checks
};

// " (healthy)", " (health: starting)".
std::string health_words(const Entry& entry) {
    if (!entry.health || entry.state.status != "running") return {};
    return entry.health->status == "starting" ? " (health: starting)"
                                              : " (" + entry.health->status + ")";
}

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
    if (key == "health") return (entry.health ? entry.health->status : "none") == value;
    // The names of containers have become their times (resolve_times).
    if (key == "before") return s.created < value;
    if (key == "since") return s.created > value;
    if (key == "exited") return state.status == "exited" && str(state.exit_code) == value;
    if (key == "network")
        return s.network == value || std::ranges::count(bridges_of(s), value, &NetworkWish::name);
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
    return has_label(s.labels, value);
}

bool wanted(const Entry& entry, const Filters& filters) {
    return all_hold(filters, [&](const std::string& key, const std::string& value) {
        return holds(entry, key, value);
    });
}

std::string networks_shown(const Settings& settings) {
    std::vector<std::string> names;
    for (const NetworkWish& wish : bridges_of(settings)) names.push_back(wish.name);
    return names.empty() ? settings.network : join(names, ",");
}

// --filter before=NAME and since=NAME: when that one was created.
void resolve_times(const Containers& containers, Filters& filters) {
    for (const char* key : {"before", "since"})
        if (const auto found = filters.find(key); found != filters.end())
            for (std::string& value : found->second)
                value = containers.get(value).settings().created;
}

json::Value row(const Entry& entry, bool whole) {
    const auto& [container, state, health] = entry;
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
            {"Status", status_words(state, now) + health_words(entry)},
            {"State", state.status},
            {"Ports",
             state.status == "running" ? ports_column(state.network.ports, s.exposed_ports) : ""},
            {"Names", s.name},
            {"Labels", join(labels, ",")},
            {"Mounts", join(mounts, ",")},
            {"Networks", networks_shown(s)},
            {"LocalVolumes", str(volumes)},
            {"Size", "0B"}};  // size_shown, if it is asked for
}

std::string size_shown(const Store& store, const Container& container) {
    const uint64_t own = disk_usage(container.file("upper"));
    const std::vector<Digest> layers = layers_of(container.settings());
    const uint64_t image = Snapshots(store).top_size(layers).value_or(0);
    return str(human_size(own), " (virtual ", human_size(own + image), ")");
}

int ps(const Arguments& globals, const Arguments& args) {
    Filters filters = parse_filters(args.all("filter"), known_filters);
    size_t most = args.flag("latest") ? 1 : 0;
    if (const auto last = args.number("last")) most = *last > 0 ? size_t(*last) : 0;
    const bool all =
        args.flag("all") || most || filters.contains("status") || filters.contains("exited");

    std::vector<json::Value> rows;
    const Containers containers(store_root(globals));
    resolve_times(containers, filters);
    std::optional<Store> sizes;
    if (args.flag("size")) sizes.emplace(store_root(globals));
    for (const Container& container : containers.list()) {
        if (remove_if_left(containers, container)) continue;
        const Entry entry{container, container.state(), health_of(container)};
        if (entry.state.status == "dead")
            log_warning(str("container ", container.id(), ": ", entry.state.error));
        if (!all && entry.state.status != "running" && entry.state.status != "paused" &&
            entry.state.status != "restarting")
            continue;
        if (!wanted(entry, filters)) continue;
        rows.push_back(row(entry, args.flag("no-trunc")));
        if (sizes) rows.back()["Size"] = size_shown(*sizes, container);
        if (most && rows.size() == most) break;
    }
    if (args.flag("quiet")) {
        for (const json::Value& one : rows)
            std::printf("%s\n", one["ID"].get<std::string>().c_str());
        return 0;
    }
    print_listing(
        args.get("format"),
        std::string("{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}"
                    "\t{{.Names}}") +
            (sizes ? "\t{{.Size}}" : ""),
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
