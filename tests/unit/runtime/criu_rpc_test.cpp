// The wire format of CRIU's messages, against bytes made by hand.
#include "runtime/checkpoint/criu_rpc.h"

#include "base/error.h"
#include "tests/unit/catch.h"

using namespace std::string_literals;

TEST_CASE("a message of criu is its fields, one after the other") {
    criu::Message inner, message;
    inner.number(1, 5);
    message.number(1, 300).text(10, "dump.log").message(2, inner).number(9, -1);
    CHECK(message.bytes() == "\x08\xac\x02"s
                             "\x52\x08"
                             "dump.log"s
                             "\x12\x02\x08\x05"s
                             "\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s);
}

TEST_CASE("a reply of criu gives its fields by number and skips what nobody asks for") {
    criu::Message notice, message;
    notice.text(1, "post-restore").number(2, 4711);
    message.number(1, 6).number(2, 1).message(5, notice);
    const criu::Reply reply("\x4d"
                            "abcd"s
                            "\x51"
                            "abcdefgh"s +
                            message.bytes());
    CHECK(reply.number(1) == 6);
    CHECK(reply.number(7) == std::nullopt);
    const criu::Reply inner(reply.text(5).value());
    CHECK(inner.text(1) == "post-restore");
    CHECK(inner.number(2) == 4711);
}

TEST_CASE("a reply of criu that is cut short is an error") {
    for (const std::string& bytes :
         {"\x08"s, "\x08\xff"s,
          "\x12\x05"
          "abc"s,
          "\x4d"
          "abc"s,
          "\x0b"s, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s}) {
        CAPTURE(bytes);
        CHECK_THROWS_AS(criu::Reply(bytes), Error);
    }
}
