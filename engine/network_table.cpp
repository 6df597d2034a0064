// What is hard: two commands make a network at once, and both look for free addresses. So looking
// and adding are one transaction. Whether the machine itself has such an address is asked when a
// network is made (its routes), and again when it comes up.
#include "engine/network_table.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/events.h"
#include "engine/table.h"

template <>
inline constexpr auto json::fields<UserNetwork> =
    std::tuple(json::required("name", &UserNetwork::name), json::required("id", &UserNetwork::id),
               json::required("created", &UserNetwork::created),
               json::required("subnet", &UserNetwork::subnet),
               json::required("gateway", &UserNetwork::gateway),
               json::optional("range", &UserNetwork::range),
               json::optional("driver", &UserNetwork::driver),
               json::optional("internal", &UserNetwork::internal),
               json::optional("labels", &UserNetwork::labels));

namespace {

uint32_t parse_ip(const std::string& text) {
    in_addr address{};
    if (::inet_pton(AF_INET, text.c_str(), &address) != 1)
        throw Error("invalid IP address: ", quoted(text));
    return ntohl(address.s_addr);
}

Subnet parse_subnet(const std::string& text) {
    const size_t slash = text.find('/');
    const auto prefix =
        slash == std::string::npos ? std::nullopt : parse_number<int>(text.substr(slash + 1));
    if (!prefix || *prefix < 8 || *prefix > 30)
        throw Error("invalid subnet ", text, ": an IPv4 address, a slash and 8 to 30 are wanted");
    const Subnet subnet{parse_ip(text.substr(0, slash)), *prefix};
    const Subnet whole{subnet.address & ~(uint32_t(~0u) >> *prefix), *prefix};
    if (whole.address != subnet.address)
        throw Error("invalid subnet ", text, ": it should be ", address_text(whole.address), "/",
                    *prefix);
    return whole;
}

std::string text_of(const Subnet& subnet) {
    return str(address_text(subnet.address), "/", subnet.prefix);
}

UserNetwork built_in(const std::string& store_root, const char* name, const char* driver) {
    return {.name = name, .id = digest_of(store_root + "\n" + name).hex(), .driver = driver};
}

std::vector<UserNetwork> rows_of(const Table& table) {
    std::vector<UserNetwork> out;
    for (const Table::Row& row : table.run("SELECT settings FROM networks ORDER BY name"))
        out.push_back(json::read<UserNetwork>(json::parse(row[0])));
    return out;
}

// The first of the user's networks takes the last of the pools, so that it stays away from those
// that are chosen while containers run.
Subnet free_subnet(const std::vector<UserNetwork>& others) {
    std::vector<Subnet> used = parse_routes(read_file("/proc/net/route"));
    for (const UserNetwork& other : others) used.push_back(parse_subnet(other.subnet));
    for (uint32_t third = 256; third > 0;) {
        third -= 4;
        const Subnet pool{192u << 24 | 168u << 16 | third << 8, 22};
        if (std::ranges::none_of(used, [&](const Subnet& one) { return pool.overlaps(one); }))
            return pool;
    }
    throw Error("all predefined address pools have been fully subnetted");
}

void choose_addresses(UserNetwork& network, const NetworkOrder& order,
                      const std::vector<UserNetwork>& others) {
    const Subnet subnet = order.subnet.empty() ? free_subnet(others) : parse_subnet(order.subnet);
    for (const UserNetwork& other : others)
        if (parse_subnet(other.subnet).overlaps(subnet))
            throw Error("invalid pool request: Pool overlaps with other one on this address space");
    const auto holds = [&](uint32_t address) {
        return address > subnet.address && address < subnet.last();
    };
    const uint32_t gateway = order.gateway.empty() ? subnet.address + 1 : parse_ip(order.gateway);
    if (!holds(gateway)) throw Error("no matching subnet for gateway ", order.gateway);
    if (!order.range.empty()) {
        const Subnet range = parse_subnet(order.range);
        if (range.address < subnet.address || range.last() > subnet.last())
            throw Error("no matching subnet for range ", order.range);
        network.range = text_of(range);
    }
    network.subnet = text_of(subnet), network.gateway = address_text(gateway);
}

}  // namespace

std::vector<UserNetwork> list_networks(const std::string& store_root) {
    std::vector<UserNetwork> all = rows_of(Table(store_root));
    for (const auto& [name, driver] :
         {std::pair("bridge", "bridge"), std::pair("host", "host"), std::pair("none", "null")})
        all.push_back(built_in(store_root, name, driver));
    std::ranges::sort(all, {}, &UserNetwork::name);
    return all;
}

std::optional<UserNetwork> find_network(const std::string& store_root, const std::string& word) {
    const std::vector<UserNetwork> all = list_networks(store_root);
    if (const auto named = std::ranges::find(all, word, &UserNetwork::name); named != all.end())
        return *named;
    std::optional<UserNetwork> found;
    for (const UserNetwork& network : all) {
        if (word.empty() || !network.id.starts_with(word)) continue;
        if (found) throw Error("network ", word, " is ambiguous");
        found = network;
    }
    return found;
}

