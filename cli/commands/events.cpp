// Each event is printed when it is known, so that who reads it by a pipe has it at once. Without
// --since only what happens from now on is told, with --until only until then.
#include "engine/events.h"

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/template.h"
#include "engine/logs.h"

namespace {

constexpr Option events_options[] = {
    {"filter,f", "KEY=VALUE", "only those: container, event, image, label, network, type, volume"},
    {"format", "FORMAT", "a template, or json"},
    {"since", "TIME", "a time (RFC 3339, Unix) or a duration before now"},
    {"until", "TIME", "a time or a duration before now"},
};

constexpr const char* filters_of_events[] = {"container", "event", "image", "label",
                                             "network",   "type",  "volume"};

bool is_wanted_event(const Event& event, const std::string& key, const std::string& value) {
    const auto attribute = [&](const std::string& name) {
        const auto found = event.attributes.find(name);
        return found == event.attributes.end() ? std::string() : found->second;
    };
    if (key == "type") return event.type == value;
    if (key == "event") return event.action.substr(0, event.action.find(':')) == value;
    if (key == "image") return attribute("image") == value;
    if (key == "label") return has_label(event.attributes, value);
    // container, network, volume
    return event.type == key && (event.actor.starts_with(value) || attribute("name") == value);
}

bool is_wanted_event(const Event& event, const Filters& filters) {
    return all_hold(filters, [&](const std::string& key, const std::string& value) {
        return is_wanted_event(event, key, value);
    });
}

json::Value document(const Event& event) {
    json::Value attributes = json::Value::object();
    for (const auto& [key, value] : event.attributes) attributes[key] = value;
    json::Value out = {{"Type", event.type},
                       {"Action", event.action},
                       {"Actor", {{"ID", event.actor}, {"Attributes", attributes}}},
                       {"scope", "local"},
                       {"time", event.time / 1'000'000'000},
                       {"timeNano", event.time}};
    if (event.type == "container")
        out["status"] = event.action, out["id"] = event.actor, out["from"] = attributes["image"];
    return out;
}

std::string line_of(const Event& event) {
    std::vector<std::string> attributes;
    for (const auto& [key, value] : event.attributes) attributes.push_back(key + "=" + value);
    return visible(str(rfc3339(event.time, false), " ", event.type, " ", event.action, " ",
                       event.actor, " (", join(attributes, ", "), ")"));
}

int events(const Arguments& globals, const Arguments& args) {
    const Filters filters = parse_filters(args.all("filter"), filters_of_events);
    const std::string format = args.get("format");
    std::optional<Template> shown;
    if (!format.empty() && format != "json") shown.emplace(format);
    const EventQuery query{.since = parse_when(args.get("since")),
                           .until = parse_when(args.get("until")),
                           .past = args.has("since") || args.has("until")};
    const Store store = open_store(globals);
    watch_events(store.root(), query, [&](const Event& event) {
        if (!is_wanted_event(event, filters)) return true;
        const std::string line = format == "json" ? json::dump(document(event), -1)
                                 : shown          ? shown->render(document(event))
                                                  : line_of(event);
        std::printf("%s\n", line.c_str());
        return std::fflush(stdout) == 0;
    });
    return 0;
}

}  // namespace

constinit const Command events_command = {
    .name = "events",
    .synopsis = "",
    .summary = "show what happens to containers, networks and volumes",
    .options = events_options,
    .most = 0,
    .interspersed = true,
    .run = events,
};
