// What takes long is kept away from people who wait: nothing is moved between namespaces, devices
// are not deleted but die with the container's namespace, and all rules are one transaction. The
// lock of the network is held while it is made or torn down, so that nobody sees half of it.
#include "container/network.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "container/conntrack.h"
#include "container/identity.h"
#include "container/netlink.h"
#include "image/digest.h"

std::string address_text(uint32_t address) {
    return str(address >> 24, ".", address >> 16 & 255, ".", address >> 8 & 255, ".",
               address & 255);
}

Subnet choose_subnet(const std::vector<Subnet>& used) {
    std::vector<Subnet> pools;
    for (uint32_t second = 17; second < 32; ++second)
        pools.push_back({172u << 24 | second << 16, 16});
    for (uint32_t third = 0; third < 256; third += 16)
        pools.push_back({192u << 24 | 168u << 16 | third << 8, 20});
    for (const Subnet& pool : pools)
        if (std::ranges::none_of(used, [&](const Subnet& other) { return pool.overlaps(other); }))
            return pool;
    throw Error("all predefined address pools have been fully subnetted");
}

std::vector<Subnet> parse_routes(std::string_view text) {
    std::vector<Subnet> out;
    for (const std::string& line : split(text, '\n')) {
        const std::vector<std::string> fields = split(line, '\t');
        if (fields.size() < 8) continue;
        const auto destination = parse_number<uint32_t>(fields[1], 16),
                   mask = parse_number<uint32_t>(trim(fields[7]), 16);
        if (!destination || !mask || !*mask) continue;
        out.push_back({ntohl(*destination), __builtin_popcount(*mask)});
    }
    return out;
}

std::string mac_of(uint32_t address) {
    char text[18];
    std::snprintf(text, sizeof text, "02:42:%02x:%02x:%02x:%02x", address >> 24,
                  address >> 16 & 255, address >> 8 & 255, address & 255);
    return text;
}

static uint32_t parse_address(const std::string& text) {
    in_addr address{};
    ::inet_pton(AF_INET, text.c_str(), &address);
    return ntohl(address.s_addr);
}

