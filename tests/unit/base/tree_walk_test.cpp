// Proves that nobody leads a walk out of its tree, whatever he does to it meanwhile: here the
// visitor does it, at the worst moment. And that depth costs no descriptors.
#include "base/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "tests/unit/catch.h"
#include "tests/unit/deep_tree.h"
#include "tests/unit/scratch.h"

namespace {

using Names = std::vector<std::string>;

// A tree "top" beside a directory "other" of somebody else's, and a walk that keeps a record.
struct Tree : Scratch {
    explicit Tree(const Names& names) {
        for (const char* directory : {"top", "other", "other/secret"}) make(str(directory, "/"));
        for (const std::string& name : names) make("top/" + name);
    }
    std::string at(const std::string& name) const { return path + "/" + name; }
    void make(const std::string& name) const {
        if (name.ends_with('/'))
            sys::mkdir(at(name), 0755);
        else
            write_file(at(name), "");
    }
    void move(const std::string& from, const std::string& to) const {
        sys::rename(at(from), at(to));
    }
    // Once, when `name` is met, or is entered ("name/").
    void on(const std::string& name, std::function<void()> act) {
        on_ = name, act_ = std::move(act);
    }
    void walk(bool goes_on = false) {
        const auto note = [&](Names& record, const TreePlace& place, const char* mark) {
            record.push_back(place.path());
            if (place.path() + mark == on_) on_.clear(), act_();
        };
        walk_tree(AT_FDCWD, at("top"),
                  {.meet =
                       [&, note](const TreePlace& place) {
                           note(met, place, "");
                           return true;
                       },
                   .enter = [&, note](const TreePlace& place) { note(entered, place, "/"); },
                   .leave =
                       [&](const TreePlace& place) {
                           left.push_back(place.path());
                           return false;
                       },
                   .goes_on = goes_on});
    }
    Names met, entered, left;

private:
    std::string on_ = "nothing";
    std::function<void()> act_;
};

}  // namespace

TEST_CASE("a directory is entered when the one it is in was read, and left when all in it was") {
    Tree tree({"a/", "a/b/", "a/b/file", "a/link"});
    tree.walk();
    CHECK(tree.entered == Names{"", "/a", "/a/b"});
    CHECK(tree.left == Names{"/a/b", "/a", ""});
    std::ranges::sort(tree.met);
    CHECK(tree.met == Names{"/a", "/a/b", "/a/b/file", "/a/link"});
}

TEST_CASE("a tree deeper than any path is walked with a fixed number of descriptors") {
    Tree tree({"d/"});
    make_chain(tree.at("top/d"), 3000);
    const FewDescriptors few;
    size_t entered = 0, left = 0;
    std::string shown;
    walk_tree(AT_FDCWD, tree.at("top"),
              {.meet = [](const TreePlace&) { return true; },
               .enter = [&](const TreePlace& place) { ++entered, shown = place.shown(); },
               .leave =
                   [&](const TreePlace& place) {
                       ++left;
                       return ::faccessat(place.parent, place.name, F_OK, 0) != 0;
                   }});
    CHECK(entered == 3002);
    CHECK(left == 3002);
    CHECK(shown.starts_with(tree.at("top/d/d/d")));
    CHECK(shown.ends_with("/d/.../d"));
    CHECK(shown.size() < 400);
}

TEST_CASE("a link in a tree is met and leads nowhere") {
    Tree tree({"a/"});
    check(::symlink("../../other", tree.at("top/a/link").c_str()), "symlink");
    tree.walk();
    CHECK(tree.met == Names{"/a", "/a/link"});
    CHECK(tree.entered == Names{"", "/a"});
}

TEST_CASE("what is gone, or no directory any more, when it is to be entered is passed over") {
    Tree tree({"a/", "a/gone/", "a/gone/x", "a/link/", "a/link/x", "a/file/", "a/file/x"});
    tree.on("/a/file", [&] {
        for (const char* name : {"gone", "link", "file"}) tree.move(str("top/a/", name), name);
        check(::symlink("../../other", tree.at("top/a/link").c_str()), "symlink");
        write_file(tree.at("top/a/file"), "");
    });
    tree.walk();
    CHECK(tree.entered == Names{"", "/a"});
    CHECK(tree.left == Names{"/a", ""});
}

