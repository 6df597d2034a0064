#include "base/base64.h"

#include <cstdint>

static constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string encode_base64(std::string_view bytes) {
    std::string out;
    uint32_t bits = 0;
    int count = 0;
    for (const char c : bytes) {
        bits = bits << 8 | uint8_t(c);
        for (count += 8; count >= 6; count -= 6) out += base64_digits[bits >> (count - 6) & 63];
    }
    if (count > 0) out += base64_digits[bits << (6 - count) & 63];
    out.resize((out.size() + 3) / 4 * 4, '=');
    return out;
}

std::optional<std::string> decode_base64(std::string_view text, Padding padding) {
    const bool is_needed = padding == Padding::needed;
    if (is_needed && text.size() % 4 != 0) return {};
    for (size_t most = is_needed ? 2 : text.size(); most > 0 && text.ends_with('='); --most)
        text.remove_suffix(1);
    std::string out;
    uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const size_t digit = base64_digits.find(c);
        if (digit == std::string_view::npos) return {};
        bits = bits << 6 | uint32_t(digit);
        if ((count += 6) < 8) continue;
        count -= 8;
        out += char(bits >> count & 0xff);
    }
    return out;
}