namespace {

// The file of an address says who has it, so that whoever finds rules or links gone can put them
// back:
//     PID START DEVICE
//     tcp HOST_IP|* 8080 80        for each published port
//     name NAME                    for each name that it has in this network
// The process may outlive its monitor, and then the file's lock.
struct Record {
    pid_t pid = 0;
    uint64_t started = 0;
    std::string device;
    Published published;
    std::vector<std::string> names;
};

std::string write_record(const Record& record) {
    std::string out = str(record.pid, " ", record.started, " ", record.device, "\n");
    for (const PortBinding& port : record.published.ports)
        out += str(port.proto, " ", port.host_ip.empty() ? "*" : port.host_ip, " ", port.host_port,
                   " ", port.container_port, "\n");
    for (const std::string& name : record.names) out += str("name ", name, "\n");
    return out;
}

// Nothing if it names no living process.
std::optional<Record> read_record(const std::string& file) {
    const std::vector<std::string> lines =
        split(read_file_if_exists(file, 1 << 20).value_or(""), '\n');
    const std::vector<std::string> head = split(lines.empty() ? "" : lines[0], ' ');
    if (head.size() < 3) return {};
    Record record{.pid = parse_number<pid_t>(head[0]).value_or(0),
                  .started = parse_number<uint64_t>(head[1]).value_or(0),
                  .device = head[2],
                  .published = {.address = file.substr(file.rfind('/') + 1), .ports = {}}};
    if (!is_alive(record.pid, record.started)) return {};
    for (const std::string& line : lines) {
        const std::vector<std::string> words = split(line, ' ');
        if (words.size() == 2 && words[0] == "name") record.names.push_back(words[1]);
        if (words.size() != 4) continue;
        record.published.ports.push_back(
            {.proto = words[0],
             .host_ip = words[1] == "*" ? "" : words[1],
             .host_port = parse_number<uint16_t>(words[2]).value_or(0),
             .host_port_end = 0,
             .container_port = parse_number<uint16_t>(words[3]).value_or(0)});
    }
    return record;
}

std::vector<Record> living_records(const std::string& directory) {
    std::vector<Record> out;
    std::error_code none;  // the directory goes with the network
    for (const auto& entry : std::filesystem::directory_iterator(directory + "/addresses", none))
        if (auto record = read_record(entry.path())) out.push_back(std::move(*record));
    return out;
}

std::vector<std::string> interfaces() {
    std::vector<std::string> out;
    struct if_nameindex* const all = ::if_nameindex();
    for (const struct if_nameindex* each = all; each && each->if_index; ++each)
        out.emplace_back(each->if_name);
    ::if_freenameindex(all);
    return out;
}

bool is_our_bridge(const std::string& name) { return name.starts_with("keg-"); }
// A container's end of a pair on this side ("veth" and seven digits, Docker's too): a port of a
// bridge forwards nothing itself.
bool is_bridge_port(const std::string& name) {
    return name.starts_with("veth") && name.size() == 11;
}

std::string setting(const std::string& interface, const char* name) {
    return str("/proc/sys/net/ipv4/conf/", interface, "/", name);
}

bool is_on(const std::string& file) { return trim(read_file_if_exists(file).value_or("1")) != "0"; }

void switch_on(const std::string& file) {
    if (!is_on(file)) write_file(file, "1");
}

// --- Forwarding. Whether a packet is forwarded is a setting of the interface it came in by, so
// answers need it on the uplinks. A host whose owner has switched it on (ip_forward) is a router
// already. On any other host we switch it on for each interface by itself, and a rule drops what
// would then be forwarded between the host's other networks. ip_forward stays the owner's, and is
// the owner's word if it changes later.

constexpr const char* stores_lock = "/run/keg-stores/lock";  // held for all of this

// Each network namespace has its own interfaces, and they may share /run.
std::string file_of_this_network(const char* name) {
    struct stat info{};
    ::stat("/proc/self/ns/net", &info);
    return str("/run/keg-stores/", name, "-", info.st_ino);
}

std::string opened_file() {
    return file_of_this_network("forwarding");
}  // the interfaces that we opened
std::string guard_note() { return file_of_this_network("forwarding-rules"); }

void forget_forwarding() {
    for (const std::string& file : {opened_file(), guard_note()}) ::unlink(file.c_str());
}

bool host_is_router() { return is_on("/proc/sys/net/ipv4/ip_forward"); }

// `anew`: no container of keg's is here yet, and what the files say is of a network namespace that
// had its number before.
void let_forward_for_us(const std::string& bridge, bool anew) {
    switch_on(setting(bridge, "forwarding"));
    if (anew) forget_forwarding();
    const auto before = read_file_if_exists(opened_file());
    if (host_is_router()) {
        if (before) unguard_forwarding(), forget_forwarding();
        return;
    }
    const std::vector<std::string> all = interfaces();
    std::vector<std::string> opened;
    for (const std::string& name : split(before.value_or(""), '\n'))
        if (std::ranges::find(all, name) != all.end()) opened.push_back(name);
    const size_t known = opened.size();
    for (const std::string& name : all)
        if (name != "lo" && !is_our_bridge(name) && !is_bridge_port(name) &&
            !is_on(setting(name, "forwarding")))
            opened.push_back(name);
    std::ranges::sort(opened);
    opened.erase(std::unique(opened.begin(), opened.end()), opened.end());
    if (opened.empty()) return;
    // First the rule, then the note of what is to be undone, then the door.
    guard_forwarding(opened, guard_note(), opened.size() != known);
    replace_file(opened_file(), join(opened, "\n") + "\n", 0600, Durability::rename_only);
    for (const std::string& name : opened) switch_on(setting(name, "forwarding"));
}

// With the last bridge of any store.
void stop_forwarding() {
    if (std::ranges::any_of(interfaces(), is_our_bridge)) return;
    const auto opened = read_file_if_exists(opened_file());
    if (!opened) return;
    if (!host_is_router())
        for (const std::string& name : split(*opened, '\n'))
            if (!name.empty() && sys::exists(setting(name, "forwarding")))
                attempt("closing " + name + " to forwarding",
                        [&] { write_file(setting(name, "forwarding"), "0"); });
    attempt("removing the rule for forwarding", [] { unguard_forwarding(); });
    forget_forwarding();
}

// A verdict "accept" of ours does not overrule another chain's "drop": only the owner can let us
// through.
void warn_of_foreign_drops() {
    for (const std::string& chain : foreign_drops())
        log_warning(str("the host's firewall drops what is forwarded (", chain,
                        "): the container will reach nothing beyond this host, nor be reached; "
                        "let through what comes in by or goes out to keg-*, as with iptables -I "
                        "FORWARD -i keg-+ -j ACCEPT and -o keg-+"));
}

}  // namespace

// Whoever was last may be removing the directory.
static FileLock lock_network(const std::string& directory) {
    for (;;) {
        sys::make_directories(directory, 0700);
        try {
            return FileLock(directory + "/lock");
        } catch (const SysError& e) {
            if (e.code() != ENOENT) throw;
        }
    }
}

