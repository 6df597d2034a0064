// Tars as other tools write them and as nobody should: the dialects, what a layer must not do,
// damage.
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cstring>

#include "tests/unit/damage.h"
#include "tests/unit/image/layer_place.h"
#include "tests/unit/image/raw_tar.h"

namespace {

std::string compressed(const std::string& data, int (*filter)(archive*)) {
    std::string out(data.size() + (1 << 16), '\0');
    size_t used = 0;
    archive* writer = archive_write_new();
    filter(writer);
    archive_write_set_format_raw(writer);
    archive_write_set_bytes_in_last_block(writer, 1);
    archive_write_open_memory(writer, out.data(), out.size(), &used);
    archive_entry* entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_write_header(writer, entry);
    archive_write_data(writer, data.data(), data.size());
    archive_entry_free(entry);
    archive_write_close(writer);
    archive_write_free(writer);
    out.resize(used);
    return out;
}

struct stat stat_of(const Place& place, const std::string& path) {
    struct stat info{};
    if (::lstat((place.root() + "/" + path).c_str(), &info) < 0) info.st_mode = 0;
    return info;
}

std::string xattr_of(const Place& place, const std::string& path, const char* name) {
    char value[256];
    const ssize_t size =
        ::lgetxattr((place.root() + "/" + path).c_str(), name, value, sizeof value);
    return size < 0 ? "(none)" : std::string(value, size_t(size));
}

const std::string long_name = "a/" + std::string(120, 'b') + "/" + std::string(200, 'c');

}  // namespace

TEST_CASE("every dialect of tar is read") {
    if (!is_root()) return;
    const struct {
        const char* what;
        std::vector<Raw> entries;
        std::string name;
    } cases[] = {
        {"v7", {{.name = "f", .type = '\0', .data = "x", .magic = std::string(8, '\0')}}, "f"},
        {"type 7 is a file", {{.name = "f", .type = '7', .data = "x"}}, "f"},
        {"ustar's prefix", {{.name = "f", .data = "x", .prefix = "d/e"}}, "d/e/f"},
        {"GNU's long name",
         {{.name = "././@LongLink", .type = 'L', .data = long_name + '\0', .magic = gnu_magic},
          {.name = "short", .data = "x", .magic = gnu_magic}},
         long_name},
        {"pax path", {pax({{"path", long_name}}), {.name = "short", .data = "x"}}, long_name},
        {"pax path beats GNU's", {pax({{"path", "f"}}), {.name = "g", .data = "x"}}, "f"},
        {"a global header says nothing about names",
         {pax({{"comment", "0123"}}, 'g'), {.name = "f", .data = "x"}},
         "f"},
        {"leading ./ and //", {{.name = ".//d//f", .data = "x"}}, "d/f"},
        {"an absolute name", {{.name = "/f", .data = "x"}}, "f"},
        {"bytes that are no UTF-8", {{.name = "f\xff\xfe", .data = "x"}}, "f\xff\xfe"},
        {"a name that looks like an option or a number", {{.name = "-rf", .data = "x"}}, "-rf"},
    };
    for (const auto& [what, entries, name] : cases) {
        CAPTURE(what);
        const Place place;
        place.apply(raw_tar(entries));
        CHECK(place.read(name) == "x");
    }
}

TEST_CASE("a size in a pax header counts, for the next entry only") {
    if (!is_root()) return;
    const Place place;
    place.apply(raw_tar({pax({{"size", "3"}}),
                         {.name = "a", .data = "abc", .size = octal(0, 11)},
                         {.name = "b", .data = "de"}}));
    CHECK(place.read("a") == "abc");
    CHECK(place.read("b") == "de");
}

TEST_CASE("a sparse file is whole afterwards") {
    if (!is_root()) return;
    const Place place;
    // One piece of 512 bytes at 1024, the file 2048 bytes long.
    const std::string map = octal(1024, 11) + '\0' + octal(512, 11) + '\0';
    std::string sparse = map;
    sparse.resize(24 * 4 + 1);  // four places, and no more of them follow
    sparse += octal(2048, 11);
    place.apply(raw_tar({{.name = "old",
                          .type = 'S',
                          .data = std::string(512, 'x'),
                          .magic = gnu_magic,
                          .sparse = sparse}}));
    const std::string want =
        std::string(1024, '\0') + std::string(512, 'x') + std::string(512, '\0');
    CHECK(place.read("old") == want);
    std::string data = "1\n1024\n512\n";  // pax form 1.0: the map begins the data
    data.resize(512);
    place.apply(raw_tar({pax({{"GNU.sparse.major", "1"},
                              {"GNU.sparse.minor", "0"},
                              {"GNU.sparse.name", "new"},
                              {"GNU.sparse.realsize", "2048"}}),
                         {.name = "GNUSparseFile.0/new", .data = data + std::string(512, 'x')}}));
    CHECK(place.read("new") == want);
}

