// A tar as a stream of entries: ustar, pax, GNU and star headers, both kinds of sparse files. It is
// read once, from the front, in fixed memory. Names are bytes: nothing converts them.
//
// Where readers disagree about what an archive says, it is refused: a scanner and a runtime must
// see the same files. So are broken extension records, a zero byte in a name, a wrong checksum, one
// block of zeros alone, a sparse map that does not fit its file. Written after POSIX.1-2024 (pax)
// and the GNU tar manual.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/layer/entries.h"

constexpr uint64_t tar_block_size = 512;  // what headers are, and contents are filled up to

class TarStream : public LayerEntries {
public:
    // `read` gives the next bytes, which stay until it is called again, and nothing at the end.
    // `skip`, if there is one, passes over as many bytes that nobody wants; false: there are less.
    explicit TarStream(std::function<std::string_view()> read,
                       std::function<bool(uint64_t)> skip = {});

    // Until the end of the archive. Errors: "not a tar archive", "damaged archive: …".
    const TarEntry* next() override;
    std::optional<Block> read() override;

    // How many bytes of the tar were taken so far.
    uint64_t position() const { return position_; }

private:
    using Records = std::map<std::string, std::string, std::less<>>;
    struct Header;
    struct Extensions;

    std::string_view take(uint64_t most);
    bool read_block(Header& header);
    bool read_header(Header& header);
    void skip(uint64_t count);
    std::string read_extension(const Header& header, std::string_view what);
    void take_global(const std::string& text);
    void describe(const Header& header, const Extensions& extensions);
    void apply_records(const Records& records);
    void find_content(const Header& header, const Records& records);
    void read_old_map(const Header& header);
    void read_new_map();
    void set_segments(std::vector<TarEntry::Segment> all, uint64_t size);

    std::function<std::string_view()> read_;
    std::function<bool(uint64_t)> skip_;
    std::string_view pending_;
    bool ended_ = false, any_ = false;
    uint64_t position_ = 0;
    Records global_;
    TarEntry entry_;
    uint64_t left_ = 0, padding_ = 0;  // of the entry's stored content
    size_t segment_ = 0;
    uint64_t within_ = 0;  // the segment, or the whole file
};
