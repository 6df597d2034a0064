// What a tar says, entry by entry, and what is refused because readers would disagree about it.
#include "image/layer/tar_stream.h"

#include "base/error.h"
#include "tests/unit/catch.h"
#include "tests/unit/damage.h"
#include "tests/unit/image/raw_tar.h"

namespace {

// The bytes in pieces of that size.
std::function<std::string_view()> in_pieces(const std::string& bytes, size_t size = 1 << 20) {
    return [rest = std::string_view(bytes), size]() mutable {
        const std::string_view piece = rest.substr(0, size);
        rest.remove_prefix(piece.size());
        return piece;
    };
}

std::string content_of(TarStream& tar, const TarEntry& entry) {
    std::string out(entry.size, '\0');
    while (const auto block = tar.read())
        out.replace(block->offset, block->data.size(), block->data);
    return out;
}

TarEntry only_entry(const std::vector<Raw>& entries) {
    const std::string bytes = raw_tar(entries);
    TarStream tar(in_pieces(bytes));
    const TarEntry* first = tar.next();
    REQUIRE(first);
    const TarEntry copy = *first;
    CHECK(tar.next() == nullptr);
    return copy;
}

void read_all(const std::string& bytes, size_t pieces = 1 << 20) {
    TarStream tar(in_pieces(bytes, pieces));
    while (tar.next())
        while (tar.read()) {
        }
}

// So that damage is not always found there.
void set_checksums(std::string& tar) {
    for (size_t at = 0; at + 512 <= tar.size(); at += 512) {
        if (tar.compare(at + 257, 5, "ustar") != 0) continue;
        tar.replace(at + 148, 8, "        ");
        unsigned sum = 0;
        for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[at + i]);
        tar.replace(at + 148, 7, octal(sum, 6) + std::string(1, '\0'));
    }
}

const std::string long_name = "a/" + std::string(120, 'b') + "/" + std::string(200, 'c');

}  // namespace

TEST_CASE("a tar is the same in whatever pieces it comes") {
    const std::string bytes = raw_tar({pax({{"path", long_name}}),
                                       {.name = "short", .data = std::string(1500, 'x')},
                                       {.name = "d/", .type = '5'},
                                       {.name = "l", .type = '2', .link = "d/x"}});
    for (const size_t size : {1, 7, 511, 512, 513, 1 << 20}) {
        CAPTURE(size);
        TarStream tar(in_pieces(bytes, size));
        const TarEntry* entry = tar.next();
        CHECK(entry->name == long_name);
        CHECK(entry->data_at == 3 * 512);
        CHECK(content_of(tar, *entry) == std::string(1500, 'x'));
        entry = tar.next();
        CHECK(entry->type == TarEntry::Type::directory);
        entry = tar.next();
        CHECK(entry->type == TarEntry::Type::symlink);
        CHECK(entry->target == "d/x");
        CHECK(tar.next() == nullptr);
    }
}

TEST_CASE("content that is not read is passed over") {
    const std::string bytes =
        raw_tar({{.name = "a", .data = std::string(5000, 'x')}, {.name = "b", .data = "y"}});
    TarStream tar(in_pieces(bytes));
    CHECK(tar.next()->name == "a");
    CHECK(tar.read()->data.substr(0, 1) == "x");
    const TarEntry* b = tar.next();
    CHECK(b->name == "b");
    CHECK(bytes.substr(b->data_at, 1) == "y");
}

TEST_CASE("names are the bytes of the archive") {
    // The same letter in two forms of Unicode, and no Unicode at all.
    for (const std::string name : {"u\xcc\x88", "\xc3\xbc", "\xff\xfe"}) {
        CHECK(only_entry({pax({{"path", name}}), {.name = "x"}}).name == name);
        CHECK(only_entry({{.name = name}}).name == name);
    }
}

