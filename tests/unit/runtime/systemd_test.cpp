// What systemd is asked for.
#include "base/error.h"
#include "runtime/cgroup/dbus_wire.h"
#include "runtime/cgroup/limits.h"
#include "runtime/cgroup/systemd_unit.h"
#include "runtime/cgroup/variant_text.h"
#include "tests/unit/catch.h"

namespace {

// As a person would write a value, for comparing.
std::string shown(const dbus::Value& value) {
    if (const auto* number = std::get_if<uint64_t>(&value.data)) return std::to_string(*number);
    if (const auto* number = std::get_if<int64_t>(&value.data)) return std::to_string(*number);
    if (const auto* number = std::get_if<double>(&value.data)) return str(*number);
    if (const auto* text = std::get_if<std::string>(&value.data)) return *text;
    std::string all;
    for (const dbus::Value& element : value.elements())
        all += (all.empty() ? "" : ",") + shown(element);
    return "[" + all + "]";
}

std::string shown(const Properties& properties) {
    std::string all;
    for (const auto& [name, value] : properties)
        all += str(all.empty() ? "" : " ", name, "=", value.signature, ":", shown(value));
    return all;
}

CgroupRequest asking(const std::string& cgroups_path) {
    return {.cgroups_path = cgroups_path, .id = "c+1"};
}

std::string told(std::string_view resources, bool v2, int version = 252) {
    const CgroupRecord record{.v2 = v2};
    return shown(limit_properties(plan_limits(record, spec::read_resources(resources)),
                                  [&] { return version; }));
}

}  // namespace

TEST_CASE("systemd: a cgroupsPath is a slice, a prefix and a name") {
    struct {
        std::string path;
        bool users_own;
        std::string slice, unit, where;
    } cases[] = {
        {"", false, "system.slice", "keg-c\\x2b1.scope", "/system.slice/keg-c\\x2b1.scope"},
        {"", true, "user.slice", "keg-c\\x2b1.scope", "/user.slice/keg-c\\x2b1.scope"},
        {"machine.slice:libpod:1", false, "machine.slice", "libpod-1.scope",
         "/machine.slice/libpod-1.scope"},
        {":docker:1", false, "system.slice", "docker-1.scope", "/system.slice/docker-1.scope"},
        {"a-b-c.slice:crio:1", false, "a-b-c.slice", "crio-1.scope",
         "/a.slice/a-b.slice/a-b-c.slice/crio-1.scope"},
        {"-.slice:x:1", false, "-.slice", "x-1.scope", "/x-1.scope"},
        {"a.slice::a-pod.slice", false, "a.slice", "a-pod.slice", "/a.slice/a-pod.slice"},
        {"a.slice:x:a/b", false, "a.slice", "x-a\\x2fb.scope", "/a.slice/x-a\\x2fb.scope"},
    };
    for (auto& [path, users_own, slice, unit, where] : cases) {
        CAPTURE(path);
        const UnitPlace place = plan_unit(asking(path), users_own);
        CHECK(place.slice == slice);
        CHECK(place.unit == unit);
        CHECK(path_of(place) == where);
    }
}

TEST_CASE("systemd: what is no slice, prefix and name is refused in runc's words") {
    CHECK(error_of([] { plan_unit(asking("/a/b"), false); }) ==
          "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got "
          "\"/a/b\" instead");
    for (const char* bad : {"a:x:1", "a..slice/b.slice:x:1", "-a.slice:x:1", "a--b.slice:x:1",
                            "a-.slice:x:1", "../x.slice:x:1", ".slice:x:1"}) {
        CAPTURE(bad);
        CHECK(error_of([&] { plan_unit(asking(bad), false); }).starts_with("invalid slice name: "));
    }
    CHECK(error_of([] {
              plan_unit(asking("a.slice:x:" + std::string(300, 'y')), false);
          }).starts_with("the name of the systemd unit is too long"));
}

TEST_CASE("systemd: limits become properties of a unit") {
    CHECK(
        told(
            R"({"memory": {"limit": 1048576, "reservation": 4096, "swap": 3145728}, "pids": {"limit": 7}})",
            true) == "MemorySwapMax=t:2097152 MemoryMax=t:1048576 MemoryLow=t:4096 TasksMax=t:7");
    CHECK(told(R"({"memory": {"limit": -1}, "pids": {"limit": -1}})", true) ==
          "MemorySwapMax=t:18446744073709551615 MemoryMax=t:18446744073709551615 "
          "TasksMax=t:18446744073709551615");
    CHECK(told(R"({"pids": {"limit": 0}})", true) == "TasksMax=t:1");
    CHECK(told(R"({"cpu": {"shares": 1024, "cpus": "0-2,9", "mems": "0"}})", true) ==
          "CPUWeight=t:100 AllowedCPUs=ay:[7,2] AllowedMemoryNodes=ay:[1]");
    CHECK(told(R"({"blockIO": {"weight": 10}})", true) == "IOWeight=t:1");
    CHECK(
        told(
            R"({"unified": {"memory.high": "1M", "memory.min": "max", "cpu.max": "max", "io.max": "8:0 rbps=1"}})",
            true) == "MemoryHigh=t:1048576 MemoryMin=t:18446744073709551615 "
                     "CPUQuotaPerSecUSec=t:18446744073709551615");
    CHECK(
        told(
            R"({"memory": {"limit": 1048576}, "cpu": {"shares": 512, "quota": 5000, "period": 20000}, "pids": {"limit": 7}})",
            false) == "MemoryLimit=t:1048576 CPUShares=t:512 TasksMax=t:7 "
                      "CPUQuotaPeriodUSec=t:20000 CPUQuotaPerSecUSec=t:250000");
}

