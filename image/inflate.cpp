#include "image/inflate.h"

#include <unistd.h>

#include "base/error.h"

namespace {
constexpr size_t block = size_t(1) << 20;
}  // namespace

InflatedLayer::InflatedLayer(int blob_fd, Hash what)
    : fd_(blob_fd), what_(what), buffer_(new char[block]),
      plain_([this] { return read_blob(); }, ArchiveReader::Kind::raw),
      any_(plain_.next() != nullptr) {}

std::string_view InflatedLayer::read_blob() {
    ssize_t got = 0;
    do got = ::read(fd_, buffer_.get(), block);
    while (got < 0 && errno == EINTR);
    if (got < 0) throw SysError("read");
    const std::string_view data(buffer_.get(), size_t(got));
    if (what_ == Hash::tar_and_blob) blob_.update(data);
    return data;
}

std::string_view InflatedLayer::read() {
    const std::string_view data = any_ ? plain_.read() : std::string_view{};
    tar_.update(data);
    if (data.empty())
        while (!read_blob().empty()) {
        }
    return data;
}
