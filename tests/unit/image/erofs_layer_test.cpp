// EROFS images as layers: what keg writes it reads back as the layer that it was, others find
// nothing wrong with it, and of what is wrong with one nothing is believed.
#include "image/layer/erofs_layer.h"

#include <cstring>
#include <regex>

#include "image/layer/erofs_format.h"
#include "image/layer/layer_tree.h"
#include "tests/unit/image/erofs_place.h"
#include "tests/unit/linear.h"

namespace {

UniqueFd in_memory(std::string_view bytes) {
    UniqueFd file(check(::memfd_create("image", MFD_CLOEXEC), "memfd_create"));
    sys::write_all(file.get(), bytes);
    return file;
}

std::string image_of(const FileTree& tree, const Stack& tars) {
    const auto read = [&](uint32_t tar, uint64_t at, std::span<char> to) {
        REQUIRE(tars.at(tar).size() >= at + to.size());
        std::memcpy(to.data(), tars[tar].data() + at, to.size());
    };
    std::string bytes;
    write_erofs_image(tree, read, [&](std::string_view piece) { bytes += piece; });
    return bytes;
}

// The topmost layer as an image.
std::string image_of_top(const Stack& stack) {
    const Stack below(stack.begin(), stack.end() - 1);
    const FileTree before = tree_of(below);
    FileTree after = before;
    add_layer(after, stack.back(), digest_of(stack.back()).hex());
    return image_of(layer_tree(before, after), stack);
}

void add_image(FileTree& tree, const std::string& bytes) {
    const UniqueFd file = in_memory(bytes);
    ErofsLayer image(file.get());
    tree.begin_layer("image");
    while (const TarEntry* entry = image.next()) tree.add(*entry);
    tree.end_layer(bytes.size());
}

// Links to files of lower layers are none in an image.
Listing without_links(Listing listing) {
    static const std::regex links(" as [^ ]*| links [0-9]+");
    for (auto& [path, line] : listing.lines) line = std::regex_replace(line, links, "");
    return listing;
}

std::string fsck(const std::string& bytes) { return IndexFiles(bytes, {}).fault(); }

// Names, and contents where there are some.
std::string text_of(const std::string& bytes) {
    const UniqueFd file = in_memory(bytes);
    ErofsLayer image(file.get());
    std::string text;
    while (const TarEntry* entry = image.next()) {
        text += entry->name;
        if (entry->type == TarEntry::Type::hard_link) text += str(" is ", entry->target);
        if (entry->type == TarEntry::Type::symlink) text += str(" -> ", entry->target);
        std::string content;
        while (const auto block = image.read()) {
            content.resize(block->offset, '.');
            content += block->data;
        }
        if (!content.empty()) text += str(" ", listing::content_text(content));
        text += '\n';
    }
    return text;
}

// An image with a bit of everything, and hands to change it by.
struct Image {
    std::string bytes;

    Image() {
        FileTree tree;
        const std::string tar =
            raw_tar({{.name = "d/sub/", .type = '5'},
                     {.name = "d/file", .data = std::string(5000, 'x')},
                     pax({{"GNU.sparse.size", "32768"}, {"GNU.sparse.map", "8192,4096"}}),
                     {.name = "holes", .data = std::string(4096, 'y')},
                     {.name = "l", .type = '2', .link = "d/file"},
                     {.name = "null", .type = '3', .major = 1, .minor = 3},
                     {.name = "other", .type = '1', .link = "d/file"},
                     pax({{xattr_record("user.a"), std::string(100, 'v')}}),
                     {.name = "x1"},
                     pax({{xattr_record("user.a"), std::string(100, 'v')}}),
                     {.name = "x2", .data = "short"}});
        add_layer(tree, tar, "tag");
        tree.name(FileTree::root, "gone", tree.make({.mode = S_IFCHR}));
        bytes = image_of(tree, {tar});
        change<erofs::Superblock>(1024, [](auto& super) { super.compatible = 0; });  // no checksum
    }
    template <class Part>
    void change(uint64_t position, const std::function<void(Part&)>& by) {
        Part part;
        std::memcpy(&part, bytes.data() + position, sizeof part);
        by(part);
        std::memcpy(bytes.data() + position, &part, sizeof part);
    }
    void change_super(const std::function<void(erofs::Superblock&)>& by) { change(1024, by); }
    // The first with this mode and size.
    void change_inode(uint32_t mode, uint64_t size, const std::function<void(erofs::Inode&)>& by) {
        for (uint64_t at = 1152; at < 8192; at += 32) {
            erofs::Inode inode;
            std::memcpy(&inode, bytes.data() + at, sizeof inode);
            if (inode.format % 2 == 1 && inode.mode == mode && inode.size == size)
                return change(at, by);
        }
        FAIL("no such inode");
    }
    std::string fault() const {
        return error_of([&] { text_of(bytes); });
    }
};

}  // namespace

