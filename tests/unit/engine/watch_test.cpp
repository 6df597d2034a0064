// Proves what the monitor decides between two events: keys that are held back, health by its rules.
#include "engine/detach_keys.h"
#include "engine/health.h"
#include "tests/unit/catch.h"

TEST_CASE(
    "the keys that leave a terminal may be any, and what only begins like them is passed on") {
    DetachKeys usual;
    CHECK(usual.pass("ab") == "ab");
    CHECK(usual.pass("\x10") == "");          // ^P alone is held back
    CHECK(usual.pass("x") == "\x10x");        // and passed on with what is no ^Q
    CHECK(usual.pass("\x10\x10") == "\x10");  // the second may be the beginning
    CHECK_FALSE(usual.pass("\x11"));
    CHECK_FALSE(DetachKeys("ctrl-a,d")
                    .pass("typed\x01"
                          "d"));
    CHECK(DetachKeys("ctrl-a,d").pass("\x10\x11") == "\x10\x11");
    CHECK_FALSE(DetachKeys("ctrl-@").pass(std::string_view("\0", 1)));
    CHECK_THROWS_WITH(DetachKeys("ctrl-1"),
                      "Invalid detach keys provided: Unknown character: 'ctrl-1'");
    CHECK_THROWS(DetachKeys("a,,b"));
}

static Probe probe(int exit_code) {
    return {.start = {}, .end = {}, .exit_code = exit_code, .output = {}};
}

TEST_CASE("failures in a row make a container unhealthy, one success healthy again") {
    HealthState state;
    state = after_probe(state, probe(1), false, 2);
    CHECK(state.status == "starting");
    state = after_probe(state, probe(1), false, 2);
    CHECK(state.status == "unhealthy");
    state = after_probe(state, probe(0), false, 2);
    CHECK((state.status == "healthy" && state.failing_streak == 0));
    for (int i = 0; i < 9; ++i) state = after_probe(state, probe(i == 8), false, 2);
    CHECK((state.status == "healthy" && state.failing_streak == 1 && state.log.size() == 5));
}

TEST_CASE("while it may start, a failure does not count, and a success ends that") {
    HealthState state;
    for (int i = 0; i < 5; ++i) state = after_probe(state, probe(1), true, 1);
    CHECK((state.status == "starting" && state.failing_streak == 0));
    state = after_probe(state, probe(0), true, 1);
    CHECK(state.status == "healthy");
    CHECK(after_probe(state, probe(1), true, 1).status == "unhealthy");
}
