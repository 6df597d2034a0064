// Indexes read back, keg's own and hostile ones.
#include "image/layer/erofs_reader.h"

#include <cstring>

#include "image/layer/erofs_format.h"
#include "tests/unit/image/erofs_place.h"
#include "tests/unit/linear.h"

namespace {

FileTree read_index(const std::string& bytes) {
    return read_erofs(std::as_bytes(std::span(bytes)));
}

std::optional<FileTree> random_tree(unsigned seed, Stack& stack) {
    Damage damage(seed);
    stack = random_stack(damage);
    FileTree tree;
    if (!error_of([&] { tree = tree_of(stack); }).empty()) return {};
    return tree;
}

// An index with a bit of everything, and hands to change it by.
struct Index {
    std::string bytes;

    Index()
        : Index(raw_tar({{.name = "d/sub/", .type = '5'},
                         {.name = "d/file", .data = std::string(700, 'x')},
                         {.name = "e/", .type = '5'},
                         pax({{"GNU.sparse.size", "8192"}, {"GNU.sparse.map", "4096,4096"}}),
                         {.name = "holes", .data = std::string(4096, 'y')},
                         {.name = "l", .type = '2', .link = "d/file"},
                         {.name = "long", .type = '2', .link = std::string(90, 't')},
                         {.name = "null", .type = '3', .major = 1, .minor = 3},
                         {.name = "other", .type = '1', .link = "d/file"},
                         pax({{xattr_record("user.a"), std::string(100, 'v')},
                              {xattr_record("user.b"), "w"}}),
                         {.name = "x1"},
                         pax({{xattr_record("user.a"), std::string(100, 'v')}}),
                         {.name = "x2"}})) {}
    explicit Index(const std::string& tar) : bytes(index_of(tree_of({tar}))) {
        change<erofs::Superblock>(1024, [](auto& super) { super.compatible = 0; });  // no checksum
    }

    template <class Part>
    Part at(uint64_t position) const {
        Part part;
        std::memcpy(&part, bytes.data() + position, sizeof part);
        return part;
    }
    template <class Part>
    void change(uint64_t position, const std::function<void(Part&)>& by) {
        Part part = at<Part>(position);
        by(part);
        std::memcpy(bytes.data() + position, &part, sizeof part);
    }
    uint64_t root() const { return at<erofs::Superblock>(1024).root * 32; }
    // Of a directory whose entries lie behind its inode.
    uint64_t entry(const std::string& name, uint64_t directory) const {
        const uint64_t begin = directory + 64;
        const auto size = at<erofs::Inode>(directory).size;
        const size_t count = at<erofs::DirectoryEntry>(begin).name_at / 12;
        for (size_t i = 0; i < count; ++i) {
            const uint64_t here = begin + 12 * i, name_at = at<erofs::DirectoryEntry>(here).name_at;
            const uint64_t end =
                i + 1 < count ? at<erofs::DirectoryEntry>(here + 12).name_at : size;
            if (bytes.substr(begin + name_at, end - name_at) == name) return here;
        }
        throw Error("no entry ", name);
    }
    uint64_t inode(const std::string& path) const {
        uint64_t here = root();
        for (const std::string& part : split(path, '/'))
            here = at<erofs::DirectoryEntry>(entry(part, here)).inode * 32;
        return here;
    }
    void change_inode(const std::string& path, const std::function<void(erofs::Inode&)>& by) {
        change<erofs::Inode>(path.empty() ? root() : inode(path), by);
    }
    void change_entry(const std::string& directory, const std::string& name,
                      const std::function<void(erofs::DirectoryEntry&)>& by) {
        change<erofs::DirectoryEntry>(entry(name, directory.empty() ? root() : inode(directory)),
                                      by);
    }
    void change_super(const std::function<void(erofs::Superblock&)>& by) { change(1024, by); }
    std::string fault() const {
        return error_of([&] { read_index(bytes); });
    }
};

}  // namespace

TEST_CASE("an index read back is its tree, and written again the same bytes") {
    unsigned same = 0;
    for (unsigned seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        Stack stack;
        const auto tree = random_tree(seed, stack);
        if (!tree) continue;
        ++same;
        const std::string index = index_of(*tree);
        const FileTree again = read_index(index);
        CHECK(difference(listing_of(again, stack), listing_of(*tree, stack)) == "");
        CHECK(index_of(again) == index);
    }
    CHECK(same > 50);
}

