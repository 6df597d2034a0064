// Pulling by the distribution API. What a registry says is believed only as far as a digest
// reaches: the manifest's digest comes from the user or is computed from the bytes, everything
// below it is checked against its parent. Tokens are asked for anonymously, and go to no other
// host.
#include "image/registry.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "image/http.h"
#include "image/platform.h"
#include "image/snapshots.h"

namespace {

constexpr size_t parallel_downloads = 3;
constexpr int attempts = 3;         // that bring nothing
constexpr size_t most_indexes = 4;  // in indexes, as the store reads them
constexpr int64_t some_progress = 64 << 10;

bool is_loopback(const std::string& domain) {
    if (domain.starts_with("[")) return domain.starts_with("[::1]");
    const std::string host = domain.substr(0, domain.find(':'));
    return host == "localhost" ||
           (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

// --- what registries say when they refuse: {"errors":[{"code":"MANIFEST_UNKNOWN","message":…}]}

struct Refusal {
    std::string code, message;
    std::string text() const {  // as Docker shows it: "manifest unknown: manifest unknown"
        std::string words = lower(code);
        std::ranges::replace(words, '_', ' ');
        return words + ": " + (message.empty() ? words : message);
    }
};

// A registry's words: one line, of a length that is read.
std::string shown(const std::string& text) {
    constexpr size_t most = 500;
    return visible(text.substr(0, most)) + (text.size() > most ? "…" : "");
}

// The body may be anything, HTML too: then the status speaks.
Refusal refusal_of(const HttpResponse& response) {
    try {
        const json::Value body = json::parse(response.body);
        const json::Value& first = body.at("errors").at(0);
        const auto text = [&](const char* key) {
            const auto at = first.find(key);
            return at != first.end() && at->is_string() ? at->get<std::string>() : std::string();
        };
        if (!text("code").empty()) return {shown(text("code")), shown(text("message"))};
    } catch (const std::exception&) {
    }
    if (response.status == 401) return {"UNAUTHORIZED", "authentication required"};
    if (response.status == 403) return {"DENIED", "requested access to the resource is denied"};
    return {"UNKNOWN", str("unexpected status ", response.status)};
}

// --- WWW-Authenticate: Bearer realm="…",service="…",scope="…"

struct Challenge {
    std::string scheme;  // in lower case
    std::map<std::string, std::string> values;
};

Challenge parse_challenge(std::string_view text) {
    Challenge out;
    const size_t blank = text.find(' ');
    out.scheme = lower(std::string(text.substr(0, blank)));
    if (blank == std::string_view::npos) return out;
    text.remove_prefix(blank + 1);
    while (!text.empty()) {
        const size_t equals = text.find('=');
        if (equals == std::string_view::npos) break;
        std::string key = lower(std::string(trim(text.substr(0, equals))));
        text = trim(text.substr(equals + 1));
        std::string value;
        if (text.starts_with('"')) {
            size_t at = 1;
            for (; at < text.size() && text[at] != '"'; ++at) {
                if (text[at] == '\\' && at + 1 < text.size()) ++at;
                value += text[at];
            }
            text.remove_prefix(std::min(at + 1, text.size()));
        } else {
            value = trim(text.substr(0, text.find(',')));
        }
        out.values[key] = value;
        const size_t comma = text.find(',');
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    }
    return out;
}

std::string url_encoded(std::string_view text) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) || std::string_view("-._~").contains(c))
            out += c;
        else
            out += {'%', hex[byte >> 4], hex[byte & 15]};
    }
    return out;
}

// --- one repository of a registry

class Repository {
public:
    explicit Repository(const Reference& name) : name_(name) {
        const std::string host = name.domain == "docker.io" ? "registry-1.docker.io" : name.domain;
        base_ = "https://" + host + "/v2/";
        if (!is_loopback(name.domain)) return;
        // Registries on this machine often speak plain HTTP; nobody listens on the way there.
        plain_http_ = true;
        try {
            http_get({.url = base_, .plain_http = true});
        } catch (const TransportError& e) {
            if (!e.not_tls) throw;
            base_ = "http://" + host + "/v2/";
        }
    }

