// `keg network`: what people see of the table of networks. What is hard is that Docker's networks
// know their containers and keg's do not: who is in one is asked of the containers' states, each
// read once.
#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/containers.h"
#include "cli/documents.h"
#include "cli/format.h"
#include "cli/template.h"

namespace {

constexpr Option network_create_options[] = {
    {"driver,d", "DRIVER", "bridge", "bridge"},
    {"gateway", "ADDRESS", "the bridge's own address; the first of the subnet"},
    {"internal", nullptr, "nothing leads out of it"},
    {"ip-range", "SUBNET", "the part that addresses are taken from"},
    {"label", "KEY[=VALUE]", "set metadata"},
    {"subnet", "SUBNET", "its addresses, 10.9.0.0/24 for example"},
};
constexpr Option network_ls_options[] = {
    {"filter,f", "KEY=VALUE", "only those: name, id, label, driver, dangling, type"},
    {"format", "FORMAT", "a template, json or table"},
    {"no-trunc", nullptr, "whole IDs"},
    {"quiet,q", nullptr, "only the IDs"},
};
constexpr Option network_inspect_options[] = {
    {"format,f", "TEMPLATE", "a template, or json"},
    {"verbose,v", nullptr, "", "", true},
};
constexpr Option network_rm_options[] = {
    {"force,f", nullptr, "one that is not there is no error"},
};
constexpr Option network_prune_options[] = {
    {"filter", "KEY=VALUE", "only those: label"},
    {"force,f", nullptr, "do not ask"},
};
constexpr Option network_connect_options[] = {
    {"alias", "NAME", "another name in that network"},
    {"ip", "ADDRESS", "its address there"},
};
constexpr Option network_disconnect_options[] = {
    {"force,f", nullptr, "", "", true},
};

constexpr Column network_columns[] = {
    {"ID", "NETWORK ID"},     {"Name", "NAME"},     {"Driver", "DRIVER"},
    {"Scope", "SCOPE"},       {"IPv4", "IPV4"},     {"IPv6", "IPV6"},
    {"Internal", "INTERNAL"}, {"Labels", "LABELS"}, {"CreatedAt", "CREATED AT"},
};

int network_create(const Arguments& globals, const Arguments& args) {
    const std::string driver = args.get("driver");
    if (driver != "bridge")
        throw Error("could not find plugin ", driver, ": network driver ", quoted(driver),
                    " is not supported; known is bridge");
    NetworkOrder order{.name = args[0],
                       .subnet = args.get("subnet"),
                       .gateway = args.get("gateway"),
                       .range = args.get("ip-range"),
                       .internal = args.flag("internal")};
    for (const std::string& typed : args.all("label")) {
        const size_t equals = typed.find('=');
        order.labels[typed.substr(0, equals)] =
            equals == std::string::npos ? "" : typed.substr(equals + 1);
    }
    const Store store = open_store(globals);
    std::printf("%s\n", create_network(store.root(), order).id.c_str());
    return 0;
}

// The containers that are in it now, with what they have there.
struct Member {
    Container container;
    NetworkState place;
};
std::vector<Member> members_of(const Containers& containers, const UserNetwork& network) {
    std::vector<Member> out;
    for (const Container& container : containers.list()) {
        const State state = container.state();
        if (state.status != "running" && state.status != "paused") continue;
        std::vector<NetworkState> places = state.more_networks;
        places.push_back(state.network);
        for (const NetworkState& place : places)
            if (!place.address.empty() &&
                (place.name.empty() ? "bridge" : place.name) == network.name)
                out.push_back({container, place});
    }
    return out;
}

bool is_wanted_network(const UserNetwork& network, const Filters& filters,
                       const Containers& containers) {
    const auto holds = [&](const std::string& key, const std::string& value) {
        if (key == "name") return network.name.find(value) != std::string::npos;
        if (key == "id") return network.id.starts_with(value);
        if (key == "driver") return network.driver == value;
        if (key == "type") return network.is_built_in() == (value == "builtin");
        if (key == "dangling")
            return (!network.is_built_in() && members_of(containers, network).empty()) ==
                   (value == "true" || value == "1");
        return has_label(network.labels, value);
    };
    return all_hold(filters, holds);
}

int network_ls(const Arguments& globals, const Arguments& args) {
    static constexpr const char* known[] = {"name", "id", "label", "driver", "dangling", "type"};
    const Filters filters = parse_filters(args.all("filter"), known);
    const Store store = open_store(globals);
    const Containers containers(store.root());
    const bool whole = args.flag("no-trunc");
    std::vector<json::Value> rows;
    for (const UserNetwork& network : list_networks(store.root())) {
        if (!is_wanted_network(network, filters, containers)) continue;
        std::vector<std::string> labels;
        for (const auto& [key, value] : network.labels) labels.push_back(key + "=" + value);
        rows.push_back({{"ID", whole ? network.id : network.id.substr(0, 12)},
                        {"Name", network.name},
                        {"Driver", network.driver},
                        {"Scope", "local"},
                        {"IPv4", "true"},
                        {"IPv6", "false"},
                        {"Internal", network.internal ? "true" : "false"},
                        {"Labels", join(labels, ",")},
                        {"CreatedAt", time_shown(network.created)}});
    }
    if (args.flag("quiet")) {
        for (const json::Value& one : rows)
            std::printf("%s\n", one["ID"].get<std::string>().c_str());
        return 0;
    }
    print_listing(args.get("format"), "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
                  network_columns, rows);
    return 0;
}

}  // namespace

