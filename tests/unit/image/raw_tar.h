// Tars made by hand, right and wrong in every field.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

inline const std::string gnu_magic("ustar  \0", 8);

// One tar entry, its header made field by field.
struct Raw {
    std::string name;
    char type = '0';
    std::string data = {}, link = {};
    unsigned mode = 0644;
    std::string uid = "0000000";  // as it stands in the header
    std::string size = {};        // as it stands there, if not the data's
    std::string magic = std::string("ustar\0"
                                    "00",
                                    8);
    std::string prefix = {};
    unsigned major = 0, minor = 0;
    std::string sparse = {};  // from offset 386: GNU's old sparse map
    bool bad_checksum = false;
};

inline std::string octal(uint64_t value, int digits) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
    return text;
}

inline std::string raw_entry(const Raw& raw) {
    std::string h(512, '\0');
    const auto put = [&](size_t at, const std::string& text) { h.replace(at, text.size(), text); };
    put(0, raw.name.substr(0, 100));
    put(100, octal(raw.mode, 7));
    put(108, raw.uid);
    put(116, "0000000");
    put(124, raw.size.empty() ? octal(raw.data.size(), 11) : raw.size);
    put(136, octal(1000, 11));
    h[156] = raw.type;
    put(157, raw.link.substr(0, 100));
    put(257, raw.magic);
    if (raw.magic.starts_with("ustar")) {
        put(329, octal(raw.major, 7));
        put(337, octal(raw.minor, 7));
        put(345, raw.prefix);
    }
    put(386, raw.sparse);
    put(148, "        ");
    unsigned sum = raw.bad_checksum ? 1 : 0;
    for (const char c : h) sum += static_cast<unsigned char>(c);
    put(148, octal(sum, 6) + std::string("\0 ", 2));
    std::string out = h + raw.data;
    out.resize((out.size() + 511) / 512 * 512);
    return out;
}

inline std::string raw_tar(const std::vector<Raw>& entries) {
    std::string out;
    for (const Raw& entry : entries) out += raw_entry(entry);
    return out + std::string(1024, '\0');
}

// A pax extended header with these records.
inline Raw pax(const std::vector<std::pair<std::string, std::string>>& records, char type = 'x') {
    Raw out{.name = "PaxHeaders/x", .type = type};
    for (const auto& [key, value] : records) {
        const size_t rest = key.size() + value.size() + 3;  // blank, "=", line end
        size_t length = rest + 1;
        while (std::to_string(length).size() + rest != length)
            length = std::to_string(length).size() + rest;
        out.data += std::to_string(length) + " " + key + "=" + value + "\n";
    }
    return out;
}
