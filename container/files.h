// The files every container gets: /etc/hosts, /etc/hostname, /etc/resolv.conf.
#pragma once

#include <string>
#include <vector>

// localhost, then `extra` ("name:ip", where the ip "host-gateway" means `gateway`), then the
// container's own names if it has an address. Throws Docker's words for "host-gateway" without
// one.
std::string hosts_file(const std::vector<std::string>& extra, const std::string& gateway, bool ipv6,
                       const std::string& address, const std::string& hostname,
                       const std::string& domainname);

struct ResolvOptions {
    // Each replaces the host's if it is not empty; a `search` of "." alone means none.
    std::vector<std::string> dns, search, options;
    bool filter =
        true;  // drop what the container cannot reach: loopback servers, IPv6 without IPv6
    bool ipv6 = false;
};
// `host`: the text of the host's file. Servers that were asked for (dns) are never filtered.
std::string resolv_conf(std::string_view host, const ResolvOptions& options);
// The host's, or systemd-resolved's upstream list if the host's names only its stub.
std::string host_resolv_conf();
// The IPv4 resolvers that the host itself asks, its own loopback's among them.
std::vector<std::string> host_name_servers();
