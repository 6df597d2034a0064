// What is hard here is what does not fit. A name of more than 100 bytes is cut at a slash where
// that helps (ustar's prefix), and else goes into a record before the entry, as does a number with
// more octal digits than its field. A record's length counts its own digits.
#include "image/layer/tar_writer.h"

#include <cstring>

#include "base/error.h"

namespace {

struct Header {  // POSIX ustar
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, target[100],
        magic[6], version[2], owner[32], group[32], device_major[8], device_minor[8], prefix[155],
        padding[12];
};
static_assert(sizeof(Header) == tar_block_size);

// With a zero at its end. False if it has more digits than that.
template <size_t width>
bool put_octal(char (&field)[width], int64_t value) {
    if (value < 0 || value >> 3 * (width - 1) != 0) return false;
    for (size_t i = width - 1; i-- > 0; value >>= 3) field[i] = char('0' + (value & 7));
    return true;
}

template <size_t width>
bool put_text(char (&field)[width], std::string_view text) {
    if (text.size() > width) return false;
    text.copy(field, width);
    return true;
}

bool put_name(Header& header, std::string_view name) {
    if (put_text(header.name, name)) return true;
    // At the first slash that leaves few enough behind it; a last one belongs to the name.
    const size_t slash = name.find('/', name.size() - sizeof header.name - 1);
    if (slash == std::string_view::npos || slash == 0 || slash + 1 >= name.size()) return false;
    return put_text(header.prefix, name.substr(0, slash)) &&
           put_text(header.name, name.substr(slash + 1));
}

char flag_of(TarEntry::Type type) {
    using enum TarEntry::Type;
    switch (type) {
        case file: return '0';
        case hard_link: return '1';
        case symlink: return '2';
        case character_device: return '3';
        case block_device: return '4';
        case directory: return '5';
        case fifo: return '6';
    }
    return '0';
}

void seal(Header& header) {
    std::memcpy(header.magic, "ustar", 6);
    std::memcpy(header.version, "00", 2);
    std::memset(header.checksum, ' ', sizeof header.checksum);
    int64_t sum = 0;
    for (const char c : std::string_view(reinterpret_cast<const char*>(&header), sizeof header))
        sum += static_cast<unsigned char>(c);
    put_octal(header.checksum, sum);
}

// "LENGTH KEY=VALUE\n"
std::string record(std::string_view key, std::string_view value) {
    const size_t rest = key.size() + value.size() + 3;
    size_t length = rest + 1;
    while (str(length).size() + rest != length) length = str(length).size() + rest;
    return str(length, " ", key, "=", value, "\n");
}

std::string time_text(const timespec& time) {
    if (time.tv_nsec == 0) return str(time.tv_sec);
    // Before 1970 the fraction counts backwards.
    const bool negative = time.tv_sec < 0;
    const long fraction = negative ? 1'000'000'000 - time.tv_nsec : time.tv_nsec;
    std::string digits = str(1'000'000'000 + fraction).substr(1);
    digits.resize(digits.find_last_not_of('0') + 1);
    return str(negative ? "-" : "", negative ? -(time.tv_sec + 1) : time.tv_sec, ".", digits);
}

// Fills the header; gives what does not fit it.
std::map<std::string, std::string> describe(const TarEntry& entry, Header& header) {
    std::map<std::string, std::string> records;
    if (!put_name(header, entry.name)) records["path"] = entry.name;
    if (!put_text(header.target, entry.target)) records["linkpath"] = entry.target;
    put_octal(header.mode, entry.mode);
    if (!put_octal(header.uid, entry.uid)) records["uid"] = str(entry.uid);
    if (!put_octal(header.gid, entry.gid)) records["gid"] = str(entry.gid);
    if (!put_octal(header.size, int64_t(entry.size))) records["size"] = str(entry.size);
    if (!put_octal(header.mtime, entry.modified.tv_sec) || entry.modified.tv_nsec != 0)
        records["mtime"] = time_text(entry.modified);
    header.type = flag_of(entry.type);
    if (entry.type == TarEntry::Type::character_device ||
        entry.type == TarEntry::Type::block_device) {
        if (!put_octal(header.device_major, int64_t(entry.device_major)) ||
            !put_octal(header.device_minor, int64_t(entry.device_minor)))
            throw Error("a tar cannot hold the device number ", entry.device_major, ":",
                        entry.device_minor);
    }
    for (const auto& [name, value] : entry.xattrs) {
        if (name.contains('=')) throw Error("a tar cannot hold the attribute ", quoted(name));
        records["SCHILY.xattr." + name] = value;
    }
    return records;
}

// The entry's own name, as far as it fits: who unpacks it without knowing pax sees whose it was.
std::string extension_name(const std::string& name) {
    std::string_view last(name);
    while (last.ends_with('/')) last.remove_suffix(1);
    last = last.substr(last.rfind('/') + 1).substr(0, 80);
    return str("PaxHeaders.0/", last);
}

}  // namespace

void TarWriter::entry(const TarEntry& entry) {
    end_content();
    Header header{};
    const std::map<std::string, std::string> records = describe(entry, header);
    if (!records.empty()) {
        std::string text;
        for (const auto& [key, value] : records) text += record(key, value);
        Header extension{};
        put_text(extension.name, extension_name(entry.name));
        put_octal(extension.mode, 0644);
        put_octal(extension.uid, 0), put_octal(extension.gid, 0);
        put_octal(extension.size, int64_t(text.size()));
        put_octal(extension.mtime, 0);
        extension.type = 'x';
        seal(extension);
        sink_({reinterpret_cast<const char*>(&extension), sizeof extension});
        left_ = text.size(), padding_ = -text.size() % tar_block_size;
        data(text);
        end_content();
    }
    seal(header);
    sink_({reinterpret_cast<const char*>(&header), sizeof header});
    if (entry.type == TarEntry::Type::file)
        left_ = entry.size, padding_ = -entry.size % tar_block_size;
}

void TarWriter::data(std::string_view bytes) {
    if (bytes.size() > left_) throw Error("a file became longer while it was written to a tar");
    left_ -= bytes.size();
    sink_(bytes);
}

void TarWriter::end_content() {
    static constexpr char zeros[tar_block_size] = {};
    if (left_ != 0) throw Error("a file became shorter while it was written to a tar");
    if (padding_ != 0) sink_({zeros, std::exchange(padding_, 0)});
}

void TarWriter::finish() {
    end_content();
    sink_(std::string(2 * tar_block_size, '\0'));
}
