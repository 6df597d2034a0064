// What is hard is to be strict and refuse no image that is in use: an empty protocol is tcp, a path
// may be relative or climb above the root, a signal may be a number or lack its SIG. What is
// refused is refused in Docker's words where Docker has some. Real-time signals have the numbers
// that Docker gives them, not what this libc's RTMIN is.
#include "spec/image_words.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/signal_names.h"

namespace spec {

namespace {

constexpr size_t longest_path = 4095, longest_user = 1024, longest_media_type = 255;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// As Docker's words have it, without quotes, if that is plain to see.
std::string shown(std::string_view text) {
    const bool plain = !text.empty() && std::ranges::all_of(text, [](char c) {
        return c > ' ' && c < 0x7f && c != '"';
    });
    return plain && text.size() <= 100 ? std::string(text) : quoted(text.substr(0, 100));
}

std::string cleaned(std::string_view written) {
    std::vector<std::string> parts;
    for (std::string& part : split(written, '/'))
        if (part == "..") {
            if (!parts.empty()) parts.pop_back();
        } else if (!part.empty() && part != ".") {
            parts.push_back(std::move(part));
        }
    return "/" + join(parts, "/");
}

}  // namespace

ContainerPath::ContainerPath(std::string_view written) : written_(written) {
    if (written.empty() || written.size() > longest_path || written.contains('\0'))
        throw Error(quoted(written.substr(0, 100)), " is no path: expected 1 to ", longest_path,
                    " bytes");
    if (written.contains(':'))
        throw Error(quoted(written.substr(0, 200)), " is no path in a container: it has a \":\"");
    path_ = cleaned(written);
}

// --- ports

Port::Port(uint16_t number, std::string_view protocol)
    : number_(number), protocol_(lower(std::string(protocol))) {
    static constexpr std::string_view known[] = {"tcp", "udp", "sctp"};
    if (std::ranges::find(known, protocol_) == std::end(known))
        throw Error("invalid proto: ", shown(protocol_));
    if (number == 0) throw Error("invalid containerPort: 0");
}

std::string Port::text() const { return str(number_, "/", protocol_); }

std::set<Port> parse_ports(std::string_view text) {
    const size_t slash = text.find('/');
    const std::string_view protocol = slash == std::string_view::npos || slash + 1 == text.size()
                                          ? "tcp"
                                          : text.substr(slash + 1);
    const auto ends = split(text.substr(0, slash), '-');
    const auto first = parse_number<uint16_t>(ends[0]), last = parse_number<uint16_t>(ends.back());
    if (ends.size() > 2 || !first || !last || *last < *first)
        throw Error("invalid containerPort: ", shown(text));
    std::set<Port> out;
    for (unsigned number = *first; number <= *last; ++number)
        out.emplace(uint16_t(number), protocol);
    return out;
}

// --- processes

bool Variable::is_one(std::string_view text) {
    const size_t equals = text.find('=');
    return equals != 0 && equals != std::string_view::npos && !text.contains('\0');
}

Variable::Variable(std::string text) : text_(std::move(text)), equals_(text_.find('=')) {
    if (!is_one(text_)) throw Error("invalid environment variable: ", quoted(text_.substr(0, 100)));
}
Variable::Variable(std::string_view name, std::string_view value)
    : Variable(str(name, "=", value)) {
    if (equals_ != name.size())
        throw Error("invalid environment variable: ", quoted(name.substr(0, 100)));
}

UserName::UserName(const std::string& text) : text_(text) {
    const auto parts = split(text, ':');
    if (parts.size() > 2 || text.size() > longest_user || std::ranges::any_of(text, is_control))
        throw Error("invalid user ", quoted(text.substr(0, 100)), ": expected USER[:GROUP]");
    user_ = parts[0];
    if (parts.size() == 2) group_ = parts[1];
}

static int signal_number(const std::string& text) {
    if (const auto number = parse_number<int>(text))
        return *number <= last_realtime_signal ? std::max(*number, 0) : 0;
    return signal_of_name(text).value_or(0);
}

Signal::Signal(const std::string& text) : text_(text), number_(signal_number(text)) {
    if (!text.empty() && number_ == 0) throw Error("invalid signal: ", shown(text));
}

// --- texts

void check_digest(std::string_view text) {
    const size_t colon = text.find(':');
    const std::string_view algorithm = text.substr(0, colon),
                           encoded = colon == std::string_view::npos ? "" : text.substr(colon + 1);
    const auto is_component = [](const std::string& part) {
        return !part.empty() && std::ranges::all_of(part, [](char c) {
            return is_digit(c) || (c >= 'a' && c <= 'z');
        });
    };
    std::string components(algorithm);
    std::ranges::replace_if(
        components, [](char c) { return c == '+' || c == '.' || c == '_' || c == '-'; }, '.');
    bool good = !encoded.empty() && std::ranges::all_of(split(components, '.'), is_component) &&
                std::ranges::all_of(encoded, [](char c) {
                    return is_letter(c) || is_digit(c) || c == '=' || c == '_' || c == '-';
                });
    for (const auto& [name, digits] :
         {std::pair("sha256", size_t(64)), std::pair("sha512", size_t(128))})
        if (algorithm == name)
            good = good && encoded.size() == digits &&
                   encoded.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    if (!good)
        throw Error("invalid digest ", quoted(text.substr(0, 200)),
                    ": expected sha256: and 64 lower-case hex digits");
}

void check_media_type(std::string_view text) {
    const auto parts = split(text, '/');
    const auto is_name = [](const std::string& part) {
        return !part.empty() && (is_letter(part[0]) || is_digit(part[0])) &&
               std::ranges::all_of(part, [](char c) {
                   return is_letter(c) || is_digit(c) || std::string_view("!#$&-^_.+").contains(c);
               });
    };
    if (parts.size() != 2 || text.size() > longest_media_type ||
        !std::ranges::all_of(parts, is_name))
        throw Error(quoted(text.substr(0, 200)), " is no media type");
}

void check_platform_word(std::string_view text) {
    if (text.size() > 255 || !std::ranges::all_of(text, [](char c) {
            return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_';
        }))
        throw Error(quoted(text.substr(0, 100)), " is no word of a platform");
}

}  // namespace spec