// What bridge, table and locks are named after.
static std::string hash_of_network(const std::string& store_root, const std::string& name) {
    return name.empty() ? store_hash(store_root)
                        : digest_of(store_hash(store_root) + "\n" + name).hex().substr(0, 8);
}

std::string network_directory(const std::string& store_root, const std::string& name) {
    return volatile_directory(store_root) + (name.empty() ? "/net" : "/networks/" + name);
}

std::vector<NamedAddress> named_addresses(const std::string& network_directory) {
    std::vector<NamedAddress> out;
    for (Record& record : living_records(network_directory))
        if (!record.names.empty())
            out.push_back({parse_address(record.published.address), std::move(record.names)});
    return out;
}

Endpoint::Endpoint(const std::string& store_root, const std::string& container_id,
                   const std::vector<PortBinding>& wanted, const BridgeNetwork& network,
                   EndpointWish wish)
    : network_(network), wish_(std::move(wish)), store_root_(store_root),
      directory_(network_directory(store_root, network.name)),
      hash_(hash_of_network(store_root, network.name)), bridge_("keg-" + hash_), id_(container_id),
      firewall_("keg_" + hash_, bridge_) {
    state_.name = network_.name;
    const FileLock lock = lock_network(directory_);
    sys::make_directories(directory_ + "/addresses", 0700);
    user_.emplace(directory_ + "/users", true);
    take_ports(wanted);
    sync_network();
    take_address();
    attempt("looking at the host's firewall", [] { warn_of_foreign_drops(); });
}

// The one that this network has, or a new one.
Subnet Endpoint::choose_network() {
    if (network_.subnet.prefix) {
        for (const Subnet& other : parse_routes(read_file("/proc/net/route")))
            if (other.overlaps(network_.subnet) && !::if_nametoindex(bridge_.c_str()))
                throw Error("network ", network_.name, ": its addresses ",
                            address_text(network_.subnet.address), "/", network_.subnet.prefix,
                            " are somebody else's on this machine");
        return network_.subnet;
    }
    const std::vector<std::string> parts =
        split(read_file_if_exists(directory_ + "/subnet").value_or(""), '/');
    const bool is_there = ::if_nametoindex(bridge_.c_str()) ||
                          !living_records(directory_).empty();  // else it was another time's
    if (parts.size() == 2 && is_there)
        return {parse_address(parts[0]) - 1, parse_number<int>(parts[1]).value_or(16)};
    return choose_subnet(parse_routes(read_file("/proc/net/route")));
}

// Whatever of it is missing, was flushed or set otherwise meanwhile is made. Gives whether it was
// not there.
bool Endpoint::sync_bridge() {
    Netlink netlink;
    const uint32_t gateway = parse_address(state_.gateway);
    const bool missing = !::if_nametoindex(bridge_.c_str());
    if (missing) netlink.create_bridge(bridge_, mac_of(gateway));
    const int bridge = int(::if_nametoindex(bridge_.c_str()));
    netlink.bring_up(bridge);
    netlink.add_address(bridge, htonl(gateway), state_.prefix);
    switch_on(setting(bridge_, "route_localnet"));
    if (!missing) return false;
    for (const Record& record : living_records(directory_))
        if (const int device = int(::if_nametoindex(record.device.c_str())))
            netlink.attach(device, bridge), netlink.reflect(device);
    return true;
}

void Endpoint::sync_network() {
    const FileLock all_stores(stores_lock);  // two stores must not choose the same
    const Subnet subnet = choose_network();
    state_.gateway = network_.gateway.empty() ? address_text(subnet.address + 1) : network_.gateway;
    state_.prefix = subnet.prefix;
    const bool made = sync_bridge();
    if (made) ::unlink((directory_ + "/rules").c_str());  // said of an older network
    std::vector<Published> all;
    for (const Record& record : living_records(directory_)) all.push_back(record.published);
    const std::vector<std::string> devices = interfaces();
    let_forward_for_us(bridge_,
                       made && all.empty() && std::ranges::count_if(devices, is_our_bridge) == 1);
    firewall_.sync(address_text(subnet.address) + "/" + str(subnet.prefix), all,
                   directory_ + "/rules", network_.internal);
    replace_file(directory_ + "/subnet", str(state_.gateway, "/", subnet.prefix), 0600,
                 Durability::rename_only);
}

