#include "engine/logs.h"
#include "engine/status.h"
#include "tests/unit/catch.h"

TEST_CASE("durations in Docker's words") {
    struct {
        long long seconds;
        const char* want;
    } cases[] = {{0, "Less than a second"}, {1, "1 second"},       {59, "59 seconds"},
                 {60, "About a minute"},    {180, "3 minutes"},    {3600, "About an hour"},
                 {47 * 3600, "47 hours"},   {49 * 3600, "2 days"}, {15 * 86400, "2 weeks"},
                 {70 * 86400, "2 months"}};
    for (auto& [seconds, want] : cases) {
        CAPTURE(seconds);
        CHECK(duration_words(seconds) == want);
    }
    State state;
    state.status = "exited", state.exit_code = 3, state.finished_at = "1970-01-01T00:00:10Z";
    CHECK(status_words(state, 20'000'000'000) == "Exited (3) 10 seconds ago");
}

TEST_CASE("log records escape what JSON and HTML would trip over") {
    CHECK(log_record("a\"\\<\x01\xff\xc3\xa9\n", "stdout", "T") ==
          "{\"log\":\"a\\\"\\\\\\u003c\\u0001\\ufffd\xc3\xa9\\n\",\"stream\":\"stdout\",\"time\":"
          "\"T\"}\n");
}
