// libarchive made safe to use: an archive read from a descriptor, in-process decompression only (a
// helper program found in PATH could be anybody's).
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

class ArchiveReader {
public:
    enum class Kind { tar, raw };  // raw: whatever is inside the compression, as one entry "data"
    ArchiveReader(int fd, Kind kind);
    // The same from a function that gives the next bytes, and nothing at the end. The bytes must
    // stay until the next call.
    ArchiveReader(std::function<std::string_view()> read, Kind kind);

    // The next entry, or nullptr at the end. Throws Error if the archive is damaged or cut off.
    archive_entry* next();
    // The next bytes of the entry; empty at its end.
    std::string_view read();
    // The same without the zeros of a sparse file's holes, each piece with its place; nothing at
    // the end. They stay until the next call.
    struct Block {
        int64_t offset;
        std::string_view data;
    };
    std::optional<Block> read_block();

private:
    ArchiveReader(Kind kind);
    [[noreturn]] void fail();
    static la_ssize_t pull(archive* handle, void* self, const void** out);

    struct Free {
        void operator()(archive* handle) const { archive_read_free(handle); }
    };
    std::unique_ptr<archive, Free> handle_;
    struct Source {
        std::function<std::string_view()> read;
        std::exception_ptr error;  // what it threw: an exception must not pass through C
    };
    std::unique_ptr<Source> source_;
    std::unique_ptr<char[]> buffer_;
};
