// The grammar of distribution/reference, and Docker's way of completing short names: the part
// before the first "/" is a host if it has a "." or ":", is "localhost" or has upper case;
// otherwise the name is Docker Hub's, and one word is under "library/". Names become parts of URLs
// and of annotations, so nothing that is not in the grammar may pass.
#include "image/reference.h"

#include <algorithm>

#include "base/error.h"
#include "image/digest.h"

namespace {

constexpr size_t most_name = 255, most_tag = 128;
constexpr std::string_view hub = "docker.io", hub_library = "library/";

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_lower(c) || is_upper(c) || is_digit(c) || c == '_'; }

bool all_parts(std::string_view text, char separator, const auto& is_good) {
    for (;;) {
        const size_t end = text.find(separator);
        if (!is_good(text.substr(0, end))) return false;
        if (end == std::string_view::npos) return true;
        text.remove_prefix(end + 1);
    }
}

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_path_component(std::string_view text) {
    const auto is_plain = [](char c) { return is_lower(c) || is_digit(c); };
    if (text.empty() || !is_plain(text.front()) || !is_plain(text.back())) return false;
    for (size_t i = 0; i < text.size();) {
        if (is_plain(text[i])) {
            ++i;
            continue;
        }
        const size_t end =
            size_t(std::find_if(text.begin() + long(i), text.end(), is_plain) - text.begin());
        const std::string_view separator = text.substr(i, end - i);
        if (separator != "." && separator != "_" && separator != "__" &&
            separator.find_first_not_of('-') != std::string_view::npos)
            return false;
        i = end;
    }
    return true;
}

// Host names, IPv4 and [IPv6] addresses, with a port or without.
bool is_domain(std::string_view text) {
    if (text.starts_with('[')) {
        const size_t close = text.find(']');
        if (close == std::string_view::npos || close == 1) return false;
        const std::string_view address = text.substr(1, close - 1);
        if (address.find_first_not_of("0123456789abcdefABCDEF:") != std::string_view::npos)
            return false;
        text.remove_prefix(close + 1);
        return text.empty() ||
               (text.size() > 1 && text[0] == ':' && std::ranges::all_of(text.substr(1), is_digit));
    }
    const size_t colon = text.find(':');
    if (colon != std::string_view::npos) {
        const std::string_view port = text.substr(colon + 1);
        if (port.empty() || !std::ranges::all_of(port, is_digit)) return false;
        text = text.substr(0, colon);
    }
    return all_parts(text, '.', [](std::string_view label) {
        return !label.empty() && label.front() != '-' && label.back() != '-' &&
               std::ranges::all_of(label,
                                   [](char c) { return c == '-' || (is_word(c) && c != '_'); });
    });
}

bool is_tag(std::string_view text) {
    return !text.empty() && text.size() <= most_tag && is_word(text[0]) &&
           std::ranges::all_of(text, [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool looks_like_host(std::string_view first) {
    return first.find_first_of(".:[") != std::string_view::npos || first == "localhost" ||
           std::ranges::any_of(first, is_upper);
}

bool is_whole_id(std::string_view text) {
    return text.size() == 64 &&
           std::ranges::all_of(text, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string Reference::canonical() const {
    return repository() + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest);
}

std::string Reference::familiar_repository() const {
    if (domain != hub) return repository();
    if (path.starts_with(hub_library) && path.find('/', hub_library.size()) == std::string::npos)
        return path.substr(hub_library.size());
    // What begins like a host would be taken for one.
    return looks_like_host(path.substr(0, path.find('/'))) ? repository() : path;
}

std::string Reference::familiar() const {
    return familiar_repository() + (tag.empty() ? "" : ":" + tag) +
           (digest.empty() ? "" : "@" + digest);
}

Reference parse_reference(std::string_view text) {
    if (is_whole_id(text))
        throw Error("invalid repository name (", text,
                    "), cannot specify 64-byte hexadecimal strings");
    Reference out;
    std::string_view rest = text;
    if (const size_t at = rest.find('@'); at != std::string_view::npos) {
        if (!Digest::is_valid(rest.substr(at + 1)))
            throw Error("invalid reference format: ", quoted(text));
        out.digest = rest.substr(at + 1);
        rest = rest.substr(0, at);
    }
    // A colon before the last slash is a port's.
    const size_t slash = rest.rfind('/');
    if (const size_t colon = rest.rfind(':');
        colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
        if (!is_tag(rest.substr(colon + 1)))
            throw Error("invalid reference format: ", quoted(text));
        out.tag = rest.substr(colon + 1);
        rest = rest.substr(0, colon);
    }
    const size_t first = rest.find('/');
    if (first != std::string_view::npos && looks_like_host(rest.substr(0, first))) {
        out.domain = rest.substr(0, first);
        out.path = rest.substr(first + 1);
    } else {
        out.domain = hub;
        out.path =
            (first == std::string_view::npos ? std::string(hub_library) : "") + std::string(rest);
    }
    if (out.domain == "index.docker.io") out.domain = hub;
    if (std::ranges::any_of(out.path, is_upper))
        throw Error("invalid reference format: repository name (", out.path, ") must be lowercase");
    if (rest.empty() || !is_domain(out.domain) || !all_parts(out.path, '/', is_path_component))
        throw Error("invalid reference format: ", quoted(text));
    if (out.domain == hub && out.path.find('/') == std::string::npos)
        out.path = std::string(hub_library) + out.path;
    if (out.domain.size() + 1 + out.path.size() > most_name)
        throw Error("invalid reference format: repository name must not be more than ", most_name,
                    " characters");
    if (out.tag.empty() && out.digest.empty()) out.tag = "latest";
    return out;
}

bool is_name(std::string_view word, const Reference& name) {
    if (is_whole_id(word)) return false;
    const Reference typed = parse_reference(word);
    return typed.repository() == name.repository() &&
           (!typed.digest.empty() || typed.tag == name.tag);
}

bool has_tag_or_digest(std::string_view word) {
    return word.find_first_of("@:", word.rfind('/') + 1) != std::string_view::npos;
}