TEST_CASE("an image of what a layer changes is that layer, on the layers below") {
    unsigned same = 0;
    for (unsigned seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        Damage damage(seed);
        const Stack stack = random_stack(damage);
        FileTree wanted;
        if (!error_of([&] { wanted = tree_of(stack); }).empty()) continue;
        ++same;
        const std::string image = image_of_top(stack);
        CHECK(image_of_top(stack) == image);
        Stack with_image(stack.begin(), stack.end() - 1);
        FileTree tree = tree_of(with_image);
        add_image(tree, image);
        with_image.push_back(image);
        const Listing is = without_links(listing_of(tree, with_image)),
                      should_be = without_links(listing_of(wanted, stack));
        CHECK(difference(is, should_be) == "");
        CHECK(difference(should_be, is) == "");
        CHECK(difference_of_times(is, should_be, std::numeric_limits<time_t>::max()) == "");
        if (seed % 10 == 0) CHECK(fsck(image) == "");
    }
    CHECK(same > 50);
}

TEST_CASE("an index over an image is what the image is") {
    const Image image;
    FileTree tree;
    add_image(tree, image.bytes);
    CHECK(difference_of_mounted(tree, {image.bytes}) == "");
}

TEST_CASE("an image's entries come in the order that a layer needs") {
    CHECK(text_of(Image().bytes) ==
          str("./\n.wh.gone\nd\nd/file ", listing::content_text(std::string(5000, 'x')),
              "\nd/sub\nholes ",
              listing::content_text(std::string(8192, '.') + std::string(4096, 'y')),
              "\nl -> d/file\nnull\nother is d/file\nx1\nx2 \"short\"\n"));
}

