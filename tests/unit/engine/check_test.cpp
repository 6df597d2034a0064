#include "engine/check.h"

#include "tests/unit/catch.h"

TEST_CASE("a list of processors is numbers and ranges that go up") {
    using Ranges = std::vector<std::pair<int, int>>;
    CHECK(parse_number_set("0") == Ranges{{0, 0}});
    CHECK(parse_number_set("0-3,7\n") == Ranges{{0, 3}, {7, 7}});
    for (const char* bad : {"", ",", "3-1", "a", "1-", "-1", "1--2", "99999999999"}) {
        CAPTURE(bad);
        CHECK(!parse_number_set(bad));
    }
}