    // The document and its media type. `expected` may be empty: then the digest is that of the
    // bytes.
    struct Document {
        spec::Descriptor descriptor;
        std::string text;
    };
    Document manifest(const std::string& tag_or_digest, const std::string& expected) {
        const HttpResponse response = get("manifests/" + tag_or_digest, accept_manifests());
        if (response.status != 200) refuse_manifest(response);
        std::string type = response.header("content-type");
        type = std::string(trim(type.substr(0, type.find(';'))));
        if (const std::string inside = media_type_in(response.body); !inside.empty()) {
            if (!spec::oci_media_type(type).empty() && type != inside)
                throw Error("the registry calls the manifest ", ::quoted(type), ", but it is ",
                            ::quoted(inside));
            type = inside;
        }
        const Digest digest = digest_like(expected, response.body);
        if (!expected.empty() && digest.text() != expected)
            throw Error("manifest verification failed for digest ", expected);
        return {
            {.media_type = type, .digest = digest.text(), .size = int64_t(response.body.size())},
            response.body};
    }

    // A transfer that breaks off goes on where it was. Only tries that bring nothing are counted: a
    // large layer comes over a line that breaks again and again.
    void fetch(const Store& store, const spec::Descriptor& blob, Progress& progress) {
        BlobWriter writer = store.new_blob(Digest(blob.digest).algorithm());
        for (int fruitless = 0;;) {
            const int64_t before = writer.size();
            try {
                fetch_rest(writer, blob, progress);
                break;
            } catch (const TransportError& e) {
                if (writer.size() == blob.size) break;  // behind the last byte
                fruitless = writer.size() - before >= some_progress ? 0 : fruitless + 1;
                if (fruitless == attempts) throw;
                log_debug(str(e.what(), ": going on at byte ", writer.size()));
                std::this_thread::sleep_for(std::chrono::seconds(fruitless));
            }
        }
        writer.commit(blob.media_type, blob.digest, blob.size);
    }

private:
    static Digest digest_like(const std::string& expected, const std::string& data) {
        return digest_of(data, expected.empty() ? "sha256" : Digest(expected).algorithm());
    }
    static std::vector<std::string> accept_manifests() {
        return {str("Accept: ", spec::media::manifest, ", ", spec::media::index, ", ",
                    spec::media::docker_manifest, ", ", spec::media::docker_index)};
    }
    static std::string media_type_in(const std::string& text) {
        const json::Value document = json::parse(text);
        const auto at = document.is_object() ? document.find("mediaType") : document.end();
        return at != document.end() && at->is_string() ? at->get<std::string>() : "";
    }

    // RFC 9110: 206 brings what was asked for, and says what it brings; 200 brings all of it.
    void fetch_rest(BlobWriter& writer, const spec::Descriptor& blob, Progress& progress) {
        const Digest digest(blob.digest);
        const int64_t begin = writer.size();
        auto known = size_t(begin);  // bytes at the front of a 200 that are there already
        const auto sink = [&](const HttpResponse& answer, std::string_view piece) {
            if (answer.status == 206) {
                const std::string range = answer.header("content-range");
                if (!range.starts_with(str("bytes ", begin, "-")))
                    throw Error("blob ", blob.digest, ": asked for the bytes from ", begin,
                                " on, the registry sends ", ::quoted(range));
                known = 0;
            }
            const size_t skipped = std::min(known, piece.size());
            piece.remove_prefix(skipped), known -= skipped;
            if (writer.size() + int64_t(piece.size()) > blob.size)
                throw Error("blob ", blob.digest, " is larger than its manifest says (", blob.size,
                            " bytes)");
            writer.write(piece);
            progress.add(piece.size());
        };
        std::vector<std::string> headers;
        if (begin > 0) headers.push_back(str("Range: bytes=", begin, "-"));
        const HttpResponse response = get("blobs/" + digest.text(), std::move(headers), sink);
        if (response.status >= 500 || response.status == 429)
            throw TransportError("fetching blob ", blob.digest, ": status ", response.status);
        if (response.status != 200 && response.status != 206)
            throw Error("fetching blob ", blob.digest, ": ", refusal_of(response).text());
    }