bool Endpoint::try_address(uint32_t address) {
    const std::string file = directory_ + "/addresses/" + address_text(address);
    auto lock = FileLock::try_lock(file);
    if (!lock || read_record(file)) return false;
    address_ = std::move(lock);
    state_.address = address_text(address);
    return true;
}

// The one that was asked for, or the lowest free one.
void Endpoint::take_address() {
    const uint32_t gateway = parse_address(state_.gateway), mask = ~(~uint32_t(0) >> state_.prefix);
    const Subnet subnet{gateway & mask, state_.prefix};
    if (!wish_.address.empty()) {
        const uint32_t wanted = parse_address(wish_.address);
        if (wanted <= subnet.address || wanted >= subnet.last())
            throw Error("no configured subnet contains IP address ", wish_.address);
        if (wanted == gateway || !try_address(wanted))
            throw Error("failed to set up container networking: Address already in use");
        return;
    }
    const Subnet& from = network_.range.prefix ? network_.range : subnet;
    const uint32_t last = std::min(from.last(), subnet.last() - 1);
    for (uint32_t address = std::max(from.address, subnet.address + 1); address <= last; ++address)
        if (address != gateway && try_address(address)) return;
    throw Error("no available IPv4 addresses on this network's address pools: ",
                network_.name.empty() ? "bridge" : network_.name);
}

