// A table is handed over as one block: rules of any length one behind the other, of which the
// kernel says where each built-in chain begins and where its policy stands. Who merely asks for a
// table that nobody uses makes it, in each packet's way from then on: so the names of those that
// are there are read first. The size is asked for before the block, and another program may change
// the table between: then the kernel says so, and both are asked for again.
#include "container/legacy_firewall.h"

#include <linux/netfilter_ipv4/ip_tables.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/unique_fd.h"

namespace {

constexpr const char* table = "filter";

bool is_used() {
    const auto names = split(read_file_if_exists("/proc/net/ip_tables_names").value_or(""), '\n');
    return std::ranges::find(names, table) != names.end();
}

// The rules of FORWARD, and its policy as the last of them.
struct Chain {
    std::string block;
    size_t first = 0, policy = 0;
};

// Nothing if the table has changed meanwhile.
std::optional<Chain> try_read(int socket) {
    ipt_getinfo info{};
    std::strcpy(info.name, table);
    socklen_t size = sizeof info;
    check(::getsockopt(socket, IPPROTO_IP, IPT_SO_GET_INFO, &info, &size),
          "asking for iptables' table filter");
    ipt_get_entries head{};
    std::strcpy(head.name, table);
    head.size = info.size;
    std::string answer(sizeof head + info.size, '\0');
    std::memcpy(answer.data(), &head, sizeof head);
    size = socklen_t(answer.size());
    if (::getsockopt(socket, IPPROTO_IP, IPT_SO_GET_ENTRIES, answer.data(), &size) < 0) {
        if (errno == EAGAIN) return {};
        throw SysError("asking for the rules of iptables' table filter");
    }
    return Chain{.block = answer.substr(offsetof(ipt_get_entries, entrytable)),
                 .first = info.hook_entry[NF_INET_FORWARD],
                 .policy = info.underflow[NF_INET_FORWARD]};
}

template <class Struct>
Struct part(const std::string& block, size_t at) {
    Struct out;
    if (block.size() < sizeof out || block.size() - sizeof out < at)
        throw Error("iptables' table filter is shorter than its rules");
    std::memcpy(&out, block.data() + at, sizeof out);
    return out;
}

bool drops(const Chain& chain) {
    const auto rule = part<ipt_entry>(chain.block, chain.policy);
    const auto target = part<xt_standard_target>(chain.block, chain.policy + rule.target_offset);
    return target.verdict == -NF_DROP - 1;
}

bool names_our_bridges(const Chain& chain) {
    const auto is_ours = [](const char* interface) {
        return std::string_view(interface, IFNAMSIZ).starts_with("keg-");
    };
    for (size_t at = chain.first; at < chain.policy;) {
        const auto rule = part<ipt_entry>(chain.block, at);
        if (is_ours(rule.ip.iniface) || is_ours(rule.ip.outiface)) return true;
        if (rule.next_offset == 0) return false;
        at += rule.next_offset;
    }
    return false;
}

}  // namespace

bool legacy_firewall_drops_forwarded() {
    if (!is_used()) return false;
    const UniqueFd socket(check(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW),
                                "opening a socket for iptables' tables"));
    for (int tries = 0; tries < 10; ++tries)
        if (const auto chain = try_read(socket.get()))
            return drops(*chain) && !names_our_bridges(*chain);
    return false;  // whoever changes it so often is not done yet
}
