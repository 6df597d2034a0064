#include "image/seals.h"

#include "base/file.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

TEST_CASE("a file without a note has no fault, one that is noted and not sealed has") {
    const Scratch scratch;
    const std::string file = scratch.path + "/index", other = scratch.path + "/other";
    write_file(file, "bytes");
    write_file(other, "bytes");
    const auto fault_of = [&](const std::string& path) {
        return Seals::read(scratch.path).fault(path, sys::open(path, O_RDONLY).get());
    };
    CHECK(Seals::read(scratch.path).empty());
    CHECK(fault_of(file) == "");
    write_file(scratch.path + "/seals", "index 1:AAAA\n");
    CHECK_THAT(fault_of(file), ContainsSubstring("has lost its fs-verity"));
    CHECK(fault_of(other) == "");
    Seals().write(scratch.path);
    CHECK(Seals::read(scratch.path).empty());
    CHECK_FALSE(sys::exists(scratch.path + "/seals"));
}
