// What is hard is to believe no length: each label's is checked against what is left, and their sum
// against the longest name, before a byte of it is taken.
#include "container/dns_message.h"

#include <cctype>

#include "base/text.h"

static constexpr size_t head_size = 12, longest_label = 63, longest_name = 255;
static constexpr uint16_t is_answer = 0x8000, opcode = 0x7800, recursion_desired = 0x0100,
                          recursion_available = 0x0080;
static constexpr uint32_t seconds_to_live = 600;  // Docker's

static uint16_t number_at(std::string_view message, size_t at) {
    return uint16_t(uint8_t(message[at]) << 8 | uint8_t(message[at + 1]));
}
static void put(std::string& out, uint16_t number) {
    out += char(number >> 8), out += char(number & 255);
}

std::optional<DnsQuestion> read_dns_question(std::string_view message) {
    if (message.size() < head_size) return {};
    DnsQuestion question{.id = number_at(message, 0), .flags = number_at(message, 2)};
    if ((question.flags & (is_answer | opcode)) || number_at(message, 4) != 1) return {};
    size_t at = head_size;
    for (;;) {
        if (at >= message.size()) return {};
        const size_t length = uint8_t(message[at++]);
        if (length == 0) break;
        if (length > longest_label || at + length > message.size() || at > longest_name + head_size)
            return {};
        if (!question.name.empty()) question.name += '.';
        for (const char c : message.substr(at, length))
            question.name += char(std::tolower(static_cast<unsigned char>(c)));
        at += length;
    }
    if (at + 4 > message.size()) return {};
    question.type = number_at(message, at), question.kind = number_at(message, at + 2);
    question.end = at + 4;
    return question;
}

// A name in text as labels; what is too long for one is cut off.
static std::string labels_of(const std::string& name) {
    std::string out;
    for (const std::string& label : split(name, '.')) {
        if (label.empty()) continue;
        const std::string_view part = std::string_view(label).substr(0, longest_label);
        out += char(part.size());
        out += part;
    }
    return out + '\0';
}

std::string dns_answer(std::string_view message, const DnsQuestion& question, DnsCode code,
                       const std::vector<std::string>& data) {
    std::string out;
    put(out, question.id);
    put(out, uint16_t(is_answer | (question.flags & recursion_desired) | recursion_available |
                      uint16_t(code)));
    put(out, 1), put(out, uint16_t(data.size())), put(out, 0), put(out, 0);
    out += message.substr(head_size, question.end - head_size);
    for (const std::string& record : data) {
        const std::string bytes = question.type == dns_ptr ? labels_of(record) : record;
        put(out, 0xc000 | head_size);  // the question's name
        put(out, question.type), put(out, question.kind);
        put(out, uint16_t(seconds_to_live >> 16)), put(out, uint16_t(seconds_to_live & 0xffff));
        put(out, uint16_t(bytes.size()));
        out += bytes;
    }
    return out;
}

std::optional<uint32_t> address_of_reverse(std::string_view name) {
    static constexpr std::string_view end = ".in-addr.arpa";
    if (!name.ends_with(end)) return {};
    const std::vector<std::string> parts = split(name.substr(0, name.size() - end.size()), '.');
    if (parts.size() != 4) return {};
    uint32_t address = 0;
    for (size_t i = 4; i-- > 0;) {
        const auto byte = parse_number<uint8_t>(parts[i]);
        if (!byte) return {};
        address = address << 8 | *byte;
    }
    return address;
}