TEST_CASE("owners, times and modes are those of the headers, whatever their form") {
    if (!is_root()) return;
    const Place place;
    std::string big_uid("\x80\0\0\0\x7f\xff\xff\xfe", 8);
    place.apply(raw_tar({{.name = "base256", .data = "x", .uid = big_uid},
                         pax({{"uid", "3000000000"}, {"gid", "7"}, {"mtime", "-5"}}),
                         {.name = "pax", .data = "x"},
                         pax({{"mtime", "5.250000001"}}),
                         {.name = "fine", .data = "x"},
                         {.name = "suid", .data = "x", .mode = 06755, .uid = "0001750"},
                         {.name = "sticky", .type = '5', .mode = 01777}}));
    CHECK(stat_of(place, "base256").st_uid == 0x7ffffffe);
    CHECK(stat_of(place, "pax").st_uid == 3000000000);
    CHECK(stat_of(place, "pax").st_gid == 7);
    CHECK(stat_of(place, "pax").st_mtim.tv_sec == -5);
    CHECK(stat_of(place, "fine").st_mtim.tv_sec == 5);
    CHECK(stat_of(place, "fine").st_mtim.tv_nsec == 250000001);
    CHECK((stat_of(place, "suid").st_mode & 07777) == 06755);  // chown would have cleared it
    CHECK(stat_of(place, "suid").st_uid == 1000);
    CHECK((stat_of(place, "sticky").st_mode & 07777) == 01777);
    CHECK_THROWS_WITH(
        place.apply(raw_tar({pax({{"uid", "4294967295"}}), {.name = "nobody", .data = "x"}})),
        ContainsSubstring("out of range"));
    CHECK_THROWS_WITH(place.apply(raw_tar({pax({{"uid", "-1"}}), {.name = "nobody", .data = "x"}})),
                      ContainsSubstring("\"nobody\""));
}

