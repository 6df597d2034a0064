// Whether a registry speaks TLS can only be found out by asking, and is asked only where plain HTTP
// may be spoken: elsewhere a failure of TLS must stay a failure. An upload goes to whatever URL the
// registry has named, which may be another machine's: who we are is for the registry alone.
#include "image/registry/session.h"

#include "image/registry/refusal.h"
#include "image/registry/retry.h"
#include "image/registry/url.h"

Session::Session(Place place, std::string actions, std::function<Credentials()> credentials)
    : place_(std::move(place)), actions_(std::move(actions)),
      auth_(
          http_, place_.trust, credentials ? std::move(credentials) : [name = place_.name] {
              return find_credentials(name);
          }) {}

Error Session::error(const std::string& doing, const std::string& why,
                     const HttpResponse& answer) const {
    const std::string page = refusal_of(answer).page, by = parse_url(answer.url).authority;
    return Error(doing, ": ", why, " (registry ", place_.host, ", repository ", place_.repository,
                 ", status ", answer.status, by == place_.host ? "" : ", says " + by,
                 page.empty() ? "" : ", and no registry's answer but a page of type " + page, ")");
}
Error Session::error(const std::string& doing, const HttpResponse& answer) const {
    return error(doing, refusal_of(answer).text(), answer);
}

const std::string& Session::base() {
    const std::lock_guard one_thread(mutex_);
    if (!base_.empty()) return base_;
    const std::string secure = "https://" + place_.host + "/v2/";
    if (!place_.trust.plain_http) return base_ = secure;
    try {
        http_.send({.url = secure, .trust = place_.trust, .body = {}});
        base_ = secure;
    } catch (const TransportError& e) {
        // Of another machine, nothing may listen where https would be.
        const bool elsewhere = e.why == TransportError::Why::unreachable &&
                               !is_loopback(place_.host) && place_.trust.unverified;
        if (e.why != TransportError::Why::not_tls && !elsewhere) throw;
        base_ = "http://" + place_.host + "/v2/";
    }
    return base_;
}

HttpResponse Session::send(const Ask& ask) {
    const bool is_url = ask.path.starts_with("https://") || ask.path.starts_with("http://");
    Scopes scopes = {str("repository:", place_.repository, ":", actions_)};
    if (!ask.also_pulls.empty()) scopes.push_back(str("repository:", ask.also_pulls, ":pull"));
    return send_as(is_url ? ask.path : base() + place_.repository + "/" + ask.path, ask, scopes);
}

HttpResponse Session::greet() { return send_as(base(), {}, {}); }

// The first request of a session, or one whose token has expired, or one whose token is for less
// than it needs.
HttpResponse Session::send_as(const std::string& url, const Ask& ask, const Scopes& scopes) {
    constexpr int most_renewals = 2;
    const bool is_ours = parse_url(url).origin() == parse_url(base()).origin();
    Trust trust = place_.trust;
    if (!is_ours) trust.certificate.clear(), trust.key.clear();
    for (int renewals = 0;; ++renewals) {
        const std::string who = is_ours ? auth_.header(scopes) : "";
        HttpResponse answer = http_.send({.method = ask.method,
                                          .url = url,
                                          .headers = ask.headers,
                                          .authorization = who,
                                          .trust = trust,
                                          .body = ask.body,
                                          .sink = ask.sink,
                                          .sent = ask.sent,
                                          .patience = ask.patience});
        if (answer.status != 401 || !is_ours || renewals == most_renewals) return answer;
        Auth::Renewal renewal = auth_.renew(answer, scopes, who);
        if (renewal.refusal) return *std::move(renewal.refusal);
        if (!renewal.worth_it) return answer;
    }
}

HttpResponse Session::send_patiently(const Ask& ask) {
    Retry retry;
    for (;;) try {
            HttpResponse answer = send(ask);
            if (!is_passing(answer) || !retry.again(answer)) return answer;
        } catch (const TransportError& e) {
            if (e.why != TransportError::Why::broken || !retry.again()) throw;
        }
}
