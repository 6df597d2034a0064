// Proves what the small languages of run's options mean. Most of what is wrong in them looks nearly
// right, so the refusals are compared to the word.
#include "engine/settings.h"

#include "base/error.h"
#include "tests/unit/catch.h"

TEST_CASE("published ports: addresses, ranges and the long form") {
    struct {
        const char* spec;
        std::vector<PortBinding> want;
    } cases[] = {
        {"80", {{"tcp", "", 0, 0, 80}}},
        {"8080:80", {{"tcp", "", 8080, 0, 80}}},
        {"127.0.0.1:8080:80/udp", {{"udp", "127.0.0.1", 8080, 0, 80}}},
        {"127.0.0.1::80", {{"tcp", "127.0.0.1", 0, 0, 80}}},
        {"8080-8081:80-81", {{"tcp", "", 8080, 0, 80}, {"tcp", "", 8081, 0, 81}}},
        {"8080-8090:80", {{"tcp", "", 8080, 8090, 80}}},
        {"target=80,published=8080,protocol=udp", {{"udp", "", 8080, 0, 80}}},
    };
    for (auto& [spec, want] : cases) {
        CAPTURE(spec);
        CHECK(parse_publish(spec) == want);
    }
    CHECK(error_of([] { parse_publish("8080:"); }) == "no port specified: 8080:<empty>");
    CHECK(error_of([] { parse_publish("80/icmp"); }) == "invalid proto: icmp");
    CHECK(error_of([] { parse_publish("1.2.3:80:80"); }) == "invalid IP address: 1.2.3");
    CHECK(error_of([] { parse_publish("80-82:8080-8081"); }) ==
          "invalid ranges specified for container and host Ports: 8080-8081 and 80-82");
    CHECK(error_of([] { parse_publish("x:80"); }) == "invalid hostPort: x");
    CHECK(error_of([] { parse_publish("80:99999"); }) == "invalid containerPort: 99999");
}

TEST_CASE("the ports column joins runs of equal ports") {
    CHECK(ports_column({{"tcp", "", 80, 0, 80}, {"tcp", "", 81, 0, 81}, {"tcp", "", 8443, 0, 443}},
                       {"443/tcp", "9/udp"}) ==
          "9/udp, 0.0.0.0:80-81->80-81/tcp, 0.0.0.0:8443->443/tcp");
}

TEST_CASE("volumes: binds, names, anonymous ones and their modes") {
    const VolumeMount bind = parse_volume("./a/../b:/c/:ro,rslave", "/here");
    CHECK(bind.source == "/here/b");
    CHECK(bind.destination == "/c");
    CHECK(bind.read_only);
    CHECK(bind.propagation == "rslave");
    CHECK(parse_volume("data:/c", "/").type == "volume");
    CHECK(parse_volume("/c", "/").anonymous);
    CHECK(error_of([] { parse_volume("/a:/b:rw,ro", "/"); }) == "invalid mode: rw,ro");
    CHECK(error_of([] { parse_volume("/a:ro", "/"); }) == "invalid volume specification: '/a:ro'");
    CHECK(error_of([] { parse_volume("/a:/", "/"); }) ==
          "invalid volume specification: '/a:/': destination can't be '/'");
}

TEST_CASE("mounts: keys and values") {
    std::map<std::string, std::string> tmpfs;
    const auto bind = parse_mount("type=bind,src=/a,dst=/b,readonly", "/here", tmpfs);
    REQUIRE(bind);
    CHECK(bind->read_only);
    CHECK_FALSE(parse_mount("type=tmpfs,target=/t,tmpfs-size=1m", "/here", tmpfs));
    CHECK(tmpfs["/t"] == "rw,size=1048576");
    CHECK(error_of([&] {
              parse_mount("type=bind,src=/a", "/here", tmpfs);
          }).ends_with("target is required"));
}

