// Two libraries make one format here, chosen by the level: what each makes is read by the one
// decoder.
#include "image/layer/encoder.h"

#include "image/layer/decoder.h"
#include "tests/unit/catch.h"

namespace {

std::string compressed(const Compression& how, const std::string& data, size_t piece) {
    std::string out;
    const auto encoder = make_encoder(how, [&](std::string_view made) { out += made; });
    for (size_t at = 0; at < data.size(); at += piece)
        encoder->write(std::string_view(data).substr(at, piece));
    encoder->finish();
    return out;
}

std::string inflated(const std::string& blob) {
    std::string out;
    const auto decoder = make_decoder([left = std::string_view(blob)]() mutable {
        return std::exchange(left, std::string_view());
    });
    for (std::string_view piece = decoder->read(); !piece.empty(); piece = decoder->read())
        out += piece;
    return out;
}

// Bytes that can be compressed a little, longer than any buffer in between.
std::string some_data(size_t size) {
    std::string out(size, '\0');
    uint32_t state = 1;
    for (char& c : out) {
        state = state * 1664525 + 1013904223;
        c = char('a' + (state >> 28));
    }
    return out;
}

}  // namespace

TEST_CASE("what is compressed is inflated to the same, at each level and in any pieces") {
    for (const size_t size : {size_t(0), size_t(1), size_t(3'000'000)}) {
        const std::string data = some_data(size);
        for (const auto& [kind, level] : {std::pair("gzip", 1),
                                          {"gzip", 2},
                                          {"gzip", 3},
                                          {"gzip", 4},
                                          {"gzip", 9},
                                          {"zstd", 3},
                                          {"none", 0}}) {
            const Compression how = parse_compression(kind, level);
            const std::string blob = compressed(how, data, 1'000'001);
            INFO(how.text() << " of " << size);
            CHECK(inflated(blob) == data);
            CHECK(compressed(how, data, 1'000'001) == blob);
            if (size > 1 && how.kind != Compression::Kind::none) CHECK(blob.size() < size * 3 / 4);
        }
    }
}
