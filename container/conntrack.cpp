// The kernel deletes one flow at a time, by its whole address: those of a port are listed (the
// kernel filters) and sent back. The names are linux/netfilter/nfnetlink_conntrack.h's; the two
// flags of the filter have none there (net/netfilter/nf_internals.h).
#include "container/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include "base/error.h"
#include "container/netlink.h"

namespace {

constexpr uint32_t filter_by_protocol = 1 << 3, filter_by_destination_port = 1 << 5;

NetlinkRequest of_flows(int verb, uint16_t flags) {
    return netfilter_request(NFNL_SUBSYS_CTNETLINK, AF_INET, verb, flags);
}

void forget(Netlink& netlink, uint8_t protocol, uint16_t port) {
    NetlinkRequest list = of_flows(IPCTNL_MSG_CT_GET, NLM_F_DUMP);
    const uint16_t wire_port = htons(port);
    list.open(CTA_TUPLE_ORIG | NLA_F_NESTED).open(CTA_TUPLE_PROTO | NLA_F_NESTED);
    list.add_byte(CTA_PROTO_NUM, protocol)
        .add(CTA_PROTO_DST_PORT, {reinterpret_cast<const char*>(&wire_port), sizeof wire_port});
    list.close().close().open(CTA_FILTER | NLA_F_NESTED);
    list.add(CTA_FILTER_ORIG_FLAGS, filter_by_protocol | filter_by_destination_port)
        .add(CTA_FILTER_REPLY_FLAGS, uint32_t(0))
        .close();
    for (const std::string& flow : netlink.list(std::move(list), "listing flows")) {
        NetlinkRequest gone = of_flows(IPCTNL_MSG_CT_DELETE, 0);
        gone.add(CTA_TUPLE_ORIG | NLA_F_NESTED,
                 netlink_attribute(flow, sizeof(nfgenmsg), CTA_TUPLE_ORIG));
        (void)netlink.try_send(std::move(gone));  // it may have ended meanwhile
    }
}

}  // namespace

void forget_flows(const std::vector<PortBinding>& ports) {
    for (const PortBinding& port : ports)
        if (port.proto == "udp")
            attempt("forgetting the flows to a published port", [&] {
                Netlink netlink(NETLINK_NETFILTER);
                forget(netlink, IPPROTO_UDP, port.host_port);
            });
}
