// What is hard here: tar is five formats, told apart by a few bytes, and each has another way to
// say what does not fit its fields: base-256 numbers, entries that hold the next one's name,
// records of text. A record counts for the next entry (x) or for all that follow (g), beats the
// header's field, and an empty one takes it back. Sizes decide where the next header is, so nothing
// that is wrong about one may be guessed at. And nothing that an archive announces is believed
// before it is there: an extension has at most 1 MiB, a content is never held.
#include "image/layer/tar_stream.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/base64.h"
#include "base/error.h"

namespace {

constexpr uint64_t most_extension = uint64_t(1) << 20;  // as Go's reader, and so docker's
constexpr int64_t largest = INT64_MAX - 1024;           // rounding up to a block must not overflow

template <class... Parts>
[[noreturn]] void damaged(const Parts&... parts) {
    throw Error("damaged archive: ", parts...);
}

[[noreturn]] void cut_off() { damaged("it ends in the middle of an entry"); }

std::string_view up_to_zero(std::string_view field) { return field.substr(0, field.find('\0')); }

// Two's complement in the bits after the first.
std::optional<int64_t> base_256(std::string_view field) {
    const bool negative = (field[0] & 0x40) != 0;
    uint64_t value = 0;
    for (size_t i = 0; i < field.size(); ++i) {
        auto byte = uint8_t(negative ? ~field[i] : field[i]);
        if (i == 0) byte &= 0x7f;
        if (value >> 55 != 0) return {};
        value = value << 8 | byte;
    }
    return negative ? ~int64_t(value) : int64_t(value);
}

std::optional<int64_t> header_number(std::string_view field) {
    if ((field[0] & 0x80) != 0) return base_256(field);
    field =
        field.substr(std::min(field.find_first_not_of(std::string_view(" \0", 2)), field.size()));
    field = up_to_zero(field);
    field = field.substr(0, field.find_last_not_of(' ') + 1);
    if (field.empty()) return 0;
    const auto value = parse_number<uint64_t>(field, 8);
    if (!value || *value > uint64_t(largest)) return {};
    return int64_t(*value);
}

// "-1.5" is a second and a half before 1970. What is finer than a nanosecond goes.
std::optional<timespec> record_time(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    const size_t point = text.find('.');
    const auto seconds = parse_number<uint64_t>(text.substr(0, point));
    if (!seconds || *seconds > uint64_t(largest)) return {};
    std::string fraction(point == std::string_view::npos ? "" : text.substr(point + 1));
    if (fraction.find_first_not_of("0123456789") != std::string::npos) return {};
    fraction.resize(9, '0');
    timespec time{time_t(*seconds), long(*parse_number<uint32_t>(fraction))};
    if (!negative) return time;
    time.tv_sec = -time.tv_sec;
    if (time.tv_nsec > 0) --time.tv_sec, time.tv_nsec = 1'000'000'000 - time.tv_nsec;
    return time;
}

// libarchive's own form of an attribute: its name as in a URL, its value in base64.
std::optional<std::string> from_url(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const auto byte = parse_number<uint8_t>(text.substr(i + 1, 2), 16);
        if (!byte || text.size() < i + 3) return {};
        out += char(*byte);
        i += 2;
    }
    return out;
}

// One list of numbers: a place, a size, a place, …
std::vector<TarEntry::Segment> map_of(std::string_view text, char separator) {
    std::vector<uint64_t> numbers;
    while (!text.empty()) {
        const size_t end = text.find(separator);
        const auto number = parse_number<uint64_t>(text.substr(0, end));
        if (!number) damaged("the map of a sparse file is no list of numbers");
        numbers.push_back(*number);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    if (numbers.size() % 2 != 0) damaged("the map of a sparse file ends with a place");
    std::vector<TarEntry::Segment> map;
    for (size_t i = 0; i < numbers.size(); i += 2) map.push_back({numbers[i], numbers[i + 1]});
    return map;
}

}  // namespace

// As it lies in the archive.
struct TarStream::Header {
    char bytes[tar_block_size];

    std::string_view field(size_t at, size_t size) const { return {bytes + at, size}; }
    std::string_view text(size_t at, size_t size) const { return up_to_zero(field(at, size)); }