    HttpResponse get(const std::string& path, std::vector<std::string> headers,
                     decltype(HttpRequest::sink) sink = {}) {
        const HttpRequest request{.url = base_ + name_.path + "/" + path,
                                  .headers = std::move(headers),
                                  .plain_http = plain_http_,
                                  .sink = std::move(sink)};
        const std::string token = this->token();
        HttpResponse response = http_get(with_token(request, token));
        if (response.status != 401) return response;
        // The first request, or one whose token has expired.
        if (!renew_token(response, token)) return response;
        return http_get(with_token(request, this->token()));
    }
    static HttpRequest with_token(HttpRequest request, const std::string& token) {
        if (!token.empty()) request.headers.push_back("Authorization: Bearer " + token);
        return request;
    }
    std::string token() {
        const std::lock_guard lock(mutex_);
        return token_;
    }
    bool renew_token(const HttpResponse& response, const std::string& refused) {
        const std::lock_guard lock(mutex_);
        if (token_ != refused) return true;  // another thread was faster
        const auto [first, last] = response.headers.equal_range("www-authenticate");
        for (auto at = first; at != last; ++at) {
            const Challenge challenge = parse_challenge(at->second);
            if (challenge.scheme != "bearer") continue;
            const auto realm = challenge.values.find("realm");
            if (realm == challenge.values.end()) continue;
            token_ = anonymous_token(realm->second, challenge);
            return !token_.empty();
        }
        return false;
    }
    std::string anonymous_token(const std::string& realm, const Challenge& challenge) const {
        // A realm over http would see what the registry's own https hides.
        const bool plain = base_.starts_with("http://") && is_loopback(name_.domain);
        if (!realm.starts_with("https://") && !(plain && realm.starts_with("http://")))
            throw Error("the registry's token server ", ::quoted(realm),
                        " is not reached by https");
        std::string url = realm + (realm.find('?') == std::string::npos ? "?" : "&") +
                          "scope=" + url_encoded("repository:" + name_.path + ":pull");
        if (const auto service = challenge.values.find("service");
            service != challenge.values.end())
            url += "&service=" + url_encoded(service->second);
        const HttpResponse answer =
            http_get({.url = url, .plain_http = plain, .most_body = size_t(1) << 20});
        if (answer.status != 200) return {};
        const json::Value body = json::parse(answer.body);
        for (const char* key : {"token", "access_token"})
            if (const auto at = body.find(key); at != body.end() && at->is_string()) {
                const std::string token = at->get<std::string>();
                const auto is_printable = [](char c) {
                    return c > 0x20 && c < 0x7f;
                };  // one word of a header
                if (!std::ranges::all_of(token, is_printable))
                    throw Error("the token server's token is malformed");
                return token;
            }
        return {};
    }

    // Docker's words, by the registry's code.
    [[noreturn]] void refuse_manifest(const HttpResponse& response) const {
        const Refusal why = refusal_of(response);
        if (why.code == "MANIFEST_UNKNOWN" || (response.status == 404 && why.code == "UNKNOWN"))
            throw Error("manifest for ", name_.familiar(), " not found: ",
                        why.code == "UNKNOWN" ? "manifest unknown: manifest unknown" : why.text());
        if (why.code == "DENIED" || why.code == "UNAUTHORIZED" || why.code == "NAME_UNKNOWN")
            throw Error("pull access denied for ", name_.familiar_repository(),
                        ", repository does not exist or may require 'docker login': ", why.text());
        if (why.code == "NAME_INVALID")
            throw Error("invalid repository name ", ::quoted(name_.path), ": ", why.text());
        if (response.status == 429) throw Error("toomanyrequests: ", why.message);
        throw Error("pulling ", name_.familiar(), ": ", why.text());
    }

