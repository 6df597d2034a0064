// One repository of one registry, as somebody who may ask it: requests with who we are, tried again
// where that helps. What is asked is in repository.h.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "image/registry/auth.h"
#include "image/registry/hosts.h"
#include "image/registry/http.h"

class Session {
public:
    // `actions`: "pull" or "pull,push". Nothing is sent yet. Who we are is what files say, or
    // `credentials`.
    Session(Place place, std::string actions, std::function<Credentials()> credentials = {});

    struct Ask {
        std::string method = "GET";
        std::string path;  // "manifests/latest", of this repository; or a whole URL
        std::vector<std::string> headers = {};
        std::optional<HttpBody> body = {};
        std::string also_pulls = {};  // another repository that a blob is to come from
        decltype(HttpRequest::sink) sink = {};
        decltype(HttpRequest::sent) sent = {};
        int patience = 1;
    };
    // Any answer is one, a refusal too. Throws TransportError as Http::send does.
    HttpResponse send(const Ask& ask);
    // The same for what may be asked twice: a busy server is asked again, and so is one whose
    // connection broke. The last answer, or error, is the result.
    HttpResponse send_patiently(const Ask& ask);
    // Whether the registry is one, and knows us: GET /v2/.
    HttpResponse greet();

    const Place& place() const { return place_; }
    // What went wrong, and who said so: "pushing app: denied: … (registry quay.io, repository
    // lib/app, status 403)". `why` is in place of the answer's own words.
    Error error(const std::string& doing, const HttpResponse& answer) const;
    Error error(const std::string& doing, const std::string& why, const HttpResponse& answer) const;
    bool lacks_password() { return auth_.lacks_password(); }

private:
    const std::string& base();
    HttpResponse send_as(const std::string& url, const Ask& ask, const Scopes& scopes);

    Place place_;
    std::string actions_;
    Http http_;
    Auth auth_;
    std::mutex mutex_;
    std::string base_;  // "https://quay.io/v2/", once it is known
};
