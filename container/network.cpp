// What takes long is kept away from people who wait: nothing is moved between namespaces, devices are
// not deleted but die with the container's namespace, and all rules are one transaction. The lock of
// the network is held while it is made or torn down, so that nobody sees half of it.
#include "container/network.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/sys.h"
#include "container/conntrack.h"
#include "container/identity.h"
#include "container/netlink.h"

std::string address_text(uint32_t address) {
    return str(address >> 24, ".", address >> 16 & 255, ".", address >> 8 & 255, ".", address & 255);
}

Subnet choose_subnet(const std::vector<Subnet>& used) {
    std::vector<Subnet> pools;
    for (uint32_t second = 17; second < 32; ++second) pools.push_back({172u << 24 | second << 16, 16});
    for (uint32_t third = 0; third < 256; third += 16) pools.push_back({192u << 24 | 168u << 16 | third << 8, 20});
    for (const Subnet& pool : pools)
        if (std::ranges::none_of(used, [&](const Subnet& other) { return pool.overlaps(other); })) return pool;
    throw Error("all predefined address pools have been fully subnetted");
}

std::vector<Subnet> parse_routes(std::string_view text) {
    std::vector<Subnet> out;
    for (const std::string& line : split(text, '\n')) {
        const std::vector<std::string> fields = split(line, '\t');
        if (fields.size() < 8) continue;
        const auto destination = parse_number<uint32_t>(fields[1], 16), mask = parse_number<uint32_t>(trim(fields[7]), 16);
        if (!destination || !mask || !*mask) continue;
        out.push_back({ntohl(*destination), __builtin_popcount(*mask)});
    }
    return out;
}

static std::string random_mac() {
    const std::string id = random_id();
    std::string out = "02";
    for (int i = 0; i < 5; ++i) out += ":" + id.substr(size_t(i) * 2, 2);
    return out;
}

Endpoint::Endpoint(const std::string& store_root, const std::string& container_id, const std::vector<PortBinding>& wanted)
    : store_root_(store_root), directory_(volatile_directory(store_root) + "/net"), hash_(store_hash(store_root)), bridge_("keg-" + hash_), id_(container_id),
      firewall_("keg_" + hash_, bridge_) {
    sys::make_directories(directory_, 0700);
    const FileLock lock(directory_ + "/lock");
    sys::make_directories(directory_ + "/addresses", 0700);
    user_.emplace(directory_ + "/users", true);
    take_ports(wanted);
    make_network();
    take_address();
}

void Endpoint::make_network() {
    const auto subnet_text = read_file_if_exists(directory_ + "/subnet");
    if (subnet_text && ::if_nametoindex(bridge_.c_str())) {
        const std::vector<std::string> parts = split(*subnet_text, '/');
        state_.gateway = parts.at(0), state_.prefix = parse_number<int>(parts.at(1)).value_or(16);
        return;
    }
    const FileLock all_stores("/run/keg-stores/lock");   // two stores must not choose the same
    const Subnet subnet = choose_subnet(parse_routes(read_file("/proc/net/route")));
    state_.gateway = address_text(subnet.address + 1), state_.prefix = subnet.prefix;

    Netlink netlink;
    if (const unsigned old = ::if_nametoindex(bridge_.c_str())) netlink.remove(int(old));
    netlink.create_bridge(bridge_, random_mac());
    netlink.add_address(int(::if_nametoindex(bridge_.c_str())), htonl(subnet.address + 1), subnet.prefix);
    write_file("/proc/sys/net/ipv4/conf/" + bridge_ + "/route_localnet", "1");
    if (trim(read_file("/proc/sys/net/ipv4/ip_forward")) == "0") write_file("/proc/sys/net/ipv4/ip_forward", "1");
    firewall_.create(address_text(subnet.address) + "/" + str(subnet.prefix));
    replace_file(directory_ + "/subnet", str(state_.gateway, "/", subnet.prefix), 0600, Durability::rename_only);
}

