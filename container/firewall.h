// The nftables rules of one bridge: one table `inet keg_HASH`, with published ports as map
// elements, so that a container's rules are one transaction and nobody has to find a rule again to
// remove it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "container/ports.h"

// What one container publishes, and where it is.
struct Published {
    std::string address;
    std::vector<PortBinding> ports;
};

class Firewall {
public:
    Firewall(std::string table, std::string bridge)
        : table_(std::move(table)), bridge_(std::move(bridge)) {}
    // Makes the table what it shall be if it is not: others may flush or change it. `note` is a
    // file that remembers how it was when we left it.
    void sync(const std::string& subnet, const std::vector<Published>& all, const std::string& note,
              bool internal = false) const;
    // In one transaction; what a monitor that was killed left of these ports is replaced.
    void publish(const Published& one) const;
    void withdraw(const std::vector<PortBinding>& ports) const;  // throws if one is not there
    void remember(const std::string& note) const;  // after our own change: this is how we left it
    void remove() const;                           // the table; it need not be there

private:
    std::string table_, bridge_;
};

// Of what comes in by these interfaces only what goes to a bridge of ours is forwarded. `note` as
// above; `changed`: they are others than the last time.
void guard_forwarding(const std::vector<std::string>& interfaces, const std::string& note,
                      bool changed);
void unguard_forwarding();

// Chains of others that drop what is forwarded and name no bridge of ours: "chain FORWARD of table
// ip filter".
std::vector<std::string> foreign_drops();

// What is sent to the kernel, in nft's language; pure. `subnet`: "172.17.0.0/16"; `verb`: add, or
// delete, which needs no address.
// `internal`: nothing is forwarded in or out.
std::string firewall_table(const std::string& table, const std::string& bridge,
                           const std::string& subnet, bool internal = false);
std::string firewall_elements(const std::string& verb, const std::string& table,
                              const std::vector<PortBinding>& ports, const std::string& address);
std::string forwarding_guard(const std::vector<std::string>& interfaces);
