#include "image/transport/transport.h"

#include "base/error.h"

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
