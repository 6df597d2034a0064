// One layer: its blob's bytes, the tar in it and that tar's entries, in one pass; an EROFS image is
// copied aside for it, since it is read in any order. What an entry means for the layers below it
// is asked of the tree that these make.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/layer/decoder.h"
#include "image/layer/file_tree.h"
#include "image/layer/tar_stream.h"
#include "image/validate/rules.h"

// The layers below, as the tree that they make.
struct LayerStack {
    std::optional<FileTree> tree = FileTree();  // nothing: what it is cannot be told any more
    bool complete = true;                       // false: there are others below, which nobody saw
};

struct LayerQuestion {
    std::string document;  // what findings call it
    std::string tag;       // what the tree calls it: FileTree::Tar
    std::string_view digest_algorithm = "sha256", diff_id_algorithm = "sha256";
    size_t most_entries = 0;  // to keep: for stack_again()
    size_t most_text = 0;     // of its passwd, to keep
};

struct LayerFacts {
    // Of the blob and of its tar; "" for an algorithm that is not known here, and for a tar that
    // could not be had to its end.
    std::string digest, diff_id;
    int64_t size = 0;
    std::string compression;
    bool is_image = false;  // of EROFS
    // What the stack was asked, for another stack; nothing if there were too many.
    std::optional<std::vector<TarEntry>> entries = {};
    struct Passwd {
        uint64_t place = 0;  // in the tar or image
        std::string text;
    };
    std::optional<Passwd> passwd = {};
};

// Reads all of the blob, and adds the layer to the stack.
LayerFacts judge_layer(const ByteSource& blob, const LayerQuestion& question, LayerStack& stack,
                       Findings& findings);
// The same layer on other layers, without a look at its blob. Its entries must have been kept.
void stack_again(const LayerFacts& facts, const LayerQuestion& question, LayerStack& stack,
                 Findings& findings);
