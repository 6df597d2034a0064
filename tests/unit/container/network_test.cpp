// Proves what can be told of a network without having one: the texts that go to the container and
// to nft, and the arithmetic of addresses, which /proc/net/route has byte by byte the other way
// round.
#include "container/network.h"

#include "container/files.h"
#include "container/firewall.h"
#include "tests/unit/catch.h"

TEST_CASE("resolv.conf: what the container cannot reach is left out") {
    CHECK(resolv_conf("# c\nnameserver 127.0.0.53\nnameserver fe80::1\nnameserver 1.1.1.1\ndomain "
                      "a\nsearch b c\noptions x\nsortlist 1\n",
                      {}) == "nameserver 1.1.1.1\nsearch b c\noptions x\nsortlist 1\n");
    CHECK(resolv_conf("nameserver 127.0.0.1\n", {}) == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    CHECK(resolv_conf("nameserver 1.1.1.1\nsearch a\n",
                      {.dns = {"127.0.0.1"}, .search = {"."}, .options = {"ndots:1"}}) ==
          "nameserver 127.0.0.1\noptions ndots:1\n");
}

TEST_CASE("hosts: localhost, extra ones, then its own name") {
    CHECK(hosts_file({"db:10.0.0.1", "gw:host-gateway"}, "172.17.0.1", false, "172.17.0.2", "web",
                     "example.org") ==
          "127.0.0.1\tlocalhost\n10.0.0.1\tdb\n172.17.0.1\tgw\n172.17.0.2\tweb.example.org web\n");
}

TEST_CASE("subnets: the first pool that nothing overlaps") {
    const auto routes =
        parse_routes("Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
                     "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n"
                     "x\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n");
    REQUIRE(routes.size() == 1);
    CHECK(address_text(routes[0].address) == "172.17.0.0");
    CHECK(address_text(choose_subnet(routes).address) == "172.18.0.0");
    CHECK_THROWS(choose_subnet({{0, 1}, {1u << 31, 1}}));
}

TEST_CASE("published ports are elements of two maps") {
    CHECK(firewall_elements("add", "t",
                            {{"tcp", "", 8080, 0, 80}, {"udp", "127.0.0.1", 53, 0, 5353}},
                            "172.17.0.2") ==
          "add element inet t any { tcp . 8080 : 172.17.0.2 . 80 }\n"
          "add element inet t bound { 127.0.0.1 . udp . 53 : 172.17.0.2 . 5353 }\n");
}

TEST_CASE("a MAC address is that of the IP address, as Docker's") {
    CHECK(mac_of(172u << 24 | 17u << 16 | 2) == "02:42:ac:11:00:02");
    CHECK(mac_of(192u << 24 | 168u << 16 | 255) == "02:42:c0:a8:00:ff");
}

TEST_CASE("what comes in by an interface that keg opened goes to keg's bridges or nowhere") {
    CHECK(forwarding_guard({"eth0", "lan0"})
              .find("iifname { \"eth0\", \"lan0\" } oifname != \"keg-*\" drop") !=
          std::string::npos);
}
