// What is hard here: a stream may be several streams one after the other (gzip's members, zstd's
// frames), end in the middle of anything, and be followed by a rest. Peers refuse a rest, but for
// zeros, with which tapes and some registries fill up a block. And bytes come in pieces of any
// size: a magic number may be cut in two.
#include "image/layer/decoder.h"

#include <isa-l/igzip_lib.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/shared_library.h"
#include "image/archive_reader.h"

namespace {

constexpr size_t piece_size = size_t(1) << 20;
constexpr size_t longest_magic = 6;

// The compressed bytes, of which some can be seen before they are taken.
class Input {
public:
    explicit Input(ByteSource source) : source_(std::move(source)) {}
    Input(const Input&) = delete;
    Input& operator=(const Input&) = delete;

    // What is there; nothing only at the end.
    std::string_view some() {
        if (pending_.empty() && !ended_) {
            pending_ = source_();
            ended_ = pending_.empty();
        }
        return pending_;
    }
    void drop(size_t count) { pending_.remove_prefix(count); }

    // At least so many bytes, if the blob has them.
    std::string_view peek(size_t count) {
        if (some().size() >= count) return pending_;
        std::string all(pending_);
        while (!ended_ && all.size() < count) {
            const std::string_view more = source_();
            ended_ = more.empty();
            all += more;
        }
        head_ = std::move(all);
        pending_ = head_;
        return pending_;
    }

    // Behind the last stream.
    void expect_zeros() {
        for (; !some().empty(); drop(pending_.size()))
            if (pending_.find_first_not_of('\0') != std::string_view::npos)
                throw Error("damaged archive: there are bytes behind its compressed data");
    }

private:
    ByteSource source_;
    std::string head_;  // what pending_ shows, if pieces were put together
    std::string_view pending_;
    bool ended_ = false;
};

[[noreturn]] void ended_early() {
    throw Error("damaged archive: the compressed data ends too early");
}

class Plain : public Decoder {
public:
    explicit Plain(std::unique_ptr<Input> input) : input_(std::move(input)) {}
    std::string_view read() override {
        const std::string_view piece = input_->some();
        input_->drop(piece.size());
        return piece;
    }

private:
    std::unique_ptr<Input> input_;
};

// ISA-L's inflate: twice as fast as zlib's. It reads the header and checks the trailer of a member.
struct Isal : SharedLibrary {
    Isal() : SharedLibrary("libisal.so.2", "compressed layers") {}
    decltype(&::isal_inflate_init) init = find<decltype(init)>("isal_inflate_init");
    decltype(&::isal_inflate_reset) reset = find<decltype(reset)>("isal_inflate_reset");
    decltype(&::isal_inflate) inflate = find<decltype(inflate)>("isal_inflate");
};

const Isal& isal() {
    static const Isal loaded;
    return loaded;
}

class Gzip : public Decoder {
public:
    explicit Gzip(std::unique_ptr<Input> input)
        : input_(std::move(input)), state_(new inflate_state), out_(new char[piece_size]) {
        isal().init(state_.get());
        state_->crc_flag = ISAL_GZIP;
    }

    std::string_view read() override {
        while (!done_) {
            const size_t made = step();
            if (state_->block_state == ISAL_BLOCK_FINISH) next_member();
            if (made > 0) return {out_.get(), made};
        }
        return {};
    }

private:
    static constexpr std::string_view magic{"\x1f\x8b", 2};

    size_t step() {
        const std::string_view in = input_->some();
        state_->next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(in.data()));
        state_->avail_in = uint32_t(std::min<size_t>(in.size(), piece_size));
        const uint32_t given = state_->avail_in;
        state_->next_out = reinterpret_cast<uint8_t*>(out_.get());
        state_->avail_out = piece_size;
        const int result = isal().inflate(state_.get());
        if (result == ISAL_INCORRECT_CHECKSUM)
            throw Error("damaged archive: gzip's checksum is another");
        if (result < 0) throw Error("damaged archive: its gzip data is not valid");
        input_->drop(given - state_->avail_in);
        const size_t made = piece_size - state_->avail_out;
        if (in.empty() && made == 0 && state_->block_state != ISAL_BLOCK_FINISH) ended_early();
        return made;
    }

    // Members one after the other are one stream (RFC 1952, 2.2).
    void next_member() {
        if (input_->peek(magic.size()).starts_with(magic)) {
            isal().reset(state_.get());
            state_->crc_flag = ISAL_GZIP;
            return;
        }
        input_->expect_zeros();
        done_ = true;
    }