TEST_CASE("extended attributes are set, but none that means something to this host") {
    if (!is_root()) return;
    const Place place;
    const std::string capability("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    const std::string odd("a\0b=c\nd", 7);
    place.apply(raw_tar({pax({{"SCHILY.xattr.security.capability", capability},
                              {"SCHILY.xattr.user.odd", odd},
                              {"SCHILY.xattr.user.overlay.opaque", "y"},
                              {"SCHILY.xattr.trusted.overlay.opaque", "y"},
                              {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
                              {"SCHILY.xattr.security.selinux", "x"}}),
                         {.name = "f", .data = "x"},
                         pax({{"SCHILY.xattr.trusted.overlay.opaque", "y"}}),
                         {.name = "d", .type = '5', .mode = 0755},
                         pax({{"SCHILY.xattr.user.x", "y"}}),
                         {.name = "l", .type = '2', .link = "f"}}));
    CHECK(xattr_of(place, "f", "security.capability") == capability);
    if (xattr_of(place, "f", "user.odd") != "(none)")
        CHECK(xattr_of(place, "f", "user.odd") == odd);  // tmpfs takes none before Linux 6.6
    for (const char* name : {"user.overlay.opaque", "trusted.overlay.opaque",
                             "trusted.overlay.redirect", "security.selinux"}) {
        CAPTURE(name);
        CHECK(xattr_of(place, "f", name) == "(none)");
    }
    CHECK(xattr_of(place, "d", "trusted.overlay.opaque") == "(none)");
    CHECK(S_ISLNK(stat_of(place, "l").st_mode));
}

TEST_CASE("devices have their numbers, and overlayfs's own whiteout is none of them") {
    if (!is_root()) return;
    const Place place;
    place.apply(raw_tar({{.name = "null", .type = '3', .major = 1, .minor = 3},
                         {.name = "loop", .type = '4', .major = 7, .minor = 300},
                         {.name = "pipe", .type = '6'}}));
    CHECK(S_ISCHR(stat_of(place, "null").st_mode));
    CHECK(stat_of(place, "null").st_rdev == makedev(1, 3));
    CHECK(S_ISBLK(stat_of(place, "loop").st_mode));
    CHECK(stat_of(place, "loop").st_rdev == makedev(7, 300));
    CHECK(S_ISFIFO(stat_of(place, "pipe").st_mode));
    CHECK_THROWS_WITH(place.apply(raw_tar({{.name = "w", .type = '3'}})), ContainsSubstring("0:0"));
    CHECK_THROWS_WITH(place.apply(raw_tar({{.name = "w", .type = '3', .major = 4096, .minor = 1}})),
                      ContainsSubstring("out of range"));
}

TEST_CASE("the last of two entries of a name stays, directories are one") {
    if (!is_root()) return;
    const Place place;
    place.apply(raw_tar({{.name = "f", .data = "1"},
                         {.name = "f", .data = "2"},
                         {.name = "d", .type = '5', .mode = 0700},
                         {.name = "d/in", .data = "3"},
                         {.name = "d/", .type = '5', .mode = 0711}}));
    CHECK(place.read("f") == "2");
    CHECK(place.read("d/in") == "3");
    CHECK((stat_of(place, "d").st_mode & 07777) == 0711);
}

TEST_CASE("a hard link is to what its name says, never through a link and never to a directory") {
    if (!is_root()) return;
    const Place place;
    place.apply(raw_tar({{.name = "below", .data = "x"}}));
    place.apply(raw_tar({{.name = "one", .type = '1', .link = "below"},
                         {.name = "s", .type = '2', .link = "../outside/secret"},
                         {.name = "two", .type = '1', .link = "s", .mode = 0777}}));
    CHECK(stat_of(place, "one").st_nlink == 2);
    CHECK(S_ISLNK(stat_of(place, "two").st_mode));
    CHECK((sys::fstat(sys::open(place.dir + "/outside/secret", O_PATH).get()).st_mode & 0777) ==
          0644);
    CHECK(place.outside_is_untouched());
    place.apply(raw_tar({{.name = "below", .type = '1', .link = "below"}}));  // itself
    CHECK(place.read("below") == "x");
    CHECK_THROWS_WITH(
        place.apply(raw_tar({{.name = "d", .type = '5'}, {.name = "l", .type = '1', .link = "d"}})),
        ContainsSubstring("directory"));
    CHECK_THROWS_WITH(place.apply(raw_tar({{.name = "l", .type = '1', .link = "nowhere"}})),
                      ContainsSubstring("\"l\""));
}

TEST_CASE("the root is a directory and stays one") {
    if (!is_root()) return;
    for (const std::string name : {".", "/", "./", "a/.."})
        for (const char type : {'0', '2', '1', '6'}) {
            if (type == '0' && name.ends_with('/')) continue;  // as v7 wrote directories
            CAPTURE(name, type);
            const Place place;
            CHECK_THROWS_WITH(
                place.apply(raw_tar({{.name = name, .type = type, .link = "../outside"},
                                     {.name = "new", .data = "x"}})),
                ContainsSubstring("\"/\""));
            CHECK(place.outside_is_untouched());
        }
    const Place place;
    place.apply(raw_tar({{.name = "./", .type = '5', .mode = 0711}}));
    CHECK((sys::fstat(sys::open(place.root(), O_PATH).get()).st_mode & 07777) == 0711);
}

TEST_CASE("a parent that became another is looked up again") {
    if (!is_root()) return;
    const Place place;
    place.apply(raw_tar({{.name = "a", .type = '5', .mode = 0755},
                         {.name = "b", .type = '5', .mode = 0755},
                         {.name = "l", .type = '2', .link = "a"},
                         {.name = "l/1", .data = "x"},
                         {.name = "l", .type = '2', .link = "b"},
                         {.name = "l/2", .data = "x"}}));
    CHECK(place.read("a/1") == "x");
    CHECK(place.read("b/2") == "x");
    CHECK(place.read("a/2") == "(none)");
}

TEST_CASE("opaque marks hide what is below their directory, wherever they stand, and nothing of a "
          "link's target") {
    if (!is_root()) return;
    const std::vector<Raw> mark = {{.name = "d/.wh..wh..opq"}},
                           rest = {{.name = "d/sub/new", .data = "x"},
                                   {.name = "d/also", .data = "x"}};
    for (size_t at = 0; at <= rest.size(); ++at) {
        CAPTURE(at);
        const Place place;
        place.apply(raw_tar({{.name = "d/sub/old", .data = "x"}, {.name = "d/old", .data = "x"}}));
        std::vector<Raw> layer = rest;
        layer.insert(layer.begin() + long(at), mark[0]);
        place.apply(raw_tar(layer));
        CHECK(place.read("d/sub/new") == "x");
        CHECK(place.read("d/also") == "x");
        CHECK(place.read("d/sub/old") == "(none)");
        CHECK(place.read("d/old") == "(none)");
    }
    const Place place;
    place.apply(raw_tar({{.name = "real/kept", .data = "x"},
                         {.name = "d", .type = '2', .link = "real"},
                         {.name = "file", .data = "x"}}));
    place.apply(raw_tar({{.name = "d/.wh..wh..opq"},
                         {.name = "file/.wh..wh..opq"},
                         {.name = "nowhere/.wh..wh..opq"},
                         {.name = "d", .type = '5', .mode = 0755}}));
    CHECK(place.read("real/kept") == "x");
    CHECK(S_ISDIR(stat_of(place, "d").st_mode));
    CHECK(stat_of(place, "nowhere").st_mode == 0);
}

TEST_CASE("whiteouts without a name are refused, AUFS's own files are left out") {
    if (!is_root()) return;
    const Place place;
    for (const char* name : {".wh.", "d/.wh.", ".wh..", ".wh..."}) {
        CAPTURE(name);
        CHECK_THROWS_WITH(place.apply(raw_tar({{.name = name}})),
                          ContainsSubstring("names no file"));
    }
    place.apply(raw_tar({{.name = ".wh..wh.plnk", .type = '5'},
                         {.name = ".wh..wh.plnk/12.34", .data = "x"},
                         {.name = ".wh..wh.aufs"},
                         {.name = "f", .data = "x"}}));
    CHECK(place.read("f") == "x");
    CHECK(stat_of(place, ".wh..wh.plnk").st_mode == 0);
}

TEST_CASE("names that no file system takes are refused by name") {
    if (!is_root()) return;
    const Place place;
    CHECK_THROWS_WITH(
        place.apply(raw_tar({pax({{"path", std::string(256, 'n')}}), {.name = "n", .data = "x"}})),
        ContainsSubstring("255"));
    std::string deep;
    for (int i = 0; i < 3000; ++i) deep += "d/";
    CHECK_THROWS_AS(place.apply(raw_tar({pax({{"path", deep + "f"}}), {.name = "n", .data = "x"}})),
                    Error);
    CHECK_THROWS_AS(place.apply(raw_tar({{.name = "", .data = "x"}})), Error);
}

TEST_CASE("extension headers of any size end as an error, not in memory") {
    if (!is_root()) return;
    const Place place;
    // 8 GiB are announced, and a few bytes come.
    for (const char type : {'x', 'L', 'K'}) {
        CAPTURE(type);
        CHECK_THROWS_AS(
            place.apply(raw_tar(
                {{.name = "h", .type = type, .data = std::string(512, 'x'), .size = "77777777777"},
                 {.name = "f", .data = "x"}})),
            Error);
    }
}

TEST_CASE("compression is found in the bytes, in pieces and with rests") {
    if (!is_root()) return;
    const std::string tar = raw_tar({{.name = "f", .data = "x"}});
    const std::string gzip = compressed(tar, archive_write_add_filter_gzip),
                      zstd = compressed(tar, archive_write_add_filter_zstd);
    const std::string gzip_halves = compressed(tar.substr(0, 600), archive_write_add_filter_gzip) +
                                    compressed("", archive_write_add_filter_gzip) +
                                    compressed(tar.substr(600), archive_write_add_filter_gzip);
    const std::string zstd_halves = compressed(tar.substr(0, 600), archive_write_add_filter_zstd) +
                                    compressed(tar.substr(600), archive_write_add_filter_zstd);
    const std::string skipped("\x50\x2a\x4d\x18\4\0\0\0abcd", 12);
    const struct {
        const char* what;
        std::string bytes;
    } cases[] = {
        {"gzip", gzip},
        {"zstd", zstd},
        {"bzip2", compressed(tar, archive_write_add_filter_bzip2)},
        {"xz", compressed(tar, archive_write_add_filter_xz)},
        {"gzip members", gzip_halves},
        {"gzip and zeros", gzip + std::string(2000, '\0')},
        {"zstd frames", zstd_halves},
        {"a skippable frame first", skipped + zstd},
        {"a skippable frame last", zstd + skipped},
        {"zstd:chunked's frame between",
         compressed(tar.substr(0, 600), archive_write_add_filter_zstd) + skipped +
             compressed(tar.substr(600), archive_write_add_filter_zstd)},
    };
    for (const auto& [what, bytes] : cases) {
        CAPTURE(what);
        const Place place;
        CHECK(place.apply(bytes).diff_id == digest_of(tar));
        CHECK(place.read("f") == "x");
    }
}

TEST_CASE("a damaged or cut layer is an error wherever it is cut") {
    if (!is_root()) return;
    std::string content(100'000, '\0');
    for (size_t i = 0; i < content.size(); ++i) content[i] = char(i * i >> 7);
    const std::string tar = raw_tar({{.name = "f", .data = content}, {.name = "g", .data = "x"}});
    const std::string gzip = compressed(tar, archive_write_add_filter_gzip),
                      zstd = compressed(tar, archive_write_add_filter_zstd);
    for (const std::string* whole : {&tar, &gzip, &zstd})
        for (const size_t parts : {10, 5, 3, 2}) {
            CAPTURE(whole == &tar, whole == &gzip, parts);
            const Place place;
            CHECK_THROWS_AS(place.apply(whole->substr(0, whole->size() / parts)), Error);
        }
    CHECK_THROWS_AS(Place().apply(gzip.substr(0, gzip.size() - 4)), Error);  // its trailer
    CHECK_THROWS_AS(Place().apply(raw_tar({{.name = "f", .data = "x", .bad_checksum = true}})),
                    Error);
    CHECK_THROWS_AS(Place().apply(raw_tar({{.name = "f", .data = "x", .size = "zzzzzzzzzzz"}})),
                    Error);
}

TEST_CASE("damaged layers are applied inside, or refused") {
    if (!is_root()) return;
    static constexpr std::string_view names[] = {"a",
                                                 "d/e",
                                                 "d",
                                                 "../x",
                                                 "/a",
                                                 ".",
                                                 "..",
                                                 "",
                                                 "d/../../x",
                                                 "l",
                                                 "l/x",
                                                 ".wh.a",
                                                 "d/.wh..wh..opq",
                                                 ".wh.",
                                                 "d/.wh..",
                                                 "../outside/new",
                                                 "a/",
                                                 "d//e",
                                                 "\xff"};
    static constexpr std::string_view links[] = {"a", "../outside", "/", "..",
                                                 "l", "",           "d", "../outside/secret"};
    static constexpr char types[] = {'0', '1', '2', '3', '4', '5', '6',  '7',
                                     'S', 'g', 'x', 'L', 'K', 'V', '\0', 'Z'};
    static constexpr std::string_view bytes[] = {"\x80\0\0",
                                                 "77777777777",
                                                 "\xff\xff\xff\xff",
                                                 "SCHILY.xattr.",
                                                 "path=",
                                                 "GNU.sparse.major=1",
                                                 "\n",
                                                 " ",
                                                 "9999999999 x=y\n"};
    const auto layer = [](Damage& damage) {
        std::vector<Raw> entries;
        for (size_t count = 1 + damage.below(6); count > 0; --count) {
            if (damage.below(4) == 0)
                entries.push_back(
                    pax({{damage.below(2) ? "path" : "linkpath", std::string(damage.one_of(names))},
                         {"size", std::to_string(damage.below(9))}}));
            entries.push_back({.name = std::string(damage.one_of(names)),
                               .type = damage.one_of(types),
                               .data = std::string(damage.below(3), 'x'),
                               .link = std::string(damage.one_of(links)),
                               .mode = unsigned(damage.below(010000)),
                               .magic = damage.below(4) ? std::string("ustar\0"
                                                                      "00",
                                                                      8)
                                                        : gnu_magic,
                               .major = unsigned(damage.below(3)),
                               .minor = 3});
        }
        return raw_tar(entries);
    };
    const auto take = [](const std::string& tar) {
        const Place place;
        error_of([&] { place.apply(tar); });
        CHECK(place.outside_is_untouched());
    };
    each_damaged(150, layer, take);
    each_damaged(80, [&](Damage& damage) { return damage.text(layer(damage), bytes); }, take);
    each_damaged(
        40,
        [&](Damage& damage) {
            return damage.text(compressed(layer(damage), damage.below(2)
                                                             ? archive_write_add_filter_gzip
                                                             : archive_write_add_filter_zstd),
                               bytes);
        },
        take);
}
