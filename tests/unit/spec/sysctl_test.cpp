#include "spec/sysctl.h"

#include "tests/unit/catch.h"

using spec::sysctl_path;

TEST_CASE("the first separator of a sysctl's key separates") {
    CHECK(sysctl_path("net.ipv4.conf.eth0/1.forwarding") == "net/ipv4/conf/eth0.1/forwarding");
    CHECK(sysctl_path("net/ipv4/conf/eth0.1/forwarding") == "net/ipv4/conf/eth0.1/forwarding");
    CHECK(sysctl_path("kernel.msgmax") == "kernel/msgmax");
    CHECK(sysctl_path("alone") == "alone");
    CHECK(sysctl_path("net/ipv4/conf/a..b/forwarding") == "net/ipv4/conf/a..b/forwarding");
}

TEST_CASE("a key that leads elsewhere than it says is none") {
    for (const char* key :
         {"", ".", "/", "net.", "net/", ".net", "/net", "net..x", "net//x",
          "net/../kernel/core_pattern", "net/./x", "net/..", "net.//.x", "net.x./.y"})
        CHECK(sysctl_path(key) == std::nullopt);
    CHECK(sysctl_path(std::string_view("net.\0x", 6)) == std::nullopt);
}
