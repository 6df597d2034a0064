// What a stack of layers is as one tree: the same as what its layers make as plain files.
#include "image/layer/file_tree.h"

#include "tests/unit/image/layer_stack.h"
#include "tests/unit/linear.h"

namespace {

// Applied, or the words of why not.
std::string plain_error(const Stack& stack, Listing& listing) {
    return error_of([&] { listing = listing_of(PlainFiles(stack).root()); });
}

}  // namespace

TEST_CASE("a tree is what its layers are as plain files") {
    if (!is_root()) return;
    ::umask(022);
    unsigned same = 0;
    for (unsigned seed = 1; seed <= damage::rounds(400); ++seed) {
        CAPTURE(seed);
        Damage damage(seed);
        const Stack stack = random_stack(damage);
        Listing plain, tree;
        const time_t now = ::time(nullptr);
        const std::string refused = plain_error(stack, plain);
        CHECK(error_of([&] { tree = listing_of(tree_of(stack), stack); }) == refused);
        if (!refused.empty()) continue;
        ++same;
        CHECK(difference(tree, plain) == "");
        // The root of a stack that says nothing of it, and what a link that led nowhere had made.
        CHECK(difference_of_times(tree, plain, now) == "");
    }
    CHECK(same > 100);
}

TEST_CASE("attributes are those that a file system would give back") {
    if (!is_root()) return;
    const auto capability = [](size_t size, char revision) {
        return std::string("\1\0\0", 3) + revision + std::string(size - 4, '\1');
    };
    const std::string rights = "system.posix_acl_access", given = "system.posix_acl_default";
    const std::pair<std::string, std::string> cases[] = {
        {"user.x", ""},
        {"user.x", std::string(2000, 'x')},
        {"user.", "1"},
        {"user." + std::string(250, 'n'), "1"},
        {"user." + std::string(251, 'n'), "1"},
        {"user.x", std::string(65537, 'x')},
        {"trusted.x", "1"},
        {"trusted.overlay.redirect", "/etc"},
        {"user.overlay.opaque", "y"},
        {"security.selinux", "no"},
        {"security.other", "1"},
        {"security.", "1"},
        {"system.other", "1"},
        {"other.x", "1"},
        {"other", "1"},
        {"security.capability", ""},
        {"security.capability", "xyz"},
        {"security.capability", capability(20, 2)},
        {"security.capability", capability(24, 3)},
        {"security.capability", capability(24, 2)},
        {"security.capability", capability(12, 1)},
        {rights, acl({{1, 6, 0}, {4, 4, 0}, {0x20, 0, 7}})},
        {rights, acl({{1, 6, 0}, {2, 7, 5}, {4, 4, 9}, {0x10, 5, 0}, {0x20, 0, 0}})},
        {rights, acl({{1, 6, 0}, {4, 4, 0}, {8, 7, 5}, {0x10, 5, 0}, {0x20, 0, 0}})},
        {rights, acl({{1, 6, 0}, {2, 7, 5}, {4, 4, 0}, {0x20, 0, 0}})},  // without a mask
        {rights, acl({{4, 4, 0}, {1, 6, 0}, {0x20, 0, 0}})},
        {rights, acl({{1, 6, 0}, {4, 8, 0}, {0x20, 0, 0}})},
        {rights, acl({{1, 6, 0}, {4, 4, 0}})},
        {rights, acl({{1, 6, 0}, {2, 7, 0xffffffff}, {4, 4, 0}, {0x10, 5, 0}, {0x20, 0, 0}})},
        {rights, acl({})},
        {rights, ""},
        {rights, "\2"},
        {rights, std::string("\3\0\0\0", 4)},
        {rights, acl({{1, 6, 0}}) + "x"},
        {given, acl({{1, 6, 0}, {4, 4, 0}, {0x20, 0, 0}})},
    };
    for (const auto& [name, value] : cases) {
        for (const char type : {'0', '2', '5', '6'}) {
            CAPTURE(name, value, type);
            const Raw entry{.name = "f", .type = type, .link = type == '2' ? "x" : ""};
            const Stack stack{raw_tar({pax({{xattr_record(name), value}}), entry})};
            Listing plain, tree;
            const std::string refused = plain_error(stack, plain);
            CHECK(error_of([&] { tree = listing_of(tree_of(stack), stack); }) == refused);
            if (refused.empty()) CHECK(difference(tree, plain) == "");
        }
    }
}