TEST_CASE("times before 1970 and parts of a second are as they are written") {
    const struct {
        const char* text;
        time_t seconds;
        long nanoseconds;
    } cases[] = {{"-1.5", -2, 500'000'000},
                 {"-1", -1, 0},
                 {"0.1", 0, 100'000'000},
                 {"5.2500000019", 5, 250'000'001},
                 {"-0.25", -1, 750'000'000}};
    for (const auto& [text, seconds, nanoseconds] : cases) {
        CAPTURE(text);
        const TarEntry entry = only_entry({pax({{"mtime", text}}), {.name = "f"}});
        CHECK(entry.modified.tv_sec == seconds);
        CHECK(entry.modified.tv_nsec == nanoseconds);
    }
}

TEST_CASE("the sparse files of each kind of tar are the pieces that they say") {
    const std::vector<std::pair<std::string, std::string>> head = {{"GNU.sparse.name", "f"}};
    std::string map = "2\n512\n3\n4096\n0\n";
    map.resize(512);
    const std::vector<Raw> forms[] = {
        {pax({{"GNU.sparse.size", "4096"},
              {"GNU.sparse.numblocks", "2"},
              {"GNU.sparse.offset", "512"},
              {"GNU.sparse.numbytes", "3"},
              {"GNU.sparse.offset", "4096"},
              {"GNU.sparse.numbytes", "0"}}),
         {.name = "f", .data = "xyz"}},
        {pax({{"GNU.sparse.size", "4096"},
              {"GNU.sparse.map", "512,3,4096,0"},
              {"GNU.sparse.name", "f"}}),
         {.name = "g", .data = "xyz"}},
        {pax({{"GNU.sparse.major", "1"},
              {"GNU.sparse.minor", "0"},
              {"GNU.sparse.name", "f"},
              {"GNU.sparse.realsize", "4096"}}),
         {.name = "g", .data = map + "xyz"}},
    };
    for (const std::vector<Raw>& form : forms) {
        const std::string bytes = raw_tar(form);
        TarStream tar(in_pieces(bytes));
        const TarEntry* entry = tar.next();
        CHECK(entry->name == "f");
        REQUIRE(entry->segments);
        CHECK(entry->segments->size() == 1);
        CHECK(bytes.substr(entry->data_at, 3) == "xyz");
        std::string want(4096, '\0');
        want.replace(512, 3, "xyz");
        CHECK(content_of(tar, *entry) == want);
    }
}

TEST_CASE("attributes are bytes, in both ways of writing them") {
    const std::string value("a\0=\n", 4);
    CHECK(only_entry({pax({{"SCHILY.xattr.user.x", value}}), {.name = "f"}}).xattrs.at("user.x") ==
          value);
    CHECK(only_entry({pax({{"LIBARCHIVE.xattr.user.%78", "YQA9Cg"}}), {.name = "f"}})
              .xattrs.at("user.x") == value);
}

TEST_CASE("a record without a value takes back what was said before") {
    CHECK(only_entry({pax({{"uid", "7"}}, 'g'), {.name = "f"}}).uid == 7);
    CHECK(only_entry({pax({{"uid", "7"}}, 'g'), pax({{"uid", ""}}), {.name = "f"}}).uid == 0);
    CHECK(only_entry({pax({{"path", ""}}), {.name = "f"}}).name == "f");
}

