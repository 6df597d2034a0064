// What is hard is the end. A decoder is done when its stream is, and a tar when its mark comes, but
// both digests count what follows: so all is read, and a stream that goes on is not cut off.
#include "image/layer/inflate.h"

#include "base/error.h"
#include "image/layer/read_ahead.h"

static std::optional<Hasher> hasher_of(const std::string& algorithm) {
    return algorithm.empty() ? std::nullopt : std::optional<Hasher>(std::in_place, algorithm);
}

InflatedLayer::InflatedLayer(int blob_fd, const Hashes& wanted)
    : tar_(hasher_of(wanted.tar)), blob_(hasher_of(wanted.blob)), source_(bytes_of(blob_fd)),
      plain_(make_decoder([this] { return read_blob(); })) {}

std::string_view InflatedLayer::read_blob() {
    const std::string_view data = source_();
    if (blob_) blob_->update(data);
    return data;
}

std::string_view InflatedLayer::read() {
    const std::string_view data = plain_->read();
    if (tar_) tar_->update(data);
    head_ += data.substr(0, erofs_head_size - head_.size());
    if (data.empty())
        while (!read_blob().empty()) {
        }
    return data;
}

void read_plain(InflatedLayer& layer, const std::function<void(std::string_view)>& take) {
    ReadAhead ahead([&] { return layer.read(); });
    for (std::string_view piece = ahead.next(); !piece.empty(); piece = ahead.next()) take(piece);
}

void read_tar(const ByteSource& bytes, const std::function<void(TarStream&)>& take,
              const std::function<void(std::string_view)>& pass) {
    const ByteSource passed = [&] {
        const std::string_view piece = bytes();
        if (pass && !piece.empty()) pass(piece);
        return piece;
    };
    TarStream tar(passed);
    take(tar);
    while (!passed().empty()) {
    }
}

void read_tar(InflatedLayer& layer, const std::function<void(TarStream&)>& take,
              const std::function<void(std::string_view)>& pass) {
    ReadAhead ahead([&] { return layer.read(); });
    read_tar([&] { return ahead.next(); }, take, pass);
    if (layer.is_erofs()) throw Error("it is an EROFS image, and no tar");
}