    std::unique_ptr<Input> input_;
    std::unique_ptr<inflate_state> state_;
    std::unique_ptr<char[]> out_;
    bool done_ = false;
};

class Zstd : public Decoder {
public:
    explicit Zstd(std::unique_ptr<Input> input)
        : input_(std::move(input)), context_(ZSTD_createDStream()), out_(new char[piece_size]) {
        if (!context_) throw Error("out of memory");
    }

    std::string_view read() override {
        for (;;) {
            const std::string_view in = input_->some();
            // A frame may have more to give when all of it has been read.
            if (in.empty() && in_frame_ == 0) return {};
            if (in_frame_ == 0 && in.front() == '\0') {
                input_->expect_zeros();
                return {};
            }
            ZSTD_inBuffer from{in.data(), in.size(), 0};
            ZSTD_outBuffer to{out_.get(), piece_size, 0};
            in_frame_ = ZSTD_decompressStream(context_.get(), &to, &from);
            if (ZSTD_isError(in_frame_))
                throw Error("damaged archive: zstd: ", lower(ZSTD_getErrorName(in_frame_)));
            input_->drop(from.pos);
            if (in.empty() && to.pos == 0 && in_frame_ != 0) ended_early();
            if (to.pos > 0) return {out_.get(), to.pos};
        }
    }

private:
    struct Free {
        void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
    };
    std::unique_ptr<Input> input_;
    std::unique_ptr<ZSTD_DStream, Free> context_;
    std::unique_ptr<char[]> out_;
    size_t in_frame_ = 0;  // 0 between frames
};

// xz and bzip2, which few layers have.
class Other : public Decoder {
public:
    explicit Other(std::unique_ptr<Input> input)
        : input_(std::move(input)), reader_([this] { return take(); }, ArchiveReader::Kind::raw),
          any_(reader_.next() != nullptr) {}
    std::string_view read() override { return any_ ? reader_.read() : std::string_view{}; }

private:
    std::string_view take() {
        const std::string_view piece = input_->some();
        input_->drop(piece.size());
        return piece;
    }

    std::unique_ptr<Input> input_;
    ArchiveReader reader_;
    bool any_;
};

template <class Kind>
std::unique_ptr<Decoder> make(std::unique_ptr<Input> input) {
    return std::make_unique<Kind>(std::move(input));
}

using namespace std::string_view_literals;

bool is_gzip(std::string_view head) { return head.starts_with("\x1f\x8b"sv); }
// zstd:chunked and others begin with one of zstd's sixteen kinds of frames to be skipped.
bool is_zstd(std::string_view head) {
    const bool skipped =
        head.size() >= 4 && (head[0] & 0xf0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18"sv;
    return skipped || head.starts_with("\x28\xb5\x2f\xfd"sv);
}
bool is_xz(std::string_view head) { return head.starts_with("\xfd\x37zXZ\0"sv); }
bool is_bzip2(std::string_view head) { return head.starts_with("BZh"sv); }
bool is_anything(std::string_view) { return true; }

constexpr struct Codec {
    std::string_view name;
    bool (*is)(std::string_view head);
    std::unique_ptr<Decoder> (*make)(std::unique_ptr<Input>);
} codecs[] = {
    {"gzip", is_gzip, make<Gzip>},    {"zstd", is_zstd, make<Zstd>},  {"xz", is_xz, make<Other>},
    {"bzip2", is_bzip2, make<Other>}, {"", is_anything, make<Plain>},
};

const Codec& codec_of(std::string_view head) {
    return *std::ranges::find_if(codecs, [&](const Codec& codec) { return codec.is(head); });
}

}  // namespace

ByteSource bytes_of(int fd) {
    return [fd, buffer = std::make_shared<std::vector<char>>(piece_size)] {
        ssize_t got = 0;
        do got = ::read(fd, buffer->data(), buffer->size());
        while (got < 0 && errno == EINTR);
        if (got < 0) throw SysError("read");
        return std::string_view(buffer->data(), size_t(got));
    };
}

ByteSource bytes_of(std::string_view text) {
    return [text, given = false]() mutable {
        return std::exchange(given, true) ? std::string_view() : text;
    };
}

std::string_view compression_of(std::string_view head) { return codec_of(head).name; }

std::unique_ptr<Decoder> make_decoder(ByteSource blob) {
    auto input = std::make_unique<Input>(std::move(blob));
    const Codec& codec = codec_of(input->peek(longest_magic));
    return codec.make(std::move(input));
}
