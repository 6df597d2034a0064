// Entries as a tar: POSIX's ustar, and a pax extended header before an entry whose name, owner,
// size or time does not fit, or that has attributes. The same entries are the same bytes: no names
// of users, no process numbers, records in the order of their keys.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "image/layer/tar_stream.h"

class TarWriter {
public:
    using Sink = std::function<void(std::string_view)>;
    explicit TarWriter(Sink sink) : sink_(std::move(sink)) {}

    // The header; of a file its `size` bytes must follow by data(). Throws Error if one entry's
    // content is not complete, or too long.
    void entry(const TarEntry& entry);
    void data(std::string_view bytes);
    // The archive's end: two blocks of zeros.
    void finish();

private:
    void end_content();

    Sink sink_;
    uint64_t left_ = 0, padding_ = 0;
};