namespace {

// A socket that owns the port and hears nothing: packets go where the rules send them.
UniqueFd hold_port(const PortBinding& binding, uint16_t port, int& error) {
    const bool tcp = binding.proto == "tcp";
    UniqueFd socket(::socket(AF_INET,
                             (binding.proto == "udp" ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
                             tcp || binding.proto == "udp" ? 0 : IPPROTO_SCTP));
    if (!socket) {
        error = errno == EPROTONOSUPPORT ? 0 : errno;
        return {};
    }
    sock_filter drop[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog program{1, drop};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    const int on = 1;  // connections of the past that linger do not count; a listener does
    if (tcp) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET, address.sin_port = htons(port);
    if (!binding.host_ip.empty()) ::inet_pton(AF_INET, binding.host_ip.c_str(), &address.sin_addr);
    const bool held =
        ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        (!tcp || ::listen(socket.get(), 1) == 0);
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
        for (int port = binding.host_port;
             port <= std::max(binding.host_port, binding.host_port_end); ++port) {
            UniqueFd socket = hold_port(binding, uint16_t(port), error);
            given.host_port = socket && port == 0 ? port_of(socket.get()) : uint16_t(port);
            if (error) continue;
            if (socket) sockets_.push_back(std::move(socket));
            break;
        }
        if (error) {
            const std::string where = (binding.host_ip.empty() ? "0.0.0.0" : binding.host_ip) +
                                      ":" + str(binding.host_port);
            // Is it one of ours? The sockets of living containers are listed where they were given.
            const bool ours = sys::exists(directory_ + "/ports/" + binding.proto + "-" +
                                          str(binding.host_port)) &&
                              !FileLock::try_lock(directory_ + "/ports/" + binding.proto + "-" +
                                                  str(binding.host_port));
            if (error == EADDRINUSE && ours)
                throw Error("failed to set up container networking: driver failed programming "
                            "external connectivity on endpoint ",
                            id_.substr(0, 12), ": Bind for ", where,
                            " failed: port is already allocated");
            throw Error("failed to set up container networking: driver failed programming external "
                        "connectivity on endpoint ",
                        id_.substr(0, 12), ": failed to bind host port ", where, "/", binding.proto,
                        ": ", errno_text(error));
        }
        state_.ports.push_back(given);
        sys::make_directories(directory_ + "/ports", 0700);
        if (auto mark =
                sys::try_open(directory_ + "/ports/" + given.proto + "-" + str(given.host_port),
                              O_RDWR | O_CREAT, 0600)) {
            // Several addresses may share a number.
            sys::flock(mark->get(), LOCK_SH | LOCK_NB);
            sockets_.push_back(std::move(*mark));
        }
    }
}

void Endpoint::connect(int netns, pid_t user) {
    state_.interface_name = "veth" + random_id().substr(0, 7);
    state_.mac = wish_.mac.empty() ? mac_of(parse_address(state_.address)) : wish_.mac;
    const std::string inner = str("eth", wish_.number);
    state_.network_id = hash_, state_.endpoint_id = random_id();
    Netlink host;
    host.create_veth(state_.interface_name, netns, inner, state_.mac,
                     int(::if_nametoindex(bridge_.c_str())));
    host.reflect(int(::if_nametoindex(state_.interface_name.c_str())));

    int device = 0;
    Netlink inside = Netlink::inside(netns, inner, device);
    inside.add_address(device, htonl(parse_address(state_.address)), state_.prefix);
    inside.bring_up(device);
    if (wish_.default_route && !network_.internal)
        inside.add_default_route(htonl(parse_address(state_.gateway)));
    const Record record{.pid = user,
                        .started = start_time(user),
                        .device = state_.interface_name,
                        .published = {state_.address, state_.ports},
                        .names = wish_.names};
    write_file(directory_ + "/addresses/" + state_.address, write_record(record), 0600);
    if (state_.ports.empty()) return;
    const FileLock lock(directory_ + "/lock");
    firewall_.publish(record.published);
    firewall_.remember(directory_ + "/rules");
    published_ = true;
    forget_flows(state_.ports);
}

// By an endpoint, or by a container whose monitor was killed.
static bool is_in_use(const std::string& directory) {
    return !FileLock::try_lock(directory + "/users") || !living_records(directory).empty();
}

// Its lock is held and nobody is in it: the files may go too.
static void remove_network(const std::string& directory, const std::string& hash) {
    const std::string bridge = "keg-" + hash;
    attempt("removing the network's rules", [&] { Firewall("keg_" + hash, bridge).remove(); });
    attempt("removing the network's bridge", [&] {
        if (const unsigned index = ::if_nametoindex(bridge.c_str())) Netlink().remove(int(index));
    });
    attempt("putting the host's forwarding back", [] {
        const FileLock all_stores(stores_lock);
        stop_forwarding();
    });
    for (const char* name : {"/subnet", "/rules", "/addresses", "/ports"})
        attempt("removing the network's files", [&] { sys::remove_tree(directory + name); });
}

// Who holds its lock; who waits for the lock makes it anew.
static void remove_directory_of_users(const std::string& directory) {
    attempt("removing the network's files", [&] {
        sys::remove_tree(directory);
        ::rmdir(directory.substr(0, directory.rfind('/')).c_str());
    });
}

void forget_endpoint(const std::string& store_root, const std::vector<PortBinding>& ports,
                     const std::string& network) {
    const std::string directory = network_directory(store_root, network),
                      hash = hash_of_network(store_root, network);
    if (!sys::exists(directory + "/subnet")) return;
    const FileLock lock(directory + "/lock");
    if (!is_in_use(directory)) {
        remove_network(directory, hash);
        if (!network.empty()) remove_directory_of_users(directory);
        return;
    }
    for (const PortBinding& port : ports) {
        int error = 0;
        const UniqueFd held = hold_port(port, port.host_port, error);
        if (error) continue;  // somebody has the port by now, and its rules
        try {
            Firewall("keg_" + hash, "keg-" + hash).withdraw({port});
        } catch (const Error&) {  // it was never published
        }
    }
}

// If somebody has flushed them, those of the others come back with the next container.
void Endpoint::withdraw_rules() {
    try {
        firewall_.withdraw(state_.ports);
        firewall_.remember(directory_ + "/rules");
    } catch (const Error&) {
        ::unlink((directory_ + "/rules").c_str());
    }
}

void Endpoint::begin_withdraw() {
    if (published_) withdrawing_.emplace(directory_ + "/lock");
}

void Endpoint::withdraw() {
    if (published_) {
        if (!withdrawing_) begin_withdraw();
        attempt("removing the rules of published ports", [&] { withdraw_rules(); });
        forget_flows(state_.ports);
        published_ = false;
    }
    sockets_.clear();
    withdrawing_.reset();
}

std::vector<int> Endpoint::descriptors() const {
    std::vector<int> all;
    for (const auto* lock : {&user_, &address_, &withdrawing_})
        if (*lock) all.push_back((*lock)->fd());
    for (const UniqueFd& socket : sockets_) all.push_back(socket.get());
    return all;
}

void Endpoint::release(unsigned linger) {
    withdraw();
    address_.reset();
    user_.reset();
    // Whoever is last waits a moment; one such is enough. It looks again after it let the others
    // know that nobody waits any more, so that none of them relies on it in vain.
    while (sys::exists(directory_) && !is_in_use(directory_)) {
        const auto waiting = FileLock::try_lock(directory_ + "/waiting");
        if (!waiting) return;
        ::sleep(linger);
        {
            const FileLock lock(directory_ + "/lock");
            if (is_in_use(directory_)) continue;
            remove_network(directory_, hash_);
            if (!network_.name.empty()) remove_directory_of_users(directory_);
        }
        return remove_volatile_directory(store_root_);
    }
}
