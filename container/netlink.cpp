// Devices are created where they shall live: moving one into another network namespace costs two
// grace periods (20 ms), creating it there none.
#include "container/netlink.h"

#include <arpa/inet.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"

NetlinkRequest::NetlinkRequest(uint16_t type, uint16_t flags) {
    nlmsghdr head{};
    head.nlmsg_type = type;
    head.nlmsg_flags = uint16_t(NLM_F_REQUEST | NLM_F_ACK | flags);
    raw(&head, sizeof head);
}

NetlinkRequest& NetlinkRequest::raw(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize((bytes_.size() + 3) & ~size_t(3));
    return *this;
}

NetlinkRequest& NetlinkRequest::add(uint16_t attribute, std::string_view data) {
    const uint16_t head[2] = {uint16_t(4 + data.size()), attribute};
    raw(head, sizeof head);
    return raw(data.data(), data.size());
}

NetlinkRequest& NetlinkRequest::add(uint16_t attribute, uint32_t value) {
    return add(attribute, std::string_view(reinterpret_cast<const char*>(&value), 4));
}

NetlinkRequest& NetlinkRequest::add_text(uint16_t attribute, const std::string& text) {
    return add(attribute, std::string_view(text.c_str(), text.size() + 1));
}

NetlinkRequest& NetlinkRequest::open(uint16_t attribute) {
    open_.push_back(bytes_.size());
    return add(attribute, std::string_view());
}

NetlinkRequest& NetlinkRequest::close() {
    const uint16_t size = uint16_t(bytes_.size() - open_.back());
    std::memcpy(bytes_.data() + open_.back(), &size, sizeof size);
    open_.pop_back();
    return *this;
}

Netlink::Netlink(int protocol)
    : socket_(check(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol),
                    "opening a netlink socket")) {}

namespace {

// The calling thread's own namespace again at the end of the scope: there is no going on in a wrong
// one.
class OwnNetwork {
public:
    OwnNetwork() : own_(sys::open("/proc/thread-self/ns/net", O_RDONLY)) {}
    ~OwnNetwork() {
        if (::setns(own_.get(), CLONE_NEWNET) < 0) ::abort();
    }

private:
    UniqueFd own_;
};

}  // namespace

Netlink Netlink::inside(int netns, const std::string& device, int& index) {
    const OwnNetwork own;
    check(::setns(netns, CLONE_NEWNET), "entering the container's network namespace");
    index = int(::if_nametoindex(device.c_str()));
    attempt("letting the container announce its address",
            [&] { write_file("/proc/sys/net/ipv4/conf/" + device + "/arp_notify", "1"); });
    return Netlink();
}

UniqueFd make_network_namespace() {
    const OwnNetwork own;
    check(::unshare(CLONE_NEWNET), "making a network namespace");
    UniqueFd made = sys::open("/proc/thread-self/ns/net", O_RDONLY);
    Netlink().bring_up(1 /* the loopback device is the first everywhere */);
    return made;
}

void Netlink::put(NetlinkRequest& request) {
    nlmsghdr* head = reinterpret_cast<nlmsghdr*>(request.bytes_.data());
    head->nlmsg_len = uint32_t(request.bytes_.size());
    head->nlmsg_seq = ++sequence_;
    check(int(::send(socket_.get(), request.bytes_.data(), request.bytes_.size(), 0)),
          "asking the kernel");
}

// Those that answer the last request, one by one, until one is the last. 0 or the error number that
// it has.
int Netlink::receive(const std::function<void(std::string_view message)>& take) {
    alignas(nlmsghdr) char buffer[65536];
    for (;;) {
        const ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        int left = int(n);
        for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(message, unsigned(left));
             message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_seq != sequence_) continue;
            if (message->nlmsg_type == NLMSG_DONE) return 0;
            if (message->nlmsg_type == NLMSG_ERROR)
                return -static_cast<nlmsgerr*>(NLMSG_DATA(message))->error;
            take({static_cast<char*>(NLMSG_DATA(message)), message->nlmsg_len - NLMSG_HDRLEN});
        }
    }
}

int Netlink::try_send(NetlinkRequest request) {
    put(request);
    return receive([](std::string_view) {});
}

std::string Netlink::ask(NetlinkRequest request, const std::string& doing) {
    std::vector<std::string> answers =
        list(std::move(request), doing);  // the acknowledgement comes last
    return answers.empty() ? "" : std::move(answers.back());
}

std::vector<std::string> Netlink::list(NetlinkRequest request, const std::string& doing) {
    put(request);
    std::vector<std::string> out;
    if (const int error = receive([&](std::string_view message) { out.emplace_back(message); }))
        throw SysError(error, doing);
    return out;
}

