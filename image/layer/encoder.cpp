// gzip's first three levels are ISA-L's, which are several times as fast as zlib's and about as
// good as its lower ones; from the fourth on it is zlib, whose numbers people know. No name and no
// time goes into a header: who compresses twice gets one digest.
#include "image/layer/encoder.h"

#include <isa-l/igzip_lib.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/shared_library.h"
#include "base/sys.h"

namespace {

constexpr size_t made_at_once = size_t(256) << 10;
constexpr int most_of_isal = 3, most_of_gzip = 9, most_of_zstd = 22, usual_of_zstd = 3;

using Sink = std::function<void(std::string_view)>;

class NoEncoder : public Encoder {
public:
    explicit NoEncoder(Sink sink) : sink_(std::move(sink)) {}
    void write(std::string_view data) override { sink_(data); }
    void finish() override {}

private:
    Sink sink_;
};

struct IsalDeflate : SharedLibrary {
    IsalDeflate() : SharedLibrary("libisal.so.2", "compressed layers") {}
    decltype(&::isal_deflate_init) init = find<decltype(init)>("isal_deflate_init");
    decltype(&::isal_deflate) deflate = find<decltype(deflate)>("isal_deflate");
};

const IsalDeflate& isal_deflater() {
    static const IsalDeflate loaded;
    return loaded;
}

class IsalEncoder : public Encoder {
public:
    IsalEncoder(int level, Sink sink)
        : sink_(std::move(sink)), stream_(new isal_zstream), work_(work_size(level)),
          out_(made_at_once) {
        isal_deflater().init(stream_.get());
        stream_->level = uint32_t(level);
        stream_->level_buf = work_.data();
        stream_->level_buf_size = uint32_t(work_.size());
        stream_->gzip_flag = IGZIP_GZIP;
    }
    void write(std::string_view data) override {
        while (!data.empty()) {
            const std::string_view some = data.substr(0, made_at_once);
            run(some);
            data.remove_prefix(some.size());
        }
    }
    void finish() override {
        stream_->end_of_stream = 1;
        run({});
    }

private:
    static size_t work_size(int level) {
        return level == 1   ? ISAL_DEF_LVL1_DEFAULT
               : level == 2 ? ISAL_DEF_LVL2_DEFAULT
                            : ISAL_DEF_LVL3_DEFAULT;
    }
    // There is more to come as long as it fills up what it is given.
    void run(std::string_view data) {
        stream_->next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(data.data()));
        stream_->avail_in = uint32_t(data.size());
        do {
            stream_->next_out = reinterpret_cast<uint8_t*>(out_.data());
            stream_->avail_out = uint32_t(out_.size());
            if (isal_deflater().deflate(stream_.get()) != COMP_OK) throw Error("gzip failed");
            sink_({out_.data(), out_.size() - stream_->avail_out});
        } while (stream_->avail_out == 0 || stream_->avail_in > 0);
    }

    Sink sink_;
    std::unique_ptr<isal_zstream> stream_;
    std::vector<uint8_t> work_;
    std::vector<char> out_;
};

class ZlibEncoder : public Encoder {
public:
    ZlibEncoder(int level, Sink sink) : sink_(std::move(sink)), out_(made_at_once) {
        constexpr int with_gzip_header = 16 + MAX_WBITS;
        if (::deflateInit2(&stream_, level, Z_DEFLATED, with_gzip_header, MAX_MEM_LEVEL,
                           Z_DEFAULT_STRATEGY) != Z_OK)
            throw Error("out of memory");
    }
    ~ZlibEncoder() override { ::deflateEnd(&stream_); }
    void write(std::string_view data) override {
        while (!data.empty()) {
            const std::string_view some = data.substr(0, std::numeric_limits<uInt>::max());
            run(some, Z_NO_FLUSH);
            data.remove_prefix(some.size());
        }
    }
    void finish() override { run({}, Z_FINISH); }

private:
    void run(std::string_view data, int flush) {
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
        stream_.avail_in = uInt(data.size());
        do {
            stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
            stream_.avail_out = uInt(out_.size());
            if (::deflate(&stream_, flush) == Z_STREAM_ERROR) throw Error("gzip failed");
            sink_({out_.data(), out_.size() - stream_.avail_out});
        } while (stream_.avail_out == 0);
    }

