#include "image/layer/inflate.h"

#include <utility>

static std::optional<Hasher> hasher_of(const std::string& algorithm) {
    return algorithm.empty() ? std::nullopt : std::optional<Hasher>(std::in_place, algorithm);
}

InflatedLayer::InflatedLayer(int blob_fd, const Hashes& wanted)
    : tar_(hasher_of(wanted.tar)), blob_(hasher_of(wanted.blob)), source_(bytes_of(blob_fd)),
      plain_(make_decoder([this] { return read_blob(); })), first_(plain_->read()),
      any_(!first_.empty()) {}

std::string_view InflatedLayer::read_blob() {
    const std::string_view data = source_();
    if (blob_) blob_->update(data);
    return data;
}

std::string_view InflatedLayer::read() {
    std::string_view data = std::exchange(first_, {});
    if (data.empty() && any_) data = plain_->read();
    if (tar_) tar_->update(data);
    if (data.empty())
        while (!read_blob().empty()) {
        }
    return data;
}
