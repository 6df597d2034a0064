// Layers as strangers may have made them: applied for real to a directory, which needs root.
#include "image/layer/diff.h"
#include "image/layer/rules.h"
#include "tests/unit/image/layer_place.h"

TEST_CASE("no entry of a layer reaches outside the root") {
    if (!is_root()) return;
    const std::vector<Item> cases[] = {
        {{"../new"}},
        {{"/../../new"}},
        {{"a/../../outside/new"}},
        {{"link", 'l', "../outside"}, {"link/new"}},
        {{"link", 'l', "../outside"}, {"link/secret", 'f', "changed"}},
        {{"link", 'l', "../outside/secret"}, {"link", 'f', "changed"}},
        {{"link", 'l', "../outside"}, {"link/.wh.secret"}},
        {{"link", 'l', "../outside"}, {"link/.wh..wh..opq"}},
        {{"hard", 'h', "../outside/secret"}, {"hard", 'f', "changed"}},
        {{"link", 'l', "../outside"}, {"hard", 'h', "link/secret"}},
        {{".wh...", 'f'}},
        {{"d", 'd'}, {"d/.wh..", 'f'}},
    };
    for (size_t i = 0; i < std::size(cases); ++i) {
        CAPTURE(i);
        const Place place;
        try {
            place.apply(cases[i]);
        } catch (const Error&) {  // refused is as good
        }
        CHECK(place.outside_is_untouched());
    }
}

TEST_CASE("a whiteout hides what is below its layer and nothing of it") {
    if (!is_root()) return;
    const Place place;
    place.apply(std::vector<Item>{
        {"d", 'd'}, {"d/old", 'f', "1"}, {"gone", 'f', "1"}, {"tree/x/y", 'f', "1"}});
    place.apply(std::vector<Item>{{"d/new", 'f', "2"},
                                  {"d/.wh..wh..opq"},
                                  {".wh.gone"},
                                  {".wh.tree"},
                                  {"kept", 'f', "2"},
                                  {".wh.kept"},
                                  {".wh.never"}});
    CHECK(place.read("d/old") == "(none)");
    CHECK(place.read("d/new") == "2");
    CHECK(place.read("gone") == "(none)");
    CHECK(place.read("tree/x/y") == "(none)");
    CHECK(place.read("kept") == "2");
}

TEST_CASE("an entry may replace one of another type") {
    if (!is_root()) return;
    const Place place;
    place.apply(std::vector<Item>{{"a/b", 'f', "1"}, {"f", 'f', "1"}, {"s", 'l', "a"}});
    place.apply(
        std::vector<Item>{{"a", 'f', "2"}, {"f/in", 'f', "2"}, {"s", 'd'}, {"s/in", 'f', "2"}});
    CHECK(place.read("a") == "2");
    CHECK(place.read("f/in") == "2");
    CHECK(place.read("s/in") == "2");
}

TEST_CASE("modes and times are those of the entries") {
    if (!is_root()) return;
    const Place place;
    place.apply(std::vector<Item>{
        {"d", 'd', {}, 0700}, {"d/suid", 'f', "x", 04755}, {"d/hard", 'h', "d/suid"}});
    struct stat info{};
    REQUIRE(::stat((place.root() + "/d/suid").c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 04755);
    CHECK(info.st_nlink == 2);
    REQUIRE(::stat((place.root() + "/d").c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0700);
    CHECK(info.st_mtime == 1000);
}

TEST_CASE("a damaged layer is an error, trailing bytes count for its diff ID") {
    if (!is_root()) return;
    const Place place;
    const std::string tar = make_tar({{"f", 'f', "x"}});
    CHECK(place.apply(tar).diff_id == digest_of(tar));
    CHECK(place.apply(tar + std::string(512, '\0')).diff_id ==
          digest_of(tar + std::string(512, '\0')));
    CHECK(place.apply(std::string(1024, '\0')).diff_id == digest_of(std::string(1024, '\0')));
    CHECK(place.apply(std::string()).diff_id == digest_of(""));
    CHECK_THROWS_AS(place.apply(tar.substr(0, 700)), Error);
    CHECK_THROWS_AS(place.apply(std::string("this is no tar at all, whatever its name says")),
                    Error);
    CHECK_THROWS_AS(place.apply(std::vector<Item>{{"dev", 'c'}}), Error);
}

TEST_CASE("the same tree gives the same layer, and applying it gives the tree") {
    if (!is_root()) return;
    const Place from, to;
    from.apply(std::vector<Item>{
        {"b", 'f', "2"}, {"a/z", 'f', "1"}, {"a/l", 'l', "z"}, {"hard", 'h', "b"}});
    std::string tar;
    const Diff diff = write_layer(from.root(), [&](std::string_view data) { tar += data; });
    CHECK(diff.entries == 5);
    std::string again;
    write_layer(from.root(), [&](std::string_view data) { again += data; });
    CHECK(tar == again);
    to.apply(tar);
    CHECK(to.read("a/l") == "1");
    CHECK(to.read("hard") == "2");
}

TEST_CASE("names in archives are cleaned, and stay in the root") {
    const struct {
        const char *name, *want;
    } cases[] = {
        {"./a//b/", "a/b"}, {"/a", "a"}, {"..", ""},
        {"a/../../b", "b"}, {".", ""},   {"a/./b", "a/b"},
    };
    for (const auto& [name, want] : cases) {
        CAPTURE(name);
        CHECK(clean_path(name) == want);
    }
}
