// A layer's tar compressed, for who sends it away. The same bytes, the same way, by the same
// libraries give the same result.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct Compression {
    enum class Kind { none, gzip, zstd } kind = Kind::gzip;
    int level = 0;  // 0: the usual one

    // "gzip-3"; what is compressed so is always the same.
    std::string text() const;
};
// "gzip", "zstd" or "none"; throws Error for another, and for a level that it has not.
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
