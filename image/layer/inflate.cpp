#include "image/layer/inflate.h"

#include <utility>

InflatedLayer::InflatedLayer(int blob_fd, Hashes wanted)
    : wanted_(wanted), source_(bytes_of(blob_fd)),
      plain_(make_decoder([this] { return read_blob(); })), first_(plain_->read()),
      any_(!first_.empty()) {}

std::string_view InflatedLayer::read_blob() {
    const std::string_view data = source_();
    if (wanted_.blob) blob_.update(data);
    return data;
}

std::string_view InflatedLayer::read() {
    std::string_view data = std::exchange(first_, {});
    if (data.empty() && any_) data = plain_->read();
    if (wanted_.tar) tar_.update(data);
    if (data.empty())
        while (!read_blob().empty()) {
        }
    return data;
}
