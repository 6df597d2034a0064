// The bridge networks of a store: every store has one of its own (bridge and table are named after
// the hash of its path), and those that its users make (named after the hash of path and name);
// each is made by the first container that runs in it and removed with the last. An address is held
// by a locked file, a port by an open socket, the whole by a shared lock: all are free when their
// monitor dies, however it dies. The host's links, rules and settings are never taken for what they
// were: each container that comes compares them with what they shall be, and mends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "container/firewall.h"
#include "container/network_state.h"

struct Subnet {
    uint32_t address = 0;  // in host order
    int prefix = 0;
    uint32_t last() const { return address | uint32_t((uint64_t(1) << (32 - prefix)) - 1); }
    bool overlaps(const Subnet& other) const {
        return address <= other.last() && other.address <= last();
    }
};

// Of a user's; without a name it is the store's own, which chooses its addresses itself.
struct BridgeNetwork {
    std::string name;
    Subnet subnet = {};  // with its gateway
    std::string gateway;
    Subnet range = {};      // that addresses are taken from; a prefix of 0: all of the subnet
    bool internal = false;  // nothing leads out of it
};
// Where its files are; the last part is its name.
std::string network_directory(const std::string& store_root, const std::string& name);

// What a container wants there.
struct EndpointWish {
    std::string address, mac;        // "": any
    std::vector<std::string> names;  // by which the others know it, the main one first
    int number = 0;                  // its device inside is eth0, eth1, …
    bool default_route = true;
};

// Who is in a network, by address in host order.
struct NamedAddress {
    uint32_t address = 0;
    std::vector<std::string> names;
};
std::vector<NamedAddress> named_addresses(const std::string& network_directory);

// A container's place in the network.
class Endpoint {
public:
    // Makes the network if need be, takes an address and the host ports; throws Docker's words
    // ("… port is already allocated", "… address already in use").
    Endpoint(const std::string& store_root, const std::string& container_id,
             const std::vector<PortBinding>& wanted, const BridgeNetwork& network = {},
             EndpointWish wish = {});
    // The device, its address, the rules. `netns` is a descriptor of the container's network
    // namespace, which lives as long as the process `user` at least.
    void connect(int netns, pid_t user);
    // Keeps others from the network until withdraw(): between the two, whoever wants the ports
    // waits.
    void begin_withdraw();
    // Takes the rules back and frees the ports.
    void withdraw();
    // Frees everything. With the last endpoint the network goes, so many seconds later: a container
    // that is started meanwhile finds it made, and nobody waits for devices to be deleted.
    void release(unsigned linger = 3);

    const NetworkState& state() const { return state_; }
    // Those by which it holds its address, its ports and its place in the network: for a process
    // that keeps nothing else.
    std::vector<int> descriptors() const;

private:
    void sync_network();
    Subnet choose_network();
    bool sync_bridge();
    bool try_address(uint32_t address);
    void take_address();
    void withdraw_rules();
    void take_ports(const std::vector<PortBinding>& wanted);

    BridgeNetwork network_;
    EndpointWish wish_;
    std::string store_root_, directory_, hash_, bridge_, id_;
    Firewall firewall_;
    std::optional<FileLock> user_, address_, withdrawing_;
    std::vector<UniqueFd> sockets_;
    NetworkState state_;
    bool published_ = false;
};

// What the endpoint of a monitor that was killed left: its ports' rules, or the whole network.
void forget_endpoint(const std::string& store_root, const std::vector<PortBinding>& ports,
                     const std::string& network = {});

// The first of Docker's pools that overlaps none of these; throws when all are taken.
Subnet choose_subnet(const std::vector<Subnet>& used);
// /proc/net/route, without the default route.
std::vector<Subnet> parse_routes(std::string_view text);
std::string address_text(uint32_t host_order);  // "172.17.0.2"
// Of an address: who gets the address again is known by its old MAC address to its neighbours.
std::string mac_of(uint32_t host_order);