    Reference name_;
    std::string base_;
    bool plain_http_ = false;
    std::mutex mutex_;
    std::string token_;
};

// --- pull

// The blobs the store lacks, each once, a few at a time. The first error stops the rest.
void fetch_all(const Store& store, Repository& repository,
               const std::vector<spec::Descriptor>& blobs) {
    std::vector<spec::Descriptor> missing;
    std::set<std::string> seen;
    for (const spec::Descriptor& blob : blobs) {
        if (!seen.insert(blob.digest).second) continue;
        if (store.is_intact(blob))
            Progress(Digest(blob.digest).short_hex()).finish("Already exists");
        else
            missing.push_back(blob);
    }
    std::atomic<size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr error;
    const auto work = [&] {
        for (size_t i; (i = next++) < missing.size();) try {
                Progress progress(Digest(missing[i].digest).short_hex(), uint64_t(missing[i].size));
                repository.fetch(store, missing[i], progress);
                progress.finish("Pull complete");
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (!error) error = std::current_exception();
                next = missing.size();
            }
    };
    {
        std::vector<std::jthread> threads;
        for (size_t i = 0; i < std::min(parallel_downloads, missing.size()); ++i)
            threads.emplace_back(work);
    }
    if (error) std::rethrow_exception(error);
}

}  // namespace

Image pull(const Store& store, const Reference& name, const PullOptions& options) {
    const Lease lease = store.use();
    Repository repository(name);
    auto document = repository.manifest(name.digest.empty() ? name.tag : name.digest, name.digest);
    // The name is that of the index, if this machine would find the same image in it again.
    std::vector<Repository::Document> indexes;
    bool finds_again = true;
    while (spec::oci_media_type(document.descriptor.media_type) == spec::media::index) {
        if (indexes.size() == most_indexes)
            throw Error(name.familiar(), ": its indexes are nested too deep");
        const spec::Index index = spec::read_index(document.text);
        const spec::Descriptor* const found = find_platform(index, options.platform);
        if (!found)
            throw Error("no matching manifest for ",
                        options.platform.empty() ? host_platform() : options.platform,
                        " in the manifest list entries");
        finds_again &= found == find_platform(index, "");
        indexes.push_back(std::move(document));
        document = repository.manifest(found->digest, found->digest);
    }
    if (spec::oci_media_type(document.descriptor.media_type) != spec::media::manifest)
        throw Error("unsupported manifest media type ", ::quoted(document.descriptor.media_type));
    const spec::Manifest manifest = spec::read_manifest(document.text);
    if (spec::oci_media_type(manifest.config.media_type) != spec::media::config)
        throw Error(name.familiar(), " is not an image: its config is ",
                    ::quoted(manifest.config.media_type));
    context("manifest " + document.descriptor.digest, [&] { spec::check_layers(manifest); });

    std::vector<spec::Descriptor> blobs = manifest.layers;
    blobs.push_back(manifest.config);
    fetch_all(store, repository, blobs);

    const auto put = [&](const Repository::Document& each) {
        return store.put_blob(each.text, each.descriptor.media_type,
                              Digest(each.descriptor.digest).algorithm());
    };
    const spec::Descriptor descriptor = put(document);
    const Image image = store.load(descriptor, options.platform);
    Snapshots(store).unpack(
        image, Snapshots::Trust::nothing);  // checks each diff ID: the name comes after it
    for (const Repository::Document& index : indexes) put(index);
    store.tag(finds_again && !indexes.empty() ? indexes[0].descriptor : descriptor, name);
    return store.load(descriptor, options.platform);
}
