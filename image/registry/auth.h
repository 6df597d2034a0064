// How a registry is told who asks: nothing, a password (Basic), or tokens for what is to be done.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "image/registry/challenge.h"
#include "image/registry/credentials.h"
#include "image/registry/http.h"

// "repository:lib/app:pull,push"; several where a blob comes from another repository.
using Scopes = std::vector<std::string>;

// Of one registry, for several threads.
class Auth {
public:
    // `credentials` is asked once, and only if the registry wants to know.
    Auth(Http& http, Trust trust, std::function<Credentials()> credentials);

    // What to send for that work: the word behind "Authorization: "; "" before the registry has
    // asked for anything. A token is had before it is over.
    std::string header(const Scopes& scopes);
    // The registry has answered 401 to `sent`.
    struct Renewal {
        bool worth_it = false;                // there is another header to try
        std::optional<HttpResponse> refusal;  // what the token server said, if it said no
    };
    Renewal renew(const HttpResponse& refused, const Scopes& scopes, const std::string& sent);
    // Does the registry want a password, of which there is none?
    bool lacks_password();

private:
    struct Token {
        std::string text;
        std::chrono::steady_clock::time_point end;
    };
    std::string header_now(const Scopes& scopes);
    const Credentials& credentials();
    std::string basic();
    bool choose(const HttpResponse& refused);
    std::string token(const Scopes& scopes);
    Token read_token(const HttpResponse& answer) const;
    HttpRequest token_request(const Scopes& scopes);

    Http& http_;
    Trust trust_;
    std::function<Credentials()> find_;
    std::mutex mutex_;
    std::optional<Credentials> credentials_;
    std::optional<Challenge> challenge_;
    bool at_plain_http_ = false;  // the registry that asked
    std::map<Scopes, Token> tokens_;
    std::map<Scopes, Scopes> widened_;  // by what the registry said that it lacks
    std::optional<HttpResponse> refusal_;
};
