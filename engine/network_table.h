// The networks of a store as people manage them: `keg network`. Three are always there (bridge,
// host, none); those of the user are rows of the table, and made on the machine by the first
// container that runs in them (container/network.h).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "container/network.h"
#include "engine/container.h"

struct NetworkOrder {
    std::string name, subnet, gateway, range;  // as typed: "10.9.0.0/24", "10.9.0.1"; "" is ours
    bool internal = false;
    std::map<std::string, std::string> labels;
};

struct UserNetwork {
    std::string name, id, created, subnet, gateway, range;
    std::string driver = "bridge";  // bridge host null
    bool internal = false;
    std::map<std::string, std::string> labels;
    bool is_built_in() const { return name == "bridge" || name == "host" || name == "none"; }
};

// By their names; with the three that are always there.
std::vector<UserNetwork> list_networks(const std::string& store_root);
// By its name, or the beginning of its ID.
std::optional<UserNetwork> find_network(const std::string& store_root, const std::string& word);
UserNetwork get_network(const std::string& store_root, const std::string& word);  // throws
// Throws Docker's words for a name that is taken and for addresses that cannot be.
UserNetwork create_network(const std::string& store_root, const NetworkOrder& order);
// Throws if a container is in it.
void delete_network(const Containers& containers, const std::string& word);
// For containers that do not run: the next start is in it, or not any more. Throws for one that
// runs.
void connect_network(const Containers& containers, const Container& container,
                     const NetworkWish& wish);
void disconnect_network(const Containers& containers, const Container& container,
                        const std::string& name);

// How the machine shall have it.
BridgeNetwork bridge_of(const UserNetwork& network);
