// A layer's tar compressed, for who sends it away. The same bytes, the same way, by the same
// libraries give the same result.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "image/digest.h"
#include "image/layer/decoder.h"

struct Compression {
    enum class Kind { none, gzip, zstd } kind = Kind::gzip;
    int level = 2;  // gzip's usual one; zstd's is 3

    // "gzip-2"; what is compressed so is always the same.
    std::string text() const;
};
// "gzip", "zstd" or "none", 0 for the usual level; throws Error for another, and for a level that
// it has not.
Compression parse_compression(std::string_view kind, int level);

class Encoder {
public:
    virtual ~Encoder() = default;
    virtual void write(std::string_view data) = 0;
    virtual void finish() = 0;  // once, and nothing after it
};
// What it makes goes to `sink`, piece by piece.
std::unique_ptr<Encoder> make_encoder(const Compression& how,
                                      std::function<void(std::string_view)> sink);

// All of `plain`, compressed, to the file `to`, where that stands.
struct Encoded {
    Digest plain, blob;  // the first by the algorithm that was asked for
    int64_t size = 0;    // of the blob
};
Encoded encode(const Compression& how, const ByteSource& plain, std::string_view algorithm, int to);
