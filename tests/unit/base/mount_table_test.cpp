#include "base/mount_table.h"

#include "tests/unit/catch.h"

TEST_CASE("a mount is found at its place, whatever is in its words") {
    const auto table = parse_mount_table(
        "36 35 98:0 /mnt1 /a\\040b\\134c rw,noatime master:1 shared:2 - ext3 /dev/root rw,x=1\n"
        "37 35 0:5 / /dev rw - devtmpfs dev\n"
        "\nno line at all\n38 35 0:5 / /cut - tmpfs\n");
    REQUIRE(table.size() == 2);
    CHECK(table[0].root == "/mnt1");
    CHECK(table[0].point == "/a b\\c");
    CHECK(table[0].type == "ext3");
    CHECK(table[0].options == "rw,x=1");
    CHECK(table[1].point == "/dev");
    CHECK(table[1].options.empty());
}

TEST_CASE("the root is among what is mounted here") {
    bool found = false;
    for (const MountEntry& entry : mount_table()) found = found || entry.point == "/";
    CHECK(found);
}
