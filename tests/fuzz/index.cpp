// Indexes that a stranger wrote. Their checksum, which no fuzzer would hit, is left out.
#include "image/layer/erofs_format.h"
#include "tests/fuzz/trees.h"

void take(std::string_view input) {
    std::string index(input);
    constexpr size_t features = erofs::superblock_at + offsetof(erofs::Superblock, compatible);
    if (index.size() > features) index[features] = char(index[features] & ~erofs::has_checksum);
    const FileTree tree = read_index(index);
    if (const std::string own = written(tree); !own.empty()) read_again(own);
}

std::vector<std::string> seeds() {
    std::vector<std::string> all;
    for (const std::string& tar : sample_tars())
        is_taken([&] {
            FileTree tree;
            add_layer(tree, tar);
            if (std::string index = written(tree); !index.empty()) all.push_back(std::move(index));
        });
    return all;
}
