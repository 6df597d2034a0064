// What a layer or an archive says again and again costs no more than its length. See
// tests/unit/linear.h.
#include "tests/unit/linear.h"

#include <cstring>

#include "base/root.h"
#include "image/layer/path_set.h"
#include "image/store.h"
#include "tests/unit/image/layer_place.h"
#include "tests/unit/image/raw_tar.h"
#include "tests/unit/scratch.h"

namespace {

// A tar header and no content: '0' a file, '5' a directory, '1' a hard link.
std::string entry(const std::string& name, char type = '0', const std::string& target = {}) {
    char h[512] = {};
    ::snprintf(h, 100, "%s", name.c_str());
    ::snprintf(h + 100, 8, "%07o", type == '5' ? 0755 : 0644);
    for (const int at : {108, 116}) ::snprintf(h + at, 8, "%07o", 0);
    for (const int at : {124, 136}) ::snprintf(h + at, 12, "%011o", 0);
    h[156] = type;
    ::snprintf(h + 157, 100, "%s", target.c_str());
    std::memcpy(h + 257, "ustar\00000", 8);
    std::memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (const char c : h) sum += static_cast<unsigned char>(c);
    ::snprintf(h + 148, 8, "%06o", sum);
    return {h, sizeof h};
}

template <class Each>
std::string entries(size_t n, Each each) {
    std::string out;
    for (size_t i = 0; i < n; ++i) out += each(std::to_string(i));
    return out;
}

struct Layers {
    std::string lower, upper;
};

}  // namespace

TEST_CASE("a layer costs time in proportion to its length") {
    if (!is_root()) return;
    struct {
        const char* name;
        Layers (*make)(size_t n);
    } cases[] = {
        {"an opaque mark again and again, over as many files",
         [](size_t n) -> Layers {
             return {entry("d", '5') + entries(n, [](auto i) { return entry("d/f" + i); }),
                     entries(n, [](auto) { return entry("d/.wh..wh..opq"); })};
         }},
        {"an opaque mark again and again, in a directory that the layer itself fills",
         [](size_t n) -> Layers {
             return {"", entry("d", '5') + entries(n, [](auto i) {
                             return entry("d/f" + i) + entry("d/.wh..wh..opq");
                         })};
         }},
        {"a directory hidden again and again that the layer itself fills, over another",
         [](size_t n) -> Layers {
             return {entry("d", '5'),
                     entries(n, [](auto i) { return entry("d/f" + i) + entry(".wh.d"); })};
         }},
        {"as many files hidden",
         [](size_t n) -> Layers {
             return {entries(n, [](auto i) { return entry("f" + i); }),
                     entries(n, [](auto i) { return entry(".wh.f" + i); })};
         }},
        {"hard links, each to the one before",
         [](size_t n) -> Layers {
             return {entry("f"), entry("l0", '1', "f") + entries(n, [](auto i) {
                                     return entry("l" + std::to_string(std::stoul(i) + 1), '1',
                                                  "l" + i);
                                 })};
         }},
    };
    for (const auto& [name, make] : cases) {
        INFO(name);
        CHECK(
            linear::problem(200, make, [](const Layers& layers) {
                const Place place(
                    "/dev/shm");  // a disk's own time would count: ext4 looks long for a free inode
                const std::string end(1024, '\0');
                place.apply(layers.lower + end);
                place.apply(layers.upper + end);
            }) == "");
    }
}

TEST_CASE("a deep path is made in time in proportion to its depth") {
    const auto make = [](size_t n) {
        std::vector<std::string> paths;
        for (int i = 0; i < 4; ++i) paths.push_back(std::to_string(i) + linear::repeated("/d", n));
        return paths;
    };
    CHECK(linear::problem(100, make, [](const std::vector<std::string>& paths) {
              const Scratch scratch("/dev/shm");
              const Root root(scratch.path);
              for (const std::string& path : paths) root.make_directories(path);
          }) == "");
    CHECK(linear::problem(100, make, [](const std::vector<std::string>& paths) {
              PathSet set;
              for (const std::string& path : paths) set.insert(path);
          }) == "");
}

TEST_CASE("the directories that a layer leaves out cost time in proportion to their depth") {
    if (!is_root()) return;
    const auto make = [](size_t n) {
        std::vector<Raw> entries;
        for (int i = 0; i < 20; ++i) {
            entries.push_back(pax({{"path", std::to_string(i) + linear::repeated("/d", n)}}));
            entries.push_back({.name = "f"});
        }
        return raw_tar(entries);
    };
    CHECK(linear::problem(100, make, [](const std::string& tar) {
              const Place place("/dev/shm");
              place.apply(tar);
          }) == "");
}

TEST_CASE("names are given in time in proportion to their number") {
    const auto make = [](size_t n) {
        std::vector<Reference> names;
        for (size_t i = 0; i < n; ++i)
            names.push_back(parse_reference("image:" + std::to_string(i)));
        return names;
    };
    CHECK(linear::problem(200, make, [](const std::vector<Reference>& names) {
              const Scratch scratch;
              const Store store(scratch.path + "/store");
              const spec::Descriptor manifest = store.put_blob("{}", spec::media::manifest);
              std::vector<Naming> namings;
              for (const Reference& name : names) namings.push_back({manifest, name});
              store.tag(namings);
              store.tag(namings);
          }) == "");
}

TEST_CASE("a name among many costs time in proportion to their number, and no more") {
    const auto make = [](size_t n) {
        auto scratch = std::make_unique<Scratch>();
        const Store store(scratch->path + "/store");
        const spec::Descriptor manifest = store.put_blob("{}", spec::media::manifest);
        std::vector<Naming> namings;
        for (size_t i = 0; i < n; ++i)
            namings.push_back({manifest, parse_reference("image:" + std::to_string(i))});
        store.tag(namings);
        return scratch;
    };
    CHECK(linear::problem(200, make, [](const std::unique_ptr<Scratch>& scratch) {
              const Store store(scratch->path + "/store");
              const spec::Descriptor manifest = store.get("image:7").descriptor;
              store.tag(manifest, parse_reference("new"));
              CHECK(store.names_of(manifest).size() > 200);
              store.untag(parse_reference("new"));
              CHECK(!store.find("nobody"));
          }) == "");
}

TEST_CASE("paths share what is above them") {
    PathSet set;
    set.insert("a/b/c");
    set.insert("a/d");
    for (const char* there : {"a", "a/b", "a/b/c", "a/d"}) CHECK(set.contains(there));
    for (const char* absent : {"b", "b/c", "a/c", "a/b/d", "a/b/c/d", "d"})
        CHECK_FALSE(set.contains(absent));
}
