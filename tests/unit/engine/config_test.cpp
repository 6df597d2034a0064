// Proves that options become Docker's config.json. make_config asks the machine for no more than
// the seccomp profile's rules, so each case gives its answers itself; what is tested is where
// options meet.
#include "engine/config.h"

#include <algorithm>

#include "tests/unit/catch.h"

static Settings settings() {
    Settings s;
    s.id = std::string(64, 'a'), s.cmd = {"true"};
    return s;
}

static ConfigInputs inputs() {
    return {.hosts_path = "/c/hosts",
            .hostname_path = "/c/hostname",
            .resolv_path = "/c/resolv.conf",
            .hostname = "h",
            .all_capabilities = {"CAP_CHOWN", "CAP_SYS_ADMIN"}};
}

TEST_CASE("capabilities: additions, removals and ALL") {
    const std::vector<std::string> all = {"CAP_CHOWN", "CAP_SYS_ADMIN"};
    CHECK(plan_capabilities({}, {}, all).size() == 14);
    CHECK(plan_capabilities({"sys_admin"}, {"ALL"}, all) ==
          std::vector<std::string>{"CAP_SYS_ADMIN"});
    CHECK(plan_capabilities({"ALL"}, {"CAP_CHOWN"}, all) ==
          std::vector<std::string>{"CAP_SYS_ADMIN"});
    CHECK(plan_capabilities({}, {"chown"}, all).size() == 13);
    try {
        plan_capabilities({"x"}, {}, all);
        CHECK(false);
    } catch (const std::exception& e) {
        CHECK(std::string(e.what()) == "invalid CapAdd: unknown capability: \"CAP_X\"");
    }
}

TEST_CASE("the environment: defaults first, NAME alone removes one") {
    CHECK(plan_env({"A=1", "HOSTNAME"}, "h", true) ==
          std::vector<std::string>{
              "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm",
              "A=1"});
}

TEST_CASE("a user's mount replaces the default one and stands behind the defaults, by depth") {
    Settings s = settings();
    s.tmpfs["/run"] = "exec,size=1m";
    ConfigInputs in = inputs();
    in.mounts = {{.source = "/a", .destination = "/x/y/z"},
                 {.source = "/b", .destination = "/dev/shm", .read_only = true}};
    const spec::Config config = make_config(s, in);
    std::vector<std::string> order;
    for (const spec::Mount& mount : config.mounts) order.push_back(mount.destination);
    CHECK(order == std::vector<std::string>{"/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup",
                                            "/dev/mqueue", "/run", "/dev/shm", "/x/y/z",
                                            "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"});
    CHECK(config.mounts[6].options ==
          std::vector<std::string>{"nosuid", "nodev", "rprivate", "exec", "size=1m"});
    CHECK(config.mounts[7].options == std::vector<std::string>{"rbind", "rprivate", "rro"});
}

TEST_CASE("privileged means nothing masked, all devices, no filter") {
    Settings s = settings();
    s.privileged = true;
    const spec::Config config = make_config(s, inputs());
    CHECK(config.linux.masked_paths.empty());
    CHECK(config.linux.readonly_paths.empty());
    CHECK_FALSE(config.linux.seccomp);
    REQUIRE(config.linux.resources);
    CHECK(config.linux.resources->devices.size() == 1);
    CHECK(config.process->capabilities->effective == inputs().all_capabilities);
}

TEST_CASE("who is not root gets a bounding set only") {
    ConfigInputs in = inputs();
    in.user.uid = 1000;
    const spec::Config config = make_config(settings(), in);
    CHECK(config.process->capabilities->effective.empty());
    CHECK(config.process->capabilities->bounding.size() == 14);
}

TEST_CASE("memory: swap defaults to twice the limit, and contradictions are refused") {
    Settings s = settings();
    s.memory = 64 << 20, s.nano_cpus = 1'500'000'000, s.pids_limit = -1;
    const spec::Config config = make_config(s, inputs());
    CHECK(config.linux.resources->memory.swap == 128 << 20);
    CHECK(config.linux.resources->cpu.quota == 150000);
    CHECK(config.linux.resources->pids.limit == -1);
    s.memory = 1;
    CHECK_THROWS(make_config(s, inputs()));
}

TEST_CASE("host network: no namespace and none of its sysctls") {
    Settings s = settings();
    s.network = "host";
    const spec::Config config = make_config(s, inputs());
    CHECK(std::ranges::find(config.linux.namespaces, "network", &spec::Namespace::type) ==
          config.linux.namespaces.end());
    CHECK(config.linux.sysctl.empty());
}
