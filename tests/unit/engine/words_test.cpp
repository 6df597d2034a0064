#include "engine/logs.h"
#include "engine/status.h"
#include "tests/unit/catch.h"

TEST_CASE("what became of a container is said in Docker's words") {
    State state;
    state.status = "exited", state.exit_code = 3, state.finished_at = "1970-01-01T00:00:10Z";
    CHECK(status_words(state, 20'000'000'000) == "Exited (3) 10 seconds ago");
}

TEST_CASE("log records escape what JSON and HTML would trip over") {
    CHECK(log_record("a\"\\<\x01\xff\xc3\xa9\n", "stdout", "T") ==
          "{\"log\":\"a\\\"\\\\\\u003c\\u0001\\ufffd\xc3\xa9\\n\",\"stream\":\"stdout\",\"time\":"
          "\"T\"}\n");
}