TEST_CASE("a file in an image keeps its holes, but for what shares a block with something") {
    const std::string tar = raw_tar({pax({{"GNU.sparse.size", "1048576"},
                                          {"GNU.sparse.map", "512,512,524288,1024,1047552,1024"}}),
                                     {.name = "holes", .data = std::string(2560, 'y')}});
    FileTree tree;
    add_layer(tree, tar);
    const std::string image = image_of(tree, {tar});
    CHECK(image.size() < 30'000);
    CHECK(fsck(image) == "");
    FileTree again;
    add_image(again, image);
    CHECK(difference(listing_of(again, {image}), listing_of(tree, {tar})) == "");
}

TEST_CASE("what is wrong with an image is said") {
    const struct {
        std::string words;
        std::function<void(Image&)> change;
    } cases[] = {
        {"EROFS image: it is none", [](Image& image) { image.bytes[0] = 'x'; }},
        {"EROFS image: it is none",
         [](Image& image) { image.change_super([](auto& super) { super.magic = 1; }); }},
        {"it is compressed",
         [](Image& image) { image.change_super([](auto& super) { super.incompatible |= 2; }); }},
        {"the contents of its files are in other images",
         [](Image& image) { image.change_super([](auto& super) { super.incompatible |= 8; }); }},
        {"it has 1 devices, and says otherwise",
         [](Image& image) { image.change_super([](auto& super) { super.devices = 1; }); }},
        {"it has features that are not known: 64",
         [](Image& image) { image.change_super([](auto& super) { super.incompatible |= 64; }); }},
        {"its superblock has another checksum",
         [](Image& image) { image.change_super([](auto& super) { super.compatible = 1; }); }},
        {"bytes, but 1000 blocks",
         [](Image& image) { image.change_super([](auto& super) { super.blocks = 1000; }); }},
        {"its content is not there",
         [](Image& image) {
             image.change_inode(0100644, 5000, [](auto& inode) { inode.block = 1000; });
         }},
        {"its content is not there",
         [](Image& image) {
             image.change_inode(0100644, 5, [](auto& inode) { inode.size = uint64_t(1) << 40; });
         }},
        {"it is compressed",
         [](Image& image) {
             image.change_inode(0100644, 5, [](auto& inode) { inode.format = 1 | 3 << 1; });
         }},
    };
    for (const auto& [words, change] : cases) {
        CAPTURE(words);
        Image image;
        change(image);
        CHECK_THAT(image.fault(), ContainsSubstring(words));
    }
}

TEST_CASE("what a layer cannot have is refused in an image") {
    const struct {
        const char *name, *words;
        uint32_t mode;
    } cases[] = {{"s", "\"s\": a socket cannot be in a layer", S_IFSOCK | 0644},
                 {".wh.x", "\".wh.x\": a name that begins so is a mark", S_IFREG | 0644},
                 {".wh..wh..opq", "a name that begins so is a mark", S_IFREG | 0644}};
    for (const auto& [name, words, mode] : cases) {
        FileTree tree;
        tree.name(FileTree::root, name, tree.make({.mode = mode}));
        CHECK_THAT(error_of([&] { text_of(image_of(tree, {})); }), ContainsSubstring(words));
    }
}

TEST_CASE("what overlayfs would make another thing of a file is refused") {
    for (const char* name : {"redirect", "metacopy", "whiteout"})
        for (const char* space : {"trusted.", "user."}) {
            FileTree tree;
            const uint32_t set =
                tree.attribute_set({tree.attribute_number(str(space, "overlay.", name), "/d")});
            tree.name(FileTree::root, "f", tree.make({.mode = S_IFREG | 0644, .attributes = set}));
            CHECK_THAT(
                error_of([&] { text_of(image_of(tree, {})); }),
                ContainsSubstring(str("EROFS image: \"f\": it has the attribute \"", space)));
        }
}

TEST_CASE("an opaque directory hides what is below it, and its origin says nothing") {
    FileTree tree;
    const uint32_t set = tree.attribute_set({tree.attribute_number("trusted.overlay.opaque", "y"),
                                             tree.attribute_number("trusted.overlay.origin", "")});
    const FileTree::Id directory = tree.make({.mode = S_IFDIR | 0755, .attributes = set});
    tree.name(FileTree::root, "d", directory);
    tree.name(directory, "new", tree.make({.mode = S_IFREG | 0644}));
    FileTree stacked = tree_of({raw_tar({{.name = "d/", .type = '5'}, {.name = "d/old"}})});
    add_image(stacked, image_of(tree, {}));
    CHECK(stacked.look_up("d/new"));
    CHECK(!stacked.look_up("d/old"));
    CHECK(stacked.attributes(stacked.file(*stacked.look_up("d"))).empty());
}

TEST_CASE("no byte of an image is believed") {
    const Image original;
    const size_t names = 8192;  // what is not content
    const auto take = [](const std::string& bytes) {
        try {
            text_of(bytes);
        } catch (const Error& e) {
            if (!std::string_view(e.what()).starts_with("EROFS image: ")) FAIL(e.what());
        }
    };
    for (size_t at = 1024; at < std::min(names, original.bytes.size()); ++at) {
        CAPTURE(at);
        std::string bytes = original.bytes;
        for (const int value : {0, 1, 2, 0x7f, 0x80, 0xff, uint8_t(bytes[at]) ^ 0x40}) {
            bytes[at] = char(value);
            take(bytes);
        }
    }
    for (size_t size = 0; size < original.bytes.size(); size += 97)
        take(original.bytes.substr(0, size));
    each_damaged(
        2000,
        [&](Damage& damage) {
            std::string bytes = original.bytes;
            for (size_t times = 2 + damage.below(4); times > 0; --times)
                bytes[1024 + damage.below(names - 1024)] = char(damage.below(256));
            return bytes;
        },
        take);
}

TEST_CASE("files that share their bytes hold no more than eight times the image") {
    FileTree tree;
    const std::string tar = raw_tar({{.name = "big", .data = std::string(100'000, 'x')}});
    add_layer(tree, tar);
    const FileTree::File big = tree.file(*tree.look_up("big"));
    FileTree::File shared = big;
    shared.links = 0, shared.size = 1;
    for (int i = 0; i < 20; ++i) tree.name(FileTree::root, str("small", i), tree.make(shared));
    Image image;
    image.bytes = image_of(tree, {tar});
    image.change_super([](auto& super) { super.compatible = 0; });
    const auto block_of_big = [&] {
        uint32_t block = 0;
        image.change_inode(0100644, 100'000, [&](auto& inode) { block = inode.block; });
        return block;
    }();
    for (int i = 0; i < 20; ++i)
        image.change_inode(0100644, 1,
                           [&](auto& inode) { inode.size = 99'000, inode.block = block_of_big; });
    CHECK_THAT(image.fault(), ContainsSubstring("more than 8 times what is there"));
}

TEST_CASE("an image is written and read in time in proportion to its tree") {
    const auto make = [](size_t n) {
        std::vector<Raw> entries;
        for (size_t i = 0; i < n; ++i) {
            entries.push_back(pax({{xattr_record("user.x"), std::string(20, 'x')}}));
            entries.push_back({.name = str("d/f", i)});
            entries.push_back({.name = str("e", i, "/"), .type = '5'});
            entries.push_back({.name = str("l", i), .type = '1', .link = "d/f0"});
        }
        return Stack{raw_tar(entries)};
    };
    CHECK(linear::problem(200, make, [](const Stack& stack) { image_of_top(stack); }) == "");
    CHECK(linear::problem(
              200, [&](size_t n) { return image_of_top(make(n)); },
              [](const std::string& image) { text_of(image); }) == "");
}
