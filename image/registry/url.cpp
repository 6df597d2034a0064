// A host and a port can be written in several ways, and whether two URLs mean the same decides who
// gets to see credentials: so they are compared by their origin, never as texts.
#include "image/registry/url.h"

#include <cctype>

#include "base/error.h"

Url parse_url(std::string_view text) {
    const auto invalid = [&](const char* why) -> Error {
        return Error("the URL ", ::quoted(without_query(text)), why);
    };
    const size_t colon = text.find("://");
    if (colon == std::string_view::npos) throw invalid(" is not absolute");
    Url url;
    url.scheme = lower(std::string(text.substr(0, colon)));
    if (url.scheme != "https" && url.scheme != "http") throw invalid(" is neither https nor http");
    text.remove_prefix(colon + 3);
    const size_t end = std::min(text.find_first_of("/?#"), text.size());
    url.authority = lower(std::string(text.substr(0, end)));
    url.rest = text.substr(end, text.find('#') - end);
    if (url.authority.empty()) throw invalid(" has no host");
    if (url.authority.contains('@')) throw invalid(" has a user in it");
    for (const char c : url.authority)
        if (static_cast<unsigned char>(c) <= ' ' || c == '\\' || c == '"')
            throw invalid(" has no host");
    if (!url.rest.starts_with('/')) url.rest.insert(0, "/");
    return url;
}

std::string Url::origin() const {
    // The colons of an IPv6 address stand within brackets.
    const bool has_port = authority.find(':', authority.find(']') + 1) != std::string::npos;
    return str(scheme, "://", authority, has_port ? "" : scheme == "https" ? ":443" : ":80");
}

Url resolve_url(const Url& base, std::string_view location) {
    const size_t colon = location.find("://");
    if (colon != std::string_view::npos && colon < location.find_first_of("/?#"))
        return parse_url(location);
    if (location.starts_with("//")) return parse_url(str(base.scheme, ":", location));
    Url url = base;
    const std::string path = base.rest.substr(0, base.rest.find('?'));
    if (location.starts_with('/'))
        url.rest = location;
    else if (location.starts_with('?'))
        url.rest = path + std::string(location);
    else
        url.rest = path.substr(0, path.rfind('/') + 1) + std::string(location);
    return parse_url(url.text());
}

std::string url_encoded(std::string_view text) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) || std::string_view("-._~").contains(c))
            out += c;
        else
            out += {'%', hex[byte >> 4], hex[byte & 15]};
    }
    return out;
}

std::string with_parameter(std::string url, std::string_view name, std::string_view value) {
    url += url.contains('?') ? '&' : '?';
    return str(url, name, "=", url_encoded(value));
}

std::string without_query(std::string_view url) {
    return std::string(url.substr(0, url.find_first_of("?#")));
}

bool is_loopback(std::string_view authority) {
    if (authority.starts_with("[")) return authority.starts_with("[::1]");
    const std::string_view host = authority.substr(0, authority.find(':'));
    return host == "localhost" ||
           (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}