TEST_CASE("sizes are binary and CPUs are exact") {
    CHECK(parse_bytes("64m") == 64 << 20);
    CHECK(parse_bytes("1.5g") == 1610612736);
    CHECK(parse_bytes("4096") == 4096);
    CHECK(error_of([] { parse_bytes("4x"); }) == "invalid size: '4x'");
    CHECK(parse_cpus("1.5") == 1'500'000'000);
    CHECK(parse_cpus(".25") == 250'000'000);
    CHECK(error_of([] { parse_cpus("0.1234567891"); }) == "value is too precise");
}

TEST_CASE("ulimits name a limit of the kernel") {
    const spec::Rlimit limit = parse_ulimit("nofile=1024:2048");
    CHECK(limit.type == "RLIMIT_NOFILE");
    CHECK(limit.soft == 1024);
    CHECK(limit.hard == 2048);
    CHECK(parse_ulimit("core=-1").hard == ~uint64_t(0));
    CHECK(error_of([] { parse_ulimit("as=1"); }) == "invalid ulimit type: as");
    CHECK(error_of([] { parse_ulimit("nofile=2:1"); }) ==
          "ulimit soft limit must be less than or equal to hard limit: 2 > 1");
}

TEST_CASE("an env file has no quoting") {
    CHECK(parse_env_file("f", "\xef\xbb\xbf"
                              "A=1\n# no\n  B=\"x\" \n\nNOT_SET_ANYWHERE_X\n") ==
          std::vector<std::string>{"A=1", "B=\"x\" "});
    CHECK(error_of([] { parse_env_file("f", "a b=1\n"); }) ==
          "invalid env file (f): variable 'a b' contains whitespaces");
    CHECK(error_of([] { parse_env_file("f", "=x\n"); }) ==
          "invalid env file (f): no variable name on line '=x'");
}

TEST_CASE("the user's variables stand before the image's and win") {
    CHECK(merge_env({"A=2", "C"}, {"A=1", "B=1", "C=1"}) ==
          std::vector<std::string>{"A=2", "C", "B=1"});
}

TEST_CASE("signals by name and number") {
    CHECK(parse_signal("KILL") == 9);
    CHECK(parse_signal("sigterm") == 15);
    CHECK(parse_signal("RTMIN+3") == 37);
    CHECK(parse_signal("2") == 2);
    CHECK(error_of([] { parse_signal("NOPE"); }) == "invalid signal: NOPE");
}

TEST_CASE("names have two characters and no slash") {
    CHECK_NOTHROW(check_name("a_1"));
    CHECK(error_of([] { check_name("a"); }) ==
          "Invalid container name (a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
    CHECK_THROWS(check_name("../x"));
}

TEST_CASE("settings survive being written") {
    Settings settings;
    settings.id = "x", settings.name = "n", settings.ports = parse_publish("8080:80");
    settings.stop_timeout = 0;
    const Settings again = read_settings(write(settings));
    CHECK(again.ports == settings.ports);
    CHECK(again.stop_timeout == 0);
    CHECK(again.shm_size == 64 << 20);
}

TEST_CASE("--mount is a record of CSV whose keys fit the type") {
    std::map<std::string, std::string> tmpfs;
    const auto mount = [&](const std::string& spec) { return parse_mount(spec, "/here", tmpfs); };
    CHECK(mount("type=bind,\"source=/a,b\",target=/c")->source == "/a,b");
    CHECK(mount("type=bind,src=./x,dst=/c,bind-create-src")->source == "/here/x");
    CHECK(mount("source=vol,dst=/c,volume-subpath=a/b")->subpath == "a/b");
    CHECK(mount("type=bind,src=/a,dst=/c,bind-recursive=disabled")->alone);
    for (const char* bad :
         {"type=bind,src=/a,dst=/c,volume-nocopy", "source=vol,dst=/c,volume-subpath=/a",
          "source=vol,dst=/c,volume-subpath=a/../..", "\"source=v", "source=vol,dst=/c,what=1",
          "type=bind,src=a,dst=/c", "type=image,src=a,dst=/c", "type=tmpfs,src=a,dst=/c",
          "source=vol,dst=/c,volume-driver=nfs"})
        CHECK_THROWS_AS(mount(bad), Error);
}

TEST_CASE("restart policies, rules for devices and rates are Docker's") {
    CHECK((parse_restart("on-failure:3").name == "on-failure" &&
           parse_restart("on-failure:3").most == 3));
    CHECK(parse_restart("").name == "no");
    for (const char* bad : {"sometimes", "always:1", "on-failure:x", "on-failure:-1", ":1"})
        CHECK_THROWS_AS(parse_restart(bad), Error);
    const spec::DeviceRule rule = parse_device_rule("c 1:* rwm");
    CHECK((rule.type == "c" && rule.major == 1 && !rule.minor && rule.access == "rwm"));
    for (const char* bad : {"c 1:3", "x 1:3 r", "c 1 r", "c 1:3 rx", "c 1:3 rwmr", "c -1:3 r"})
        CHECK_THROWS_AS(parse_device_rule(bad), Error);
    CHECK(parse_device_rate("/dev/sda:1kb", true).rate == 1024);
    for (const char* bad : {"/dev/sda", "sda:1", "/dev/sda:x", ":1"})
        CHECK_THROWS_AS(parse_device_rate(bad, false), Error);
}

TEST_CASE("a log has the options that its driver has") {
    check_log_settings({.driver = "json-file", .options = {{"max-size", "1m"}, {"max-file", "3"}}});
    for (const ContainerLog& bad : {ContainerLog{"none", {{"max-size", "1m"}}},
                                    ContainerLog{"json-file", {{"max-size", "0"}}},
                                    ContainerLog{"json-file", {{"max-file", "0"}}},
                                    ContainerLog{"local", {{"compress", "maybe"}}},
                                    ContainerLog{"json-file", {{"labels", "x"}}}})
        CHECK_THROWS_AS(check_log_settings(bad), Error);
}
