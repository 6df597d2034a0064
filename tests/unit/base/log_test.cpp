#include "base/error.h"
#include "base/log.h"
#include "tests/unit/catch.h"

TEST_CASE("a time is read as it is written") {
    CHECK(parse_rfc3339("1970-01-01T00:00:01Z") == 1'000'000'000);
    CHECK(parse_rfc3339("1970-01-01T01:00:00.5+01:00") == 500'000'000);
    for (const char* day : {"2020-02-29", "2000-02-29", "2023-04-30", "2023-12-31"}) {
        const std::string time = std::string(day) + "T12:30:00Z";
        CHECK(rfc3339(parse_rfc3339(time)) == time);
    }
}

TEST_CASE("a day that its month does not have is refused") {
    for (const char* day : {"2020-02-30", "2021-02-29", "1900-02-29", "2023-04-31", "2023-01-32",
                            "2023-01-00", "2023-00-01", "2023-13-01"}) {
        CAPTURE(day);
        CHECK_THROWS_AS(parse_rfc3339(std::string(day) + "T12:30:00Z"), Error);
    }
}