UserNetwork get_network(const std::string& store_root, const std::string& word) {
    if (auto network = find_network(store_root, word)) return *network;
    throw Error("network ", word, " not found");
}

UserNetwork create_network(const std::string& store_root, const NetworkOrder& order) {
    check_name(order.name + (order.name.size() == 1 ? "_" : ""));
    UserNetwork network{.name = order.name,
                        .id = random_id(),
                        .created = rfc3339_now(),
                        .internal = order.internal,
                        .labels = order.labels};
    if (network.is_built_in() || network.name == "default" || network.name == "container")
        throw Error("operation is not permitted on predefined ", network.name, " network");
    const Table table(store_root);
    table.in_one([&] {
        const std::vector<UserNetwork> others = rows_of(table);
        if (std::ranges::find(others, network.name, &UserNetwork::name) != others.end())
            throw Error("network with name ", network.name, " already exists");
        choose_addresses(network, order, others);
        table.run("INSERT INTO networks(name, id, created, settings) VALUES(?,?,?,?)",
                  {network.name, network.id, network.created, json::dump(json::write(network))});
    });
    note_event(store_root, "network", "create", network.id,
               {{"name", network.name}, {"type", network.driver}});
    return network;
}

static bool is_in(const Settings& settings, const std::string& name) {
    return std::ranges::find(settings.networks, name, &NetworkWish::name) !=
           settings.networks.end();
}

void delete_network(const Containers& containers, const std::string& word) {
    const UserNetwork network = get_network(containers.store_root(), word);
    if (network.is_built_in())
        throw Error(network.name, " is a pre-defined network and cannot be removed");
    for (const Container& container : containers.list()) {
        const std::string status = container.state().status;
        const bool up = status == "running" || status == "paused" || status == "restarting";
        if (up && is_in(container.settings(), network.name))
            throw Error("error while removing network: network ", network.name,
                        " has active endpoints (name:", quoted(container.settings().name), ")");
    }
    Table(containers.store_root()).run("DELETE FROM networks WHERE name = ?", {network.name});
    note_event(containers.store_root(), "network", "destroy", network.id,
               {{"name", network.name}, {"type", network.driver}});
}

// Changes the settings of one that does not run, and says so.
static void change_networks(const Containers& containers, const Container& found,
                            const UserNetwork& network, const char* action,
                            const std::function<void(Settings&)>& change_settings) {
    const auto change = found.begin_change();
    if (!change) throw Error("No such container: ", found.id());
    const Container container = containers.get(found.id());
    const std::string status = container.state().status;
    if (status == "running" || status == "paused" || status == "restarting")
        throw Error("container ", container.settings().name,
                    " is running: keg changes the networks of stopped containers only");
    Settings settings = container.settings();
    if (settings.networks.empty() && settings.network != "bridge" && settings.network != "none")
        throw Error("container sharing network namespace with another container or host cannot be "
                    "connected to any other network");
    change_settings(settings);
    settings.network = settings.networks.empty() ? "none" : settings.networks[0].name;
    containers.save_settings(container, settings);
    note_event(containers.store_root(), "network", action, network.id,
               {{"name", network.name}, {"container", container.id()}});
}

void connect_network(const Containers& containers, const Container& container,
                     const NetworkWish& wish) {
    const UserNetwork network = get_network(containers.store_root(), wish.name);
    if (network.name == "host" || network.name == "none")
        throw Error("container cannot be connected to the network ", network.name);
    change_networks(containers, container, network, "connect", [&](Settings& settings) {
        if (settings.networks.empty() && settings.network == "bridge")
            settings.networks.push_back({.name = "bridge"});
        if (is_in(settings, network.name))
            throw Error("endpoint with name ", settings.name, " already exists in network ",
                        network.name);
        settings.networks.push_back(wish);
        settings.networks.back().name = network.name;
    });
}

void disconnect_network(const Containers& containers, const Container& container,
                        const std::string& name) {
    const UserNetwork network = get_network(containers.store_root(), name);
    change_networks(containers, container, network, "disconnect", [&](Settings& settings) {
        if (settings.networks.empty() && settings.network == "bridge")
            settings.networks.push_back({.name = "bridge"});
        if (!is_in(settings, network.name))
            throw Error("container ", settings.name, " is not connected to network ", network.name);
        std::erase_if(settings.networks,
                      [&](const NetworkWish& one) { return one.name == network.name; });
    });
}

BridgeNetwork bridge_of(const UserNetwork& network) {
    if (network.name == "bridge") return {};
    BridgeNetwork bridge{.name = network.name, .internal = network.internal};
    bridge.subnet = parse_subnet(network.subnet), bridge.gateway = network.gateway;
    if (!network.range.empty()) bridge.range = parse_subnet(network.range);
    return bridge;
}