// The file of an address names the process that uses it, which may outlive its monitor.
static bool is_used(const std::string& address_file) {
    const std::vector<std::string> owner = split(read_file_if_exists(address_file).value_or(""), ' ');
    return owner.size() == 2 && is_alive(parse_number<pid_t>(owner[0]).value_or(0), parse_number<uint64_t>(owner[1]).value_or(0));
}

// The lowest free one.
void Endpoint::take_address() {
    in_addr gateway{};
    ::inet_pton(AF_INET, state_.gateway.c_str(), &gateway);
    const Subnet subnet{ntohl(gateway.s_addr) - 1, state_.prefix};
    for (uint32_t address = subnet.address + 2; address < subnet.last(); ++address) {
        const std::string file = directory_ + "/addresses/" + address_text(address);
        auto lock = FileLock::try_lock(file);
        if (!lock || is_used(file)) continue;
        address_ = std::move(lock);
        state_.address = address_text(address);
        return;
    }
    throw Error("no available IPv4 addresses on this network's address pools: bridge");
}

namespace {

// A socket that owns the port and hears nothing: packets go where the rules send them.
UniqueFd hold_port(const PortBinding& binding, uint16_t port, int& error) {
    const bool tcp = binding.proto == "tcp";
    UniqueFd socket(::socket(AF_INET, (binding.proto == "udp" ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, tcp || binding.proto == "udp" ? 0 : IPPROTO_SCTP));
    if (!socket) {
        error = errno == EPROTONOSUPPORT ? 0 : errno;
        return {};
    }
    sock_filter drop[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog program{1, drop};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    const int on = 1;   // connections of the past that linger do not count; a listener does
    if (tcp) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET, address.sin_port = htons(port);
    if (!binding.host_ip.empty()) ::inet_pton(AF_INET, binding.host_ip.c_str(), &address.sin_addr);
    const bool held = ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && (!tcp || ::listen(socket.get(), 1) == 0);
    error = held ? 0 : errno;
    return held ? std::move(socket) : UniqueFd();
}

uint16_t port_of(int socket) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

}  // namespace

void Endpoint::take_ports(const std::vector<PortBinding>& wanted) {
    for (const PortBinding& binding : wanted) {
        PortBinding given = binding;
        given.host_port_end = 0;
        int error = 0;
        for (int port = binding.host_port; port <= std::max(binding.host_port, binding.host_port_end); ++port) {
            UniqueFd socket = hold_port(binding, uint16_t(port), error);
            given.host_port = socket && port == 0 ? port_of(socket.get()) : uint16_t(port);
            if (error) continue;
            if (socket) sockets_.push_back(std::move(socket));
            break;
        }
        if (error) {
            const std::string where = (binding.host_ip.empty() ? "0.0.0.0" : binding.host_ip) + ":" + str(binding.host_port);
            // Is it one of ours? The sockets of living containers are listed where they were given.
            const bool ours = sys::exists(directory_ + "/ports/" + binding.proto + "-" + str(binding.host_port)) &&
                              !FileLock::try_lock(directory_ + "/ports/" + binding.proto + "-" + str(binding.host_port));
            if (error == EADDRINUSE && ours)
                throw Error("failed to set up container networking: driver failed programming external connectivity on endpoint ",
                            id_.substr(0, 12), ": Bind for ", where, " failed: port is already allocated");
            throw Error("failed to set up container networking: driver failed programming external connectivity on endpoint ",
                        id_.substr(0, 12), ": failed to bind host port ", where, "/", binding.proto, ": ", errno_text(error));
        }
        state_.ports.push_back(given);
        sys::make_directories(directory_ + "/ports", 0700);
        if (auto mark = sys::try_open(directory_ + "/ports/" + given.proto + "-" + str(given.host_port), O_RDWR | O_CREAT, 0600)) {
            sys::flock(mark->get(), 1 | 4 /* LOCK_SH | LOCK_NB: several addresses may share a number */);
            sockets_.push_back(std::move(*mark));
        }
    }
}

void Endpoint::connect(pid_t pid) {
    const UniqueFd netns = sys::open(str("/proc/", pid, "/ns/net"), O_RDONLY);
    state_.interface_name = "veth" + random_id().substr(0, 7);
    state_.mac = random_mac();
    state_.network_id = hash_, state_.endpoint_id = random_id();
    Netlink host;
    host.create_veth(state_.interface_name, netns.get(), "eth0", state_.mac, int(::if_nametoindex(bridge_.c_str())));
    host.reflect(int(::if_nametoindex(state_.interface_name.c_str())));

    int device = 0;
    Netlink inside = Netlink::inside(netns.get(), "eth0", device);
    in_addr own{}, gateway{};
    ::inet_pton(AF_INET, state_.address.c_str(), &own), ::inet_pton(AF_INET, state_.gateway.c_str(), &gateway);
    inside.add_address(device, own.s_addr, state_.prefix);
    inside.bring_up(device);
    inside.add_default_route(gateway.s_addr);
    write_file(directory_ + "/addresses/" + state_.address, str(pid, " ", start_time(pid)));
    if (state_.ports.empty()) return;
    const FileLock lock(directory_ + "/lock");
    firewall_.publish(state_.ports, state_.address);
    published_ = true;
    forget_flows(state_.ports);
}

// By an endpoint, or by a container whose monitor was killed.
static bool is_in_use(const std::string& directory) {
    if (!FileLock::try_lock(directory + "/users")) return true;
    std::error_code none;   // the directory goes with the network
    return std::ranges::any_of(std::filesystem::directory_iterator(directory + "/addresses", none), [](const auto& entry) { return is_used(entry.path()); });
}

// Its lock is held and nobody is in it: the files may go too.
static void remove_network(const std::string& directory, const std::string& hash) {
    const std::string bridge = "keg-" + hash;
    attempt("removing the network's rules", [&] { Firewall("keg_" + hash, bridge).remove(); });
    attempt("removing the network's bridge", [&] {
        if (const unsigned index = ::if_nametoindex(bridge.c_str())) Netlink().remove(int(index));
    });
    for (const char* name : {"/subnet", "/addresses", "/ports"})
        attempt("removing the network's files", [&] { sys::remove_tree(directory + name); });
}

void forget_endpoint(const std::string& store_root, const std::vector<PortBinding>& ports) {
    const std::string directory = volatile_directory(store_root) + "/net", hash = store_hash(store_root);
    if (!sys::exists(directory + "/subnet")) return;
    const FileLock lock(directory + "/lock");
    if (!is_in_use(directory)) return remove_network(directory, hash);
    for (const PortBinding& port : ports) {
        int error = 0;
        const UniqueFd held = hold_port(port, port.host_port, error);
        if (error) continue;   // somebody has the port by now, and its rules
        try {
            Firewall("keg_" + hash, "keg-" + hash).withdraw({port});
        } catch (const Error&) {   // it was never published
        }
    }
}

void Endpoint::begin_withdraw() {
    if (published_) withdrawing_.emplace(directory_ + "/lock");
}

void Endpoint::withdraw() {
    if (published_) {
        if (!withdrawing_) begin_withdraw();
        attempt("removing the rules of published ports", [&] { firewall_.withdraw(state_.ports); });
        forget_flows(state_.ports);
        published_ = false;
    }
    sockets_.clear();
    withdrawing_.reset();
}

void Endpoint::release() {
    withdraw();
    address_.reset();
    user_.reset();
    // Whoever is last waits a moment; one such is enough. It looks again after it let the others know
    // that nobody waits any more, so that none of them relies on it in vain.
    while (sys::exists(directory_) && !is_in_use(directory_)) {
        const auto waiting = FileLock::try_lock(directory_ + "/waiting");
        if (!waiting) return;
        ::sleep(3);
        {
            const FileLock lock(directory_ + "/lock");
            if (is_in_use(directory_)) continue;
            remove_network(directory_, hash_);
        }
        return remove_volatile_directory(store_root_);
    }
}

