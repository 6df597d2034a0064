// Four things are easy to forget. A client on 127.0.0.1 needs route_localnet on the bridge and its
// source masked; route_localnet without the guard would open the host's loopback services to
// containers (CVE-2020-8558). A container that uses its own published port, or its neighbour's, needs
// its source masked too, or the answer goes straight over the bridge and is not recognised. And what
// nobody published must not be reached from other machines through the forwarding we switch on.
#include "container/firewall.h"

#include <dlfcn.h>
#include <nftables/libnftables.h>

#include <memory>

#include "base/error.h"

std::string firewall_table(const std::string& table, const std::string& bridge, const std::string& subnet) {
    const std::string br = quoted(bridge);
    return str("table inet ", table, " {\n",
               "map any { type inet_proto . inet_service : ipv4_addr . inet_service; }\n",
               "map bound { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n",
               "chain guard { type filter hook prerouting priority -300; policy accept; iifname != \"lo\" ip daddr 127.0.0.0/8 drop; }\n",
               "chain publish {\n",
               "meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @any\n",
               "meta nfproto ipv4 dnat ip to ip daddr . meta l4proto . th dport map @bound\n}\n",
               "chain prerouting { type nat hook prerouting priority -100; policy accept; jump publish; }\n",
               "chain output { type nat hook output priority -100; policy accept; jump publish; }\n",
               "chain postrouting { type nat hook postrouting priority 100; policy accept;\n",
               "ip saddr 127.0.0.0/8 oifname ", br, " masquerade\n",
               "ct status dnat ip saddr ", subnet, " oifname ", br, " masquerade\n",
               "ip saddr ", subnet, " oifname != ", br, " masquerade\n}\n",
               "chain forward { type filter hook forward priority 0; policy accept;\n",
               "oifname ", br, " ct state established,related accept\n",
               "oifname ", br, " iifname ", br, " accept\n",
               "oifname ", br, " ct status dnat accept\n",
               "oifname ", br, " drop\n}\n}\n");
}

std::string firewall_elements(const std::string& verb, const std::string& table, const std::vector<PortBinding>& ports, const std::string& address) {
    std::string out;
    for (const PortBinding& port : ports) {
        const bool any = port.host_ip.empty() || port.host_ip == "0.0.0.0";
        out += str(verb, " element inet ", table, any ? " any { " : " bound { " + port.host_ip + " . ", port.proto, " . ", port.host_port);
        if (verb == "add") out += str(" : ", address, " . ", port.container_port);
        out += " }\n";
    }
    return out;
}

namespace {

// Loaded when it is needed: most commands touch no rule, and would pay 1 ms for it at their start.
struct Nftables {
    void* library = ::dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
    decltype(&::nft_ctx_new) ctx_new = find<decltype(ctx_new)>("nft_ctx_new");
    decltype(&::nft_ctx_free) ctx_free = find<decltype(ctx_free)>("nft_ctx_free");
    decltype(&::nft_ctx_buffer_output) buffer_output = find<decltype(buffer_output)>("nft_ctx_buffer_output");
    decltype(&::nft_ctx_buffer_error) buffer_error = find<decltype(buffer_error)>("nft_ctx_buffer_error");
    decltype(&::nft_ctx_get_error_buffer) get_error_buffer = find<decltype(get_error_buffer)>("nft_ctx_get_error_buffer");
    decltype(&::nft_run_cmd_from_buffer) run_cmd_from_buffer = find<decltype(run_cmd_from_buffer)>("nft_run_cmd_from_buffer");

private:
    template <class Function>
    Function find(const char* name) const {
        void* const symbol = library ? ::dlsym(library, name) : nullptr;
        if (!symbol) throw Error("bridge networks need libnftables: ", ::dlerror());
        return reinterpret_cast<Function>(symbol);
    }
};

// One transaction: all of it or nothing.
void run(const std::string& commands) {
    static const Nftables nft;
    const std::unique_ptr<nft_ctx, decltype(nft.ctx_free)> context(nft.ctx_new(NFT_CTX_DEFAULT), nft.ctx_free);
    if (!context) throw Error("opening nftables failed");
    nft.buffer_output(context.get());
    nft.buffer_error(context.get());
    if (nft.run_cmd_from_buffer(context.get(), commands.c_str()) == 0) return;
    const std::string_view text = nft.get_error_buffer(context.get());
    throw Error("nftables: ", trim(text.substr(0, text.find('\n'))));
}

}  // namespace

void Firewall::create(const std::string& subnet) const {
    run(str("add table inet ", table_, "\ndelete table inet ", table_, "\n", firewall_table(table_, bridge_, subnet)));
}

void Firewall::remove() const { run(str("add table inet ", table_, "\ndelete table inet ", table_, "\n")); }

void Firewall::publish(const std::vector<PortBinding>& ports, const std::string& address) const {
    if (ports.empty()) return;
    const std::string add = firewall_elements("add", table_, ports, address);
    try {
        run(add);
    } catch (const Error&) {
        // A monitor that was killed left its elements: the ports are ours, we hold the sockets.
        for (const PortBinding& port : ports)
            try {
                run(firewall_elements("delete", table_, {port}, ""));
            } catch (const Error&) {  // it was not that one
            }
        run(add);
    }
}

void Firewall::withdraw(const std::vector<PortBinding>& ports) const {
    if (!ports.empty()) run(firewall_elements("delete", table_, ports, ""));
}
