#include "base/number_list.h"
#include "tests/unit/catch.h"

TEST_CASE("a list of CPUs is its ranges, in order and apart") {
    CHECK(parse_number_list("0-2,7\n") == std::vector<NumberRange>{{0, 2}, {7, 7}});
    CHECK(parse_number_list("7,1-3,2-4,5") == std::vector<NumberRange>{{1, 5}, {7, 7}});
    CHECK(parse_number_list(" \n") == std::vector<NumberRange>{});
    CHECK(numbers_in(*parse_number_list("5,0-2")) == std::vector<unsigned>{0, 1, 2, 5});
    CHECK(count_numbers(*parse_number_list("0-65535,3")) == 65536);
}

TEST_CASE("what is no list of CPUs is refused, and costs nothing however large its numbers are") {
    for (const char* bad :
         {"3-1", "a", "1,", "1-", "-1", "1 2", "65536", "0-4294967295", "0-4294967296", "1--2"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_number_list(bad));
    }
}

TEST_CASE("a mask is as long as its highest number needs") {
    CHECK(bit_mask({}).empty());
    CHECK(bit_mask({{0, 1}, {63, 64}}) == std::vector<unsigned long>{0x8000000000000003, 1});
    CHECK(bit_mask({{4000, 4000}}).size() == 63);
}