std::string_view netlink_attribute(std::string_view message, size_t header, uint16_t type) {
    message.remove_prefix(std::min(message.size(), NLMSG_ALIGN(header)));
    while (message.size() >= sizeof(nlattr)) {
        nlattr head{};
        std::memcpy(&head, message.data(), sizeof head);
        if (head.nla_len < sizeof head || head.nla_len > message.size()) break;
        if ((head.nla_type & NLA_TYPE_MASK) == type)
            return message.substr(NLA_HDRLEN, head.nla_len - NLA_HDRLEN);
        message.remove_prefix(std::min(message.size(), size_t(NLA_ALIGN(head.nla_len))));
    }
    return {};
}

void Netlink::send(NetlinkRequest request, const std::string& doing) {
    if (const int error = try_send(std::move(request))) throw SysError(error, doing);
}

static std::string mac_bytes(const std::string& text) {
    std::string out;
    for (const std::string& part : split(text, ':'))
        out += char(parse_number<int>(part, 16).value_or(0));
    return out;
}

NetlinkRequest netfilter_request(uint8_t subsystem, uint8_t family, int verb, uint16_t flags) {
    const nfgenmsg head{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = 0};
    NetlinkRequest request(uint16_t(subsystem << 8 | verb), flags);
    request.header(head);
    return request;
}

static ifinfomsg link_header(int index, bool up) {
    ifinfomsg info{};
    info.ifi_index = index;
    if (up) info.ifi_flags = IFF_UP, info.ifi_change = IFF_UP;
    return info;
}

void Netlink::create_bridge(const std::string& name, const std::string& mac) {
    NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    request.header(link_header(0, true))
        .add_text(IFLA_IFNAME, name)
        .add(IFLA_ADDRESS, mac_bytes(mac));
    request.open(IFLA_LINKINFO).add_text(IFLA_INFO_KIND, "bridge").close();
    send(std::move(request), "creating bridge " + name);
}

void Netlink::create_veth(const std::string& name, int netns, const std::string& peer,
                          const std::string& mac, int bridge) {
    NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    request.header(link_header(0, true))
        .add_text(IFLA_IFNAME, name)
        .add(IFLA_MASTER, uint32_t(bridge));
    request.open(IFLA_LINKINFO)
        .add_text(IFLA_INFO_KIND, "veth")
        .open(IFLA_INFO_DATA)
        .open(VETH_INFO_PEER);
    request.header(link_header(0, false))
        .add_text(IFLA_IFNAME, peer)
        .add(IFLA_ADDRESS, mac_bytes(mac))
        .add(IFLA_NET_NS_FD, uint32_t(netns));
    request.close().close().close();
    send(std::move(request), "creating veth " + name);
}

void Netlink::attach(int index, int bridge) {
    NetlinkRequest request(RTM_SETLINK, 0);
    request.header(link_header(index, false)).add(IFLA_MASTER, uint32_t(bridge));
    send(std::move(request), "making a port of the bridge");
}

void Netlink::reflect(int index) {
    NetlinkRequest request(RTM_SETLINK, 0);
    ifinfomsg info = link_header(index, false);
    info.ifi_family = AF_BRIDGE;
    request.header(info).open(IFLA_PROTINFO | NLA_F_NESTED).add_byte(IFLA_BRPORT_MODE, 1).close();
    send(std::move(request), "setting hairpin mode");
}

void Netlink::bring_up(int index) {
    NetlinkRequest request(RTM_NEWLINK, 0);
    request.header(link_header(index, true));
    send(std::move(request), "bringing a device up");
}

static std::string_view address_bytes(const uint32_t& address) {
    return {reinterpret_cast<const char*>(&address), 4};
}

void Netlink::add_address(int index, uint32_t address, int prefix) {
    NetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    ifaddrmsg info{};
    info.ifa_family = AF_INET, info.ifa_prefixlen = uint8_t(prefix),
    info.ifa_index = uint32_t(index);
    const uint32_t broadcast =
        address | htonl(prefix ? (uint64_t(1) << (32 - prefix)) - 1 : 0xffffffff);
    request.header(info)
        .add(IFA_LOCAL, address_bytes(address))
        .add(IFA_ADDRESS, address_bytes(address))
        .add(IFA_BROADCAST, address_bytes(broadcast));
    if (const int error = try_send(std::move(request)); error && error != EEXIST)
        throw SysError(error, "adding an address");
}

void Netlink::add_default_route(uint32_t gateway) {
    NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
    rtmsg info{};
    info.rtm_family = AF_INET, info.rtm_table = RT_TABLE_MAIN, info.rtm_protocol = RTPROT_BOOT;
    info.rtm_scope = RT_SCOPE_UNIVERSE, info.rtm_type = RTN_UNICAST;
    request.header(info).add(RTA_GATEWAY, address_bytes(gateway));
    send(std::move(request), "adding the default route");
}

void Netlink::remove(int index) {
    NetlinkRequest request(RTM_DELLINK, 0);
    request.header(link_header(index, false));
    send(std::move(request), "removing a device");
}
