// What of a tree has changed is a layer: on top of what was, it makes what is.
#include "image/layer/difference.h"

#include <regex>

#include "image/layer/diff.h"
#include "tests/unit/image/layer_stack.h"

namespace {

std::string layer_between(const Place& before, const Place& now) {
    const Root root(now.root());
    std::string tar;
    write_layer(root, compare_trees(root, Root(before.root())), {},
                [&](std::string_view piece) { tar += piece; });
    return tar;
}

// Of a tree what a layer that is written says: whole seconds, and not every attribute.
Listing written_listing(const std::string& directory) {
    static const std::regex fraction(R"(\.\d+ links)"), unsaid(R"( trusted\.t="2")");
    Listing listing = listing_of(directory);
    for (auto& [path, line] : listing.lines) {
        line = std::regex_replace(line, fraction, " links");
        line = std::regex_replace(line, unsaid, "");
    }
    for (auto& [path, time] : listing.directories) time.tv_nsec = 0;
    return listing;
}

// "gone a, present b"
std::string words_of(const TreeChanges& changes) {
    std::vector<std::string> words;
    for (const auto& [path, change] : changes)
        words.push_back((change == TreeChange::gone ? "gone " : "present ") + path);
    return join(words, ", ");
}

std::string changes_between(const std::vector<Item>& before, const std::vector<Item>& now) {
    const Place was("/dev/shm"), is("/dev/shm");
    was.apply(before), is.apply(now);
    return words_of(compare_trees(Root(is.root()), Root(was.root())));
}

}  // namespace

TEST_CASE("a layer of what has changed makes the one tree of the other") {
    if (!is_root()) return;
    ::umask(022);
    unsigned compared = 0;
    for (unsigned seed = 1; seed <= damage::rounds(800); ++seed) {
        CAPTURE(seed);
        Damage damage(seed);
        const Stack stack = random_stack(damage), more = random_stack(damage);
        Stack edited = stack;
        if (damage.below(4) == 0) edited.clear();  // nothing in common but names
        edited.insert(edited.end(), more.begin(), more.end());
        std::optional<PlainFiles> before, now;
        if (!error_of([&] { before.emplace(stack), now.emplace(edited); }).empty()) continue;
        ++compared;
        before->apply(layer_between(*before, *now));
        const Listing is = written_listing(before->root()),
                      should_be = written_listing(now->root());
        CHECK(difference(is, should_be) == "");
        Listing below = should_be;
        below.directories.erase("");  // its time is nobody's word
        CHECK(difference_of_times(is, below, std::numeric_limits<time_t>::max()) == "");
        CHECK(words_of(compare_trees(Root(now->root()), Root(before->root()))) == "");
    }
    CHECK(compared > 50);
}

TEST_CASE("changes are named as a layer needs them") {
    if (!is_root()) return;
    const std::vector<Item> tree = {{.name = "d", .type = 'd'},
                                    {.name = "d/e", .type = 'd'},
                                    {.name = "d/e/f", .content = "f"},
                                    {.name = "d/hard", .type = 'h', .content = "d/e/f"},
                                    {.name = "l", .type = 'l', .content = "d"}};
    const auto with = [&](size_t at, const Item& item) {
        auto other = tree;
        other[at] = item;
        return other;
    };
    const auto without = [&](size_t first, size_t count) {
        auto other = tree;
        other.erase(other.begin() + long(first), other.begin() + long(first + count));
        return other;
    };
    CHECK(changes_between(tree, tree) == "");
    // Of what is gone the top alone.
    CHECK(changes_between(tree, {{.name = "l", .type = 'l', .content = "d"}}) == "gone d");
    CHECK(changes_between(tree, without(4, 1)) == "gone l");
    CHECK(changes_between(tree, with(4, {.name = "l", .type = 'd'})) == "present l");
    CHECK(changes_between(tree, with(4, {.name = "l", .type = 'l', .content = "e"})) ==
          "present l");
    // Of a file that has two names both, whichever has changed.
    CHECK(changes_between(tree, with(2, {.name = "d/e/f", .content = "g"})) ==
          "present d/e/f, present d/hard");
    CHECK(changes_between(tree, with(3, {.name = "d/hard", .content = "f"})) ==
          "present d/e/f, present d/hard");
    CHECK(changes_between(with(3, {.name = "d/hard", .content = "f"}), tree) ==
          "present d/e/f, present d/hard");
    CHECK(changes_between(without(3, 1), tree) == "present d/e/f, present d/hard");
    CHECK(changes_between(tree, without(3, 1)) == "gone d/hard");
}

TEST_CASE("a directory comes before what is in it, and that before its neighbours") {
    const TreeOrder before;
    for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
             {"", "a"}, {"a", "a/b"}, {"a/b", "a.b"}, {"a/z", "a b"}, {"a", "b"}, {"z", "\xff"}}) {
        CAPTURE(a, b);
        CHECK(before(a, b));
        CHECK_FALSE(before(b, a));
        CHECK_FALSE(before(a, a));
    }
}

TEST_CASE("no time of a layer is later than it should be") {
    struct stat info{};
    info.st_mtim.tv_sec = 2000;
    CHECK(Clamp{}.seconds(info) == 2000);
    CHECK(Clamp{.latest = 1000}.seconds(info) == 1000);
    CHECK(Clamp{.latest = 3000}.seconds(info) == 2000);
    info.st_mtim.tv_sec = -5;
    CHECK(Clamp{.latest = 0}.seconds(info) == -5);
}