json::Value network_document(const Containers& containers, const UserNetwork& network) {
    json::Value labels = json::Value::object(), members = json::Value::object(),
                pools = json::Value::array();
    for (const auto& [key, value] : network.labels) labels[key] = value;
    for (const auto& [container, place] : members_of(containers, network))
        members[container.id()] = {{"Name", container.settings().name},
                                   {"EndpointID", place.endpoint_id},
                                   {"MacAddress", place.mac},
                                   {"IPv4Address", str(place.address, "/", place.prefix)},
                                   {"IPv6Address", ""}};
    if (!network.subnet.empty()) {
        pools.push_back({{"Subnet", network.subnet}});
        if (!network.range.empty()) pools[0]["IPRange"] = network.range;
        pools[0]["Gateway"] = network.gateway;
    }
    return {{"Name", network.name},
            {"Id", network.id},
            {"Created", network.created},
            {"Scope", "local"},
            {"Driver", network.driver},
            {"EnableIPv4", true},
            {"EnableIPv6", false},
            {"IPAM", {{"Driver", "default"}, {"Options", nullptr}, {"Config", pools}}},
            {"Internal", network.internal},
            {"Attachable", false},
            {"Ingress", false},
            {"Containers", members},
            {"Options", json::Value::object()},
            {"Labels", labels}};
}

namespace {

int network_inspect(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    const Containers containers(store.root());
    const std::string format = args.get("format");
    json::Value all = json::Value::array();
    const int code = for_each_word(args.words(), false, [&](const std::string& name) {
        return all.push_back(network_document(containers, get_network(store.root(), name))), true;
    });
    if (!format.empty() && format != "json")
        for (const json::Value& one : all)
            std::printf("%s\n", Template(format).render(one).c_str());
    else
        std::printf("%s\n", json::dump(all, format == "json" ? -1 : 4).c_str());
    return code;
}

int network_rm(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    const Containers containers(store.root());
    return for_each_word(args.words(), true, [&](const std::string& name) {
        if (args.flag("force") && !find_network(store.root(), name)) return true;
        return delete_network(containers, name), true;
    });
}

int network_prune(const Arguments& globals, const Arguments& args) {
    static constexpr const char* known[] = {"label"};
    const Filters filters = parse_filters(args.all("filter"), known);
    if (!args.flag("force") &&
        !is_confirmed("all custom networks not used by at least one container"))
        return 0;
    const Store store = open_store(globals);
    const Containers containers(store.root());
    bool said = false;
    for (const UserNetwork& network : list_networks(store.root())) {
        const auto uses = [&](const Container& one) {
            const auto& wishes = one.settings().networks;
            return std::ranges::count(wishes, network.name, &NetworkWish::name) > 0;
        };
        const std::vector<Container> all = containers.list();
        if (network.is_built_in() || std::ranges::any_of(all, uses) ||
            !is_wanted_network(network, filters, containers))
            continue;
        attempt("removing network " + network.name, [&] {
            delete_network(containers, network.name);
            if (!std::exchange(said, true)) std::printf("Deleted Networks:\n");
            std::printf("%s\n", network.name.c_str());
        });
    }
    return 0;
}

int network_connect(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    connect_network(containers, containers.get(args[1]),
                    {.name = args[0], .aliases = args.all("alias"), .ip = args.get("ip")});
    return 0;
}

int network_disconnect(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    disconnect_network(containers, containers.get(args[1]), args[0]);
    return 0;
}

}  // namespace

constinit const Command network_connect_command = {
    .name = "network connect",
    .synopsis = "NETWORK CONTAINER",
    .summary = "let a stopped container be in a network from its next start on",
    .options = network_connect_options,
    .least = 2,
    .most = 2,
    .interspersed = true,
    .run = network_connect,
};
constinit const Command network_create_command = {
    .name = "network create",
    .synopsis = "NETWORK",
    .summary = "make a network, in which containers know each other by name",
    .options = network_create_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = network_create,
};
constinit const Command network_disconnect_command = {
    .name = "network disconnect",
    .synopsis = "NETWORK CONTAINER",
    .summary = "take a stopped container out of a network",
    .options = network_disconnect_options,
    .least = 2,
    .most = 2,
    .interspersed = true,
    .run = network_disconnect,
};
constinit const Command network_inspect_command = {
    .name = "network inspect",
    .synopsis = "NETWORK [NETWORK...]",
    .summary = "show everything about networks, as JSON",
    .options = network_inspect_options,
    .least = 1,
    .interspersed = true,
    .run = network_inspect,
};
constinit const Command network_ls_command = {
    .name = "network ls",
    .synopsis = "",
    .summary = "list networks",
    .options = network_ls_options,
    .most = 0,
    .interspersed = true,
    .run = network_ls,
};
constinit const Command network_prune_command = {
    .name = "network prune",
    .synopsis = "",
    .summary = "remove networks that no container has",
    .options = network_prune_options,
    .most = 0,
    .interspersed = true,
    .run = network_prune,
};
constinit const Command network_rm_command = {
    .name = "network rm",
    .synopsis = "NETWORK [NETWORK...]",
    .summary = "remove networks",
    .options = network_rm_options,
    .least = 1,
    .interspersed = true,
    .run = network_rm,
};
