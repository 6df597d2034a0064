// Indexes that keg writes, as the kernel and fsck.erofs see them.
#include "image/layer/erofs_writer.h"

#include "tests/unit/image/erofs_place.h"
#include "tests/unit/linear.h"

namespace {

std::string reason_of(const FileTree& tree) {
    const Scratch scratch;
    const UniqueFd file = sys::open(scratch.path + "/index", O_RDWR | O_CREAT, 0600);
    const auto size = write_erofs(tree, file.get());
    if (!size) CHECK(sys::fstat(file.get()).st_size == 0);
    return size ? "" : size.error();
}

}  // namespace

TEST_CASE("an index is the tree that it was written from") {
    if (!is_root()) return;
    unsigned same = 0;
    for (unsigned seed = 1; seed <= damage::rounds(60); ++seed) {
        CAPTURE(seed);
        Damage damage(seed);
        const Stack stack = random_stack(damage);
        FileTree tree;
        if (!error_of([&] { tree = tree_of(stack); }).empty()) continue;
        ++same;
        CHECK(difference_of_mounted(tree, stack) == "");
    }
    CHECK(same > 20);
}

TEST_CASE("names of all bytes and lengths are found in directories of all sizes") {
    if (!is_root()) return;
    std::vector<Raw> entries;
    const auto add = [&](const std::string& path) {
        entries.push_back(pax({{"path", path}}));
        entries.push_back({.name = "x"});
    };
    for (int byte = 1; byte < 256; ++byte)
        if (byte != '/' && byte != '.') add(str("bytes/", std::string(2, char(byte))));
    for (const char* name : {"!", "-", "...", ".a", "\n", "\xff\xfe", "a\tb", " "})
        add(str("odd/", name));
    // Each directory ends elsewhere in its block.
    for (size_t length = 1; length <= 255; ++length)
        add(str("d", length, "/", std::string(length, 'n')));
    for (size_t count = 1; count <= 60; ++count)
        for (size_t i = 0; i < count; ++i) add(str("e", count, "/", 100000000 + i));
    for (size_t i = 0; i < 5000; ++i) add(str("big/", i));
    add(linear::repeated("deep/", 400) + "f");
    const Stack stack{raw_tar(entries)};
    CHECK(difference_of_mounted(tree_of(stack), stack) == "");
}

TEST_CASE("links of all lengths are what they were") {
    if (!is_root()) return;
    std::vector<Raw> entries;
    for (size_t length = 1; length < 4096; length += length < 1100 ? 1 : 97) {
        entries.push_back(pax({{"linkpath", std::string(length, 't')}}));
        entries.push_back({.name = str("l", length), .type = '2'});
    }
    const Stack stack{raw_tar(entries)};
    CHECK(difference_of_mounted(tree_of(stack), stack) == "");
}

TEST_CASE("attributes are there, alone or shared, few or many, short or long") {
    if (!is_root()) return;
    std::vector<Raw> entries;
    const auto add = [&](const std::string& path, const std::vector<std::string>& values) {
        std::vector<std::pair<std::string, std::string>> records{{"path", path}};
        for (size_t i = 0; i < values.size(); ++i)
            records.emplace_back(xattr_record(str("user.", i)), values[i]);
        entries.push_back(pax(records));
        entries.push_back({.name = path, .type = path.ends_with('/') ? '5' : '0'});
    };
    for (int i = 0; i < 50; ++i) add(str("shared", i), {"the same", std::string(1000, 's')});
    for (size_t length = 0; length < 600; length += 7) {
        add(str("own", length), {std::string(length, 'v')});
        add(str("dir", length, "/"), {std::string(length, 'v')});
        add(str("dir", length, "/file"), {});
    }
    add("many", std::vector<std::string>(300, "x"));
    add("many too", std::vector<std::string>(300, "x"));
    add("long", {std::string(60000, 'l'), std::string(65535, 'm')});
    entries.push_back(
        pax({{xattr_record("user." + std::string(250, 'n')), "v"},
             {xattr_record("trusted.t"), "t"},
             {xattr_record("trusted.overlay.opaque"), "y"},
             {xattr_record("security.other"), std::string("\0\xff", 2)},
             {xattr_record("system.posix_acl_default"), acl({{1, 7, 0}, {4, 5, 0}, {0x20, 5, 0}})},
             {xattr_record("system.posix_acl_access"),
              acl({{1, 7, 0}, {2, 6, 9}, {4, 5, 0}, {0x10, 7, 0}, {0x20, 5, 0}})}}));
    entries.push_back({.name = "all/", .type = '5'});
    const Stack stack{raw_tar(entries)};
    CHECK(difference_of_mounted(tree_of(stack), stack) == "");
}