    char type() const { return bytes[156]; }
    bool is_zero() const {
        return std::ranges::all_of(bytes, [](char c) { return c == '\0'; });
    }
    bool is_gnu() const { return field(257, 8) == std::string_view("ustar  \0", 8); }
    bool is_ustar() const { return field(257, 6) == std::string_view("ustar\0", 6); }
    bool is_star() const { return is_ustar() && field(508, 4) == std::string_view("tar\0", 4); }

    int64_t number(size_t at, size_t size, const char* what) const {
        const auto value = header_number(field(at, size));
        if (!value) damaged("the ", what, " of ", quoted(name()), " is no number");
        return *value;
    }
    uint64_t size() const {
        const int64_t value = number(124, 12, "size");
        if (value < 0) damaged("the size of ", quoted(name()), " is negative");
        return uint64_t(value);
    }

    // Of the bytes as unsigned numbers; some old writers took them as signed.
    bool has_its_checksum() const {
        const auto said = header_number(field(148, 8));
        int64_t as_unsigned = 8 * ' ', as_signed = 8 * ' ';
        for (size_t i = 0; i < tar_block_size; ++i) {
            if (i >= 148 && i < 156) continue;
            as_unsigned += uint8_t(bytes[i]), as_signed += int8_t(bytes[i]);
        }
        return said && (*said == as_unsigned || *said == as_signed);
    }

    std::string name() const {
        const std::string_view prefix = is_star()    ? text(345, 131)
                                        : is_ustar() ? text(345, 155)
                                                     : std::string_view{};
        return prefix.empty() ? std::string(text(0, 100)) : str(prefix, "/", text(0, 100));
    }
};

// What came before an entry's own header.
struct TarStream::Extensions {
    Records records;
    std::optional<std::string> name, target;  // GNU's
    bool any = false;
};

namespace {

// "LENGTH KEY=VALUE\n", one after the other; the length counts itself. The two keys that come once
// for each piece of a sparse file (its place, its size) are put together to one list.
void parse_records(std::string_view text,
                   std::map<std::string, std::string, std::less<>>& records) {
    records.erase("GNU.sparse.map");
    bool wants_place = true;
    while (!text.empty()) {
        const size_t blank = text.find(' ');
        const auto length = parse_number<size_t>(text.substr(0, blank));
        if (!length || blank > 20 || *length < blank + 3 || *length > text.size() ||
            text[*length - 1] != '\n')
            damaged("an extended header has a record without its length");
        const std::string_view record = text.substr(blank + 1, *length - blank - 2);
        const size_t equals = record.find('=');
        if (equals == 0 || equals == std::string_view::npos)
            damaged("an extended header has a record without a name");
        const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
        const bool is_text = key == "path" || key == "linkpath" || key == "uname" || key == "gname";
        if (key.contains('\0') || (is_text && value.contains('\0')))
            damaged("an extended header has a zero byte in ", quoted(key));
        if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {
            if (wants_place != (key == "GNU.sparse.offset") || value.contains(','))
                damaged("the map of a sparse file is out of order");
            wants_place = !wants_place;
            records["GNU.sparse.map"] += str(value, ",");
        } else {
            records.insert_or_assign(std::string(key), std::string(value));
        }
        text.remove_prefix(*length);
    }
}

const std::string* find(const std::map<std::string, std::string, std::less<>>& records,
                        std::string_view key) {
    const auto at = records.find(key);
    return at == records.end() || at->second.empty() ? nullptr : &at->second;
}

}  // namespace

TarStream::TarStream(std::function<std::string_view()> read, std::function<bool(uint64_t)> skip)
    : read_(std::move(read)), skip_(std::move(skip)) {}

std::string_view TarStream::take(uint64_t most) {
    if (pending_.empty() && !ended_) {
        pending_ = read_();
        ended_ = pending_.empty();
    }
    const std::string_view piece = pending_.substr(0, most);
    pending_.remove_prefix(piece.size());
    position_ += piece.size();
    return piece;
}

