// Archives, and what is made of them. That the next header lies behind a content, and that
// checksums must be right, is hard to find out for a fuzzer: so the checksums are set here.
#include "tests/fuzz/trees.h"

namespace {

// Of each block that may be a header.
void set_checksums(std::string& tar) {
    for (size_t at = 0; at + 512 <= tar.size(); at += 512) {
        if (tar[at + 148] == '\0' && tar[at] == '\0') continue;
        tar.replace(at + 148, 8, "        ");
        unsigned sum = 0;
        for (size_t i = 0; i < 512; ++i) sum += uint8_t(tar[at + i]);
        tar.replace(at + 148, 8, octal(sum, 6) + std::string("\0 ", 2));
    }
}

enum class Contents { read, left, skipped };

// All that is said of an archive that comes in such pieces, its end included.
std::string account_of(std::string_view tar, size_t piece, Contents contents) {
    const auto read = [&] {
        const std::string_view next = tar.substr(0, piece);
        tar.remove_prefix(next.size());
        return next;
    };
    const auto skip = [&](uint64_t count) {
        const bool is_there = count <= tar.size();
        tar.remove_prefix(size_t(std::min<uint64_t>(count, tar.size())));
        return is_there;
    };
    std::string account;
    try {
        TarStream stream = contents == Contents::skipped ? TarStream(read, skip) : TarStream(read);
        while (const TarEntry* entry = stream.next()) {
            account +=
                str(int(entry->type), " ", quoted(entry->name), " ", quoted(entry->target), " ",
                    entry->mode, " ", entry->uid, " ", entry->gid, " ", entry->modified.tv_sec, ".",
                    entry->modified.tv_nsec, " ", entry->size, " ", entry->data_at);
            for (const auto& [name, value] : entry->xattrs)
                account += str(" ", quoted(name), "=", quoted(value));
            uint64_t end = 0;
            if (entry->segments)
                for (const TarEntry::Segment& segment : *entry->segments) {
                    expect(segment.offset >= end && segment.size <= entry->size &&
                               segment.offset <= entry->size - segment.size,
                           "the pieces of a sparse file are ascending, and within its size");
                    end = segment.offset + segment.size;
                    account += str(" ", segment.offset, "+", segment.size);
                }
            account += "\n";
            if (contents != Contents::read) continue;
            while (const auto block = stream.read()) {
                expect(block->data.size() <= entry->size &&
                           block->offset <= entry->size - block->data.size(),
                       "a content lies within its file");
            }
        }
        return account + "end";
    } catch (const Error& e) {
        return account + e.what();
    }
}

FileTree tree_of_tar(std::string_view tar) {
    FileTree tree;
    add_layer(tree, tar);
    return tree;
}

}  // namespace

void take(std::string_view input) {
    std::string tar(input);
    set_checksums(tar);
    const std::string account = account_of(tar, tar.size() + 1, Contents::read);
    expect(account_of(tar, 97, Contents::read) == account, "the pieces do not matter");
    expect(account_of(tar, 600, Contents::left) == account, "nor whether contents are read");
    expect(account_of(tar, 512, Contents::skipped) == account, "nor whether they are skipped");
    const FileTree tree = tree_of_tar(tar);
    if (const std::string index = written(tree); !index.empty()) read_again(index);
}

std::vector<std::string> seeds() { return sample_tars(); }