TEST_CASE("who moves directories meanwhile leads a walk nowhere") {
    struct {
        const char* what;
        Names moves;  // from, to, …
        Names left;
    } cases[] = {
        {"where we are", {"top/a/b/c", "other/c"}, {"/a/b/c", "/a/b", "/a", ""}},
        {"one that we are below", {"top/a", "other/a"}, {"/a/b/c", "/a/b", "/a", ""}},
        {"both", {"top/a/b", "other/b", "other/b/c", "other/c"}, {"/a/b", "/a", ""}},
        {"the top, too", {"top/a/b/c", "other/c", "top", "other/top"}, {""}},
        {"another to its place",
         {"top/a", "other/a", "other/a/b/c", "c", "other", "top/a"},
         {"/a", ""}},
    };
    for (const auto& [what, moves, left] : cases) {
        CAPTURE(what);
        for (const bool goes_on : {false, true}) {
            Tree tree({"a/", "a/b/", "a/b/c/", "a/b/c/d/"});
            tree.on("/a/b/c/d/", [&] {
                for (size_t i = 0; i < moves.size(); i += 2) tree.move(moves[i], moves[i + 1]);
            });
            const std::string said = error_of([&] { tree.walk(goes_on); });
            CHECK(std::ranges::find_if(tree.met, [](const std::string& name) {
                      return name.ends_with("secret");
                  }) == tree.met.end());
            if (goes_on) {
                CHECK(said == "");
                Names all = left;
                all.insert(all.begin(), "/a/b/c/d");
                CHECK(tree.left == all);
            } else {
                CHECK_THAT(said, ContainsSubstring("was moved meanwhile"));
            }
        }
    }
}

TEST_CASE("a directory that is removed while a walk is in it stops nothing") {
    Tree tree({"a/", "a/b/", "a/b/c/", "z/"});
    tree.on("/a/b/c/", [&] { sys::remove_tree(tree.at("top/a")); });
    tree.walk(true);
    std::ranges::sort(tree.entered);
    CHECK(tree.entered == Names{"", "/a", "/a/b", "/a/b/c", "/z"});
    CHECK(tree.left.back() == "");
}

TEST_CASE("what fails keeps what is above it from being left, and the rest is walked") {
    Tree tree({"a/", "a/bad", "a/worse", "b/", "b/file"});
    Names left;
    const auto meet = [](const TreePlace& place) {
        if (place.path() == "/a/bad" || place.path() == "/a/worse") throw Error("no");
        return place.type == DT_DIR;
    };
    const auto leave = [&](const TreePlace& place) {
        left.push_back(place.path());
        return false;
    };
    CHECK_THROWS_WITH(
        walk_tree(AT_FDCWD, tree.at("top"), {.meet = meet, .leave = leave, .goes_on = true}),
        "no (and 1 more)");
    CHECK(left == Names{"/b"});
    CHECK_THROWS_WITH(walk_tree(AT_FDCWD, tree.at("top"), {.meet = meet, .leave = leave}), "no");
}

TEST_CASE("who adds to a directory meanwhile does not keep a walk that reads it first") {
    Tree tree({"file"});
    size_t met = 0;
    walk_tree(AT_FDCWD, tree.at("top"),
              {.meet =
                   [&](const TreePlace&) {
                       tree.make(str("top/file", ++met));
                       return false;
                   },
               .reads_first = true});
    CHECK(met == 1);
}

TEST_CASE("a directory is entered as often as who leaves it wants") {
    Tree tree({"a/"});
    std::vector<int> times;
    walk_tree(AT_FDCWD, tree.at("top"),
              {.meet = [](const TreePlace&) { return true; },
               .leave =
                   [&](const TreePlace& place) {
                       if (!place.is_top()) times.push_back(place.times);
                       return !place.is_top() && place.times < 3;
                   }});
    CHECK(times == std::vector<int>{1, 2, 3});
}

TEST_CASE("a tree that is not there has nothing to be walked") {
    walk_tree(AT_FDCWD, "/nowhere/at/all",
              {.meet = [](const TreePlace&) -> bool { throw Error(); }});
}
