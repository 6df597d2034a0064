// A device that moves to another namespace loses its addresses, may get another index, and another
// name if that has "%d" in it. So the addresses that were to stay are read before, and over there
// the device is the one that was not there before. A netlink socket belongs to the namespace in
// which it was made, so this process goes into the container's and must come back: it is the
// host's.
#include "runtime/process/network.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <set>
#include <vector>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"

namespace {

// One rtnetlink request in the making, and its acknowledgement.
class Request {
public:
    template <class Body>
    Request(uint16_t type, uint16_t flags, const Body& body) : bytes_(NLMSG_SPACE(sizeof body)) {
        header() = {.nlmsg_len = uint32_t(NLMSG_LENGTH(sizeof body)),
                    .nlmsg_type = type,
                    .nlmsg_flags = uint16_t(NLM_F_REQUEST | flags),
                    .nlmsg_seq = 1,
                    .nlmsg_pid = 0};
        std::memcpy(NLMSG_DATA(&header()), &body, sizeof body);
    }
    void add(uint16_t type, const void* data, size_t size) {
        const size_t at = NLMSG_ALIGN(header().nlmsg_len);
        bytes_.resize(at + RTA_SPACE(size));
        const rtattr attribute{uint16_t(RTA_LENGTH(size)), type};
        std::memcpy(&bytes_[at], &attribute, sizeof attribute);
        std::memcpy(&bytes_[at + RTA_LENGTH(0)], data, size);
        header().nlmsg_len = uint32_t(at + RTA_LENGTH(size));
    }
    const std::vector<char>& bytes() { return bytes_; }
    size_t size() { return header().nlmsg_len; }

private:
    nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(bytes_.data()); }
    std::vector<char> bytes_;
};

UniqueFd route_socket() {
    return UniqueFd(
        check(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "netlink socket"));
}

void ask(int socket, Request request, const std::string& doing) {
    if (::send(socket, request.bytes().data(), request.size(), 0) < 0) throw SysError(doing);
    char reply[8192];
    const ssize_t length = ::recv(socket, reply, sizeof reply, 0);
    if (length < ssize_t(NLMSG_LENGTH(sizeof(nlmsgerr))))
        throw Error(doing, ": no answer from the kernel");
    nlmsghdr header;
    nlmsgerr error;
    std::memcpy(&header, reply, sizeof header);
    std::memcpy(&error, reply + NLMSG_HDRLEN, sizeof error);
    if (header.nlmsg_type != NLMSG_ERROR) throw Error(doing, ": unexpected answer from the kernel");
    if (error.error) throw SysError(-error.error, doing);
}

struct Address {
    uint8_t family = 0, prefix = 0;
    std::vector<char> bytes;
};

// The addresses of global scope that do not expire, which a move to another namespace would lose.
std::vector<Address> permanent_addresses(unsigned index) {
    std::vector<Address> found;
    const UniqueFd socket = route_socket();
    ifaddrmsg body{};
    Request request(RTM_GETADDR, NLM_F_DUMP, body);
    check(::send(socket.get(), request.bytes().data(), request.size(), 0), "asking for addresses");
    std::vector<char> buffer(64 * 1024);
    for (;;) {
        const ssize_t length =
            check(::recv(socket.get(), buffer.data(), buffer.size(), 0), "reading addresses");
        auto rest = int(length);
        for (auto* h = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(h, unsigned(rest));
             h = NLMSG_NEXT(h, rest)) {
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) return found;
            auto* message = static_cast<ifaddrmsg*>(NLMSG_DATA(h));
            if (message->ifa_index != index || message->ifa_scope != RT_SCOPE_UNIVERSE ||
                !(message->ifa_flags & IFA_F_PERMANENT))
                continue;
            Address address{message->ifa_family, message->ifa_prefixlen, {}};
            auto size = int(IFA_PAYLOAD(h));
            for (auto* a = IFA_RTA(message); RTA_OK(a, size); a = RTA_NEXT(a, size))
                if (a->rta_type == IFA_LOCAL ||
                    (a->rta_type == IFA_ADDRESS && address.bytes.empty()))
                    address.bytes.assign(static_cast<char*>(RTA_DATA(a)),
                                         static_cast<char*>(RTA_DATA(a)) + RTA_PAYLOAD(a));
            if (!address.bytes.empty()) found.push_back(address);
        }
    }
}

