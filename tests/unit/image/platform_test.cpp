#include "image/platform.h"

#include "tests/unit/catch.h"

TEST_CASE("a machine's own name for its architecture means the one that images have") {
    struct {
        const char *typed, *architecture, *variant;
    } cases[] = {{"x86_64", "amd64", ""}, {"aarch64", "arm64", ""}, {"armv7l", "arm", "v7"},
                 {"armv6l", "arm", "v6"}, {"i686", "386", ""},      {"riscv64", "riscv64", ""}};
    for (const auto& [typed, architecture, variant] : cases) {
        CAPTURE(typed);
        const spec::Platform platform = parse_platform(typed);
        CHECK(platform.os == "linux");
        CHECK(platform.architecture == architecture);
        CHECK(platform.variant == variant);
    }
}
