// The documents of an image, from the top down: an index, those in it, manifests. This is the one
// walk on which copying, loading and pushing stand.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "image/transport/transport.h"

struct Document {
    spec::Descriptor descriptor;
    std::string text;
    std::optional<spec::Manifest> manifest;  // or an index, with
    std::optional<spec::Index> index;
    std::vector<Document> children;  // those of its entries that were read, in their order
    size_t entry = 0;                // of the index above, which it is
};

// Every document is compared with the digest, the size and the media type of what names it; all
// together are bounded in depth, number and bytes. Throws Error for what breaks that.
class Documents {
public:
    explicit Documents(ImageSource& from) : from_(from) {}
    // Of an index the children are read later, when it is known which are wanted. `depth` is how
    // many indexes lie above.
    Document read(const spec::Descriptor& descriptor, size_t depth = 0);
    // Of an index its children and theirs: those for which it says true.
    using Wanted = std::function<bool(const spec::Descriptor& child)>;
    void read_children(Document& parent, const Wanted& is_wanted, size_t depth = 0);
    // What a descriptor in them names, as a text: a config.
    std::string text_of(const spec::Descriptor& descriptor);

private:
    ImageSource& from_;
    size_t documents_ = 0, bytes_ = 0;
};
