// Four things are easy to forget. A client on 127.0.0.1 needs route_localnet on the bridge and its
// source masked; route_localnet without the guard would open the host's loopback services to
// containers (CVE-2020-8558). A container that uses its own published port, or its neighbour's,
// needs its source masked too, or the answer goes straight over the bridge and is not recognised.
// And what nobody published must not be reached from other machines through the forwarding we
// switch on.
//
// The ruleset belongs to the machine: others flush it, edit it, load it again. So what stands there
// is compared with what shall stand there, and the kernel makes that cheap: every change of anybody
// gives the ruleset a new generation. As long as that is the one we left, nothing has to be looked
// at.
#include "container/firewall.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>

#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/shared_library.h"
#include "container/legacy_firewall.h"
#include "container/netlink.h"
#include "image/digest.h"

std::string firewall_table(const std::string& table, const std::string& bridge,
                           const std::string& subnet, bool internal) {
    const std::string br = quoted(bridge);
    const std::string closed = internal ? str("iifname ", br, " oifname != ", br, " drop\n",
                                              "oifname ", br, " iifname != ", br, " drop\n")
                                        : "";
    return str(
        "table inet ", table, " {\n",
        "map any { type inet_proto . inet_service : ipv4_addr . inet_service; }\n",
        "map bound { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n",
        "chain guard { type filter hook prerouting priority -300; policy accept; iifname != \"lo\" "
        "ip daddr 127.0.0.0/8 drop; }\n",
        "chain publish {\n",
        "meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @any\n",
        "meta nfproto ipv4 dnat ip to ip daddr . meta l4proto . th dport map @bound\n}\n",
        "chain prerouting { type nat hook prerouting priority -100; policy accept; jump publish; "
        "}\n",
        "chain output { type nat hook output priority -100; policy accept; jump publish; }\n",
        "chain postrouting { type nat hook postrouting priority 100; policy accept;\n",
        "ip saddr 127.0.0.0/8 oifname ", br, " masquerade\n", "ct status dnat ip saddr ", subnet,
        " oifname ", br, " masquerade\n", "ip saddr ", subnet, " oifname != ", br,
        " masquerade\n}\n", "chain forward { type filter hook forward priority 0; policy accept;\n",
        closed, "oifname ", br, " ct state established,related accept\n", "oifname ", br,
        " iifname ", br, " accept\n", "oifname ", br, " ct status dnat accept\n", "oifname ", br,
        " drop\n}\n}\n");
}

std::string firewall_elements(const std::string& verb, const std::string& table,
                              const std::vector<PortBinding>& ports, const std::string& address) {
    std::string out;
    for (const PortBinding& port : ports) {
        const bool any = port.host_ip.empty() || port.host_ip == "0.0.0.0";
        out +=
            str(verb, " element inet ", table, any ? " any { " : " bound { " + port.host_ip + " . ",
                port.proto, " . ", port.host_port);
        if (verb == "add") out += str(" : ", address, " . ", port.container_port);
        out += " }\n";
    }
    return out;
}

namespace {

// Loaded when it is needed: most commands touch no rule, and would pay 1 ms for it at their start.
struct Nftables : SharedLibrary {
    Nftables() : SharedLibrary("libnftables.so.1", "bridge networks") {}
    decltype(&::nft_ctx_new) ctx_new = find<decltype(ctx_new)>("nft_ctx_new");
    decltype(&::nft_ctx_free) ctx_free = find<decltype(ctx_free)>("nft_ctx_free");
    decltype(&::nft_ctx_buffer_output) buffer_output =
        find<decltype(buffer_output)>("nft_ctx_buffer_output");
    decltype(&::nft_ctx_buffer_error) buffer_error =
        find<decltype(buffer_error)>("nft_ctx_buffer_error");
    decltype(&::nft_ctx_get_output_buffer) get_output_buffer =
        find<decltype(get_output_buffer)>("nft_ctx_get_output_buffer");
    decltype(&::nft_ctx_get_error_buffer) get_error_buffer =
        find<decltype(get_error_buffer)>("nft_ctx_get_error_buffer");
    decltype(&::nft_run_cmd_from_buffer) run_cmd_from_buffer =
        find<decltype(run_cmd_from_buffer)>("nft_run_cmd_from_buffer");
};

// One transaction: all of it or nothing. Gives what it printed.
std::string run(const std::string& commands) {
    static const Nftables nft;
    const std::unique_ptr<nft_ctx, decltype(nft.ctx_free)> context(nft.ctx_new(NFT_CTX_DEFAULT),
                                                                   nft.ctx_free);
    if (!context) throw Error("opening nftables failed");
    nft.buffer_output(context.get());
    nft.buffer_error(context.get());
    if (nft.run_cmd_from_buffer(context.get(), commands.c_str()) == 0)
        return nft.get_output_buffer(context.get());
    const std::string_view text = nft.get_error_buffer(context.get());
    throw Error("nftables: ", trim(text.substr(0, text.find('\n'))));
}

// There or not: gone afterwards.
std::string gone(const std::string& table) {
    return str("add table inet ", table, "\ndelete table inet ", table, "\n");
}

NetlinkRequest of_rules(int verb, uint16_t flags) {
    return netfilter_request(NFNL_SUBSYS_NFTABLES, NFPROTO_UNSPEC, verb, flags);
}

std::vector<std::string> dump(int verb) {
    return Netlink(NETLINK_NETFILTER)
        .list(of_rules(verb, NLM_F_DUMP), "asking for the firewall's rules");
}

uint32_t number_in(std::string_view attribute) {
    uint32_t value = 0;
    if (attribute.size() >= sizeof value) std::memcpy(&value, attribute.data(), sizeof value);
    return ntohl(value);
}

// Of the whole ruleset: another one after each change of anybody.
uint32_t generation() {
    return number_in(netlink_attribute(
        Netlink(NETLINK_NETFILTER)
            .ask(of_rules(NFT_MSG_GETGEN, 0), "asking for the firewall's generation"),
        sizeof(nfgenmsg), NFTA_GEN_ID));
}

// The table's digest as it stands; "" if it is not there.
std::string digest_of_table(const std::string& table) {
    try {
        return digest_of(run(str("list table inet ", table))).text();
    } catch (const Error&) {
        return "";
    }
}

// The generation is asked for first: a change that comes in between is seen the next time.
void remember_table(const std::string& table, const std::string& note) {
    const uint32_t now = generation();
    replace_file(note, str(now, " ", digest_of_table(table)), 0600, Durability::rename_only);
}

// Is the table as it was when we left it?
bool is_as_left(const std::string& table, const std::string& note) {
    const std::vector<std::string> left = split(read_file_if_exists(note).value_or(""), ' ');
    if (left.size() != 2) return false;
    const uint32_t now = generation();
    if (left[0] == str(now)) return true;
    if (left[1].empty() || left[1] != digest_of_table(table)) return false;
    replace_file(note, str(now, " ", left[1]), 0600, Durability::rename_only);
    return true;
}

}  // namespace

