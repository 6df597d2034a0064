// Netlink: the few requests a container's network needs, each built, sent and acknowledged.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

class NetlinkRequest {
public:
    NetlinkRequest(uint16_t type, uint16_t flags);
    template <class Header>
    NetlinkRequest& header(const Header& header) {
        return raw(&header, sizeof header);
    }
    NetlinkRequest& add(uint16_t attribute, std::string_view data);
    NetlinkRequest& add(uint16_t attribute, uint32_t value);
    NetlinkRequest& add_byte(uint16_t attribute, uint8_t value) {
        return add(attribute, std::string_view(reinterpret_cast<const char*>(&value), 1));
    }
    NetlinkRequest& add_text(uint16_t attribute, const std::string& text);  // with its final zero
    // What is added until close() is inside that attribute.
    NetlinkRequest& open(uint16_t attribute);
    NetlinkRequest& close();

private:
    friend class Netlink;
    NetlinkRequest& raw(const void* data, size_t size);
    std::string bytes_;
    std::vector<size_t> open_;
};

// Of a subsystem of NETLINK_NETFILTER, for one family of addresses (NFPROTO_*).
NetlinkRequest netfilter_request(uint8_t subsystem, uint8_t family, int verb, uint16_t flags);

// A socket that belongs to the network namespace it was opened in.
class Netlink {
public:
    explicit Netlink(int protocol = 0 /* NETLINK_ROUTE */);
    // In the namespace that `netns` is a descriptor of; the calling thread is back in its own
    // afterwards. `index` becomes that of its device with that name, which will announce its
    // addresses when it comes up.
    static Netlink inside(int netns, const std::string& device, int& index);

    void send(NetlinkRequest request, const std::string& doing);  // throws SysError
    int try_send(NetlinkRequest request);                         // 0 or an error number
    // The one message that answers a question, without its nlmsghdr.
    std::string ask(NetlinkRequest request, const std::string& doing);
    // The messages that answer a dump, without their nlmsghdr.
    std::vector<std::string> list(NetlinkRequest request, const std::string& doing);

    // These throw SysError. An `index` is a device's in this namespace (if_nametoindex).
    void create_bridge(const std::string& name, const std::string& mac);
    // The peer is born in `netns` as eth0; the host's end is up and a port of the bridge.
    void create_veth(const std::string& name, int netns, const std::string& peer,
                     const std::string& mac, int bridge);
    void attach(int index, int bridge);  // makes a port of it, if it is none
    void reflect(int index);             // a port's packets may go back to it
    void bring_up(int index);
    void add_address(int index, uint32_t address,
                     int prefix);  // in network order; one that is there is fine
    void add_default_route(uint32_t gateway);
    void remove(int index);

private:
    void put(NetlinkRequest& request);
    int receive(const std::function<void(std::string_view message)>& take);
    UniqueFd socket_;
    uint32_t sequence_ = 0;
};

// A new network namespace with nothing but its loopback device, up; the calling thread stays in its
// own.
UniqueFd make_network_namespace();

// What that attribute of a message holds, behind the message's own header; "" if it has none.
std::string_view netlink_attribute(std::string_view message, size_t header, uint16_t type);