std::set<unsigned> device_indexes() {
    std::set<unsigned> found;
    struct if_nameindex* list = ::if_nameindex();
    if (!list) throw SysError("listing network devices");
    for (const struct if_nameindex* one = list; one->if_index; ++one) found.insert(one->if_index);
    ::if_freenameindex(list);
    return found;
}

void move_device(int network, const std::string& device, const std::string& new_name) {
    const unsigned index = ::if_nametoindex(device.c_str());
    if (!index) throw SysError("network device ", quoted(device));
    const std::vector<Address> addresses = permanent_addresses(index);
    const std::string name = new_name.empty() ? device : new_name;
    if (name.size() >= IFNAMSIZ) throw Error("invalid network device name ", quoted(name));

    const UniqueFd own = sys::open("/proc/self/ns/net", O_RDONLY);
    const auto back = [&] {
        check(::setns(own.get(), CLONE_NEWNET), "going back to the own network namespace");
    };
    check(::setns(network, CLONE_NEWNET), "joining the container's network namespace");
    const std::set<unsigned> before = device_indexes();
    back();

    ifinfomsg link{};
    link.ifi_index = int(index);
    Request move(RTM_NEWLINK, NLM_F_ACK, link);
    move.add(IFLA_NET_NS_FD, &network, sizeof network);
    move.add(IFLA_IFNAME, name.c_str(), name.size() + 1);
    ask(route_socket().get(), std::move(move), str("moving the network device ", quoted(device)));

    check(::setns(network, CLONE_NEWNET), "joining the container's network namespace");
    const Defer returning([&] { attempt("leaving the container's network", back); });
    const UniqueFd socket = route_socket();
    // A "%d" in the name, and an index that was taken, make these differ from what we asked for.
    std::set<unsigned> now = device_indexes();
    std::erase_if(now, [&](unsigned i) { return before.contains(i); });
    if (now.empty())
        throw Error("the network device ", quoted(device), " did not arrive in the container");
    ifinfomsg up{};
    up.ifi_index = int(*now.begin());
    up.ifi_flags = IFF_UP, up.ifi_change = IFF_UP;
    for (const Address& address : addresses) {
        ifaddrmsg body{};
        body.ifa_family = address.family, body.ifa_prefixlen = address.prefix,
        body.ifa_index = unsigned(up.ifi_index);
        Request add(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body);
        add.add(IFA_LOCAL, address.bytes.data(), address.bytes.size());
        add.add(IFA_ADDRESS, address.bytes.data(), address.bytes.size());
        ask(socket.get(), std::move(add), str("setting an address of ", quoted(name)));
    }
    ask(socket.get(), Request(RTM_NEWLINK, NLM_F_ACK, up), str("setting ", quoted(name), " up"));
}

}  // namespace

void raise_loopback() {
    const UniqueFd socket(check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    check(::ioctl(socket.get(), SIOCSIFFLAGS, &request), "bringing the loopback device up");
}

void raise_loopback_of(int pid) {
    const UniqueFd own = sys::open("/proc/self/ns/net", O_RDONLY),
                   network = sys::open(str("/proc/", pid, "/ns/net"), O_RDONLY);
    check(::setns(network.get(), CLONE_NEWNET), "joining the network namespace");
    const Defer undo([&] {
        attempt("returning to the own network namespace",
                [&] { check(::setns(own.get(), CLONE_NEWNET), "setns"); });
    });
    raise_loopback();
}

void move_net_devices(int network, const std::map<std::string, spec::NetDevice>& devices) {
    for (const auto& [name, device] : devices)
        context("linux.netDevices",
                [&, from = name, to = device.name] { move_device(network, from, to); });
}
