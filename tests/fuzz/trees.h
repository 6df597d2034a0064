// Trees of layers and their indexes, for several targets.
#pragma once

#include <sys/mman.h>

#include "base/sys.h"
#include "image/layer/erofs_reader.h"
#include "image/layer/erofs_writer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/image/layer_stack.h"

inline FileTree read_index(const std::string& bytes) {
    return read_erofs(std::as_bytes(std::span(bytes)));
}

// "" for a tree that an index cannot say.
inline std::string written(const FileTree& tree) {
    const UniqueFd file(check(::memfd_create("index", MFD_CLOEXEC), "memfd_create"));
    const auto size = write_erofs(tree, file.get());
    expect(size || !size.error().empty(), "what cannot be said is named");
    if (!size) return "";
    check(::lseek(file.get(), 0, SEEK_SET), "seek");
    std::string bytes = sys::read_all(file.get());
    expect(bytes.size() == *size, "an index has the size that is given");
    return bytes;
}

// What keg writes keg reads, and it is the same tree.
inline FileTree read_again(const std::string& index) {
    FileTree again;
    expect(is_taken([&] { again = read_index(index); }), "an index that keg has written is read");
    expect(written(again) == index, "an index that was read is written as the same bytes");
    return again;
}

// Tars with a bit of everything, each for itself.
inline std::vector<std::string> sample_tars() {
    const std::string long_name(300, 'n');
    const std::string old_map = octal(1024, 11) + '\0' + octal(512, 11) + '\0';
    std::string old_sparse = old_map;
    old_sparse.resize(24 * 4 + 1);
    old_sparse += octal(2048, 11);
    std::string new_map = "1\n1024\n512\n";
    new_map.resize(512);
    std::vector<std::string> tars{
        raw_tar({{.name = "v7", .type = '\0', .data = "x", .magic = std::string(8, '\0')},
                 {.name = "f", .data = std::string(700, 'x'), .prefix = "d/e"},
                 {.name = "null", .type = '3', .major = 1, .minor = 3},
                 {.name = "l", .type = '2', .link = "d/e/f"},
                 {.name = "h", .type = '1', .link = "d/e/f"}}),
        raw_tar(
            {{.name = "././@LongLink", .type = 'L', .data = long_name + '\0', .magic = gnu_magic},
             {.name = "short", .data = "x", .uid = "\x80\0\0\0\0\1\2", .magic = gnu_magic}}),
        raw_tar({pax({{"comment", "of all"}, {"mtime", "-5.25"}}, 'g'),
                 pax({{"path", long_name}, {"uid", "70000"}, {"mtime", "1.5"}, {"size", "3"}}),
                 {.name = "short", .data = "abc"}}),
        raw_tar({pax({{xattr_record("user.a"), std::string(100, 'v')},
                      {"LIBARCHIVE.xattr.user.%62", "dmFsdWU="}}),
                 {.name = "x"},
                 {.name = "d/.wh.gone"},
                 {.name = "d/.wh..wh..opq"}}),
        raw_tar({{.name = "old",
                  .type = 'S',
                  .data = std::string(512, 'x'),
                  .magic = gnu_magic,
                  .sparse = old_sparse}}),
        raw_tar({pax({{"GNU.sparse.major", "1"},
                      {"GNU.sparse.minor", "0"},
                      {"GNU.sparse.name", "new"},
                      {"GNU.sparse.realsize", "2048"}}),
                 {.name = "GNUSparseFile.0/new", .data = new_map + std::string(512, 'x')}}),
        raw_tar({pax({{"GNU.sparse.size", "8192"}, {"GNU.sparse.map", "4096,4096"}}),
                 {.name = "holes", .data = std::string(4096, 'y')}})};
    for (unsigned seed = 1; seed <= 20; ++seed) {
        Damage chance(seed);
        for (std::string& layer : random_stack(chance)) tars.push_back(std::move(layer));
    }
    return tars;
}