TEST_CASE("systemd: a CPU quota is told per second and rounded up to 10 ms") {
    struct {
        int64_t quota;
        uint64_t period;
        std::string want;
    } cases[] = {
        {50000, 100000, "CPUQuotaPeriodUSec=t:100000 CPUQuotaPerSecUSec=t:500000"},
        {25500, 100000, "CPUQuotaPeriodUSec=t:100000 CPUQuotaPerSecUSec=t:260000"},
        {3000, 10000, "CPUQuotaPeriodUSec=t:10000 CPUQuotaPerSecUSec=t:300000"},
        {-1, 10000, "CPUQuotaPeriodUSec=t:10000 CPUQuotaPerSecUSec=t:18446744073709551615"},
    };
    for (auto& [quota, period, want] : cases) {
        CAPTURE(quota);
        CHECK(told(str(R"({"cpu": {"quota": )", quota, R"(, "period": )", period, "}}"), true) ==
              want);
    }
}

TEST_CASE("systemd: an idle CPU weight is told to those who know it") {
    CHECK(told(R"({"cpu": {"idle": 1}})", true, 252) == "CPUWeight=t:0");
    CHECK(told(R"({"cpu": {"idle": 1}})", true, 251) == "");
    CHECK(told(R"({"cpu": {"idle": 0}})", true, 252) == "");
}

TEST_CASE("systemd: device rules become a list of what is allowed, or ours alone hold") {
    const auto allowed = [](const std::vector<spec::DeviceRule>& rules) {
        const Properties properties = device_properties(rules);
        const std::string list = shown(properties.at(1).second);
        return properties.at(0).second.text() + " " + list.substr(0, list.find("[char-*,m]"));
    };
    CHECK(allowed({{.allow = false},
                   {.allow = true, .type = "c", .major = 10, .minor = 229, .access = "rw"}}) ==
          "strict [[/dev/char/10:229,rw],");
    CHECK(allowed({{.allow = true, .type = "b", .major = 8}}) == "strict [[block-8,rwm],");
    CHECK(allowed({{.allow = true, .type = "c", .access = "r"}}) == "strict [[char-*,r],");
    CHECK(allowed({{.allow = true}, {.allow = false, .type = "b", .major = 8}, {.allow = false}}) ==
          "strict [");
    CHECK(allowed({{.allow = true}}) == "auto []");
    CHECK(allowed({{.allow = true}, {.allow = false, .type = "b", .major = 8}}) == "auto []");
    CHECK(allowed({{.allow = true, .type = "c", .minor = 3}}) == "auto []");
    CHECK(allowed({{.allow = true, .type = "c", .major = 10},
                   {.allow = false, .type = "c", .major = 10, .minor = 1}}) == "auto []");
}

TEST_CASE("systemd: annotations are properties") {
    CHECK(
        shown(annotation_properties({{"org.systemd.property.CollectMode", "'inactive-or-failed'"},
                                     {"org.systemd.property.TimeoutStopUSec", "uint64 7"},
                                     {"org.systemd.property.After", "['a.service', \"b.service\"]"},
                                     {"something.else", "x"}})) ==
        "After=as:[a.service,b.service] CollectMode=s:inactive-or-failed TimeoutStopUSec=t:7");
    CHECK(shown(annotation_properties({{"org.systemd.property.TimeoutStopSec", "1.5"}})) ==
          "TimeoutStopUSec=t:1500000");
    CHECK(shown(annotation_properties({{"org.systemd.property.RuntimeMaxSec", "2"}})) ==
          "RuntimeMaxUSec=t:2000000");
    CHECK(shown(annotation_properties({{"org.systemd.property.TimeoutUSec", "uint64 2"}})) ==
          "TimeoutUSec=t:2");
    const auto error = [](const char* name, const char* value) {
        return error_of(
            [&] { annotation_properties({{str("org.systemd.property.", name), value}}); });
    };
    CHECK(error("A", "1").ends_with("name incorrect: too short"));
    CHECK(error("Bad-Name", "1").ends_with("name incorrect: contains non-alphabetic character"));
    CHECK(error("TimeoutStopSec", "'x'").ends_with("value parse error: not a number"));
    CHECK(error("Name", "'x").ends_with("value parse error: a text without end"));
}

TEST_CASE("variant text: what GVariant writes is read") {
    struct {
        std::string text, signature, want;
    } cases[] = {
        {"true", "b", "1"},
        {"false", "b", "0"},
        {"'a\\'b'", "s", "a'b"},
        {" 5 ", "i", "5"},
        {"-5", "i", "-5"},
        {"1.5", "d", "1.5"},
        {"uint64 18446744073709551615", "t", "18446744073709551615"},
        {"byte 0x1f", "y", "31"},
        {"int16 -3", "n", "-3"},
        {"[1, 2]", "ai", "[1,2]"},
        {"@as []", "as", "[]"},
        {"[['a'], ['b', 'c']]", "aas", "[[a],[b,c]]"},
        {"('x', uint32 3)", "(su)", "[x,3]"},
    };
    for (auto& [text, signature, want] : cases) {
        CAPTURE(text);
        const dbus::Value value = parse_variant(text);
        CHECK(value.signature == signature);
        CHECK(shown(value) == want);
    }
    for (const char* bad :
         {"", "x", "'a", "[1", "[]", "[1,'a']", "[1 2]", "byte 256", "uint32 -1", "5x", "5 6",
          "@i 5", "int32 99999999999", "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]"}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(parse_variant(bad), Error);
    }
}
