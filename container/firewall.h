// The nftables rules of one bridge: one table `inet keg_HASH`, with published ports as map elements,
// so that a container's rules are one transaction and nobody has to find a rule again to remove it.
#pragma once

#include <string>
#include <vector>

#include "container/ports.h"

class Firewall {
public:
    Firewall(std::string table, std::string bridge) : table_(std::move(table)), bridge_(std::move(bridge)) {}
    void create(const std::string& subnet) const;    // replaces what is there
    void remove() const;
    void publish(const std::vector<PortBinding>& ports, const std::string& address) const;
    void withdraw(const std::vector<PortBinding>& ports) const;

private:
    std::string table_, bridge_;
};

// What is sent to the kernel; pure.
std::string firewall_table(const std::string& table, const std::string& bridge, const std::string& subnet);
std::string firewall_elements(const std::string& verb, const std::string& table, const std::vector<PortBinding>& ports, const std::string& address);