TEST_CASE("owners, times and numbers are kept up to their limits") {
    if (!is_root()) return;
    std::vector<Raw> entries;
    for (const char* time : {"-1000000000.000000102", "-1", "0", "4294967296.999999999",
                             "7258118400.5", "100000000000"}) {
        entries.push_back(pax({{"mtime", time}}));
        entries.push_back({.name = str("t", time)});
        entries.push_back(pax({{"mtime", time}}));
        entries.push_back({.name = str("d", time, "/"), .type = '5'});
    }
    entries.push_back(pax({{"uid", "4294967294"}, {"gid", "65536"}}));
    entries.push_back({.name = "owned", .mode = 07777});
    entries.push_back({.name = "null", .type = '3', .major = 1, .minor = 3});
    entries.push_back({.name = "most", .type = '4', .major = 4095, .minor = 1048575});
    entries.push_back({.name = "pipe", .type = '6'});
    for (int i = 0; i < 3000; ++i)
        entries.push_back({.name = str("links/", i), .type = '1', .link = "owned"});
    const Stack stack{raw_tar(entries)};
    CHECK(difference_of_mounted(tree_of(stack), stack) == "");
}

TEST_CASE("holes are holes") {
    if (!is_root()) return;
    std::vector<Raw> entries;
    const auto add = [&](const std::string& name, uint64_t size, const std::string& map) {
        Raw file{.name = name};
        const std::vector<std::string> numbers = split(map, ',');
        for (size_t i = 1; i < numbers.size(); i += 2)
            file.data += std::string(*parse_number<size_t>(numbers[i]), char('a' + i));
        entries.push_back(pax({{"GNU.sparse.size", str(size)}, {"GNU.sparse.map", map}}));
        entries.push_back(file);
    };
    add("all hole", 1 << 20, "0,0");
    add("one block", 512, "0,0");
    add("begin", 1 << 20, "0,4096");
    add("middle", 1 << 20, "4096,4096,524288,512");
    add("end", (1 << 20) + 100, "1048576,100");
    add("odd size", 1000, "512,488");
    add("many", 1 << 20, "0,512,1024,512,2048,1024,8192,512");
    add("touching", 1 << 20, "4096,100,4196,3996");
    add("whole", 3000, "0,1000,1000,2000");
    add("large", 64 << 20, "33554432,4096");
    const Stack stack{raw_tar(entries)};
    CHECK(difference_of_mounted(tree_of(stack), stack) == "");
}

TEST_CASE("a tree of many tars has its contents from each") {
    if (!is_root()) return;
    Stack stack;
    for (int i = 0; i < 120; ++i)
        stack.push_back(raw_tar({{.name = str("f", i), .data = str("content ", i)},
                                 {.name = "last", .data = str("of ", i)},
                                 {.name = str("link", i), .type = '1', .link = "f0"}}));
    CHECK(difference_of_mounted(tree_of(stack), stack) == "");
    CHECK(difference_of_mounted(FileTree(), {}) == "");
}

TEST_CASE("the index of a small tree is as long as a page, without which Linux 7.3 mounts none") {
    const FileTree empty;
    CHECK(index_of(empty).size() == 4096);
    const Stack stack{raw_tar({{.name = "file", .data = "x"}})};
    CHECK(index_of(tree_of(stack)).size() == 4096);
    CHECK(difference_of_mounted(tree_of(stack), stack) == "");
}

TEST_CASE("the same layers give the same bytes") {
    for (unsigned seed = 1; seed <= 50; ++seed) {
        Damage damage(seed);
        const Stack stack = random_stack(damage);
        FileTree tree;
        if (!error_of([&] { tree = tree_of(stack); }).empty()) continue;
        CHECK(index_of(tree) == index_of(tree_of(stack)));
    }
}