// False at the end of the bytes.
bool TarStream::read_block(Header& header) {
    for (size_t have = 0; have < tar_block_size;) {
        const std::string_view piece = take(tar_block_size - have);
        if (piece.empty() && have == 0) return false;
        if (piece.empty()) cut_off();
        piece.copy(header.bytes + have, piece.size());
        have += piece.size();
    }
    return true;
}

// False at the end of the archive: two blocks of zeros, or no more bytes.
bool TarStream::read_header(Header& header) {
    const uint64_t at = position_;
    if (!read_block(header)) return false;
    if (header.is_zero()) {
        if (read_block(header) && !header.is_zero())
            damaged("there is one block of zeros alone at byte ", at);
        return false;
    }
    if (header.has_its_checksum()) return any_ = true;
    if (!any_) throw Error("not a tar archive");
    damaged("the header at byte ", at, " has another checksum");
}

void TarStream::skip(uint64_t count) {
    if (skip_ && count > pending_.size()) {
        const uint64_t beyond = count - pending_.size();
        if (!skip_(beyond)) cut_off();
        position_ += count;
        pending_ = {};
        return;
    }
    while (count > 0) {
        const std::string_view piece = take(count);
        if (piece.empty()) cut_off();
        count -= piece.size();
    }
}

std::string TarStream::read_extension(const Header& header, std::string_view what) {
    const uint64_t size = header.size();
    if (size > most_extension) damaged("there is a ", what, " of ", size, " bytes");
    std::string text;
    while (text.size() < size) {
        const std::string_view piece = take(size - text.size());
        if (piece.empty()) cut_off();
        text += piece;
    }
    skip(-size % tar_block_size);
    return text;
}

const TarEntry* TarStream::next() {
    skip(left_);
    skip(std::exchange(padding_, 0));
    left_ = 0;
    Header header;
    for (Extensions extensions;; extensions.any = true) {
        if (!read_header(header)) {
            if (extensions.any) damaged("it ends with an extended header");
            return nullptr;
        }
        switch (header.type()) {
            case 'x':
            case 'X':  // Solaris's
                parse_records(read_extension(header, "extended header"), extensions.records);
                break;
            case 'g': take_global(read_extension(header, "global header")); break;
            case 'L': extensions.name = up_to_zero(read_extension(header, "long name")); break;
            case 'K':
                extensions.target = up_to_zero(read_extension(header, "long target of a link"));
                break;
            default: describe(header, extensions); return &entry_;
        }
    }
}

// Docker's and containerd's readers overlook it; those that follow POSIX do not. Times and owners
// are told apart by nobody who judges an image; what names the files is refused.
void TarStream::take_global(const std::string& text) {
    Records records;
    parse_records(text, records);
    for (const auto& [key, value] : records) {
        if (key == "path" || key == "linkpath" || key == "size" || key.starts_with("GNU.sparse.") ||
            key.starts_with("SCHILY.xattr.") || key.starts_with("LIBARCHIVE.xattr."))
            damaged("a global header has a ", key, ", which only some readers would see");
        if (key == "uid" || key == "gid" || key == "mtime" || key == "atime")
            global_.insert_or_assign(key, value);
    }
}

static TarEntry::Type type_of(char flag, std::string_view name) {
    using enum TarEntry::Type;
    switch (flag) {
        case '\0': return name.ends_with('/') ? directory : file;  // before ustar
        case '0':
        case '7':
        case 'S': return file;
        case '1': return hard_link;
        case '2': return symlink;
        case '3': return character_device;
        case '4': return block_device;
        case '5': return directory;
        case '6': return fifo;
    }
    throw Error(quoted(name), ": an entry of the type ", quoted(std::string(1, flag)),
                " cannot be in a layer");
}

