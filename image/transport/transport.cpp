#include "image/transport/transport.h"

#include "base/error.h"
#include "image/files.h"
#include "image/inline_data.h"

ByteSource ImageSource::open_at(const spec::Descriptor& blob, int64_t begin) {
    ByteSource bytes = open(blob);
    std::string_view piece;
    while (begin >= int64_t(piece.size())) {
        begin -= int64_t(piece.size());
        if (begin == 0) return bytes;
        piece = bytes();
        if (piece.empty()) throw Error("blob ", blob.digest, " has fewer bytes than it should");
    }
    piece.remove_prefix(size_t(begin));
    return [bytes = std::move(bytes), piece]() mutable {
        return piece.empty() ? bytes() : std::exchange(piece, {});
    };
}

std::string checked_document(ImageSource& place, const spec::Descriptor& descriptor) {
    const Digest digest(descriptor.digest);
    if (descriptor.size < 0 || descriptor.size > int64_t(most_document))
        throw Error(descriptor.digest, " is too large for a document");
    if (auto data = inline_data(descriptor)) return std::move(*data);
    auto text = place.document(descriptor);
    if (!text) throw Error(descriptor.digest, " is not there");
    if (int64_t(text->size()) != descriptor.size || digest_of(*text, digest.algorithm()) != digest)
        throw Error(descriptor.digest, " is damaged: its bytes have another digest");
    return std::move(*text);
}
