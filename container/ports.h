// Published ports: what -p means, and how ps and port show it.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

struct PortBinding {
    std::string proto = "tcp";  // tcp udp sctp
    std::string host_ip;        // "" = every IPv4 address
    uint16_t host_port = 0;     // 0 = a free one; with host_port_end: the first free of that range
    uint16_t host_port_end = 0;
    uint16_t container_port = 0;
    std::string inside() const;  // "80/tcp"
    bool operator==(const PortBinding&) const = default;
};

// `-p [[IP:][HOST]:]CONTAINER[/proto]`, with ranges, or the long form `target=80,published=8080`.
// Throws Error in Docker's words.
std::vector<PortBinding> parse_publish(const std::string& spec);
// `--expose N[-M][/proto]` and EXPOSE: "80/tcp" for each.
std::vector<std::string> parse_expose(const std::string& spec);

// The PORTS column of ps: "0.0.0.0:8080->80/tcp, 443/tcp"; runs of ports are joined.
std::string ports_column(const std::vector<PortBinding>& published,
                         const std::set<std::string>& exposed);