void TarStream::describe(const Header& header, const Extensions& extensions) {
    entry_ = {};
    Records records = global_;
    for (const auto& [key, value] : extensions.records) records.insert_or_assign(key, value);
    if ((extensions.name && find(extensions.records, "path")) ||
        (extensions.target && find(extensions.records, "linkpath")))
        damaged("an entry has a long name in two forms");

    entry_.name = extensions.name ? *extensions.name : header.name();
    entry_.target = extensions.target ? *extensions.target : header.text(157, 100);
    entry_.mode = uint32_t(header.number(100, 8, "mode")) & 07777;
    entry_.uid = header.number(108, 8, "owner");
    entry_.gid = header.number(116, 8, "group");
    entry_.modified.tv_sec = header.number(136, 12, "time");
    if (header.is_gnu() && header.bytes[345] != '\0')
        entry_.accessed = timespec{header.number(345, 12, "time of access"), 0};
    apply_records(records);

    entry_.type = type_of(header.type(), entry_.name);
    using enum TarEntry::Type;
    if (entry_.type == character_device || entry_.type == block_device) {
        entry_.device_major = uint64_t(header.number(329, 8, "device number"));
        entry_.device_minor = uint64_t(header.number(337, 8, "device number"));
    }
    if ((entry_.type == hard_link || entry_.type == symlink) && entry_.target.empty())
        damaged(quoted(entry_.name), " is a link without a target");
    find_content(header, records);
}

void TarStream::apply_records(const Records& records) {
    const auto number = [&](std::string_view key, int64_t& out) {
        const std::string* const text = find(records, key);
        if (!text) return;
        const auto value = parse_number<int64_t>(*text);
        if (!value) damaged("an extended header's ", key, " is no number: ", quoted(*text));
        out = *value;
    };
    if (const std::string* path = find(records, "path")) entry_.name = *path;
    if (const std::string* path = find(records, "linkpath")) entry_.target = *path;
    number("uid", entry_.uid);
    number("gid", entry_.gid);
    for (const auto& [key, value] : records) {
        constexpr std::string_view as_bytes = "SCHILY.xattr.", encoded = "LIBARCHIVE.xattr.";
        if (key == "mtime" || key == "atime") {
            if (value.empty()) continue;
            const auto time = record_time(value);
            if (!time) damaged("an extended header's ", key, " is no time: ", quoted(value));
            if (key == "mtime")
                entry_.modified = *time;
            else
                entry_.accessed = *time;
        } else if (key.starts_with(as_bytes)) {
            entry_.xattrs.insert_or_assign(key.substr(as_bytes.size()), value);
        } else if (key.starts_with(encoded)) {
            const auto name = from_url(std::string_view(key).substr(encoded.size())),
                       content = decode_base64(value, Padding::optional);
            if (!name || !content) damaged("an extended header's ", key, " is not in base64");
            if (name->contains('\0'))
                damaged("an extended header has a zero byte in ", quoted(key));
            entry_.xattrs.try_emplace(*name, *content);
        }
    }
}

// Where the content is, and how much of it. What is no file has none, whatever its header says.
void TarStream::find_content(const Header& header, const Records& records) {
    segment_ = 0, within_ = 0;
    entry_.data_at = position_;
    uint64_t stored = header.size();
    if (entry_.type != TarEntry::Type::file) return;

    const auto size_in = [&](std::string_view key) -> std::optional<uint64_t> {
        const std::string* const text = find(records, key);
        if (!text) return {};
        const auto value = parse_number<uint64_t>(*text);
        if (!value || *value > uint64_t(largest))
            damaged("an extended header's ", key, " is no size: ", quoted(*text));
        return value;
    };
    if (const auto size = size_in("size")) stored = *size;
    entry_.size = left_ = stored;
    padding_ = -stored % tar_block_size;

    if (header.type() == 'S') return read_old_map(header);
    const std::string* const major = find(records, "GNU.sparse.major");
    const std::string* const map = find(records, "GNU.sparse.map");
    if (!major && !map) return;
    if (const std::string* name = find(records, "GNU.sparse.name")) entry_.name = *name;
    auto real = size_in("GNU.sparse.realsize");
    if (!real) real = size_in("GNU.sparse.size");
    if (!real) damaged(quoted(entry_.name), " is a sparse file without its size");
    entry_.size = *real;
    if (map) return set_segments(map_of(*map, ','), *real);
    const std::string* const minor = find(records, "GNU.sparse.minor");
    if (*major != "1" || !minor || *minor != "0")
        damaged(quoted(entry_.name), " is a sparse file of an unknown form");
    read_new_map();
}