    Sink sink_;
    z_stream stream_{};
    std::vector<char> out_;
};

class ZstdEncoder : public Encoder {
public:
    ZstdEncoder(int level, Sink sink)
        : sink_(std::move(sink)), context_(::ZSTD_createCCtx(), ::ZSTD_freeCCtx),
          out_(made_at_once) {
        if (!context_) throw Error("out of memory");
        set(ZSTD_c_compressionLevel, level);
        set(ZSTD_c_checksumFlag, 1);
    }
    void write(std::string_view data) override { run(data, ZSTD_e_continue); }
    void finish() override { run({}, ZSTD_e_end); }

private:
    void set(ZSTD_cParameter parameter, int value) {
        refuse(::ZSTD_CCtx_setParameter(context_.get(), parameter, value));
    }
    static size_t refuse(size_t result) {
        if (::ZSTD_isError(result)) throw Error("zstd: ", ::ZSTD_getErrorName(result));
        return result;
    }
    void run(std::string_view data, ZSTD_EndDirective how) {
        ZSTD_inBuffer in{data.data(), data.size(), 0};
        for (bool more = true; more;) {
            ZSTD_outBuffer out{out_.data(), out_.size(), 0};
            const size_t left = refuse(::ZSTD_compressStream2(context_.get(), &out, &in, how));
            sink_({out_.data(), out.pos});
            more = how == ZSTD_e_end ? left > 0 : in.pos < in.size;
        }
    }

    Sink sink_;
    std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context_;
    std::vector<char> out_;
};

}  // namespace

std::string Compression::text() const {
    return kind == Kind::none ? "none" : str(kind == Kind::gzip ? "gzip-" : "zstd-", level);
}

Compression parse_compression(std::string_view kind, int level) {
    const auto between = [&](int most, int usual) {
        if (level < 0 || level > most)
            throw Error("compression level ", level, " of ", kind, ": must be from 1 to ", most);
        return level == 0 ? usual : level;
    };
    using enum Compression::Kind;
    if (kind == "gzip") return {gzip, between(most_of_gzip, Compression{}.level)};
    if (kind == "zstd") return {zstd, between(most_of_zstd, usual_of_zstd)};
    if (kind == "none") return {none, 0};
    throw Error("unknown compression ", quoted(kind), "; known are gzip, zstd, none");
}

std::unique_ptr<Encoder> make_encoder(const Compression& how, Sink sink) {
    switch (how.kind) {
        case Compression::Kind::none: return std::make_unique<NoEncoder>(std::move(sink));
        case Compression::Kind::zstd:
            return std::make_unique<ZstdEncoder>(how.level, std::move(sink));
        case Compression::Kind::gzip: break;
    }
    if (how.level <= most_of_isal) return std::make_unique<IsalEncoder>(how.level, std::move(sink));
    return std::make_unique<ZlibEncoder>(how.level, std::move(sink));
}

Encoded encode(const Compression& how, const ByteSource& plain, std::string_view algorithm,
               int to) {
    Hasher of_plain(algorithm), of_blob;
    Encoded out;
    const auto encoder = make_encoder(how, [&](std::string_view piece) {
        of_blob.update(piece);
        sys::write_all(to, piece);
        out.size += int64_t(piece.size());
    });
    for (std::string_view piece = plain(); !piece.empty(); piece = plain()) {
        of_plain.update(piece);
        encoder->write(piece);
    }
    encoder->finish();
    out.plain = of_plain.finish(), out.blob = of_blob.finish();
    return out;
}
