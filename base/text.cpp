// What others wrote, on a terminal: a control character would steer it, in C1's form (two bytes of
// UTF-8) too, and marks that turn the direction of writing would show other words than are there.
#include "base/text.h"

namespace {

constexpr char hex[] = "0123456789abcdef";

void escape_ascii(std::string& out, char c) {
    const auto byte = static_cast<unsigned char>(c);
    constexpr std::string_view named = "\a\b\t\n\v\f\r", names = "abtnvfr";
    if (const size_t at = named.find(c); at != std::string_view::npos)
        out += {'\\', names[at]};
    else if (byte == 0x7f)
        out += "\\u007f";  // which JSON reads, too
    else
        out += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
}

// The character of two or three bytes of UTF-8 that begins there, if it is one that steers: the
// controls above 0x7f, the separators of lines, the marks that turn the direction of writing.
uint32_t steering_character(std::string_view text) {
    const auto byte = [&](size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    if (byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) < 0xa0) return byte(1);
    if (byte(0) != 0xe2 || (byte(1) != 0x80 && byte(1) != 0x81)) return 0;
    const uint32_t character = 0x2000 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    const bool steers = (character >= 0x200e && character <= 0x200f) ||
                        (character >= 0x2028 && character <= 0x202e) ||
                        (character >= 0x2066 && character <= 0x2069);
    return steers ? character : 0;
}

}  // namespace

std::string visible(std::string_view text, std::string_view kept) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (const uint32_t steers = byte < 0xc0 ? 0 : steering_character(text.substr(i))) {
            out += "\\u";
            for (const int shift : {12, 8, 4, 0}) out += hex[steers >> shift & 15];
            i += steers < 0x100 ? 1 : 2;
        } else if ((byte < 0x20 || byte == 0x7f) && !kept.contains(text[i])) {
            escape_ascii(out, text[i]);
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return visible(out) + '"';
}
