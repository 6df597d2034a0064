#include "base/steps.h"

#include <vector>

#include "tests/unit/catch.h"

TEST_CASE("each step is attempted, and the first failure is told") {
    std::vector<int> done;
    Steps all;
    all.step("first", [&] { done.push_back(1); });
    all.step("second", [&] { throw Error("no"); });
    all.step("third", [&] { throw Error("neither"); });
    all.step("fourth", [&] { done.push_back(4); });
    CHECK(done == std::vector<int>{1, 4});
    CHECK_THROWS_WITH(all.finish(), "second: no");
    CHECK_NOTHROW(all.finish());  // told once
}