TEST_CASE("what an index cannot say is told before anything is written") {
    const auto only = [](const std::vector<Raw>& entries) { return tree_of({raw_tar(entries)}); };
    const auto sparse = [&](const char* size, const char* map, const std::string& data) {
        return only({pax({{"GNU.sparse.size", size}, {"GNU.sparse.map", map}}),
                     {.name = "d/f", .data = data}});
    };
    const std::string odd = "a hole that begins or ends within a block of \"d/f\"";
    CHECK(reason_of(sparse("4096", "100,412", std::string(412, 'x'))) == odd);
    CHECK(reason_of(sparse("4096", "512,100", std::string(100, 'x'))) == odd);
    CHECK(reason_of(sparse("1099511627776", "512,512", std::string(512, 'x'))) ==
          "the number of holes of \"d/f\"");
    CHECK(reason_of(only({pax({{xattr_record("user.x"), std::string(65536, 'x')}}),
                          {.name = "d/f"}})) == "an attribute of 65536 bytes of \"d/f\"");
    std::vector<std::pair<std::string, std::string>> many;
    for (int i = 0; i < 9; ++i)
        many.emplace_back(xattr_record(str("user.", i)), std::string(30000, 'x'));
    CHECK(reason_of(only({pax(many), {.name = "/", .type = '5'}})) ==
          "attributes of 270084 bytes of \"/\"");
    FileTree large;
    for (const uint64_t size : {uint64_t(1) << 40, uint64_t(1) << 40})
        large.begin_layer("t"), large.end_layer(size);
    CHECK(reason_of(large) == "tars of more than 2 TiB");
    FileTree layers;
    for (int i = 0; i < 16500; ++i) layers.begin_layer("t"), layers.end_layer(512);
    CHECK(reason_of(layers) == "16500 layers");
    FileTree small;
    small.begin_layer("t");
    TarEntry file{.name = "f"};
    file.size = 1000, file.data_at = 512;
    small.add(file);
    small.end_layer(1024);
    CHECK(reason_of(small) == "the place in its tar of \"f\"");
}

// The same tree by GNU tar in each of its forms, over a layer that is hidden in part: as plain
// files, as a tree, and as an index that is mounted.
TEST_CASE("what GNU tar writes is the same in all forms") {
    if (!is_root()) return;
    const Scratch scratch;
    write_file(scratch.path + "/make", R"sh(
        set -e
        cd "$1"; mkdir tree; cd tree; umask 022
        mkdir -p d/e .hidden "odd $(printf '\001\377')"
        echo text > d/e/file; chmod 4755 d/e/file; ln d/e/file d/hard
        ln -s ../d/e/file d/e/link; ln -s nowhere d/dangling
        mkfifo d/pipe; mknod d/null c 1 3; mknod d/disk b 8 1; chown -h 1000:2000 d/e/link d/e
        truncate -s 3M d/sparse
        echo middle | dd of=d/sparse bs=4096 seek=100 conv=notrunc status=none
        touch -h -d '1960-01-01 12:00:00.123456789' d/dangling d/pipe; touch -d @4294967296 d/e
        i=0; while [ $i -lt 300 ]; do : > ".hidden/$i"; i=$((i + 1)); done
        name=$(printf %0200d 0); mkdir -p "$name/$name/$name"; echo deep > "$name/$name/$name/f"
        for format in v7 oldgnu gnu ustar posix; do
            for flags in "" --sparse; do
                tar --format=$format $flags -cf ../$format$flags.tar . 2>/dev/null || true
            done
        done)sh");
    REQUIRE(std::system(("sh " + scratch.path + "/make " + scratch.path).c_str()) == 0);
    const std::string below = raw_tar({{.name = "d/", .type = '5', .mode = 0700},
                                       {.name = "d/old", .data = "old"},
                                       {.name = "d/sparse/x", .data = "in a directory"},
                                       {.name = "kept", .data = "kept"},
                                       {.name = ".hidden/gone", .data = "gone"}});
    const std::string above = raw_tar({{.name = "again", .type = '1', .link = "d/e/file"},
                                       {.name = "d/e/.wh.link"},
                                       {.name = ".hidden/new"},
                                       {.name = ".hidden/.wh..wh..opq"}});
    for (const std::string form : {"v7", "oldgnu", "gnu", "ustar", "posix"}) {
        for (const std::string flags : {"", "--sparse"}) {
            CAPTURE(form, flags);
            if (!flags.empty() && (form == "v7" || form == "ustar")) continue;  // they have none
            const Stack stack{below, read_file(str(scratch.path, "/", form, flags, ".tar")), above};
            const FileTree tree = tree_of(stack);
            const Listing listed = listing_of(tree, stack);
            const time_t now = ::time(nullptr);
            const Listing plain = listing_of(PlainFiles(stack).root());
            CHECK(difference(listed, plain) == "");
            CHECK(difference_of_times(listed, plain, now) == "");
            CHECK(difference_of_mounted(tree, stack) == "");
        }
    }
}
