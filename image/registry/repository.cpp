// What is hard: nothing of an answer is true because a registry says it. A document's digest comes
// from the user or is computed from its bytes, and all below it is checked against what names it. A
// range is what Content-Range says it is, not what was asked for; a length may be a lie; and a page
// for logging in has the status 200, too.
#include "image/registry/repository.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "image/inline_data.h"
#include "image/registry/refusal.h"
#include "image/registry/retry.h"
#include "image/registry/url.h"

namespace {

constexpr int64_t some_progress = 64 << 10;

std::string accepted_documents() {
    return str("Accept: ", spec::media::manifest, ", ", spec::media::index, ", ",
               spec::media::docker_manifest, ", ", spec::media::docker_index);
}

// What a document says that it is, or what it must be by what it has.
std::string media_type_in(const std::string& text) {
    const json::Value document = json::parse(text);
    if (!document.is_object()) return "";
    const auto at = document.find("mediaType");
    if (at != document.end() && at->is_string()) return at->get<std::string>();
    return "";
}
std::string_view likely_type(const std::string& text) {
    const json::Value document = json::parse(text);
    if (document.contains("manifests")) return spec::media::index;
    return document.contains("config") ? spec::media::manifest : "";
}

bool is_json(const std::string& text) try {
    json::parse(text);
    return true;
} catch (const std::exception&) {
    return false;
}

Digest digest_like(const std::string& expected, const std::string& data) {
    return digest_of(data, expected.empty() ? "sha256" : Digest(expected).algorithm());
}

}  // namespace

Repository::Repository(const Reference& name, Place place, std::string actions)
    : name_(name), session_(std::move(place), std::move(actions)) {}

Repository::Document Repository::document(const std::string& tag_or_digest,
                                          const std::string& expected) {
    const HttpResponse response = session_.send_patiently(
        {.path = "manifests/" + tag_or_digest, .headers = {accepted_documents()}});
    if (response.status != 200) refuse_document(response);
    return take_document(response, expected);
}

std::optional<Repository::Document> Repository::find_document(const std::string& tag) {
    const HttpResponse response =
        session_.send_patiently({.path = "manifests/" + tag, .headers = {accepted_documents()}});
    if (response.status == 404) return {};
    if (response.status != 200) refuse_document(response);
    return take_document(response, "");
}

Repository::Document Repository::take_document(const HttpResponse& response,
                                               const std::string& expected) {
    std::string type = response.header("content-type");
    type = std::string(trim(type.substr(0, type.find(';'))));
    if (!is_json(response.body))
        throw session_.error("pulling " + name_.familiar(),
                             "the answer is no manifest, and no JSON", response);
    if (const std::string inside = media_type_in(response.body); !inside.empty()) {
        if (!spec::oci_media_type(type).empty() && type != inside)
            throw Error("the registry calls the manifest ", ::quoted(type), ", but it is ",
                        ::quoted(inside));
        type = inside;
    } else if (spec::oci_media_type(type).empty()) {
        type = likely_type(response.body);
    }
    const Digest digest = digest_like(expected, response.body);
    if (!expected.empty() && digest.text() != expected)
        throw Error("manifest verification failed for digest ", expected);
    return {{.media_type = type, .digest = digest.text(), .size = int64_t(response.body.size())},
            response.body};
}

void Repository::read(const spec::Descriptor& blob, int64_t begin, const Take& take) {
    if (const auto data = inline_data(blob))
        return take(std::string_view(*data).substr(size_t(std::min(begin, blob.size))));
    Retry retry;
    for (int64_t size = begin; size < blob.size;) {
        const int64_t before = size;
        try {
            const HttpResponse answer = read_rest(blob, size, take);
            if (answer.is_success()) return;
            if (!is_passing(answer) || !retry.again(answer)) refuse_blob(blob, answer);
        } catch (const TransportError& e) {
            if (size == blob.size) return;  // behind the last byte
            if (size - before >= some_progress) retry.progress();
            if (e.why == TransportError::Why::untrusted || !retry.again()) throw;
            log_debug(str(e.what(), ": going on at byte ", size));
        }
    }
}

// RFC 9110: 206 brings what was asked for, and says what it brings; 200 brings all of it.
HttpResponse Repository::read_rest(const spec::Descriptor& blob, int64_t& size, const Take& take) {
    const int64_t begin = size;
    auto known = size_t(begin);  // bytes at the front of a 200 that are there already
    const auto sink = [&](const HttpResponse& answer, std::string_view piece) {
        if (answer.status == 206) {
            const std::string range = answer.header("content-range");
            if (!range.starts_with(str("bytes ", begin, "-")))
                throw Error("blob ", blob.digest, ": asked for the bytes from ", begin,
                            " on, the registry sends ", ::quoted(range));
            known = 0;
        }
        if (size == begin && is_page(answer) && !blob.media_type.starts_with("text/html"))
            throw session_.error("fetching blob " + blob.digest, "the answer is no blob", answer);
        const size_t skipped = std::min(known, piece.size());
        piece.remove_prefix(skipped), known -= skipped;
        if (size + int64_t(piece.size()) > blob.size)
            throw Error("blob ", blob.digest, " is larger than its manifest says (", blob.size,
                        " bytes)");
        take(piece);
        size += int64_t(piece.size());
    };
    std::vector<std::string> headers;
    if (begin > 0) headers.push_back(str("Range: bytes=", begin, "-"));
    return session_.send({.path = "blobs/" + Digest(blob.digest).text(),
                          .headers = std::move(headers),
                          .sink = sink});
}

// An image could send us to any machine that we reach, one that only we reach too.
void Repository::refuse_blob(const spec::Descriptor& blob, const HttpResponse& response) {
    const std::string doing = "fetching blob " + blob.digest;
    if (response.status != 404 || blob.urls.empty()) throw session_.error(doing, response);
    throw session_.error(doing,
                         "the registry has it not; its image says to fetch it from " +
                             ::quoted(without_query(blob.urls[0])) +
                             ", and keg fetches nothing from where an image says",
                         response);
}

bool Repository::has_document(const std::string& digest) {
    const HttpResponse answer = session_.send_patiently(
        {.method = "HEAD", .path = "manifests/" + digest, .headers = {accepted_documents()}});
    return answer.is_success() && !is_page(answer);
}

// Docker's words, by the registry's code.
void Repository::refuse_document(const HttpResponse& response) {
    const Refusal why = refusal_of(response);
    const bool is_nobody = response.status == 401 && session_.lacks_password();
    const bool is_missing = why.code == "UNKNOWN" && response.status == 404;
    if (why.code == "MANIFEST_UNKNOWN" || is_missing)
        throw session_.error(str("manifest for ", name_.familiar(), " not found"),
                             is_missing ? "manifest unknown: manifest unknown" : why.text(),
                             response);
    if (why.code == "DENIED" || why.code == "UNAUTHORIZED" || why.code == "NAME_UNKNOWN")
        throw session_.error(str("pull access denied for ", name_.familiar_repository(),
                                 ", repository does not exist or may require 'docker login'"),
                             is_nobody ? "no basic auth credentials" : why.text(), response);
    if (why.code == "NAME_INVALID")
        throw session_.error("invalid repository name " + ::quoted(name_.path), response);
    if (response.status == 429)
        throw session_.error("pulling " + name_.familiar(), "toomanyrequests: " + why.message,
                             response);
    throw session_.error("pulling " + name_.familiar(), response);
}
