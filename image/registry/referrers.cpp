// What refers to a manifest: signatures, attestations, lists of what is in it. A registry of
// distribution-spec 1.1 knows; for one that does not, whoever puts a document with a subject keeps
// a list of them under a tag that is made of the digest.
//
// What is hard is to tell "nothing" from "I cannot say", since a signature that is not found may be
// all that speaks for an image, or the one that speaks against it. A registry without the API
// answers 404, but some proxies a page, or that the method is wrong: only the tag can say that
// there is nothing, and only by a 404 or a document that is no list.
#include <algorithm>
#include <set>

#include "base/json.h"
#include "image/registry/pages.h"
#include "image/registry/refusal.h"
#include "image/registry/repository.h"
#include "image/registry/url.h"
#include "image/subject.h"

namespace {

constexpr size_t most_pages = 1000, most_referrers = 10'000;
constexpr size_t most_list_bytes = size_t(32) << 20;
constexpr int most_rivals = 5;  // who change the list under a tag at the same time

std::string accepted_list() { return str("Accept: ", spec::media::index); }

// Nothing for what is none.
std::optional<spec::Index> list_in(const HttpResponse& answer) {
    if (answer.status != 200) return {};
    try {
        const json::Value document = json::parse(answer.body);
        if (!document.is_object() || !document.contains("manifests")) return {};
    } catch (const std::exception&) {
        return {};
    }
    return spec::read_index(answer.body);
}

// An answer without a list: does it say that the registry gives none, whatever there is?
bool has_no_api(const HttpResponse& answer) {
    static constexpr long known[] = {200, 400, 404, 405, 501};
    return std::ranges::find(known, answer.status) != std::end(known);
}

// What is listed, once, and of the type that is asked for.
class Referrers {
public:
    Referrers(std::string doing, std::string type)
        : doing_(std::move(doing)), type_(std::move(type)) {}

    void add(const spec::Index& list) {
        for (const spec::Descriptor& entry : list.manifests) {
            if (!type_.empty() && entry.artifact_type != type_) continue;
            if (!seen_.insert(entry.digest).second) continue;
            if (all_.size() == most_referrers)
                throw Error(doing_, ": there are more than ", most_referrers);
            all_.push_back(entry);
        }
    }
    std::vector<spec::Descriptor> take() { return std::move(all_); }

private:
    std::string doing_, type_;
    std::set<std::string> seen_;
    std::vector<spec::Descriptor> all_;
};

}  // namespace

std::vector<spec::Descriptor> Repository::referrers(const std::string& digest,
                                                    const std::string& artifact_type) {
    const std::string doing =
        str("listing what refers to ", name_.familiar_repository(), "@", digest);
    Referrers found(doing, artifact_type);
    size_t pages = 0, bytes = 0;
    std::string path = "referrers/" + Digest(digest).text();
    if (!artifact_type.empty()) path = with_parameter(path, "artifactType", artifact_type);
    while (!path.empty()) {
        const HttpResponse answer =
            session_.send_patiently({.path = path, .headers = {accepted_list()}});
        const auto list = context(doing, [&] { return list_in(answer); });
        if (!list && pages == 0 && has_no_api(answer)) {
            if (const auto tagged = tagged_referrers(digest, doing)) found.add(*tagged);
            break;
        }
        if (!list) throw session_.error(doing, answer);
        found.add(*list);
        if (++pages > most_pages || (bytes += answer.body.size()) > most_list_bytes)
            throw Error(doing, ": the list has no end");
        path = next_page(answer);
    }
    return found.take();
}

std::optional<spec::Index> Repository::tagged_referrers(const std::string& digest,
                                                        const std::string& doing) {
    const HttpResponse answer = session_.send_patiently(
        {.path = "manifests/" + tag_of_referrers(digest), .headers = {accepted_list()}});
    if (answer.status == 404) return {};
    if (answer.status != 200 || !refusal_of(answer).page.empty())
        throw session_.error(doing, answer);
    return context(doing, [&] { return list_in(answer); });
}

// Where a registry compares what it has with what it was read as (an ETag), nobody's entry is lost
// to somebody who writes at the same time.
void Repository::note_subject(const Document& document, const HttpResponse& answer) {
    const std::string subject = subject_of(document.text);
    if (subject.empty() || answer.header("oci-subject") == subject) return;
    const std::string doing =
        str("noting what refers to ", name_.familiar_repository(), "@", subject);
    const spec::Descriptor entry =
        context(doing, [&] { return referrer_entry(document.descriptor, document.text); });
    const std::string path = "manifests/" + tag_of_referrers(subject);
    for (int rivals = 0;; ++rivals) {
        const HttpResponse before =
            session_.send_patiently({.path = path, .headers = {accepted_list()}});
        auto list = before.status == 404 ? std::optional(spec::Index{})
                                         : context(doing, [&] { return list_in(before); });
        if (!list) throw session_.error(doing, "what has their tag is no list of them", before);
        if (std::ranges::find(list->manifests, entry.digest, &spec::Descriptor::digest) !=
            list->manifests.end())
            return;
        list->media_type = spec::media::index;
        list->manifests.push_back(entry);
        const HttpResponse after = put_list(path, *list, before.header("etag"));
        if (after.is_success()) return;
        if (after.status != 412 || rivals == most_rivals) throw session_.error(doing, after);
    }
}

HttpResponse Repository::put_list(const std::string& path, const spec::Index& list,
                                  const std::string& etag) {
    std::vector<std::string> headers;
    if (!etag.empty()) headers.push_back("If-Match: " + etag);
    return session_.send_patiently(
        {.method = "PUT",
         .path = path,
         .headers = std::move(headers),
         .body = HttpBody{.type = list.media_type, .text = spec::write(list)}});
}
