// A registry's words are a stranger's: they reach the terminal as one plain line of a length that
// is read. And what answers may be no registry at all, but a proxy, or the page on which one logs
// in to a network.
#include "image/registry/refusal.h"

#include <algorithm>

#include "base/json.h"

namespace {

std::string shown(const std::string& text) {
    constexpr size_t most = 500;
    return visible(text.substr(0, most)) + (text.size() > most ? "…" : "");
}

Refusal by_status(long status) {
    if (status == 401) return {"UNAUTHORIZED", "authentication required"};
    if (status == 403) return {"DENIED", "requested access to the resource is denied"};
    if (status == 405) return {"UNSUPPORTED", "the operation is unsupported"};
    if (status == 413)
        return {"TOO_LARGE", "the registry, or a proxy before it, takes no more at once"};
    if (status == 429) return {"TOOMANYREQUESTS", "too many requests"};
    return {"UNKNOWN", str("unexpected status ", status)};
}

}  // namespace

std::string Refusal::text() const {
    std::string words = lower(code);
    std::ranges::replace(words, '_', ' ');
    return words + ": " + (message.empty() ? words : message);
}

bool is_page(const HttpResponse& response) {
    return trim(response.body).starts_with('<') ||
           lower(response.header("content-type")).starts_with("text/html");
}

Refusal refusal_of(const HttpResponse& response) {
    Refusal refusal = by_status(response.status);
    refusal.status = response.status;
    try {
        const json::Value body = json::parse(response.body);
        const json::Value& first = body.at("errors").at(0);
        const auto text = [&](const char* key) {
            const auto at = first.find(key);
            return at != first.end() && at->is_string() ? at->get<std::string>() : std::string();
        };
        if (text("code").empty()) return refusal;
        refusal.code = shown(text("code"));
        refusal.message = shown(text("message"));
    } catch (const std::exception&) {
        const std::string type = response.header("content-type");
        if (is_page(response)) refusal.page = shown(type.empty() ? "text/html" : type);
    }
    return refusal;
}
