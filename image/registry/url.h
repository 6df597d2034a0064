// What a registry's client does with URLs: who is meant, and where a relative one leads.
#pragma once

#include <string>
#include <string_view>

struct Url {
    std::string scheme, authority;  // "https" and "host:port", in lower case
    std::string rest;               // "/path?query"

    std::string text() const { return scheme + "://" + authority + rest; }
    // Who is spoken to: scheme, host and port, whether the port was written or not.
    std::string origin() const;
};

// Throws Error for what is no http or https URL, and for one with a user's name in it, which a
// registry has no business to send.
Url parse_url(std::string_view text);
// Where a Location leads that came with an answer from `base`.
Url resolve_url(const Url& base, std::string_view location);

std::string url_encoded(std::string_view text);
// Behind a "?", or an "&" if there is a query already.
std::string with_parameter(std::string url, std::string_view name, std::string_view value);
// For people: a query may hold a signature, which is as good as a password.
std::string without_query(std::string_view url);
// "localhost:5000", "127.0.0.1", "[::1]:5000".
bool is_loopback(std::string_view authority);
