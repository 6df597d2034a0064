// Whose a file is must come back as it was, also from an attribute that anybody may have changed.
#include "image/layer/ownership.h"

#include <catch2/catch.hpp>

#include "base/error.h"

using Owner = Ownership::Owner;

static Owner owner_by_note(const std::string& note) {
    std::map<std::string, std::string> xattrs = {{"user.rootlesscontainers", note}};
    const Owner owner = Ownership{.rootless = true}.in_layer({}, xattrs);
    CHECK(xattrs.empty());
    return owner;
}

TEST_CASE("an owner who cannot be set is read again from his note") {
    const Ownership rootless{.rootless = true};
    CHECK_FALSE(rootless.note_of({0, 0}));
    for (const Owner& owner :
         {Owner{1, 0}, Owner{0, 1}, Owner{127, 128}, Owner{65534, 4294967294}}) {
        const auto note = rootless.note_of(owner);
        REQUIRE(note);
        CHECK(note->first == "user.rootlesscontainers");
        CHECK(owner_by_note(note->second) == owner);
    }
}

TEST_CASE("a note that is none makes a file root's") {
    for (const std::string& note :
         {std::string("x"), std::string("\x08"), std::string("\x08\xff\xff\xff\xff\xff\xff"),
          std::string("\x08\xff\xff\xff\xff\x1f"), std::string("\x18\x01"),
          std::string(100'000, '\x80')})
        CHECK(owner_by_note(note) == Owner{0, 0});
}

TEST_CASE("maps of ids lead there and back, to their last id and not behind it") {
    const spec::IdMapping map = parse_id_mapping("1000:200000:10");
    const Ownership mapped{.uids = {parse_id_mapping("0:500"), map}, .gids = {map}};
    CHECK(mapped.on_host({0, 1009}) == Owner{500, 200009});
    CHECK_THROWS_AS(mapped.on_host({0, 1010}), Error);
    CHECK_THROWS_AS(mapped.on_host({999, 1000}), Error);
    struct stat info{};
    info.st_uid = 200000, info.st_gid = 200009;
    std::map<std::string, std::string> none;
    CHECK(mapped.in_layer(info, none) == Owner{1000, 1009});
    info.st_gid = 200010;
    CHECK_THROWS_AS(mapped.in_layer(info, none), Error);
}
