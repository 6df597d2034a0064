// D-Bus on the wire, against bytes written by hand.
#include <cstring>

#include "base/error.h"
#include "runtime/cgroup/dbus.h"
#include "runtime/cgroup/dbus_wire.h"
#include "tests/unit/catch.h"

using namespace std::string_literals;

TEST_CASE("D-Bus: values lie where the specification puts them") {
    using namespace dbus;
    CHECK(write({text("ab"), u32(5)}) == "\2\0\0\0ab\0\0\5\0\0\0"s);
    CHECK(write({boolean(true), u64(7)}) == "\1\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0"s);
    // The padding before an array's first element does not count as its length.
    CHECK(write({array("t", {u64(1)})}) == "\x8\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"s);
    CHECK(write({array("t", {})}) == "\0\0\0\0\0\0\0\0"s);
    CHECK(write({array("(sv)", {structure({text("A"), variant(u32(9))})})}) ==
          "\x10\0\0\0\0\0\0\0\1\0\0\0A\0\1u\0\0\0\0\x9\0\0\0"s);
    CHECK(write({{"y", uint64_t(1)}, {"q", uint64_t(2)}, {"i", int64_t(-1)}}) ==
          "\1\0\2\0\xff\xff\xff\xff"s);
}

TEST_CASE("D-Bus: what is written is read") {
    using namespace dbus;
    const std::vector<Value> values = {
        text("job"),
        boolean(false),
        u32(1),
        u64(UINT64_MAX),
        {"x", int64_t(-9)},
        {"n", int64_t(-3)},
        {"d", 2.5},
        {"g", "a(sv)"s},
        {"o", "/a/b"s},
        array("s", {text("a"), text("")}),
        array("(sv)", {structure({text("k"), variant(array("u", {u32(3)}))})}),
        variant(variant(text("deep"))),
        structure({u32(1), text("x")}),
        array("y", {{"y", uint64_t(255)}})};
    std::string signature;
    for (const Value& value : values) signature += value.signature;
    CHECK(read(write(values), signature) == values);
}

TEST_CASE("D-Bus: a message has its fields and its length") {
    using namespace dbus;
    const Message call{.kind = Kind::call,
                       .serial = 3,
                       .path = "/a",
                       .interface = "b.c",
                       .member = "D",
                       .destination = "e.f",
                       .signature = "u",
                       .body = write({u32(8)})};
    const std::string bytes = write(call);
    CHECK(bytes.substr(0, 12) == "l\1\0\1\4\0\0\0\3\0\0\0"s);
    CHECK(bytes.substr(16, 11) == "\1\1o\0\2\0\0\0/a\0"s);
    CHECK(size_of(bytes) == bytes.size());
    const Message back = read_message(bytes);
    CHECK(back.path == "/a");
    CHECK(back.interface == "b.c");
    CHECK(back.member == "D");
    CHECK(back.destination == "e.f");
    CHECK(back.arguments() == std::vector<Value>{u32(8)});
    // What systemd answered: a reply to serial 2 with the path of a job.
    const std::string reply =
        "l\2\1\1\4\0\0\0\7\0\0\0\x0f\0\0\0\5\1u\0\2\0\0\0\x8\1g\0\1u\0\0\x2a\0\0\0"s;
    CHECK(read_message(reply).reply_to == 2);
    CHECK(read_message(reply).arguments().at(0).number() == 42);
}

TEST_CASE("D-Bus: bytes that lie about their lengths are refused") {
    using namespace dbus;
    struct {
        std::string bytes, signature;
    } cases[] = {
        {"\xff\xff\xff\xff", "s"},
        {"\2\0\0\0a"s, "s"},
        {"\1\0\0\0ab"s, "s"},
        {"\2\0\0\0a\0\0"s, "s"},  // lengths, the zero at the end, in the middle
        {"\xff\xff\xff\x7f"s, "au"},
        {"\3\0\0\0\1\0\0\0"s, "au"},
        {"\4\0\0\0"s, "au"},  // arrays
        {"\1\0\0\0"s, "t"},
        {"\1\1\0\0\1\0\0\0\0\0\0\0\0\0\0\0"s, "yt"},  // too short; padding that is not zero
        {"\2uu\0\1\0\0\0"s, "v"},
        {"\0\0"s, "v"},
        {"\1z\0"s, "v"},  // signatures in variants
        {"\1\0\0\0\1"s, "u"},
        {"\1\0\0\0", "("},
        {"\1\0\0\0", "()"},
        {"\1\0\0\0", "a"},
        {"", std::string(100, 'a') + "y"},
    };
    for (auto& [bytes, signature] : cases) {
        CAPTURE(signature, bytes.size());
        CHECK_THROWS_AS(read(bytes, signature), Error);
    }
    std::string nested(200, '\0');
    for (size_t at = 0; at + 3 < nested.size(); at += 3) std::memcpy(&nested[at], "\1v", 3);
    CHECK_THROWS_AS(read(nested, "v"), Error);
    CHECK_THROWS_AS(size_of("B\1\0\1\4\0\0\0\3\0\0\0\0\0\0\0"s), Error);
    CHECK_THROWS_AS(size_of("l\1\0\1\xff\xff\xff\xff\3\0\0\0\0\0\0\0"s), Error);
    const std::string good = write(Message{.serial = 1, .path = "/a", .member = "D"});
    for (size_t cut = 0; cut < good.size(); ++cut)
        CHECK_THROWS_AS(read_message(good.substr(0, cut)), Error);
    CHECK_THROWS_AS(read_message(good + '\0'), Error);
}

TEST_CASE("D-Bus: addresses name sockets") {
    CHECK(dbus::socket_names("unix:path=/run/user/1000/bus") ==
          std::vector<std::string>{"/run/user/1000/bus"});
    CHECK(dbus::socket_names("tcp:host=x;unix:guid=1,path=/a%20b;unix:abstract=/tmp/c") ==
          std::vector<std::string>{"/a b", "\0/tmp/c"s});
    CHECK(dbus::socket_names("").empty());
}
