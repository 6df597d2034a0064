#include "image/layer/read_ahead.h"

#include <utility>

#include "base/error.h"
#include "tests/unit/catch.h"

TEST_CASE("what is read ahead comes in its order, and its error after it") {
    int count = 0;
    ReadAhead whole([&]() -> std::string_view { return ++count <= 20 ? "block" : ""; });
    std::string all;
    for (std::string_view piece; !(piece = whole.next()).empty();) all += piece;
    CHECK(all.size() == 100);
    CHECK(whole.next().empty());

    bool first = true;
    ReadAhead broken([&]() -> std::string_view {
        if (!std::exchange(first, false)) throw Error("cut off");
        return "start";
    });
    CHECK(broken.next() == "start");
    CHECK_THROWS_WITH(broken.next(), "cut off");
    CHECK(broken.next().empty());
}

TEST_CASE("nobody has to read to the end") {
    ReadAhead endless([]() -> std::string_view { return "more"; });
    CHECK(endless.next().starts_with("more"));
}
