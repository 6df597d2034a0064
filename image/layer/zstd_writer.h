// Bytes compressed with zstd (RFC 8878), as one frame with a checksum. The same bytes in the same
// pieces are the same frame, as long as libzstd is the same.
#pragma once

#include <zstd.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

class ZstdWriter {
public:
    using Sink = std::function<void(std::string_view)>;
    explicit ZstdWriter(Sink sink);
    void write(std::string_view bytes) { compress(bytes, ZSTD_e_continue); }
    void finish() { compress({}, ZSTD_e_end); }

private:
    void compress(std::string_view bytes, ZSTD_EndDirective directive);

    struct Free {
        void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    };
    Sink sink_;
    std::unique_ptr<ZSTD_CCtx, Free> context_;
    std::string out_;
};
