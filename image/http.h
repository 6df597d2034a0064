// One HTTP request over libcurl, for the registry's client.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

struct HttpResponse {
    long status = 0;
    std::multimap<std::string, std::string> headers;  // names in lower case
    std::string body;

    std::string header(const std::string& name) const {
        const auto at = headers.find(name);
        return at == headers.end() ? "" : at->second;
    }
};

struct HttpRequest {
    std::string url;
    std::vector<std::string> headers;    // "Accept: …"
    bool plain_http = false;             // http:// may be spoken, also where a redirect leads
    size_t most_body = size_t(4) << 20;  // of `body`
    // Takes the body of a 2xx answer piece by piece instead; the status and the headers are known
    // by then. What it throws ends the transfer.
    std::function<void(const HttpResponse& answer, std::string_view piece)> sink;
};

// The server could not be talked to: nothing is said about what was asked for.
struct TransportError : Error {
    using Error::Error;
    bool not_tls = false;  // it does not speak TLS
    TransportError because(bool speaks_no_tls) && {
        not_tls = speaks_no_tls;
        return std::move(*this);
    }
};

// Redirects are followed, at most ten, without credentials for other hosts. Throws TransportError
// if nobody answers for 30 seconds, or the transfer stands still for a minute; a status like 404 is
// an answer.
HttpResponse http_get(const HttpRequest& request);