TEST_CASE("what the kernel would not find its way to is refused in its words") {
    if (!is_root()) return;
    std::vector<Raw> chain;
    for (int i = 0; i <= 41; ++i)
        chain.push_back({.name = str("l", i), .type = '2', .link = i == 0 ? "d" : str("l", i - 1)});
    const auto through = [&](int link) {
        std::vector<Raw> entries = chain;
        entries.push_back({.name = str("l", link, "/f")});
        return raw_tar(entries);
    };
    const std::string deep = linear::repeated("d/", 2100);
    const std::string cases[] = {
        through(38),
        through(39),
        through(40),
        raw_tar({{.name = "l", .type = '2', .link = "l"}, {.name = "l/f"}}),
        raw_tar({{.name = "l", .type = '2', .link = "l"}, {.name = "l/.wh.f"}}),
        raw_tar(
            {{.name = "l", .type = '2', .link = "l"}, {.name = "h", .type = '1', .link = "l/f"}}),
        raw_tar({pax({{"path", deep + "f"}}), {.name = "f"}}),
        raw_tar({pax({{"path", deep.substr(0, 4000) + "f"}}), {.name = "f"}}),
        raw_tar({{.name = "f"}, {.name = "s", .type = '2', .link = "f"}, {.name = "s/in/it"}}),
        raw_tar({{.name = "f"}, {.name = "s", .type = '2', .link = "f/x/y"}, {.name = "s/in"}}),
        raw_tar({{.name = "d/f"}, {.name = "d", .type = '1', .link = "d/f"}}),
        raw_tar({{.name = "d", .type = '5'}, {.name = "h", .type = '1', .link = "d"}}),
        raw_tar({{.name = "h", .type = '1', .link = "none"}}),
        raw_tar({{.name = "h", .type = '1', .link = "none/f"}}),
        raw_tar({{.name = "h", .type = '1', .link = "/"}}),
        raw_tar({{.name = "h", .type = '1', .link = "h"}}),
        raw_tar({{.name = "/", .type = '0'}}),
        raw_tar({{.name = "d/.wh."}}),
        raw_tar({{.name = ".wh..."}}),
        raw_tar({{.name = ".wh..wh.plnk/1.2", .data = "x"}, {.name = ".wh..wh.aufs"}}),
        raw_tar({{.name = "c", .type = '3'}}),
        raw_tar({{.name = "c", .type = '4', .major = 4096}}),
        raw_tar({pax({{"uid", "4294967295"}}), {.name = "f"}}),
        raw_tar({pax({{"uid", "4294967294"}}), {.name = "f"}}),
        raw_tar({pax({{"path", std::string(256, 'n')}}), {.name = "f"}}),
        raw_tar({pax({{"linkpath", std::string(4096, 'n')}}), {.name = "f", .type = '2'}}),
        raw_tar({pax({{"linkpath", std::string(4095, 'n')}}), {.name = "f", .type = '2'}}),
    };
    for (size_t i = 0; i < std::size(cases); ++i) {
        CAPTURE(i);
        const Stack stack{cases[i]};
        Listing plain, tree;
        const std::string refused = plain_error(stack, plain);
        CHECK(error_of([&] { tree = listing_of(tree_of(stack), stack); }) == refused);
        if (refused.empty()) CHECK(difference(tree, plain) == "");
    }
}

TEST_CASE("a tree costs time in proportion to its layers") {
    const auto entries = [](size_t n, auto each) {
        std::vector<Raw> all;
        for (size_t i = 0; i < n; ++i) each(all, std::to_string(i));
        return raw_tar(all);
    };
    struct {
        const char* name;
        std::function<Stack(size_t n)> make;
    } cases[] = {
        {"files in one directory",
         [&](size_t n) -> Stack {
             return {entries(n, [](auto& all, auto i) { all.push_back({.name = "d/f" + i}); })};
         }},
        {"a big directory hidden again and again that each layer fills",
         [&](size_t n) -> Stack {
             const auto fill = [](auto& all, auto i) {
                 all.push_back({.name = "d/f" + i}), all.push_back({.name = ".wh.d"});
                 all.push_back({.name = "d/.wh..wh..opq"});
             };
             return {entries(n, fill), entries(n, fill), entries(n, fill)};
         }},
        {"each file of a directory hidden",
         [&](size_t n) -> Stack {
             return {entries(n, [](auto& all, auto i) { all.push_back({.name = "d/f" + i}); }),
                     entries(n, [](auto& all, auto i) { all.push_back({.name = "d/.wh.f" + i}); })};
         }},
        {"hard links, each to the one before",
         [&](size_t n) -> Stack {
             return {entries(n, [](auto& all, auto i) {
                 if (all.empty())
                     all.push_back({.name = "l0"});
                 else
                     all.push_back({.name = "l" + i,
                                    .type = '1',
                                    .link = "l" + std::to_string(std::stoul(i) - 1)});
             })};
         }},
        {"deep paths, each another one",
         [&](size_t n) -> Stack {
             return {entries(n, [](auto& all, auto i) {
                 all.push_back(pax({{"path", i + linear::repeated("/d", 1000)}}));
                 all.push_back({.name = "f"});
             })};
         }},
        {"a directory that is made and replaced again and again",
         [&](size_t n) -> Stack {
             return {entries(n, [](auto& all, auto i) {
                 all.push_back({.name = "d/e/" + i}), all.push_back({.name = "d"});
             })};
         }},
    };
    for (const auto& [name, make] : cases) {
        INFO(name);
        CHECK(linear::problem(100, make, [](const Stack& stack) { tree_of(stack); }) == "");
    }
}
