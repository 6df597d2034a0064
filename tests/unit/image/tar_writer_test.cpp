// What is written is what is read, whatever does not fit a header; and always the same bytes.
#include "image/layer/tar_writer.h"

#include "base/error.h"
#include "tests/unit/catch.h"

namespace {

std::string written(const TarEntry& entry, std::string_view content = {}) {
    std::string out;
    TarWriter tar([&](std::string_view data) { out += data; });
    tar.entry(entry);
    if (!content.empty()) tar.data(content);
    tar.finish();
    return out;
}

TarEntry read_back(const std::string& bytes) {
    TarStream tar([rest = std::string_view(bytes)]() mutable { return std::exchange(rest, {}); });
    const TarEntry* entry = tar.next();
    REQUIRE(entry);
    return *entry;
}

}  // namespace

TEST_CASE("an entry is read as it was written") {
    using enum TarEntry::Type;
    const std::string deep = std::string(90, 'd') + "/" + std::string(60, 'e') + "/f",
                      one_long = std::string(200, 'n');
    const TarEntry cases[] = {
        {.type = file, .name = "f", .target = {}, .mode = 0644, .uid = 5, .gid = 6},
        {.type = directory, .name = "d/", .target = {}, .mode = 01777, .modified = {7, 0}},
        {.type = directory, .name = std::string(99, 'd') + "/", .target = {}, .mode = 0755},
        {.type = directory, .name = std::string(100, 'd') + "/", .target = {}, .mode = 0755},
        {.type = symlink, .name = "l", .target = one_long, .mode = 0777},
        {.type = hard_link, .name = deep, .target = deep, .mode = 0644},
        {.type = file, .name = one_long, .target = {}, .mode = 0600},
        {.type = file, .name = "\xff\xfe", .target = {}, .mode = 0600},
        {.type = character_device,
         .name = "c",
         .target = {},
         .mode = 0666,
         .device_major = 4095,
         .device_minor = 1048575},
        {.type = fifo, .name = "p", .target = {}, .mode = 0600},
        {.type = file, .name = "ids", .target = {}, .uid = 4294967294, .gid = 2097152},
        {.type = file, .name = "old", .target = {}, .modified = {-2, 500'000'000}},
        {.type = file, .name = "older", .target = {}, .modified = {-1, 0}},
        {.type = file, .name = "fine", .target = {}, .modified = {5, 250'000'001}},
        {.type = file, .name = "late", .target = {}, .modified = {int64_t(1) << 33, 0}},
        {.type = file,
         .name = "x",
         .target = {},
         .xattrs = {{"user.empty", ""}, {"user.x", std::string("\0=\n", 3)}}},
    };
    for (const TarEntry& entry : cases) {
        CAPTURE(entry.name);
        const TarEntry back = read_back(written(entry));
        CHECK(back.type == entry.type);
        CHECK(back.name == entry.name);
        CHECK(back.target == entry.target);
        CHECK(back.mode == entry.mode);
        CHECK(back.uid == entry.uid);
        CHECK(back.gid == entry.gid);
        CHECK(back.modified.tv_sec == entry.modified.tv_sec);
        CHECK(back.modified.tv_nsec == entry.modified.tv_nsec);
        CHECK(back.device_major == entry.device_major);
        CHECK(back.device_minor == entry.device_minor);
        CHECK(back.xattrs == entry.xattrs);
        CHECK(written(entry) == written(entry));
    }
}

TEST_CASE("a name that fits ustar's two fields needs no extended header") {
    const std::string name = std::string(150, 'd') + "/" + std::string(100, 'f');
    CHECK(written({.name = name, .target = {}}).size() == 3 * 512);
    CHECK(written({.name = name + "f", .target = {}}).size() > 3 * 512);
}

TEST_CASE("a file that changes its length while it is written is an error") {
    const TarEntry entry{.name = "f", .target = {}, .size = 3};
    CHECK(written(entry, "abc").size() == 4 * 512);
    CHECK_THROWS_AS(written(entry, "ab"), Error);
    CHECK_THROWS_AS(written(entry, "abcd"), Error);
}
