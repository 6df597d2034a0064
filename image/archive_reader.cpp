// What is hard: libarchive is C, and made for other uses. An exception must not pass through its
// frames: what the reader's function throws is kept, and thrown again on this side. A name is
// converted to the locale's character set: under C.UTF-8 it stays as it is. Filters are listed one
// by one: with all of them it would start programs for those it lacks. A warning about a header is
// about a name, and passes.
#include "image/archive_reader.h"

#include <locale.h>
#include <unistd.h>

#include "base/error.h"

namespace {
constexpr size_t block = size_t(1) << 20;
}  // namespace

ArchiveReader::ArchiveReader(Kind kind) : handle_(archive_read_new()), buffer_(new char[block]) {
    // libarchive gives names in the locale's character set: with this one they stay as they are.
    static const char* const locale = ::setlocale(LC_CTYPE, "C.UTF-8");
    (void)locale;
    if (!handle_) throw Error("out of memory");
    archive* const a = handle_.get();
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_lzma(a);
    archive_read_support_filter_zstd(a);
    if (kind == Kind::tar) {
        archive_read_support_format_tar(a);
    } else {
        archive_read_support_format_raw(a);
        archive_read_support_format_empty(a);
    }
}

ArchiveReader::ArchiveReader(int fd, Kind kind) : ArchiveReader(kind) {
    if (archive_read_open_fd(handle_.get(), fd, block) != ARCHIVE_OK) fail();
}

ArchiveReader::ArchiveReader(std::function<std::string_view()> read, Kind kind)
    : ArchiveReader(kind) {
    source_ = std::make_unique<Source>(Source{std::move(read), {}});
    if (archive_read_open(handle_.get(), source_.get(), nullptr, pull, nullptr) != ARCHIVE_OK)
        fail();
}

la_ssize_t ArchiveReader::pull(archive* handle, void* self, const void** out) {
    auto& source = *static_cast<Source*>(self);
    try {
        const std::string_view data = source.read();
        *out = data.data();
        return la_ssize_t(data.size());
    } catch (...) {
        source.error = std::current_exception();
        archive_set_error(handle, EIO, "reading failed");
        return -1;
    }
}

void ArchiveReader::fail() {
    if (source_ && source_->error) std::rethrow_exception(source_->error);
    const char* why = archive_error_string(handle_.get());
    const std::string text = why ? why : "damaged";
    if (text == "Unrecognized archive format") throw Error("not a tar archive");
    throw Error("damaged archive: ", lower(text));
}

archive_entry* ArchiveReader::next() {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(handle_.get(), &entry);
    if (result == ARCHIVE_EOF) return nullptr;
    // A warning is about names in another character set; what is wrong with data is worse than
    // that.
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) fail();
    return entry;
}

std::string_view ArchiveReader::read() {
    const la_ssize_t size = archive_read_data(handle_.get(), buffer_.get(), block);
    if (size < 0) fail();
    return {buffer_.get(), size_t(size)};
}

std::optional<ArchiveReader::Block> ArchiveReader::read_block() {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(handle_.get(), &data, &size, &offset);
    if (result == ARCHIVE_EOF) return {};
    if (result < ARCHIVE_WARN) fail();
    return Block{offset, {static_cast<const char*>(data), size}};
}
