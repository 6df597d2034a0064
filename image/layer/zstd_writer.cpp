#include "image/layer/zstd_writer.h"

#include "base/error.h"

static size_t checked(size_t result) {
    if (ZSTD_isError(result)) throw Error("zstd: ", lower(ZSTD_getErrorName(result)));
    return result;
}

ZstdWriter::ZstdWriter(Sink sink)
    : sink_(std::move(sink)), context_(ZSTD_createCCtx()), out_(ZSTD_CStreamOutSize(), '\0') {
    if (!context_) throw Error("out of memory");
    checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1));
}

void ZstdWriter::compress(std::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    size_t left = 0;
    do {
        ZSTD_outBuffer out{out_.data(), out_.size(), 0};
        left = checked(ZSTD_compressStream2(context_.get(), &out, &in, directive));
        if (out.pos > 0) sink_({out_.data(), out.pos});
    } while (in.pos < in.size || (directive == ZSTD_e_end && left > 0));
}
