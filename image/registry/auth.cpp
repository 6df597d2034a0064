// The registry says who gives tokens, and what it says is not believed: a password goes to a token
// server only over https, and over http only if the registry itself is spoken to so. A token is for
// certain scopes, and ends; the one lock is held while one is fetched, so that all who need it wait
// for one.
#include "image/registry/auth.h"

#include <algorithm>

#include "base/base64.h"
#include "base/json.h"
#include "image/registry/retry.h"
#include "image/registry/url.h"

namespace {

constexpr std::chrono::seconds least_life{60};  // of a token, as distribution's spec has it
constexpr size_t most_answer = size_t(1) << 20;

std::string text_of(const json::Value& object, const char* key) {
    const auto at = object.is_object() ? object.find(key) : object.end();
    return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

// One word of a header.
bool fits_a_header(const std::string& text) {
    return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

Auth::Auth(Http& http, Trust trust, std::function<Credentials()> credentials)
    : http_(http), trust_(std::move(trust)), find_(std::move(credentials)) {}

const Credentials& Auth::credentials() {
    if (!credentials_) credentials_ = find_();
    return *credentials_;
}

std::string Auth::header(const Scopes& scopes) {
    const std::lock_guard one_thread(mutex_);
    return header_now(scopes);
}

bool Auth::lacks_password() {
    const std::lock_guard one_thread(mutex_);
    return challenge_ && challenge_->scheme == "basic" && credentials().empty();
}

std::string Auth::header_now(const Scopes& scopes) {
    if (!challenge_) return "";
    if (challenge_->scheme == "basic") return basic();
    const std::string word = token(scopes);
    return word.empty() ? "" : "Bearer " + word;
}

std::string Auth::basic() {
    const Credentials& who = credentials();
    if (who.user.empty() && who.password.empty()) return "";
    return "Basic " + encode_base64(who.user + ":" + who.password);
}

// Tokens are preferred: a password is then shown to the token server alone.
bool Auth::choose(const HttpResponse& refused) {
    std::optional<Challenge> chosen;
    const auto [first, last] = refused.headers.equal_range("www-authenticate");
    for (auto at = first; at != last; ++at)
        for (Challenge& challenge : parse_challenges(at->second)) {
            const bool is_bearer =
                challenge.scheme == "bearer" && !challenge.value("realm").empty();
            if (is_bearer && (!chosen || chosen->scheme != "bearer"))
                chosen = std::move(challenge);
            else if (challenge.scheme == "basic" && !chosen)
                chosen = std::move(challenge);
        }
    if (!chosen) return false;
    challenge_ = std::move(chosen);
    at_plain_http_ = refused.url.starts_with("http://");
    return true;
}

Auth::Renewal Auth::renew(const HttpResponse& refused, const Scopes& scopes,
                          const std::string& sent) {
    const std::lock_guard one_thread(mutex_);
    if (challenge_) {
        const auto had = tokens_.find(scopes);
        if (had != tokens_.end() && "Bearer " + had->second.text != sent)
            return {.worth_it = true, .refusal = {}};  // another thread was faster
    }
    if (!choose(refused)) return {};
    tokens_.erase(scopes);
    // It was given less than it needs, says the registry, and what it needs.
    if (const std::string more = challenge_->value("scope"); !sent.empty() && !more.empty())
        for (const std::string& scope : split(more, ' '))
            if (Scopes& wide = widened_.try_emplace(scopes, scopes).first->second;
                std::ranges::find(wide, scope) == wide.end())
                wide.push_back(scope);
    refusal_.reset();
    const std::string now = header_now(scopes);
    return {.worth_it = !now.empty() && now != sent, .refusal = std::exchange(refusal_, {})};
}

std::string Auth::token(const Scopes& scopes) {
    const auto now = std::chrono::steady_clock::now();
    if (const auto had = tokens_.find(scopes); had != tokens_.end() && now < had->second.end)
        return had->second.text;
    const auto wide = widened_.find(scopes);
    Retry retry;
    for (;;) {
        const HttpResponse answer =
            http_.send(token_request(wide == widened_.end() ? scopes : wide->second));
        if (answer.status == 200) return (tokens_[scopes] = read_token(answer)).text;
        if (is_passing(answer) && retry.again(answer)) continue;
        refusal_ = answer;
        return "";
    }
}

HttpRequest Auth::token_request(const Scopes& scopes) {
    const std::string realm = challenge_->value("realm"), service = challenge_->value("service");
    // A realm over http would see what the registry's own https hides.
    if (!realm.starts_with("https://") && !(at_plain_http_ && realm.starts_with("http://")))
        throw Error("the registry's token server ", ::quoted(without_query(realm)),
                    " is not reached by https");
    HttpRequest request{.url = realm, .trust = trust_, .body = {}, .most_body = most_answer};
    request.trust.certificate.clear(), request.trust.key.clear();
    request.trust.plain_http = at_plain_http_;
    const Credentials& who = credentials();
    if (!who.identity_token.empty()) {
        const std::pair<const char*, std::string> fields[] = {
            {"grant_type", "refresh_token"},
            {"service", service},
            {"client_id", "keg"},
            {"scope", join(scopes, " ")},
            {"refresh_token", who.identity_token}};
        std::string form;
        for (const auto& [name, value] : fields)
            form += str(form.empty() ? "" : "&", name, "=", url_encoded(value));
        request.method = "POST";
        request.body = {.type = "application/x-www-form-urlencoded", .text = form};
        return request;
    }
    if (!service.empty()) request.url = with_parameter(request.url, "service", service);
    for (const std::string& scope : scopes)
        request.url = with_parameter(request.url, "scope", scope);
    if (!who.user.empty()) request.url = with_parameter(request.url, "account", who.user);
    request.authorization = basic();
    return request;
}

Auth::Token Auth::read_token(const HttpResponse& answer) const {
    return context("the token server " + without_query(answer.url), [&] {
        const json::Value body = json::parse(answer.body);
        std::string text = text_of(body, "token");
        if (text.empty()) text = text_of(body, "access_token");
        if (text.empty() || !fits_a_header(text)) throw Error("gives no token that could be sent");
        const auto life = body.find("expires_in");
        const bool says = life != body.end() && life->is_number_unsigned();
        const auto seconds =
            std::clamp<uint64_t>(says ? life->get<uint64_t>() : 0, least_life.count(), 86400);
        // A tenth earlier: what is asked for takes its time, too.
        return Token{text, std::chrono::steady_clock::now() +
                               std::chrono::seconds(seconds - seconds / 10)};
    });
}
