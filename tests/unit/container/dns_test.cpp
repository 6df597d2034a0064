// Proves that a resolver reads what it may and nothing else, to the byte.
#include "container/dns_message.h"
#include "tests/unit/catch.h"

static std::string question(const std::string& labels, char type) {
    return std::string("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12) + labels +
           std::string("\0", 1) + std::string{'\0', type, '\0', '\1'};
}

TEST_CASE("a question for a name is read, and answered in its own words") {
    const std::string message = question("\3Web\4net1", 1);
    const auto asked = read_dns_question(message);
    REQUIRE(asked);
    CHECK((asked->id == 0x1234 && asked->name == "web.net1" && asked->type == dns_a));
    const std::string answer =
        dns_answer(message, *asked, DnsCode::fine, {std::string("\xac\x11\0\2", 4)});
    CHECK(answer.substr(0, 12) ==
          std::string("\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00", 12));
    CHECK(answer.substr(12, asked->end - 12) == message.substr(12));
    CHECK(answer.ends_with(std::string("\0\4\xac\x11\0\2", 6)));
    CHECK(dns_answer(message, *asked, DnsCode::no_such_name, {})[3] == char(0x83));
}

TEST_CASE("what is no question is not taken for one") {
    const std::string good = question("\3web", 1);
    for (size_t size = 0; size < good.size(); ++size)
        CHECK_FALSE(read_dns_question(std::string_view(good).substr(0, size)));
    CHECK_FALSE(read_dns_question(question("\300\14", 1)));                      // a pointer
    CHECK_FALSE(read_dns_question(question("\100" + std::string(64, 'a'), 1)));  // too long a label
    std::string long_name;
    for (int i = 0; i < 300; ++i) long_name += "\1a";
    CHECK_FALSE(read_dns_question(question(long_name, 1)));
    std::string answer = good;
    answer[2] = char(0x81);
    CHECK_FALSE(read_dns_question(answer));
}

TEST_CASE("the name of an address is the address backwards") {
    CHECK(address_of_reverse("2.0.17.172.in-addr.arpa") == 0xac110002);
    for (const char* other : {"0.17.172.in-addr.arpa", "256.0.17.172.in-addr.arpa",
                              "x.in-addr.arpa", "1.2.3.4", "1.2.3.4.5.in-addr.arpa"})
        CHECK_FALSE(address_of_reverse(other));
}