void Firewall::remember(const std::string& note) const { remember_table(table_, note); }

void Firewall::sync(const std::string& subnet, const std::vector<Published>& all,
                    const std::string& note, bool internal) const {
    if (is_as_left(table_, note)) return;
    std::string commands = gone(table_) + firewall_table(table_, bridge_, subnet, internal);
    for (const Published& each : all)
        commands += firewall_elements("add", table_, each.ports, each.address);
    run(commands);
    remember(note);
}

void Firewall::remove() const { run(gone(table_)); }

void Firewall::publish(const Published& one) const {
    const std::string add = firewall_elements("add", table_, one.ports, one.address);
    try {
        run(add);
    } catch (const Error&) {
        // A monitor that was killed left its elements: the ports are ours, we hold the sockets.
        for (const PortBinding& port : one.ports) try {
                run(firewall_elements("delete", table_, {port}, ""));
            } catch (const Error&) {  // it was not that one
            }
        run(add);
    }
}

void Firewall::withdraw(const std::vector<PortBinding>& ports) const {
    if (!ports.empty()) run(firewall_elements("delete", table_, ports, ""));
}

constexpr const char* guard_table = "keg_forward";

std::string forwarding_guard(const std::vector<std::string>& interfaces) {
    std::vector<std::string> names;
    for (const std::string& name : interfaces) names.push_back(quoted(name));
    return str("table inet ", guard_table,
               " {\nchain forward { type filter hook forward priority 0; policy accept;\n",
               "meta nfproto ipv4 iifname { ", join(names, ", "),
               " } oifname != \"keg-*\" drop\n}\n}\n");
}

void guard_forwarding(const std::vector<std::string>& interfaces, const std::string& note,
                      bool changed) {
    if (!changed && is_as_left(guard_table, note)) return;
    run(gone(guard_table) + forwarding_guard(interfaces));
    remember_table(guard_table, note);
}

void unguard_forwarding() { run(gone(guard_table)); }

static const char* family_name(uint8_t family) { return family == NFPROTO_INET ? "inet" : "ip"; }

// A rule that names a bridge of ours has the name in its bytes, as a whole or as a beginning.
static bool names_our_bridges(std::string_view table, std::string_view chain) {
    const auto is_text = [](std::string_view attribute, std::string_view text) {
        return attribute.substr(0, attribute.find('\0')) == text;
    };
    for (const std::string& rule : dump(NFT_MSG_GETRULE))
        if (is_text(netlink_attribute(rule, sizeof(nfgenmsg), NFTA_RULE_TABLE), table) &&
            is_text(netlink_attribute(rule, sizeof(nfgenmsg), NFTA_RULE_CHAIN), chain) &&
            rule.find("keg-") != std::string::npos)
            return true;
    return false;
}

std::vector<std::string> foreign_drops() {
    std::vector<std::string> out;
    for (const std::string& chain : dump(NFT_MSG_GETCHAIN)) {
        const auto text = [&](uint16_t type) {
            const std::string_view attribute = netlink_attribute(chain, sizeof(nfgenmsg), type);
            return std::string(attribute.substr(0, attribute.find('\0')));
        };
        const std::string_view hook = netlink_attribute(chain, sizeof(nfgenmsg), NFTA_CHAIN_HOOK);
        const std::string_view policy =
            netlink_attribute(chain, sizeof(nfgenmsg), NFTA_CHAIN_POLICY);
        const uint8_t family = uint8_t(chain[0]);
        if (hook.empty() || policy.empty() || number_in(policy) != NF_DROP ||
            (family != NFPROTO_IPV4 && family != NFPROTO_INET))
            continue;
        if (number_in(netlink_attribute(hook, 0, NFTA_HOOK_HOOKNUM)) != NF_INET_FORWARD) continue;
        if (!names_our_bridges(text(NFTA_CHAIN_TABLE), text(NFTA_CHAIN_NAME)))
            out.push_back(str("chain ", text(NFTA_CHAIN_NAME), " of table ", family_name(family),
                              " ", text(NFTA_CHAIN_TABLE)));
    }
    if (legacy_firewall_drops_forwarded())
        out.push_back("chain FORWARD of iptables-legacy's table filter");
    return out;
}