TEST_CASE("what only some readers would see is refused") {
    const auto with_record = [](const std::string& text) {
        return std::vector<Raw>{{.name = "x", .type = 'x', .data = text}, {.name = "f"}};
    };
    const struct {
        const char* what;
        std::vector<Raw> entries;
    } cases[] = {
        {"a record's length is too large", with_record("99 path=x\n")},
        {"a record's length is too small", with_record("5 path=x\n")},
        {"a record's length is no number", with_record("abc path=x\n")},
        {"a record does not end its line", with_record("9 path=xy")},
        {"a record has no name", with_record("6 =x\n\n")},
        {"a zero byte in a path", {pax({{"path", std::string("a\0b", 3)}}), {.name = "f"}}},
        {"a zero byte in a link", {pax({{"linkpath", std::string("a\0b", 3)}}), {.name = "f"}}},
        {"a zero byte in an attribute's name",
         {pax({{"LIBARCHIVE.xattr.user.a%00b", "YQ"}}), {.name = "f"}}},
        {"an owner that is no number", {pax({{"uid", "abc"}}), {.name = "f"}}},
        {"a time that is none", {pax({{"mtime", "1.2.3"}}), {.name = "f"}}},
        {"a negative size", {pax({{"size", "-1"}}), {.name = "f"}}},
        {"a name in a global header", {pax({{"path", "x"}}, 'g'), {.name = "f"}}},
        {"a size in a global header", {pax({{"size", "0"}}, 'g'), {.name = "f"}}},
        {"a long name in two forms",
         {pax({{"path", "a"}}),
          {.name = "L", .type = 'L', .data = std::string("b\0", 2), .magic = gnu_magic},
          {.name = "f"}}},
        {"an extended header at the end", {{.name = "f"}, pax({{"path", "x"}})}},
        {"a type that nobody knows", {{.name = "f", .type = 'Z'}}},
        {"a link to nothing", {{.name = "f", .type = '2'}}},
        {"a size that is no number", {{.name = "f", .type = '5', .size = "0000000z000"}}},
        {"a sparse file of more than is there",
         {pax({{"GNU.sparse.size", "4096"}, {"GNU.sparse.map", "0,512"}}), {.name = "f"}}},
        {"a sparse file whose pieces overlap",
         {pax({{"GNU.sparse.size", "4096"}, {"GNU.sparse.map", "0,2,1,1"}}),
          {.name = "f", .data = "abc"}}},
        {"a sparse file longer than it says",
         {pax({{"GNU.sparse.size", "2"}, {"GNU.sparse.map", "0,3"}}),
          {.name = "f", .data = "abc"}}},
        {"places and sizes out of order",
         {pax({{"GNU.sparse.size", "2"}, {"GNU.sparse.numbytes", "3"}}),
          {.name = "f", .data = "abc"}}},
        {"a map that goes on and on",
         {pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", "9"}}),
          {.name = "f", .data = "4000000000\n" + std::string(2 << 20, '1')}}},
    };
    for (const auto& [what, entries] : cases) {
        CAPTURE(what);
        CHECK_THROWS_AS(read_all(raw_tar(entries)), Error);
    }
    // One block of zeros, and more behind it; the end in the middle of a block.
    const std::string entry = raw_entry({.name = "f", .data = "x"});
    CHECK_THROWS_AS(read_all(entry + std::string(512, '\0') + entry), Error);
    CHECK_THROWS_AS(read_all(entry.substr(0, 600)), Error);
    CHECK_THROWS_WITH(read_all(std::string(512, 'x')), "not a tar archive");
}

TEST_CASE("what all readers take is taken") {
    const std::string entry = raw_entry({.name = "f", .data = "x"});
    CHECK_NOTHROW(read_all(entry));                           // without an end
    CHECK_NOTHROW(read_all(entry + std::string(512, '\0')));  // with half of one
    CHECK_NOTHROW(read_all(entry + std::string(1024, '\0') + "rest"));
    CHECK(only_entry({{.name = "d/", .type = '\0', .magic = std::string(8, '\0')}}).type ==
          TarEntry::Type::directory);
    CHECK(only_entry({{.name = "d", .type = '5', .data = {}, .size = "00000010000"}}).size == 0);
}

TEST_CASE("a damaged tar is an error or another tar, never more") {
    const std::string bytes =
        raw_tar({pax({{"path", long_name}, {"SCHILY.xattr.user.a", "b"}}),
                 {.name = "short", .data = std::string(700, 'x')},
                 pax({{"GNU.sparse.size", "4096"}, {"GNU.sparse.map", "512,3"}}),
                 {.name = "s", .data = "xyz"}});
    for (unsigned seed = 1; seed <= 3000; ++seed) {
        Damage damage(seed);
        std::string hurt = bytes;
        for (size_t times = 1 + damage.below(4); times > 0; --times)
            hurt[damage.below(hurt.size())] = char(damage.below(256));
        if (damage.below(4) != 0) set_checksums(hurt);
        CAPTURE(seed);
        try {
            read_all(hurt, 1 + seed % 1000);
        } catch (const Error& e) {
            CHECK(std::string_view(e.what()).size() < 1000);
        }
    }
}