TEST_CASE("a layer goes on top of an index as it goes on top of the layers below") {
    for (unsigned seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        Stack stack;
        const auto tree = random_tree(seed, stack);
        if (!tree || stack.size() < 2) continue;
        const std::string top = stack.back();
        Stack below = stack;
        below.pop_back();
        FileTree stacked = read_index(index_of(tree_of(below)));
        add_layer(stacked, top, tree->tars().back().tag);
        CHECK(difference(listing_of(stacked, stack), listing_of(*tree, stack)) == "");
        CHECK(index_of(stacked) == index_of(*tree));
    }
}

TEST_CASE("what is wrong with an index is said, and where") {
    const Index good;
    REQUIRE(good.fault() == "");
    const auto words = [&](const std::string& path) {
        return str("EROFS index: inode ", (path.empty() ? good.root() : good.inode(path)) / 32,
                   ": ");
    };
    using erofs::Inode, erofs::Superblock, erofs::DirectoryEntry;
    const auto with_super = [](const std::function<void(Superblock&)>& by) {
        return [by](Index& index) { index.change_super(by); };
    };
    const auto with_inode = [](const char* path, const std::function<void(Inode&)>& by) {
        return [path, by](Index& index) { index.change_inode(path, by); };
    };
    const auto with_entry = [](const char* directory, const char* name,
                               const std::function<void(DirectoryEntry&)>& by) {
        return [=](Index& index) { index.change_entry(directory, name, by); };
    };
    const struct {
        std::string words;
        std::function<void(Index&)> change;
    } cases[] = {
        {"EROFS index: it is none", with_super([](auto& super) { super.magic = 1; })},
        {"EROFS index: it is too short", [](Index& index) { index.bytes.resize(1100); }},
        {"EROFS index: its superblock has another checksum",
         with_super([](auto& super) { super.compatible = 1; })},
        {"EROFS index: it has blocks of 2^16 bytes",
         with_super([](auto& super) { super.block_bits = 16; })},
        {"EROFS index: it is compressed", with_super([](auto& super) { super.incompatible |= 2; })},
        {"EROFS index: it has features that are not known: 64",
         with_super([](auto& super) { super.incompatible |= 64; })},
        {"EROFS index: it has 1 devices, and says otherwise",
         with_super([](auto& super) { super.incompatible = 0; })},
        {"EROFS index: its table of devices is not there",
         with_super([](auto& super) { super.device_slot = 60000; })},
        {str("EROFS index: it has ", good.bytes.size(), " bytes, but 100000 blocks"),
         with_super([](auto& super) { super.blocks = 100000; })},
        {"EROFS index: device 1 lies over another",
         [](Index& index) {
             index.change<erofs::Device>(1152, [](auto& device) { device.first_block = 1; });
         }},
        {words("l") + "the root is no directory",
         [](Index& index) {
             const uint64_t link = index.inode("l");
             index.change_super([&](auto& super) { super.root = uint16_t(link / 32); });
         }},
        {words("d") + "its entry \".\" leads elsewhere",
         with_entry("d", ".", [](auto& entry) { ++entry.inode; })},
        {words("d") + "its entry \"..\" leads elsewhere",
         with_entry("d", "..", [](auto& entry) { entry.inode += 2; })},
        {words("") + "its entry \"e\" is a second name of the directory " +
             str(good.inode("d") / 32),
         [](Index& index) {
             const uint64_t d = index.inode("d") / 32;
             index.change_entry("", "e", [&](auto& entry) { entry.inode = d; });
         }},
        {words("d") + "its entry \"sub\" is a second name of the directory " +
             str(good.root() / 32),
         [](Index& index) {
             const uint64_t root = index.root() / 32;
             index.change_entry("d", "sub", [&](auto& entry) { entry.inode = root; });
         }},
        {words("") + "its entry \"l\" is of another kind than its inode",
         with_entry("", "l", [](auto& entry) { entry.kind = 1; })},
        {"EROFS index: inode 4294967295: it is not there",
         with_entry("", "l", [](auto& entry) { entry.inode = 0xffffffff; })},
        {words("") + "its names are not where they should be",
         with_entry("", "l", [](auto& entry) { entry.name_at = 5000; })},
        {words("") + "its names are not where they should be",
         with_entry("", ".", [](auto& entry) { entry.name_at = 13; })},
        {words("") + "its entry \"a\" is out of order",
         [](Index& index) {
             const uint64_t at = index.entry("e", index.root());
             const auto name_at = index.at<DirectoryEntry>(at).name_at;
             index.bytes[index.root() + 64 + name_at] = 'a';
         }},
        {words("") + "it has the entry \"/\", which is no name",
         [](Index& index) {
             const uint64_t at = index.entry("e", index.root());
             index.bytes[index.root() + 64 + index.at<DirectoryEntry>(at).name_at] = '/';
         }},
        {words("d/file") + "it has 2 links, but says 3",
         with_inode("d/file", [](auto& inode) { inode.links = 3; })},
        {words("d") + "it has 3 links, but says 2",
         with_inode("d", [](auto& inode) { inode.links = 2; })},
        {words("d/file") + "its content lies in the index",
         with_inode("d/file", [](auto& inode) { inode.block = 0; })},
        {words("d/file") + "its content goes beyond its device",
         with_inode("d/file", [](auto& inode) { inode.size = 1 << 20; })},
        {words("d/file") + "its content goes beyond its device",
         with_inode("d/file", [](auto& inode) { inode.block = 1 << 20; })},
        {words("d/file") + "its size is not possible",
         with_inode("d/file", [](auto& inode) { inode.size = uint64_t(1) << 63; })},
        {words("d/file") + "it is compressed",
         with_inode("d/file", [](auto& inode) { inode.format = 1 | 3 << 1; })},
        {words("d/file") + "its form is not known",
         with_inode("d/file", [](auto& inode) { inode.format = 1 | 5 << 1; })},
        {words("d/file") + "its form is not known",
         with_inode("d/file", [](auto& inode) { inode.format |= 0x20; })},
        {words("d/file") + "its kind is not known",
         with_inode("d/file", [](auto& inode) { inode.mode = 0644; })},
        {words("d/file") + "its time is none",
         with_inode("d/file", [](auto& inode) { inode.nanoseconds = 1000000000; })},
        {words("d/file") + "its attributes have no size",
         with_inode("d/file", [](auto& inode) { inode.attribute_words = 1; })},
        {words("null") + "it is what overlayfs hides files by",
         with_inode("null", [](auto& inode) { inode.block = 0; })},
        {words("null") + "it has a content, but is a device or a pipe",
         with_inode("null", [](auto& inode) { inode.size = 1; })},
        {words("l") + "it is a link of 0 bytes",
         with_inode("l", [](auto& inode) { inode.size = 0; })},
        {words("l") + "it is a link of 4100 bytes",
         with_inode("l", [](auto& inode) { inode.size = 4100; })},
        {words("l") + "its last part is not in one block",
         with_inode("l", [](auto& inode) { inode.size = 511; })},
        {words("l") + "it is a link with a zero byte",
         [](Index& index) { index.bytes[index.inode("l") + 64 + 2] = '\0'; }},
        {words("e") + "its last part is not in one block",
         with_inode("e", [](auto& inode) { inode.size = 512; })},
        {words("e") + "it has no entry for itself or for its parent",
         with_inode("e", [](auto& inode) { inode.size = 0; })},
        {words("holes") + "its chunks are of an unknown form",
         with_inode("holes", [](auto& inode) { inode.block |= 0x40; })},
        {words("holes") + "its map of chunks is not all there",
         with_inode("holes", [](auto& inode) { inode.size = uint64_t(1) << 40; })},
        {words("holes") + "its content lies in no device",
         [](Index& index) {
             index.change<erofs::Chunk>(index.inode("holes") + 64 + 8,
                                        [](auto& chunk) { chunk.device = 7; });
         }},
        {words("holes") + "its content goes beyond its device",
         [](Index& index) {
             index.change<erofs::Chunk>(index.inode("holes") + 64 + 8,
                                        [](auto& chunk) { chunk.block = 10000; });
         }},
        {words("x1") + "it has the attribute \"trusted.overlay.x\", which no image may have",
         [](Index& index) {
             // Of the entry behind the one shared attribute.
             const uint64_t at = index.inode("x1") + 64 + 12 + 4;
             index.change_inode("x1", [](auto& inode) { inode.attribute_words += 2; });
             index.bytes.replace(at, 14, std::string("\x9\x4\0\0overlay.x\0", 14));
             index.bytes.replace(at + 14, 2, 2, '\0');
         }},
        {words("x2") + "a shared attribute is not there",
         [](Index& index) {
             index.change<uint32_t>(index.inode("x2") + 64 + 12,
                                    [](auto& word) { word = 1 << 20; });
         }},
        {words("x2") + "an attribute has a name of an unknown form",
         [](Index& index) { index.bytes[index.inode("x1") + 64 + 12 + 4 + 1] = 9; }},
    };
    for (const auto& [words_of_it, change] : cases) {
        CAPTURE(words_of_it);
        Index index;
        change(index);
        const std::string fault = index.fault();
        if (words_of_it.contains("unknown form"))  // whichever inode is looked at first
            CHECK_THAT(fault, ContainsSubstring("an attribute has a name of an unknown form") ||
                                  ContainsSubstring("chunks are of an unknown form"));
        else
            CHECK(fault == words_of_it);
    }
}

