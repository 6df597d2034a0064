#include "cli/format.h"

#include "base/duration.h"
#include "base/error.h"
#include "tests/unit/catch.h"

TEST_CASE("a span of time is worded as Docker does") {
    struct {
        int64_t seconds;
        const char* want;
    } cases[] = {
        {0, "Less than a second"}, {1, "1 second"},         {59, "59 seconds"},
        {60, "About a minute"},    {119, "About a minute"}, {120, "2 minutes"},
        {3600, "About an hour"},   {5400, "2 hours"},       {47 * 3600, "47 hours"},
        {48 * 3600, "2 days"},     {15 * 86400, "2 weeks"}, {61 * 86400, "2 months"},
        {800 * 86400, "2 years"},
    };
    for (auto& [seconds, want] : cases) {
        CAPTURE(seconds);
        CHECK(human_duration(seconds) == want);
    }
    CHECK(time_since("") == "N/A");
    CHECK(time_since("0001-01-01T00:00:00Z") == "N/A");
}

TEST_CASE("filters are key=value of known keys") {
    static constexpr const char* known[] = {"label", "dangling"};
    const Filters filters = parse_filters({"label=a=b", "label=c", "Dangling = true"}, known);
    CHECK(filters.at("label") == std::vector<std::string>{"a=b", "c"});
    CHECK(filters.at("dangling") == std::vector<std::string>{"true"});
    CHECK_THROWS_WITH(parse_filters({"colour=red"}, known), "invalid filter 'colour'");
    CHECK_THROWS_AS(parse_filters({"label"}, known), Error);
}