// GNU's old form: places in the header, and in as many blocks behind it as it takes.
void TarStream::read_old_map(const Header& header) {
    if (!header.is_gnu()) damaged(quoted(entry_.name), " is a sparse file, but not of GNU tar's");
    constexpr size_t entry_size = 24;
    std::vector<TarEntry::Segment> all;
    const auto take_places = [&](const Header& from, size_t at, size_t count) {
        for (size_t i = 0; i < count; ++i, at += entry_size) {
            if (from.bytes[at] == '\0') return;  // no more of them
            const auto offset = header_number(from.field(at, 12)),
                       size = header_number(from.field(at + 12, 12));
            if (!offset || !size || *offset < 0 || *size < 0)
                damaged(quoted(entry_.name), " is a sparse file whose map is not numbers");
            all.push_back({uint64_t(*offset), uint64_t(*size)});
        }
    };
    take_places(header, 386, 4);
    const auto real = header_number(header.field(483, 12));
    if (!real || *real < 0) damaged(quoted(entry_.name), " is a sparse file without its size");
    const uint64_t begin = position_;
    bool more = header.bytes[482] != '\0';
    for (Header block; more; more = block.bytes[504] != '\0') {
        if (position_ - begin >= most_extension)
            damaged(quoted(entry_.name), " is a sparse file of too many pieces");
        if (!read_block(block)) cut_off();
        take_places(block, 0, 21);
    }
    entry_.data_at = position_;
    set_segments(std::move(all), uint64_t(*real));
}

// Pax's form 1.0: the content begins with the number of pieces and their places, a line each,
// filled up to a block.
void TarStream::read_new_map() {
    std::string text;
    uint64_t lines = 0, wanted = 1;
    for (Header block; lines < wanted;) {
        if (left_ < tar_block_size || text.size() >= most_extension)
            damaged(quoted(entry_.name), " is a sparse file whose map does not end");
        if (!read_block(block)) cut_off();
        left_ -= tar_block_size;
        const std::string_view piece = block.field(0, tar_block_size);
        lines += uint64_t(std::ranges::count(piece, '\n'));
        text += piece;
        if (wanted > 1 || lines == 0) continue;
        const auto count =
            parse_number<uint32_t>(std::string_view(text).substr(0, text.find('\n')));
        if (!count) damaged(quoted(entry_.name), " is a sparse file whose map is not numbers");
        wanted = 1 + uint64_t(*count) * 2;
    }
    std::string_view list(text);
    list.remove_prefix(list.find('\n') + 1);
    size_t end = 0;
    for (uint64_t line = 1; line < wanted; ++line) end = list.find('\n', end) + 1;
    entry_.data_at = position_;
    set_segments(map_of(list.substr(0, end == 0 ? 0 : end - 1), '\n'), entry_.size);
}

void TarStream::set_segments(std::vector<TarEntry::Segment> all, uint64_t size) {
    uint64_t end = 0, stored = 0;
    for (const TarEntry::Segment& segment : all) {
        if (segment.offset < end || segment.offset > size || segment.size > size - segment.offset)
            damaged(quoted(entry_.name), " is a sparse file whose pieces do not fit it");
        end = segment.offset + segment.size;
        stored += segment.size;
    }
    if (stored != left_)
        damaged(quoted(entry_.name), " is a sparse file of ", stored, " bytes, but ", left_,
                " are there");
    std::erase_if(all, [](const TarEntry::Segment& segment) { return segment.size == 0; });
    entry_.size = size;
    entry_.segments = std::move(all);
}

std::optional<TarStream::Block> TarStream::read() {
    if (left_ == 0) return {};
    uint64_t offset = 0, most = left_;
    if (entry_.segments) {
        if (within_ == (*entry_.segments)[segment_].size) ++segment_, within_ = 0;
        const TarEntry::Segment& segment = (*entry_.segments)[segment_];
        offset = segment.offset, most = segment.size - within_;
    }
    const std::string_view piece = take(most);
    if (piece.empty()) cut_off();
    const Block block{offset + within_, piece};
    left_ -= piece.size(), within_ += piece.size();
    return block;
}
