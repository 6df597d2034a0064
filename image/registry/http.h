// HTTP over libcurl, for the registry's client: requests with bodies, over connections that are
// kept.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

struct HttpResponse {
    long status = 0;
    std::multimap<std::string, std::string> headers;  // names in lower case
    std::string body;
    std::string url;  // who gave it, behind all redirects

    std::string header(const std::string& name) const {
        const auto at = headers.find(name);
        return at == headers.end() ? "" : at->second;
    }
    bool is_success() const { return status / 100 == 2; }
};

// What is believed of a host before it has said anything.
struct Trust {
    bool plain_http = false;       // http:// may be spoken
    bool unverified = false;       // and https with any certificate
    std::string authorities;       // certificates in PEM, beside those of the machine
    std::string certificate, key;  // files, by which we show who we are
};

struct HttpBody {
    std::string type;  // its Content-Type
    std::string text;  // this, or, if there is a descriptor,
    int fd = -1;       // so many bytes of a file, from there on
    int64_t offset = 0, size = 0;
};

struct HttpRequest {
    std::string method = "GET";
    std::string url;
    std::vector<std::string> headers;  // "Accept: …"
    std::string authorization;         // "Basic …"; for this URL's origin alone
    Trust trust;
    std::optional<HttpBody> body;        // may be empty, which is not the same as none
    size_t most_body = size_t(4) << 20;  // of the answer
    // Takes the body of a 2xx answer piece by piece instead; all else of it is known by then. What
    // it throws ends the transfer.
    std::function<void(const HttpResponse& answer, std::string_view piece)> sink;
    std::function<void(uint64_t bytes)> sent;  // so many more of the request's body
    int patience = 1;  // in how many times the usual length a transfer may stand still
};

// The server could not be talked to, or not to the end: nothing is said about what was asked for.
struct TransportError : Error {
    enum class Why { broken, unreachable, not_tls, untrusted };
    template <class... Parts>
    explicit TransportError(Why reason, const Parts&... parts) : Error(parts...), why(reason) {}
    Why why;
};

// Of several threads, each of whose requests takes a connection that stands idle, if there is one.
class Http {
public:
    Http();
    ~Http();
    Http(const Http&) = delete;
    Http& operator=(const Http&) = delete;

    // Redirects are followed, at most ten; what is ours alone (authorization, a client's
    // certificate) goes to no other origin, and nothing goes from https to http unless the trust
    // says so. A request with a body follows only where it keeps its method (307, 308). Throws
    // TransportError if nobody answers for 30 seconds, or if for a minute (KEG_REGISTRY_TIMEOUT)
    // next to nothing comes or goes; a status like 404 is an answer. Proxies are those of the
    // environment, for other machines.
    HttpResponse send(HttpRequest request);

private:
    class Pool;
    std::unique_ptr<Pool> pool_;
};
