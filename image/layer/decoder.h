// What a compressed blob holds. Which compression it is is found in its first bytes, whatever a
// media type says: gzip (RFC 1952), zstd (RFC 8878), xz, bzip2, or none. One level: what is inside
// is not looked at.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

// Gives the next bytes, which stay until the next call; nothing at the end.
using ByteSource = std::function<std::string_view()>;
// What a descriptor gives from where it stands; it stays the caller's.
ByteSource bytes_of(int fd);
// A text, in one piece, which must stay as long.
ByteSource bytes_of(std::string_view text);

// What a blob that begins so is compressed with, one of: "" (not), "gzip", "zstd", "xz", "bzip2".
// The first six bytes say it.
std::string_view compression_of(std::string_view head);

class Decoder {
public:
    virtual ~Decoder() = default;
    // As ByteSource. Throws Error if the compressed bytes are damaged (their checksums are looked
    // at), cut off, or followed by something that is neither of the same kind nor zeros.
    virtual std::string_view read() = 0;
};

// Memory: 2 MiB, and for zstd the window that its frames ask for, 128 MiB at most.
std::unique_ptr<Decoder> make_decoder(ByteSource blob);
