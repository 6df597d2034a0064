// Where CRIU could be led astray, found without running it: which mounts lead out of the container
// (v1's groups are one mount for each hierarchy, v2's are one, with a cgroup namespace there are
// none), which names it would read back as another mount's, which namespaces it cannot join.
#include "runtime/checkpoint/criu_options.h"

#include "base/error.h"
#include "tests/unit/catch.h"

TEST_CASE("external mounts: binds, groups of the host's hierarchies, devices") {
    spec::Config config;
    config.mounts = {
        {.destination = "/proc",
         .type = "proc",
         .source = "proc",
         .options = {},
         .uid_mappings = {},
         .gid_mappings = {}},
        {.destination = "/data",
         .type = "bind",
         .source = "/host/data",
         .options = {"rbind"},
         .uid_mappings = {},
         .gid_mappings = {}},
        {.destination = "/near",
         .type = "none",
         .source = "near",
         .options = {"ro", "bind"},
         .uid_mappings = {},
         .gid_mappings = {}},
        {.destination = "/sys/fs/cgroup",
         .type = "cgroup",
         .source = "cgroup",
         .options = {},
         .uid_mappings = {},
         .gid_mappings = {}},
    };
    CgroupRecord v1, v2;
    v1.directories = {"/sys/fs/cgroup/memory/c", "/sys/fs/cgroup/cpu,cpuacct/c"};
    v2.directories = {"/sys/fs/cgroup/c"}, v2.v2 = true;
    const auto host_of = [](const std::vector<ExternalMount>& mounts, std::string_view inside) {
        for (const ExternalMount& mount : mounts)
            if (mount.inside == inside) return mount.host;
        return std::string("none");
    };

    const auto in_v1 = plan_external_mounts(config, "/bundle", v1, "/state"),
               in_v2 = plan_external_mounts(config, "/bundle", v2, "/state");
    CHECK(host_of(in_v1, "/proc") == "none");
    CHECK(host_of(in_v1, "/data") == "/host/data");
    CHECK(host_of(in_v1, "/near") == "/bundle/near");
    CHECK(host_of(in_v1, "/dev/null") == "/dev/null");
    CHECK(host_of(in_v1, "/run/notify") == "/state/notify");
    CHECK(host_of(in_v1, "/sys/fs/cgroup/cpu,cpuacct") == "/sys/fs/cgroup/cpu,cpuacct/c");
    CHECK(host_of(in_v2, "/sys/fs/cgroup") == "/sys/fs/cgroup/c");

    config.linux.namespaces = {{.type = "cgroup", .path = ""}};
    CHECK(host_of(plan_external_mounts(config, "/bundle", v2, "/state"), "/sys/fs/cgroup") ==
          "none");
    config.mounts.push_back({.destination = "/dev",
                             .type = "bind",
                             .source = "/dev",
                             .options = {"rbind"},
                             .uid_mappings = {},
                             .gid_mappings = {}});
    CHECK(host_of(plan_external_mounts(config, "/bundle", v2, "/state"), "/dev/null") == "none");
}

TEST_CASE("a mount that CRIU would read back as another has no name") {
    CHECK(name_of_mount("/data", "/host]:/data") == "mnt[/data]:/host]:/data");
    CHECK(name_of_mount("/a[b]c", "/x") == "mnt[/a[b]c]:/x");
    CHECK(name_of_mount("/ends]", "/x") == "mnt[/ends]]:/x");
    for (const char* inside : {"/x]:/etc", "]:", "/a/]:"})
        CHECK_THROWS_AS(name_of_mount(inside, "/x"), Error);
}

TEST_CASE("what CRIU cannot join is refused") {
    CHECK(joined_namespace("network").key == "extRootNetNS");
    CHECK(joined_namespace("ipc").key.empty());
    for (const char* type : {"user", "mount", "cgroup", "time"})
        CHECK_THROWS_AS(joined_namespace(type), Error);
}