TEST_CASE("no byte of an index is believed") {
    Index original;
    const auto take = [](const std::string& bytes) {
        try {
            const FileTree tree = read_index(bytes);
            index_of(tree);
        } catch (const Error& e) {
            if (!std::string_view(e.what()).starts_with("EROFS index: ") &&
                !std::string_view(e.what()).starts_with("cannot be indexed"))
                FAIL(e.what());
        }
    };
    for (size_t at = 1024; at < original.bytes.size(); ++at) {
        CAPTURE(at);
        std::string bytes = original.bytes;
        for (const int value : {0, 1, 2, 0x7f, 0x80, 0xff, uint8_t(bytes[at]) + 1,
                                uint8_t(bytes[at]) - 1, uint8_t(bytes[at]) ^ 0x40}) {
            bytes[at] = char(value);
            take(bytes);
        }
    }
    for (size_t size = 0; size < original.bytes.size(); size += 37)
        take(original.bytes.substr(0, size));
    each_damaged(
        3000,
        [&](Damage& damage) {
            std::string bytes = original.bytes;
            for (size_t times = 2 + damage.below(4); times > 0; --times)
                bytes[1024 + damage.below(bytes.size() - 1024)] = char(damage.below(256));
            return bytes;
        },
        take);
}

TEST_CASE("an index is written and read in time in proportion to its tree") {
    const auto make = [](size_t n) {
        std::vector<Raw> entries;
        for (size_t i = 0; i < n; ++i) {
            entries.push_back(pax({{xattr_record("user.x"), std::string(20, 'x')},
                                   {xattr_record(str("user.", i)), "y"}}));
            entries.push_back({.name = str("d/f", i)});
            entries.push_back({.name = str("e", i, "/"), .type = '5'});
            entries.push_back({.name = str("l", i), .type = '1', .link = "d/f0"});
        }
        return tree_of({raw_tar(entries)});
    };
    CHECK(linear::problem(200, make, [](const FileTree& tree) { index_of(tree); }) == "");
    CHECK(linear::problem(
              200, [&](size_t n) { return index_of(make(n)); },
              [](const std::string& bytes) { read_index(bytes); }) == "");
}

TEST_CASE("what lies over each other in an index costs no more than its length") {
    std::vector<Raw> entries{pax({{xattr_record("user.x"), std::string(5000, 'v')}}),
                             {.name = "a"}};
    for (int i = 0; i < 100; ++i)
        entries.push_back({.name = str("d", i / 10, "/l", i % 10), .type = '2', .link = "x"});
    Index index(raw_tar(entries));
    const size_t blocks = (index.bytes.find(std::string(4000, 'v')) + 511) / 512;
    for (int i = 0; i < 100; ++i)
        index.change_inode(str("d", i / 10, "/l", i % 10), [&](auto& inode) {
            inode.format = 1, inode.size = 7 * 512, inode.block = uint32_t(blocks);
        });
    CHECK_THAT(index.fault(), ContainsSubstring("its content lies over something else"));
}
