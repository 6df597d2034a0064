// What keg-runtime reads, damaged: configs, messages of systemd and CRIU.
#include "tests/unit/damage.h"

#include <algorithm>

#include "runtime/cgroup/dbus_wire.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/variant_text.h"
#include "runtime/checkpoint/criu_rpc.h"
#include "runtime/process/credentials.h"
#include "tests/unit/runtime/whole_config.h"

namespace {

constexpr std::string_view words[] = {"\"",
                                      "{",
                                      "}",
                                      "[",
                                      "]",
                                      ",",
                                      ":",
                                      "\\",
                                      "\\u0000",
                                      "null",
                                      "-",
                                      "0",
                                      "1e9",
                                      "linux",
                                      "type",
                                      "bind",
                                      "rbind",
                                      "ro",
                                      "tmpcopyup",
                                      "idmap",
                                      "/proc",
                                      "/proc/self/fd/1",
                                      "..",
                                      "user",
                                      "SCMP_ACT_NOTIFY",
                                      "SCMP_ACT_ERRNO",
                                      "SCMP_CMP_MASKED_EQ",
                                      "clone3",
                                      "CAP_SYS_ADMIN",
                                      "RLIMIT_NOFILE",
                                      "a",
                                      "rwm",
                                      "system.slice:x:y",
                                      "0-8191",
                                      "7-3",
                                      "MPOL_BIND",
                                      "net.ipv4.x",
                                      "kernel.sem"};

// Which property of the document it is, or where in the text.
bool names_the_place(std::string_view message) {
    static constexpr std::string_view places[] = {"ociVersion",
                                                  "process",
                                                  "root",
                                                  "hostname",
                                                  "domainname",
                                                  "mounts",
                                                  "hooks",
                                                  "annotations",
                                                  "linux",
                                                  "is not JSON: at line ",
                                                  "has the property ",
                                                  "has a number out of range: ",
                                                  "is nested more than ",
                                                  "must be an object, but is "};
    return std::ranges::any_of(places,
                               [&](std::string_view place) { return message.starts_with(place); });
}

void take_config(const std::string& text) {
    const spec::Reading reading = spec::read_and_validate(text);
    for (const spec::Violation& violation : reading.violations) {
        CAPTURE(violation.message);
        REQUIRE(names_the_place(violation.message));
    }
    // create and validate agree.
    REQUIRE(error_of([&] { spec::validate(spec::read_config(text)); }).empty() ==
            reading.violations.empty());
    if (!reading.violations.empty()) return;
    const std::string again = spec::write(reading.config);
    REQUIRE(spec::write(spec::read_config(again)) == again);
    // What is valid may still be refused for what this machine is, in words of its own.
    plan(reading.config);
}

}  // namespace

TEST_CASE("damaged configs are refused with the place, or planned") {
    const json::Value schemas = golden("config.json"), valid = valid_config();
    REQUIRE(error_of([&] { take_config(json::dump(valid)); }) == "");
    const auto original = [&](Damage& damage) { return damage.below(4) ? valid : schemas; };
    each_damaged(
        500, [&](Damage& damage) { return json::dump(damage.document(original(damage), words)); },
        take_config);
    each_damaged(
        250, [&](Damage& damage) { return damage.text(json::dump(original(damage)), words); },
        take_config);
}

TEST_CASE("the other documents of a command line are read or refused") {
    const spec::Config config = spec::read_config(json::dump(golden("config.json")));
    const std::string process = spec::write(*config.process),
                      resources = spec::write(*config.linux.resources);
    each_damaged(
        250,
        [&](Damage& damage) { return json::dump(damage.document(json::parse(process), words)); },
        [](const std::string& text) { plan_capabilities(spec::read_process(text)); });
    each_damaged(
        250,
        [&](Damage& damage) { return json::dump(damage.document(json::parse(resources), words)); },
        [](const std::string& text) { v1::plan(spec::read_resources(text)); });
}

TEST_CASE("damaged messages of systemd and CRIU are read or refused") {
    using namespace dbus;
    const std::string reply = write(dbus::Message{
        .kind = Kind::reply,
        .serial = 3,
        .reply_to = 2,
        .path = "/a",
        .interface = "b.c",
        .member = "D",
        .destination = "e.f",
        .signature = "sa(sv)uax",
        .body = write({text("x"),
                       array("(sv)", {structure({text("k"), variant(array("u", {u32(3)}))})}),
                       u32(8), array("x", {{"x", int64_t(-9)}})})});
    static constexpr std::string_view bytes[] = {"\xff\xff\xff\xff",
                                                 "\x7f",
                                                 "\xff\xff\xff\x7f",
                                                 "a(sv)",
                                                 "((((((((",
                                                 "aaaaaaaa",
                                                 "v",
                                                 "\1",
                                                 "\x08",
                                                 "\x12",
                                                 "\x80\x80\x80\x80\x80\x80"};
    each_damaged(
        3000, [&](Damage& damage) { return damage.text(reply, bytes); },
        [](const std::string& text) {
            if (text.size() < prefix_size || size_of(text) > text.size()) return;
            read_message(text.substr(0, size_of(text))).arguments();
        });
    each_damaged(
        1000,
        [&](Damage& damage) {
            return damage.text(
                "[('a', <@as []>), ('b', <uint64 1>), ('c', <['x', 'y']>), ('d', <-1.5>)]", words);
        },
        [](const std::string& text) { parse_variant(text); });
    criu::Message inner, message;
    inner.text(1, "post-restore").number(2, 4711);
    message.number(1, 300).text(10, "dump.log").message(5, inner).number(9, -1);
    each_damaged(
        3000, [&](Damage& damage) { return damage.text(message.bytes(), bytes); },
        [](const std::string& text) {
            const criu::Reply read(text);
            read.number(1);
            if (const auto notice = read.text(5)) criu::Reply(*notice).text(1);
        });
}
